"""Random changes of pictures, a whole batch at once and every picture in its own way.

Each function takes pictures, bytes (0..255) or floats (0..1), and numbers from 0 to 1 that the caller draws, such as
`learner.uniform(B, 2)`: so a training that is resumed, or dealt to several processes, sees the same pictures.

Pad and crop, flip: He et al. 2016, https://arxiv.org/abs/1512.03385; random resized crop: Szegedy et al. 2015,
https://arxiv.org/abs/1409.4842; colour jitter in the order brightness, contrast, saturation.
Dimension key: B pictures, C channels (1 or 3), H height, W width, S size of the result, 2 to 4 numbers a picture.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from twofold.errors import SettingError

__all__ = ["crop", "flip", "jitter", "normalise", "pad_and_crop", "resized_crop"]

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look; ITU-R BT.601
PART = 1 << 18  # numbers worked on at once on a processor: what its cache holds


def crop(picture_BCHW: Tensor, chance_B2: Tensor, size: int | tuple[int, int]) -> Tensor:
    """A window of S x S, or of (height, width), anywhere within each picture.

    Examples
    --------
    >>> crop(torch.arange(16).reshape(1, 1, 4, 4), torch.tensor([[0.9, 0.0]]), 2).tolist()
    [[[[8, 9], [12, 13]]]]
    """
    H, W = picture_BCHW.shape[2:]
    height, width = (size, size) if isinstance(size, int) else size
    if height > H or width > W:
        raise SettingError(f"the window is {height} x {width}; the pictures are {H} x {W}. Give one that fits in them.")
    room_2 = torch.tensor([H - height, W - width], device=chance_B2.device)
    first_B2 = (chance_B2 * (room_2 + 1)).long().minimum(room_2)
    return _windows(picture_BCHW.contiguous(), first_B2, height, width)


def pad_and_crop(picture_BCHW: Tensor, chance_B2: Tensor, padding: int = 4) -> Tensor:
    """Each picture moved by up to `padding` pixels, black where it came from."""
    H, W = picture_BCHW.shape[2:]
    return crop(functional.pad(picture_BCHW, (padding,) * 4), chance_B2, (H, W))


def flip(picture_BCHW: Tensor, chance_B: Tensor) -> Tensor:
    """Left and right exchanged where the chance is below one half."""
    rows = (chance_B < 0.5).nonzero().squeeze(1)
    flipped = picture_BCHW.clone()
    flipped[rows] = picture_BCHW[rows].flip(3)
    return flipped


def resized_crop(
    picture_BCHW: Tensor, chance_B4: Tensor, size: int, *, area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:  # fmt: skip
    """A window of random area and shape, resized to S x S by averaging (antialiased); floats 0..1.

    Parameters
    ----------
    area : least and most share of the picture.
    ratio : least and most width over height.
    """
    H, W = picture_BCHW.shape[2:]
    share_B = area[0] + chance_B4[:, 0] * (area[1] - area[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape_B = torch.exp(low + chance_B4[:, 1] * (high - low))
    height_B = (share_B * H * W / shape_B).sqrt().clamp(1, H)
    width_B = (share_B * H * W * shape_B).sqrt().clamp(1, W)
    top_B, left_B = chance_B4[:, 2] * (H - height_B), chance_B4[:, 3] * (W - width_B)
    down_BSH, across_BSW = _averages(top_B, height_B, H, size), _averages(left_B, width_B, W, size)
    return torch.cat(
        [
            (down_BSH[part, None] @ _floats(picture_BCHW[part]) @ across_BSW[part, None].mT).clamp_(0, 1)
            for part in _parts(picture_BCHW)
        ]
    )


def jitter(picture_BCHW: Tensor, chance_B3: Tensor, strength: tuple[float, float, float] = (0.4, 0.4, 0.4)) -> Tensor:
    """Brightness, contrast and saturation changed by factors within 1 - strength .. 1 + strength; floats 0..1."""
    factor_B3 = 1 + (2 * chance_B3 - 1) * chance_B3.new_tensor(strength)
    result = torch.empty(picture_BCHW.shape, dtype=torch.float32, device=picture_BCHW.device)
    for part in _parts(picture_BCHW):
        x_BCHW = result[part].copy_(picture_BCHW[part])
        bright, contrast, colour = factor_B3[part, :, None, None, None].unbind(1)
        x_BCHW.mul_(bright if picture_BCHW.is_floating_point() else bright / 255).clamp_(0, 1)
        mean_B111 = _grey(x_BCHW.mean((2, 3), keepdim=True))
        x_BCHW.mul_(contrast).add_((1 - contrast) * mean_B111).clamp_(0, 1)
        if x_BCHW.shape[1] == 3:
            grey_B1HW = _grey(x_BCHW).mul_(1 - colour)
            x_BCHW.mul_(colour).add_(grey_B1HW).clamp_(0, 1)
    return result


def normalise(picture_BCHW: Tensor, mean: tuple[float, ...] | float, std: tuple[float, ...] | float) -> Tensor:
    """Floats with this mean and standard deviation taken out; both are on the scale 0..1, per channel or for all.

    Floats are changed in place, as jitter and resized_crop just made them.
    """
    mean_C11, std_C11 = (torch.as_tensor(n, device=picture_BCHW.device).reshape(-1, 1, 1) for n in (mean, std))
    if picture_BCHW.is_floating_point():
        return picture_BCHW.sub_(mean_C11).div_(std_C11)
    return picture_BCHW.float().mul_(1 / (255 * std_C11)).sub_(mean_C11 / std_C11)


# ---- parts ---------------------------------------------------------------------------------------


def _windows(picture_BCHW: Tensor, first_B2: Tensor, height: int, width: int) -> Tensor:
    """The windows that begin at these rows and columns: each of their lines is one piece of memory."""
    B, C, H, W = picture_BCHW.shape
    device = picture_BCHW.device
    plane_BC1 = torch.arange(B * C, device=device).reshape(B, C, 1) * (H * W)
    line_B1S = (first_B2[:, 0, None] + torch.arange(height, device=device))[:, None] * W + first_B2[:, 1, None, None]
    return picture_BCHW.view(-1).unfold(0, width, 1)[plane_BC1 + line_B1S]


def _averages(first_B: Tensor, length_B: Tensor, n: int, size: int) -> Tensor:
    """Weights (B, S, n) that resize a stretch of n pixels to S: a triangle around each new pixel, as wide as it is."""
    scale_B1 = (length_B / size)[:, None]
    centre_BS = first_B[:, None] + (torch.arange(size, device=first_B.device) + 0.5) * scale_B1
    pixel_n = torch.arange(n, device=first_B.device) + 0.5
    weight_BSn = (1 - (pixel_n - centre_BS[..., None]).abs() / scale_B1[..., None].clamp_min(1)).clamp_min(0)
    return weight_BSn / weight_BSn.sum(2, keepdim=True)


def _grey(picture_BCHW: Tensor) -> Tensor:
    """How bright each pixel looks, (B, 1, H, W)."""
    if picture_BCHW.shape[1] == 1:
        return picture_BCHW.clone()
    red, green, blue = picture_BCHW.split(1, 1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _floats(picture_BCHW: Tensor) -> Tensor:
    return picture_BCHW if picture_BCHW.is_floating_point() else picture_BCHW.float().div_(255)


def _parts(picture_BCHW: Tensor) -> Iterator[slice]:
    """A few pictures at a time on a processor, so that they stay in its cache; all at once elsewhere."""
    B = len(picture_BCHW)
    n = max(1, PART // picture_BCHW[0].numel()) if picture_BCHW.device.type == "cpu" else B
    return (slice(i, i + n) for i in range(0, B, n))
