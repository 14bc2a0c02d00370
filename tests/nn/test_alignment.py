"""Canonical correlation beside a direct solution, and what regularising does."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA

from twofold.nn.alignment import Correlations

TINY = (1e-9, 1e-9)


def pairs(n=400, noise=0.5, seed=0):
    """Two views, 6 and 5 wide, of three hidden numbers."""
    rng = np.random.default_rng(seed)
    hidden_M3 = rng.normal(size=(n, 3))
    left, right = (hidden_M3 @ rng.normal(size=(3, k)) + noise * rng.normal(size=(n, k)) + 5 for k in (6, 5))
    return left, right


def correlations_of(x_ME, y_ME):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(x_ME.T, y_ME.T, strict=True)])


def directly(x_MD, y_MK):
    """Canonical correlations as the roots of a generalised eigenvalue problem."""
    x, y = x_MD - x_MD.mean(0), y_MK - y_MK.mean(0)
    xx, yy, xy = x.T @ x, y.T @ y, x.T @ y
    values = scipy.linalg.eigh(xy @ np.linalg.solve(yy, xy.T), xx, eigvals_only=True)
    return np.sqrt(np.clip(values[::-1], 0, 1))


def test_with_tiny_floors_the_directions_correlate_as_the_direct_solution_and_scikit_learns():
    x_MD, y_MK = pairs()
    found = Correlations(x_MD, y_MK).aligned(4, TINY)
    x_ME, y_ME = x_MD @ found.left_DE + found.left_bias_E, y_MK @ found.right_KE + found.right_bias_E
    ours = correlations_of(x_ME, y_ME)
    assert ours == pytest.approx(directly(x_MD, y_MK)[:4], abs=1e-6)
    theirs = CCA(3, max_iter=5000, tol=1e-12).fit(x_MD, y_MK)
    assert ours[:3] == pytest.approx(correlations_of(*theirs.transform(x_MD, y_MK)), abs=1e-4)


def test_each_direction_is_as_long_as_it_agrees_and_uncorrelated_with_the_others():
    x_MD, y_MK = pairs()
    found = Correlations(x_MD, y_MK).aligned(4, TINY)
    x_ME = x_MD @ found.left_DE + found.left_bias_E
    share_E = directly(x_MD, y_MK)[:4]
    assert x_ME.mean(0) == pytest.approx(0, abs=1e-9)
    assert x_ME.T @ x_ME / len(x_ME) == pytest.approx(np.diag(share_E**2), abs=1e-6)


def test_more_floor_trusts_what_varies_little_less():
    x_MD, y_MK = pairs()
    x_MD = np.hstack([x_MD, 1e-3 * y_MK[:, :1]])  # agrees in full, and hardly varies
    weak, strong = (Correlations(x_MD, y_MK).aligned(1, (floor, 1e-9)) for floor in (1e-9, 1.0))
    of_small = [abs(found.left_DE[-1, 0]) * 1e-3 for found in (weak, strong)]
    assert of_small[0] > 20 * of_small[1]


def test_the_directions_have_one_sign_and_fewer_are_the_first_of_more():
    x_MD, y_MK = pairs()
    some, more = (Correlations(x_MD, y_MK).aligned(n, (0.1, 0.1)) for n in (2, 4))
    assert np.array_equal(some.left_DE, more.left_DE[:, :2])
    turned = Correlations(x_MD[::-1], y_MK[::-1]).aligned(4, (0.1, 0.1))
    assert turned.left_DE == pytest.approx(more.left_DE, abs=1e-8)
    assert turned.right_KE == pytest.approx(more.right_KE, abs=1e-8)


@pytest.mark.parametrize(
    ("x_MD", "y_MK"),
    [
        (np.ones((5, 3)), np.eye(5)), (np.eye(4), np.ones((4, 1))), (np.eye(2), np.eye(2)),
        (np.random.default_rng(0).normal(size=(3, 9)), np.random.default_rng(1).normal(size=(3, 8))),
    ],
    ids=["no variance", "one constant", "two pairs", "fewer pairs than features"],
)  # fmt: skip
def test_what_cannot_be_told_apart_breaks_nothing(x_MD, y_MK):
    found = Correlations(x_MD, y_MK).aligned(2, (0.3, 0.3))
    for part in (found.left_DE, found.left_bias_E, found.right_KE, found.right_bias_E):
        assert np.isfinite(part).all()
