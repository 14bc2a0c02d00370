"""Pictures at the door, uint8 (B, H, W, C), and pictures inside, float (B, C, H, W) in -1..1.

Dimension key: B pictures, C channels, H, W height and width, P side of a square.
"""

import torch
from torch import Tensor

__all__ = ["HALF", "from_pixels", "to_pixels", "turned"]

HALF = 127.5  # pixel values between 0 and 1 inside, half of the whole range


def from_pixels(pixel_BHWC: Tensor) -> Tensor:
    """Pixels 0..255 as (B, C, H, W) in -1..1."""
    return pixel_BHWC.movedim(-1, 1).float() / HALF - 1


def to_pixels(picture_BCHW: Tensor) -> Tensor:
    """The reverse of `from_pixels`: uint8 (B, H, W, C), rounded, and cut off at 0 and 255."""
    return ((picture_BCHW + 1) * HALF).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).contiguous()


def turned(picture_BCPP: Tensor, which_B: Tensor) -> Tensor:
    """Each square picture turned its own way: `which_B` from 0 to 7 names one of the eight turns and mirrorings."""
    for bit, turn in enumerate((lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.transpose(2, 3))):
        is_turned_B111 = ((which_B >> bit) & 1).bool().view(-1, 1, 1, 1)
        picture_BCPP = torch.where(is_turned_B111, turn(picture_BCPP), picture_BCPP)
    return picture_BCPP
