"""What a picture must score to fit a query: learned where it is known what fits, and calibrated on the index itself.

The best score of a query is compared with what best scores are where the thing is there, and where all pictures of it
and of its relatives were taken away. How far a score stands out among this query's own scores counts too, and how many
pictures there are to choose from.

Gumbel 1958, Statistics of extremes.
Dimension key: Q queries, N pictures, T trials, A of them of things that are absent, F = 3 signs.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

__all__ = ["Relevance"]

ABSENT_CAUGHT = 0.82  # of the things that are not there, so many are to be answered by "nothing fits"
SHARES = (1.0, 0.5, 0.25)  # of the pictures, as indexes of other sizes
N_SHOWN = 10  # pictures among which a right one counts as found
LEAST_TRIALS = 10  # of each kind
TINY = 1e-6


@dataclass(frozen=True)
class Relevance:
    """A line between what fits and what does not.

    Parameters
    ----------
    of_score, of_distance, of_number : weights of the score, of how many standard deviations it lies above the query's
        mean score, and of the logarithm of the number of pictures.
    least : their weighted sum from which on a picture fits.

    Examples
    --------
    >>> relevance = Relevance.unlearned()
    >>> score_QN = np.stack([np.append(np.linspace(0, 0.1, 50), 0.9), np.linspace(0, 0.1, 51)])
    >>> (score_QN >= relevance.least_scores(score_QN)[:, None]).sum(1).tolist()
    [1, 0]
    """

    of_score: float
    of_distance: float
    of_number: float
    least: float

    @classmethod
    def unlearned(cls) -> "Relevance":
        """For want of trials: what stands out by five standard deviations, or scores a half."""
        return cls(10.0, 1.0, 0.0, 6.0)

    @classmethod
    def learn(cls, score_QN: np.ndarray, is_right_QN: np.ndarray, is_related_QN: np.ndarray, seed: int) -> "Relevance":
        """From queries of which it is known what fits.

        Parameters
        ----------
        is_right_QN : what a query should find.
        is_related_QN : what is to be taken away, beside that, for the thing to be absent.
        """
        sign_TF, is_there_T = _trials(score_QN, is_right_QN, is_right_QN | is_related_QN, np.random.default_rng(seed))
        if min(is_there_T.sum(), (~is_there_T).sum()) < LEAST_TRIALS:
            return cls.unlearned()
        spread_F = sign_TF[:, :2].std(0) + TINY
        weight_F = LogisticRegression(C=1.0).fit(sign_TF[:, :2] / spread_F, is_there_T).coef_[0] / spread_F
        # more score never fits worse
        weight_F = np.array([max(weight_F[0], TINY), max(weight_F[1], 0.0)])
        value_A, number_A = (sign_TF[:, :2] @ weight_F)[~is_there_T], sign_TF[~is_there_T, 2]
        # the best of N draws follows Gumbel's law: it grows by the law's scale with the logarithm of N
        growth = float(value_A[number_A > np.median(number_A)].std()) * np.sqrt(6) / np.pi
        least = float(np.quantile(value_A - growth * number_A, ABSENT_CAUGHT))
        return cls(*map(float, weight_F), -float(growth), least)

    def least_scores(self, score_QN: np.ndarray) -> np.ndarray:
        """What a picture must score to fit, (Q,): infinite where there are no pictures."""
        score_QN = np.asarray(score_QN, np.float64)
        Q, N = score_QN.shape
        if not N:
            return np.full(Q, np.inf)
        mean_Q, spread_Q = score_QN.mean(1), np.maximum(score_QN.std(1), TINY)
        # w s + v (s - mean) / spread + u log N = least, solved for s
        needed_Q = self.least - self.of_number * np.log(N) + self.of_distance * mean_Q / spread_Q
        # what points away from the query never fits, however few pictures there are
        return np.maximum(needed_Q / (self.of_score + self.of_distance / spread_Q), 0.0)


def _trials(
    score_QN: np.ndarray, is_right_QN: np.ndarray, is_taken_QN: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Signs (T, F) of indexes that hold a thing, where search finds it, and of others; and which those are."""
    sign_TF, is_there_T = [], []
    for share in SHARES:
        kept_N = rng.random(score_QN.shape[1]) < share
        for score_N, is_right_N, is_taken_N in zip(score_QN, is_right_QN, is_taken_QN, strict=True):
            best_N = np.argsort(-np.where(kept_N, score_N, -np.inf))[:N_SHOWN]
            rest_N = kept_N & ~is_taken_N
            if (is_right_N & kept_N)[best_N].any():
                sign_TF.append(_signs(score_N[kept_N]))
                is_there_T.append(True)
            if rest_N.sum() > 1:
                sign_TF.append(_signs(score_N[rest_N]))
                is_there_T.append(False)
    return np.array(sign_TF).reshape(-1, 3), np.array(is_there_T, bool)


def _signs(score_N: np.ndarray) -> tuple[float, float, float]:
    best = float(score_N.max())
    return best, (best - float(score_N.mean())) / max(float(score_N.std()), TINY), float(np.log(len(score_N)))
