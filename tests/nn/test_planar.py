"""The map: the loss is what it says, near rows stay near, points lead back."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine

from twofold.core.loop import Plan, train
from twofold.core.planar import LEAST_ROWS, PlanarLearner, plan_map, start_map
from twofold.measure.latents import trustworthiness
from twofold.nn.planar import neighbour_loss, start_from_plane

CPU = torch.device("cpu")


def wine():
    X = load_wine().data
    return torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)


def test_loss_is_that_of_one_row_and_one_neighbour_at_a_time():
    generator = torch.Generator().manual_seed(0)
    feature_BD, point_B2 = torch.randn(20, 5, generator=generator), torch.randn(20, 2, generator=generator)
    slow = []
    for row in range(20):
        others = [other for other in range(20) if other != row]
        near = sorted(others, key=lambda other: float((feature_BD[row] - feature_BD[other]).norm()))[:3]
        odds = {other: 1 / (1 + float((point_B2[row] - point_B2[other]).square().sum())) for other in others}
        slow += [-np.log(odds[other] / sum(odds.values())) for other in near]
    assert float(neighbour_loss(feature_BD, point_B2, 3)) == pytest.approx(np.mean(slow), rel=1e-5)


def test_two_rows_are_each_others_neighbours_whatever_the_number_asked_for():
    assert float(neighbour_loss(torch.randn(2, 3), torch.randn(2, 2))) == pytest.approx(0.0, abs=1e-6)


def test_the_start_is_the_plane_of_pca_and_a_straight_way_back():
    feature_ND = wine()
    network = start_from_plane(feature_ND, feature_ND)
    with torch.no_grad():
        point_N2 = network.encode(feature_ND)
        rebuilt_ND = network.decode(point_N2)
    _, length_P, axis_PD = torch.linalg.svd(feature_ND, full_matrices=False)
    plane_N2 = feature_ND @ axis_PD[:2].T
    assert (np.corrcoef(point_N2.T, plane_N2.T)[[0, 1], [2, 3]].round(4).__abs__() == 1).all()
    assert float(point_N2[:, 0].std()) == pytest.approx(1.0, abs=0.01)
    left = float((rebuilt_ND - feature_ND).square().sum() / feature_ND.square().sum())
    assert left == pytest.approx(1 - float((length_P[:2] ** 2).sum() / (length_P**2).sum()), abs=1e-3)


@pytest.mark.parametrize(
    "feature_ND",
    [torch.zeros(15, 3), torch.ones(15, 1), torch.randn(15, 1), torch.randn(13, 400), torch.randn(15, 2) * 1e6],
    ids=["zeros", "ones", "one column", "wide", "huge"],
)
def test_any_features_give_a_finite_map(feature_ND):
    learner = start_map(feature_ND, feature_ND, 0, CPU)
    for progress in train(learner, (feature_ND, feature_ND), Plan(n_steps=10, batch_size=400)):
        assert not progress.note
    with torch.no_grad():
        point_N2 = learner.network.encode(feature_ND)
        assert point_N2.isfinite().all() and learner.network.decode(point_N2).isfinite().all()


def test_new_digits_are_placed_beside_their_neighbours():
    X = load_digits().data.astype(np.float32) / 16
    order = np.random.default_rng(100).permutation(len(X))
    kept, test = (torch.from_numpy(X[rows]) for rows in (order[:1400], order[1400:]))
    learner = start_map(kept, kept, 0, CPU)
    with torch.no_grad():
        before = trustworthiness(test.numpy(), learner.network.encode(test).numpy())
    for _ in train(learner, (kept, kept), Plan(n_steps=200, batch_size=400)):
        pass
    with torch.no_grad():
        point_N2 = learner.network.encode(test)
        error = float((learner.network.decode(point_N2) - test).square().sum() / (test - test.mean(0)).square().sum())
    # .84 and .980
    assert trustworthiness(test.numpy(), point_N2.numpy()) > max(0.95, before + 0.08)
    assert error < 0.7


def test_the_map_gets_its_steps_and_its_third_of_the_minutes():
    plan = Plan(n_steps=5000, minutes=3.0, batch_size=32, seed=7)
    first, second = plan_map(plan, None, None, 100)
    assert (first.n_steps, first.minutes, first.batch_size) == (5000, 2.0, 32)
    assert (second.n_steps, second.minutes, second.seed) == (1000, 1.0, 7)
    assert plan_map(plan, None, 20, 100)[1].n_steps == 20
    assert plan_map(plan, 3, 20, 100)[1].n_steps == 3
    for map_steps, n_rows in ((0, 100), (None, LEAST_ROWS - 1)):
        first, second = plan_map(plan, map_steps, None, n_rows)
        assert second.n_steps == 0 and first.minutes == 3.0
    assert plan_map(Plan(n_steps=5), None, 5, 100)[0].minutes is None


def test_the_learner_is_asked_for_rows_and_names_both_terms():
    feature_ND = wine()
    learner = start_map(feature_ND, feature_ND[:, :2], 0, CPU)
    assert isinstance(learner, PlanarLearner)
    losses = learner.loss(feature_ND, feature_ND[:, :2])
    assert set(losses) == {"neighbours", "way_back"} and all(loss.requires_grad for loss in losses.values())
    # the way back does not bend the map
    losses["way_back"].backward()
    assert all(p.grad is None for p in learner.network.encoder.parameters())
