"""The two sides of a trial or judgement: pictures, sounds, rows of a table, or texts; by one door."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from twofold.data import open_table
from twofold.data.audio import Sounds, holds_sounds, open_sounds
from twofold.data.fingerprints import row_hashes
from twofold.data.pictures import Pictures, holds_pictures, open_pictures
from twofold.data.text import is_text, read_text
from twofold.errors import DataError

__all__ = ["Items", "fingerprints", "kind_of", "open_items", "open_sides", "take"]

Items = Pictures | Sounds | pa.Table | list[str]

PASSAGE = 200  # letters of a piece, where a text has no lines
FEW_LINES = 20


def open_items(source: Any, split: str = "all") -> Items:
    """What a path, sample:NAME or data in memory holds: of a text its lines, or passages where it has none.

    Parameters
    ----------
    split : of pictures and sounds: all, train, val, test or a split's own name.

    Raises
    ------
    DataError
        When nothing can be read; the reasons are listed.
    """
    if isinstance(source, Pictures | Sounds | pa.Table):
        return source
    if isinstance(source, list) and source and all(isinstance(part, str) for part in source):
        if not os.path.exists(source[0]):
            return source
    if holds_pictures(source):
        return open_pictures(source, split=split)
    if holds_sounds(source):
        return open_sounds(source, split=split)
    if isinstance(source, str | os.PathLike) and is_text(os.fspath(source)):
        return _texts(read_text(source))
    return open_table(source)


def open_sides(real: Any, fake: Any, split: str = "all") -> tuple[Items, Items]:
    """Both sides, of one kind; sounds at one rate, the lower one.

    Parameters
    ----------
    split : of the real side.

    Raises
    ------
    DataError
        When they are of two kinds.
    """
    sides = open_items(real, split), open_items(fake)
    kinds = [kind_of(side) for side in sides]
    if kinds[0] != kinds[1]:
        raise DataError(f"the real side holds {kinds[0]}, the fake side {kinds[1]}. Give two of one kind.")
    if isinstance(sides[0], Sounds) and sides[0].rate != sides[1].rate:
        rate = min(side.rate for side in sides)
        return tuple(_at_rate(side, rate) for side in sides)  # type: ignore[return-value]
    if isinstance(sides[0], pa.Table) and isinstance(sides[1], pa.Table):
        return _with_numbers(sides[0], sides[1])
    return sides


def kind_of(items: Items) -> str:
    """pictures, sounds, rows or texts."""
    for kind, type_ in (("pictures", Pictures), ("sounds", Sounds), ("rows", pa.Table)):
        if isinstance(items, type_):
            return kind
    return "texts"


def take(items: Items, rows: Any) -> Items:
    """Some of the items, by their numbers."""
    if isinstance(items, pa.Table):
        return items.take(pa.array(np.asarray(rows, np.int64)))
    return [items[row] for row in rows] if isinstance(items, list) else items.take(rows)


def fingerprints(items: Items) -> list[str]:
    """Of each item's pixels, samples, cells or letters: the same item has the same under any name."""
    if isinstance(items, Pictures):
        return [digest.tobytes().hex() for digest in items.pixels.digest_N16]
    if isinstance(items, Sounds):
        return [digest.tobytes().hex() for digest in items.digest_N16]
    if isinstance(items, pa.Table):
        return [f"{number:016x}" for number in row_hashes(items).tolist()]
    return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32] for text in items]


def _texts(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) >= FEW_LINES:
        return lines
    return [text[start : start + PASSAGE] for start in range(0, len(text), PASSAGE)]


def _with_numbers(one: pa.Table, other: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Columns that hold numbers on both sides as numbers, also where a file writes them as text."""
    for name in [name for name in one.column_names if name in other.column_names]:
        try:
            both = [table[name].cast(pa.float64()) for table in (one, other)]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue  # words on one side at least
        place = [table.column_names.index(name) for table in (one, other)]
        one, other = one.set_column(place[0], name, both[0]), other.set_column(place[1], name, both[1])
    return one, other


def _at_rate(sounds: Sounds, rate: int) -> Sounds:
    from twofold.data.sounds import resample

    ids: Sequence[str] = sounds.ids
    return Sounds.of([resample(sound, sounds.rate, rate) for sound in sounds], rate, ids=ids, name=sounds.name)
