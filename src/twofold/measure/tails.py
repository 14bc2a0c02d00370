"""How far out a cell lies in its own column.

Li et al. 2022, ECOD: unsupervised outlier detection using empirical cumulative distribution functions,
https://arxiv.org/abs/2201.00382
Dimension key: N reference rows, B rows asked about, P numbers, Q categories.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Tails"]


class Tails:
    """-log of the share of reference rows at least as far out, on the nearer side; of a level, -log of its share.

    Parameters
    ----------
    number_NP, category_NQ : reference rows; NaN counts as the mean, 0.
    cardinalities : codes of each category, 0 included.
    """

    def __init__(self, number_NP: Tensor, category_NQ: Tensor, cardinalities: Sequence[int]):
        self.sorted_PN = number_NP.nan_to_num(0.0).T.sort(1).values.contiguous()
        counts = [torch.bincount(code_N, minlength=n) for code_N, n in zip(category_NQ.T, cardinalities, strict=True)]
        self.rarity = [-torch.log((count + 1) / (len(number_NP) + 1)) for count in counts]

    def __call__(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """One number per cell, (B, P + Q), 0 and up."""
        n, x_PB = self.sorted_PN.shape[1], number_BP.nan_to_num(0.0).T.contiguous()
        n_up_to = torch.searchsorted(self.sorted_PN, x_PB, right=True)
        n_from = n - torch.searchsorted(self.sorted_PN, x_PB)
        tail_BP = -torch.log((torch.minimum(n_up_to, n_from) + 1) / (n + 1)).T
        rarity = [rare[code_B, None] for rare, code_B in zip(self.rarity, category_BQ.T, strict=True)]
        return torch.cat([tail_BP, *rarity], 1)
