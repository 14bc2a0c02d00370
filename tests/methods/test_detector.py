"""AnomalyDetector: strange rows score lower, alarms come as often as promised, and the right cell is named."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import check_estimator

from twofold.errors import SettingError
from twofold.measure.evidence import KINDS
from twofold.methods.detector import AnomalyDetector, MaskedCells
from twofold.nn.cells import Cells
from twofold.nn.rebuilder import CellRebuilder
from twofold.nn.scales import soften

CANCER = load_breast_cancer()
BENIGN, MALIGNANT = CANCER.data[CANCER.target == 1], CANCER.data[CANCER.target == 0]


def quick(**settings):
    return AnomalyDetector(**({"n_steps": 20, "dim": 16, "device": "cpu", "normal_only": True} | settings))


def correlated(n_rows, seed=0):
    """Four columns that follow one hidden quantity, and one that follows nothing."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_rows, 1))
    follow = hidden * [1.0, -2.0, 0.5, 3.0] + 0.1 * rng.normal(size=(n_rows, 4))
    return np.hstack([follow, rng.normal(size=(n_rows, 1))])


@pytest.fixture(scope="module")
def cancer():
    return AnomalyDetector(normal_only=True, device="cpu").fit(BENIGN[:250])


# ---- scores --------------------------------------------------------------------------------------


def test_a_row_unlike_training_scores_lower():
    detector = quick().fit(correlated(300))
    usual, broken = correlated(1, 1), correlated(1, 1)
    broken[0, 3] *= -1  # an ordinary value of its column, but not beside the others
    usual, broken, far = (detector.score_samples(row)[0] for row in (usual, broken, usual + 50))
    assert far < broken < usual


def test_tumours_score_lower_than_held_out_benign_rows(cancer):
    truth = np.r_[np.zeros(len(BENIGN) - 250), np.ones(len(MALIGNANT))]
    area = roc_auc_score(truth, -cancer.score_samples(np.vstack([BENIGN[250:], MALIGNANT])))
    assert area > 0.94


def test_sevens_score_lower_than_other_digits():
    digits = load_digits()
    normal, odd = digits.data[digits.target != 7], digits.data[digits.target == 7]
    detector = AnomalyDetector(normal_only=True, device="cpu").fit(normal[:1200])
    truth = np.r_[np.zeros(len(normal) - 1200), np.ones(len(odd))]
    assert roc_auc_score(truth, -detector.score_samples(np.vstack([normal[1200:], odd]))) > 0.85


def test_a_level_never_seen_is_stranger():
    table = pd.DataFrame({"colour": ["red", "blue", "red", "green"] * 50, "size": np.arange(200.0) % 7})
    detector = quick().fit(table)
    known, unknown = detector.score_samples(pd.DataFrame({"colour": ["red", "mauve"], "size": [3.0, 3.0]}))
    assert unknown < known


def test_missing_cells_do_not_matter_much():
    X = correlated(300)
    X[::7, 2] = np.nan
    detector = quick().fit(X)
    assert np.isfinite(detector.score_samples([[np.nan] * 5, [0.1, np.nan, 0.0, 0.3, 0.0]])).all()
    assert all(isinstance(r, list) for r in detector.explain([[np.nan] * 5]))


def test_a_score_does_not_depend_on_the_rows_beside_it(cancer):
    together, alone = (
        cancer.score_samples(MALIGNANT[:20]),
        [cancer.score_samples(row[None])[0] for row in MALIGNANT[:20]],
    )
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_the_same_seed_gives_the_same_scores():
    scores = [quick(seed=s).fit(BENIGN).score_samples(MALIGNANT[:50]) for s in (3, 3, 4)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize("X", [np.arange(6.0).reshape(3, 2), [[1.0], [2.0]], np.eye(12)])
def test_tiny_tables_do_not_fail(X):
    assert np.isfinite(quick().fit(X).score_samples(X)).all()


def test_weights_are_shares_of_named_evidence(cancer):
    assert set(cancer.weights_) == set(KINDS)
    assert sum(cancer.weights_.values()) == pytest.approx(1)
    assert (
        cancer.measures_["AUROC on self-made anomalies"] >= cancer.measures_["the same by 5 nearest rows alone"] - 0.02
    )


# ---- the loss ------------------------------------------------------------------------------------


def test_the_loss_is_that_of_a_loop_over_hidden_cells():
    torch.manual_seed(0)
    learner = MaskedCells(CellRebuilder(Cells(3, [4]), 8, 1, 2))
    number_BP, category_BQ = 3 * torch.randn(20, 3), torch.randint(4, (20, 1))
    number_BP[::4, 1] = torch.nan
    learner.generator.manual_seed(5)
    found = learner.loss(number_BP, category_BQ)["hidden_cells"]
    learner.generator.manual_seed(5)
    hidden_BC = learner.uniform(20, 4) < 0.05 + 0.45 * learner.uniform(20, 1)
    total, soft_BP = 0.0, soften(number_BP)
    output_BO = learner.network.rebuild(soft_BP, category_BQ, hidden_BC)
    for b, c in hidden_BC.nonzero().tolist():
        if c < 3 and not number_BP[b, c].isnan():
            log_spread = output_BO[b, 6 + c]
            total += 0.5 * (output_BO[b, c] - soft_BP[b, c]) ** 2 * torch.exp(-2 * log_spread) + log_spread
        if c == 3 and category_BQ[b, 0]:
            total -= output_BO[b, 3:6].log_softmax(0)[category_BQ[b, 0] - 1]
    torch.testing.assert_close(found, total / (0.275 * 20 * 4))


# ---- alarms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("alarm_rate", [0.02, 0.1])
def test_normal_rows_are_flagged_as_often_as_asked(alarm_rate):
    found = []
    for seed in range(4):
        detector = quick(seed=seed, alarm_rate=alarm_rate).fit(correlated(1600, seed))
        found.append((detector.predict(correlated(2000, seed + 100)) == -1).mean())
    # 400 calibration rows each: one standard deviation of the mean is .0035 and .0075; .086 over 16 seeds for .1
    assert np.mean(found) == pytest.approx(alarm_rate, abs=0.03 if alarm_rate == 0.1 else 0.012)


def test_predict_p_values_and_decisions_agree(cancer):
    is_flagged = cancer.predict(MALIGNANT) == -1
    assert np.array_equal(is_flagged, cancer.decision_function(MALIGNANT) < 0)
    loose = clone(cancer).set_params(alarm_rate=0.1).fit(BENIGN[:250])
    assert np.array_equal(loose.predict(MALIGNANT) == -1, loose.p_values(MALIGNANT) <= 0.1 + 1e-12)


def test_anomalies_inside_the_training_table_are_found():
    X = np.vstack([BENIGN, MALIGNANT[:30]])
    truth = np.r_[np.zeros(len(BENIGN)), np.ones(30)]
    found = AnomalyDetector(device="cpu", alarm_rate=0.05).fit(X).detect(X)
    assert roc_auc_score(truth, found["anomaly_score"]) > 0.93
    assert 0.02 < found["is_anomaly"].mean() < 0.09


def test_on_the_training_file_a_row_is_not_its_own_neighbour():
    detector = quick().fit(BENIGN)
    found = detector.detect(BENIGN)
    # seen as new rows, all those learnt from are at distance 0 from themselves
    assert found["anomaly_score"].mean() > -detector.score_samples(BENIGN).mean() + 0.1
    assert found["is_anomaly"].mean() < 0.05


# ---- reasons -------------------------------------------------------------------------------------


def test_the_spoilt_column_is_named_first():
    detector = AnomalyDetector(normal_only=True, device="cpu").fit(correlated(600))
    rows, columns = correlated(100, 7), np.arange(100) % 5
    table = correlated(600)
    rows[np.arange(100), columns] = np.where(
        rows[np.arange(100), columns] > 0, table.min(0)[columns], table.max(0)[columns]
    )
    first = [reasons[0].column for reasons in detector.explain(rows)]
    assert np.mean([name == f"x{c}" for name, c in zip(first, columns, strict=True)]) >= 0.9


def test_reasons_speak_the_language_of_the_table():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 9, 400)
    table = pd.DataFrame({
        "size": size, "price": size * 100.0 + rng.normal(size=400), "class": np.where(size > 4, "large", "small"),
    })  # fmt: skip
    detector = AnomalyDetector(normal_only=True, device="cpu").fit(table)
    (dear,), (wrong,) = detector.explain(
        pd.DataFrame({"size": [2, 2], "price": [5000.0, 200.0], "class": ["small", "large"]}), n_columns=1
    )
    assert (dear.column, dear.seen) == ("price", pytest.approx(5000.0))
    assert 0 < dear.share <= 1
    assert str(dear).startswith("price = 5000 (expected ")
    assert str(wrong) in ("class = large (expected small)", f"size = 2 (expected {wrong.expected})")
    assert wrong.column == "class" or isinstance(wrong.expected, int)


def test_detect_gives_reasons_for_anomalies_only(cancer):
    found = cancer.detect(np.vstack([BENIGN[250:], MALIGNANT[:20]]))
    assert list(found) == ["anomaly_score", "p_value", "is_anomaly", "reason"]
    assert [bool(text) for text in found["reason"]] == found["is_anomaly"].tolist()


# ---- beside baselines, and what was seen ---------------------------------------------------------


def test_evaluate_is_beside_baselines(cancer):
    rows, truth = np.vstack([BENIGN[250:], MALIGNANT]), np.r_[np.zeros(len(BENIGN) - 250), np.ones(len(MALIGNANT))]
    area, precision, alarms = cancer.evaluate(rows, truth)
    assert [name for name, _ in area.baselines] == ["IsolationForest", "5 nearest rows", "chance"]
    assert area.value > 0.94
    assert alarms.value < 0.1
    (share,) = cancer.evaluate(rows)
    assert share.name == "share flagged"


def test_rows_that_were_learnt_from_are_counted(cancer):
    assert cancer.n_seen(BENIGN) == 250
    assert cancer.n_seen(MALIGNANT) == 0


# ---- keeping -------------------------------------------------------------------------------------


def test_a_loaded_detector_gives_equal_scores_and_reasons(tmp_path):
    wine = load_wine(as_frame=True).data
    detector = quick(alarm_rate=0.05).fit(wine)
    detector.save(tmp_path)
    again = AnomalyDetector.load(tmp_path)
    np.testing.assert_allclose(again.score_samples(wine), detector.score_samples(wine), rtol=1e-12)
    np.testing.assert_array_equal(again.predict(wine), detector.predict(wine))
    assert list(map(str, again.explain(wine[:5])[0])) == list(map(str, detector.explain(wine[:5])[0]))
    assert again.weights_ == detector.weights_


def test_a_training_that_is_stopped_leaves_a_usable_detector():
    detector = quick(n_steps=1000)
    training = detector.train(BENIGN)
    for _ in range(5):
        next(training)
    training.close()
    assert detector.n_iter_ == 5
    assert roc_auc_score(
        np.r_[np.zeros(99), np.ones(99)], -detector.score_samples(np.vstack([BENIGN[:99], MALIGNANT[:99]]))
    )


@pytest.mark.parametrize(
    "wrong", [{"alarm_rate": 0}, {"alarm_rate": 1.5}, {"trim": 0.6}, {"dim": 0}, {"n_references": 0}]
)
def test_settings_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        quick(**wrong).fit(BENIGN)


def test_scikit_learn_finds_nothing_to_complain_of():
    results = check_estimator(quick(n_steps=3, normal_only=False), on_skip=None)
    assert not [r for r in results if r["status"] == "failed"]
