"""Encoder and decoder of pictures by convolutions, and pictures as the cells of a row.

Each answers 0 until it has learned something, so that what they are added to comes through unchanged at the start.
Dimension key: B pictures, C channels, S side of a picture, O = C * S * S outputs, Z latent numbers, D width.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.pixels import from_pixels, to_pixels

__all__ = ["PictureDecoder", "PictureEncoder", "PixelCells", "convolutions"]

WIDEST = 8  # times the width of the first layer
LEAST_SIDE = 4


class PixelCells:
    """What a picture's pixels are to the networks: O numbers in -1..1, none of them missing."""

    def __init__(self, size: int, channels: int):
        self.size, self.channels = size, channels
        self.n_outputs = self.n_numbers = self.n_inputs = channels * size * size

    def values(self, pixel_BSSC: Tensor) -> Tensor:
        """The pixels (B, O), channel by channel."""
        return from_pixels(pixel_BSSC).flatten(1)

    inputs = values

    def likeliest(self, output_BO: Tensor) -> tuple[Tensor]:
        """uint8 pictures (B, S, S, C)."""
        return (to_pixels(output_BO.unflatten(1, (self.channels, self.size, self.size))),)

    def surprise(self, output_BO: Tensor, pixel_BSSC: Tensor) -> Tensor:
        """Squared error of each pixel (B, O)."""
        return (output_BO - self.values(pixel_BSSC)).square()


def convolutions(cells: PixelCells, latent_dim: int, dim: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of pictures."""
    encoder = PictureEncoder(cells.size, cells.channels, latent_dim, dim)
    return encoder, PictureDecoder(2 * latent_dim, cells.size, cells.channels, dim)


def _widths(size: int, dim: int) -> list[int]:
    """The width after each halving of the side, down to about 4 pixels."""
    widths: list[int] = []
    while size >= 2 * LEAST_SIDE and size % 2 == 0:
        widths.append(dim * min(2 ** len(widths), WIDEST))
        size //= 2
    return widths


class PictureEncoder(nn.Module):
    """Convolutions that halve the side down to about 4 pixels, then one layer.

    Parameters
    ----------
    size, channels : of the pictures; a size that can be halved often makes a small network.
    dim : width after the first halving; it doubles with each, up to 8 x.
    """

    def __init__(self, size: int, channels: int, n_outputs: int, dim: int):
        super().__init__()
        self.size, self.channels = size, channels
        widths = _widths(size, dim)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, D, 4, stride=2, padding=1), nn.GroupNorm(1, D), nn.GELU())
            for before, D in zip([channels, *widths], widths, strict=False)
        )
        self.last = nn.Linear((widths or [channels])[-1] * (size >> len(widths)) ** 2, n_outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, value_BO: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """(B, O) to (B, n_outputs); `drop` is dropout, in training."""
        x = value_BO.unflatten(1, (self.channels, self.size, self.size))
        for layer in self.layers:
            x = layer(x)
        flat = x.flatten(1)
        return self.last(flat if drop is None else drop(flat))


class PictureDecoder(nn.Module):
    """One layer to about 4 x 4 pixels, then doublings by repeating pixels and convolving, which leaves no checkerboard.

    Odena, Dumoulin, Olah 2016, https://distill.pub/2016/deconv-checkerboard/
    """

    def __init__(self, n_inputs: int, size: int, channels: int, dim: int):
        super().__init__()
        widths = _widths(size, dim)
        self.side = size >> len(widths)
        D = (widths or [dim])[-1]
        self.first = nn.Linear(n_inputs, D * self.side**2)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(1, after), nn.GELU())
            for before, after in zip(widths[::-1], [*widths[-2::-1], dim], strict=False)
        )
        self.last = nn.Conv2d(dim if widths else D, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, latent_BI: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """(B, n_inputs) to (B, O)."""
        flat = functional.gelu(self.first(latent_BI))
        x = (flat if drop is None else drop(flat)).unflatten(1, (-1, self.side, self.side))
        for layer in self.layers:
            x = layer(functional.interpolate(x, scale_factor=2, mode="nearest"))
        return self.last(x).flatten(1)
