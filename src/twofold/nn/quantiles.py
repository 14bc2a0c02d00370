"""A column of numbers as normal ones: by its quantiles, with the values that occur often kept apart.

Whatever its spread, a number becomes a standard normal one by its rank among the training values. A value that many
rows share, such as the 0 of a gain that few people have, is an atom: a level beside the number, as a category's is.
Decoding gives nothing that training could not have held: it stays in the range seen, and where values repeat it
answers one of them.

Dimension key: N rows, K knots, A atoms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = ["Quantiles"]

MANY = 1024  # knots: quantiles finer than a thousandth are not kept
FEW = 16  # distinct values: then each is an atom
SHARE, TIMES = 1 / 30, 10  # a value of that share of the rows, and so many times that of the middle value, is an atom


@dataclass(frozen=True, eq=False)
class Quantiles:
    """A column's atoms, and the quantiles of its other values.

    Examples
    --------
    >>> column = Quantiles.learn(np.array([0.0] * 20 + [*range(1, 20), np.nan]))
    >>> column.levels
    3
    >>> normal_N, level_N = column.encode(np.array([0.0, 7.0, np.nan]), np.random.default_rng(0))
    >>> level_N.tolist(), column.decode(normal_N, level_N).round(3).tolist()
    ([1, 0, 2], [0.0, 7.0, nan])
    """

    knot_K: np.ndarray
    """Evenly spaced quantiles of the values that are no atoms, float64, ascending; may be empty."""
    atom_A: np.ndarray
    """Values with a level of their own, ascending."""
    has_missing: bool
    is_stepped: bool
    """Whether values repeat so much that only those seen are answered."""

    @classmethod
    def learn(cls, x_N: np.ndarray) -> "Quantiles":
        """From the training values (NaN: missing)."""
        gone_N = np.isnan(x_N)
        value, count = np.unique(x_N[~gone_N].astype(np.float64), return_counts=True)
        least = max(SHARE * count.sum(), TIMES * np.median(count)) if len(value) > FEW else 0
        is_atom = count >= least
        rest = np.repeat(value[~is_atom], count[~is_atom])
        place = np.linspace(0, len(rest) - 1, min(len(rest), MANY)).round().astype(int)
        return cls(rest[place], value[is_atom], bool(gone_N.any()), bool(4 * (~is_atom).sum() <= len(rest)))

    @property
    def levels(self) -> int:
        """Level 0 is a number, then come the atoms, then missing; what the column does not have is left out."""
        return bool(len(self.knot_K)) + len(self.atom_A) + self.has_missing

    def encode(self, x_N: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Values as normal numbers (float32, 0 where there is none) and levels (int64).

        Values that repeat are spread over the ranks that they share, at random. A value of an unknown atom, or missing
        where none was, becomes the nearest there is.
        """
        x_N = np.asarray(x_N, np.float64)
        gone_N, first = np.isnan(x_N), int(len(self.knot_K) > 0)
        level_N, normal_N = np.zeros(len(x_N), np.int64), np.zeros(len(x_N), np.float32)
        if len(self.atom_A):
            place_N = _nearest(self.atom_A, np.nan_to_num(x_N))
            is_atom_N = (self.atom_A[place_N] == x_N) | (not first)
            level_N = np.where(is_atom_N, first + place_N, 0)
        if self.has_missing:
            level_N[gone_N] = self.levels - 1
        if first:
            is_rest_N = level_N == 0
            normal_N[is_rest_N] = self._normal(np.nan_to_num(x_N[is_rest_N], nan=float(np.median(self.knot_K))), rng)
        return normal_N, level_N

    def _normal(self, x_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        K, (low_N, high_N) = len(self.knot_K), (np.searchsorted(self.knot_K, x_N, side) for side in ("left", "right"))
        margin = 0.5 if self.is_stepped else 0.0  # of ranks that decode to a value, on either side of its own
        tied_N = low_N - margin + (high_N - 1 - low_N + 2 * margin) * rng.random(len(x_N))
        between_N = np.interp(x_N, self.knot_K, np.arange(K))
        place_N = np.where(high_N > low_N, tied_N, between_N)
        return ndtri((np.clip(place_N, -0.45, K - 0.55) + 0.5) / K)

    def decode(self, normal_N: np.ndarray, level_N: np.ndarray) -> np.ndarray:
        """The reverse: values in float64, NaN where missing."""
        first, x_N = int(len(self.knot_K) > 0), np.full(len(level_N), np.nan)
        if first:
            place_N = np.clip(ndtr(np.asarray(normal_N, np.float64)) * len(self.knot_K) - 0.5, 0, len(self.knot_K) - 1)
            x_N = np.interp(place_N.round() if self.is_stepped else place_N, np.arange(len(self.knot_K)), self.knot_K)
        if len(self.atom_A):
            atom_N = np.clip(level_N - first, 0, len(self.atom_A) - 1)
            x_N = np.where((level_N >= first) & (level_N < first + len(self.atom_A)), self.atom_A[atom_N], x_N)
        return np.where(level_N == self.levels - 1, np.nan, x_N) if self.has_missing else x_N

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"knots": self.knot_K.tolist(), "atoms": self.atom_A.tolist(), "has_missing": self.has_missing,
                "is_stepped": self.is_stepped}  # fmt: skip

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Quantiles":
        """The reverse of `to_json`."""
        knots, atoms = (np.array(told[name], np.float64) for name in ("knots", "atoms"))
        return cls(knots, atoms, bool(told["has_missing"]), bool(told["is_stepped"]))


def _nearest(sorted_A: np.ndarray, x_N: np.ndarray) -> np.ndarray:
    """The place of the nearest of some ascending values."""
    right_N = np.clip(np.searchsorted(sorted_A, x_N), 1, max(1, len(sorted_A) - 1))
    right_N = np.minimum(right_N, len(sorted_A) - 1)
    left_N = np.maximum(right_N - 1, 0)
    return np.where(np.abs(x_N - sorted_A[left_N]) <= np.abs(sorted_A[right_N] - x_N), left_N, right_N)
