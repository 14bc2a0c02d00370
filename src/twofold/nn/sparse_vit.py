"""A vision transformer that computes only what it sees, and a light one that paints what it did not.

The encoder is handed the patches that are visible and their places: with three of four hidden it does a quarter of the
work. The decoder puts one learnt token where a patch is hidden and answers with the pixels of every patch.

Dosovitskiy et al. 2021 (ViT), https://arxiv.org/abs/2010.11929; He et al. 2022 (masked autoencoders),
https://arxiv.org/abs/2111.06377; Touvron et al. 2021 (scaled branches), https://arxiv.org/abs/2103.17239
Dimension key: B pictures, C channels, S side, P side of a patch, T = (S / P)^2 patches, V visible ones, X = C P P
numbers of a patch, D width, H heads, E width of a head.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PatchPainter", "SparseViT", "as_patches", "as_picture", "visible"]

HEAD = 32  # width of an attention head


def as_patches(picture_BCSS: Tensor, size: int) -> Tensor:
    """The patches of P x P, row by row, each channel by channel: (B, T, X).

    Examples
    --------
    >>> as_patches(torch.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    return functional.pixel_unshuffle(picture_BCSS, size).flatten(2).mT


def as_picture(patch_BTX: Tensor, size: int) -> Tensor:
    """The reverse of `as_patches`: (B, C, S, S)."""
    side = round(patch_BTX.shape[1] ** 0.5)
    return functional.pixel_shuffle(patch_BTX.mT.unflatten(2, (side, side)), size)


def visible(chance_BT: Tensor, n_visible: int) -> Tensor:
    """The places (B, V) of patches drawn at random, in order: those with the smallest chances."""
    return chance_BT.argsort(1)[:, :n_visible].sort(1).values


class SparseViT(nn.Module):
    """Pictures to one vector for each visible patch; all are visible where nothing is said.

    Parameters
    ----------
    size, channels : of the pictures, (B, C, S, S) in -1..1.
    patch : P, a divisor of the size.
    dim, depth : width, and number of blocks.

    Examples
    --------
    >>> network = SparseViT(8, 1, patch=2, dim=32, depth=1)
    >>> picture, place = torch.zeros(3, 1, 8, 8), torch.tensor([[0, 5, 9]]).expand(3, -1)
    >>> network.tokens(picture, place).shape, network(picture).shape
    (torch.Size([3, 3, 32]), torch.Size([3, 32]))
    """

    def __init__(self, size: int, channels: int, patch: int, dim: int, depth: int):
        super().__init__()
        self.size, self.channels, self.patch = size, channels, patch
        self.n_patches, self.n_features = (size // patch) ** 2, dim
        self.embedding = nn.Sequential(
            nn.Linear(channels * patch**2, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim, bias=False)
        )
        self.place_TD = nn.Parameter(_waves(size // patch, dim))
        self.blocks = nn.ModuleList(_Block(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> "SparseViT":
        """The network that these weights are of; `about` tells the size and channels of the pictures."""
        n_patches, dim = tensors["place_TD"].shape
        depth = sum(name.startswith("blocks.") and name.endswith("attention.out.weight") for name in tensors)
        patch = about["size"] // round(n_patches**0.5)
        network = cls(about["size"], about["channels"], patch, dim, depth)
        network.load_state_dict(dict(tensors))
        return network

    @property
    def layers(self) -> list[nn.Module]:
        """Its parts from the pixels to the features."""
        return [self.embedding, *self.blocks, self.norm]

    def tokens(self, picture_BCSS: Tensor, place_BV: Tensor | None = None) -> Tensor:
        """A vector (B, V, D) for each of these patches, computed from them alone."""
        patch_BTX, place_BTD = as_patches(picture_BCSS, self.patch), self.place_TD.expand(picture_BCSS.shape[0], -1, -1)
        if place_BV is not None:
            patch_BTX, place_BTD = picked(patch_BTX, place_BV), picked(place_BTD, place_BV)
        x_BVD = self.embedding(patch_BTX) + place_BTD
        for block in self.blocks:
            x_BVD = block(x_BVD)
        return self.norm(x_BVD)

    def is_visible(self, place_BV: Tensor) -> Tensor:
        """Which pixels lie in these patches, (B, 1, S, S) booleans."""
        side = self.size // self.patch
        seen_BT = place_BV.new_zeros(len(place_BV), self.n_patches).scatter(1, place_BV, 1)
        wide_B1St = seen_BT.view(-1, 1, side, side).repeat_interleave(self.patch, 2)
        return wide_B1St.repeat_interleave(self.patch, 3) > 0

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D): the mean over all patches."""
        return self.tokens(picture_BCSS).mean(1)


class PatchPainter(nn.Module):
    """From the visible patches' vectors to the pixels of all patches.

    Parameters
    ----------
    n_inputs : D, width of the encoder.
    n_patches, n_outputs : T, and X numbers of a patch.
    """

    def __init__(self, n_inputs: int, n_patches: int, n_outputs: int, dim: int, depth: int):
        super().__init__()
        self.first = nn.Linear(n_inputs, dim)
        self.hidden_D = nn.Parameter(torch.zeros(dim))
        self.place_TD = nn.Parameter(_waves(round(n_patches**0.5), dim))
        self.blocks = nn.ModuleList(_Block(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.last = nn.Linear(dim, n_outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, token_BVD: Tensor, place_BV: Tensor) -> Tensor:
        """The pixels (B, T, X) of all patches, those that were visible too."""
        known_BVD = self.first(token_BVD)
        B, _, D = known_BVD.shape
        x_BTD = self.hidden_D.to(known_BVD.dtype).expand(B, len(self.place_TD), D)
        x_BTD = x_BTD.scatter(1, place_BV[..., None].expand(-1, -1, D), known_BVD) + self.place_TD
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return self.last(self.norm(x_BTD))


def picked(x_BTD: Tensor, place_BV: Tensor) -> Tensor:
    """The vectors at these places (B, V, D)."""
    return x_BTD.gather(1, place_BV[..., None].expand(-1, -1, x_BTD.shape[2]))


# ---- parts ---------------------------------------------------------------------------------------


class _Attention(nn.Module):
    """Every patch looks at every other one."""

    def __init__(self, dim: int):
        super().__init__()
        self.n_heads = next(n for n in range(max(1, dim // HEAD), 0, -1) if dim % n == 0)
        self.into, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        query_BHTE, key_BHTE, value_BHTE = self.into(x_BTD).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        # written out: the fused kernel's way back costs ten times as much for few patches on a processor
        look_BHTT = (query_BHTE * query_BHTE.shape[3] ** -0.5 @ key_BHTE.mT).softmax(3)
        mixed_BHTE = look_BHTT.to(value_BHTE.dtype) @ value_BHTE
        return self.out(mixed_BHTE.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """Attention, then a feed-forward net four times as wide; each adds little at the start."""

    def __init__(self, dim: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.attention = _Attention(dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.scale_2D = nn.Parameter(torch.full((2, dim), 0.1))

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = x_BTD + self.scale_2D[0] * self.attention(self.norms[0](x_BTD))
        return x_BTD + self.scale_2D[1] * self.down(functional.gelu(self.up(self.norms[1](x_BTD))))


def _waves(side: int, dim: int) -> Tensor:
    """Where each patch is, as sines and cosines of row and column, (T, D)."""
    n = -(-dim // 4)
    angle_sn = torch.arange(side)[:, None] * 100.0 ** (-torch.arange(n) / n)
    wave_sn = torch.cat([angle_sn.sin(), angle_sn.cos()], 1)
    rows, columns = wave_sn.repeat_interleave(side, 0), wave_sn.repeat(side, 1)
    return torch.cat([rows, columns], 1)[:, :dim]
