"""How noisy a picture is, and how much cleaner an answer is, without a clean picture to compare with.

Chen, Zhu, Heng 2015, An efficient statistical method for image noise level estimation (ICCV); Stein 1981 (unbiased risk
estimate); Ramani, Blu, Unser 2008, Monte-Carlo SURE (IEEE TIP 17:9).
Dimension key: H, W height and width, C channels, N patches, K = 64 pixels of a patch.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.ndimage import uniform_filter

__all__ = ["noise_level", "predicted_gain", "psnr"]

SIDE = 8
MAX_PATCHES = 60_000
CALM = 0.15  # share of the patches that is looked at: more see less of the noise's true level


def psnr(picture: np.ndarray, truth: np.ndarray, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = float(np.square(np.asarray(picture, np.float64) - truth).mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def noise_level(picture_HWC: np.ndarray) -> float:
    """Standard deviation of the noise, taken to be alike everywhere and unrelated between pixels; the mean of channels.

    Small patches of a clean picture, those of calm parts above all, lie near a plane of few dimensions. So the smallest
    eigenvalues of their covariance are the noise's alone: leave out the largest until the mean of the rest is their
    median.
    """
    picture_HWC = np.asarray(picture_HWC, np.float64)
    if min(picture_HWC.shape[:2]) < SIDE:
        return 0.0
    return float(np.mean([_level_of_channel(picture_HWC[..., c]) for c in range(picture_HWC.shape[2])]))


def _level_of_channel(picture_HW: np.ndarray) -> float:
    patch_NK = _calm_patches(picture_HW)
    if len(patch_NK) < 2:
        return 0.0
    value_K = np.linalg.eigvalsh(np.cov(patch_NK.T))
    for n_left in range(len(value_K), 0, -1):
        if np.mean(value_K[:n_left]) <= np.median(value_K[:n_left]):
            break
    return float(np.sqrt(max(np.mean(value_K[:n_left]), 0.0)))


def _calm_patches(picture_HW: np.ndarray) -> np.ndarray:
    """The patches (N, K) from those parts, wider than a patch, where a smoothed picture varies least."""
    smooth = uniform_filter(picture_HW, 5)
    variance = uniform_filter(smooth**2, 2 * SIDE) - uniform_filter(smooth, 2 * SIDE) ** 2
    windows = np.lib.stride_tricks.sliding_window_view(picture_HW, (SIDE, SIDE))
    stride = max(1, math.isqrt(int(CALM * windows.shape[0] * windows.shape[1]) // MAX_PATCHES))
    middle = variance[SIDE // 2 :, SIDE // 2 :][: windows.shape[0] : stride, : windows.shape[1] : stride]
    # a small picture has too few patches to choose among
    share = max(CALM, min(1.0, 2000 / middle.size))
    return windows[::stride, ::stride][middle <= np.quantile(middle, share)].reshape(-1, SIDE * SIDE)


def predicted_gain(
    denoise: Callable[[np.ndarray], np.ndarray], noisy: np.ndarray, clean: np.ndarray, level: float, *, seed: int = 0
) -> float:
    """How much nearer to the unseen clean picture an answer is than the noisy picture was, in dB.

    Stein's unbiased estimate of the squared error: how far the answer moved, less the noise, plus how much the answer
    follows the noise, which a second run on a slightly disturbed picture tells.

    Parameters
    ----------
    denoise : picture to answer, both float on any scale, the same function that gave `clean`.
    noisy, clean : the picture and its answer.
    level : standard deviation of the noise, on their scale.
    """
    # noise that no 8-bit picture can show
    if level < 0.1 * noisy.max(initial=1e-6) / 255:
        return 0.0
    probe = np.random.default_rng(seed).choice([-1.0, 1.0], size=noisy.shape).astype(noisy.dtype)
    step = level / 20
    followed = float(np.mean(probe * (denoise(noisy + step * probe) - clean))) / step
    error = float(np.mean(np.square(clean - noisy))) - level**2 + 2 * level**2 * followed
    # an estimate may fall below what any method can reach: at most 30 dB are promised
    return 10 * math.log10(level**2 / max(error, level**2 / 1000))
