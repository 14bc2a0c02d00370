"""Calibration keeps its promise; evidence keeps the order of scores."""

import numpy as np
import pytest
import torch

from twofold.measure.calibration import Calibration, EvidenceScale


def normal(n_rows, seed=0):
    return torch.randn(n_rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- evidence ------------------------------------------------------------------------------------


@pytest.mark.parametrize("normal_N", [normal(500), normal(5), normal(300).round(), torch.ones(4).double()])
def test_evidence_rises_with_the_score(normal_N):
    evidence_B = EvidenceScale(normal_N)(torch.linspace(-6, 30, 50_000, dtype=torch.float64))
    assert (evidence_B.diff() >= 0).all()
    assert (evidence_B >= 0).all()
    assert evidence_B.isfinite().all()


def test_evidence_is_continuous():
    scale = EvidenceScale(normal(500))
    at_B = torch.linspace(-3, 8, 200_000, dtype=torch.float64)
    assert scale(at_B).diff().max() < 0.02


def test_evidence_is_about_minus_log_p():
    scale = EvidenceScale(normal(20_000))
    for share in (0.5, 0.2, 0.05, 0.01):
        score = torch.quantile(normal(20_000, 1), 1 - share)
        assert scale(score[None]).item() == pytest.approx(-np.log(share), abs=0.45)


# ---- p-values ------------------------------------------------------------------------------------


def calibration(score_N, weight_N=None):
    return Calibration(score_N, torch.ones(len(score_N)) if weight_N is None else weight_N)


def test_p_values_of_exchangeable_rows_are_uniform():
    p = torch.cat([calibration(normal(200, s)).p_values(normal(200, s + 1000)) for s in range(100)])
    for a in (0.01, 0.05, 0.2, 0.5, 0.9):
        # 20,000 rows, but the rows of one calibration go together: 4 standard deviations
        assert float((p <= a).double().mean()) == pytest.approx(a, abs=4 * (2 * a * (1 - a) / 20_000) ** 0.5 + 0.005)


def test_p_values_against_counting():
    score_N, score_B = normal(50).round(decimals=1), normal(30, 1).round(decimals=1)
    slow = [(sum(float(n >= b) for n in score_N) + 1) / 51 for b in score_B]
    assert calibration(score_N).p_values(score_B).tolist() == pytest.approx(slow)


def test_a_row_of_weight_3_counts_as_three_rows():
    score_N, weight_N = normal(40), torch.tensor([1.0, 3.0] * 20)
    repeated = calibration(score_N.repeat_interleave(weight_N.long()))
    torch.testing.assert_close(calibration(score_N, weight_N).p_values(normal(99, 1)), repeated.p_values(normal(99, 1)))


@pytest.mark.parametrize("alarm_rate", [0.01, 0.05, 0.3])
def test_a_score_above_the_threshold_is_one_whose_p_value_is_small_enough(alarm_rate):
    found = calibration(normal(300), torch.rand(300, generator=torch.Generator().manual_seed(0)) + 0.5)
    score_B = normal(5000, 1)
    is_alarm = score_B > found.threshold(alarm_rate)
    assert torch.equal(is_alarm, found.p_values(score_B) <= alarm_rate + 1e-12)


def test_too_few_rows_for_the_alarm_rate_put_the_threshold_at_the_strangest():
    score_N = normal(20)
    assert calibration(score_N).threshold(0.01) == pytest.approx(float(score_N.max()), abs=1e-6)
    assert calibration(score_N).p_values(torch.tensor([99.0])).item() == pytest.approx(1 / 21)
