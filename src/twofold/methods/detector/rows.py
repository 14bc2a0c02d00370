"""The judge of rows: a masked-cell network and neighbours, weighed against each other.

A masked-cell network rebuilds hidden cells from the visible ones; what it finds surprising is one kind of evidence.
Exact nearest neighbours and tails of single columns are others: on some tables they see what the network cannot, on
others the reverse. Rows spoilt on purpose tell, without labels, how far to trust each; conformal calibration turns the
sum into p-values whose alarm rate holds on the mean.

Devlin et al. 2019 (masking), https://arxiv.org/abs/1810.04805; Ramaswamy et al. 2000 (neighbours); Breunig et al. 2000
(local density); Li et al. 2022 (tails), https://arxiv.org/abs/2201.00382; Vovk et al. 2005 (conformal p-values).
Dimension key: N rows, B rows at a time, P numbers, Q categories, C = P + Q cells, E kinds of evidence, R reference
rows, H held-out rows, which the network never sees, L lonely rows, M forged rows, T columns tried.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor

from twofold.core.batches import Picked
from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.core.rows import learn_columns, next_table
from twofold.data.columns import Columns, row_hashes
from twofold.measure.calibration import Calibration
from twofold.measure.evidence import KINDS, Evidence, least_at_home
from twofold.measure.forgeries import auroc
from twofold.measure.reasons import Reason, worst
from twofold.nn.cells import Cells
from twofold.nn.neighbours import Neighbourhood
from twofold.nn.rebuilder import CellRebuilder
from twofold.nn.scales import harden, soften

__all__ = ["MaskedCells", "RowJudge"]

N_GROUPS = 4  # of columns, hidden in turns at scoring
MAX_HELD_OUT = 1000
ROWS_AT_ONCE, ROWS_EXPLAINED_AT_ONCE = 4096, 128

Rows = tuple[Tensor, Tensor]  # numbers (N, P) and categories (N, Q)


class MaskedCells(Learner):
    """Learns to rebuild hidden cells from the visible ones."""

    weight_decay = 1e-2

    def __init__(self, network: CellRebuilder):
        super().__init__()
        self.network = network

    def schedule(self, fraction: float) -> float:
        """Warm-up, then a cosine to 0."""
        return min((fraction + 1e-3) / 0.1, 1.0) * (1 + math.cos(math.pi * fraction)) / 2

    def loss(self, number_BP: Tensor, category_BQ: Tensor) -> dict[str, Tensor]:
        """The surprise at hidden cells: 5 to 50 % of each row."""
        B, C = len(number_BP), number_BP.shape[1] + category_BQ.shape[1]
        number_BP = soften(number_BP)
        hidden_BC = self.uniform(B, C) < 0.05 + 0.45 * self.uniform(B, 1)
        output_BO = self.network.rebuild(number_BP, category_BQ, hidden_BC)
        surprise_BC = self.network.surprise(output_BO, number_BP, category_BQ)
        # over the cells expected to be hidden: the same weight whichever process holds a row
        return {"hidden_cells": (surprise_BC * hidden_BC).sum() / (0.275 * B * C)}


@dataclass(frozen=True)
class Split:
    """Numbers of the training table's rows."""

    references: np.ndarray  # kept for neighbours; the first `n_held_out` serve to calibrate and to choose
    n_held_out: int
    learnt: np.ndarray  # what the network learns from
    lonely: np.ndarray  # left out, since they may be anomalies


# ---- the judge -----------------------------------------------------------------------------------


class RowJudge:
    """What rows of a table are normal, and which cells of others are not."""

    kind = "rows"

    # ---- learning --------------------------------------------------------------------------------

    def prepare(self, detector: Any, X: Any) -> tuple[Learner, tuple[Picked, ...]]:
        """What is to be trained, on which rows; `n_steps` and `batch_size` are what suits them."""
        self.seed, self.batch_size = detector.seed, detector.batch_size
        self.columns, table = learn_columns(detector, X, detector.kinds, detector.missing)
        self.data = self.columns.encode(table)
        self.split = self._split(detector)
        self.n_steps = int(np.clip(100 * (len(self.split.learnt) / 5000) ** 0.5, 100, 400))
        learner = MaskedCells(self._network(detector.dim, detector.depth))
        learner.learning_rate = detector.learning_rate
        return learner, tuple(Picked(array, self.split.learnt) for array in self.data)

    def _network(self, dim: int, depth: int) -> CellRebuilder:
        with seeded(self.seed):
            return CellRebuilder(Cells(len(self.columns.numbers), self.columns.cardinalities), dim, depth, N_GROUPS)

    def _split(self, detector: Any) -> Split:
        """Which rows are references, held out, learnt from, or left out as too lonely."""
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(self.data[0]))
        references, rest = order[: detector.n_references], order[detector.n_references :]
        lonely, cardinalities = np.empty(0, dtype=np.int64), self.columns.cardinalities
        if not detector.normal_only and detector.trim and len(references) >= 10:
            rows = _tensors(self.data, references)
            is_lonely = least_at_home(Neighbourhood(*rows, cardinalities), rows, cardinalities, detector.trim)
            references, lonely = references[~is_lonely], references[is_lonely]
        n = len(references)
        n_held_out = max(1, min(MAX_HELD_OUT, max(n // 4, min(n // 2, 30))))
        learnt = np.concatenate([references[n_held_out:], rest]) if n > 1 else references
        return Split(references, n_held_out, learnt, lonely)

    @torch.inference_mode()
    def finish(self, learner: MaskedCells) -> None:
        """From a trained network to a judge: evidence, its weights, calibration."""
        rows = _tensors(self.data, self.split.references)
        self._assemble(learner.network, rows, self.split.n_held_out)
        # a cluster of anomalies among the references is dense
        without = ("local density",) if len(self.split.lonely) else ()
        forged_ME = self.evidence.learn_weights(torch.Generator().manual_seed(self.seed), without)
        self.calibration = self._calibrate()
        self.hash_R = row_hashes(tuple(part.numpy() for part in rows))
        normal_HE, weight_E, near = self.evidence.normal_HE, self.evidence.weight_E, KINDS.index("5 nearest rows")
        self.measures = {
            "AUROC on self-made anomalies": auroc(normal_HE @ weight_E, forged_ME @ weight_E),
            "the same by 5 nearest rows alone": auroc(normal_HE[:, near], forged_ME[:, near].contiguous()),
            "calibration rows": float(len(self.calibration.score_N)),
        }
        del self.data, self.split

    def _assemble(self, network: CellRebuilder, rows: Rows, n_held_out: int) -> None:
        # in float64 a row's score does not depend on which rows came with it
        self.network = network.cpu().double().eval().requires_grad_(False)
        around = Neighbourhood(*rows, self.columns.cardinalities, n_held_out=n_held_out)
        self.evidence = Evidence(self._every_cell, around, rows, self.columns.cardinalities, n_held_out)

    def _every_cell(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        return self.network.every_cell(soften(number_BP.double()), category_BQ)

    def _calibrate(self) -> Calibration:
        """By rows like those to come: held-out ones, and those that were left out as too lonely."""
        score_H = self.evidence.normal_HE @ self.evidence.weight_E
        # one held-out row stands for as many as were kept; where none was left out, for itself
        kept = len(self.split.references) / len(score_H) if len(self.split.lonely) else 1.0
        score_L = self.scores(_tensors(self.data, self.split.lonely))
        weights = torch.full_like(score_H, kept), torch.ones_like(score_L)
        return Calibration(torch.cat([score_H, score_L]), torch.cat(weights))

    # ---- judging ---------------------------------------------------------------------------------

    @property
    def weights(self) -> dict[str, float]:
        """How far each kind of evidence is trusted."""
        return dict(zip(KINDS, self.evidence.weight_E.tolist(), strict=True))

    def read(self, detector: Any, X: Any) -> Rows:
        """What was given, as numbers and categories."""
        number_NP, category_NQ = self.columns.encode(next_table(detector, X))
        return torch.tensor(number_NP), torch.tensor(category_NQ)

    def own(self, rows: Rows) -> Tensor | None:
        """The place of each row among the references, -1 for none; None where X is not what was learnt from."""
        order = np.argsort(self.hash_R)
        hashes_N = row_hashes(tuple(part.numpy() for part in rows))
        found_N = np.searchsorted(self.hash_R, hashes_N, sorter=order).clip(max=len(order) - 1)
        own_N = np.where(self.hash_R[order[found_N]] == hashes_N, order[found_N], -1)
        return torch.from_numpy(own_N) if (own_N >= 0).sum() >= len(order) / 2 else None

    def count(self, rows: Rows) -> int:
        """How many there are."""
        return len(rows[0])

    def n_seen(self, rows: Rows) -> int:
        """How many rows were learnt from."""
        return int(np.isin(row_hashes(tuple(part.numpy() for part in rows)), self.hash_R).sum())

    @torch.inference_mode()
    def scores(self, rows: Rows, own_N: Tensor | None = None) -> Tensor:
        """The weighted evidence of each row (N), higher = stranger."""
        scores = [self.evidence(*part) @ self.evidence.weight_E for part in _parts(ROWS_AT_ONCE, *rows, own_N)]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *scores])

    @torch.inference_mode()
    def reasons(self, rows: Rows, own_N: Tensor | None, which_N: Tensor, n: int = 3) -> list[list[Reason]]:
        """At most `n` columns that gave each of the chosen rows away."""
        found: list[list[Reason]] = []
        chosen = rows[0][which_N], rows[1][which_N], None if own_N is None else own_N[which_N]
        for number_BP, category_BQ, own_B in _parts(ROWS_EXPLAINED_AT_ONCE, *chosen):
            expected_BP, expected_BQ = self.network.expected(soften(number_BP.double()), category_BQ)
            cells, expected = (number_BP, category_BQ), (harden(expected_BP).float(), expected_BQ)
            blame = self.evidence.blame(cells, expected, own_B)
            tables = [self.columns.decode(*(part.numpy() for part in both)) for both in (cells, expected)]
            found += worst(self.columns.numbers + self.columns.categories, tables, blame, n)
        return found

    @torch.inference_mode()
    def baselines(self, rows: Rows, own_N: Tensor | None) -> dict[str, np.ndarray]:
        """What simpler judges say of the same rows, higher = stranger."""
        around = self.evidence.around
        forest = IsolationForest(random_state=self.seed % 2**32).fit(around.place_ND.numpy())
        return {
            "IsolationForest": -forest.score_samples(around.place(*rows).numpy()),
            "5 nearest rows": around.near(*rows, own_N, 5)[0].mean(1).numpy(),
        }

    # ---- saving ----------------------------------------------------------------------------------

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learnt, as tensors and JSON."""
        network, evidence = self.network.state_dict(), self.evidence
        tensors = {f"network.{n}": v.float() if v.is_floating_point() else v for n, v in network.items()}
        tensors |= {
            "reference.number": evidence.rows[0], "reference.category": evidence.rows[1],
            "reference.hash": torch.from_numpy(self.hash_R.view(np.int64)), "weight": evidence.weight_E,
            "calibration.score": self.calibration.score_N, "calibration.weight": self.calibration.weight_N,
        }  # fmt: skip
        return tensors, {"columns": self.columns.to_json(), "n_held_out": evidence.n_held_out}

    @torch.inference_mode()
    def unpack(self, detector: Any, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        """The reverse of `pack`."""
        self.seed, self.columns = detector.seed, Columns.from_json(learned["columns"])
        weights = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
        # sizes from the weights: a spoilt config.json must not ask for more
        depth = sum(name.startswith("blocks.") and name.endswith(".0.bias") for name in weights)
        network = self._network(len(weights["first.bias"]), depth)
        network.load_state_dict(weights)
        rows = tensors["reference.number"], tensors["reference.category"]
        self._assemble(network, rows, learned["n_held_out"])
        self.evidence.weight_E = tensors["weight"]
        self.hash_R = tensors["reference.hash"].numpy().view(np.uint64)
        self.calibration = Calibration(tensors["calibration.score"], tensors["calibration.weight"])


def _tensors(data: tuple[np.ndarray, ...], rows: np.ndarray) -> Rows:
    number_NP, category_NQ = (torch.from_numpy(np.asarray(array[rows])) for array in data)
    return number_NP, category_NQ


def _parts(
    n_rows: int, number_NP: Tensor, category_NQ: Tensor, own_N: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    for start in range(0, len(number_NP), n_rows):
        part = slice(start, start + n_rows)
        yield number_NP[part], category_NQ[part], None if own_N is None else own_N[part]
