"""Forged rows: wrong, but not by what would give any forgery away."""

import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.metrics import roc_auc_score

from twofold.measure.forgeries import Forger, auroc

X = torch.tensor(load_wine().data, dtype=torch.float32)
X = torch.cat([(X - X.mean(0)) / X.std(0), torch.arange(178)[:, None] % 3.0], 1)
X[::5, 2] = torch.nan
CODES = torch.stack([torch.arange(178) % 4 + 1, torch.arange(178) % 2], 1)


@pytest.fixture(scope="module")
def forged():
    base_M = torch.arange(100)
    return Forger(X, CODES, torch.Generator().manual_seed(0)).forge(base_M, X[base_M].nan_to_num(0.0) / 2)


def test_there_are_eight_kinds_each_unlike_its_base(forged):
    assert len(forged) == 8
    for number_MP, category_MQ in forged.values():
        is_same = (number_MP.nan_to_num(0.0) == X[:100].nan_to_num(0.0)).all(1) & (category_MQ == CODES[:100]).all(1)
        assert is_same.double().mean() < 0.3


def test_a_column_of_few_values_keeps_to_them(forged):
    for number_MP, _ in forged.values():
        assert set(number_MP[:, 13].unique().tolist()) <= {0.0, 1.0, 2.0}


def test_missing_cells_stay_missing_and_no_others_go(forged):
    for number_MP, _ in forged.values():
        assert torch.equal(number_MP.isnan(), X[:100].isnan())


def test_categories_are_levels_that_were_seen(forged):
    for _, category_MQ in forged.values():
        assert set(category_MQ[:, 0].unique().tolist()) <= {1, 2, 3, 4}
        assert set(category_MQ[:, 1].unique().tolist()) <= {0, 1}


def test_the_same_seed_forges_the_same_rows(forged):
    again = Forger(X, CODES, torch.Generator().manual_seed(0)).forge(torch.arange(100), X[:100].nan_to_num(0.0) / 2)
    for name, (number_MP, _) in forged.items():
        torch.testing.assert_close(again[name][0], number_MP, equal_nan=True)


def test_auroc_is_that_of_scikit_learn():
    normal_N, odd_M = torch.randn(80).round(decimals=1), torch.randn(60).round(decimals=1) + 0.5
    truth, scores = [0] * 80 + [1] * 60, torch.cat([normal_N, odd_M]).numpy()
    assert auroc(normal_N, odd_M) == pytest.approx(roc_auc_score(truth, scores))
