"""The start of the ordered networks: principal axes."""

import numpy as np
import pytest

from twofold.nn.ordered import principal_axes


@pytest.mark.parametrize("n_columns", [20, 600], ids=["exact", "randomised"])
def test_axes_are_those_of_a_singular_value_decomposition(n_columns):
    generator = np.random.default_rng(0)
    value_NO = generator.normal(size=(100, 5)) * [9, 7, 5, 3, 1] @ generator.normal(size=(5, n_columns))
    axis_ZO, spread_Z = principal_axes(value_NO, 3, 0)
    _, length, axes = np.linalg.svd(value_NO, full_matrices=False)
    np.testing.assert_allclose(spread_Z, length[:3] / 10, rtol=1e-6)
    np.testing.assert_allclose(np.abs(axis_ZO), np.abs(axes[:3]), atol=1e-6)
    assert (axis_ZO[range(3), np.abs(axis_ZO).argmax(1)] > 0).all()


def test_axes_without_spread_are_left_out():
    value_NO = np.outer(np.linspace(-1, 1, 30), [1.0, 2.0, 0.0])
    axis_ZO, spread_Z = principal_axes(value_NO, 3, 0)
    assert axis_ZO.shape == (1, 3)
    assert len(principal_axes(np.zeros((5, 3)), 3, 0)[1]) == 1
