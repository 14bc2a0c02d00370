"""The mixture of clusters: against densities written out, and on rows whose clusters are known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris

from twofold.nn.mixture import Mixture


def two_clouds(n=200, seed=0):
    rng = np.random.default_rng(seed)
    number_NP = np.concatenate([rng.normal(-2, 0.5, (n, 2)), rng.normal(2, 1.0, (n, 2))])
    one_NL = np.eye(3)[np.concatenate([np.zeros(n, int), rng.integers(1, 3, n)])]
    return number_NP, one_NL


def test_two_clouds_are_found_with_their_means_spreads_and_levels():
    mixture = Mixture.learn(*two_clouds(), n_clusters=2, seed=0)
    left = mixture.mean_KP[:, 0].argmin()
    np.testing.assert_allclose(mixture.mean_KP[left], [-2, -2], atol=0.2)
    np.testing.assert_allclose(mixture.mean_KP[1 - left], [2, 2], atol=0.2)
    variance = [np.diagonal(root @ root.T).mean() for root in mixture.root_KPP]
    assert variance[left] == pytest.approx(0.25, abs=0.06) and variance[1 - left] == pytest.approx(1.0, abs=0.15)
    assert np.exp(mixture.log_share_KL[left, 0]) > 0.98 and np.exp(mixture.log_share_KL[1 - left, 0]) < 0.02


def test_what_belongs_to_a_cluster_is_told_by_densities_written_out():
    number_NP, one_NL = two_clouds()
    mixture = Mixture.learn(number_NP, one_NL, n_clusters=2, seed=0)
    found_NK = mixture._likelihood(number_NP, np.ones_like(number_NP), one_NL)
    for k in (0, 1):
        covariance_PP = mixture.root_KPP[k] @ mixture.root_KPP[k].T
        slow_N = multivariate_normal(mixture.mean_KP[k], covariance_PP).logpdf(number_NP) + np.log(mixture.share_K[k])
        slow_N += np.array([mixture.log_share_KL[k, one_L.argmax()] for one_L in one_NL])
        np.testing.assert_allclose(found_NK[:, k] - np.log(2 * np.pi), slow_N, atol=1e-8)


def test_shares_are_shares():
    iris = load_iris()
    mixture = Mixture.learn(iris.data - iris.data.mean(0), np.eye(3)[iris.target], n_clusters=7, seed=0)
    assert mixture.share_K.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.exp(mixture.log_share_KL).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(mixture.belongs_NK.sum(1), 1)


def test_numbers_that_are_not_there_do_not_count():
    number_NP, one_NL = two_clouds()
    there_NP = np.random.default_rng(0).random(number_NP.shape) > 0.3
    spoilt_NP = np.where(there_NP, number_NP, 1e6)
    found = Mixture.learn(spoilt_NP, one_NL, n_clusters=2, seed=0, there_NP=there_NP)
    assert np.abs(np.sort(found.mean_KP[:, 0]) - [-2, 2]).max() < 0.3


@pytest.mark.parametrize(("n", "P", "L"), [(1, 2, 3), (5, 0, 4), (5, 3, 0), (3, 1, 1)])
def test_few_rows_or_only_one_kind_of_cell_make_a_mixture(n, P, L):
    rng = np.random.default_rng(0)
    one_NL = np.eye(L)[rng.integers(0, L, n)] if L else np.zeros((n, 0))
    mixture = Mixture.learn(rng.normal(size=(n, P)), one_NL, n_clusters=10, seed=0)
    assert np.isfinite(mixture.root_KPP).all() and np.isfinite(mixture.mean_KP).all()
    assert len(mixture.share_K) <= n


def test_rows_that_are_all_alike_make_one_cluster():
    mixture = Mixture.learn(np.ones((50, 2)), np.ones((50, 1)), n_clusters=5, seed=0)
    assert len(mixture.share_K) == 1 and mixture.mean_KP[0] == pytest.approx([1, 1])


def test_the_same_seed_gives_the_same_clusters():
    one, other = (Mixture.learn(*two_clouds(), n_clusters=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.root_KPP, other.root_KPP)
