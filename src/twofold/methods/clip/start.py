"""Where training begins: both towers linear, and brought together in closed form.

Canonical correlation between the pictures' features and their captions' pieces (nn/alignment.py), as strongly
regularised as pictures that were held out ask for.
Dimension key: N pictures, M captions, R features of a picture, V pieces, Z directions of captions, E width of the
shared space; as Correlations names them, D features of a picture and K directions of captions.
"""

from itertools import product

import numpy as np
import scipy.sparse
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.utils.extmath import safe_sparse_dot

from twofold.methods.clip.keeping import judged
from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.towers import PairedTowers, misses, right_pairs
from twofold.nn.alignment import Alignment, Correlations

__all__ = ["align"]

MOST_DIRECTIONS, MOST_CAPTIONS = 1024, 50_000
FLOORS = ((0.3, 1.0, 3.0, 10.0), (0.3, 1.0))  # of the pictures' variances, of the captions'


def align(learner: PairedTowers, lesson: Lesson, seed: int) -> float | None:
    """Set the linear parts of both towers; how the held-out pairs judge them (None where there are none)."""
    picture_M, _, piece_ML, _ = lesson.arrays(False)
    feature_NR = learner.feature_NR.cpu().numpy()
    rows = np.sort(np.random.default_rng(seed).permutation(len(picture_M))[:MOST_CAPTIONS])
    weight_MV = lesson.pieces.matrix(piece_ML[rows])
    direction_VZ = _directions(weight_MV, seed)
    found = Correlations(feature_NR[picture_M[rows]], safe_sparse_dot(weight_MV, direction_VZ))
    embed_dim = learner.head.weight.shape[1]
    if not lesson.is_held_M.any():
        _set(learner, found.aligned(embed_dim, (FLOORS[0][0], FLOORS[1][0])), direction_VZ)
        return None
    judge = _Judge(lesson, feature_NR, direction_VZ)
    alignments = {floors: found.aligned(embed_dim, floors) for floors in product(*FLOORS)}
    best = min(alignments, key=lambda floors: judge.misses(alignments[floors]))
    _set(learner, alignments[best], direction_VZ)
    return judged(learner, lesson)


def _directions(weight_MV: scipy.sparse.csr_matrix, seed: int) -> np.ndarray:
    """Directions of captions along which they differ most (V, Z)."""
    n_directions = max(1, min(MOST_DIRECTIONS, weight_MV.shape[1] - 1, weight_MV.shape[0] - 1))
    if n_directions < 2:
        return np.eye(weight_MV.shape[1], dtype=np.float32)
    # two rounds: what the least of a thousand directions exactly is does not matter
    found = TruncatedSVD(n_directions, n_iter=2, random_state=seed % 2**32).fit(weight_MV)
    return found.components_.T.astype(np.float32)


class _Judge:
    """How far held-out captions and pictures are from finding each other under an alignment, before it is set."""

    def __init__(self, lesson: Lesson, feature_NR: np.ndarray, direction_VZ: np.ndarray):
        picture_M, text_M, piece_ML, _ = lesson.arrays(True)
        number_N, row_M = np.unique(picture_M, return_inverse=True)
        self.feature_NR = feature_NR[number_N]
        self.text_MZ = safe_sparse_dot(lesson.pieces.matrix(piece_ML), direction_VZ)
        self.is_right_MN = right_pairs(row_M, text_M, len(number_N))

    def misses(self, alignment: Alignment) -> float:
        """1 - mean of 1 / place, both ways."""
        picture_NE = _normed(self.feature_NR @ alignment.left_DE + alignment.left_bias_E)
        text_ME = _normed(self.text_MZ @ alignment.right_KE + alignment.right_bias_E)
        return misses(text_ME @ picture_NE.T, self.is_right_MN)


@torch.no_grad()
def _set(learner: PairedTowers, alignment: Alignment, direction_VZ: np.ndarray) -> None:
    """The alignment as weights; both sides are brought to about length 1, so that what bends can be learned."""
    feature_NR = learner.feature_NR.cpu().numpy()
    of_pictures = _length(feature_NR @ alignment.left_DE + alignment.left_bias_E)
    meaning_VE = direction_VZ @ alignment.right_KE.astype(np.float32)
    of_texts = _length(meaning_VE)
    parts = (
        (learner.head.weight, alignment.left_DE / of_pictures),
        (learner.head.bias, alignment.left_bias_E / of_pictures),
        (learner.text.bag.meaning[1:], meaning_VE / of_texts),
        (learner.text.bag.bias, alignment.right_bias_E / of_texts),
    )
    for weight, value in parts:
        weight.zero_()
        # fewer directions than the space is wide leave the rest at nothing
        weight[..., : value.shape[-1]].copy_(torch.from_numpy(np.ascontiguousarray(value)).to(weight))


def _length(vector_NE: np.ndarray) -> float:
    return max(float(np.sqrt(np.square(vector_NE).sum(1).mean())), 1e-9)


def _normed(vector_NE: np.ndarray) -> np.ndarray:
    return vector_NE / np.maximum(np.linalg.norm(vector_NE, axis=1, keepdims=True), 1e-9)
