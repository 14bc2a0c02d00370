"""How good fakes are, as points: distance of two clouds, how real and how varied the fakes are, and whether they copy.

Frechet distance of two normal distributions: Dowson, Landau 1982; of features: Heusel et al. 2017. Precision and
recall: Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991. Density and coverage: Naeem et al. 2020,
https://arxiv.org/abs/2002.09797. Copies: after Meehan, Chaudhuri, Dasgupta 2020, https://arxiv.org/abs/2004.05675
Dimension key: N real points, M fakes, H held-out real points, B points at a time, D numbers of a point, K neighbours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from twofold.measure.report import bootstrap_interval

__all__ = [
    "Copies", "Likeness", "copies", "copy_ratio", "frechet", "frechet_interval", "likeness", "nearest_distances",
]  # fmt: skip

N_NEIGHBOURS = 5
AT_ONCE = 512


# ---- two clouds ----------------------------------------------------------------------------------


def frechet(real_ND: np.ndarray, fake_MD: np.ndarray) -> float:
    """Squared distance of the normal distributions that fit both clouds: 0 where means and covariances agree.

    |mean - mean'|^2 + trace(C + C' - 2 (C C')^(1/2)), by eigenvalues in float64. Few points make it too large, about
    as 1 / M: compare only values of equal N and M, and always with the floor, real points against others of theirs.
    """
    (mean_D, cov_DD), (other_D, other_DD) = (_moments(points) for points in (real_ND, fake_MD))
    variance_D, axis_DD = np.linalg.eigh(cov_DD)
    root_DD = axis_DD * np.sqrt(variance_D.clip(0)) @ axis_DD.T
    # the root of C C' has the trace of that of a symmetric matrix
    shared_D = np.linalg.eigvalsh(root_DD @ other_DD @ root_DD).clip(0)
    value = np.square(mean_D - other_D).sum() + np.trace(cov_DD) + np.trace(other_DD) - 2 * np.sqrt(shared_D).sum()
    return float(max(value, 0.0))


def _moments(point_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean_D = point_ND.mean(0, dtype=np.float64)
    away_ND = point_ND - mean_D
    return mean_D, away_ND.T @ away_ND / max(1, len(point_ND) - 1)


def frechet_interval(
    real_ND: np.ndarray, fake_MD: np.ndarray, *, seed: int = 0, n_draws: int = 60
) -> tuple[float, float]:
    """The 95 % interval of `frechet` over real points and fakes drawn anew.

    Drawing with replacement makes the distance larger by itself, as fewer points do: that is taken off.
    """
    rng = np.random.default_rng(seed)
    value = frechet(real_ND, fake_MD)
    drawn = [frechet(_redrawn(real_ND, rng), _redrawn(fake_MD, rng)) for _ in range(n_draws)]
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    return float(max(0.0, low - middle + value)), float(high - middle + value)


def _redrawn(point_ND: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return point_ND[rng.integers(0, len(point_ND), len(point_ND))]


# ---- neighbours ----------------------------------------------------------------------------------


def nearest_distances(query_BD: np.ndarray, point_ND: np.ndarray, k: int = 1, *, is_same: bool = False) -> np.ndarray:
    """Distances (B, k) of each query to its nearest points, nearest first; exact, in float64.

    Parameters
    ----------
    is_same : the queries are the points: none is its own neighbour.
    """
    k = min(k, len(point_ND) - is_same)
    if k < 1:
        return np.zeros((len(query_BD), 0))
    rows = []
    for start, square_BN in _squares(query_BD, point_ND):
        if is_same:
            own_B = np.arange(len(square_BN))
            square_BN[own_B, start + own_B] = np.inf
        place_BK = np.argpartition(square_BN, k - 1, axis=1)[:, :k]
        # by differences once more: |q|^2 - 2 q p + |p|^2 makes of 0 a small number
        away_BKD = query_BD[start : start + AT_ONCE, None].astype(np.float64) - point_ND[place_BK]
        rows.append(np.sort(np.sqrt(np.square(away_BKD).sum(2)), axis=1))
    return np.concatenate(rows)


def _squares(query_BD: np.ndarray, point_ND: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Squared distances to all points, some queries at a time: the first one's number, and (B, N)."""
    centre_D = point_ND.mean(0, dtype=np.float64)
    point_ND = point_ND - centre_D
    square_N = np.square(point_ND).sum(1)
    for start in range(0, len(query_BD), AT_ONCE):
        some_BD = query_BD[start : start + AT_ONCE] - centre_D
        yield start, square_N + np.square(some_BD).sum(1)[:, None] - 2 * some_BD @ point_ND.T


@dataclass(frozen=True)
class Likeness:
    """Are the fakes like real ones, and is all that is real among them? Item by item; the means are the measures."""

    is_real_M: np.ndarray
    """Whether a fake lies within the reach of a real point; a point's reach ends at its K-th neighbour."""
    n_around_M: np.ndarray
    """Within the reach of how many real points, divided by K; about 1 for real ones."""
    is_recalled_N: np.ndarray
    """Whether a real point lies within the reach of a fake."""
    is_covered_N: np.ndarray
    """Whether a fake lies within the reach of a real point."""

    def measures(self, seed: int = 0) -> dict[str, tuple[float, tuple[float, float]]]:
        """precision, recall, density, coverage, each with its 95 % interval."""
        parts = {
            "precision": self.is_real_M, "recall": self.is_recalled_N, "density": self.n_around_M,
            "coverage": self.is_covered_N,
        }  # fmt: skip
        return {
            name: (float(part.mean()), bootstrap_interval(np.mean, part, seed=seed)) for name, part in parts.items()
        }


def likeness(real_ND: np.ndarray, fake_MD: np.ndarray, k: int = N_NEIGHBOURS) -> Likeness:
    """Each fake among the real points, and each real point among the fakes.

    Coverage of fakes as good as real ones is about 1 - .5^k where N = M; with fewer fakes less: compare equal numbers.
    """
    reach_N, reach_M = (_reach(points, k) for points in (real_ND, fake_MD))
    n_around_M, is_recalled_N, is_covered_N = [], np.zeros(len(real_ND), bool), np.zeros(len(real_ND), bool)
    for start, square_BN in _squares(fake_MD, real_ND):
        within_BN = square_BN <= np.square(reach_N) * (1 + 1e-9)
        n_around_M.append(within_BN.sum(1))
        is_covered_N |= within_BN.any(0)
        is_recalled_N |= (square_BN <= np.square(reach_M[start : start + AT_ONCE, None]) * (1 + 1e-9)).any(0)
    around_M = np.concatenate(n_around_M)
    return Likeness(around_M > 0, around_M / k, is_recalled_N, is_covered_N)


def _reach(point_ND: np.ndarray, k: int) -> np.ndarray:
    """The distance to the k-th neighbour, or the farthest where there are fewer; 0 of a lone point."""
    distance_NK = nearest_distances(point_ND, point_ND, k, is_same=True)
    return distance_NK[:, -1] if distance_NK.shape[1] else np.zeros(len(point_ND))


# ---- copies --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copies:
    """How far fakes and held-out rows lie from the nearest training row."""

    fake_M: np.ndarray
    held_out_H: np.ndarray

    @property
    def ratio(self) -> float:
        """Median distance of the fakes over that of held-out rows: 1 = as far, 0 = copied.

        Means where the held-out median is 0, as in tables with rows that come again and again.
        """
        for middle in (np.median, np.mean):
            if (held_out := middle(self.held_out_H)) > 0:
                return float(middle(self.fake_M) / held_out)
        return 1.0 if not self.fake_M.any() else float("inf")

    @property
    def share_nearer(self) -> float:
        """How often a fake lies nearer to training than a held-out row does, ties by half: .5 is right, 1 = copied."""
        held_out_H = np.sort(self.held_out_H)
        n_farther_M = len(held_out_H) - np.searchsorted(held_out_H, self.fake_M, "right")
        n_as_far_M = np.searchsorted(held_out_H, self.fake_M, "right") - np.searchsorted(held_out_H, self.fake_M)
        return float((n_farther_M + n_as_far_M / 2).mean() / len(held_out_H))

    def interval(self, what: Callable[["Copies"], float], seed: int = 0, n_draws: int = 200) -> tuple[float, float]:
        """The 95 % interval of one of the two, over fakes and held-out rows drawn anew."""
        rng = np.random.default_rng(seed)
        drawn = [what(Copies(_redrawn(self.fake_M, rng), _redrawn(self.held_out_H, rng))) for _ in range(n_draws)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return float(low), float(high)


def copies(train_ND: np.ndarray, held_out_HD: np.ndarray, fake_MD: np.ndarray) -> Copies:
    """How near to training rows the fakes lie, beside rows that training did not see."""
    return Copies(*(nearest_distances(points, train_ND)[:, 0] for points in (fake_MD, held_out_HD)))


def copy_ratio(train_ND: np.ndarray, held_out_HD: np.ndarray, fake_MD: np.ndarray) -> float:
    """`Copies.ratio` of these: 1 = the fakes lie as far from training rows as held-out rows do, 0 = copied."""
    return copies(train_ND, held_out_HD, fake_MD).ratio
