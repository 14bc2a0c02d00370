"""A residual U-Net that takes the noise out of pictures: it sees a picture and how noisy it is, and returns the noise.

Half the width and height from the start (as FFDNet), then half twice more; no additive constants anywhere, so a picture
twice as bright with twice the noise is cleaned twice as bright (Mohan et al. 2020).

Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; Zhang et al. 2018 (FFDNet), https://arxiv.org/abs/1710.04026;
Zhang et al. 2021 (DRUNet), https://arxiv.org/abs/2008.13751; Mohan et al. 2020, https://arxiv.org/abs/1906.05478
Dimension key: B pictures, C channels, H, W height and width, D width of a layer, h = H/2, w = W/2.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NoiseUNet"]


class NoiseUNet(nn.Module):
    """The noise in a picture, for a given level of it.

    Parameters
    ----------
    channels : 1 for grey, 3 for colour.
    widths : of the layers at 1/2, 1/4, ... of the size.
    n_blocks : at each of these sizes, on the way down and again on the way up.

    Examples
    --------
    >>> network = NoiseUNet(1, widths=(8, 16), n_blocks=(1, 1))
    >>> network(torch.zeros(2, 1, 10, 14), torch.tensor([0.1, 0.2])).shape
    torch.Size([2, 1, 10, 14])
    """

    def __init__(self, channels: int, widths: Sequence[int] = (64, 96, 128), n_blocks: Sequence[int] = (2, 2, 3)):
        super().__init__()
        self.channels, self.widths, self.n_blocks = channels, tuple(widths), tuple(n_blocks)
        pairs = list(zip(widths, widths[1:], strict=False))
        self.first = _convolution(4 * channels + 1, widths[0])
        self.downs = nn.ModuleList(_blocks(d, n) for d, n in zip(widths[:-1], n_blocks, strict=False))
        self.shrinks = nn.ModuleList(nn.Conv2d(d, wider, 2, stride=2, bias=False) for d, wider in pairs)
        self.middle = _blocks(widths[-1], n_blocks[-1])
        self.grows = nn.ModuleList(nn.ConvTranspose2d(wider, d, 2, stride=2, bias=False) for d, wider in pairs)
        self.ups = nn.ModuleList(_blocks(d, n) for d, n in zip(widths[:-1], n_blocks, strict=False))
        self.last = _convolution(widths[0], 4 * channels)
        nn.init.zeros_(self.last.weight)

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor]) -> "NoiseUNet":
        """The network that these weights are of; its sizes are read off them."""
        widths = [len(tensors["first.weight"])]
        while (name := f"shrinks.{len(widths) - 1}.weight") in tensors:
            widths.append(len(tensors[name]))
        parts = [*(f"downs.{i}" for i in range(len(widths) - 1)), "middle"]
        n_blocks = [sum(n.startswith(f"{part}.") and n.endswith(".first.weight") for n in tensors) for part in parts]
        network = cls(len(tensors["last.weight"]) // 4, widths, n_blocks)
        network.load_state_dict(dict(tensors))
        return network

    @property
    def stride(self) -> int:
        """Height and width are made multiples of this."""
        return 2 ** len(self.widths)

    @property
    def reach(self) -> int:
        """Pixels from which one pixel of the answer can depend on another, at most; a multiple of `stride`."""
        # two 3 x 3 convolutions a block; all but the middle once down and once up; the first and the last layer
        n_layers = [2 * n * (1 if level == len(self.widths) - 1 else 2) for level, n in enumerate(self.n_blocks)]
        pixels = 2 * 2 + sum(n * 2 ** (level + 1) for level, n in enumerate(n_layers)) + self.stride
        return -(-pixels // self.stride) * self.stride

    def forward(self, noisy_BCHW: Tensor, level_B: Tensor) -> Tensor:
        """The noise (B, C, H, W) in pictures of any size; `level_B` is its standard deviation, on their scale."""
        H, W = noisy_BCHW.shape[2:]
        padded = pad_to_multiple(noisy_BCHW, self.stride)
        x_BChw = functional.pixel_unshuffle(padded, 2)
        level_B1hw = level_B.to(x_BChw).view(-1, 1, 1, 1).expand(-1, 1, *x_BChw.shape[2:])
        start_BDhw = x = self.first(torch.cat([x_BChw, level_B1hw], 1))
        skips = []
        for down, shrink in zip(self.downs, self.shrinks, strict=True):
            x = down(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x)
        for up, grow, skip in reversed(list(zip(self.ups, self.grows, skips, strict=True))):
            x = up(grow(x) + skip)
        return functional.pixel_shuffle(self.last(x + start_BDhw), 2)[..., :H, :W]


class _Block(nn.Module):
    """Two convolutions beside a straight line."""

    def __init__(self, dim: int):
        super().__init__()
        self.first, self.second = _convolution(dim, dim), _convolution(dim, dim)
        nn.init.zeros_(self.second.weight)

    def forward(self, x_BDhw: Tensor) -> Tensor:
        return x_BDhw + self.second(functional.relu(self.first(x_BDhw)))


def _blocks(dim: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(dim) for _ in range(n)))


def _convolution(n_in: int, n_out: int) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def pad_to_multiple(picture_BCHW: Tensor, multiple: int) -> Tensor:
    """The picture mirrored on at its right and lower edge until height and width are multiples."""
    H, W = picture_BCHW.shape[2:]
    # a mirror is at most as wide as the picture: small pictures repeat their edge instead
    bottom, right = -H % multiple, -W % multiple
    if not (bottom or right):
        return picture_BCHW
    mode = "reflect" if bottom < H and right < W else "replicate"
    return functional.pad(picture_BCHW, (0, right, 0, bottom), mode=mode)
