"""Where training begins: both towers linear, and brought together in closed form.

Canonical correlation between the pictures' features and their captions' pieces (nn/alignment.py), as strongly
regularised as pictures that were held out ask for.
Dimension key: N pictures, M captions, R features of a picture, V pieces, Z directions of captions, E width of the
shared space; as Correlations names them, D features of a picture and K directions of captions.
"""

from itertools import product

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD

from twofold.methods.clip.keeping import judged
from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.towers import PairedTowers, TextHead, misses, right_pairs
from twofold.nn.alignment import Alignment, Correlations

__all__ = ["align", "caption_directions"]

MOST_DIRECTIONS, MOST_CAPTIONS = 1024, 50_000
FLOORS = ((0.3, 1.0, 3.0, 10.0), (0.3, 1.0))  # of the pictures' variances, of the captions'


def align(learner: PairedTowers, lesson: Lesson, seed: int) -> float | None:
    """Set the linear parts of both towers; how the held-out pairs judge them (None where there are none)."""
    assert isinstance(learner.text, TextHead)
    picture_M, _, number_M1, _ = lesson.arrays(False)
    rows = np.sort(np.random.default_rng(seed).permutation(len(picture_M))[:MOST_CAPTIONS])
    feature_NR, place_UZ = learner.feature_NR.cpu().numpy(), learner.text.place_UZ.cpu().numpy()
    found = Correlations(feature_NR[picture_M[rows]], place_UZ[number_M1[rows, 0]])
    embed_dim = learner.head.weight.shape[1]
    if not lesson.is_held_M.any():
        _set(learner, found.aligned(embed_dim, (FLOORS[0][0], FLOORS[1][0])))
        return None
    judge = _Judge(lesson, feature_NR, place_UZ)
    alignments = {floors: found.aligned(embed_dim, floors) for floors in product(*FLOORS)}
    best = min(alignments, key=lambda floors: judge.misses(alignments[floors]))
    _set(learner, alignments[best])
    return judged(learner, lesson)


def caption_directions(lesson: Lesson, seed: int) -> np.ndarray:
    """Directions of pieces along which captions differ most (V, Z)."""
    piece_ML = lesson.arrays(False)[2]
    rows = np.sort(np.random.default_rng(seed).permutation(len(piece_ML))[:MOST_CAPTIONS])
    weight_MV = lesson.pieces.matrix(piece_ML[rows])
    n_directions = max(1, min(MOST_DIRECTIONS, weight_MV.shape[1] - 1, weight_MV.shape[0] - 1))
    if n_directions < 2:
        return np.eye(weight_MV.shape[1], dtype=np.float32)
    # one round: what the least of a thousand directions exactly is does not matter
    found = TruncatedSVD(n_directions, n_iter=1, random_state=seed % 2**32).fit(weight_MV)
    return found.components_.T.astype(np.float32)


class _Judge:
    """How far held-out captions and pictures are from finding each other under an alignment, before it is set."""

    def __init__(self, lesson: Lesson, feature_NR: np.ndarray, place_UZ: np.ndarray):
        picture_M, text_M, _, _ = lesson.arrays(True)
        number_N, row_M = np.unique(picture_M, return_inverse=True)
        self.feature_NR = feature_NR[number_N]
        self.text_MZ = place_UZ[text_M]
        self.is_right_MN = right_pairs(row_M, text_M, len(number_N))

    def misses(self, alignment: Alignment) -> float:
        """1 - mean of 1 / place, both ways."""
        picture_NE = _normed(self.feature_NR @ alignment.left_DE + alignment.left_bias_E)
        text_ME = _normed(self.text_MZ @ alignment.right_KE + alignment.right_bias_E)
        return misses(text_ME @ picture_NE.T, self.is_right_MN)


@torch.no_grad()
def _set(learner: PairedTowers, alignment: Alignment) -> None:
    """The alignment as weights; both sides are brought to about length 1, so that what bends can be learned."""
    feature_NR = learner.feature_NR.cpu().numpy()
    of_pictures = _length(feature_NR @ alignment.left_DE + alignment.left_bias_E)
    of_texts = _length(learner.text.direction_VZ.numpy() @ alignment.right_KE.astype(np.float32))
    parts = (
        (learner.head.weight, alignment.left_DE / of_pictures),
        (learner.head.bias, alignment.left_bias_E / of_pictures),
        (learner.text.weight, alignment.right_KE / of_texts),
        (learner.text.bias, alignment.right_bias_E / of_texts),
    )
    for weight, value in parts:
        weight.zero_()
        # fewer directions than the space is wide leave the rest at nothing
        weight[..., : value.shape[-1]].copy_(torch.from_numpy(np.ascontiguousarray(value)).to(weight))


def _length(vector_NE: np.ndarray) -> float:
    return max(float(np.sqrt(np.square(vector_NE).sum(1).mean())), 1e-9)


def _normed(vector_NE: np.ndarray) -> np.ndarray:
    return vector_NE / np.maximum(np.linalg.norm(vector_NE, axis=1, keepdims=True), 1e-9)
