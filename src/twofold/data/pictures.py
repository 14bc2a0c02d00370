"""Pictures from anywhere, decoded once: the door for folders, archives, tables with pictures in them, and arrays."""

import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np

from twofold.data.decoding import decode_picture, write_picture
from twofold.data.hub import fetched
from twofold.data.picture_set import Bad, Pictures
from twofold.data.picture_sources import Collection, gather, is_source
from twofold.data.pixels import Packer, Pixels, stored
from twofold.errors import DataError

__all__ = ["Bad", "Pictures", "decode_picture", "holds_pictures", "open_pictures", "write_picture"]

N_REASONS = 3  # that a message lists when nothing could be read
RULES = 1  # of decoding; another number, and what the cache holds is made again


def open_pictures(
    source: Any, *, split: str | None = None, label: str | None = None, short_side: int | None = None
) -> Pictures:
    """Pictures from a path, sample:NAME, or pictures in memory.

    Parameters
    ----------
    source : path of a folder, a ZIP archive, ARCHIVE.zip/FOLDER, an idx file (also .gz), a Parquet table with a column
        of pictures, or one picture; sample:NAME; a list of paths, PIL images or arrays; one PIL image; an array (N, H,
        W, C) or (N, H, W) of uint8, or of floats from 0 to 1.
    split : train, val, test or a split's own name; "all"; by default train, where there is one.
    label : the column of metadata, or of the Parquet table, that holds the labels.
    short_side : shrink larger files to this many pixels on their short side as they are decoded.

    Raises
    ------
    DataError
        When no picture can be read: the first reasons are listed. Files that cannot be read stand in `bad`.
    """
    if isinstance(source, Pictures):
        return source
    if isinstance(source, str) and source.startswith("sample:"):
        from twofold.data.samples import load_pictures

        return load_pictures(source.removeprefix("sample:"))
    found = gather(fetched(source), split, label)
    return _packed(found, short_side)


def holds_pictures(source: Any) -> bool:
    """Whether `open_pictures` would take this, rather than it being a table or a text; nothing is decoded."""
    if isinstance(source, Pictures):
        return True
    if isinstance(source, str) and source.startswith("sample:"):
        from twofold.data import samples

        return source.removeprefix("sample:") in getattr(samples, "PICTURES", {})
    return is_source(fetched(source))


def _packed(found: Collection, short_side: int | None) -> Pictures:
    stamps = [found.name, found.stamp, RULES, short_side, [[item.id, *item.stamp] for item in found.items]]
    key = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:32]
    earlier = None if found.stamp is None else stored(key)
    pixels, facts = earlier or _decoded(found, short_side, key)
    if not facts["rows"]:
        raise DataError(_nothing_read(found, facts["bad"]))
    rows = np.array(facts["rows"])
    remarks = [f"{remark} ({n} of {len(rows)} pictures)" for remark, n in facts["remarks"].items()]
    return Pictures(
        ids=[found.items[row].id for row in rows],
        pixels=pixels,
        labels=None if found.labels is None else found.labels[rows],
        table=None if found.table is None else found.table.take(rows),
        bad=found.bad + [Bad(*pair) for pair in facts["bad"]],
        notes=found.notes + remarks,
        name=found.name,
    )


def _decoded(found: Collection, short_side: int | None, key: str) -> tuple[Pixels, dict[str, Any]]:
    packer = Packer(key)
    rows: list[int] = []
    bad: list[tuple[str, str]] = []
    remarks: Counter[str] = Counter()
    try:
        for row, item in enumerate(found.items):
            try:
                picture, remark = item.read(short_side)
            except DataError as error:
                bad.append((item.id, str(error)))
                continue
            packer.add(picture)
            rows.append(row)
            remarks.update([remark] if remark else [])
        facts = {"rows": rows, "bad": bad, "remarks": dict(remarks)}
        return packer.finish(facts, keep=found.stamp is not None), facts
    except BaseException:
        packer.drop()
        raise


def _nothing_read(found: Collection, bad: list[list[str]]) -> str:
    both = [*found.bad, *(Bad(*pair) for pair in bad)]
    if not both:
        return f"{found.name} holds no pictures. Give a folder, a ZIP archive or a table that holds some."
    reasons = " ".join(f"{name} {reason}" for name, reason in both[:N_REASONS])
    more = f" And {len(both) - N_REASONS} more." if len(both) > N_REASONS else ""
    return f"{found.name}: not one picture can be read. {reasons}{more}"
