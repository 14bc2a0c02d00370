"""Tails: against counting one cell at a time."""

import math

import pytest
import torch
from sklearn.datasets import load_iris

from twofold.measure.tails import Tails

X = torch.tensor(load_iris().data, dtype=torch.float32)
CODES = torch.tensor(load_iris().target)[:, None] + 1


def test_tails_are_what_counting_says():
    tails = Tails(X[:100], CODES[:100], [4])
    found_BC = tails(X[60:], CODES[60:])
    for row, (number_P, code) in enumerate(zip(X[60:], CODES[60:, 0], strict=True)):
        for p, number in enumerate(number_P):
            n_up, n_down = (X[:100, p] <= number).sum(), (X[:100, p] >= number).sum()
            assert float(found_BC[row, p]) == pytest.approx(-math.log((min(n_up, n_down) + 1) / 101), abs=1e-5)
        n_same = int((CODES[:100, 0] == code).sum())
        assert float(found_BC[row, 4]) == pytest.approx(-math.log((n_same + 1) / 101), abs=1e-5)


def test_a_level_never_seen_is_the_rarest():
    tails = Tails(torch.zeros(50, 0), CODES[:50], [4])
    seen, unseen, missing = tails(torch.zeros(3, 0), torch.tensor([[1], [3], [0]]))[:, 0].tolist()
    assert seen < 0.05 < unseen
    assert missing == unseen


def test_a_missing_number_counts_as_the_mean():
    tails = Tails(X - X.mean(0), torch.zeros(150, 0, dtype=torch.int64), [])
    no_codes = torch.zeros(1, 0, dtype=torch.int64)
    assert torch.equal(tails(torch.full((1, 4), torch.nan), no_codes), tails(torch.zeros(1, 4), no_codes))
