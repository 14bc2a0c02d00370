"""Items of a trial as files, so that nothing but what they are gives a fake away.

Both sides are brought to one size, one number of channels, one type a column, and are written by the same hand:
pictures as PNG without compression (all files of a trial are equally long, whatever they show), sounds as WAV, rows
and texts as JSON.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from twofold.data.atomic import write_atomically
from twofold.data.audio import Sounds, open_sounds, write_sound
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError
from twofold.turing.items import Items

__all__ = ["SUFFIXES", "bring_together", "open_exhibits", "write_exhibit"]

SUFFIXES = {"pictures": ".png", "sounds": ".wav", "rows": ".json", "texts": ".json"}
"""What each kind of item is written as."""
MOST_SIDE = 512
ALIKE = 0.05  # by which the two sides' sizes may differ before both are shrunk to one


def bring_together(real: Items, fake: Items) -> tuple[Items, Items]:
    """Both sides in one form.

    Raises
    ------
    DataError
        When rows have no column in common.
    """
    if isinstance(real, Pictures) and isinstance(fake, Pictures):
        return _one_size(real, fake)
    if isinstance(real, pa.Table) and isinstance(fake, pa.Table):
        return _same_columns(real, fake)
    return real, fake


def write_exhibit(items: Items, row: int, path: Path) -> None:
    """One item as a file."""
    item: Any = items.slice(row, 1).to_pylist()[0] if isinstance(items, pa.Table) else items[row]
    if isinstance(items, Pictures):
        with path.open("xb") as file:
            # compressed, what is smooth would be short: a decompressed picture would be known by its length
            _picture(item).save(file, "PNG", compress_level=0)
    elif isinstance(items, Sounds):
        write_sound(path, item, items.rate)
    else:
        write_atomically(path, json.dumps(item, default=str).encode())


def open_exhibits(what: str, paths: Sequence[Path]) -> Items:
    """The items of these files again."""
    if what == "pictures":
        return open_pictures(list(paths))
    if what == "sounds":
        return open_sounds(list(paths))
    found = [json.loads(path.read_bytes()) for path in paths]
    return found if what == "texts" else pa.Table.from_pylist(found)


def _picture(picture_HWC: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture_HWC[..., 0] if picture_HWC.shape[2] == 1 else picture_HWC))


def _one_size(real: Pictures, fake: Pictures) -> tuple[Pictures, Pictures]:
    """As they are, where all have one size; else the middle cut out, or shrunk where the sides differ."""
    channels = max(real.channels, fake.channels)
    size_N2 = np.concatenate([real.size_N2, fake.size_N2])
    is_one = len(np.unique(size_N2, axis=0)) == 1 and size_N2.max() <= MOST_SIDE
    short = [float(np.median(side.size_N2.min(1))) for side in (real, fake)]
    # finer detail, where codecs leave their traces, is lost by shrinking
    is_cut = abs(short[0] - short[1]) <= ALIKE * max(short)
    side = min(int(size_N2.min() if is_cut else min(short)), MOST_SIDE)

    def brought(pictures: Pictures) -> Pictures:
        if is_one:
            return Pictures.of(np.repeat(p, channels // p.shape[2], 2) for p in pictures)
        if not is_cut:
            return Pictures.of(pictures.resized(side, channels=channels))
        return Pictures.of(np.repeat(_middle(p, side), channels // p.shape[2], 2) for p in pictures)

    return brought(real), brought(fake)


def _middle(picture_HWC: np.ndarray, side: int) -> np.ndarray:
    top, left = ((n - side) // 2 for n in picture_HWC.shape[:2])
    return picture_HWC[top : top + side, left : left + side]


def _same_columns(real: pa.Table, fake: pa.Table) -> tuple[pa.Table, pa.Table]:
    names = [name for name in real.column_names if name in fake.column_names]
    if not names:
        raise DataError("the real and the made rows have no column in common. Give two tables of one kind.")
    real, fake = real.select(names), fake.select(names)
    try:  # a 3 beside a 3.0 would tell
        return real, fake.cast(real.schema, safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        text = pa.schema([(name, pa.string()) for name in names])
        return real.cast(text), fake.cast(text)
