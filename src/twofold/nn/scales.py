"""Scales of numbers that suit networks and distances: extremes kept in order, without ruling all else.

Dimension key: N rows, P numbers, G knots.
"""

import torch
from torch import Tensor

__all__ = ["QuantileMap", "harden", "soften"]

KNEE = 4.0  # standard deviations


def soften(x: Tensor) -> Tensor:
    """The identity up to 4 standard deviations, logarithmic beyond: an extreme cell does not rule the network."""
    return x.clamp(-KNEE, KNEE) + torch.log1p((x.abs() - KNEE).clamp_min(0)).copysign(x)


def harden(x: Tensor) -> Tensor:
    """The inverse of `soften`."""
    return x.clamp(-KNEE, KNEE) + torch.expm1((x.abs() - KNEE).clamp(0, 20)).copysign(x)


class QuantileMap:
    """Each column to a normal distribution by its own quantiles; beyond the seen range it goes on linearly.

    Parameters
    ----------
    number_NP : rows to take the quantiles from; NaN counts as 0.
    """

    def __init__(self, number_NP: Tensor, n_knots: int = 64):
        number_NP = number_NP[:1_000_000].nan_to_num(0.0)  # torch.quantile takes at most 16 million numbers
        share_G = torch.linspace(0, 1, n_knots + 1, dtype=number_NP.dtype)
        knots = [torch.quantile(x_N, share_G) for x_N in number_NP.T]
        self.knot_PG = torch.stack(knots) if knots else number_NP.new_zeros(0, n_knots + 1)
        self.edge_G = torch.special.ndtri(share_G.clamp(1 / 256, 255 / 256))
        # a value that fills several knots sits in the middle of them
        first_PG, after_PG = (torch.searchsorted(self.knot_PG, self.knot_PG, right=right) for right in (False, True))
        middle_PG = (first_PG + after_PG - 1).to(number_NP.dtype) / 2 / n_knots
        self.middle_PG = torch.special.ndtri(middle_PG.clamp(1 / 256, 255 / 256))

    def __call__(self, number_NP: Tensor) -> Tensor:
        """The mapped rows (N, P); NaN counts as 0."""
        x_PN = number_NP.nan_to_num(0.0).T.contiguous()
        above_PN = torch.searchsorted(self.knot_PG, x_PN).clamp_max_(self.knot_PG.shape[1] - 1)
        below_PN = (above_PN - 1).clamp_min_(0)
        low_PN, high_PN = self.knot_PG.gather(1, below_PN), self.knot_PG.gather(1, above_PN)
        part_PN = ((x_PN - low_PN) / (high_PN - low_PN).clamp_min_(1e-9)).clamp_(0, 1)
        between_PN = torch.lerp(self.edge_G[below_PN], self.edge_G[above_PN], part_PN)
        mapped_PN = torch.where(x_PN == high_PN, self.middle_PG.gather(1, above_PN), between_PN)
        beyond_PN = (x_PN - self.knot_PG[:, -1:]).clamp_min_(0) + (x_PN - self.knot_PG[:, :1]).clamp_max_(0)
        return (mapped_PN + beyond_PN).T.contiguous()
