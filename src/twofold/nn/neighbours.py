"""Exact nearest neighbours by matrix products.

Dimension key: B queries, N references, D coordinates, K neighbours.
"""

import torch
from torch import Tensor

__all__ = ["nearest"]

ROWS_AT_ONCE = 128


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
    square_N = reference_ND.square().sum(1)
    owns = [None] * len(query_BD) if own_B is None else own_B.split(ROWS_AT_ONCE)
    parts = [
        _nearest_of_few(part_BD, reference_ND, square_N, min(k, n_others), own)
        for part_BD, own in zip(query_BD.split(ROWS_AT_ONCE), owns, strict=False)
    ]
    distances, places = zip(*parts, strict=True) if parts else ((query_BD.new_zeros(0, k),), (own_B,))
    return torch.cat(distances), torch.cat(places)


def _nearest_of_few(
    query_BD: Tensor, reference_ND: Tensor, square_N: Tensor, k: int, own_B: Tensor | None
) -> tuple[Tensor, Tensor]:
    distance_BN = torch.addmm(square_N, query_BD, reference_ND.T, alpha=-2)
    if own_B is not None:
        rows_B = (own_B >= 0).nonzero()[:, 0]
        distance_BN[rows_B, own_B[rows_B]] = torch.inf
    place_BK = distance_BN.topk(k, dim=1, largest=False).indices
    exact_BK = (reference_ND[place_BK].double() - query_BD[:, None].double()).square().sum(2).sqrt()
    exact_BK, order_BK = exact_BK.sort(1)
    return exact_BK, place_BK.gather(1, order_BK)
