"""A small network that marks what does not belong in a picture, paints what would, and gives features of its patches.

Dimension key: B pictures, C channels, S side, D width; lower-case h, w: of a coarser grid; g = S / 4.
"""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DefectNetwork"]

CELL = 4  # pixels a side, of one answer


class DefectNetwork(nn.Module):
    """Convolutions down to a sixteenth of the side, and back to a quarter.

    Parameters
    ----------
    channels : of the pictures.
    dim : width at half the side; it doubles twice.
    depth : blocks at an eighth of the side, and at a quarter.

    Examples
    --------
    >>> import torch
    >>> defect, repaired = DefectNetwork(1, 8, 1)(torch.zeros(2, 1, 32, 32))
    >>> defect.shape, repaired.shape
    (torch.Size([2, 1, 8, 8]), torch.Size([2, 1, 32, 32]))
    """

    def __init__(self, channels: int, dim: int = 16, depth: int = 2):
        super().__init__()
        widths = (dim, 2 * dim, 4 * dim, 4 * dim)
        pairs = list(zip(widths, widths[1:], strict=False))
        self.channels, self.dim, self.depth = channels, dim, depth
        self.first = _convolution(channels, dim, stride=2)
        self.stages = nn.ModuleList(_blocks(d, n) for d, n in zip(widths, (1, depth, depth, 1), strict=True))
        self.shrinks = nn.ModuleList(_convolution(d, wider, stride=2) for d, wider in pairs)
        self.grows = nn.ModuleList(_convolution(wider, d, size=1) for d, wider in pairs[1:])
        self.mixes = nn.ModuleList(_Block(d) for d in widths[1:-1])
        self.mark = nn.Conv2d(2 * dim, 1, 1)
        self.repair = nn.Conv2d(2 * dim, channels * CELL**2, 1)
        for head in (self.mark, self.repair):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.mark.bias, -3.0)  # defects are rare

    def encode(self, picture_BCSS: Tensor) -> list[Tensor]:
        """Features at a half, a quarter, an eighth and a sixteenth of the side, each (B, D, h, w)."""
        x, found = self.first(picture_BCSS), []
        for stage, shrink in zip(self.stages, [None, *self.shrinks], strict=True):
            x = stage(x if shrink is None else shrink(functional.relu(x)))
            found.append(x)
        return found

    def look(self, picture_BCSS: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """`forward`, and what describes patches: features at an eighth of the side and at a sixteenth (B, D, h, w)."""
        features = self.encode(picture_BCSS)
        x = self._decode(features)
        fine, coarse = functional.avg_pool2d(x, 4, 2, 1, count_include_pad=False), features[-1]
        return *self._answer(x), [fine, functional.avg_pool2d(coarse, 3, 1, 1, count_include_pad=False)]

    def forward(self, picture_BCSS: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds that a cell is spoilt (B, 1, g, g), and the picture as it would be whole (B, C, S, S).

        The side is a multiple of 16, pixels are in -1..1.
        """
        return self._answer(self._decode(self.encode(picture_BCSS)))

    def _decode(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        for grow, mix, skip in reversed(list(zip(self.grows, self.mixes, features[1:], strict=False))):
            x = mix(skip + functional.interpolate(grow(functional.relu(x)), scale_factor=2.0))
        return x

    def _answer(self, x_BDgg: Tensor) -> tuple[Tensor, Tensor]:
        x_BDgg = functional.relu(x_BDgg)
        return self.mark(x_BDgg), functional.pixel_shuffle(self.repair(x_BDgg), CELL)


class _Block(nn.Module):
    """Two convolutions beside a straight line."""

    def __init__(self, dim: int):
        super().__init__()
        self.first, self.second = _convolution(dim, dim), _convolution(dim, dim)
        nn.init.zeros_(self.second.weight)

    def forward(self, x_BDhw: Tensor) -> Tensor:
        return x_BDhw + self.second(functional.relu(self.first(functional.relu(x_BDhw))))


def _blocks(dim: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(dim) for _ in range(n)))


def _convolution(n_in: int, n_out: int, *, size: int = 3, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, size, stride, size // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
