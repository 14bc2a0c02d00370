"""Made rows and texts: told apart, teaching, letters."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from twofold.measure.synthetic import (
    Rows,
    letter_divergence,
    rows_told_apart,
    texts_told_apart,
    train_on_synthetic,
)


def shuffled(rows: Rows, seed: int = 0) -> Rows:
    """Each column in an order of its own."""
    rng = np.random.default_rng(seed)
    return Rows(*(rng.permuted(part, axis=0) for part in (rows.number_NP, rows.category_NQ)))


@pytest.fixture(scope="module")
def cancer() -> Rows:
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X[::7, 3] = np.nan
    return Rows(X[order], (y[order] + 1)[:, None])


def test_trees_do_not_tell_real_rows_from_real_ones_but_independent_columns(cancer):
    half, other = cancer.take(slice(0, None, 2)), cancer.take(slice(1, None, 2))
    told = rows_told_apart(half, other)
    low, high = told.interval()
    assert low < 0.5 < high  # as of 23 of 24 splits
    assert rows_told_apart(half, shuffled(other)).auc > 0.95
    assert told.auc == rows_told_apart(half, other).auc


def test_the_auc_is_the_share_of_pairs_in_the_right_order(cancer):
    told = rows_told_apart(cancer.take(slice(0, 60)), shuffled(cancer.take(slice(60, 120))))
    real_N, fake_M = told.score_N[~told.is_fake_N], told.score_N[told.is_fake_N]
    assert told.auc == pytest.approx(np.mean(np.sign(fake_M[:, None] - real_N) / 2 + 0.5))


def test_rows_too_few_to_test_are_called_chance(cancer):
    assert rows_told_apart(cancer.take([0]), cancer.take([1])).auc == 0.5


def test_columns_with_more_levels_than_trees_take_are_judged():
    rng = np.random.default_rng(0)
    rows = [Rows(np.zeros((400, 0)), rng.integers(1, 400, (400, 1))) for _ in range(2)]
    assert rows_told_apart(*rows).auc == pytest.approx(0.5, abs=0.1)


def test_real_rows_teach_as_well_as_themselves_and_independent_columns_nothing(cancer):
    train, held_out = cancer.take(slice(0, 369)), cancer.take(slice(369, 569))
    taught = train_on_synthetic(train, train, held_out, 30)
    assert taught.name == "AUC" and taught.share == 1 and taught.real > 0.97
    assert train_on_synthetic(shuffled(train), train, held_out, 30).share < 0.75


def test_numbers_are_taught_by_r2_and_several_classes_by_macro_auc():
    X, y = load_diabetes(return_X_y=True)
    rows = Rows(np.c_[X, y], np.zeros((len(X), 0), int))
    taught = train_on_synthetic(rows.take(slice(0, 60)), rows.take(slice(0, 300)), rows.take(slice(300, 442)), 10)
    assert taught.name == "R2" and 0.2 < taught.real < 0.6 and taught.fake < taught.real
    X, y = load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    wine = Rows(X[order], (y[order] + 1)[:, None])
    taught = train_on_synthetic(wine.take(slice(0, 100)), wine.take(slice(0, 100)), wine.take(slice(100, 178)), 13)
    assert taught.name == "macro AUC" and taught.real > 0.95


def test_a_class_that_was_never_made_costs_its_auc():
    X, y = load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    wine = Rows(X[order], (y[order] + 1)[:, None])
    train, held_out = wine.take(slice(0, 100)), wine.take(slice(100, 178))
    lacking = train.take(train.category_NQ[:, 0] != 3)
    taught = train_on_synthetic(lacking, train, held_out, 13)
    assert taught.fake == pytest.approx((2 * 0.97 + 0.5) / 3, abs=0.06) and taught.share < 0.9
    one = train.take(train.category_NQ[:, 0] == 1)
    assert train_on_synthetic(one, train, held_out, 13).fake == 0.5


NAMES = (
    "anna berta carla dora emma frida gerda hanna ida julia klara lena maria nora olga paula rosa sara tina ute".split()
)


def test_letters_tell_shuffled_names_from_names_and_not_names_from_names():
    rng = np.random.default_rng(0)
    names = [a + b for a in NAMES for b in NAMES]
    rng.shuffle(names)
    mixed = ["".join(rng.permutation(list(name))) for name in names[200:]]
    assert texts_told_apart(names[:200], mixed).auc > 0.9
    assert texts_told_apart(names[:200], names[200:]).auc < 0.6


def test_the_divergence_of_letters_is_that_of_scipy_and_grows_with_disorder():
    from scipy.spatial.distance import jensenshannon

    one, other = ["aab", "abb"], ["aab", "bbb"]
    runs = ["\2aa", "aab", "ab\3", "\2ab", "abb", "bb\3", "\2bb", "bbb"]
    shares = [[1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 1, 1, 1]]
    assert len(runs) == 8
    assert letter_divergence(one, other) == pytest.approx(jensenshannon(*shares, base=2) ** 2)
    assert letter_divergence(NAMES[::2], NAMES[1::2]) < letter_divergence(NAMES, [n[::-1] for n in NAMES])
