"""Features of a picture that need no training: what its patches mean, which colours lie where, and itself, small.

All are solved or counted from the pictures at hand, in seconds. Of little pictures and drawings they tell more than a
network that was taught on photographs; of photographs, something else than it does.

Swain, Ballard 1991 (colour histograms), https://doi.org/10.1007/BF00130487; the patch code: nn/patch_code.py
Dimension key: B pictures, C channels, S side, s side of the small copy, Q colours, R regions, D features.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.patch_code import PatchCode, learn_patch_code

__all__ = ["PlainBody", "colour_shares"]

LEVELS = {1: 16, 3: 4}  # of each channel, by how many channels there are
N_SPREAD = 1000  # pictures: six times as many gave nothing (docs/LOG.md)
SMALL = 8  # side of the small copy
N_REGIONS = 5  # the whole and its quarters


class PlainBody(nn.Module):
    """Pictures (B, C, S, S) in -1..1 to features (B, D) that need no training.

    Examples
    --------
    >>> pixels = torch.randint(0, 256, (50, 16, 16, 3), dtype=torch.uint8)
    >>> body = PlainBody.learn(pixels, seed=0, n_words=16)
    >>> body(torch.zeros(2, 3, 16, 16)).shape == (2, body.n_features)
    True
    """

    shares = (1.0, 0.7, 0.4)
    """How far the kinds of features count, beside each other."""

    def __init__(self, code: PatchCode):
        super().__init__()
        self.code = code

    @classmethod
    def learn(cls, pixel_NSSC: Tensor, *, seed: int, n_words: int = 1024) -> "PlainBody":
        """The body of these pictures, uint8."""
        order = torch.randperm(len(pixel_NSSC), generator=torch.Generator().manual_seed(seed))
        return cls(learn_patch_code(pixel_NSSC[order], seed, n_words=n_words, n_spread=N_SPREAD))

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> "PlainBody":
        """The body that these weights are of."""
        own = {name.removeprefix("code."): value for name, value in tensors.items()}
        return cls(PatchCode.with_weights(own, is_half=False)).eval()

    @property
    def blocks(self) -> list[int]:
        """Widths of the kinds of features."""
        C = self.code.channels
        return [self.code.n_features, N_REGIONS * LEVELS[C] ** C, C * SMALL**2]

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D)."""
        small_BCss = functional.adaptive_avg_pool2d(picture_BCSS, SMALL)
        return torch.cat([self.code(picture_BCSS), colour_shares(picture_BCSS), small_BCss.flatten(1)], 1)

    @property
    def n_features(self) -> int:
        """D."""
        return sum(self.blocks)


def colour_shares(picture_BCSS: Tensor) -> Tensor:
    """Roots of the shares of each colour in the whole picture and in its quarters, (B, R * Q)."""
    B, C, S, _ = picture_BCSS.shape
    levels = LEVELS[C]
    level_BCSS = ((picture_BCSS + 1) * levels / 2).long().clamp(0, levels - 1)
    power_1C11 = (levels ** torch.arange(C, device=picture_BCSS.device)).view(1, C, 1, 1)
    colour_BSS, Q = (level_BCSS * power_1C11).sum(1), levels**C
    half_S = (torch.arange(S, device=picture_BCSS.device) * 2 >= S).long()
    quarter_SS = 2 * half_S[:, None] + half_S
    picture_B11 = torch.arange(B, device=picture_BCSS.device).view(B, 1, 1)
    place_BSS = (picture_B11 * 4 + quarter_SS) * Q + colour_BSS
    count_B4Q = torch.bincount(place_BSS.flatten(), minlength=4 * B * Q).view(B, 4, Q).float()
    # a picture of one pixel has empty quarters
    share_B4Q = count_B4Q / count_B4Q.sum(2, keepdim=True).clamp_min(1)
    whole_B1Q = count_B4Q.sum(1, keepdim=True) / S**2
    return torch.cat([whole_B1Q, share_B4Q], 1).sqrt().flatten(1)
