"""Accuracy: intervals that cover, a test that does not cry wolf, a table of what is mixed up."""

import numpy as np
import pytest
from scipy.stats import binomtest

from twofold.measure.accuracy import confusion, majority_share, paired_test, wilson_interval


@pytest.mark.parametrize(("n_right", "n"), [(0, 5), (3, 7), (50, 100), (99, 100), (12, 12)])
def test_the_interval_is_scipys(n_right, n):
    found = binomtest(n_right, n).proportion_ci(method="wilson")
    assert wilson_interval(n_right, n) == pytest.approx((found.low, found.high), abs=1e-6)


def test_the_interval_covers_the_truth_95_times_in_100():
    rng = np.random.default_rng(0)
    for truth in (0.5, 0.8, 0.95):
        draws = rng.binomial(60, truth, 4000)
        ends = {k: wilson_interval(k, 60) for k in range(61)}
        assert 0.93 < np.mean([ends[k][0] <= truth <= ends[k][1] for k in draws]) < 0.98


def test_of_nothing_seen_nothing_is_known():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert majority_share(np.array(["a", "b", "a"])) == pytest.approx(2 / 3)


def test_mixed_up_classes_stand_in_their_row_and_column():
    table = confusion(["cat", "cat", "dog"], ["cat", "dog", "dog"], ["cat", "dog", "owl"])
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_six_of_six_is_proof_and_five_of_five_is_not():
    one, other = np.ones(50, bool), np.ones(50, bool)
    other[:5] = False
    assert not paired_test(one, other).is_won
    other[5] = False
    test = paired_test(one, other)
    assert test.is_won and test.p_value == pytest.approx(2 / 2**6) and test.gain == pytest.approx(0.12)
    assert 0 < test.interval[0] < test.gain <= test.interval[1]


def test_two_equal_classifiers_are_told_apart_one_time_in_twenty_at_most():
    rng = np.random.default_rng(1)
    tests = [paired_test(rng.random(80) < 0.8, rng.random(80) < 0.8) for _ in range(500)]
    assert np.mean([test.p_value < 0.05 for test in tests]) <= 0.05
    assert np.mean([low <= 0 <= high for low, high in (test.interval for test in tests)]) > 0.92
    assert paired_test(np.ones(4, bool), np.ones(4, bool)).p_value == 1.0
