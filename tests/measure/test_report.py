"""A measure as a line, and its interval."""

import numpy as np
import pytest

from twofold.measure.reasons import Reason
from twofold.measure.report import Measure, bootstrap_interval


def test_a_measure_reads_with_its_interval_and_baselines():
    text = str(Measure("AUROC", 0.91234, (0.9, 0.93), (("chance", 0.5),)))
    assert text == "AUROC 0.9123 [0.9, 0.93]   beside chance 0.5"


def test_the_interval_of_a_mean_is_the_textbook_one():
    x = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(lambda part: float(part.mean()), x, n_draws=2000)
    half = 1.96 * x.std() / 20
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half), abs=0.015)


def test_a_measure_that_does_not_exist_has_no_interval():
    assert np.isnan(bootstrap_interval(lambda part: float("nan"), np.ones(3))).all()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason("age", 190.0, 41.256, 0.5), "age = 190 (expected 41.26)"),
        (Reason("city", "Oslo", None, 0.5), "city = Oslo (expected missing)"),
        (Reason("price", 1234567.8, 3, 0.5), "price = 1234568 (expected 3)"),
    ],
)
def test_a_reason_reads_well(reason, text):
    assert str(reason) == text
