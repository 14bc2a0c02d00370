"""What pictures coarsely look like, as codes, and new codes between those of real ones: what a forger is told to make.

A code holds the principal components of a coarse look. A new one is a mean, weighted at random, of a known one and its
nearest neighbours (after Chawla et al. 2002, https://arxiv.org/abs/1106.1813, who go from one to one other): so rare
kinds are drawn as often as they are met, and what is drawn is, but by rare chance, none of the known ones.
Dimension key: N pictures, B of them at a time, C channels, S side, Q numbers of a coarse look, P of a code, M known
codes, J of them in a mean, K classes, Z numbers of noise.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["N_KNOWN", "N_MEANT", "Sketch"]

N_CODES, N_KNOWN = 64, 4096
N_MEANT = 6  # J: itself and five neighbours
COARSE = 16  # pixels a side
AT_ONCE = 256
LEAST_SPREAD = 1e-4  # of a component, over that of the first: less is rounding


class Sketch(nn.Module):
    """Codes of coarse looks.

    Parameters
    ----------
    size, channels : of the pictures.
    n_known : room for M known codes, of pictures that `learn` is given.

    Examples
    --------
    >>> sketch, class_N = Sketch(32, 1, n_known=10), torch.zeros(10, dtype=torch.int64)
    >>> sketch.learn(sketch.look(torch.randn(10, 1, 32, 32)), class_N)
    >>> sketch.draw(torch.randn(4, sketch.n_noise), class_N[:4]).shape
    torch.Size([4, 64])
    """

    n_noise = 1 + N_MEANT
    """Normal numbers that a code is drawn by."""

    def __init__(self, size: int, channels: int, *, n_known: int, n_classes: int = 1):
        super().__init__()
        self.side, self.channels = min(COARSE, size), channels
        n_coarse = channels * self.side**2
        self.n_codes = min(N_CODES, n_coarse)
        self.register_buffer("mean_Q", torch.zeros(n_coarse))
        self.register_buffer("axis_QP", torch.zeros(n_coarse, self.n_codes))
        self.register_buffer("known_MP", torch.zeros(n_known, self.n_codes))
        self.register_buffer("near_MJ", torch.zeros(n_known, N_MEANT, dtype=torch.int64))
        # known codes are sorted by class: where each begins, and how many it has
        self.register_buffer("first_K", torch.zeros(n_classes, dtype=torch.int64))
        self.register_buffer("count_K", torch.ones(n_classes, dtype=torch.int64))

    @torch.no_grad()
    def learn(self, look_NQ: Tensor, class_N: Tensor) -> None:
        """Know these looks, as many as there is room for or fewer, and their classes."""
        order = class_N.argsort(stable=True)
        look_NQ, class_N = look_NQ[order].double(), class_N[order]
        mean_Q, axis_QP = _components(look_NQ, self.n_codes)
        self.mean_Q.copy_(mean_Q)
        self.axis_QP.copy_(axis_QP)
        self.known_MP[: len(look_NQ)] = ((look_NQ - mean_Q) @ axis_QP).float()
        count_K = torch.bincount(class_N, minlength=len(self.count_K))
        first_K = count_K.cumsum(0) - count_K
        for first, count in zip(first_K.tolist(), count_K.tolist(), strict=True):
            if count:
                own = slice(first, first + count)
                self.near_MJ[own] = first + _neighbours(look_NQ[own])
        # of a class that has none, any will do
        self.first_K.copy_(torch.where(count_K > 0, first_K, 0))
        self.count_K.copy_(torch.where(count_K > 0, count_K, len(class_N)))

    def look(self, picture_BCSS: Tensor) -> Tensor:
        """The pictures at 16 x 16, (B, Q): what they show, but not how sharp it is.

        Of latents the first channels are the colours.
        """
        return functional.adaptive_avg_pool2d(picture_BCSS[:, : self.channels].float(), self.side).flatten(1)

    def code(self, look_BQ: Tensor) -> Tensor:
        """Of pictures that look so (B, P)."""
        return (look_BQ - self.mean_Q) @ self.axis_QP

    def draw(self, noise_BZ: Tensor, class_B: Tensor) -> Tensor:
        """New codes of these classes (B, P), by normal numbers (B, 1 + J)."""
        chance_BZ = (0.5 * (1 + torch.erf(noise_BZ.float() / math.sqrt(2)))).clamp(1e-6, 1 - 1e-6)
        count_B = self.count_K[class_B]
        place_B = self.first_K[class_B] + (chance_BZ[:, 0] * count_B).long().minimum(count_B - 1)
        # all weights that sum to 1 are as likely
        weight_BJ = functional.normalize(-chance_BZ[:, 1:].log(), p=1.0)
        return (self.known_MP[self.near_MJ[place_B]] * weight_BJ[..., None]).sum(1)


def _components(look_NQ: Tensor, n_codes: int) -> tuple[Tensor, Tensor]:
    """The mean look (Q), and what brings a look to its principal components, each of variance 1 (Q, P)."""
    mean_Q = look_NQ.mean(0)
    off_NQ = look_NQ - mean_Q
    value_Q, own_QQ = torch.linalg.eigh(off_NQ.T @ off_NQ / len(off_NQ))
    spread_P = value_Q.flip(0)[:n_codes].clamp_min(0).sqrt()
    is_there_P = spread_P > LEAST_SPREAD * spread_P[:1].clamp_min(1e-12)
    return mean_Q, torch.where(is_there_P, own_QQ.flip(1)[:, :n_codes] / spread_P.clamp_min(1e-12), 0.0)


def _neighbours(look_MQ: Tensor) -> Tensor:
    """The places of each look and its nearest (M, J); again those there are, where there are fewer."""
    n = min(N_MEANT, len(look_MQ))
    parts = [torch.cdist(part_AQ, look_MQ).topk(n, largest=False).indices for part_AQ in look_MQ.split(AT_ONCE)]
    return torch.cat(parts)[:, torch.arange(N_MEANT) % n]
