"""How well latent numbers keep what is near, and what plain principal components would have rebuilt.

Measure on rows that training did not see. Dimension key: N rows, P columns, Z latent numbers, K neighbours.
"""

import numpy as np
from sklearn.manifold import trustworthiness as of_strangers
from sklearn.neighbors import NearestNeighbors

from twofold.measure.report import Measure

__all__ = ["continuity", "nearness", "neighbours_kept", "pca_error", "pca_errors", "trustworthiness"]

LEAST_ROWS, MOST_ROWS = 30, 2000


def trustworthiness(x_NP: np.ndarray, latent_NZ: np.ndarray, n_neighbors: int = 10) -> float:
    """1 when rows that are near in the latent were near before; strangers among the neighbours lower it, to 0.

    Venna & Kaski 2001. Needs more than twice as many rows as neighbours.
    """
    return float(of_strangers(x_NP, latent_NZ, n_neighbors=n_neighbors))


def continuity(x_NP: np.ndarray, latent_NZ: np.ndarray, n_neighbors: int = 10) -> float:
    """1 when rows that were near are still near in the latent; neighbours torn apart lower it, to 0."""
    return float(of_strangers(latent_NZ, x_NP, n_neighbors=n_neighbors))


def neighbours_kept(x_NP: np.ndarray, latent_NZ: np.ndarray, n_neighbors: int = 10) -> float:
    """Share of each row's nearest rows that are among its nearest in the latent too; by chance K / (N - 1)."""
    before_NK, after_NK = (_neighbours(points, n_neighbors) for points in (x_NP, latent_NZ))
    return float((before_NK[:, :, None] == after_NK[:, None, :]).any(2).mean())


def nearness(name: str, x_NP: np.ndarray, latent_NZ: np.ndarray, component_NZ: np.ndarray) -> list[Measure]:
    """All three of a latent called `name`, beside the same of principal components; of at most 2,000 rows."""
    if len(x_NP) < LEAST_ROWS:
        return []
    x_NP, latent_NZ, component_NZ = (array[:MOST_ROWS] for array in (x_NP, latent_NZ, component_NZ))
    measures = {"trustworthiness": trustworthiness, "continuity": continuity, "neighbours kept": neighbours_kept}
    return [
        Measure(f"{what} of {name}", measure(x_NP, latent_NZ), None, (("PCA", measure(x_NP, component_NZ)),))
        for what, measure in measures.items()
    ]


def _neighbours(points: np.ndarray, n_neighbors: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=n_neighbors).fit(points).kneighbors(return_distance=False)


def pca_errors(train_NP: np.ndarray, test_NP: np.ndarray, k: int) -> np.ndarray:
    """Mean squared error of a cell of `test_NP` rebuilt from the first 1, 2, ... k components of `train_NP`, (k,)."""
    centre_P = train_NP.mean(0, dtype=np.float64)
    _, _, axis_ZP = np.linalg.svd(train_NP - centre_P, full_matrices=False)
    rest_NP = test_NP - centre_P
    caught_NZ = (rest_NP @ axis_ZP[:k].T) ** 2
    # axes are orthogonal: what each catches is taken off what is left
    errors = ((rest_NP**2).sum() - caught_NZ.sum(0).cumsum()) / rest_NP.size
    # there are no more than min(N, P) components; further ones add nothing
    return np.pad(errors, (0, k - len(errors)), mode="edge")


def pca_error(train_NP: np.ndarray, test_NP: np.ndarray, k: int) -> float:
    """Mean squared error of a cell of `test_NP` rebuilt from the first k components of `train_NP`."""
    return float(pca_errors(train_NP, test_NP, k)[-1])
