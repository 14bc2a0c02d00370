"""How well a score tells anomalies from normal rows: AUROC and average precision, with intervals."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from twofold.measure.report import Measure, bootstrap_interval

__all__ = ["detection_measures"]


def detection_measures(
    is_anomaly_N: np.ndarray, score_N: np.ndarray, baselines: dict[str, np.ndarray], *, seed: int = 0
) -> list[Measure]:
    """AUROC and average precision of `score` (higher = stranger), each with its interval and beside baselines.

    Parameters
    ----------
    is_anomaly_N : booleans, the truth; both must occur.
    score_N : anomaly scores.
    baselines : other scores for the same rows, by name; chance is added.
    """
    share = float(is_anomaly_N.mean())
    chance = {"AUROC": 0.5, "average precision": share}
    functions = {"AUROC": _auroc, "average precision": _average_precision}
    return [
        Measure(
            name,
            function(is_anomaly_N, score_N),
            bootstrap_interval(function, is_anomaly_N, score_N, seed=seed),
            (
                *((other, function(is_anomaly_N, scores)) for other, scores in baselines.items()),
                ("chance", chance[name]),
            ),
        )
        for name, function in functions.items()
    ]


def _auroc(truth_N: np.ndarray, score_N: np.ndarray) -> float:
    return float(roc_auc_score(truth_N, score_N)) if 0 < truth_N.sum() < len(truth_N) else float("nan")


def _average_precision(truth_N: np.ndarray, score_N: np.ndarray) -> float:
    return float(average_precision_score(truth_N, score_N)) if truth_N.any() else float("nan")
