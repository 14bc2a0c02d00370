"""Which noise makes something like a given item: so that a forger can be taught to reach every one of them.

Li and Malik 2018 (implicit maximum likelihood estimation), https://arxiv.org/abs/1809.09087: to each real item the
nearest made one is brought nearer, instead of to each made one the nearest real. What was made lately stands in for
what could be made now.
Dimension key: B items at a time, P made lately, Z noise numbers, Q numbers of an item's coarse look.
"""

import torch
from torch import Tensor, nn

__all__ = ["Reach"]

N_KEPT = 4096


class Reach(nn.Module):
    """The noise of what was made lately, with its coarse look and class.

    Parameters
    ----------
    n_noise, n_coarse : Z and Q.
    n_kept : P.

    Examples
    --------
    >>> reach = Reach(n_noise=2, n_coarse=1, n_kept=3)
    >>> reach.remember(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([[0.0], [9.0]]), torch.zeros(2))
    >>> reach.nearest(torch.tensor([[8.0]]), torch.zeros(1), torch.zeros(1, 2)).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, n_noise: int, n_coarse: int, n_kept: int = N_KEPT):
        super().__init__()
        self.register_buffer("noise_PZ", torch.zeros(n_kept, n_noise))
        self.register_buffer("coarse_PQ", torch.zeros(n_kept, n_coarse))
        # no item has a class below 0: nothing is found where nothing was made yet
        self.register_buffer("class_P", torch.full((n_kept,), -1))
        self.register_buffer("n_made", torch.tensor(0))

    @torch.no_grad()
    def nearest(self, coarse_BQ: Tensor, class_B: Tensor, otherwise_BZ: Tensor) -> Tensor:
        """The noise that made what looks most like each, of its class (B, Z); the other noise where there is none."""
        distance_BP = torch.cdist(coarse_BQ, self.coarse_PQ)
        distance_BP = distance_BP.masked_fill(self.class_P != class_B[:, None], torch.inf)
        least_B, place_B = distance_BP.min(1)
        return torch.where(least_B[:, None] < torch.inf, self.noise_PZ[place_B], otherwise_BZ)

    @torch.no_grad()
    def remember(self, noise_BZ: Tensor, coarse_BQ: Tensor, class_B: Tensor) -> None:
        """Take in what was made, in place of what was made longest ago."""
        place_B = (self.n_made + torch.arange(len(noise_BZ), device=noise_BZ.device)) % len(self.class_P)
        self.noise_PZ[place_B] = noise_BZ
        self.coarse_PQ[place_B] = coarse_BQ.to(self.coarse_PQ.dtype)
        self.class_P[place_B] = class_B.long()
        self.n_made += len(noise_BZ)
