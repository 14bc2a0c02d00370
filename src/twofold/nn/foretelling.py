"""What features foretell of a picture's words, by ridge regression, and how much each known picture tells of a new one.

What the fit foretells of a row left out of it is known in closed form: a network that learns beside it must see it as
unreliable as it is of new rows.

Rifkin, Lippert 2007, Notes on regularized least squares, MIT-CSAIL-TR-2007-025
Dimension key: N known pictures, B new ones, D features, R principal components, M words.
"""

from collections.abc import Mapping

import numpy as np
from sklearn.utils.extmath import randomized_svd

__all__ = ["MOST_LOOKS", "Foretelling"]

MOST_PLACES, MOST_LOOKS = 512, 64  # R at most, and how many of them are looked at
PENALTIES = np.geomspace(0.03, 30, 13)  # times the mean eigenvalue
RARE, SMALL_SHARE = 0.02, 1e-3  # what is added to shares of words before their logarithm is taken


class Foretelling:
    """Ridge regression from features: onto the words of captions, and as weights of the known pictures.

    Examples
    --------
    >>> feature_ND = np.eye(2).repeat(20, 0)
    >>> told = Foretelling.learn(feature_ND, feature_ND)
    >>> told.shares(told.places(np.array([[1.0, 0.0]]))).round(1).tolist()
    [[1.0, 0.0]]

    Parameters
    ----------
    arrays : what `NAMES` lists; the known pictures in principal components are `place_NR`.
    """

    NAMES = ("centre_D", "scale_D", "axis_DR", "place_NR", "value_R", "mean_M", "weight_RM", "penalty")

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        for name in self.NAMES:
            setattr(self, name, arrays[name])

    @classmethod
    def learn(cls, feature_ND: np.ndarray, word_NM: np.ndarray) -> "Foretelling":
        """The fit whose penalty errs least on pictures left out.

        Parameters
        ----------
        word_NM : the share of a picture's captions that say each word.
        """
        x_ND = np.asarray(feature_ND, np.float64)
        centre_D, scale_D = x_ND.mean(0), x_ND.std(0)
        scale_D[scale_D < 1e-6 * max(1.0, float(scale_D.max()))] = np.inf  # the same everywhere: tells nothing
        left_NR, length_R, axis_RD = _decomposed((x_ND - centre_D) / scale_D)
        R = max(1, min(MOST_PLACES, int((length_R > 1e-6 * max(length_R[0], 1e-6)).sum())))
        place_NR, value_R = left_NR[:, :R] * length_R[:R], np.maximum(np.square(length_R[:R]), 1e-9)
        mean_M = word_NM.mean(0)
        turned_RM = place_NR.T @ (word_NM - mean_M)
        penalties = PENALTIES * np.square(length_R).sum() / len(x_ND) + 1e-9
        errors = [
            np.square(_left_out(place_NR, value_R + p, turned_RM, word_NM - mean_M) - word_NM + mean_M).mean()
            for p in penalties
        ]
        penalty = penalties[int(np.argmin(errors))]
        arrays = {
            "centre_D": centre_D, "scale_D": scale_D, "axis_DR": axis_RD[:R].T, "place_NR": place_NR,
            "value_R": value_R, "mean_M": mean_M, "weight_RM": turned_RM / (value_R + penalty)[:, None],
            "penalty": np.array([penalty]),
        }  # fmt: skip
        # in one order in memory, as a file gives them back: another one rounds otherwise
        return cls({name: np.ascontiguousarray(value, np.float32) for name, value in arrays.items()})

    def places(self, feature_BD: np.ndarray) -> np.ndarray:
        """Principal components (B, R)."""
        return ((np.asarray(feature_BD, np.float32) - self.centre_D) / self.scale_D) @ self.axis_DR

    def alike(self, place_BR: np.ndarray) -> np.ndarray:
        """How much each known picture tells of these, (B, N): weights of any sign whose sum is 1."""
        return place_BR / (self.value_R + self.penalty) @ self.place_NR.T + 1 / len(self.place_NR)

    def nearness(self, place_BR: np.ndarray) -> np.ndarray:
        """Cosines (B, N) with the known pictures, of components halfway to equal spread."""
        sides = [part[:, :MOST_LOOKS] / self.value_R[:MOST_LOOKS] ** 0.25 for part in (place_BR, self.place_NR)]
        left, right = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9) for side in sides)
        return left @ right.T

    def looks(self, place_BR: np.ndarray) -> np.ndarray:
        """What the captioner sees of the pictures: the first components, of length about 1 each."""
        look = place_BR[:, :MOST_LOOKS]
        return look / np.maximum(np.linalg.norm(look, axis=1, keepdims=True), 1e-9) * look.shape[1] ** 0.5

    def lift(self, share_BM: np.ndarray) -> np.ndarray:
        """The log of how much likelier than elsewhere words are, from their foretold shares."""
        base_M = (1 + RARE) * self.mean_M + SMALL_SHARE
        return np.log((share_BM.clip(0, 1) + RARE * self.mean_M + SMALL_SHARE) / base_M)

    def shares(self, place_BR: np.ndarray) -> np.ndarray:
        """The share of its captions that each word is foretold to be in, (B, M)."""
        return self.mean_M + place_BR @ self.weight_RM

    def left_out(self, word_NM: np.ndarray) -> np.ndarray:
        """The shares (N, M) that each known picture would be foretold by all others."""
        kept_R = self.value_R + self.penalty
        return self.mean_M + _left_out(self.place_NR, kept_R, self.weight_RM * kept_R[:, None], word_NM - self.mean_M)


def _decomposed(x_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular vectors and values; of large matrices only the first, about."""
    if min(x_ND.shape) <= 2 * MOST_PLACES:
        return np.linalg.svd(x_ND, full_matrices=False)
    return randomized_svd(x_ND, MOST_PLACES, n_iter=4, random_state=0)


def _left_out(place_NR: np.ndarray, kept_R: np.ndarray, turned_RM: np.ndarray, y_NM: np.ndarray) -> np.ndarray:
    """What rows would be foretold by a fit without them: the residual and leverage in the fit with all tell."""
    # 1 / N: leaving a row out moves the mean too
    leverage_N1 = (np.square(place_NR) / kept_R).sum(1, keepdims=True) + 1 / len(place_NR)
    return y_NM - (y_NM - place_NR @ (turned_RM / kept_R[:, None])) / np.maximum(1 - leverage_N1, 1e-3)
