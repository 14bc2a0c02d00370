"""AnomalyDetector: learn what normal rows look like, say how strange a new one is, and which cells gave it away.

A masked-cell network rebuilds hidden cells from the visible ones; what it finds surprising is one kind of evidence. Exact
nearest neighbours and tails of single columns are others: on some tables they see what the network cannot, on others
the reverse. Rows spoilt on purpose tell, without labels, how far to trust each; conformal calibration turns the sum into
p-values whose alarm rate holds.

Devlin et al. 2019 (masking), https://arxiv.org/abs/1810.04805; Ramaswamy et al. 2000 (neighbours); Breunig et al. 2000
(local density); Li et al. 2022 (tails), https://arxiv.org/abs/2201.00382; Vovk et al. 2005 (conformal p-values).
Dimension key: N rows, B rows at a time, P numbers, Q categories, C = P + Q cells, D width, E kinds of evidence,
K neighbours, R reference rows, H held-out rows, which the network never sees.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from twofold.core.batches import Picked
from twofold.core.device import choose_device
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.rows import learn_columns, next_table
from twofold.data.columns import Columns, row_hashes
from twofold.errors import SettingError
from twofold.measure.calibration import Calibration, EvidenceScale
from twofold.measure.detection import detection_measures
from twofold.measure.forgeries import Forger, auroc
from twofold.measure.report import Measure
from twofold.measure.tails import Tails
from twofold.nn.cells import Cells
from twofold.nn.neighbours import Neighbourhood, nearest
from twofold.nn.scales import harden, soften

__all__ = ["AnomalyDetector", "MaskedCells"]

EVIDENCE = (
    "nearest row", "5 nearest rows", "local density", "nearest row by quantile", "5 nearest rows by quantile",
    "tails", "farthest tail", "surprise", "largest surprise",
)  # fmt: skip
MAX_HELD_OUT = 1000
N_FORGED = 150  # of each kind
LEAST_WEIGHT = 0.01
SHARPNESS = 4.0  # how strongly better evidence is preferred; 2 to 6 do alike (docs/LOG.md)
N_EXPLAINED = 24  # columns tried for an explanation, the most suspicious ones
ROWS_AT_ONCE = 4096


# ---- network -------------------------------------------------------------------------------------


class MaskedCells(Learner):
    """Rebuilds hidden cells from the visible ones: a normal distribution for a number, shares for a category."""

    weight_decay = 1e-2

    def __init__(self, cells: Cells, dim: int, depth: int, n_groups: int):
        super().__init__()
        self.cells = cells
        C = cells.n_numbers + len(cells.n_levels)
        self.first = nn.Linear(cells.n_inputs, dim)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(depth)
        )
        # centres and logits, then log of the spread of numbers
        self.head = nn.Linear(dim, cells.n_outputs + cells.n_numbers)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
        # at scoring, the cells of one group of columns are hidden together
        self.register_buffer("group_C", torch.randperm(C) % min(C, n_groups))

    def schedule(self, fraction: float) -> float:
        """Warm-up, then a cosine to 0."""
        return min((fraction + 1e-3) / 0.1, 1.0) * (1 + math.cos(math.pi * fraction)) / 2

    def body(self, stream_BD: Tensor) -> Tensor:
        """From the first layer to before the head, (B, D)."""
        for block in self.blocks:
            stream_BD = stream_BD + block(stream_BD)
        return stream_BD

    def rebuild(self, number_BP: Tensor, category_BQ: Tensor, hidden_BC: Tensor) -> Tensor:
        """Centres, logits and log-spreads (B, O + P) while those cells are hidden; `number` softened."""
        P = self.cells.n_numbers
        number_BP = number_BP.masked_fill(hidden_BC[:, :P], torch.nan)
        category_BQ = category_BQ.masked_fill(hidden_BC[:, P:], 0)
        return self.head(self.body(self.first(self.cells.inputs(number_BP, category_BQ))))

    def surprise(self, output_BO: Tensor, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """-log likelihood of each cell (B, C); 0 for a missing one."""
        P, n_outputs = self.cells.n_numbers, self.cells.n_outputs
        cost_BC = self.cells.surprise(output_BO[:, :n_outputs], number_BP, category_BQ)
        log_spread_BP = output_BO[:, n_outputs:].clamp(-3, 3).masked_fill(number_BP.isnan(), 0.0)
        likelihood_BP = 0.5 * cost_BC[:, :P] * torch.exp(-2 * log_spread_BP) + log_spread_BP
        return torch.cat([likelihood_BP, cost_BC[:, P:]], 1) if self.cells.n_levels else likelihood_BP

    def loss(self, number_BP: Tensor, category_BQ: Tensor) -> dict[str, Tensor]:
        """The surprise at hidden cells: 5 to 50 % of each row."""
        B, C = len(number_BP), len(self.group_C)
        number_BP = soften(number_BP)
        hidden_BC = self.uniform(B, C) < 0.05 + 0.45 * self.uniform(B, 1)
        surprise_BC = self.surprise(self.rebuild(number_BP, category_BQ, hidden_BC), number_BP, category_BQ)
        # over the cells expected to be hidden: the same weight whichever process holds a row
        return {"hidden_cells": (surprise_BC * hidden_BC).sum() / (0.275 * B * C)}

    def rebuild_each(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """Each cell's part of `rebuild` (B, O + P) while its group of columns is hidden.

        Only what a group changes is computed anew: its share of the first layer, and its own outputs.
        """
        owner_I, owner_O = self.cells.owners()
        group_I, group_O = self.group_C[owner_I], self.group_C[torch.cat([owner_O, owner_O[: self.cells.n_numbers]])]
        # hidden, a cell's inputs are 0, except its flag
        is_flag_I = torch.zeros(len(owner_I), dtype=torch.bool)
        is_flag_I[self.cells.n_numbers : self.cells.n_numbers + len(self.cells.flagged)] = True
        input_BI = self.cells.inputs(number_BP, category_BQ)
        whole_BD, weight_DI = self.first(input_BI), self.first.weight
        output_BO = input_BI.new_zeros(len(input_BI), len(group_O))
        for group in range(int(self.group_C.max()) + 1):
            hidden, wanted = (group_I == group).nonzero()[:, 0], (group_O == group).nonzero()[:, 0]
            change_BI = is_flag_I[hidden].to(input_BI.dtype) - input_BI[:, hidden]
            stream_BD = self.body(torch.addmm(whole_BD, change_BI, weight_DI[:, hidden].T))
            output_BO[:, wanted] = nn.functional.linear(stream_BD, self.head.weight[wanted], self.head.bias[wanted])
        return output_BO

    def every_cell(self, number_NP: Tensor, category_NQ: Tensor) -> Tensor:
        """Each cell's surprise (N, C) while its group of columns is hidden."""
        number_NP = soften(number_NP.to(self.first.weight.dtype))
        return self.surprise(self.rebuild_each(number_NP, category_NQ), number_NP, category_NQ)


# ---- evidence ------------------------------------------------------------------------------------


class Evidence:
    """All kinds of evidence about a row, each on the scale of -log p among normal rows.

    Parameters
    ----------
    network : trained on the reference rows after the first `n_held_out`.
    number_RP, category_RQ : reference rows; the first ones are held out.
    """

    def __init__(
        self, network: MaskedCells, cardinalities: list[int], number_RP: Tensor, category_RQ: Tensor, n_held_out: int
    ):
        self.network, self.number_RP, self.category_RQ, self.n_held_out = network, number_RP, category_RQ, n_held_out
        self.around = Neighbourhood(number_RP, category_RQ, cardinalities)
        seen = slice(n_held_out if n_held_out < len(number_RP) else 0, None)
        self.tails = Tails(number_RP[seen], category_RQ[seen], cardinalities)
        # on rows that the network learned from: the held-out ones must look no tamer than new rows
        cost_BC = network.every_cell(number_RP[seen][:1000], category_RQ[seen][:1000])
        self.cell_mean_C, self.cell_spread_C = cost_BC.mean(0), cost_BC.std(0, correction=0) + 0.05
        self.is_used_E = torch.ones(len(EVIDENCE), dtype=torch.bool)
        normal_HE = self.raw(number_RP[:n_held_out], category_RQ[:n_held_out], torch.arange(n_held_out))
        self.scales = [EvidenceScale(score_H) for score_H in normal_HE.T]
        self.normal_HE = self.on_scale(normal_HE)

    def raw(self, number_BP: Tensor, category_BQ: Tensor, own_B: Tensor | None = None) -> Tensor:
        """Each kind's own score (B, E), higher = stranger; `own` is the place of a reference not to be seen."""
        raw_BE = torch.zeros(len(number_BP), len(EVIDENCE), dtype=torch.float64)
        uses = self.is_used_E.tolist()
        rows = number_BP, category_BQ
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
            cost_BC = self.network.every_cell(*rows)
            raw_BE[:, 7], raw_BE[:, 8] = cost_BC.mean(1), self.standard(cost_BC).amax(1)
        return raw_BE

    def standard(self, cost_BC: Tensor) -> Tensor:
        """Surprises in standard deviations of each column's own."""
        return (cost_BC - self.cell_mean_C) / self.cell_spread_C

    def on_scale(self, raw_BE: Tensor) -> Tensor:
        """-log p of each kind (B, E); 0 of one that is not used."""
        kinds = zip(self.scales, raw_BE.T.contiguous(), self.is_used_E.tolist(), strict=True)
        return torch.stack([scale(raw_B) if is_used else raw_B for scale, raw_B, is_used in kinds], 1)

    def __call__(self, number_BP: Tensor, category_BQ: Tensor, own_B: Tensor | None = None) -> Tensor:
        """-log p of each kind (B, E)."""
        return self.on_scale(self.raw(number_BP, category_BQ, own_B))

    def against_forgeries(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """How well each kind tells held-out rows from forged ones: AUROC (kinds of forgery, E), and the forged (M, E)."""
        forger = Forger(self.number_RP, self.category_RQ, generator)
        base_M = torch.randint(self.n_held_out, (N_FORGED,), generator=generator)
        _, who_MK = self.around.near(self.number_RP[base_M], self.category_RQ[base_M], base_M, self.around.k)
        around_MP = self.number_RP.nan_to_num(0.0)[who_MK].mean(1)
        forged = forger.forge(base_M, around_MP)
        numbers, categories = (torch.cat(part) for part in zip(*forged.values(), strict=True))
        forged_ME = self(numbers, categories, base_M.repeat(len(forged)))
        table = [
            [auroc(n, f) for n, f in zip(self.normal_HE.T, part_ME.T.contiguous(), strict=True)]
            for part_ME in forged_ME.split(N_FORGED)
        ]
        return torch.tensor(table, dtype=torch.float64), forged_ME


@dataclass(frozen=True)
class Split:
    """Which rows of the training table serve for what, by their numbers."""

    references: np.ndarray
    """Kept for neighbours; the first `n_held_out` are held out, to calibrate and to choose."""
    n_held_out: int
    learnt: np.ndarray
    """What the network learns from."""
    lonely: np.ndarray
    """Left out, since they may be anomalies."""


def least_at_home(number_NP: Tensor, category_NQ: Tensor, cardinalities: list[int], share: float) -> Tensor:
    """The share of the rows (N booleans) that lies farthest from the others and farthest out.

    Anomalies in clusters have near neighbours of their own kind: the look goes to the 300th.
    """
    around, k = Neighbourhood(number_NP, category_NQ, cardinalities), max(1, min(300, len(number_NP) // 5))
    scores = [nearest(place_ND, place_ND, k, around.own_N)[0].mean(1) for place_ND in (around.place_ND, around.by_quantile_ND)]
    scores.append(Tails(number_NP, category_NQ, cardinalities)(number_NP, category_NQ).sum(1).double())
    loneliness_N = sum((EvidenceScale(score_N)(score_N) for score_N in scores), torch.zeros(()))
    is_lonely_N = torch.zeros(len(number_NP), dtype=torch.bool)
    is_lonely_N[loneliness_N.topk(int(share * len(number_NP))).indices] = True
    return is_lonely_N


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class AnomalyDetector(OutlierMixin, Estimator):
    """Learns what normal rows of a table look like; scores new ones, with p-values and reasons.

    Numbers, dates, categories and missing cells may be mixed. As in scikit-learn, `score_samples` is lower for stranger
    rows and `predict` gives -1 for them; `detect` gives what people read, higher = stranger.

    Attributes
    ----------
    weights_ : how far each kind of evidence is trusted, by name; they sum to 1.
    offset_ : `score_samples` below it are anomalies at the alarm rate.
    measures_ : what self-made anomalies say of the detector, beside 5 nearest neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> detector = AnomalyDetector(normal_only=True).fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0], [9.0, -9.0, 9.0]]).tolist()
    [1, -1]
    """

    method: ClassVar[str] = "detector"

    normal_only: bool = False
    """Whether every row given is known to be normal: True learns more finely, False guards against anomalies inside."""
    alarm_rate: float = 0.01
    """Share of normal rows that may be flagged: more finds more anomalies, and raises more false alarms."""
    trim: float = 0.2
    """Loneliest share of the rows that is not learnt from unless normal_only: more forgives more anomalies inside."""
    dim: int = 64
    """Width of the network: wider sees finer dependences between columns, and takes longer."""
    depth: int = 2
    """Blocks of the network: more can bend further, and take longer."""
    n_references: int = 20_000
    """Rows kept for nearest neighbours: more see finer, and take more memory and time at scoring."""
    kinds: dict[str, str] | None = None
    """Column name to number, category, date or ignore, where the guess would be wrong."""
    missing: tuple[str, ...] = ()
    """Words that mean a missing cell, besides the usual ones: the more are named, the fewer pass for values."""
    learning_rate: float = 3e-3
    """Size of an update: larger learns faster, until it learns nothing."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from rows, one Progress a step.

        Parameters
        ----------
        X : 2-D array, pandas, polars or Arrow frame, or path of a table; N rows.
        y : not used.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        columns, table = learn_columns(self, X, self.kinds, self.missing)
        data = columns.encode(table)
        split = self._split(data, columns.cardinalities)
        plan = self._plan(int(np.clip(200 * (len(split.learnt) / 5000) ** 0.5, 200, 1000)))
        learner = self._network(columns, self.dim, self.depth).to(choose_device(self.device))
        rows = tuple(Picked(array, split.learnt) for array in data)
        try:
            yield from train(learner, rows, plan, folder=None if folder is None else Path(folder))
        finally:
            self._finish(learner, columns, data, split)
            self.n_iter_ = learner.n_updates

    def _check(self) -> None:
        for name, low, high in (("alarm_rate", 0, 1), ("trim", -1e-9, 0.5)):
            if not low < getattr(self, name) < high:
                raise SettingError(
                    f"{name} is {getattr(self, name)!r}; it must lie between {max(low, 0):g} and {high:g}."
                )
        for name in ("dim", "depth", "n_references"):
            if not getattr(self, name) >= 1:
                raise SettingError(f"{name} is {getattr(self, name)!r}; it must be at least 1. Give a larger one.")

    def _network(self, columns: Columns, dim: int, depth: int) -> MaskedCells:
        with seeded(self.seed):
            cells = Cells(len(columns.numbers), columns.cardinalities)
            learner = MaskedCells(cells, dim, depth, n_groups=8)
        learner.learning_rate = self.learning_rate
        return learner

    def _split(self, data: tuple[np.ndarray, ...], cardinalities: list[int]) -> "Split":
        """Which rows are references, held out, learnt from, or left out as too lonely."""
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(data[0]))
        references, rest = order[: self.n_references], order[self.n_references :]
        lonely = np.empty(0, dtype=np.int64)
        if not self.normal_only and self.trim and len(references) >= 10:
            is_lonely = least_at_home(*_tensors(data, references), cardinalities, self.trim)
            references, lonely = references[~is_lonely], references[is_lonely]
        n = len(references)
        n_held_out = max(1, min(MAX_HELD_OUT, max(n // 4, min(n // 2, 30))))
        learnt = np.concatenate([references[n_held_out:], rest]) if n > 1 else references
        return Split(references, n_held_out, learnt, lonely)

    @torch.inference_mode()
    def _finish(self, learner: MaskedCells, columns: Columns, data: tuple[np.ndarray, ...], split: Split) -> None:
        """From a trained network to a detector: evidence, its weights, calibration."""
        # in float64 a row's score does not depend on which rows came with it
        network = learner.cpu().double().eval().requires_grad_(False)
        number_RP, category_RQ = _tensors(data, split.references)
        evidence = Evidence(network, columns.cardinalities, number_RP, category_RQ, split.n_held_out)
        generator = torch.Generator().manual_seed(self.seed)
        auroc_FE, forged_ME = evidence.against_forgeries(generator)
        odds_E = torch.log((auroc_FE + 0.01) / (1.01 - auroc_FE)).mean(0)
        if len(split.lonely):
            # a cluster of anomalies is dense
            odds_E[EVIDENCE.index("local density")] = -torch.inf
        weight_E = torch.softmax(SHARPNESS * odds_E, 0)
        # evidence that hardly counts is not worth its time
        weight_E[weight_E < LEAST_WEIGHT] = 0.0
        self.weight_E_ = weight_E / weight_E.sum()
        self.evidence_, self.columns_ = evidence, columns
        self.calibration_ = self._calibrate(data, split)
        self.hash_R_ = row_hashes((number_RP.numpy(), category_RQ.numpy()))
        self._measure(forged_ME)
        self._conclude()

    def _calibrate(self, data: tuple[np.ndarray, ...], split: Split) -> Calibration:
        """By rows like those to come: held-out ones, and those that were left out as too lonely."""
        score_H = self.evidence_.normal_HE @ self.weight_E_
        # one held-out row stands for as many as were kept; where none was left out, for itself
        weight_H = torch.full_like(score_H, len(split.references) / len(score_H) if len(split.lonely) else 1.0)
        score_L = self._strangeness(*_tensors(data, split.lonely))
        return Calibration(torch.cat([score_H, score_L]), torch.cat([weight_H, torch.ones_like(score_L)]))

    def _measure(self, forged_ME: Tensor) -> None:
        near = EVIDENCE.index("5 nearest rows")
        normal_HE = self.evidence_.normal_HE
        self.measures_ = {
            "AUROC on self-made anomalies": auroc(normal_HE @ self.weight_E_, forged_ME @ self.weight_E_),
            "the same by 5 nearest rows alone": auroc(normal_HE[:, near], forged_ME[:, near].contiguous()),
            "calibration rows": float(len(self.calibration_.score_N)),
        }

    def _conclude(self) -> None:
        """What follows from the learned tensors, after fit and after load alike."""
        self.evidence_.is_used_E = self.weight_E_ > 0
        self.weights_ = dict(zip(EVIDENCE, self.weight_E_.tolist(), strict=True))
        self.offset_ = -self.calibration_.threshold(self.alarm_rate)

    # ---- verbs -----------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal each row is (N,), float64; lower = stranger. Rows are taken for new ones, also those learnt from."""
        check_is_fitted(self, "evidence_")
        return -self._strangeness(*self._encode(X)).numpy()

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`: negative for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal rows, -1 for anomalies at the alarm rate, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """How large a share of normal rows is at least as strange, (N,); at least 1 / (calibration rows + 1)."""
        return self.calibration_.p_values(-torch.from_numpy(self.score_samples(X))).numpy()

    @torch.inference_mode()
    def explain(self, X: Any, n_columns: int = 3) -> list[list["Reason"]]:
        """For each row the columns that gave it away, the most telling first: those whose repair makes it less strange.

        Returns
        -------
        N lists of at most `n_columns` reasons: column, value seen, value expected, share of the strangeness.
        """
        check_is_fitted(self, "evidence_")
        number_NP, category_NQ = self._encode(X)
        reasons: list[list[Reason]] = []
        for number_BP, category_BQ in zip(number_NP.split(256), category_NQ.split(256), strict=True):
            reasons += self._explain(number_BP, category_BQ, n_columns)
        return reasons

    @torch.inference_mode()
    def detect(self, X: Any) -> dict[str, np.ndarray]:
        """What people read, as columns: anomaly_score (higher = stranger), p_value, is_anomaly, reason.

        Where X holds most of the rows that were learnt from, each of those is judged without itself as a neighbour.
        """
        check_is_fitted(self, "evidence_")
        number_NP, category_NQ = self._encode(X)
        score_N = self._strangeness(number_NP, category_NQ, self._own(number_NP, category_NQ))
        is_anomaly_N = (score_N > -self.offset_).numpy()
        reason_N = np.full(len(score_N), "", dtype=object)
        flagged = np.flatnonzero(is_anomaly_N)
        for row, reasons in zip(flagged, self._reasons(number_NP[flagged], category_NQ[flagged]), strict=True):
            reason_N[row] = "; ".join(map(str, reasons))
        return {
            "anomaly_score": score_N.numpy(),
            "p_value": self.calibration_.p_values(score_N).numpy(),
            "is_anomaly": is_anomaly_N,
            "reason": reason_N,
        }

    @torch.inference_mode()
    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """AUROC and average precision beside baselines; without the truth, the share of rows that are flagged.

        Parameters
        ----------
        y : (N,) true for anomalies.
        """
        check_is_fitted(self, "evidence_")
        number_NP, category_NQ = self._encode(X)
        own_N = self._own(number_NP, category_NQ)
        score_N = self._strangeness(number_NP, category_NQ, own_N).numpy()
        share = Measure(
            "share flagged", float((score_N > -self.offset_).mean()), None, (("asked", self.alarm_rate),), False
        )
        truth_N = None if y is None else np.asarray(y, dtype=bool)
        if truth_N is None or truth_N.all() or not truth_N.any():
            return [share]
        around = self.evidence_.around
        forest = IsolationForest(random_state=self.seed % 2**32).fit(around.place_ND.numpy())
        near_N = around.near(number_NP, category_NQ, own_N, 5)[0].mean(1).numpy()
        forest_N = -forest.score_samples(around.place(number_NP, category_NQ).numpy())
        baselines = {"IsolationForest": forest_N, "5 nearest rows": near_N}
        alarms = float((score_N[~truth_N] > -self.offset_).mean())
        false_alarms = Measure("alarm rate on normal rows", alarms, None, (("asked", self.alarm_rate),), False)
        return [*detection_measures(truth_N, score_N, baselines, seed=self.seed % 2**32), false_alarms]

    def n_seen(self, X: Any) -> int:
        """How many rows of X were learnt from."""
        check_is_fitted(self, "evidence_")
        return int(np.isin(row_hashes(tuple(a.numpy() for a in self._encode(X))), self.hash_R_).sum())

    # ---- how -------------------------------------------------------------------------------------

    def _encode(self, X: Any) -> tuple[Tensor, Tensor]:
        number_NP, category_NQ = self.columns_.encode(next_table(self, X))
        return torch.tensor(number_NP), torch.tensor(category_NQ)

    @torch.inference_mode()
    def _strangeness(self, number_NP: Tensor, category_NQ: Tensor, own_N: Tensor | None = None) -> Tensor:
        """The weighted evidence of each row (N), higher = stranger."""
        owns = [None] * len(number_NP) if own_N is None else own_N.split(ROWS_AT_ONCE)
        batches = zip(number_NP.split(ROWS_AT_ONCE), category_NQ.split(ROWS_AT_ONCE), owns, strict=False)
        parts = [self.evidence_(*batch) @ self.weight_E_ for batch in batches] if len(number_NP) else []
        return torch.cat([torch.zeros(0, dtype=torch.float64), *parts])

    def _own(self, number_NP: Tensor, category_NQ: Tensor) -> Tensor | None:
        """The place of each row among the references, -1 for none; None where X is not what was learnt from."""
        order = np.argsort(self.hash_R_)
        hashes_N = row_hashes((number_NP.numpy(), category_NQ.numpy()))
        found_N = np.searchsorted(self.hash_R_, hashes_N, sorter=order).clip(max=len(order) - 1)
        own_N = np.where(self.hash_R_[order[found_N]] == hashes_N, order[found_N], -1)
        return torch.from_numpy(own_N) if (own_N >= 0).sum() >= len(order) / 2 else None

    def _reasons(self, number_NP: Tensor, category_NQ: Tensor, n_columns: int = 3) -> list[list["Reason"]]:
        parts = zip(number_NP.split(256), category_NQ.split(256), strict=True)
        return [reasons for part in parts for reasons in self._explain(*part, n_columns)] if len(number_NP) else []

    def _explain(self, number_BP: Tensor, category_BQ: Tensor, n_columns: int) -> list[list["Reason"]]:
        evidence, B = self.evidence_, len(number_BP)
        suspicion_BC = evidence.standard(evidence.network.every_cell(number_BP, category_BQ)).clamp(-5, 50)
        suspicion_BC = suspicion_BC + evidence.tails(number_BP, category_BQ)
        column_BT = suspicion_BC.topk(min(N_EXPLAINED, suspicion_BC.shape[1])).indices
        T = column_BT.shape[1]
        repaired = self._repaired(number_BP.repeat_interleave(T, 0), category_BQ.repeat_interleave(T, 0), column_BT)
        before_B1 = self._strangeness(number_BP, category_BQ)[:, None]
        fall_BT = before_B1 - self._strangeness(*repaired).view(B, T)
        best_BT = fall_BT.argsort(1, descending=True)[:, :n_columns]
        expected = [part.view(B, T, -1) for part in repaired]
        return [
            [
                self._reason(number_BP[b], category_BQ[b], [e[b, t] for e in expected], int(column_BT[b, t]), share)
                for t in best_BT[b].tolist()
                if (share := float(fall_BT[b, t] / before_B1[b].clamp_min(1e-9))) > 0
            ]
            for b in range(B)
        ]

    def _repaired(self, number_MP: Tensor, category_MQ: Tensor, column_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The rows, each with one cell as the network would expect it; M = B * T."""
        network, P = self.evidence_.network, number_MP.shape[1]
        hidden_MC = torch.zeros(len(number_MP), len(network.group_C), dtype=torch.bool)
        hidden_MC.scatter_(1, column_BT.reshape(-1, 1), True)
        centre_MO, _ = network.rebuild(soften(number_MP.double()), category_MQ, hidden_MC)
        expected_MP, likeliest_MQ = network.cells.likeliest(centre_MO)
        return (
            torch.where(hidden_MC[:, :P], harden(expected_MP).float(), number_MP),
            torch.where(hidden_MC[:, P:], likeliest_MQ, category_MQ),
        )

    def _reason(
        self, number_P: Tensor, category_Q: Tensor, expected: list[Tensor], column: int, share: float
    ) -> "Reason":
        columns, P = self.columns_, len(number_P)
        name = columns.numbers[column] if column < P else columns.categories[column - P]
        texts = [
            columns.decode(number[None].numpy(), category[None].numpy())[name][0].as_py()
            for number, category in ((number_P, category_Q), expected)
        ]
        return Reason(name, texts[0], texts[1], share)

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "evidence_")
        evidence = self.evidence_
        network = evidence.network.state_dict()
        tensors = {f"network.{n}": v.float() if v.is_floating_point() else v for n, v in network.items()}
        tensors |= {
            "reference.number": evidence.number_RP, "reference.category": evidence.category_RQ,
            "reference.hash": torch.from_numpy(self.hash_R_.view(np.int64)),
            "weight": self.weight_E_, "calibration.score": self.calibration_.score_N,
            "calibration.weight": self.calibration_.weight_N,
        }  # fmt: skip
        names = getattr(self, "feature_names_in_", None)
        learned = {
            "columns": self.columns_.to_json(), "n_held_out": evidence.n_held_out, "measures": self.measures_,
            "weights": self.weights_, "n_features_in": int(self.n_features_in_),
            "feature_names_in": None if names is None else list(names), "n_iter": self.n_iter_,
        }  # fmt: skip
        return tensors, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        self.columns_ = Columns.from_json(learned["columns"])
        weights = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
        # sizes from the weights: a spoilt config.json must not ask for more
        depth = sum(name.startswith("blocks.") and name.endswith(".0.bias") for name in weights)
        network = self._network(self.columns_, len(weights["first.bias"]), depth).double()
        network.load_state_dict(weights)
        network.eval().requires_grad_(False)
        with torch.inference_mode():
            self.evidence_ = Evidence(
                network, self.columns_.cardinalities, tensors["reference.number"], tensors["reference.category"],
                learned["n_held_out"],
            )  # fmt: skip
        self.hash_R_ = tensors["reference.hash"].numpy().view(np.uint64)
        self.weight_E_ = tensors["weight"]
        self.calibration_ = Calibration(tensors["calibration.score"], tensors["calibration.weight"])
        self.measures_, self.n_iter_, self.n_features_in_ = (
            learned["measures"],
            learned["n_iter"],
            learned["n_features_in"],
        )
        if learned["feature_names_in"] is not None:
            self.feature_names_in_ = np.array(learned["feature_names_in"], dtype=object)
        self._conclude()


@dataclass(frozen=True)
class Reason:
    """Why a row is strange: one of its columns."""

    column: str
    seen: Any
    expected: Any
    share: float  # of the row's strangeness that goes when the cell is as expected

    def __str__(self) -> str:
        seen, expected = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in (self.seen, self.expected))
        return f"{self.column} = {seen} (expected {expected})"


def _tensors(data: tuple[np.ndarray, ...], rows: np.ndarray) -> tuple[Tensor, Tensor]:
    number_NP, category_NQ = (torch.from_numpy(np.asarray(array[rows])) for array in data)
    return number_NP, category_NQ
