"""Painting the hidden part of pictures of any size with a network for one size, and masks to hide it by.

Dimension key: H, W height and width as given, C channels, S side that the network sees, P side of a patch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from twofold.core.pictures import as_given, each_picture
from twofold.data.pictures import open_pictures
from twofold.errors import DataError, SettingError
from twofold.measure.noise import psnr
from twofold.measure.report import Measure, bootstrap_interval
from twofold.nn.fill import filled
from twofold.nn.pixels import HALF, from_pixels, to_pixels

__all__ = ["Painter", "each_painted", "painting_measure", "random_mask"]

RATIO, N_MEASURED = 0.6, 100  # hidden where painting is measured, and on how many pictures
HARDLY = 0.125  # a patch of which less is hidden is filled smoothly and counts as seen

Painter = Callable[[Tensor, Tensor], Tensor]
"""A picture (1, C, S, S) in -1..1 and the places (1, M) of its visible patches to the whole picture painted."""


def random_mask(shape: tuple[int, int], ratio: float, side: int, rng: np.random.Generator) -> np.ndarray:
    """Booleans (H, W), True where hidden: that share of a grid of `side` x `side` fields."""
    if not 0 < ratio < 1:
        raise SettingError(f"ratio is {ratio}; it must lie between 0 and 1. Give the share to hide, such as 0.5.")
    hidden_F = np.zeros(side * side, bool)
    hidden_F[rng.permutation(side * side)[: int(np.clip(round(ratio * side * side), 1, side * side - 1))]] = True
    rows, columns = ((np.arange(n) * side) // n for n in shape)
    return hidden_F.reshape(side, side)[rows[:, None], columns[None]]


def each_painted(
    X: Any, mask: Any, ratio: float | None, paint: Painter, *, sizes: tuple[int, int, int], seed: int
) -> Any:
    """Pictures as given, with what is hidden painted; see MaskedAutoencoder.inpaint.

    Parameters
    ----------
    sizes : S, C and P.
    """
    pictures, is_one = each_picture(X)
    if (mask is None) == (ratio is None):
        raise SettingError("give either a mask of what to paint, or the ratio to hide at random; one of the two.")
    side = sizes[0] // sizes[2]
    answers = []
    for i, picture_HWC in enumerate(pictures):
        shape = picture_HWC.shape[:2]
        if ratio is not None:
            hidden_HW = random_mask(shape, ratio, side, np.random.default_rng([seed, i]))
        else:
            hidden_HW = _mask_of(mask, i, shape)
        answers.append(_painted(picture_HWC, hidden_HW, paint, sizes))
    return as_given(answers[0], X) if is_one else answers


def _mask_of(mask: Any, i: int, shape: tuple[int, int]) -> np.ndarray:
    """The i-th mask, True where hidden; one mask serves all pictures of its size."""
    is_list = isinstance(mask, list | tuple) or (isinstance(mask, np.ndarray) and mask.ndim == 4)
    if is_list and i >= len(mask):
        raise DataError(f"picture {i + 1} has no mask: {len(mask)} were given. Give one for each, or one for all.")
    one = mask[i] if is_list else mask
    hidden = np.asarray(one) if isinstance(one, np.ndarray) else open_pictures(one)[0]
    hidden_HW = hidden.reshape(*hidden.shape[:2], -1).max(2)
    hidden_HW = hidden_HW if hidden_HW.dtype == bool else hidden_HW > (0.5 if hidden_HW.dtype.kind == "f" else 127)
    if hidden_HW.shape != shape:
        raise DataError(
            f"picture {i + 1} is {shape[1]} x {shape[0]} pixels and its mask {hidden_HW.shape[1]} x "
            f"{hidden_HW.shape[0]}. Give a mask of the picture's size, white where to paint."
        )
    if hidden_HW.all():
        raise DataError(f"the mask of picture {i + 1} hides all of it. Leave something visible to paint from.")
    return hidden_HW


def _painted(picture_HWC: np.ndarray, hidden_HW: np.ndarray, paint: Painter, sizes: tuple[int, int, int]) -> np.ndarray:
    """The picture with new pixels where it is hidden, in the scale and type it came in."""
    if not hidden_HW.any():
        return picture_HWC
    is_float = picture_HWC.dtype.kind == "f"
    given_1CHW = from_pixels(torch.from_numpy(picture_HWC * np.float32(255) if is_float else picture_HWC)[None])
    known_11HW = torch.from_numpy(~hidden_HW)[None, None]
    new_1CHW = torch.where(known_11HW, given_1CHW, _in_full_size(given_1CHW, known_11HW, paint, sizes))
    new_HWC = ((new_1CHW[0].clamp(-1, 1) + 1) * HALF).movedim(0, -1).numpy()
    new_HWC = (new_HWC / 255).astype(picture_HWC.dtype) if is_float else new_HWC.round().astype(np.uint8)
    return np.where(hidden_HW[..., None], new_HWC, picture_HWC)


def _in_full_size(given_1CHW: Tensor, known_11HW: Tensor, paint: Painter, sizes: tuple[int, int, int]) -> Tensor:
    """The painting in the picture's own size, shifted so that it meets the known pixels at every border."""
    S, C, P = sizes
    shape = given_1CHW.shape[2:]
    smooth_1CHW = filled(given_1CHW, known_11HW)
    small_1CSS = _resized(smooth_1CHW if C == given_1CHW.shape[1] else _in_channels(smooth_1CHW, C), (S, S))
    hidden_1T = functional.avg_pool2d(_resized(1 - known_11HW.float(), (S, S)), P).flatten(1)
    is_seen_1T = hidden_1T < HARDLY
    if not bool(is_seen_1T.any()):
        is_seen_1T = hidden_1T <= hidden_1T.min()
    painted_1CHW = _resized(paint(small_1CSS, is_seen_1T.nonzero()[None, :, 1]), shape)
    if C != given_1CHW.shape[1]:
        painted_1CHW = _in_channels(painted_1CHW, given_1CHW.shape[1])
    return painted_1CHW + filled(given_1CHW - painted_1CHW, known_11HW)


def painting_measure(inpaint: Callable[..., Any], pixel_NSSC: np.ndarray, side: int, seed: int) -> Measure:
    """PSNR of painted pixels, of 100 pictures at most, beside a smooth filling."""
    ours, smooth = [], []
    for i, picture_SSC in enumerate(pixel_NSSC[:N_MEASURED]):
        hidden_SS = random_mask(picture_SSC.shape[:2], RATIO, side, np.random.default_rng([seed, i]))
        ours.append(psnr(inpaint(picture_SSC, hidden_SS)[hidden_SS], picture_SSC[hidden_SS]))
        smooth.append(psnr(_smoothed(picture_SSC, hidden_SS)[hidden_SS], picture_SSC[hidden_SS]))
    # a blank picture is painted without an error
    ours_N, smooth_N = (np.minimum(values, 60.0) for values in (ours, smooth))
    interval = bootstrap_interval(np.mean, ours_N, seed=seed % 2**32)
    return Measure(
        "PSNR of painted pixels", float(ours_N.mean()), interval, (("smooth filling", float(smooth_N.mean())),)
    )


def _smoothed(picture_HWC: np.ndarray, hidden_HW: np.ndarray) -> np.ndarray:
    """The picture, uint8, with what is hidden filled smoothly from its border."""
    filled_1CHW = filled(from_pixels(torch.from_numpy(picture_HWC)[None]), torch.from_numpy(~hidden_HW)[None, None])
    return to_pixels(filled_1CHW)[0].numpy()


def _resized(picture_1CHW: Tensor, shape: Sequence[int]) -> Tensor:
    if tuple(picture_1CHW.shape[2:]) == tuple(shape):
        return picture_1CHW
    return functional.interpolate(picture_1CHW, shape, mode="bilinear", antialias=True, align_corners=False)


def _in_channels(picture_1CHW: Tensor, C: int) -> Tensor:
    return picture_1CHW.mean(1, keepdim=True) if C == 1 else picture_1CHW.expand(-1, C, -1, -1)
