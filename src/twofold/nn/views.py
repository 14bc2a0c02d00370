"""Changed views of pictures: what a network should not mind.

Dimension key: B pictures, C channels, S side, R = N_CHANCES numbers from 0 to 1 for each picture.
"""

import torch
from torch import Tensor

from twofold.nn.augmentation import flip, jitter, resized_crop

__all__ = ["N_CHANCES", "changed"]

N_CHANCES = 9
GREY = 0.2  # of the views have no colour


def changed(
    pixel_BSSC: Tensor, chance_BR: Tensor, *, least_area: float = 0.6, jitters: float = 0.4, is_mirrored: bool = True
) -> Tensor:
    """Each picture cut, resized, lit and, where that is allowed, mirrored in its own way: (B, C, S, S) in -1..1.

    Parameters
    ----------
    pixel_BSSC : uint8.
    chance_BR : drawn by the caller.
    least_area : share of the picture that a view shows at least.
    jitters : how far brightness, contrast and colour may move, as a share of themselves; 0 leaves the light as it is.
    """
    picture_BCSS = resized_crop(
        pixel_BSSC.movedim(3, 1).contiguous(), chance_BR[:, :4], pixel_BSSC.shape[1], area=(least_area, 1.0)
    )
    if is_mirrored:
        picture_BCSS = flip(picture_BCSS, chance_BR[:, 4])
    if jitters:
        picture_BCSS = jitter(picture_BCSS, chance_BR[:, 5:8], (jitters,) * 3)
    if jitters and picture_BCSS.shape[1] == 3:
        is_grey_B111 = (chance_BR[:, 8] < GREY)[:, None, None, None]
        picture_BCSS = torch.where(is_grey_B111, picture_BCSS.mean(1, keepdim=True), picture_BCSS)
    return 2 * picture_BCSS - 1
