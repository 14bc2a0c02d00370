"""AnomalyDetector: learn what normal rows look like, say how strange a new one is, and which cells gave it away.

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
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from twofold.core.batches import Picked
from twofold.core.device import choose_device
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.rows import learn_columns, next_table
from twofold.data.columns import Columns, row_hashes
from twofold.errors import SettingError
from twofold.measure.calibration import Calibration
from twofold.measure.detection import detection_measures
from twofold.measure.evidence import KINDS, Evidence, least_at_home
from twofold.measure.forgeries import auroc
from twofold.measure.reasons import Reason, worst
from twofold.measure.report import Measure
from twofold.nn.cells import Cells
from twofold.nn.neighbours import Neighbourhood
from twofold.nn.rebuilder import CellRebuilder
from twofold.nn.scales import harden, soften

__all__ = ["AnomalyDetector", "MaskedCells"]

N_GROUPS = 4  # of columns, hidden in turns at scoring
MAX_HELD_OUT = 1000
ROWS_AT_ONCE, ROWS_EXPLAINED_AT_ONCE = 4096, 128


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
    batch_size: int = 128
    """Rows per update: more give a steadier direction and a slower step."""
    learning_rate: float = 6e-3
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
        plan = self._plan(int(np.clip(100 * (len(split.learnt) / 5000) ** 0.5, 100, 400)))
        learner = MaskedCells(self._network(columns, self.dim, self.depth)).to(choose_device(self.device))
        learner.learning_rate = self.learning_rate
        rows = tuple(Picked(array, split.learnt) for array in data)
        try:
            yield from train(learner, rows, plan, folder=None if folder is None else Path(folder))
        finally:
            self._finish(learner.network, columns, data, split)
            self.n_iter_ = learner.n_updates

    def _check(self) -> None:
        self._check_settings()
        for name, low, high in (("alarm_rate", 0, 1), ("trim", -1e-9, 0.5)):
            if not low < getattr(self, name) < high:
                raise SettingError(
                    f"{name} is {getattr(self, name)!r}; it must lie between {max(low, 0):g} and {high:g}."
                )
        for name in ("dim", "depth", "n_references"):
            if not getattr(self, name) >= 1:
                raise SettingError(f"{name} is {getattr(self, name)!r}; it must be at least 1. Give a larger one.")

    def _network(self, columns: Columns, dim: int, depth: int) -> CellRebuilder:
        with seeded(self.seed):
            return CellRebuilder(Cells(len(columns.numbers), columns.cardinalities), dim, depth, N_GROUPS)

    def _split(self, data: tuple[np.ndarray, ...], cardinalities: list[int]) -> Split:
        """Which rows are references, held out, learnt from, or left out as too lonely."""
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(data[0]))
        references, rest = order[: self.n_references], order[self.n_references :]
        lonely = np.empty(0, dtype=np.int64)
        if not self.normal_only and self.trim and len(references) >= 10:
            rows = _tensors(data, references)
            is_lonely = least_at_home(Neighbourhood(*rows, cardinalities), rows, cardinalities, self.trim)
            references, lonely = references[~is_lonely], references[is_lonely]
        n = len(references)
        n_held_out = max(1, min(MAX_HELD_OUT, max(n // 4, min(n // 2, 30))))
        learnt = np.concatenate([references[n_held_out:], rest]) if n > 1 else references
        return Split(references, n_held_out, learnt, lonely)

    @torch.inference_mode()
    def _finish(self, network: CellRebuilder, columns: Columns, data: tuple[np.ndarray, ...], split: Split) -> None:
        """From a trained network to a detector: evidence, its weights, calibration."""
        rows = _tensors(data, split.references)
        self._assemble(network, columns, rows, split.n_held_out)
        # a cluster of anomalies among the references is dense
        without = ("local density",) if len(split.lonely) else ()
        forged_ME = self.evidence_.learn_weights(torch.Generator().manual_seed(self.seed), without)
        self.calibration_ = self._calibrate(data, split)
        self.hash_R_ = row_hashes(tuple(part.numpy() for part in rows))
        normal_HE, weight_E, near = self.evidence_.normal_HE, self.evidence_.weight_E, KINDS.index("5 nearest rows")
        self.measures_ = {
            "AUROC on self-made anomalies": auroc(normal_HE @ weight_E, forged_ME @ weight_E),
            "the same by 5 nearest rows alone": auroc(normal_HE[:, near], forged_ME[:, near].contiguous()),
            "calibration rows": float(len(self.calibration_.score_N)),
        }
        self._conclude()

    def _assemble(self, network: CellRebuilder, columns: Columns, rows: tuple[Tensor, Tensor], n_held_out: int) -> None:
        # in float64 a row's score does not depend on which rows came with it
        self.network_ = network.cpu().double().eval().requires_grad_(False)
        around = Neighbourhood(*rows, columns.cardinalities, n_held_out=n_held_out)
        self.columns_ = columns
        self.evidence_ = Evidence(self._every_cell, around, rows, columns.cardinalities, n_held_out)

    def _every_cell(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        return self.network_.every_cell(soften(number_BP.double()), category_BQ)

    def _calibrate(self, data: tuple[np.ndarray, ...], split: Split) -> Calibration:
        """By rows like those to come: held-out ones, and those that were left out as too lonely."""
        score_H = self.evidence_.normal_HE @ self.evidence_.weight_E
        # one held-out row stands for as many as were kept; where none was left out, for itself
        weight_H = torch.full_like(score_H, len(split.references) / len(score_H) if len(split.lonely) else 1.0)
        score_L = self._strangeness(*_tensors(data, split.lonely))
        return Calibration(torch.cat([score_H, score_L]), torch.cat([weight_H, torch.ones_like(score_L)]))

    def _conclude(self) -> None:
        """What follows from the learned tensors, after fit and after load alike."""
        self.weights_ = dict(zip(KINDS, self.evidence_.weight_E.tolist(), strict=True))
        self.offset_ = -self.calibration_.threshold(self.alarm_rate)

    # ---- verbs -----------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal each row is (N,), lower = stranger. All rows are taken for new ones, also those learnt from."""
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

    def explain(self, X: Any, n_columns: int = 3) -> list[list[Reason]]:
        """For each row the columns that gave it away, the most telling first: those whose repair makes it less strange.

        Returns
        -------
        N lists of at most `n_columns` reasons: column, value seen, value expected, share of the strangeness.
        """
        check_is_fitted(self, "evidence_")
        return self._reasons(*self._encode(X), None, n_columns)

    @torch.inference_mode()
    def detect(self, X: Any) -> dict[str, np.ndarray]:
        """What people read, as columns: anomaly_score (higher = stranger), p_value, is_anomaly, reason.

        Where X holds most of the rows that were learnt from, each of those is judged without itself as a neighbour.
        """
        check_is_fitted(self, "evidence_")
        number_NP, category_NQ = self._encode(X)
        own_N = self._own(number_NP, category_NQ)
        score_N = self._strangeness(number_NP, category_NQ, own_N)
        is_anomaly_N, reason_N = score_N > -self.offset_, np.full(len(score_N), "", dtype=object)
        own_F = None if own_N is None else own_N[is_anomaly_N]
        reasons = self._reasons(number_NP[is_anomaly_N], category_NQ[is_anomaly_N], own_F)
        reason_N[is_anomaly_N.numpy()] = ["; ".join(map(str, few)) for few in reasons]
        return {
            "anomaly_score": score_N.numpy(),
            "p_value": self.calibration_.p_values(score_N).numpy(),
            "is_anomaly": is_anomaly_N.numpy(),
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
        asked, is_flagged_N = (("asked", self.alarm_rate),), score_N > -self.offset_
        truth_N = None if y is None else np.asarray(y, dtype=bool)
        if truth_N is None or truth_N.all() or not truth_N.any():
            return [Measure("share flagged", float(is_flagged_N.mean()), None, asked, False)]
        around = self.evidence_.around
        forest = IsolationForest(random_state=self.seed % 2**32).fit(around.place_ND.numpy())
        baselines = {
            "IsolationForest": -forest.score_samples(around.place(number_NP, category_NQ).numpy()),
            "5 nearest rows": around.near(number_NP, category_NQ, own_N, 5)[0].mean(1).numpy(),
        }
        measures = detection_measures(truth_N, score_N, baselines, seed=self.seed % 2**32)
        alarms = float(is_flagged_N[~truth_N].mean())
        return [*measures, Measure("alarm rate on normal rows", alarms, None, asked, False)]

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
        parts = _parts(ROWS_AT_ONCE, number_NP, category_NQ, own_N)
        scores = [self.evidence_(*part) @ self.evidence_.weight_E for part in parts]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *scores])

    def _own(self, number_NP: Tensor, category_NQ: Tensor) -> Tensor | None:
        """The place of each row among the references, -1 for none; None where X is not what was learnt from."""
        order = np.argsort(self.hash_R_)
        hashes_N = row_hashes((number_NP.numpy(), category_NQ.numpy()))
        found_N = np.searchsorted(self.hash_R_, hashes_N, sorter=order).clip(max=len(order) - 1)
        own_N = np.where(self.hash_R_[order[found_N]] == hashes_N, order[found_N], -1)
        return torch.from_numpy(own_N) if (own_N >= 0).sum() >= len(order) / 2 else None

    @torch.inference_mode()
    def _reasons(
        self, number_NP: Tensor, category_NQ: Tensor, own_N: Tensor | None, n_columns: int = 3
    ) -> list[list[Reason]]:
        found: list[list[Reason]] = []
        for number_BP, category_BQ, own_B in _parts(ROWS_EXPLAINED_AT_ONCE, number_NP, category_NQ, own_N):
            expected_BP, expected_BQ = self.network_.expected(soften(number_BP.double()), category_BQ)
            rows, expected = (number_BP, category_BQ), (harden(expected_BP).float(), expected_BQ)
            blame = self.evidence_.blame(rows, expected, own_B)
            tables = [self.columns_.decode(*(part.numpy() for part in cells)) for cells in (rows, expected)]
            found += worst(self.columns_.numbers + self.columns_.categories, tables, blame, n_columns)
        return found

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "evidence_")
        network, evidence = self.network_.state_dict(), self.evidence_
        tensors = {f"network.{n}": v.float() if v.is_floating_point() else v for n, v in network.items()}
        tensors |= {
            "reference.number": evidence.rows[0], "reference.category": evidence.rows[1],
            "reference.hash": torch.from_numpy(self.hash_R_.view(np.int64)), "weight": evidence.weight_E,
            "calibration.score": self.calibration_.score_N, "calibration.weight": self.calibration_.weight_N,
        }  # fmt: skip
        names = getattr(self, "feature_names_in_", None)
        learned = {
            "columns": self.columns_.to_json(), "n_held_out": evidence.n_held_out, "measures": self.measures_,
            "n_features_in": int(self.n_features_in_),
            "feature_names_in": None if names is None else list(names), "n_iter": self.n_iter_,
        }  # fmt: skip
        return tensors, learned

    @torch.inference_mode()
    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        columns = Columns.from_json(learned["columns"])
        weights = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
        # sizes from the weights: a spoilt config.json must not ask for more
        depth = sum(name.startswith("blocks.") and name.endswith(".0.bias") for name in weights)
        network = self._network(columns, len(weights["first.bias"]), depth)
        network.load_state_dict(weights)
        rows = tensors["reference.number"], tensors["reference.category"]
        self._assemble(network, columns, rows, learned["n_held_out"])
        self.evidence_.weight_E = tensors["weight"]
        self.hash_R_ = tensors["reference.hash"].numpy().view(np.uint64)
        self.calibration_ = Calibration(tensors["calibration.score"], tensors["calibration.weight"])
        self.measures_, self.n_iter_ = learned["measures"], learned["n_iter"]
        self.n_features_in_ = learned["n_features_in"]
        if learned["feature_names_in"] is not None:
            self.feature_names_in_ = np.array(learned["feature_names_in"], dtype=object)
        self._conclude()


def _tensors(data: tuple[np.ndarray, ...], rows: np.ndarray) -> tuple[Tensor, Tensor]:
    number_NP, category_NQ = (torch.from_numpy(np.asarray(array[rows])) for array in data)
    return number_NP, category_NQ


def _parts(
    n_rows: int, number_NP: Tensor, category_NQ: Tensor, own_N: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    for start in range(0, len(number_NP), n_rows):
        part = slice(start, start + n_rows)
        yield number_NP[part], category_NQ[part], None if own_N is None else own_N[part]
