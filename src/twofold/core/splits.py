"""Rows held out of a training, to judge it by."""

import math

import numpy as np

__all__ = ["hold_out"]

HELD_OUT_CELLS = 1_000_000


def hold_out(
    data: tuple[np.ndarray, ...], latent_dim: int, seed: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...] | None]:
    """A tenth of the rows, 1,000 at most, held out to judge by; none of fewer than 40."""
    N = len(data[0])
    if N < 40:
        return data, None
    most = min(1000, 32_000 // latent_dim, HELD_OUT_CELLS // max(1, math.prod(data[0].shape[1:])))
    n_held = int(np.clip(N // 10, 10, max(most, 100 if data[0].ndim == 2 else 10)))
    if isinstance(data[0], np.memmap):
        # rows mapped from disk stay there: the last ones are taken
        return tuple(array[:-n_held] for array in data), tuple(array[-n_held:] for array in data)
    order = np.random.default_rng(seed).permutation(N)
    return tuple(array[order[n_held:]] for array in data), tuple(array[order[:n_held]] for array in data)
