"""Where training begins: both towers linear, and brought together in closed form.

Canonical correlation between the pictures' features and their captions' pieces (nn/alignment.py), as strongly
regularised as pictures that were held out ask for.
Dimension key: N pictures, M captions, R features of a picture, V pieces, Z directions of captions, E width of the
shared space.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import scipy.sparse
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.utils.extmath import safe_sparse_dot
from torch import Tensor

from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.towers import PairedTowers
from twofold.nn.alignment import Alignment, Correlations

__all__ = ["align"]

MOST_DIRECTIONS, MOST_CAPTIONS = 1024, 50_000
FLOORS = ((0.3, 1.0, 3.0, 10.0), (0.3, 1.0))  # of the pictures' variances, of the captions'


def align(learner: PairedTowers, lesson: Lesson, seed: int) -> float | None:
    """Set the linear parts of both towers; how the held-out pairs judge them (None where there are none)."""
    picture_M, _, piece_ML, _ = lesson.arrays(False)
    held_out = lesson.held_out()
    best: tuple[float, dict[str, Tensor]] | None = None
    for alignment, piece_VZ in _alignments(learner, lesson.pieces.matrix(piece_ML), picture_M, seed):
        _set(learner, alignment, piece_VZ)
        if held_out is None:
            return None
        value = learner.eval().evaluate(*held_out)["held_out"]
        if best is None or value < best[0]:
            best = value, {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    assert best is not None
    learner.load_state_dict(best[1])
    return best[0]


def _alignments(
    learner: PairedTowers, weight_MV: scipy.sparse.csr_matrix, picture_M: np.ndarray, seed: int
) -> Iterator[tuple[Alignment, np.ndarray]]:
    """One for each pair of strengths; the directions of captions (V, Z)."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(picture_M))[:MOST_CAPTIONS])
    weight_MV = weight_MV[rows]
    n_directions = max(1, min(MOST_DIRECTIONS, weight_MV.shape[1] - 1, len(rows) - 1))
    if n_directions < 2:
        direction_ZV = np.eye(weight_MV.shape[1])
    else:
        direction_ZV = TruncatedSVD(n_directions, random_state=seed % 2**32).fit(weight_MV).components_
    feature_MR = learner.feature_NR.cpu().numpy()[picture_M[rows]]
    found = Correlations(feature_MR, safe_sparse_dot(weight_MV, direction_ZV.T))
    for floors in product(*FLOORS):
        yield found.aligned(learner.head.weight.shape[1], floors), direction_ZV.T


@torch.no_grad()
def _set(learner: PairedTowers, alignment: Alignment, piece_VZ: np.ndarray) -> None:
    """The alignment as weights; both sides are brought to about length 1, so that what bends can be learned."""
    feature_NR = learner.feature_NR.cpu().double().numpy()
    of_pictures = _length(feature_NR @ alignment.left_DE + alignment.left_bias_E)
    meaning_VE = piece_VZ @ alignment.right_KE
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
