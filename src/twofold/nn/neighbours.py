"""Exact nearest neighbours by matrix products, and what they say of a row of a table.

Breunig et al. 2000, LOF: identifying density-based local outliers, https://doi.org/10.1145/335191.335388
Dimension key: B queries, N references, D coordinates, K neighbours, P numbers, Q categories.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from twofold.nn.cells import Cells
from twofold.nn.scales import QuantileMap

__all__ = ["Neighbourhood", "nearest"]

ROWS_AT_ONCE = 128
BLOCK = 16


def nearest(query_BD: Tensor, reference_ND: Tensor, k: int, own_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distances and places (B, K) of the k nearest references of each query, nearest first.

    Parameters
    ----------
    own_B : the place of a reference that each query must not see, -1 for none.

    Notes
    -----
    Candidates are found in float32, by |q|^2 - 2 qr + |r|^2, which loses small distances between rows far from the
    origin; the distances of those found are then taken again, exactly, in float64.
    """
    n_others = len(reference_ND) - (own_B is not None)
    if n_others < 1:
        # a lone row has no neighbours: distance 0 to itself, for want of anything better
        alone_B1 = torch.zeros(len(query_BD), 1, dtype=torch.int64)
        return alone_B1.double(), alone_B1
    # made a multiple of the block, by rows that are infinitely far
    n_more = -len(reference_ND) % BLOCK
    padded_ND = torch.nn.functional.pad(reference_ND, (0, 0, 0, n_more))
    square_N = torch.nn.functional.pad(reference_ND.square().sum(1), (0, n_more), value=torch.inf)
    owns = [None] * len(query_BD) if own_B is None else own_B.split(ROWS_AT_ONCE)
    parts = [
        _nearest_of_few(part_BD, padded_ND, square_N, min(k, n_others), own)
        for part_BD, own in zip(query_BD.split(ROWS_AT_ONCE), owns, strict=False)
    ]
    distances, places = zip(*parts, strict=True)
    return torch.cat(distances), torch.cat(places)


def _nearest_of_few(
    query_BD: Tensor, reference_ND: Tensor, square_N: Tensor, k: int, own_B: Tensor | None
) -> tuple[Tensor, Tensor]:
    distance_BN = torch.addmm(square_N, query_BD, reference_ND.T, alpha=-2)
    if own_B is not None:
        rows_B = (own_B >= 0).nonzero()[:, 0]
        distance_BN[rows_B, own_B[rows_B]] = torch.inf
    place_BK = _smallest(distance_BN, k)
    exact_BK = (reference_ND[place_BK].double() - query_BD[:, None].double()).square().sum(2).sqrt()
    exact_BK, order_BK = exact_BK.sort(1)
    return exact_BK, place_BK.gather(1, order_BK)


def _smallest(x_BN: Tensor, k: int) -> Tensor:
    """Places (B, K) of the k smallest of each row: they lie in the k blocks with the smallest minima."""
    n_blocks = x_BN.shape[1] // BLOCK
    if n_blocks <= 2 * k:
        return x_BN.topk(k, dim=1, largest=False, sorted=False).indices
    # a block is every n_blocks-th place, which makes its minimum a quick one
    block_BK = x_BN.view(-1, BLOCK, n_blocks).amin(1).topk(k, dim=1, largest=False, sorted=False).indices
    candidate_BM = (block_BK[:, None] + n_blocks * torch.arange(BLOCK)[:, None]).flatten(1)
    return candidate_BM.gather(1, x_BN.gather(1, candidate_BM).topk(k, dim=1, largest=False, sorted=False).indices)


class Neighbourhood:
    """Reference rows as places, cells side by side: once in standard deviations, once by quantile.

    Parameters
    ----------
    number_NP, category_NQ : reference rows, NaN and 0 where missing.
    cardinalities : codes of each category, 0 included.
    k : neighbours of the local density.
    n_held_out : so many first rows are no neighbours when references are asked how dense their own place is: else
        those rows, asked about, would find their neighbours' places denser by themselves than new rows do.
    """

    def __init__(
        self,
        number_NP: Tensor,
        category_NQ: Tensor,
        cardinalities: Sequence[int],
        k: int = 10,
        n_held_out: int = 0,
    ):
        # a flag is a coordinate only where cells were seen missing
        self.cells = Cells(number_NP.shape[1], cardinalities, number_NP.isnan().any(0).nonzero()[:, 0].tolist())
        self.quantile = QuantileMap(number_NP.nan_to_num(0.0))
        self.k, self.own_N = k, torch.arange(len(number_NP))
        self.n_held_out = n_held_out if n_held_out < len(number_NP) - 1 else 0
        self.place_ND = self.place(number_NP, category_NQ)
        self.by_quantile_ND = self.place_by_quantile(number_NP, category_NQ)

    def place(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """(B, D). Two rows that differ in one category are 1 apart for it."""
        place_BD = self.cells.inputs(number_BP, category_BQ)
        place_BD[:, self.cells.n_inputs - sum(self.cells.n_levels) :] /= math.sqrt(2)
        return place_BD

    def place_by_quantile(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """The same, each number by its quantile."""
        return self.place(torch.where(number_BP.isnan(), number_BP, self.quantile(number_BP)), category_BQ)

    @cached_property
    def reach_N(self) -> Tensor:
        """The mean distance of each reference to its own k neighbours."""
        own_N = (self.own_N - self.n_held_out).clamp_min(-1)
        return nearest(self.place_ND, self.place_ND[self.n_held_out :], self.k, own_N)[0].mean(1)

    def own_distances(self, k: int) -> list[Tensor]:
        """The mean distance (N) of each reference to its k nearest others, in standard deviations and by quantile."""
        places = self.place_ND, self.by_quantile_ND
        return [nearest(place_ND, place_ND, k, self.own_N)[0].mean(1) for place_ND in places]

    def near(self, number_BP: Tensor, category_BQ: Tensor, own_B: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
        """Distances and places (B, K) in standard deviations."""
        return nearest(self.place(number_BP, category_BQ), self.place_ND, k, own_B)

    def near_by_quantile(self, number_BP: Tensor, category_BQ: Tensor, own_B: Tensor | None, k: int) -> Tensor:
        """Distances (B, K) by quantile."""
        return nearest(self.place_by_quantile(number_BP, category_BQ), self.by_quantile_ND, k, own_B)[0]

    def sparsity(self, near_BK: Tensor, who_BK: Tensor) -> Tensor:
        """How much farther a row's neighbours are than those neighbours' own, (B); 1 where it is as dense."""
        reach_B = self.reach_N[who_BK].mean(1)
        return near_BK.mean(1) / (reach_B + 1e-3 * self.reach_N.mean() + 1e-9)
