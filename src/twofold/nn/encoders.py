"""The encoder of an autoencoder of pictures, and the discriminator of a GAN, as bodies whose features others build on.

Dimension key: B pictures, C channels, S side, Z latent numbers, D features, K features of a stage, h, w its sides.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from twofold.nn.convolutional import PictureEncoder
from twofold.nn.dcgan import PictureDiscriminator

__all__ = ["DetectiveBody", "OrderedBody", "pooled"]


class OrderedBody(nn.Module):
    """Mean and spread of each stage's features, and the ordered latent numbers: PCA's and what the encoder adds.

    Parameters
    ----------
    size, channels : S and C of the pictures.
    latent_dim : Z.
    dim : width after the first halving.
    """

    def __init__(self, size: int, channels: int, latent_dim: int, dim: int):
        super().__init__()
        self.encoder = PictureEncoder(size, channels, latent_dim, dim)
        self.register_buffer("centre_O", torch.zeros(channels * size * size))
        self.register_buffer("axis_ZO", torch.zeros(latent_dim, channels * size * size))
        self.register_buffer("spread_Z", torch.ones(latent_dim))
        self.register_buffer("bend", torch.ones(()))

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> "OrderedBody":
        """The body of an autoencoder's weights; more of them, such as the decoder's, are left out."""
        first = tensors["encoder.layers.0.0.weight"]
        with torch.device("meta"):
            body = cls(arguments["size"], arguments["channels"], len(tensors["spread_Z"]), len(first))
        body.load_state_dict({name: tensors[name] for name in body.state_dict()}, assign=True)
        return body.eval()

    @property
    def blocks(self) -> list[int]:
        """Widths of the blocks of features that belong together."""
        widths = [layer[0].out_channels for layer in self.encoder.layers]
        return [*(width for width in widths for _ in range(2)), len(self.spread_Z)]

    @property
    def n_features(self) -> int:
        """D."""
        return sum(self.blocks)

    @property
    def layers(self) -> list[nn.Module]:
        """From input to output."""
        return [*self.encoder.layers, self.encoder.last]

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D) of pictures in -1..1."""
        stage, parts = picture_BCSS, []
        for layer in self.encoder.layers:
            stage = layer(stage)
            parts += pooled(stage)
        straight_BZ = (picture_BCSS.flatten(1) - self.centre_O) @ self.axis_ZO.T
        return torch.cat([*parts, straight_BZ + self.bend * self.spread_Z * self.encoder.last(stage.flatten(1))], 1)


class DetectiveBody(nn.Module):
    """Mean and spread of each stage's features in a discriminator, who had to learn what real pictures have in common.

    Radford, Metz, Chintala 2015, section 5.1, https://arxiv.org/abs/1511.06434.

    Parameters
    ----------
    size, channels : S and C of the pictures.
    dim : width after the first halving.
    is_normed : whether it was taught with batch normalisation.
    """

    def __init__(self, size: int, channels: int, dim: int, *, is_normed: bool):
        super().__init__()
        self.discriminator = PictureDiscriminator(size, channels, n_classes=1, dim=dim, is_normed=is_normed)

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> "DetectiveBody":
        """The body of a GAN's weights; more of them, such as the generator's, are left out."""
        dim = len(tensors["discriminator.layers.0.weight"])
        is_normed = any(name.startswith("discriminator.norms.") for name in tensors)
        with torch.device("meta"):
            body = cls(arguments["size"], arguments["channels"], dim, is_normed=is_normed)
        body.load_state_dict({name: tensors[name] for name in body.state_dict()}, assign=True)
        return body.eval()

    @property
    def blocks(self) -> list[int]:
        """Widths of the blocks of features that belong together."""
        return [layer.out_channels for layer in self.discriminator.layers for _ in range(2)]

    @property
    def n_features(self) -> int:
        """D."""
        return sum(self.blocks)

    @property
    def layers(self) -> list[nn.Module]:
        """From input to output."""
        return list(self.discriminator.layers)

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D) of pictures in -1..1."""
        parts = [part for stage in self.discriminator.stages(picture_BCSS) for part in pooled(stage)]
        return torch.cat(parts, 1)


def pooled(stage_BKhw: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the plane, (B, K) each, in full precision."""
    stage_BKhw = stage_BKhw.float()
    mean_BK = stage_BKhw.mean((2, 3))
    # the root has no slope at 0
    return mean_BK, ((stage_BKhw - mean_BK[:, :, None, None]).square().mean((2, 3)) + 1e-8).sqrt()
