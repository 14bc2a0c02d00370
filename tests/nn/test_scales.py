"""Scales keep the order of numbers."""

import torch
from sklearn.datasets import load_wine

from twofold.nn.scales import QuantileMap, harden, soften

WINE = torch.tensor(load_wine().data, dtype=torch.float32)


def test_soften_is_the_identity_near_0_and_keeps_the_order_beyond():
    x_N = torch.linspace(-1e3, 1e3, 100_001)
    y_N = soften(x_N)
    assert (y_N.diff() > 0).all()
    assert torch.equal(y_N[x_N.abs() <= 4], x_N[x_N.abs() <= 4])
    assert y_N.abs().max() < 11


def test_harden_undoes_soften():
    x_N = torch.tensor([-1e6, -5.0, -4.0, -1.5, 0.0, 3.9, 4.1, 250.0], dtype=torch.float64)
    torch.testing.assert_close(harden(soften(x_N)), x_N)


def test_a_missing_number_stays_missing():
    assert soften(torch.tensor([torch.nan])).isnan().all()


def test_the_quantile_map_never_turns_the_order_round():
    number_NP = torch.cat([WINE, WINE.round()], 1)
    at_GP = torch.stack([torch.linspace(x.min() - 3, x.max() + 3, 2000) for x in number_NP.T], 1)
    assert (QuantileMap(number_NP)(at_GP).diff(dim=0) >= -1e-5).all()


def test_the_quantile_map_makes_a_column_normal():
    mapped_NP = QuantileMap(WINE)(WINE)
    assert mapped_NP.mean(0).abs().max() < 0.05
    assert (mapped_NP.std(0) - 1).abs().max() < 0.1


def test_a_value_that_fills_several_quantiles_sits_in_their_middle():
    x_N1 = torch.cat([torch.zeros(50), torch.ones(50)])[:, None]
    low, high = QuantileMap(x_N1)(torch.tensor([[0.0], [1.0]]))[:, 0].tolist()
    assert abs(low + high) < 0.1
    assert -0.75 < low < -0.6  # the 25 % quantile of a normal distribution is -.674


def test_beyond_the_seen_range_the_map_goes_on():
    mapped = QuantileMap(WINE[:, :1])
    top = WINE[:, 0].max()
    step = mapped(torch.tensor([[top + 2.0]])) - mapped(torch.tensor([[top + 1.0]]))
    torch.testing.assert_close(step, torch.tensor([[1.0]]))


def test_no_columns_and_missing_cells_do_not_fail():
    assert QuantileMap(torch.zeros(3, 0))(torch.zeros(2, 0)).shape == (2, 0)
    assert QuantileMap(torch.tensor([[1.0], [torch.nan]]))(torch.tensor([[torch.nan]])).isfinite().all()
