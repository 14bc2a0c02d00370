"""Rows of a table whose columns are the pixels of a picture, as pictures: pixel_0_0, pixel_0_1, ...

Dimension key: N rows, H, W height and width.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from twofold.data.columns import Columns

__all__ = ["Tiles", "sheet_of"]

PLACE = re.compile(r"(.*\D)?(\d{1,3})_(\d{1,3})")
LEAST_SIDE, LARGEST_SIDE = 4, 128


@dataclass(frozen=True)
class Tiles:
    """Which columns are the pixels, line by line, and which values are black and white."""

    names: tuple[tuple[str, ...], ...]
    low: float
    high: float

    @classmethod
    def of(cls, columns: "Columns") -> "Tiles | None":
        """The picture that a table's columns make; None where they make none."""
        numbers = columns.number_columns
        places = {column.name: _place(column.name) for column in columns.columns if column.kind != "category"}
        at = {place: name for name, place in places.items() if place is not None}
        height = 1 + max((place[1] for place in at), default=-1)
        width = 1 + max((place[2] for place in at), default=-1)
        stem = next(iter(at))[0] if at else ""
        is_grid = set(at) == set(product([stem], range(height), range(width)))
        if not (is_grid and min(height, width) >= LEAST_SIDE and max(height, width) <= LARGEST_SIDE):
            return None
        names = tuple(tuple(at[stem, y, x] for x in range(width)) for y in range(height))
        low, high = min(column.low for column in numbers), max(column.high for column in numbers)
        return cls(names, low, max(high, low + 1e-9))

    def pictures(self, table: Any) -> np.ndarray:
        """The rows of a table of numbers as pictures, uint8 (N, H, W, 1); a column that is not there is black."""
        there = set(table.column_names)
        nothing = np.full(len(table), self.low)
        lines = [[_numbers(table[name]) if name in there else nothing for name in line] for line in self.names]
        value_NHW = np.moveaxis(np.array(lines, np.float64), 2, 0)
        share_NHW = np.nan_to_num((value_NHW - self.low) / (self.high - self.low))
        return (255 * share_NHW.clip(0, 1)).round().astype(np.uint8)[..., None]


def _place(name: str) -> tuple[str, int, int] | None:
    found = PLACE.fullmatch(name)
    return None if found is None else (found[1] or "", int(found[2]), int(found[3]))


def _numbers(column: Any) -> np.ndarray:
    import pyarrow as pa

    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def sheet_of(pictures: Sequence[np.ndarray] | np.ndarray, side: int, n_columns: int) -> np.ndarray:
    """Pictures side by side on one, each in the middle of a square of that side: uint8 (H, W, 3)."""
    from twofold.studio.showing import shrunk

    n_lines = -(-len(pictures) // n_columns)
    sheet_HWC = np.zeros((n_lines * side, n_columns * side, 3), np.uint8)
    for place, picture in enumerate(pictures):
        small = shrunk(np.asarray(picture), side)
        small = small.reshape(*small.shape[:2], -1)
        top = place // n_columns * side + (side - small.shape[0]) // 2
        left = place % n_columns * side + (side - small.shape[1]) // 2
        sheet_HWC[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sheet_HWC
