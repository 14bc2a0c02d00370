"""Counts of whole numbers around a centre, stored with a model: what a range coder codes latents by.

Dimension key: T tables, one for each spread and fraction of a centre; K latents; E whole numbers around a centre.
"""

from collections.abc import Sequence

import constriction
import numpy as np

from twofold.errors import RunError
from twofold.nn.contexts import SHAPE

__all__ = ["FRACTIONS", "SPREADS", "Tables"]

FRACTIONS = 16  # parts of a whole number that a centre is rounded to
SPREADS = np.arange(-5, 6.01, 0.25)  # log2 of the scales for which there are tables
REACH, WIDEST = 14, 500  # a table goes so many scales, and at most so many whole numbers, to each side
TOTAL = 2**20
# As `contexts.SHAPE`.
SHAPES = [SHAPE, *((w, s, t) for w in (0.1, 0.2, 0.3) for s in (-0.9, -0.7, -0.5, -0.3) for t in (0.4, 0.7, 1.0))]
FEWEST = 500  # latents from which the shape of a spread's tables is told


class Tables:
    """One table of counts for each spread and fraction; the last count of a table stands for all outside of it.

    Parameters
    ----------
    count : all tables, one after the other.
    reach_T : how many whole numbers each goes to either side of its centre.

    Raises
    ------
    RunError
        When they do not fit together.
    """

    def __init__(self, count: np.ndarray, reach_T: np.ndarray):
        self.count, self.reach_T = np.asarray(count, np.int32), np.asarray(reach_T, np.int32)
        self.start_T = np.concatenate([[0], np.cumsum(2 * self.reach_T.astype(np.int64) + 2)])
        is_whole = len(self.reach_T) == len(SPREADS) * FRACTIONS and self.start_T[-1] == len(self.count)
        if not is_whole or min(self.reach_T) < 0 or min(self.count) < 1:
            raise RunError("the model's tables do not fit together. Restore it from a copy, or train the run again.")
        self._models: dict[int, constriction.stream.model.Categorical] = {}
        total_T = np.add.reduceat(self.count, self.start_T[:-1], dtype=np.int64)
        self.bits = np.log2(np.repeat(total_T, np.diff(self.start_T)) / self.count)

    @classmethod
    def of(cls, shapes: Sequence[tuple[float, float, float]] = (SHAPE,) * len(SPREADS)) -> "Tables":
        """Tables of these shapes, one for each spread."""
        counts, reaches = [], []
        for spread, shape in zip(SPREADS, shapes, strict=True):
            reach = int(min(np.ceil(REACH * 2.0**spread) + 2, WIDEST))
            for fraction in np.arange(FRACTIONS) / FRACTIONS:
                inside_E = chances(np.arange(-reach, reach + 1) - fraction, spread, shape)
                counts.append(np.append(inside_E, max(0.0, 1 - inside_E.sum())) * TOTAL + 1)
                reaches.append(reach)
        return cls(np.concatenate(counts).round(), np.array(reaches))

    @classmethod
    def fitted(cls, off_K: np.ndarray, spread_K: np.ndarray) -> "Tables":
        """Tables of the shapes under which these latents cost least.

        Parameters
        ----------
        off_K : how far latents were from their centres.
        spread_K : which of `SPREADS` was foreseen for each.
        """
        shapes = []
        for place, spread in enumerate(SPREADS):
            mine = off_K[spread_K == place][:20_000]
            costs = [-np.log2(chances(mine, spread, shape) + 1 / TOTAL).sum() for shape in SHAPES]
            shapes.append(SHAPES[int(np.argmin(costs))] if len(mine) >= FEWEST else SHAPE)
        return cls.of(shapes)

    def model(self, table: int) -> constriction.stream.model.Categorical:
        """The coder's form of a table."""
        if table not in self._models:
            count = self.count[self.start_T[table] : self.start_T[table + 1]].astype(np.float64)
            self._models[table] = constriction.stream.model.Categorical(count, perfect=False)
        return self._models[table]


def chances(off_E: np.ndarray, spread: float, shape: tuple[float, float, float]) -> np.ndarray:
    """How likely a rounded number is so far from its centre."""
    share, narrow, wide = shape
    parts = [(1 - share, spread + narrow), (share, spread + wide)]
    return sum(weight * _logistic(off_E, 2.0**log_scale) for weight, log_scale in parts if weight)


def _logistic(off_E: np.ndarray, scale: float) -> np.ndarray:
    high, low = (np.tanh((np.abs(off_E) + step) / scale / 2) / 2 for step in (0.5, -0.5))
    return high - low
