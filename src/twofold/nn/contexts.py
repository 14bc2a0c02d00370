"""What the next latents of a picture may be, from those already known: a centre and a spread for each.

Latents are told in passes, each foreseen from all before. First the means of the blocks: every 16th block down and
across, then those halfway between the known ones, level by level. Then the cosines in groups by falling variance, each
group in two passes, as on a chess-board. So there is no side information: what is known serves as it.

Minnen, Singh 2020, https://arxiv.org/abs/2007.08978 (channel by channel); He et al. 2021,
https://arxiv.org/abs/2103.15306 (chess-board); He et al. 2022, https://arxiv.org/abs/2203.10886 (uneven groups).
Dimension key: B pictures, C latents of a block, G of a group, M = 3 means of a block, H and W blocks down and across,
T neighbours in a window, D width, A anchors of the quality, S blocks of a pass.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SHAPE", "Contexts", "Foresight", "Stack", "bits", "convolved"]

N_MEANS = 3
GROUPS = ((3, 11), (11, 27), (27, 67), (67, 192))
SPACING = 16  # of the blocks whose means are told first
SMALLEST_SPREAD, LARGEST_SPREAD = -5.0, 6.0  # log2 of the scale of a logistic distribution
# Of the wider distribution: its share; and log2 of what the scales of the narrow one and of it are multiplied by.
SHAPE = (0.2, -0.5, 0.8)


def bits(value: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """What whole numbers cost under two rounded logistic distributions in one, narrow and wide (`SHAPE`).

    `spread` is log2 of their scale.
    """
    share, narrow, wide = SHAPE
    off, spread = (value - centre).abs(), spread.clamp(SMALLEST_SPREAD, LARGEST_SPREAD)
    both = torch.logaddexp(
        math.log(1 - share) + _log_chance(off, spread + narrow), math.log(share) + _log_chance(off, spread + wide)
    )
    return -both / math.log(2)


def _log_chance(off: Tensor, log_scale: Tensor) -> Tensor:
    sharpness = torch.exp2(-log_scale)
    # the difference of two sigmoids, as a product: exact far out, where both are near 1
    low, high = (off - 0.5) * sharpness, (off + 0.5) * sharpness
    return torch.log(-torch.expm1(-sharpness)) - functional.softplus(low) - functional.softplus(-high)


@dataclass(frozen=True)
class Foresight:
    """One pass: which latents, on which blocks, and what they may be."""

    channels: slice
    place_HW: Tensor  # booleans
    centre_BGS: Tensor
    spread_BGS: Tensor


class Layer(nn.Module):
    """A convolution whose bias depends on the quality."""

    def __init__(self, n_in: int, n_out: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, size, size) * (2 / (n_in * size**2)) ** 0.5)
        self.bias_AO = nn.Parameter(torch.zeros(5, n_out))

    def forward(self, x_BCS: Tensor, weight_BA: Tensor) -> Tensor:
        return convolved(x_BCS, self.weight, weight_BA @ self.bias_AO)


def convolved(x_BCS: Tensor, weight: Tensor, bias_BO: Tensor) -> Tensor:
    """A convolution; on blocks in a row (B, C, S) one of size 1."""
    if x_BCS.ndim == 3:
        return weight[:, :, 0, 0] @ x_BCS + bias_BO[:, :, None]
    return functional.conv2d(x_BCS, weight, padding=weight.shape[-1] // 2) + bias_BO[:, :, None, None]


class Stack(nn.Module):
    """Layers with negative numbers cut off between them."""

    layer: ClassVar[type[nn.Module]] = Layer

    def __init__(self, *shapes: tuple[int, int, int]):
        super().__init__()
        self.layers = nn.ModuleList(self.layer(*shape) for shape in shapes)

    def forward(self, x_BCHW: Tensor, weight_BA: Tensor) -> Tensor:
        """One layer after the other, for pictures of these qualities."""
        for k, layer in enumerate(self.layers):
            x_BCHW = layer(functional.relu(x_BCHW) if k else x_BCHW, weight_BA)
        return x_BCHW


class Contexts(nn.Module):
    """Foresees latents, pass by pass."""

    unit: ClassVar[float] = 1.0  # what a step is inside the networks
    stack: ClassVar[type[Stack]] = Stack

    def __init__(self, dim: int = 96):
        super().__init__()
        stack = self.stack
        self.first_AM2 = nn.Parameter(torch.zeros(5, N_MEANS, 2))
        self.means = nn.ModuleList(
            stack((2 * N_MEANS * 25 + 4, 64, 1), (64, 64, 1), (64, 2 * N_MEANS, 1)) for _ in range(2)
        )
        self.priors = nn.ModuleList(stack((2 * a, dim, 3)) for a, _ in GROUPS)
        self.owns = nn.ModuleList(stack((2 * (b - a) + 1, dim, 5 if b < 100 else 3)) for a, b in GROUPS)
        self.heads = nn.ModuleList(stack((dim, dim, 1), (dim, 2 * (b - a), 1)) for a, b in GROUPS)

    @torch.no_grad()
    def start(self, spread_AC: Tensor) -> None:
        """Begin with these spreads (log2), whatever is known."""
        self.first_AM2[:, :, 1] = spread_AC[:, :N_MEANS]
        for stack in self.means:
            stack.layers[-1].weight.mul_(0.1)
            stack.layers[-1].bias_AO[:, N_MEANS:] = spread_AC[:, :N_MEANS] - 2
        for (a, b), stack in zip(GROUPS, self.heads, strict=True):
            stack.layers[-1].weight.mul_(0.1)
            stack.layers[-1].bias_AO[:, b - a :] = spread_AC[:, a:b]

    # ---- arithmetic: what the exact form (nn/fixed_point.py) does otherwise ----------------------

    def compressed(self, value: Tensor) -> Tensor:
        """The sign times log2(1 + size): large numbers drawn in."""
        return value.sign() * torch.log2(1 + value.abs())

    def ratio(self, total: Tensor, count: Tensor) -> Tensor:
        """A mean."""
        return total / count

    # ---- passes ----------------------------------------------------------------------------------

    def forward(self, latent_BCHW: Tensor, weight_BA: Tensor) -> Iterator[Foresight]:
        """Every pass in order. Of the latents only those of earlier passes are looked at: a decoder fills them in."""
        yield self._first(latent_BCHW, weight_BA)
        spacing = SPACING
        while spacing > 1:
            yield from self._between(latent_BCHW, weight_BA, spacing // 2)
            spacing //= 2
        for g in range(len(GROUPS)):
            yield from self._group(latent_BCHW, weight_BA, g)

    def _first(self, latent_BCHW: Tensor, weight_BA: Tensor) -> Foresight:
        place_HW = torch.zeros(latent_BCHW.shape[2:], dtype=torch.bool, device=latent_BCHW.device)
        place_HW[::SPACING, ::SPACING] = True
        told_BM2 = torch.einsum("ba,amk->bmk", weight_BA, self.first_AM2.to(weight_BA.dtype))
        told_BMS2 = told_BM2[:, :, None].expand(-1, -1, int(place_HW.sum()), -1)
        return Foresight(slice(0, N_MEANS), place_HW, told_BMS2[..., 0], told_BMS2[..., 1])

    def _between(self, latent_BCHW: Tensor, weight_BA: Tensor, stride: int) -> Iterator[Foresight]:
        """The blocks in the middle of four known ones, then those left."""
        H, W = latent_BCHW.shape[2:]
        row_H, column_W = (torch.arange(0, n, stride, device=latent_BCHW.device) // stride % 2 for n in (H, W))
        is_known = (row_H[:, None] == 0) & (column_W == 0)
        is_middle = (row_H[:, None] == 1) & (column_W == 1)
        for turn, is_told in enumerate((is_middle, ~(is_known | is_middle))):
            mean_BMHW = latent_BCHW[:, :N_MEANS, ::stride, ::stride] * self.unit
            filled_BMHW = self._filled(mean_BMHW, is_known if turn == 0 else is_known | is_middle, turn)
            place_HW = torch.zeros(H, W, dtype=torch.bool, device=latent_BCHW.device)
            place_HW[::stride, ::stride] = is_told
            seen = self._differences(filled_BMHW, is_told)
            level = seen.new_zeros(len(seen), 4, seen.shape[2])
            level[:, stride.bit_length() - 1] = self.unit
            centre, spread = self.means[turn](torch.cat([seen, level], 1), weight_BA).chunk(2, 1)
            yield Foresight(slice(0, N_MEANS), place_HW, centre + filled_BMHW[:, :, is_told], spread)

    def _filled(self, mean_BMHW: Tensor, is_known: Tensor, turn: int) -> Tensor:
        """Known means as they are, others as the mean of their known neighbours: the diagonal, then the straight."""
        kernel = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]] if turn == 0 else [[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
        known = is_known.to(mean_BMHW.dtype)
        kernel_M133 = kernel.to(mean_BMHW).expand(N_MEANS, 1, 3, 3)
        total = functional.conv2d(mean_BMHW * known, kernel_M133, padding=1, groups=N_MEANS)
        count = functional.conv2d(known[None, None], kernel_M133[:1], padding=1)
        return torch.where(is_known, mean_BMHW, self.ratio(total, count.clamp_min(1)))

    def _differences(self, mean_BMHW: Tensor, is_told: Tensor) -> Tensor:
        """How the 5 x 5 neighbours' means differ from a block's own, (B, 2 * M * T, S), plain and compressed."""
        B, M, H, W = mean_BMHW.shape
        window = functional.unfold(functional.pad(mean_BMHW, (2, 2, 2, 2), mode="replicate"), 5)
        window = window.reshape(B, M, 25, H, W) - mean_BMHW[:, :, None]
        return self._seen(window[..., is_told].flatten(1, 2))

    def _detail(self, mean_BMHW: Tensor) -> Tensor:
        """How a block's means stand out from those around it, in eighths."""
        kernel = -torch.ones(3, 3, dtype=mean_BMHW.dtype, device=mean_BMHW.device)
        kernel[1, 1] = 8
        window = functional.pad(mean_BMHW, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(window, kernel.expand(N_MEANS, 1, 3, 3) / 8, groups=N_MEANS)

    def _seen(self, value_BCHW: Tensor) -> Tensor:
        return torch.cat([value_BCHW / 8, self.compressed(value_BCHW)], 1)

    def _group(self, latent_BCHW: Tensor, weight_BA: Tensor, g: int) -> Iterator[Foresight]:
        """Half of the blocks like a chess-board, then the other half."""
        first, last = GROUPS[g]
        H, W = latent_BCHW.shape[2:]
        before = torch.cat([self._detail(latent_BCHW[:, :N_MEANS]), latent_BCHW[:, N_MEANS:first]], 1)
        prior = self.priors[g](self._seen(before * self.unit), weight_BA)
        row_H, column_W = (torch.arange(n, device=latent_BCHW.device) for n in (H, W))
        is_first = (row_H[:, None] + column_W) % 2 == 0
        # nothing of the group is known at first, the same everywhere: one block's worth does for all
        nothing = latent_BCHW.new_zeros(len(latent_BCHW), 2 * (last - first) + 1, 1, 1)
        yield self._told(prior + self.owns[g](nothing, weight_BA), weight_BA, g, is_first)
        known_HW = is_first.to(latent_BCHW.dtype) * self.unit
        own = self._seen(latent_BCHW[:, first:last] * known_HW)
        own = torch.cat([own, known_HW.expand(len(own), 1, H, W)], 1)
        yield self._told(prior + self.owns[g](own, weight_BA), weight_BA, g, ~is_first)

    def _told(self, hidden_BDHW: Tensor, weight_BA: Tensor, g: int, place_HW: Tensor) -> Foresight:
        told = self.heads[g](functional.relu(hidden_BDHW[:, :, place_HW]), weight_BA)
        return Foresight(slice(*GROUPS[g]), place_HW, *told.chunk(2, 1))
