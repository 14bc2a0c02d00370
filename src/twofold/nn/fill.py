"""Holes of a picture filled smoothly from their borders: the least that can be said of what is hidden.

By a pyramid: known pixels are averaged down until no hole is left, and holes are filled on the way back up.
Gortler et al. 1996 (pull-push), https://doi.org/10.1145/237170.237200
Dimension key: B pictures, C channels, H, W height and width, h = ceil(H / 2), w = ceil(W / 2).
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["filled"]

N_SMOOTHINGS = 2  # at each size: what is left of the pyramid's blocks


def filled(picture_BCHW: Tensor, is_known_B1HW: Tensor) -> Tensor:
    """The pictures with known pixels as they are and the others filled; all 0 where nothing is known.

    Examples
    --------
    >>> row = torch.tensor([[[[1.0, 9.0, 9.0, 3.0]]]])
    >>> filled(row, row < 9).squeeze()[0] < filled(row, row < 9).squeeze()[2]
    tensor(True)
    """
    known_B1HW = is_known_B1HW.to(picture_BCHW.dtype)
    if bool(is_known_B1HW.all()) or max(picture_BCHW.shape[2:]) == 1:
        return picture_BCHW * known_B1HW
    sum_BChw = functional.avg_pool2d(picture_BCHW * known_B1HW, 2, ceil_mode=True, count_include_pad=False)
    share_B1hw = functional.avg_pool2d(known_B1HW, 2, ceil_mode=True, count_include_pad=False)
    coarse_BChw = filled(sum_BChw / share_B1hw.clamp_min(1e-6), share_B1hw > 0)
    fine_BCHW = functional.interpolate(coarse_BChw, picture_BCHW.shape[2:], mode="bilinear", align_corners=False)
    for _ in range(N_SMOOTHINGS):
        fine_BCHW = torch.where(is_known_B1HW, picture_BCHW, fine_BCHW)
        fine_BCHW = functional.avg_pool2d(fine_BCHW, 3, stride=1, padding=1, count_include_pad=False)
    return torch.where(is_known_B1HW, picture_BCHW, fine_BCHW)
