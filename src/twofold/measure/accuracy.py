"""How often a classifier is right: with an interval, beside another classifier, and which classes it mixes up.

Wilson 1927, Probable inference, JASA 22; McNemar 1947, Psychometrika 12 (exact, by the binomial distribution).
Dimension key: N rows, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

__all__ = ["PairedTest", "confusion", "majority_share", "paired_test", "wilson_interval"]

Z = 1.959964  # 95 % of a normal distribution lie within


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of which n_right of n were seen; 0 to 1 where there was none.

    Examples
    --------
    >>> tuple(round(end, 3) for end in wilson_interval(8, 10))
    (0.49, 0.943)
    """
    if n == 0:
        return 0.0, 1.0
    share = n_right / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    # rounding must not put the end beside what was seen
    return min(middle - half, share) if n_right else 0.0, max(middle + half, share) if n_right < n else 1.0


def majority_share(label_N: np.ndarray) -> float:
    """How often one who always names the commonest label is right."""
    return float(np.unique(label_N, return_counts=True)[1].max() / len(label_N))


def confusion(true_N: Sequence[str], said_N: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """How many rows of each true class (K rows) were said to be each class (K columns)."""
    place = {name: i for i, name in enumerate(classes)}
    table_KK = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table_KK, ([place[name] for name in true_N], [place[name] for name in said_N]), 1)
    return table_KK


@dataclass(frozen=True)
class PairedTest:
    """One classifier against another on the same rows."""

    gain: float
    """Accuracy of the first minus that of the second."""
    interval: tuple[float, float]
    """95 %, of the gain: by the rows on which just one of them is right."""
    p_value: float
    """How likely as uneven a split of those rows is if both are as good (two-sided)."""

    @property
    def is_won(self) -> bool:
        """Whether the first is better beyond reasonable doubt."""
        return self.gain > 0 and self.p_value < 0.05


def paired_test(is_right_N: np.ndarray, is_right_too_N: np.ndarray) -> PairedTest:
    """McNemar's exact test of the first against the second; booleans, row by row."""
    n = len(is_right_N)
    n_first, n_second = int((is_right_N & ~is_right_too_N).sum()), int((~is_right_N & is_right_too_N).sum())
    n_split = n_first + n_second
    if not n_split:
        return PairedTest(0.0, (0.0, 0.0), 1.0)
    low, high = wilson_interval(n_first, n_split)
    ends = (2 * low - 1) * n_split / n, (2 * high - 1) * n_split / n
    return PairedTest((n_first - n_second) / n, ends, float(binomtest(n_first, n_split).pvalue))
