"""Ridge regression onto classes, with the exact error of leaving each row out, for many penalties at once.

Classes are told apart by regression onto their indicators, all penalties from one eigendecomposition. What a row would
have scored had it been left out follows from its own residual and leverage; so does a whole fold's.

Allen 1974, The relationship between variable selection and data augmentation, Technometrics 16; Rifkin, Yeo, Poggio
2003, Regularized least-squares classification. Temperature: Guo et al. 2017, https://arxiv.org/abs/1706.04599
Dimension key: N rows, D features, K classes, R rank, P penalties, F rows of a fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Ridge", "best_temperature", "block_scales", "softmax"]

PENALTIES = np.geomspace(1e-5, 1e3, 30)  # times the mean eigenvalue
TEMPERATURES = np.geomspace(0.3, 300, 60)
SMALLEST = 1e-12


@dataclass
class Ridge:
    """Scores of classes, a linear function of features.

    Examples
    --------
    >>> feature_ND = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    >>> ridge = Ridge.fit(feature_ND, np.array([0, 0, 0, 1, 1, 1]), 2)
    >>> ridge.scores(feature_ND).argmax(1).tolist()
    [0, 0, 0, 1, 1, 1]
    """

    weight_DK: np.ndarray
    bias_K: np.ndarray
    penalty: float = 0.0
    """Times the mean eigenvalue; of those tried, the one with the least error on rows left out."""
    error: float = 0.0
    """Mean squared, of rows left out."""
    left_out_NK: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    """What each row scored by a fit without it, or without its fold."""

    @classmethod
    def fit(
        cls, feature_ND: np.ndarray, label_N: np.ndarray, n_classes: int, *, fold_N: np.ndarray | None = None,
        penalties: Sequence[float] | np.ndarray = PENALTIES,
    ) -> "Ridge":  # fmt: skip
        """The fit whose penalty errs least on rows left out.

        Parameters
        ----------
        label_N : class numbers, 0 to n_classes - 1.
        fold_N : the fold each row belongs to, left out together (None: each row by itself).
        penalties : those to try, times the mean eigenvalue.
        """
        feature_ND = np.asarray(feature_ND, np.float64)
        target_NK = np.eye(n_classes)[label_N]
        centre_D, mean_K = feature_ND.mean(0), target_NK.mean(0)
        axis_NR, value_R, into_DR = _decomposed(feature_ND - centre_D)
        turned_RK = axis_NR.T @ (target_NK - mean_K)
        best: tuple[float, float, np.ndarray] | None = None
        for penalty in penalties:
            share_R = value_R / (value_R + penalty * value_R.mean())
            miss_NK = _left_out(axis_NR, share_R, target_NK - mean_K - axis_NR @ (share_R[:, None] * turned_RK), fold_N)
            error = float(np.square(miss_NK).mean())
            if best is None or error < best[0]:
                best = error, float(penalty), target_NK - miss_NK
        error, penalty, left_out_NK = best or (0.0, 1.0, target_NK)
        weight_DK = into_DR @ (turned_RK / (value_R + penalty * value_R.mean())[:, None])
        return cls(weight_DK, mean_K - centre_D @ weight_DK, penalty, error, left_out_NK)

    def scores(self, feature_ND: np.ndarray) -> np.ndarray:
        """(N, K); about 1 for the class it is, 0 for the others."""
        return np.asarray(feature_ND, np.float64) @ self.weight_DK + self.bias_K


def _decomposed(x_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left singular vectors, squared singular values, and x' times the former, of the smaller Gram matrix."""
    N, D = x_ND.shape
    value_R, axis_R = np.linalg.eigh(x_ND @ x_ND.T if N <= D else x_ND.T @ x_ND)
    is_there_R = value_R > SMALLEST * max(value_R[-1], SMALLEST)
    if not is_there_R.any():
        # all rows alike: nothing can be told from them
        return np.zeros((N, 1)), np.ones(1), np.zeros((D, 1))
    value_R, axis_R = value_R[is_there_R], axis_R[:, is_there_R]
    axis_NR = axis_R if N <= D else x_ND @ axis_R / np.sqrt(value_R)
    return axis_NR, value_R, x_ND.T @ axis_NR


def _left_out(axis_NR: np.ndarray, share_R: np.ndarray, miss_NK: np.ndarray, fold_N: np.ndarray | None) -> np.ndarray:
    """The residuals that rows would have by a fit without them, from those of the fit with them.

    Leaving a row out also moves the mean: that is the 1 / N.
    """
    N = len(axis_NR)
    if fold_N is None:
        leverage_N = np.square(axis_NR) @ share_R + 1 / N
        return miss_NK / np.maximum(1 - leverage_N, SMALLEST)[:, None]
    result_NK = np.empty_like(miss_NK)
    for fold in np.unique(fold_N):
        rows = np.flatnonzero(fold_N == fold)
        leverage_FF = (axis_NR[rows] * share_R) @ axis_NR[rows].T + 1 / N
        result_NK[rows] = np.linalg.solve(np.eye(len(rows)) - leverage_FF, miss_NK[rows])
    return result_NK


def block_scales(feature_ND: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """For each feature the spread of its block: divided by it, no block outweighs another by its units (D)."""
    scale_D, first = np.empty(feature_ND.shape[1]), 0
    for width in widths:
        block = feature_ND[:, first : first + width]
        spread = np.sqrt(np.square(block - block.mean(0)).sum(1).mean())
        scale_D[first : first + width] = spread if spread > SMALLEST else 1.0
        first += width
    return scale_D


def softmax(score_NK: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) in proportion to exp(score)."""
    raised_NK = np.exp(score_NK - score_NK.max(1, keepdims=True))
    return raised_NK / raised_NK.sum(1, keepdims=True)


def best_temperature(score_NK: np.ndarray, label_N: np.ndarray) -> float:
    """The factor on the scores whose softmax foretells these labels best (log-loss); of rows left out."""
    rows = np.arange(len(label_N))
    losses = [-np.log(softmax(score_NK * t)[rows, label_N] + SMALLEST).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])
