"""Nearest neighbours: against all distances, one at a time."""

import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.neighbors import LocalOutlierFactor

from twofold.nn.neighbours import Neighbourhood, nearest


def slow_nearest(query_BD, reference_ND, k, own_B=None):
    distance_BN = (query_BD[:, None].double() - reference_ND[None].double()).square().sum(2).sqrt()
    for b, own in enumerate([] if own_B is None else own_B.tolist()):
        if own >= 0:
            distance_BN[b, own] = torch.inf
    return distance_BN.sort(1).values[:, :k]


def some(n_rows, n_columns, seed=0):
    return torch.randn(n_rows, n_columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n_queries", "n_references", "k"), [(300, 1000, 10), (5, 37, 1), (3, 7, 7), (130, 400, 5)])
def test_distances_are_those_of_a_full_search(n_queries, n_references, k):
    query_BD, reference_ND = some(n_queries, 6), some(n_references, 6, 1)
    distance_BK, place_BK = nearest(query_BD, reference_ND, k)
    torch.testing.assert_close(distance_BK, slow_nearest(query_BD, reference_ND, k))
    assert place_BK.max() < n_references
    gone = (query_BD[:, None].double() - reference_ND[place_BK].double()).square().sum(2).sqrt()
    torch.testing.assert_close(gone, distance_BK)


def test_a_row_does_not_see_itself_when_its_place_is_told():
    reference_ND, own_B = some(700, 4), torch.arange(700)
    own_B[::3] = -1
    distance_BK, place_BK = nearest(reference_ND, reference_ND, 3, own_B)
    torch.testing.assert_close(distance_BK, slow_nearest(reference_ND, reference_ND, 3, own_B))
    is_told = own_B >= 0
    assert (place_BK[is_told] != own_B[is_told, None]).all()
    assert (distance_BK[~is_told, 0] == 0).all()


def test_distances_far_from_the_origin_are_exact():
    # float32 keeps .004 here: |q|^2 - 2 qr + |r|^2 alone would be lost
    reference_ND = some(500, 3) + 30_000
    distance_BK, _ = nearest(reference_ND[:50], reference_ND, 2, torch.arange(50))
    slow_BK = slow_nearest(reference_ND[:50], reference_ND, 2, torch.arange(50))
    assert (distance_BK >= slow_BK - 1e-9).all()
    exact, place = nearest(reference_ND[:50], reference_ND, 1)
    gone = (reference_ND[:50].double() - reference_ND[place[:, 0]].double()).square().sum(1).sqrt()
    torch.testing.assert_close(exact[:, 0], gone)


def test_a_lone_row_and_no_rows_do_not_fail():
    assert nearest(some(1, 3), some(1, 3), 5, torch.zeros(1, dtype=torch.int64))[0].tolist() == [[0.0]]
    assert nearest(some(2, 3), some(1, 3), 5)[0].shape == (2, 1)


def test_two_rows_that_differ_in_one_category_are_1_apart():
    categories = torch.tensor([[1, 1], [2, 1], [2, 2]])
    around = Neighbourhood(torch.zeros(3, 0), categories, [3, 3])
    distance_BK, _ = around.near(torch.zeros(1, 0), categories[:1], None, 3)
    assert distance_BK[0].tolist() == pytest.approx([0.0, 1.0, 2**0.5])


def test_sparsity_ranks_rows_as_the_local_outlier_factor_does():
    X = torch.tensor(load_wine().data, dtype=torch.float32)
    X = (X - X.mean(0)) / X.std(0)
    around = Neighbourhood(X, torch.zeros(len(X), 0, dtype=torch.int64), [], k=10)
    sparsity_N = around.sparsity(*nearest(X, X, 10, around.own_N))
    factor_N = torch.tensor(-LocalOutlierFactor(n_neighbors=10).fit(X.numpy()).negative_outlier_factor_)
    assert float(torch.corrcoef(torch.stack([sparsity_N, factor_N]))[0, 1]) > 0.9


def test_missing_cells_have_places_too():
    number_NP = torch.tensor([[0.0, torch.nan], [1.0, 2.0], [0.0, torch.nan]])
    around = Neighbourhood(number_NP, torch.zeros(3, 0, dtype=torch.int64), [])
    distance_BK, place_BK = around.near(number_NP[:1], torch.zeros(1, 0, dtype=torch.int64), torch.tensor([0]), 1)
    assert (distance_BK.item(), place_BK.item()) == (0.0, 2)
    assert around.by_quantile_ND.isfinite().all()
