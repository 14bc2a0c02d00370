"""Latent measures: against slow references and scikit-learn's PCA."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA

from twofold.measure.latents import continuity, nearness, neighbours_kept, pca_error, pca_errors, trustworthiness

X = (load_wine().data - load_wine().data.mean(0)) / load_wine().data.std(0)


def test_a_copy_keeps_everything():
    assert (trustworthiness(X, X), continuity(X, X), neighbours_kept(X, X)) == (1.0, 1.0, 1.0)


def test_noise_keeps_about_as_much_as_chance():
    noise = np.random.default_rng(0).normal(size=(len(X), 2))
    assert neighbours_kept(X, noise, 5) == pytest.approx(5 / (len(X) - 1), abs=0.02)
    assert abs(trustworthiness(X, noise) - 0.5) < 0.1


def test_trust_falls_with_strangers_and_continuity_with_tears():
    line = np.linspace(0, 1, 60)[:, None]
    circle = np.hstack([np.cos(6.2 * line), np.sin(6.2 * line)])
    # flattening a circle brings strangers together; cutting it open tears neighbours apart
    assert trustworthiness(circle, circle[:, :1]) < 0.9 < continuity(circle, circle[:, :1])
    assert continuity(circle, line) < trustworthiness(circle, line)


def test_neighbours_kept_is_a_count_of_shared_neighbours():
    latent = X[:, :2]
    shares = []
    for i in range(len(X)):
        near = [set(np.argsort(((p - p[i]) ** 2).sum(1))[1:6]) for p in (X, latent)]
        shares.append(len(near[0] & near[1]) / 5)
    assert neighbours_kept(X, latent, 5) == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("k", [1, 4, 13])
def test_pca_error_is_that_of_scikit_learn(k):
    train, test = X[::2], X[1::2]
    pca = PCA(k).fit(train)
    expected = np.mean((test - pca.inverse_transform(pca.transform(test))) ** 2)
    assert pca_error(train, test, k) == pytest.approx(expected, abs=1e-12)


def test_more_components_than_there_are_change_nothing():
    errors = pca_errors(X[:5], X[5:], 9)
    assert errors.shape == (9,)
    assert errors[8] == errors[5] == pytest.approx(errors[4])


def test_nearness_is_told_beside_pca_of_at_most_2000_rows_and_at_least_30():
    noise, many = np.random.default_rng(0).normal(size=(len(X), 2)), np.random.default_rng(0).normal(size=(2100, 3))
    measures = {measure.name: measure for measure in nearness("the map", X, X, noise)}
    assert list(measures) == ["trustworthiness of the map", "continuity of the map", "neighbours kept of the map"]
    assert measures["trustworthiness of the map"].value == 1.0
    assert measures["continuity of the map"].baselines == (("PCA", continuity(X, noise)),)
    assert nearness("the map", X[:29], X[:29], noise[:29]) == []
    assert nearness("all", many, many[:, :2], many[:, :2])[0].value == trustworthiness(many[:2000], many[:2000, :2])
