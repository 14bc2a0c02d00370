"""How well words find pictures and pictures words, equal captions counted once.

Dimension key: Q queries, N things among which they search.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from twofold.errors import DataError
from twofold.measure.report import Measure, bootstrap_interval

__all__ = ["Ranks", "chance_of", "retrieval_measures"]

CUTS = (1, 5, 10)


class Ranks:
    """Of each query the places of what is right, from 1 on.

    Parameters
    ----------
    score_QN : higher fits better. Among equal scores the right one is counted in the middle.
    is_right_QN : what each query should find; at least one each.

    Examples
    --------
    >>> ranks = Ranks(np.array([[0.9, 0.1, 0.5]]), np.array([[False, False, True]]))
    >>> ranks.first_Q.tolist(), ranks.recall(1), ranks.recall(2)
    ([2.0], 0.0, 1.0)
    """

    def __init__(self, score_QN: np.ndarray, is_right_QN: np.ndarray):
        self.first_Q, self.precision_Q = np.empty(len(score_QN)), np.empty(len(score_QN))
        for q, (score_N, is_right_N) in enumerate(zip(score_QN, is_right_QN, strict=True)):
            # the best of the right ones, and how many of the others score more, or as much
            best = score_N[is_right_N].max()
            n_above, n_equal = (score_N[~is_right_N] > best).sum(), (score_N[~is_right_N] == best).sum()
            self.first_Q[q] = 1 + n_above + n_equal / 2
            # ties against us: a constant score must not look good
            order_N = np.lexsort((is_right_N, -score_N))
            place_R = 1 + np.flatnonzero(is_right_N[order_N])
            self.precision_Q[q] = np.mean(np.arange(1, len(place_R) + 1) / place_R)

    def recall(self, k: int) -> float:
        """The share of queries that find something right among the first k."""
        return float((self.first_Q <= k).mean())

    @property
    def median(self) -> float:
        """The median place of the first right one."""
        return float(np.median(self.first_Q))

    @property
    def mean_reciprocal(self) -> float:
        """Mean of 1 / place."""
        return float((1 / self.first_Q).mean())

    @property
    def mean_average_precision(self) -> float:
        """Mean over the queries of their average precision."""
        return float(self.precision_Q.mean())


def chance_of(is_right_QN: np.ndarray, k: int) -> float:
    """The recall at k of a blind draw."""
    return 1 - next(islice(_misses(is_right_QN), min(k, is_right_QN.shape[1]) - 1, None))


def _misses(is_right_QN: np.ndarray) -> Iterator[float]:
    """The share of queries that have found nothing right after 1, 2, ... N things of a blind draw."""
    N, right_Q = is_right_QN.shape[1], is_right_QN.sum(1)
    miss_Q = np.ones(len(right_Q))
    for i in range(N):
        miss_Q *= np.maximum(N - i - right_Q, 0) / (N - i)
        yield float(miss_Q.mean())


def _median_of_chance(is_right_QN: np.ndarray) -> float:
    """The median place of the first right thing in a blind draw."""
    place, miss = next((k, miss) for k, miss in enumerate(_misses(is_right_QN), start=1) if miss < 0.5 + 1e-9)
    # half of the draws end here: the median lies between this place and the next
    return place + 0.5 * (miss > 0.5 - 1e-9)


def retrieval_measures(
    score_QN: np.ndarray, is_right_QN: np.ndarray, way: str, seed: int = 0, beside: Sequence[tuple[str, Ranks]] = ()
) -> list[Measure]:
    """Recall at 1, 5 and 10, median place and mean average precision, beside chance and other scores.

    Parameters
    ----------
    way : what finds what, such as "words find pictures".

    Raises
    ------
    DataError
        When there are no queries.
    """
    if not len(score_QN):
        raise DataError(f"{way}: there is nothing to search for. Give pictures with captions.")
    ranks, found = Ranks(score_QN, is_right_QN), []
    for k in CUTS:
        hit_Q = (ranks.first_Q <= k).astype(float)
        baselines = [("chance", chance_of(is_right_QN, k)), *((name, other.recall(k)) for name, other in beside)]
        interval = bootstrap_interval(np.mean, hit_Q, seed=seed)
        found.append(Measure(f"{way}, recall@{k}", ranks.recall(k), interval, tuple(baselines)))
    return [
        *found,
        Measure(f"{way}, median place", ranks.median, None, (("chance", _median_of_chance(is_right_QN)),), False),
        Measure(f"{way}, mean average precision", ranks.mean_average_precision, None,
                (("chance", float(is_right_QN.mean())),)),
    ]  # fmt: skip
