"""Pictures as small ones of more channels, and back: an autoencoder whose latent is still a picture.

The encoder keeps of each patch of 4 x 4 pixels its mean colour and the principal components of the rest. The decoder is
the way back, and what convolutions learn to add, by the neighbours of each patch: before any training the whole is PCA
of patches. A GAN that plays in this latent has a sixteenth of the places to fill (as the diffusion of Rombach et al.
2022, https://arxiv.org/abs/2112.10752).
Dimension key: B pictures, C channels, S side, P = 4 pixels of a patch, s = S / P side of the latent, L channels of it,
F = C * P * P numbers of a patch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PATCH", "PatchAutoencoder"]

PATCH = 4
KEPT = 1 / 8  # of a patch's numbers
WIDEST = 0.999  # of the latent's numbers lie within -1..1; what does not is cut off
DIM = 64


class PatchAutoencoder(nn.Module):
    """Pictures (B, C, S, S) in -1..1 to latents (B, L, s, s) in -1..1, and back.

    Examples
    --------
    >>> autoencoder, picture_BCSS = PatchAutoencoder(3), torch.rand(2, 3, 32, 32)
    >>> autoencoder.begin(picture_BCSS)
    >>> latent = autoencoder.encode(picture_BCSS)
    >>> latent.shape, autoencoder.decode(latent).shape
    (torch.Size([2, 6, 8, 8]), torch.Size([2, 3, 32, 32]))
    """

    def __init__(self, channels: int, dim: int = DIM):
        super().__init__()
        F = channels * PATCH**2
        self.n_latents = L = round(F * KEPT)
        self.register_buffer("mean_F", torch.zeros(F))
        self.register_buffer("axis_LF", torch.zeros(L, F))
        self.register_buffer("reach_L", torch.ones(L))
        self.added = nn.Sequential(
            nn.Conv2d(L, dim, 3, padding=1), nn.GELU(), nn.Conv2d(dim, dim, 3, padding=1), nn.GELU(),
            nn.Conv2d(dim, F, 3, padding=1),
        )  # fmt: skip
        nn.init.zeros_(self.added[-1].weight)
        nn.init.zeros_(self.added[-1].bias)

    @torch.no_grad()
    def begin(self, picture_BCSS: Tensor) -> None:
        """Be the means and the PCA of these pictures' patches."""
        patch_NF = functional.pixel_unshuffle(picture_BCSS, PATCH).movedim(1, -1).flatten(0, 2).double()
        C = picture_BCSS.shape[1]
        colour_CF = torch.eye(C, dtype=torch.float64).repeat_interleave(PATCH**2, 1) / PATCH
        mean_F = patch_NF.mean(0)
        off_NF = patch_NF - mean_F
        rest_NF = off_NF - off_NF @ colour_CF.T @ colour_CF
        axis_LF = torch.linalg.eigh(rest_NF.T @ rest_NF)[1].T.flip(0)[: self.n_latents - C]
        axis_LF = torch.cat([colour_CF, axis_LF])
        self.mean_F.copy_(mean_F)
        self.axis_LF.copy_(axis_LF)
        far_NL = (off_NF @ axis_LF.T).abs()
        place = max(1, round(WIDEST * len(far_NL)))
        self.reach_L.copy_(far_NL.kthvalue(place, dim=0)[0].clamp_min(1e-3))

    def encode(self, picture_BCSS: Tensor) -> Tensor:
        """The latent (B, L, s, s): the mean colours in the first C channels."""
        patch_BFss = functional.pixel_unshuffle(picture_BCSS.float(), PATCH) - self.mean_F[:, None, None]
        latent_BLss = functional.conv2d(patch_BFss, (self.axis_LF / self.reach_L[:, None])[..., None, None])
        return latent_BLss.clamp(-1, 1)

    def decode(self, latent_BLss: Tensor) -> Tensor:
        """Pictures (B, C, S, S), about -1..1."""
        back_FL = self.axis_LF.T * self.reach_L
        patch_BFss = functional.conv2d(latent_BLss.float(), back_FL[..., None, None], self.mean_F)
        return functional.pixel_shuffle(patch_BFss + self.added(latent_BLss.float()), PATCH)
