"""Defects forged in normal pictures: blots and scars of many shapes, filled in many ways.

A network that learns to mark them learns what does not belong in a picture, without having seen a real defect. All
randomness is numbers from 0 to 1 that the caller draws, so that a resumed training sees the same defects.

Li et al. 2021 (CutPaste), https://arxiv.org/abs/2104.04015; Zavrtanik et al. 2021 (DRAEM),
https://arxiv.org/abs/2108.07610; Schlueter et al. 2022 (NSA), https://arxiv.org/abs/2109.15222
Dimension key: B pictures, C channels, H height, W width, K = N_CHANCES numbers a picture.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from twofold.nn.pixels import turned

__all__ = ["LEARNT", "N_CHANCES", "TRIED", "forge"]

N_CHANCES = 24
VISIBLE = 0.06  # a change by this much, of 2, is there to be seen
RADIUS = (0.02, 0.4)  # of a round blot, in sides of the picture
LONGEST = 0.6  # half of a scar, in sides of the picture


def forge(
    picture_BCHW: Tensor, other_BCHW: Tensor, chance_BK: Tensor, kinds: tuple[str, ...] | None = None
) -> tuple[Tensor, Tensor]:
    """One defect in each picture; the pictures, and where the change is to be seen, 0..1 (B, 1, H, W).

    Parameters
    ----------
    picture_BCHW, other_BCHW : square normal pictures in -1..1; of the others, pieces are pasted.
    chance_BK : numbers from 0 to 1.
    kinds : what the defect is filled with, one of these at random; by default those of `LEARNT`.

    Examples
    --------
    >>> picture = torch.zeros(2, 1, 32, 32)
    >>> spoilt, where = forge(picture, picture, torch.rand(2, N_CHANCES), ("shaded",))
    >>> spoilt.shape, where.shape
    (torch.Size([2, 1, 32, 32]), torch.Size([2, 1, 32, 32]))
    """
    chances = iter(chance_BK[:, :, None, None, None].unbind(1))
    mask_B1HW = _shape(picture_BCHW, chances)
    piece_BCHW = _piece(picture_BCHW, other_BCHW, mask_B1HW, chances)
    strength, sign, detail, opacity, which = (next(chances) for _ in range(5))
    kinds = LEARNT if kinds is None else kinds
    choice_B = (which.view(-1) * len(kinds)).long().clamp_max(len(kinds) - 1)
    fill_BCHW = picture_BCHW.clone()
    for number, kind in enumerate(kinds):
        rows = (choice_B == number).nonzero()[:, 0]
        parts = picture_BCHW[rows], piece_BCHW[rows], mask_B1HW[rows]
        fill_BCHW[rows] = FILLS[kind](*parts, (strength[rows], sign[rows], detail[rows]))
    share_B1HW = mask_B1HW * (0.5 + 0.5 * opacity)
    spoilt_BCHW = torch.lerp(picture_BCHW, fill_BCHW, share_B1HW).clamp(-1, 1)
    change_B1HW = _smooth((spoilt_BCHW - picture_BCHW).abs().mean(1, keepdim=True), 3)
    return spoilt_BCHW, mask_B1HW * (change_B1HW / VISIBLE).clamp(0, 1)


# ---- where ---------------------------------------------------------------------------------------


def _shape(picture_BCHW: Tensor, chances: Iterator[Tensor]) -> Tensor:
    """A soft mask (B, 1, H, W): an ellipse, from round to a hundred times as long as broad, bent and frayed."""
    H, W = picture_BCHW.shape[2:]
    top, left, angle, size, long, bend, fray, phase, soft = (next(chances) for _ in range(9))
    y = torch.linspace(0, 1, H, device=picture_BCHW.device).view(1, 1, H, 1) - top
    x = torch.linspace(0, 1, W, device=picture_BCHW.device).view(1, 1, 1, W) - left
    cos, sin = (math.pi * angle).cos(), (math.pi * angle).sin()
    radius = RADIUS[0] * (RADIUS[1] / RADIUS[0]) ** size
    # one half of them blots, the other half scars
    ratio = torch.where(long < 0.5, 1 + 2 * long, 2 * 20 ** (2 * long - 1))
    length, breadth = (radius * ratio.sqrt()).clamp_max(LONGEST), (radius / ratio.sqrt()).clamp_min(0.6 / W)
    along = (x * cos + y * sin) / length
    across = y * cos - x * sin + 1.2 * (bend - 0.5) * length * along.square()
    across = across / breadth + 0.5 * fray * torch.sin(6 * (1 + bend) * along + 2 * math.pi * phase)
    turn = torch.atan2(across, along)
    edge = 1 + 0.25 * fray * torch.sin(3 * turn + 2 * math.pi * phase) + 0.2 * bend * torch.sin(5 * turn)
    blur = 1 / (W * breadth) + 0.8 * soft**3
    return ((edge - (along.square() + across.square()).sqrt()) / blur + 0.5).clamp(0, 1)


def _piece(picture_BCHW: Tensor, other_BCHW: Tensor, mask_B1HW: Tensor, chances: Iterator[Tensor]) -> Tensor:
    """The same or another picture, turned and moved; half of them made as bright as the place they come to."""
    B, C, H, W = picture_BCHW.shape
    own, which, down, right, is_seamless = (next(chances) for _ in range(5))
    source_BCHW = turned(torch.where(own < 0.4, picture_BCHW, other_BCHW), (which.view(B) * 8).long().clamp_max(7))
    line_BH = (torch.arange(H, device=own.device) + (down.view(B, 1) * H).long()) % H
    column_BW = (torch.arange(W, device=own.device) + (right.view(B, 1) * W).long()) % W
    place_B1P = (line_BH[:, :, None] * W + column_BW[:, None, :]).view(B, 1, -1)
    piece_BCHW = source_BCHW.flatten(2).gather(2, place_B1P.expand(B, C, -1)).view(B, C, H, W)
    step = _mean(picture_BCHW, mask_B1HW) - _mean(piece_BCHW, mask_B1HW)
    return torch.where(is_seamless < 0.5, piece_BCHW + step, piece_BCHW)


# ---- what ----------------------------------------------------------------------------------------

Numbers = tuple[Tensor, Tensor, Tensor]


def _pasted(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    return piece_BCHW


def _shaded(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    strength, sign, _ = numbers
    return picture_BCHW + torch.where(sign < 0.7, -1.0, 1.0) * (0.08 + 0.6 * strength**1.5)


def _flat(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    """Nearly one colour, as in a hole or a drop."""
    strength, sign, detail = numbers
    colour = _mean(picture_BCHW, mask_B1HW) + torch.where(sign < 0.7, -1.0, 1.0) * (0.1 + 0.9 * strength)
    return torch.lerp(picture_BCHW, colour.expand_as(picture_BCHW), 0.4 + 0.6 * detail)


def _blurred(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    """Without detail, or with too much."""
    smooth_BCHW = _smooth(picture_BCHW, 9)
    return smooth_BCHW + (picture_BCHW - smooth_BCHW) * torch.where(numbers[1] < 0.5, 0.0, 2.5)


def _warped(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    """The picture moved by up to a tenth of its side."""
    strength, sign, detail = numbers
    shift_B2 = (torch.cat([sign, detail], 1).view(-1, 2) - 0.5) * (0.1 + 0.3 * strength.view(-1, 1))
    theta_B23 = torch.eye(2, 3, device=sign.device).repeat(len(sign), 1, 1)
    theta_B23[:, :, 2] = shift_B2
    grid = functional.affine_grid(theta_B23, list(picture_BCHW.shape), align_corners=False)
    return functional.grid_sample(picture_BCHW, grid, padding_mode="reflection", align_corners=False)


def _grainy(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    """The fine detail of another place on top of its own."""
    return picture_BCHW + (1 + 3 * numbers[0]) * (piece_BCHW - _smooth(piece_BCHW, 5))


def _faded(picture_BCHW: Tensor, piece_BCHW: Tensor, mask_B1HW: Tensor, numbers: Numbers) -> Tensor:
    """More or less contrast than around it."""
    mean = _mean(picture_BCHW, mask_B1HW)
    return mean + (picture_BCHW - mean) * torch.where(numbers[1] < 0.5, 0.4 * numbers[0], 1.6 + numbers[0])


FILLS: dict[str, Callable[[Tensor, Tensor, Tensor, Numbers], Tensor]] = {
    "pasted": _pasted, "shaded": _shaded, "flat": _flat, "blurred": _blurred,
    "warped": _warped, "grainy": _grainy, "faded": _faded,
}  # fmt: skip
# twice the pieces: they are as many as there are pictures
LEARNT = ("pasted", "pasted", "shaded", "flat", "blurred")
TRIED = ("warped", "grainy", "faded")
"""What no network has learned from, for trials."""


def _mean(picture_BCHW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """The mean colour inside (B, C, 1, 1)."""
    return (picture_BCHW * mask_B1HW).sum((2, 3), keepdim=True) / mask_B1HW.sum((2, 3), keepdim=True).clamp_min(1)


def _smooth(picture_BCHW: Tensor, size: int) -> Tensor:
    return functional.avg_pool2d(functional.pad(picture_BCHW, (size // 2,) * 4, mode="replicate"), size, 1)
