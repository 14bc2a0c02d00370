"""One noisy picture cleans itself: patches that look alike are taken together, each rebuilt from all of them.

How much of each patch to take is learnt from the noisy group itself: first by minimising Stein's unbiased estimate of
the error, then, with that first answer as a pilot that stands for the clean picture, by ridge regression. Where a
patch repeats, its noise averages out; where it is alone, it is left as it is.

Herbreteau, Kervrann 2022 (NL-Ridge), https://arxiv.org/abs/2203.00570
Dimension key: H, W height and width, C channels, P side of a patch, K = P * P pixels of it, G groups, S patches of a
group, O offsets searched.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["denoise_alike"]

STRIDE = 4  # pixels between the patches that groups are gathered around
REACH = 18  # pixels that are searched each way
STRIP = 128  # rows of the picture at a time: bounds the memory
GROUPS_AT_ONCE = 1024
LEAST = 1.0  # squared pixel values that keep a group of equal patches from being singular; of no weight otherwise
INVISIBLE = 0.1  # noise of 255 that no 8-bit picture can show


class Sizes(NamedTuple):
    """Side of the patches and patches of a group, in the first pass and in the second."""

    side_1: int
    side_2: int
    n_1: int
    n_2: int


def sizes_for(level: float) -> Sizes:
    """Larger patches and groups for more noise (of 255), as Herbreteau and Kervrann recommend."""
    if level <= 15:
        return Sizes(7, 7, 18, 55)
    return Sizes(9, 9, 18, 90) if level <= 35 else Sizes(11, 9, 20, 120)


@torch.inference_mode()
def denoise_alike(noisy_HWC: np.ndarray, level: float) -> np.ndarray:
    """The clean picture, floats on the scale of the noisy one, 0..255.

    Groups are found on the mean of the channels, and each channel is rebuilt from its own patches.

    Parameters
    ----------
    level : standard deviation of the noise, of 255.
    """
    sizes = sizes_for(level)
    H, W, C = noisy_HWC.shape
    if level < INVISIBLE or min(H, W) < max(sizes.side_1, sizes.side_2):
        return noisy_HWC.astype(np.float32)
    noisy_CHW = torch.from_numpy(np.ascontiguousarray(noisy_HWC, np.float32)).movedim(-1, 0)
    pilot_CHW = _pass(noisy_CHW, None, level, sizes.side_1, sizes.n_1)
    clean_CHW = _pass(noisy_CHW, pilot_CHW, level, sizes.side_2, sizes.n_2)
    return clean_CHW.movedim(0, -1).contiguous().numpy()


def _pass(noisy_CHW: Tensor, pilot_CHW: Tensor | None, level: float, side: int, n_alike: int) -> Tensor:
    """All groups rebuilt, and laid over each other by how little noise is left in each patch."""
    C, H, W = noisy_CHW.shape
    guide_HW = (noisy_CHW if pilot_CHW is None else pilot_CHW).mean(0)
    inside_K = (torch.arange(side)[:, None] * W + torch.arange(side)).flatten()
    total_CN, weight_CN = torch.zeros(C, H * W), torch.zeros(C, H * W)
    for place_GS in _groups(guide_HW, side, n_alike):
        pixel_GSK = place_GS[..., None] + inside_K
        for c in range(C):
            noisy_GSK = noisy_CHW[c].flatten()[pixel_GSK]
            pilot_GSK = None if pilot_CHW is None else pilot_CHW[c].flatten()[pixel_GSK]
            mix_GSS = _mix(noisy_GSK, pilot_GSK, level)
            trust_GS1 = 1 / mix_GSS.square().sum(2, keepdim=True).clamp_min(1e-3)
            clean_GSK = mix_GSS @ noisy_GSK
            total_CN[c].index_add_(0, pixel_GSK.flatten(), (trust_GS1 * clean_GSK).flatten())
            weight_CN[c].index_add_(0, pixel_GSK.flatten(), trust_GS1.expand_as(clean_GSK).flatten())
    return (total_CN / weight_CN).view(C, H, W)


def _mix(noisy_GSK: Tensor, pilot_GSK: Tensor | None, level: float) -> Tensor:
    """How much of each patch of a group (columns) makes up each patch (rows), (G, S, S)."""
    noise = noisy_GSK.shape[2] * level**2
    eye_SS = torch.eye(noisy_GSK.shape[1])
    if pilot_GSK is None:
        return eye_SS - noise * torch.linalg.inv(noisy_GSK @ noisy_GSK.mT + LEAST * eye_SS)
    likeness_GSS = pilot_GSK @ pilot_GSK.mT
    return torch.linalg.solve(likeness_GSS + max(noise, LEAST) * eye_SS, likeness_GSS).mT


def _groups(guide_HW: Tensor, side: int, n_alike: int) -> list[Tensor]:
    """For each patch of a coarse grid the places (of the upper left corner, in the flat picture) of the most alike."""
    H, W = guide_HW.shape
    grid_y, grid_x = _grid(H - side + 1), _grid(W - side + 1)
    groups = []
    for y in grid_y.split(STRIP // STRIDE):
        distance_GO, offset_O = _distances(guide_HW, y, grid_x, side)
        nearest_GS = distance_GO.topk(min(n_alike, len(offset_O)), largest=False).indices
        corner_G1 = (y[:, None] * W + grid_x).flatten()[:, None]
        place_GS = corner_G1 + offset_O[nearest_GS]
        # in a small picture some offsets lead outside: the patch itself stands in for them
        is_inside_GS = distance_GO.gather(1, nearest_GS).isfinite()
        groups += torch.where(is_inside_GS, place_GS, corner_G1).split(GROUPS_AT_ONCE)
    return groups


def _grid(n: int) -> Tensor:
    """Every fourth place of `n`, and the last."""
    return torch.cat([torch.arange(0, n - 1, STRIDE), torch.tensor([n - 1])])


def _distances(guide_HW: Tensor, y: Tensor, x: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Mean squared difference of each patch to those around it (G, O), infinite outside, and each one's offset (O)."""
    H, W = guide_HW.shape
    reach_y, reach_x = min(REACH, H - side), min(REACH, W - side)
    top, bottom = int(y[0]), int(y[-1]) + side
    mirrored = functional.pad(guide_HW[None, None], (reach_x, reach_x, reach_y, reach_y), value=torch.inf)[0, 0]
    here = guide_HW[top:bottom]
    columns, offsets = [], []
    for down in range(-reach_y, reach_y + 1):
        for right in range(-reach_x, reach_x + 1):
            there = mirrored[top + reach_y + down : bottom + reach_y + down, reach_x + right : reach_x + right + W]
            square = (here - there).square()[None, None]
            mean = functional.avg_pool2d(functional.avg_pool2d(square, (side, 1), 1), (1, side), 1)[0, 0]
            columns.append(mean[y - top][:, x].flatten())
            offsets.append(down * W + right)
    distance_GO = torch.stack(columns, 1)
    # a patch always comes first in its own group
    distance_GO[:, len(offsets) // 2] = -1
    return distance_GO, torch.tensor(offsets)
