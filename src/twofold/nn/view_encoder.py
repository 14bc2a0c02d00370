"""An encoder of pictures whose features survive changed views: a patch code and a transformer, joined in closed form.

What both see is projected on the directions in which pictures differ most over changed views of one picture; the
steadier a direction, the longer it counts. So neither part needs a weight, and one that says nothing is left out.

Dimension key: N pictures, B of them at a time, V views, C channels, S side, F what both parts say, E features.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from twofold.nn.patch_code import PatchCode, ratio_axes
from twofold.nn.sparse_vit import SparseViT

__all__ = ["ViewEncoder", "parts_of", "solve_directions"]

N_FEATURES = 512
FLOOR = 0.1  # of the mean variance: what small numbers of pictures cannot tell from chance
AT_ONCE = 64


class ViewEncoder(nn.Module):
    """Pictures (B, C, S, S) in -1..1 to features (B, E).

    Parameters
    ----------
    vit : the transformer.
    code : the patch code, or None; then the features are the transformer's own.
    n_features : E.

    Examples
    --------
    >>> encoder = ViewEncoder(SparseViT(8, 1, patch=2, dim=32, depth=1), None, 32)
    >>> encoder(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 32])
    """

    def __init__(self, vit: SparseViT, code: PatchCode | None, n_features: int):
        super().__init__()
        self.vit, self.code, self.n_features = vit, code, n_features
        n_parts = vit.n_features + (0 if code is None else code.n_features)
        self.register_buffer("centre_F", torch.zeros(n_parts))
        self.register_buffer("scale_F", torch.ones(n_parts))
        self.register_buffer("axis_FE", torch.eye(n_parts)[:, :n_features].clone())

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> "ViewEncoder":
        """The encoder that these weights are of; `about` tells the size and channels of the pictures, and is_half."""
        of_vit, of_code = (
            {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}
            for part in ("vit.", "code.")
        )
        code = PatchCode.with_weights(of_code, is_half=bool(about["is_half"])) if of_code else None
        encoder = cls(SparseViT.with_weights(of_vit, about), code, tensors["axis_FE"].shape[1])
        encoder.load_state_dict(dict(tensors))
        return encoder

    @property
    def layers(self) -> list[nn.Module]:
        """The transformer's parts from the pixels to the features; the code has no weights to train."""
        return self.vit.layers

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, E)."""
        of_vit_BD = self.vit(picture_BCSS).float()
        of_both_BF = of_vit_BD if self.code is None else torch.cat([of_vit_BD, self.code(picture_BCSS)], 1)
        return ((of_both_BF - self.centre_F) / self.scale_F) @ self.axis_FE


@torch.no_grad()
def parts_of(part: nn.Module, picture_NCSS: Tensor) -> Tensor:
    """What one part says of many pictures, (N, F)."""
    return torch.cat([part(some_BCSS).float() for some_BCSS in picture_NCSS.split(AT_ONCE)])


@torch.no_grad()
def solve_directions(encoder: ViewEncoder, of_both_VNF: Tensor) -> Tensor:
    """Set the directions by what both parts say of V views of N pictures; the share (E) of each that survives."""
    encoder.centre_F.copy_(of_both_VNF.mean((0, 1)))
    away_VNF = of_both_VNF - encoder.centre_F
    encoder.scale_F.copy_(away_VNF.std((0, 1)).clamp_min(1e-6))
    away_VNF /= encoder.scale_F
    mean_NF, away_MF = away_VNF.mean(0), away_VNF.flatten(0, 1)
    axis_FE, share_E = ratio_axes(
        mean_NF.T @ mean_NF / len(mean_NF), away_MF.T @ away_MF / len(away_MF), encoder.n_features, FLOOR
    )
    encoder.axis_FE.copy_(axis_FE * share_E.square())
    return share_E
