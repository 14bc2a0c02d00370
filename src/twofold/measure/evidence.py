"""Several kinds of evidence that a row is strange, on one scale, and how far to trust each.

Dimension key: R reference rows, H held-out ones, B rows asked about, M forged rows, P numbers, Q categories,
C = P + Q cells, E kinds of evidence, K neighbours, T columns tried.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from twofold.measure.calibration import EvidenceScale
from twofold.measure.forgeries import Forger, auroc
from twofold.measure.tails import Tails

__all__ = ["KINDS", "Evidence", "least_at_home"]

KINDS = (
    "nearest row", "5 nearest rows", "local density", "nearest row by quantile", "5 nearest rows by quantile",
    "tails", "farthest tail", "surprise", "largest surprise",
)  # fmt: skip
N_FORGED = 100  # of each kind
SHARPNESS = 4.0  # how strongly better evidence is preferred; 2 to 6 do alike (docs/LOG.md)
LEAST_WEIGHT = 0.03  # evidence with less is dropped: it costs time and adds nothing


class Evidence:
    """All kinds of evidence about rows, each as -log p among normal ones.

    Parameters
    ----------
    every_cell : a network's surprise at each cell, (numbers, categories) -> (B, C).
    around : the neighbourhood of the reference rows (nn.neighbours.Neighbourhood).
    rows : the reference rows, numbers and categories; the network learned from those after the first `n_held_out`.
    cardinalities : codes of each category, 0 included.
    """

    def __init__(
        self,
        every_cell: Callable[[Tensor, Tensor], Tensor],
        around: Any,
        rows: tuple[Tensor, Tensor],
        cardinalities: Sequence[int],
        n_held_out: int,
    ):
        self.every_cell, self.around, self.rows, self.n_held_out = every_cell, around, rows, n_held_out
        n_rows = len(rows[0])
        seen = slice(n_held_out if n_held_out < n_rows else 0, None)
        self.tails = Tails(rows[0][seen], rows[1][seen], cardinalities)
        # on rows that the network learned from: the held-out ones must look no tamer than new rows
        cost_BC = every_cell(rows[0][seen][:1000], rows[1][seen][:1000])
        self.cell_mean_C, self.cell_spread_C = cost_BC.mean(0), cost_BC.std(0, correction=0) + 0.05
        self.weight_E = torch.full((len(KINDS),), 1 / len(KINDS), dtype=torch.float64)
        normal_HE = self._raw(rows[0][:n_held_out], rows[1][:n_held_out], torch.arange(n_held_out))
        self.scales = [EvidenceScale(score_H) for score_H in normal_HE.T]
        self.normal_HE = self._on_scale(normal_HE)

    def __call__(self, number_BP: Tensor, category_BQ: Tensor, own_B: Tensor | None = None) -> Tensor:
        """-log p of each kind (B, E), 0 of those without weight; `own` is the place of a reference not to be seen."""
        return self._on_scale(self._raw(number_BP, category_BQ, own_B))

    def standard(self, cost_BC: Tensor) -> Tensor:
        """Surprises in standard deviations of each column's own."""
        return (cost_BC - self.cell_mean_C) / self.cell_spread_C

    def _raw(self, number_BP: Tensor, category_BQ: Tensor, own_B: Tensor | None) -> Tensor:
        """Each kind's own score (B, E), higher = stranger; those without weight are not computed."""
        raw_BE = torch.zeros(len(number_BP), len(KINDS), dtype=torch.float64)
        uses, rows = (self.weight_E > 0).tolist(), (number_BP, category_BQ)
        if any(uses[:3]):
            near_BK, who_BK = self.around.near(*rows, own_B, self.around.k if uses[2] else 5)
            raw_BE[:, 0], raw_BE[:, 1] = near_BK[:, 0], near_BK[:, :5].mean(1)
            if uses[2]:
                raw_BE[:, 2] = self.around.sparsity(near_BK, who_BK)
        if any(uses[3:5]):
            near_BK = self.around.near_by_quantile(*rows, own_B, 5)
            raw_BE[:, 3], raw_BE[:, 4] = near_BK[:, 0], near_BK.mean(1)
        if any(uses[5:7]):
            tail_BC = self.tails(*rows)
            raw_BE[:, 5], raw_BE[:, 6] = tail_BC.sum(1), tail_BC.amax(1)
        if any(uses[7:]):
            cost_BC = self.every_cell(*rows)
            raw_BE[:, 7], raw_BE[:, 8] = cost_BC.mean(1), self.standard(cost_BC).amax(1)
        return raw_BE

    def _on_scale(self, raw_BE: Tensor) -> Tensor:
        kinds = zip(self.scales, raw_BE.T.contiguous(), self.weight_E.tolist(), strict=True)
        return torch.stack([scale(raw_B) if weight else raw_B for scale, raw_B, weight in kinds], 1)

    # ---- trust -----------------------------------------------------------------------------------

    def learn_weights(self, generator: torch.Generator, without: Sequence[str] = ()) -> Tensor:
        """Trust each kind as it tells held-out rows from forged ones; the forged rows' evidence (M, E).

        Parameters
        ----------
        without : kinds to leave out.
        """
        forger = Forger(*self.rows, generator)
        base_M = torch.randint(self.n_held_out, (N_FORGED,), generator=generator)
        _, who_MK = self.around.near(self.rows[0][base_M], self.rows[1][base_M], base_M, self.around.k)
        forged = forger.forge(base_M, self.rows[0].nan_to_num(0.0)[who_MK].mean(1))
        number_MP, category_MQ = (torch.cat(part) for part in zip(*forged.values(), strict=True))
        forged_ME = self(number_MP, category_MQ, base_M.repeat(len(forged)))
        auroc_FE = torch.tensor(
            [
                [auroc(n, f) for n, f in zip(self.normal_HE.T, part_ME.T.contiguous(), strict=True)]
                for part_ME in forged_ME.split(N_FORGED)
            ],
            dtype=torch.float64,
        )
        odds_E = torch.log((auroc_FE + 0.01) / (1.01 - auroc_FE)).mean(0)
        odds_E[[KINDS.index(kind) for kind in without]] = -torch.inf
        weight_E = torch.softmax(SHARPNESS * odds_E, 0)
        weight_E[weight_E < LEAST_WEIGHT] = 0.0
        self.weight_E = weight_E / weight_E.sum()
        return forged_ME

    # ---- which cell ------------------------------------------------------------------------------

    def blame(
        self,
        rows: tuple[Tensor, Tensor],
        expected: tuple[Tensor, Tensor],
        own_B: Tensor | None = None,
        n_tried: int = 24,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """How much each cell has to do with a row's strangeness.

        Parameters
        ----------
        rows, expected : numbers (B, P) and categories (B, Q), as they are and as they would be expected.
        n_tried : only the most suspicious columns are tried.

        Returns
        -------
        The columns tried (B, T); the share of the strangeness that goes when each alone is as expected (B, T); and
        a rank (B, T), higher = more to blame: the strangeness that goes, and half the cell's own tail - among
        correlated columns the one that is far out is to blame.
        """
        P, tail_BC = rows[0].shape[1], self.tails(*rows)
        suspicion_BC = self.standard(self.every_cell(*rows)).clamp(-5, 50) + tail_BC
        column_BT = suspicion_BC.topk(min(n_tried, suspicion_BC.shape[1])).indices
        B, T = column_BT.shape
        is_tried_MC = torch.zeros(B * T, suspicion_BC.shape[1], dtype=torch.bool).scatter_(
            1, column_BT.view(-1, 1), True
        )
        number_MP, category_MQ = (
            torch.where(is_tried, new.repeat_interleave(T, 0), old.repeat_interleave(T, 0))
            for is_tried, new, old in zip((is_tried_MC[:, :P], is_tried_MC[:, P:]), expected, rows, strict=True)
        )
        own_M = None if own_B is None else own_B.repeat_interleave(T)
        before_B1 = (self(*rows, own_B) @ self.weight_E)[:, None]
        fall_BT = before_B1 - (self(number_MP, category_MQ, own_M) @ self.weight_E).view(B, T)
        return column_BT, fall_BT / before_B1.clamp_min(1e-9), fall_BT + tail_BC.gather(1, column_BT) / 2


def least_at_home(around: Any, rows: tuple[Tensor, Tensor], cardinalities: Sequence[int], share: float) -> Tensor:
    """The share of the rows (R booleans) that lies farthest from the others and farthest out.

    Anomalies in clusters have near neighbours of their own kind: the look goes to the 300th.
    """
    n_rows = len(rows[0])
    scores = around.own_distances(max(1, min(300, n_rows // 5)))
    scores.append(Tails(*rows, cardinalities)(*rows).sum(1).double())
    loneliness_R = sum((EvidenceScale(score_R)(score_R) for score_R in scores), torch.zeros(()))
    is_lonely_R = torch.zeros(n_rows, dtype=torch.bool)
    is_lonely_R[loneliness_R.topk(int(share * n_rows)).indices] = True
    return is_lonely_R
