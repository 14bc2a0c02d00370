"""What features are worth, with labels and without: nearest neighbours, views found again, and rank.

Dimension key: N pictures, E features, K neighbours.
"""

import numpy as np

__all__ = ["effective_rank", "found_again", "nearest_label"]

N_NEIGHBOURS, AT_ONCE = 20, 1000


def effective_rank(feature_NE: np.ndarray) -> float:
    """How many directions the features use: 1 when all are alike but for one number, E at most.

    The exponential of the entropy of the singular values: Roy, Vetterli 2007; Garrido et al. 2023 (RankMe),
    https://arxiv.org/abs/2210.02885
    """
    value_E = np.linalg.svd(feature_NE - feature_NE.mean(0), compute_uv=False)
    share_E = value_E / max(float(value_E.sum()), 1e-12)
    return float(np.exp(-(share_E * np.log(share_E + 1e-12)).sum()))


def found_again(feature_NE: np.ndarray, view_NE: np.ndarray) -> np.ndarray:
    """Whether the picture nearest to each changed view is the one that it is of, (N,) booleans; by chance one in N."""
    one_NE, other_NE = _unit(feature_NE), _unit(view_NE)
    return (other_NE @ one_NE.T).argmax(1) == np.arange(len(feature_NE))


def nearest_label(feature_NE: np.ndarray, label_N: np.ndarray, k: int = N_NEIGHBOURS) -> np.ndarray:
    """The label that weighs most among each picture's nearest others, (N,); nearer ones weigh more (Wu et al. 2018)."""
    unit_NE, k = _unit(feature_NE), min(k, len(feature_NE) - 1)
    classes, number_N = np.unique(label_N, return_inverse=True)
    answers = []
    for first in range(0, len(unit_NE), AT_ONCE):
        alike_BN = unit_NE[first : first + AT_ONCE] @ unit_NE.T
        alike_BN[np.arange(len(alike_BN)), first + np.arange(len(alike_BN))] = -np.inf
        near_BK = np.argpartition(-alike_BN, k - 1, axis=1)[:, :k]
        weight_BK = np.exp(10 * np.take_along_axis(alike_BN, near_BK, 1))
        votes_BL = np.zeros((len(alike_BN), len(classes)))
        for column in range(k):
            votes_BL[np.arange(len(alike_BN)), number_N[near_BK[:, column]]] += weight_BK[:, column]
        answers.append(classes[votes_BL.argmax(1)])
    return np.concatenate(answers)


def _unit(feature_NE: np.ndarray) -> np.ndarray:
    away_NE = feature_NE.astype(np.float32) - feature_NE.mean(0, dtype=np.float32)
    return away_NE / (np.linalg.norm(away_NE, axis=1, keepdims=True) + 1e-9)
