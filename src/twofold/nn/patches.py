"""Patches of normal pictures that are kept, and how far a new one is from the nearest of them.

Roth et al. 2022 (PatchCore), https://arxiv.org/abs/2106.08265; greedy core-set: Sener, Savarese 2018,
https://arxiv.org/abs/1708.00489
Dimension key: B pictures, C channels, S side, D features of a patch, g cells a side, P = g * g patches of a picture,
N candidates, M patches kept, Q patches asked about, R numbers of a random projection.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["PatchMemory", "core_set", "joined", "raw_patches"]

N_PROJECTED = 16
PATCHES_AT_ONCE = 1024
RAW_SIDE, RAW_STEP = 8, 4


class PatchMemory:
    """Patches of normal pictures; the distance from others to the nearest of them is exact.

    Parameters
    ----------
    patch_MD : the patches.
    owner_M : the number of the picture that each comes from.
    scale_D : what each feature is divided by.
    """

    def __init__(self, patch_MD: Tensor, owner_M: Tensor, scale_D: Tensor):
        self.patch_MD, self.owner_M, self.scale_D = patch_MD, owner_M, scale_D
        self.place_MD = patch_MD.float() / scale_D
        self.square_M = self.place_MD.square().sum(1)

    @classmethod
    def keep(cls, patch_ND: Tensor, owner_N: Tensor, n_kept: int, generator: torch.Generator) -> "PatchMemory":
        """Of many patches those that leave no other one far away."""
        scale_D = patch_ND.std(0, correction=0)
        scale_D = torch.where(scale_D > 1e-6 * (1 + scale_D.max()), scale_D, torch.ones_like(scale_D))
        kept_M = core_set(patch_ND / scale_D, n_kept, generator)
        # in half precision: kept patches and asked ones are rounded alike
        return cls(patch_ND[kept_M].half(), owner_N[kept_M], scale_D)

    def distances(self, patch_QD: Tensor, own: int = -1) -> Tensor:
        """To the nearest patch (Q); those of picture `own` are not seen, where there are others."""
        is_own_M = self.owner_M == own
        square_M = self.square_M
        if is_own_M.any() and not is_own_M.all():
            square_M = square_M.masked_fill(is_own_M, torch.inf)
        parts = (patch_QD.half().float() / self.scale_D).split(PATCHES_AT_ONCE)
        return torch.cat([self._nearest(part_QD, square_M) for part_QD in parts])

    def _nearest(self, place_QD: Tensor, square_M: Tensor) -> Tensor:
        nearest_Q = torch.addmm(square_M, place_QD, self.place_MD.T, alpha=-2).argmin(1)
        # taken again exactly: the difference of large squares loses small distances
        return (self.place_MD[nearest_Q] - place_QD).square().sum(1).sqrt()


def core_set(place_ND: Tensor, n_kept: int, generator: torch.Generator) -> Tensor:
    """Places (M) of patches chosen one by one, each the farthest from those before it.

    Distances are taken after a random projection, which keeps them roughly.
    """
    N, D = place_ND.shape
    if n_kept >= N:
        return torch.arange(N)
    projected_NR = place_ND @ torch.randn(D, N_PROJECTED, generator=generator)
    chosen_M = torch.empty(n_kept, dtype=torch.int64)
    chosen_M[0] = torch.randint(N, (1,), generator=generator)
    far_N = torch.full((N,), torch.inf)
    for i in range(1, n_kept):
        distance_N = (projected_NR - projected_NR[chosen_M[i - 1]]).square_().sum(1)
        far_N = torch.minimum(far_N, distance_N)
        chosen_M[i] = far_N.argmax()
    return chosen_M


def joined(features: list[Tensor]) -> Tensor:
    """Features of several grids as patches (B, P, D), on the grid of the first."""
    size = features[0].shape[2:]
    same = [features[0], *(functional.interpolate(x, size, mode="bilinear") for x in features[1:])]
    return torch.cat(same, 1).flatten(2).transpose(1, 2)


def raw_patches(picture_BCSS: Tensor) -> Tensor:
    """Patches of 8 x 8 pixels, one at every fourth pixel, (B, P, D)."""
    padded = functional.pad(picture_BCSS, (RAW_STEP // 2,) * 4, mode="replicate")
    return functional.unfold(padded, RAW_SIDE, stride=RAW_STEP).transpose(1, 2)
