"""Ridge onto classes: what is said of a row left out is what a fit without it says, to rounding."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import Ridge as PlainRidge

from twofold.nn.ridge import Ridge, best_temperature, block_scales, softmax

WINE = load_wine()
X = (WINE.data - WINE.data.mean(0)) / WINE.data.std(0)
X, Y = X[::4], WINE.target[::4]


def slowly(rows_out, penalty):
    """Scores of those rows by scikit-learn's ridge on the others, at the penalty as it stood for all rows."""
    kept = np.setdiff1d(np.arange(len(X)), rows_out)
    centred = X - X.mean(0)
    strength = penalty * np.linalg.eigvalsh(centred.T @ centred).mean()
    return PlainRidge(alpha=strength).fit(X[kept], np.eye(3)[Y][kept]).predict(X[rows_out])


@pytest.mark.parametrize("penalty", [1e-4, 0.1, 30.0])
def test_each_row_left_out_scores_as_by_a_fit_without_it(penalty):
    ridge = Ridge.fit(X, Y, 3, penalties=[penalty])
    expected = np.concatenate([slowly(np.array([row]), penalty) for row in range(len(X))])
    assert np.abs(ridge.left_out_NK - expected).max() < 1e-9


def test_each_fold_left_out_scores_as_by_a_fit_without_it():
    fold_N = np.arange(len(X)) % 5
    ridge = Ridge.fit(X, Y, 3, fold_N=fold_N, penalties=[0.1])
    for fold in range(5):
        rows = np.flatnonzero(fold_N == fold)
        assert np.abs(ridge.left_out_NK[rows] - slowly(rows, 0.1)).max() < 1e-9


@pytest.mark.parametrize("n_rows", [8, 45])  # fewer, and more, than there are features
def test_the_fit_is_scikit_learns(n_rows):
    x, y = X[:n_rows], Y[:n_rows]
    ridge = Ridge.fit(x, y, 3, penalties=[0.05])
    centred = x - x.mean(0)
    values = np.linalg.eigvalsh(centred @ centred.T if n_rows <= 13 else centred.T @ centred)
    mean = values[values > 1e-12 * values[-1]].mean()
    plain = PlainRidge(alpha=0.05 * mean).fit(x, np.eye(3)[y])
    assert np.allclose(ridge.scores(X), plain.predict(X), atol=1e-9)


def test_the_penalty_is_the_one_that_errs_least_on_rows_left_out():
    penalties = (1e-3, 0.1, 10.0)
    errors = [np.square(np.eye(3)[Y] - Ridge.fit(X, Y, 3, penalties=[p]).left_out_NK).mean() for p in penalties]
    assert Ridge.fit(X, Y, 3, penalties=penalties).penalty == penalties[int(np.argmin(errors))]
    assert (Ridge.fit(X, Y, 3).left_out_NK.argmax(1) == Y).mean() > 0.95


def test_features_that_are_all_alike_tell_nothing_and_break_nothing():
    ridge = Ridge.fit(np.ones((6, 4), np.float32), np.array([0, 0, 0, 0, 1, 1]), 2)
    assert np.allclose(ridge.scores(np.ones((1, 4))), [[4 / 6, 2 / 6]])
    assert np.isfinite(ridge.left_out_NK).all()


def test_no_block_of_features_outweighs_another():
    scale_D = block_scales(np.hstack([1000 * X[:, :5], X[:, 5:]]), [5, 8])
    scaled = np.hstack([1000 * X[:, :5], X[:, 5:]]) / scale_D
    assert np.isclose(scaled[:, :5].var(0).sum(), 1) and np.isclose(scaled[:, 5:].var(0).sum(), 1)
    assert np.array_equal(block_scales(np.ones((3, 2)), [2]), [1.0, 1.0])


def test_the_temperature_makes_scores_probabilities_that_are_right_as_often_as_they_say():
    rng = np.random.default_rng(0)
    sure_NK = softmax(3 * rng.standard_normal((4000, 3)))
    label_N = (rng.random((4000, 1)) > sure_NK.cumsum(1)).sum(1)
    assert best_temperature(np.log(sure_NK) / 5, label_N) == pytest.approx(5, rel=0.15)
    assert np.allclose(softmax(np.array([[1e4, 0.0]])), [[1.0, 0.0]])
