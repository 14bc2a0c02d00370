"""Scales of numbers that suit networks and distances: extremes kept in order, without ruling all else.

Dimension key: N rows, P numbers, G knots.
"""

import torch
from torch import Tensor

__all__ = ["QuantileMap", "harden", "soften"]

KNEE = 4.0  # standard deviations


def soften(x: Tensor) -> Tensor:
    """The identity up to 4 standard deviations, logarithmic beyond: an extreme cell does not rule the network."""
    return torch.where(x.abs() > KNEE, x.sign() * (KNEE + torch.log1p((x.abs() - KNEE).clamp_min(0))), x)


def harden(x: Tensor) -> Tensor:
    """The inverse of `soften`."""
    return torch.where(x.abs() > KNEE, x.sign() * (KNEE + torch.expm1((x.abs() - KNEE).clamp(0, 20))), x)


class QuantileMap:
    """Each column to a normal distribution by its own quantiles; beyond the seen range it goes on linearly.

    Parameters
    ----------
    number_NP : rows to take the quantiles from; no NaN.
    """

    def __init__(self, number_NP: Tensor, n_knots: int = 64):
        share_G = torch.linspace(0, 1, n_knots + 1, dtype=number_NP.dtype)
        # torch.quantile takes at most 16 million numbers
        self.knot_PG = torch.stack([torch.quantile(x_N[:1_000_000], share_G) for x_N in number_NP.T]) if (
            number_NP.shape[1]
        ) else number_NP.new_zeros(0, n_knots + 1)  # fmt: skip

    def __call__(self, number_NP: Tensor) -> Tensor:
        """The mapped rows (N, P)."""
        x_PN, knot_PG, last = number_NP.T.contiguous(), self.knot_PG, self.knot_PG.shape[1] - 1
        left, right = torch.searchsorted(knot_PG, x_PN), torch.searchsorted(knot_PG, x_PN, right=True)
        below = (left - 1).clamp(0, last - 1)
        low, high = knot_PG.gather(1, below), knot_PG.gather(1, below + 1)
        between = (below + ((x_PN - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)) / last
        # a value that fills several knots sits in the middle of them
        tied = (left + right - 1) / 2 / last
        share_PN = torch.where(right > left, tied, between).clamp(1 / 256, 255 / 256)
        beyond_PN = (x_PN - knot_PG[:, -1:]).clamp_min(0) + (x_PN - knot_PG[:, :1]).clamp_max(0)
        return (torch.special.ndtri(share_PN) + beyond_PN).T.contiguous()
