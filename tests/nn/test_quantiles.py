"""Quantile coding of numbers: against sorting by hand, and there and back."""

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.datasets import load_breast_cancer, load_wine

from twofold.nn.quantiles import Quantiles

NAN = float("nan")


def there_and_back(column, x_N, seed=0):
    return column.decode(*column.encode(x_N, np.random.default_rng(seed)))


@pytest.mark.parametrize("place", [0, 3, 13, 29])
def test_real_numbers_come_back_as_they_were(place):
    x_N = load_breast_cancer().data[:, place]
    np.testing.assert_allclose(there_and_back(Quantiles.learn(x_N), x_N), x_N, rtol=1e-4)


def test_coded_numbers_are_standard_normal_whatever_they_were():
    x_N = np.random.default_rng(0).exponential(5, 3000) ** 2
    normal_N, level_N = Quantiles.learn(x_N).encode(x_N, np.random.default_rng(1))
    assert not level_N.any() and kstest(normal_N, norm.cdf).pvalue > 0.05


def test_the_code_of_a_number_is_its_rank_by_a_slow_count():
    x_N = np.random.default_rng(3).normal(size=100)
    normal_N, _ = Quantiles.learn(x_N).encode(x_N, np.random.default_rng(0))
    slow_N = [norm.ppf((sum(other < x for other in x_N) + 0.5) / len(x_N)) for x in x_N]
    np.testing.assert_allclose(normal_N, slow_N, atol=1e-5)


def test_a_frequent_value_is_an_atom_and_comes_back_exactly():
    rng = np.random.default_rng(0)
    x_N = np.where(rng.random(2000) < 0.9, 0.0, rng.lognormal(8, 1, 2000))
    column = Quantiles.learn(x_N)
    normal_N, level_N = column.encode(x_N, rng)
    assert column.atom_A.tolist() == [0.0] and column.levels == 2
    assert ((level_N == 1) == (x_N == 0)).all() and not normal_N[x_N == 0].any()
    assert (column.decode(normal_N, level_N)[x_N == 0] == 0).all()


def test_each_of_few_values_is_an_atom():
    x_N = load_wine().target.astype(float)
    column = Quantiles.learn(x_N)
    assert column.levels == 3 and not len(column.knot_K)
    assert (there_and_back(column, x_N) == x_N).all()


def test_values_that_repeat_are_spread_over_their_ranks_and_answered_as_seen():
    x_N = np.random.default_rng(0).integers(17, 91, 3000) / 4
    column = Quantiles.learn(x_N)
    normal_N, _ = column.encode(x_N, np.random.default_rng(0))
    assert column.is_stepped and kstest(normal_N[column.encode(x_N, np.random.default_rng(0))[1] == 0],
                                        norm.cdf).pvalue > 0.01  # fmt: skip
    made_N = column.decode(np.random.default_rng(1).normal(size=5000), np.zeros(5000, int))
    assert set(made_N) <= set(x_N)
    assert np.abs(there_and_back(column, x_N) - x_N).max() <= 0.25  # a neighbouring value at most


def test_what_is_decoded_stays_in_the_range_seen():
    x_N = np.random.default_rng(0).normal(size=500)
    made_N = Quantiles.learn(x_N).decode(np.array([-40.0, -5, 0, 5, 40]), np.zeros(5, int))
    assert made_N.min() >= x_N.min() and made_N.max() <= x_N.max()


def test_missing_values_have_a_level():
    x_N = np.append(np.arange(30.0), [NAN, NAN])
    column = Quantiles.learn(x_N)
    back_N = there_and_back(column, x_N)
    assert column.levels == 2 and np.isnan(back_N[30:]).all() and not np.isnan(back_N[:30]).any()


@pytest.mark.parametrize("x", [[3.0], [3.0, 3.0], [NAN, 3.0], list(range(16)), list(range(17))])
def test_small_and_constant_columns_come_back(x):
    np.testing.assert_allclose(there_and_back(Quantiles.learn(np.array(x)), np.array(x)), x, atol=1e-5)


def test_new_values_become_the_nearest_known_ones():
    atoms = Quantiles.learn(np.array([1.0, 1, 5, 5]))
    assert there_and_back(atoms, np.array([-7.0, 2.0, 4.0, 99.0])).tolist() == [1, 1, 5, 5]
    knots = Quantiles.learn(np.arange(100.0))
    assert there_and_back(knots, np.array([-7.0, 49.5, 1000.0])) == pytest.approx([0, 49.5, 99], abs=1e-4)
    assert not np.isnan(there_and_back(knots, np.array([NAN]))).any()


def test_a_column_comes_back_from_json():
    x_N = np.append(np.random.default_rng(0).normal(size=300).round(1), [NAN] * 5)
    column = Quantiles.learn(x_N)
    again = Quantiles.from_json(column.to_json())
    np.testing.assert_array_equal(there_and_back(again, x_N), there_and_back(column, x_N))
