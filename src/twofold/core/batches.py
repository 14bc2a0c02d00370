"""Batches as a pure function of (seed, step, process).

Dimension key: N rows, B rows of one process's batch.
"""

from collections.abc import Sequence
from typing import Union

import numpy as np
import torch
from torch import Tensor

__all__ = ["Array", "Batches", "NOISE", "Picked", "mix"]

Array = Union[np.ndarray, Tensor, "Picked"]

# Mixed into the seed, so that the order of the rows and the noise of a step are unrelated.
ORDER, NOISE = 0x9E3779B9, 0x85EBCA6B


def mix(seed: int, purpose: int, number: int) -> int:
    """A seed for one purpose and one number (an epoch, a step), unlike its neighbours'."""
    return int(np.random.SeedSequence([seed, purpose, number]).generate_state(1, np.uint64)[0] >> 1)


class Picked:
    """Some rows of an array, read when they are asked for: the array may be mapped from disk."""

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(self.array[self.rows[index]])


class Batches:
    """`batches[step]` is a tuple of tensors: the rows of that step that fall to this process.

    Rows are visited in epochs, each a new permutation; a batch may straddle two. Arrays in memory become tensors once;
    memory-mapped ones are read a batch at a time.
    """

    def __init__(
        self,
        data: Sequence[Array],
        batch_size: int,
        seed: int,
        *,
        share: tuple[int, int] = (0, 1),
        device: torch.device | str = "cpu",
    ):
        self.device = torch.device(device)
        self.data = [_in_memory(array, self.device) for array in data]
        self.n_rows = len(data[0])
        self.seed = seed
        rank, n_shares = share
        self.rank = rank
        # every process takes an equal part of the batch
        self.local_size = max(1, min(batch_size, self.n_rows) // n_shares)
        self.batch_size = self.local_size * n_shares
        self._epoch = (-1, torch.empty(0, dtype=torch.int64))

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        index_B = self.rows(step)
        return tuple(_take(array, index_B, self.device) for array in self.data)

    def rows(self, step: int) -> Tensor:
        """The numbers of the rows of that step, for this process."""
        first = step * self.batch_size + self.rank * self.local_size
        parts: list[Tensor] = []
        n_missing = self.local_size
        while n_missing:
            epoch, offset = divmod(first, self.n_rows)
            part = self._order(epoch)[offset : offset + n_missing]
            parts.append(part)
            first += len(part)
            n_missing -= len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _order(self, epoch: int) -> Tensor:
        if self._epoch[0] != epoch:
            generator = torch.Generator().manual_seed(mix(self.seed, ORDER, epoch))
            self._epoch = (epoch, torch.randperm(self.n_rows, generator=generator))
        return self._epoch[1]


def _in_memory(array: Array, device: torch.device) -> Array:
    """A tensor on the device, unless the array is mapped from disk and may not fit."""
    if isinstance(array, Picked):
        return array if isinstance(array.array, np.memmap) else _in_memory(array.array[array.rows], device)
    if isinstance(array, np.memmap):
        return array
    if isinstance(array, np.ndarray):
        array = torch.from_numpy(array if array.flags.writeable else array.copy())
    return array.to(device)


def _take(array: Array, index_B: Tensor, device: torch.device) -> Tensor:
    if isinstance(array, np.memmap | Picked):
        return torch.from_numpy(np.asarray(array[index_B.numpy()])).to(device)
    assert isinstance(array, Tensor)
    return array.index_select(0, index_B.to(array.device))
