"""From a raw score to what it is worth: evidence on one scale, and p-values with a promise.

Dimension key: N normal (calibration) rows, B rows asked about.
"""

import torch
from torch import Tensor

__all__ = ["Calibration", "EvidenceScale"]

TAIL = 0.2  # share of normal rows beyond which the tail is taken as exponential


class EvidenceScale:
    """A raw score as -log of its p-value among normal rows: by rank in the bulk, by an exponential tail beyond.

    Ranks alone tie all rows beyond the strangest normal one; the tail keeps them in order, so that the strongest
    evidence leads a sum of several. Ranks are interpolated: a score that differs in its last bit does too.

    Parameters
    ----------
    normal_N : raw scores of normal rows, float64.
    """

    def __init__(self, normal_N: Tensor):
        self.value_V, n_equal_V = normal_N.unique(return_counts=True)
        # of equal scores each has the middle rank
        rank_V = n_equal_V.cumsum(0) - n_equal_V / 2
        self.evidence_V = -torch.log((1 - rank_V / (len(normal_N) + 1)).double())
        self.edge = torch.quantile(normal_N, 1 - TAIL)
        excess = normal_N[normal_N > self.edge] - self.edge
        mean = excess.mean() if len(excess) else normal_N.new_zeros(())
        self.scale = mean if mean > 0 else normal_N.std(correction=0).clamp_min(1e-6)

    def __call__(self, score_B: Tensor) -> Tensor:
        """-log p, (B), 0 and up."""
        beyond_B = (score_B - self.edge).clamp_min(0) / self.scale
        return self._bulk(score_B.clamp_max(self.edge)) + beyond_B

    def _bulk(self, score_B: Tensor) -> Tensor:
        last = len(self.value_V) - 1
        above_B = torch.searchsorted(self.value_V, score_B).clamp(1 if last else 0, last)
        below_B = (above_B - 1).clamp_min(0)
        low_B, high_B = self.value_V[below_B], self.value_V[above_B]
        share_B = ((score_B - low_B) / (high_B - low_B).clamp_min(1e-300)).clamp(0, 1)
        return torch.lerp(self.evidence_V[below_B], self.evidence_V[above_B], share_B)


class Calibration:
    """Conformal p-values: for rows exchangeable with the calibration rows, P(p <= a) <= a for every a.

    The alarm rate asked is the one that comes. Vovk, Gammerman, Shafer 2005, Algorithmic learning in a random world.

    Parameters
    ----------
    score_N : scores of calibration rows, higher = stranger.
    weight_N : how many rows each stands for.
    """

    def __init__(self, score_N: Tensor, weight_N: Tensor):
        self.score_N, order_N = score_N.sort()
        self.weight_N = weight_N[order_N].double()
        # weight of the rows at least as strange as the n-th, and 0 beyond the last
        self.above_N = torch.cat([self.weight_N.flip(0).cumsum(0).flip(0), torch.zeros(1, dtype=torch.float64)])

    def p_values(self, score_B: Tensor) -> Tensor:
        """The share of rows at least as strange, the row itself counted, (B); at least 1 / (rows + 1)."""
        return (self.above_N[torch.searchsorted(self.score_N, score_B.contiguous())] + 1) / (self.above_N[0] + 1)

    def threshold(self, alarm_rate: float) -> float:
        """The score above which p <= alarm_rate; the strangest calibration row's where they are too few for that."""
        p_N = (self.above_N[1:] + 1) / (self.above_N[0] + 1)
        is_enough_N = p_N <= alarm_rate + 1e-12
        score = float(self.score_N[int(is_enough_N.double().argmax())] if is_enough_N.any() else self.score_N[-1])
        # a hair above: a row that ties with it is no alarm, whatever the last bit of its score
        return score + 1e-9 * (1 + abs(score))
