"""Self-made anomalies: normal rows made wrong in known ways, to tell without labels which scorer sees what.

Dimension key: N reference rows, M forged rows of each kind, P numbers, Q categories.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Forger", "auroc"]

FEW_VALUES = 20


@dataclass
class Forger:
    """Makes wrong rows from right ones.

    Parameters
    ----------
    number_NP, category_NQ : normal rows, NaN and 0 where missing.
    generator : source of all randomness.
    """

    number_NP: Tensor
    category_NQ: Tensor
    generator: torch.Generator

    def forge(self, base_M: Tensor, around_MP: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Eight kinds of wrong rows, name -> (numbers (M, P), categories (M, Q)).

        Parameters
        ----------
        base_M : the rows to spoil.
        around_MP : the mean of the nearest neighbours of each.
        """
        row_MP, code_MQ = self.number_NP[base_M].nan_to_num(0.0), self.category_NQ[base_M]
        kinds = self._spoil(row_MP, code_MQ, around_MP)
        gap_MP, seen = self.number_NP[base_M].isnan(), self._few_values()
        return {
            name: (_snapped(number_MP, seen).masked_fill(gap_MP, torch.nan), category_MQ)
            for name, (number_MP, category_MQ) in kinds.items()
        }

    def _spoil(self, row_MP: Tensor, code_MQ: Tensor, around_MP: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        M, P = row_MP.shape
        filled_NP = self.number_NP.nan_to_num(0.0)
        mean_P, sd_P = filled_NP.mean(0), filled_NP.std(0, correction=0)
        low_P, high_P = (filled_NP.amin(0), filled_NP.amax(0)) if len(filled_NP) and P else (mean_P, mean_P)
        (first_MP, first_MQ), (second_MP, _), (third_MP, third_MQ) = (self._others(M) for _ in range(3))
        (few_MP, few_MQ), (half_MP, _) = self._some(M, 0.05, 0.3), self._some(M, 0.1, 0.5)
        anywhere_MQ = self._levels(M)
        part_M1 = self._between(M, 0.3, 0.7)
        return {
            "swapped cells": (torch.where(few_MP, first_MP, row_MP), torch.where(few_MQ, first_MQ, code_MQ)),
            "noise": (
                row_MP + sd_P * torch.randn(M, P, generator=self.generator) * self._between(M, 0.1, 0.6),
                torch.where(few_MQ, anywhere_MQ, code_MQ),
            ),
            "locally odd": (around_MP + (row_MP - around_MP) * self._between(M, 1.5, 3.5), code_MQ),
            "shifted": (
                row_MP + (second_MP - third_MP) * self._between(M, 0.2, 0.9),
                torch.where(self._some(M, 0.1, 0.4)[1], third_MQ, code_MQ),
            ),
            "between": (
                row_MP * part_M1 + first_MP * (1 - part_M1),
                torch.where(self._some(M, 0.3, 0.6)[1], first_MQ, code_MQ),
            ),
            "anywhere": (low_P + (high_P - low_P) * self._uniform(M, P).mul(1.1).sub(0.05), anywhere_MQ),
            "far out": (mean_P + (row_MP - mean_P) * self._between(M, 1.3, 2.8), code_MQ),
            "far out in some": (
                torch.where(half_MP, mean_P + (row_MP - mean_P) * self._between(M, 1.5, 3.5), row_MP),
                code_MQ,
            ),
        }

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def _between(self, n_rows: int, low: float, high: float) -> Tensor:
        return low + (high - low) * self._uniform(n_rows, 1)

    def _others(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """Rows drawn from all."""
        index = torch.randint(len(self.number_NP), (n_rows,), generator=self.generator)
        return self.number_NP[index].nan_to_num(0.0), self.category_NQ[index]

    def _levels(self, n_rows: int) -> Tensor:
        """Each category drawn on its own: its shares are right, its dependence on the others is gone."""
        Q = self.category_NQ.shape[1]
        index_MQ = torch.randint(len(self.category_NQ), (n_rows, Q), generator=self.generator)
        return self.category_NQ.gather(0, index_MQ)

    def _some(self, n_rows: int, low: float, high: float) -> tuple[Tensor, Tensor]:
        """A random share of the columns of each row, at least one."""
        P, Q = self.number_NP.shape[1], self.category_NQ.shape[1]
        chosen = self._uniform(n_rows, P + Q) < self._between(n_rows, low, high)
        chosen[torch.arange(n_rows), torch.randint(P + Q, (n_rows,), generator=self.generator)] = True
        return chosen[:, :P], chosen[:, P:]

    def _few_values(self) -> dict[int, Tensor]:
        """The values of the columns that hold only a few."""
        seen = {}
        for column, number_N in enumerate(self.number_NP[:2000].T):
            values = number_N[~number_N.isnan()].unique()
            if 0 < len(values) <= FEW_VALUES:
                seen[column] = values
        return seen


def _snapped(number_MP: Tensor, seen: dict[int, Tensor]) -> Tensor:
    """A discrete column can only be wrong by another of its own values: else any scorer would know the forgery."""
    number_MP = number_MP.clone()
    for column, values in seen.items():
        x_M = number_MP[:, column].contiguous()
        right = torch.searchsorted(values, x_M).clamp(max=len(values) - 1)
        left = (right - 1).clamp_min(0)
        is_left = (x_M - values[left]).abs() < (x_M - values[right]).abs()
        number_MP[:, column] = torch.where(is_left, values[left], values[right])
    return number_MP


def auroc(normal_N: Tensor, odd_M: Tensor) -> float:
    """How often an odd row scores above a normal one, ties by half."""
    sorted_N = normal_N.sort().values
    n_below = torch.searchsorted(sorted_N, odd_M) + torch.searchsorted(sorted_N, odd_M, right=True)
    return float(n_below.double().mean() / 2 / len(sorted_N))
