"""A mixture of clusters of rows, by expectation and maximisation: where a generator of tables begins.

Within a cluster the numbers are normal with a covariance of their own, and each category has its own shares; both lean
on those of all rows, the more the smaller the cluster. Dempster, Laird, Rubin 1977.

Dimension key: N rows, P numbers, L levels of all categories together, K clusters, C classes.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

__all__ = ["Mixture"]

N_ROUNDS = 12
LEAST_GAIN = 1e-3  # nats a row: less, and the rounds are over
ROWS_OF_ALL = 5.0  # how many rows the covariance of all clusters together counts for in each
ROWS_OF_SHARES = 2.0  # and the shares of all rows
LEAST_VARIANCE = 1e-4
RARE = 1e-7
SLIGHT = 1e-3  # a row that belongs to a cluster less than that does not count in its covariance


@dataclass(frozen=True, eq=False)
class Mixture:
    """Clusters of rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> number_NP = np.concatenate([rng.normal(-3, 1, (50, 2)), rng.normal(3, 1, (50, 2))])
    >>> one_NL = np.eye(2)[np.arange(100) // 50]
    >>> mixture = Mixture.learn(number_NP, one_NL, n_clusters=2, seed=0)
    >>> np.sort(mixture.mean_KP[:, 0]).round().tolist(), mixture.share_K.round(1).tolist()
    ([-3.0, 3.0], [0.5, 0.5])
    """

    share_K: np.ndarray
    mean_KP: np.ndarray
    root_KPP: np.ndarray
    """Lower triangles, whose products with their transposes are the covariances."""
    log_share_KL: np.ndarray
    belongs_NK: np.ndarray
    """How much each training row belongs to each cluster."""

    @classmethod
    def learn(
        cls, number_NP: np.ndarray, one_NL: np.ndarray, *, n_clusters: int, seed: int,
        there_NP: np.ndarray | None = None,
    ) -> "Mixture":  # fmt: skip
        """The clusters of these rows, as many as asked for or as there are rows.

        Parameters
        ----------
        number_NP : numbers, roughly standard normal.
        one_NL : levels as ones among zeros.
        there_NP : which numbers there are; the others count for nothing (None: all are there).
        """
        x_NP, one_NL = np.asarray(number_NP, np.float64), np.asarray(one_NL, np.float64)
        there_NP = np.ones_like(x_NP) if there_NP is None else there_NP.astype(np.float64)
        with threadpool_limits(1):  # with more the sums, and so the clusters, depend on who is first
            belongs_NK = _nearest(np.concatenate([x_NP * there_NP, one_NL], 1), n_clusters, seed)
            return cls._improved(x_NP, there_NP, one_NL, belongs_NK)

    @classmethod
    def _improved(
        cls, x_NP: np.ndarray, there_NP: np.ndarray, one_NL: np.ndarray, belongs_NK: np.ndarray
    ) -> "Mixture":  # fmt: skip
        """Rounds of expectation and maximisation, as long as they gain."""
        mean_P, reached = (x_NP * there_NP).sum(0) / np.maximum(there_NP.sum(0), 1), -np.inf
        for _ in range(N_ROUNDS):
            mixture = cls._of(x_NP, there_NP, one_NL, belongs_NK, mean_P)
            likelihood_NK = mixture._likelihood(x_NP, there_NP, one_NL)
            top_N1 = likelihood_NK.max(1, keepdims=True)
            belongs_NK = np.exp(likelihood_NK - top_N1)
            total_N1 = belongs_NK.sum(1, keepdims=True)
            belongs_NK /= total_N1
            before, reached = reached, float((top_N1 + np.log(total_N1)).mean())
            if abs(reached - before) < LEAST_GAIN:
                break
        return replace(mixture, belongs_NK=belongs_NK)

    @classmethod
    def _of(
        cls, x_NP: np.ndarray, there_NP: np.ndarray, one_NL: np.ndarray, belongs_NK: np.ndarray, mean_P: np.ndarray
    ) -> "Mixture":  # fmt: skip
        """The likeliest clusters of rows that belong to them so."""
        size_K = belongs_NK.sum(0)
        mean_KP = (belongs_NK.T @ (x_NP * there_NP) + mean_P) / (belongs_NK.T @ there_NP + 1)
        shares_KL = (belongs_NK.T @ one_NL + ROWS_OF_SHARES * one_NL.mean(0)) / (size_K + ROWS_OF_SHARES)[:, None]
        sums_KPP, count_KP = _products(x_NP, there_NP, belongs_NK, mean_KP), belongs_NK.T @ there_NP
        all_PP = sums_KPP.sum(0) / _pairs(np.maximum(count_KP.sum(0), 1)) + LEAST_VARIANCE * np.eye(x_NP.shape[1])
        value_KP, axis_KPP = np.linalg.eigh((sums_KPP + ROWS_OF_ALL * all_PP) / _pairs(count_KP + ROWS_OF_ALL))
        covariance_KPP = np.einsum("kip,kp,kjp->kij", axis_KPP, np.maximum(value_KP, LEAST_VARIANCE), axis_KPP)
        share_K = (size_K + 1) / (size_K + 1).sum()
        log_share_KL = np.log(np.maximum(shares_KL, RARE))
        return cls(share_K, mean_KP, np.linalg.cholesky(covariance_KPP), log_share_KL, belongs_NK)

    def _likelihood(self, x_NP: np.ndarray, there_NP: np.ndarray, one_NL: np.ndarray) -> np.ndarray:
        """Log-likelihood of each row in each cluster, (N, K), less what is the same for all."""
        found_NK = np.log(self.share_K) + one_NL @ self.log_share_KL.T
        for k, (mean_P, root_PP) in enumerate(zip(self.mean_KP, self.root_KPP, strict=True)):
            # a number that is not there counts as if it were the mean, and without the width of its bell
            off_PN = np.linalg.inv(root_PP) @ ((x_NP - mean_P) * there_NP).T
            found_NK[:, k] -= np.square(off_PN).sum(0) / 2 + there_NP @ np.log(np.diagonal(root_PP))
        return found_NK


def _nearest(x_NF: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """A start: each row belongs to the nearest of some centres."""
    n_clusters = min(n_clusters, len(np.unique(x_NF, axis=0)))
    found_N = KMeans(n_clusters, n_init=1, max_iter=20, random_state=seed % 2**32).fit_predict(x_NF)
    return np.eye(n_clusters)[found_N]


def _products(x_NP: np.ndarray, there_NP: np.ndarray, belongs_NK: np.ndarray, mean_KP: np.ndarray) -> np.ndarray:
    """The sums of products of two numbers' distances from the mean, of each cluster (K, P, P)."""
    sums_KPP = np.zeros((belongs_NK.shape[1], *2 * x_NP.shape[1:]))
    for k, weight_N in enumerate(belongs_NK.T):
        rows = np.flatnonzero(weight_N > SLIGHT)
        off_RP = (x_NP[rows] - mean_KP[k]) * there_NP[rows]
        sums_KPP[k] = (off_RP * weight_N[rows, None]).T @ off_RP
    return sums_KPP


def _pairs(count: np.ndarray) -> np.ndarray:
    """For how many rows two numbers count: the geometric mean of both, so that no correlation exceeds 1."""
    return np.sqrt(count[..., :, None] * count[..., None, :])
