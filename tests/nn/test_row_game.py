"""Generator and discriminator of rows: the start, what comes out, and that gradients flow."""

import numpy as np
import torch
from scipy.stats import ks_2samp
from sklearn.datasets import load_wine

from twofold.nn.mixture import Mixture
from twofold.nn.row_game import RowDiscriminator, RowGenerator, RowPlan

PLAN = RowPlan(2, (3, 2), (0, -1))
NONE = torch.zeros(500, dtype=torch.int64)


def made(generator, n=500, seed=0, label=0):
    noise_BZ = torch.randn(n, generator.n_noise, generator=torch.Generator().manual_seed(seed))
    return generator(noise_BZ, torch.full((n,), label))


def test_cells_go_there_and_back():
    number_BP, level_BG = torch.tensor([[0.5, -1.0], [0.0, 2.0]]), torch.tensor([[0, 1], [2, 0]])
    row_BO = PLAN.row(number_BP, level_BG)
    assert row_BO.tolist() == [[0.5, -1, 1, 0, 0, 0, 1], [0, 2, 0, 0, 1, 1, 0]]
    assert all((part == given).all() for part, given in zip(PLAN.coded(row_BO), (number_BP, level_BG), strict=True))


def test_a_group_and_the_number_beside_it_are_one_cell():
    assert PLAN.cells().tolist() == [0, 3, 0, 0, 0, 1, 1]


def test_levels_are_one_among_zeros_and_a_number_is_0_where_there_is_none():
    row_BO = made(RowGenerator(PLAN, 2, dim=8, n_more=3, n_classes=1))
    one_BL = row_BO[:, 2:].detach()
    assert (one_BL - one_BL.round()).abs().max() < 1e-6
    one_BL = one_BL.round()
    assert (one_BL[:, :3].sum(1) == 1).all() and (one_BL[:, 3:].sum(1) == 1).all()
    assert (row_BO[one_BL[:, 0] == 0, 0] == 0).all() and (row_BO[one_BL[:, 0] == 1, 0] != 0).all()


def test_before_the_game_rows_are_those_of_the_mixture():
    wine = load_wine()
    number_NP = (wine.data[:, :2] - wine.data[:, :2].mean(0)) / wine.data[:, :2].std(0)
    plan = RowPlan(2, (3,), (-1, -1))
    mixture = Mixture.learn(number_NP, np.eye(3)[wine.target], n_clusters=3, seed=0)
    generator = RowGenerator(plan, 3, dim=8, n_more=3, n_classes=1)
    generator.begin(mixture, torch.zeros(len(wine.data), dtype=torch.int64))
    row_BO = made(generator, 4000).detach().numpy()
    assert ks_2samp(row_BO[:, 0], number_NP[:, 0]).statistic < 0.1
    assert abs(np.corrcoef(row_BO[:, :2].T)[0, 1] - np.corrcoef(number_NP.T)[0, 1]) < 0.1
    np.testing.assert_allclose(row_BO[:, 2:].mean(0), np.bincount(wine.target) / 178, atol=0.05)


def test_a_class_has_its_own_clusters():
    number_NP = np.concatenate([np.full((40, 1), -3.0), np.full((40, 1), 3.0)]) + np.random.default_rng(0).normal(
        0, 0.1, (80, 1)
    )
    generator = RowGenerator(RowPlan(1, (), (-1,)), 2, dim=8, n_more=3, n_classes=2)
    mixture = Mixture.learn(number_NP, np.zeros((80, 0)), n_clusters=2, seed=0)
    generator.begin(mixture, torch.arange(80) // 40)
    assert (made(generator, label=0)[:, 0] < 0).float().mean() > 0.95
    assert (made(generator, label=1)[:, 0] > 0).float().mean() > 0.95


def test_the_generator_learns_through_numbers_and_levels():
    generator, judge = (RowGenerator(PLAN, 2, dim=8, n_more=3, n_classes=1), RowDiscriminator(PLAN, dim=8, n_classes=1))
    judge(made(generator), NONE).sum().backward()
    slope = generator.network.last.weight.grad
    assert (slope[:2].abs().sum(1) > 0).all() and (slope[2:].abs().sum(1) > 0).all()


def test_the_same_noise_makes_the_same_rows():
    generator = RowGenerator(PLAN, 2, dim=8, n_more=3, n_classes=1)
    torch.testing.assert_close(made(generator, seed=5), made(generator, seed=5))
