"""Whether pictures may be mirrored: whether their mirror images could be pictures of the same set.

Dimension key: N pictures, S side, C channels, X pixels of a small picture.
"""

import numpy as np
from scipy.stats import binomtest

__all__ = ["may_be_mirrored"]

LEAST, MOST, SIDE = 40, 2000, 12
FLOOR = 0.1  # of the mean variance
SURE = 0.001  # as unlikely must it be by chance that so many are told from their mirror image


def may_be_mirrored(pixel_NSSC: np.ndarray, seed: int = 0) -> bool:
    """False where a linear judge, taught on one half of the pictures, tells the other half from its mirror images.

    So photographs may be mirrored and writing may not. Fewer than 40 pictures are taken for photographs.
    """
    if len(pixel_NSSC) < LEAST:
        return True
    order_N = np.random.default_rng(seed).permutation(len(pixel_NSSC))[:MOST]
    small_NX = _lopsided(pixel_NSSC[np.sort(order_N)])
    taught_NX, asked_NX = small_NX[::2], small_NX[1::2]
    covariance_XX = taught_NX.T @ taught_NX / len(taught_NX)
    covariance_XX += FLOOR * np.trace(covariance_XX) / len(covariance_XX) * np.eye(len(covariance_XX))
    direction_X = np.linalg.lstsq(covariance_XX, taught_NX.mean(0), rcond=None)[0]
    says_N = asked_NX @ direction_X
    n_right, n_said = int((says_N > 0).sum()), int((says_N != 0).sum())
    return bool(n_said == 0 or binomtest(n_right, n_said, alternative="greater").pvalue > SURE)


def _lopsided(pixel_NSSC: np.ndarray) -> np.ndarray:
    """What a small copy of each picture has on the left and not on the right: its mirror image has the negative."""
    S = pixel_NSSC.shape[1]
    edges = np.linspace(0, S, min(S, SIDE) + 1).astype(int)[:-1]
    away = pixel_NSSC.astype(np.float32) - pixel_NSSC[:, :, ::-1]
    return np.add.reduceat(np.add.reduceat(away, edges, axis=1), edges, axis=2).reshape(len(away), -1)
