"""The tower of a pair that pictures go up: fixed features, brought along their principal axes into the shared space.

Dimension key: N pictures, B of them at a time, C channels, S side, D features, R of them that are kept, E width of the
shared space.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.bend import Bend
from twofold.nn.pixels import from_pixels
from twofold.nn.plain_body import PlainBody

__all__ = ["Bodies", "PictureHead", "PictureTower", "principal_axes"]

AT_ONCE = 32
MOST_AXES, MOST_ROWS = 1024, 8000
TINY = 1e-6


class Bodies(nn.Module):
    """Several bodies side by side: features (B, D) of pictures in -1..1, each kind as wide as the others.

    Parameters
    ----------
    bodies : modules with `n_features`; `blocks` where their features are of several kinds.
    """

    def __init__(self, bodies: Sequence[nn.Module]):
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    @property
    def blocks(self) -> list[int]:
        """Widths of the kinds of features."""
        return [width for body in self.bodies for width in getattr(body, "blocks", [body.n_features])]

    @property
    def shares(self) -> list[float]:
        """How far each kind counts."""
        return [
            share
            for body in self.bodies
            for share in getattr(body, "shares", [1.0] * len(getattr(body, "blocks", [body.n_features])))
        ]

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D)."""
        return torch.cat([body(picture_BCSS).float() for body in self.bodies], 1)

    @torch.inference_mode()
    def of_pixels(self, pixel_NSSC: np.ndarray) -> np.ndarray:
        """Features (N, D), some pictures at a time."""
        device = next((t.device for t in (*self.parameters(), *self.buffers())), torch.device("cpu"))
        parts = []
        for first in range(0, len(pixel_NSSC), AT_ONCE):
            picture_BCSS = from_pixels(torch.tensor(np.asarray(pixel_NSSC[first : first + AT_ONCE])).to(device))
            parts.append(self(picture_BCSS.contiguous(memory_format=torch.channels_last)).cpu())
        return torch.cat(parts).numpy() if parts else np.empty((0, sum(self.blocks)), np.float32)


class PictureHead(nn.Module):
    """Features (B, D) to the shared space (B, E), not yet of length 1; what bends the way begins as nothing.

    Parameters
    ----------
    centre_D, axis_DR : where the features' middle lies, and their principal axes, scaled.
    """

    def __init__(self, centre_D: Tensor, axis_DR: Tensor, embed_dim: int, dim: int):
        super().__init__()
        self.register_buffer("centre_D", centre_D.float())
        self.register_buffer("axis_DR", axis_DR.float())
        R = axis_DR.shape[1]
        self.weight = nn.Parameter(torch.zeros(R, embed_dim))
        self.bias = nn.Parameter(torch.zeros(embed_dim))
        self.bend = Bend(R, dim, embed_dim)

    def reduced(self, feature_BD: Tensor) -> Tensor:
        """Along the axes, (B, R)."""
        return (feature_BD - self.centre_D) @ self.axis_DR

    def forward(self, reduced_BR: Tensor) -> Tensor:
        """(B, E)."""
        return reduced_BR @ self.weight + self.bias + self.bend(reduced_BR)


class PictureTower(nn.Module):
    """Pictures (B, C, S, S) in -1..1 to features for others to build on: (B, R + E)."""

    def __init__(self, bodies: Bodies, head: PictureHead):
        super().__init__()
        self.bodies, self.head = bodies, head

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> "PictureTower":
        """The tower that these weights are of; `arguments` tells of a borrowed body, where there is one."""
        from twofold.nn.backbones import rebuild

        bodies: list[nn.Module] = []
        if borrowed := arguments.get("borrowed"):
            bodies.append(rebuild(dict(borrowed) | {"prefix": "bodies.bodies.0."}, tensors).body)
        start = f"bodies.bodies.{len(bodies)}."
        own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        if own:
            bodies.append(PlainBody.with_weights(own, {}))
        head = PictureHead(
            tensors["head.centre_D"], tensors["head.axis_DR"], tensors["head.weight"].shape[1],
            len(tensors["head.bend.0.bias"]),
        )  # fmt: skip
        head.load_state_dict({n.removeprefix("head."): t for n, t in tensors.items() if n.startswith("head.")})
        return cls(Bodies(bodies), head).eval()

    @property
    def blocks(self) -> list[int]:
        """Widths of the features along the axes, and in the shared space."""
        return list(self.head.weight.shape)

    @property
    def n_features(self) -> int:
        """R + E."""
        return sum(self.blocks)

    @property
    def layers(self) -> list[nn.Module]:
        """Parts with weights, from input to output."""
        return [layer for body in self.bodies.bodies for layer in getattr(body, "layers", [])] + [self.head]

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """(B, R + E)."""
        reduced_BR = self.head.reduced(self.bodies(picture_BCSS))
        return torch.cat([reduced_BR, functional.normalize(self.head(reduced_BR), dim=1)], 1)

    def embedded(self, picture_BCSS: Tensor) -> Tensor:
        """In the shared space, of length 1: (B, E)."""
        return functional.normalize(self.head(self.head.reduced(self.bodies(picture_BCSS))), dim=1)


def principal_axes(
    feature_ND: np.ndarray, blocks: Sequence[int], shares: Sequence[float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The middle (D) and the principal axes (D, R) of features of several kinds.

    Along the axes the features are scaled as a whole: their mean variance is 1.

    Parameters
    ----------
    blocks, shares : how many features there are of each kind, and how far they count together.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(feature_ND))[:MOST_ROWS])
    feature_MD = feature_ND[rows].astype(np.float64)
    centre_D = feature_MD.mean(0)
    variances = [part.sum() for part in np.split(feature_MD.var(0), np.cumsum(blocks)[:-1])]
    # a kind that hardly varies tells nothing
    weights = [share / np.sqrt(v) if v > TINY else 0.0 for share, v in zip(shares, variances, strict=True)]
    weight_D = np.repeat(weights, blocks)
    scaled_MD = ((feature_MD - centre_D) * weight_D).astype(np.float32)
    R = max(1, min(MOST_AXES, len(feature_MD) - 1, scaled_MD.shape[1]))
    _, length_R, axis_RD = randomized_svd(scaled_MD, R, random_state=seed % 2**32, n_iter=2)
    scale = np.sqrt(len(feature_MD) * R / max(float(np.square(length_R).sum()), TINY))
    return centre_D.astype(np.float32), (weight_D[:, None] * axis_RD.T * scale).astype(np.float32)
