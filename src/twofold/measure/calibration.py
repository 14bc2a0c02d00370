"""From a raw score to what it is worth: evidence on one scale, and p-values with a promise.

Dimension key: N normal (calibration) rows, B rows asked about.
"""

import math

import torch
from torch import Tensor

__all__ = ["EvidenceScale", "conformal_p_values", "conformal_threshold"]

TAIL = 0.2  # share of normal rows beyond which the tail is taken as exponential


class EvidenceScale:
    """A raw score as -log of its p-value among normal rows: by rank in the bulk, by an exponential tail beyond.

    Ranks alone tie all rows beyond the strangest normal one; the tail keeps them in order, so that the strongest
    evidence leads a sum of several.
    """

    def __init__(self, normal_N: Tensor):
        self.sorted_N = normal_N.sort().values
        self.edge = torch.quantile(normal_N, 1 - TAIL)
        excess = normal_N[normal_N > self.edge] - self.edge
        mean = excess.mean() if len(excess) else torch.zeros((), dtype=normal_N.dtype)
        self.scale = mean if mean > 0 else normal_N.std(correction=0).clamp_min(1e-6)

    def __call__(self, score_B: Tensor) -> Tensor:
        """-log p, (B), 0 and up."""
        n = len(self.sorted_N)
        n_below = torch.searchsorted(self.sorted_N, score_B) + torch.searchsorted(self.sorted_N, score_B, right=True)
        bulk_B = -torch.log((1 - n_below / 2 / (n + 1)).clamp(1 / (n + 1), 1)).clamp_max(-math.log(TAIL))
        beyond_B = (score_B - self.edge) / self.scale - math.log(TAIL)
        return torch.where(score_B > self.edge, beyond_B, bulk_B)


def conformal_p_values(calibration_N: Tensor, score_B: Tensor) -> Tensor:
    """The share of calibration rows at least as strange, the row itself counted, (B).

    For a row exchangeable with the calibration rows, P(p <= a) <= a for every a: the alarm rate asked is the one that
    comes. At least 1 / (N + 1). Vovk, Gammerman, Shafer 2005, Algorithmic learning in a random world.
    """
    n = len(calibration_N)
    n_below = torch.searchsorted(calibration_N.sort().values, score_B)
    return (n - n_below + 1) / (n + 1)


def conformal_threshold(calibration_N: Tensor, alarm_rate: float) -> float:
    """The score above which p <= alarm_rate; the largest calibration score where N is too small for that rate."""
    n = len(calibration_N)
    n_above = max(0, math.floor(alarm_rate * (n + 1) + 1e-9) - 1)
    return float(calibration_N.sort(descending=True).values[min(n_above, n - 1)])
