"""Two descriptions of the same things brought into one space, in closed form: regularised canonical correlation.

Hotelling 1936, https://doi.org/10.1093/biomet/28.3-4.321; Vinod 1976 (ridge),
https://doi.org/10.1016/0304-4076(76)90010-5
Dimension key: M pairs, D features on one side, K on the other, E width of the shared space.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Alignment", "Correlations"]


@dataclass(frozen=True)
class Alignment:
    """Affine maps into the shared space: x @ left + bias, y @ right + bias."""

    left_DE: np.ndarray
    left_bias_E: np.ndarray
    right_KE: np.ndarray
    right_bias_E: np.ndarray


class Correlations:
    """What is needed of many pairs to align them, at any strength of regularisation.

    Parameters
    ----------
    x_MD, y_MK : rows that belong together.

    Examples
    --------
    >>> x_MD = np.random.default_rng(0).normal(size=(50, 4))
    >>> found = Correlations(x_MD, 3 * x_MD[:, :2]).aligned(2, (0.1, 0.1))
    >>> found.left_DE.shape, found.right_KE.shape
    ((4, 2), (2, 2))
    """

    def __init__(self, x_MD: np.ndarray, y_MK: np.ndarray):
        x_MD, y_MK = np.asarray(x_MD, np.float64), np.asarray(y_MK, np.float64)
        self.mean_D, self.mean_K = x_MD.mean(0), y_MK.mean(0)
        x_MD, y_MK = x_MD - self.mean_D, y_MK - self.mean_K
        self.across_DK = x_MD.T @ y_MK / len(x_MD)
        self.of_x, self.of_y = (np.linalg.eigh(z.T @ z / len(z)) for z in (x_MD, y_MK))

    def aligned(self, embed_dim: int, floors: tuple[float, float]) -> Alignment:
        """The directions that agree most, each as long as they agree.

        Parameters
        ----------
        floors : added to each side's variances, in units of their mean: more trusts only what varies much.
        """
        white_DD, white_KK = _whitening(*self.of_x, floors[0]), _whitening(*self.of_y, floors[1])
        u_DE, share_E, v_EK = _largest(white_DD @ self.across_DK @ white_KK, embed_dim)
        # of a direction and its reverse always the same one
        sign_E = np.sign(u_DE[np.abs(u_DE).argmax(0), np.arange(len(share_E))])
        left_DE, right_KE = white_DD @ (u_DE * sign_E * share_E), white_KK @ (v_EK.T * sign_E * share_E)
        return Alignment(left_DE, -self.mean_D @ left_DE, right_KE, -self.mean_K @ right_KE)


def _largest(matrix_DK: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest singular values with their directions, by the smaller of the two squares: much quicker than all."""
    if matrix_DK.shape[0] < matrix_DK.shape[1]:
        v_KR, share_R, u_RD = _largest(matrix_DK.T, n)
        return u_RD.T, share_R, v_KR.T
    square_R, v_KR = np.linalg.eigh(matrix_DK.T @ matrix_DK)
    share_R, v_KR = np.sqrt(np.maximum(square_R[::-1][:n], 0)), v_KR[:, ::-1][:, :n]
    # a direction that hardly counts is as good as none
    return matrix_DK @ v_KR / np.maximum(share_R, 1e-12), share_R, v_KR.T


def _whitening(variance_D: np.ndarray, axis_DD: np.ndarray, floor: float) -> np.ndarray:
    variance_D = np.maximum(variance_D, 0)
    return (axis_DD / np.sqrt(variance_D + floor * variance_D.mean() + 1e-12)) @ axis_DD.T
