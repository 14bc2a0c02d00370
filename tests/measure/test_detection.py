"""Measures of detection: scikit-learn's numbers, beside baselines."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score

from twofold.measure.detection import detection_measures

DATA = load_breast_cancer()
TRUTH, SCORE, OTHER = DATA.target == 0, DATA.data[:, 0], DATA.data[:, 1]


def test_the_numbers_are_scikit_learns():
    area, precision = detection_measures(TRUTH, SCORE, {"texture": OTHER})
    assert area.value == roc_auc_score(TRUTH, SCORE)
    assert precision.value == average_precision_score(TRUTH, SCORE)
    assert dict(area.baselines) == {"texture": roc_auc_score(TRUTH, OTHER), "chance": 0.5}
    assert dict(precision.baselines)["chance"] == pytest.approx(TRUTH.mean())


def test_each_interval_holds_its_value():
    for measure in detection_measures(TRUTH, SCORE, {}):
        low, high = measure.interval
        assert low < measure.value < high
        assert high - low < 0.1


def test_one_anomaly_only_still_has_an_interval():
    truth = np.zeros(40, dtype=bool)
    truth[3] = True
    area, _ = detection_measures(truth, np.arange(40.0), {})
    assert area.value == pytest.approx(3 / 39)
    assert np.isfinite(area.interval).all()
