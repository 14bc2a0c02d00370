"""A picture codec that starts as a block transform (cosines) and learns to open what was rounded.

Pixels become orthonormal 8 x 8 cosine coefficients of orthonormal colours, so that an error in a coefficient is the
same error in the pixels, and at the first step this already is a codec. What is learned: the rounding steps, and the
way back, by a network on the blocks' latents and one on the pixels, which takes away the blocks and what rounding
spoiled. One model serves all qualities: steps, and the gains inside the networks, go by a continuous quality.

Esser et al. 2020, Learned step size quantization, https://arxiv.org/abs/1902.08153; Zhang et al. 2017, Beyond a
Gaussian denoiser, https://arxiv.org/abs/1608.03981 (networks that mend JPEG); Cui et al. 2021,
https://arxiv.org/abs/2003.02012 (gain units: one model for many rates).
Dimension key: B pictures, C = 192 coefficients of a block, H and W blocks down and across, D width, A anchors of
the quality.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BLOCK", "N_COEFFICIENTS", "N_LEVELS", "Codec", "anchor_weights", "rounded", "step_size"]

BLOCK = 8  # pixels
N_COEFFICIENTS = 3 * BLOCK**2
N_ANCHORS = 5
N_LEVELS = 64  # qualities go from 0 to this, the finest
FINEST, RANGE = 3.3, 4.2  # log2 of the finest step, and how many octaves lie between it and the coarsest
DEAD_ZONE = (0.6, 0.54)  # from which part of a step on a latent is rounded up: to 1, and beyond
CAUTION = 0.1  # on what the networks add: their first steps must not undo the start
HANDED = 20  # channels that the synthesis hands up to it


def anchor_weights(level_B: Tensor) -> Tensor:
    """How much each anchor counts at a level of 0..64, (B, A): neighbours share; sixteenths for whole levels."""
    place_B1 = level_B[:, None].float() * (N_ANCHORS - 1) / N_LEVELS
    return (1 - (place_B1 - torch.arange(N_ANCHORS, device=level_B.device)).abs()).clamp_min(0)


def step_size(level_B: Tensor) -> Tensor:
    """The nominal rounding step at a level, in grey values (B)."""
    return torch.exp2(FINEST + RANGE * (1 - level_B.float() / N_LEVELS))


def rounded(latent_BCHW: Tensor) -> Tensor:
    """About what an encoder chooses: whole numbers, small ones rather 0; backwards as if nothing had happened."""
    size_BCHW = latent_BCHW.detach().abs()
    threshold_BCHW = torch.where(size_BCHW < 1, *DEAD_ZONE)
    threshold_BCHW[:, :3] = 0.5
    whole_BCHW = latent_BCHW.detach().sign() * (size_BCHW + 1 - threshold_BCHW).floor()
    return latent_BCHW + (whole_BCHW - latent_BCHW).detach()


class Blocks(nn.Module):
    """Orthonormal colours and cosines: (B, 3, 8H, 8W) to (B, C, H, W) and back."""

    def __init__(self) -> None:
        super().__init__()
        cosine = torch.cos(math.pi / BLOCK * (torch.arange(BLOCK) + 0.5) * torch.arange(BLOCK)[:, None])
        cosine *= torch.where(torch.arange(BLOCK) == 0, 1 / BLOCK, 2 / BLOCK).sqrt()[:, None]
        colour = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-0.5, 1.0, -0.5]])
        colour /= colour.norm(dim=1, keepdim=True)
        basis = torch.einsum("kc,ui,vj->kuvcij", colour, cosine, cosine)
        # the low frequencies of all colours first: order is refined from the data by `Codec.start`
        self.register_buffer("basis_C3II", basis.reshape(N_COEFFICIENTS, 3, BLOCK, BLOCK), persistent=False)
        is_luma = torch.arange(N_COEFFICIENTS) < BLOCK**2
        self.register_buffer("order_C", torch.arange(N_COEFFICIENTS))
        self.register_buffer("is_luma_C", is_luma)

    def reorder(self, variance_C: Tensor) -> None:
        """Put the three means of a block first, then the coefficients by falling variance."""
        key_C = variance_C.clone()
        key_C[[0, BLOCK**2, 2 * BLOCK**2]] = torch.tensor([3e9, 2e9, 1e9])
        self.order_C.copy_(key_C.argsort(descending=True))
        self.is_luma_C.copy_(self.order_C < BLOCK**2)

    def forward(self, pixel_B3YX: Tensor) -> Tensor:
        """Pixels around 0 to coefficients."""
        return functional.conv2d(pixel_B3YX, self.basis_C3II[self.order_C], stride=BLOCK)

    def inverse(self, coefficient_BCHW: Tensor) -> Tensor:
        """Coefficients to pixels around 0."""
        return functional.conv_transpose2d(coefficient_BCHW, self.basis_C3II[self.order_C], stride=BLOCK)


class Block(nn.Module):
    """Two convolutions beside a straight path, with a gain and a shift for the quality."""

    def __init__(self, dim: int):
        super().__init__()
        self.inner = nn.Conv2d(dim, dim, 3, padding=1)
        self.outer = nn.Conv2d(dim, dim, 3, padding=1)
        self.gain = nn.Linear(N_ANCHORS, 2 * dim, bias=False)
        nn.init.zeros_(self.gain.weight)
        with torch.no_grad():
            self.outer.weight.mul_(0.3)

    def forward(self, hidden_BDHW: Tensor, weight_BA: Tensor) -> Tensor:
        gain_BD11, shift_BD11 = self.gain(weight_BA)[:, :, None, None].chunk(2, 1)
        inner_BDHW = functional.relu(self.inner(hidden_BDHW) * (1 + gain_BD11) + shift_BD11)
        return hidden_BDHW + self.outer(inner_BDHW)


class Trunk(nn.Module):
    """A first convolution, some blocks, and a last one that starts at nothing."""

    def __init__(self, n_in: int, dim: int, depth: int, n_out: int):
        super().__init__()
        self.first = nn.Conv2d(n_in, dim, 3, padding=1)
        self.blocks = nn.ModuleList(Block(dim) for _ in range(depth))
        self.last = nn.Conv2d(dim, n_out, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x_BCHW: Tensor, weight_BA: Tensor) -> Tensor:
        hidden_BDHW = self.first(x_BCHW)
        for block in self.blocks:
            hidden_BDHW = block(hidden_BDHW, weight_BA)
        return self.last(hidden_BDHW) * CAUTION


class Codec(nn.Module):
    """Pixels to latents before rounding, and rounded latents to pixels.

    A latent counts steps: 1 is one rounding step of its coefficient at this quality.

    Parameters
    ----------
    dim : width on the blocks; half of it at half the pixels' resolution.
    depth : blocks of the network on latents; the one on pixels has one more.
    """

    def __init__(self, dim: int = 128, depth: int = 2):
        super().__init__()
        C = N_COEFFICIENTS
        self.blocks = Blocks()
        self.register_buffer("spread_C11", torch.ones(C, 1, 1))
        self.finer_AC = nn.Parameter(torch.zeros(N_ANCHORS, C))
        self.synthesis = Trunk(2 * C, dim, depth, C + 16 * HANDED)
        self.post = Trunk(12 + HANDED, dim // 2, depth + 1, 12)
        # the post-network must hear of the blocks from the start
        nn.init.normal_(self.synthesis.last.weight[C:], std=0.1)

    @property
    def margin(self) -> int:
        """How many blocks around a block its pixels depend on."""
        on_blocks, on_halves = (2 * len(trunk.blocks) + 2 for trunk in (self.synthesis, self.post))
        return on_blocks + -(-on_halves // (BLOCK // 2))

    @torch.no_grad()
    def start(self, pixel_B3YX: Tensor) -> Tensor:
        """Order and scale the coefficients by what they are in these pictures.

        Returns log2 of the latents' spreads, as of a logistic distribution, at each anchor of the quality (A, C).
        """
        self.blocks.order_C.copy_(torch.arange(N_COEFFICIENTS))
        self.blocks.reorder(self.blocks(pixel_B3YX).var((0, 2, 3)))
        spread_C = self.blocks(pixel_B3YX).std((0, 2, 3))
        self.spread_C11.copy_(spread_C[:, None, None].clamp_min(0.5))
        anchors = torch.arange(N_ANCHORS) * N_LEVELS / (N_ANCHORS - 1)
        return torch.log2(0.55 * spread_C / step_size(anchors)[:, None] + 0.03)

    def steps(self, level_B: Tensor) -> Tensor:
        """The rounding step of each coefficient, in grey values (B, C, 1, 1)."""
        finer_BC = anchor_weights(level_B) @ self.finer_AC
        return (step_size(level_B)[:, None] * torch.exp2(-finer_BC))[:, :, None, None]

    def analyse(self, pixel_B3YX: Tensor, level_B: Tensor) -> Tensor:
        """Latents before rounding (B, C, H, W), of pixels -128..127 whose sides are multiples of 8."""
        return self.blocks(pixel_B3YX) / self.steps(level_B)

    def synthesise(self, latent_BCHW: Tensor, level_B: Tensor) -> Tensor:
        """Pixels around 0 (B, 3, 8H, 8W), of rounded latents."""
        weight_BA, step_BC11 = anchor_weights(level_B), self.steps(level_B)
        seen = torch.cat([latent_BCHW * step_BC11 / self.spread_C11, latent_BCHW.clamp(-2, 2)], 1)
        change_BCHW, handed_BEHW = self.synthesis(seen, weight_BA).split([N_COEFFICIENTS, 16 * HANDED], 1)
        with torch.autocast(latent_BCHW.device.type, enabled=False):
            pixel_B3YX = self.blocks.inverse((latent_BCHW + change_BCHW.float()) * step_BC11)
        half = [functional.pixel_unshuffle(pixel_B3YX, 2) / 64, functional.pixel_shuffle(handed_BEHW, 4)]
        added = functional.pixel_shuffle(self.post(torch.cat([h.to(half[1].dtype) for h in half], 1), weight_BA), 2)
        return pixel_B3YX + added.float() * step_size(level_B)[:, None, None, None] / 4
