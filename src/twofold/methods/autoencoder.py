"""Autoencoder: a few ordered numbers for each row, and the row back from the first k of them, for any k.

The networks start as principal components (PCA) and learn what those miss. In training each row is rebuilt from a
random number of its first latent numbers, so the first ones learn to hold the most (nested dropout). Gates, set on
held-out rows, shut the networks out where they do not beat PCA.

Rippel, Gelbart, Adams 2014, Learning ordered representations with nested dropout, https://arxiv.org/abs/1402.0915
Dimension key: N rows, B rows at a time, P numbers, Q categories, C = P + Q cells of a row, Z latent numbers,
R = N_CUTS * B, D width, O outputs. The networks are in nn/ordered.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from twofold.core.device import choose_device
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.rows import form_of, in_form, learn_columns, next_table
from twofold.data.columns import Columns
from twofold.errors import DataError, SettingError
from twofold.measure.latents import continuity, trustworthiness
from twofold.measure.report import Measure, bootstrap_interval
from twofold.nn.cells import Cells
from twofold.nn.ordered import FLOOR, OrderedNetwork, start_from_pca

__all__ = ["Autoencoder", "OrderedLearner"]

N_CUTS = 2  # numbers of latents that a row is rebuilt from in one step
DROPOUT = 0.1
GATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PCA_CELLS = 20_000_000  # from how many the start is computed, at least 1,000 rows
ROWS_AT_ONCE = 2048
CUTS = (1, 2, 4, 8, 16, 32, 64, 128)  # numbers of latents that a report shows


# ---- loss ----------------------------------------------------------------------------------------


class OrderedLearner(Learner):
    """The error of rebuilding from the first k, for random k, each in proportion to PCA's at that k."""

    def __init__(self, network: OrderedNetwork):
        super().__init__()
        self.network = network

    def loss(self, number_BP: Tensor, category_BQ: Tensor) -> dict[str, Tensor]:
        """The error over PCA's; 1 at the start."""
        # half precision would blur what is left at large k, a thousandth of the variance
        with torch.autocast(number_BP.device.type, enabled=False):
            return {"relative_error": self._relative_error(number_BP, category_BQ)}

    def _relative_error(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        B, Z = len(number_BP), len(self.network.spread_Z)
        latent_BZ = self.network.encode(number_BP, category_BQ, self.drop)
        # the cuts of a row side by side: then each process's rows are a block, as `uniform` deals its numbers out
        k_R = (self.uniform(B, N_CUTS).reshape(-1) * Z).long().clamp_max(Z - 1) + 1
        latent_RZ = latent_BZ.repeat_interleave(N_CUTS, 0)
        output_RO = self.network.straight(latent_RZ, k_R) + self.network.added(latent_RZ, k_R, self.drop)
        number_RP, category_RQ = number_BP.repeat_interleave(N_CUTS, 0), category_BQ.repeat_interleave(N_CUTS, 0)
        cost_RC = self.network.cells.surprise(output_RO, number_RP, category_RQ)
        # without this the first few would be all that matters: PCA's error falls a hundredfold from k = 1 to 32
        return (cost_RC.mean(1) / self.network.error_Z[k_R - 1]).mean()

    def drop(self, hidden_RD: Tensor) -> Tensor:
        """Dropout, from the loop's own random numbers."""
        R, D = hidden_RD.shape
        return hidden_RD * (self.uniform(R, D) >= DROPOUT) / (1 - DROPOUT)

    @torch.inference_mode()
    def evaluate(self, number_BP: Tensor, category_BQ: Tensor) -> dict[str, float]:
        """Set the gates, and compare with PCA: the mean over k of the ratio of errors, plus a fine where PCA wins."""
        network, Z = self.network, len(self.network.spread_Z)
        network.bend.fill_(1.0)
        latent_BZ, plain_BZ = network.encode(number_BP, category_BQ), network.project(number_BP, category_BQ)
        for k in range(1, Z + 1):
            k_1 = torch.tensor([k], device=latent_BZ.device)
            straight_BO, added_BO = network.straight(latent_BZ, k_1), network.added(latent_BZ, k_1)
            outputs = [network.straight(plain_BZ, k_1), *(straight_BO + gate * added_BO for gate in GATES)]
            errors = torch.stack([network.cells.surprise(o, number_BP, category_BQ).mean() for o in outputs])
            best = int(errors[1:].argmin())
            network.gate_Z[k - 1] = GATES[best]
            floor = network.error_Z[0] * FLOOR
            network.ratio_Z[k - 1] = (errors[1 + best] + floor) / (errors[0] + floor)
        return {"held_out": self._judge()}

    def _judge(self) -> float:
        network = self.network
        score = float(network.ratio_Z.mean() + 10 * (network.ratio_Z.max() - 1).clamp_min(0))
        if score < 1:
            return score
        # nothing gained yet: plain PCA
        network.bend.fill_(0.0)
        network.gate_Z.fill_(0.0)
        network.ratio_Z.fill_(1.0)
        return 1.0


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """A few ordered numbers for each row of a table, and the row back from the first k of them.

    Numbers, dates, categories and missing cells may be mixed. On held-out rows the rebuilding from the first k is made
    to beat PCA with k components, for every k.

    Attributes
    ----------
    network_ : the fitted networks.
    columns_ : what the columns of the table mean.
    error_ratio_ : (Z,) error of rebuilding held-out rows from the first 1, 2, ... numbers, over PCA's; a little kind,
        as those rows set the gates. NaN where fewer than 40 rows were given: none are held out then.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X = load_wine().data
    >>> autoencoder = Autoencoder(n_steps=20).fit(X)
    >>> autoencoder.transform(X).shape
    (178, 13)
    >>> autoencoder.reconstruct(X, k=3).shape
    (178, 13)
    """

    method: ClassVar[str] = "autoencoder"

    latent_dim: int = 32
    """Numbers a row becomes, at most: more keep more of it; the first k of them are the best k to keep."""
    dim: int = 256
    """Width of the networks: wider learn finer detail, take longer, and need more rows."""
    depth: int = 2
    """Blocks in each network: more can bend further, and take longer."""
    kinds: dict[str, str] | None = None
    """Column name to number, category, date or ignore, where the guess would be wrong."""
    missing: tuple[str, ...] = ()
    """Words that mean a missing cell, besides the usual ones: the more are named, the fewer pass for values."""
    batch_size: int = 128
    """Rows per update: more give a steadier direction and a slower step."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
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
        for name in ("latent_dim", "dim", "depth"):
            if not getattr(self, name) >= 1:
                raise SettingError(f"{name} is {getattr(self, name)!r}; it must be at least 1. Give a larger one.")
        columns, table = learn_columns(self, X, self.kinds, self.missing)
        data = columns.encode(table)
        n_steps = int(np.clip(20 * len(data[0]) ** 0.5, 100, 10_000))
        plan = self._plan(n_steps, interval=max(1, (self.n_steps or n_steps) // 10))
        kept, held_out = _split(data, self.latent_dim, self.seed)
        learner = self._start(columns, kept, is_judged=held_out is not None)
        try:
            yield from train(learner, kept, plan, held_out=held_out, folder=None if folder is None else Path(folder))
        finally:
            self._finish(learner.network, columns, form_of(X))
            self.n_iter_ = learner.n_updates

    def _start(self, columns: Columns, kept: tuple[np.ndarray, ...], *, is_judged: bool) -> OrderedLearner:
        flagged = [p for p, column in enumerate(columns.number_columns) if column.n_missing]
        cells = Cells(len(columns.numbers), columns.cardinalities, flagged)
        n_rows = max(1000, PCA_CELLS // max(1, cells.n_outputs))
        rows = np.random.default_rng(self.seed).permutation(len(kept[0]))[:n_rows]
        with seeded(self.seed), torch.no_grad():
            network = start_from_pca(
                cells, tuple(torch.from_numpy(array[rows]) for array in kept), self.seed,
                latent_dim=self.latent_dim, dim=self.dim, depth=self.depth,
            )  # fmt: skip
        # until the first judgement the gates are shut, where there will be one: stopped before it, this is PCA
        for gate in (network.bend, network.gate_Z):
            gate.fill_(0.0 if is_judged else 1.0)
        learner = OrderedLearner(network).to(choose_device(self.device))
        learner.learning_rate = self.learning_rate
        return learner

    def _finish(self, network: OrderedNetwork, columns: Columns, form: str) -> None:
        # in float64 a row's answer does not depend on which rows came with it
        self.network_ = network.cpu().double().eval().requires_grad_(False)
        self.columns_, self.form_ = columns, form
        self.error_ratio_ = self.network_.ratio_Z.numpy()
        self._n_features_out = len(self.error_ratio_)
        cuts = [k for k in CUTS if k <= self._n_features_out and np.isfinite(self.error_ratio_[k - 1])]
        self.measures_ = {f"error at k = {k}, of PCA's": float(self.error_ratio_[k - 1]) for k in cuts}

    # ---- verbs -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def transform(self, X: Any) -> np.ndarray:
        """The latent numbers, (N, Z), the most telling first; the first k columns are the best k."""
        check_is_fitted(self, "network_")
        latent_NZ = torch.cat([self.network_.encode(*batch) for batch in self._batches(X)])
        return latent_NZ.numpy().astype(np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64)

    @torch.inference_mode()
    def inverse_transform(self, latent: Any) -> Any:
        """Rows from latent numbers (N, k), k <= Z: an array, or the kind of frame that fit was given."""
        check_is_fitted(self, "network_")
        latent_Nk = torch.from_numpy(check_array(latent, dtype=np.float64, copy=True))
        if latent_Nk.shape[1] > self._n_features_out:
            raise DataError(
                f"the latent has {latent_Nk.shape[1]} columns; this model has {self._n_features_out} latent numbers. "
                "Give that many, or the first few of them."
            )
        k_1 = self._cut(latent_Nk.shape[1])
        latent_NZ = functional.pad(latent_Nk, (0, self._n_features_out - int(k_1)))
        return self._rows([self.network_.decode(part_BZ, k_1) for part_BZ in latent_NZ.split(ROWS_AT_ONCE)], self.form_)

    @torch.inference_mode()
    def reconstruct(self, X: Any, k: int | None = None) -> Any:
        """The rows of X as the first k latent numbers tell them (all by default), as X is: an array or a frame.

        Missing cells come back filled in.
        """
        check_is_fitted(self, "network_")
        k_1 = self._cut(k)
        outputs = [self.network_.decode(self.network_.encode(*batch), k_1) for batch in self._batches(X)]
        return self._rows(outputs, form_of(X))

    @torch.inference_mode()
    def reconstruction_error(self, X: Any, k: int | None = None) -> np.ndarray:
        """The mean cost of each row's present cells, (N,): squared error in standard deviations, nats of categories."""
        check_is_fitted(self, "network_")
        k_1, network = self._cut(k), self.network_
        parts = [self._cost(network.decode(network.encode(*batch), k_1), *batch) for batch in self._batches(X)]
        return torch.cat(parts).numpy()

    def _cost(self, output_BO: Tensor, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        cost_BC = self.network_.cells.surprise(output_BO, number_BP, category_BQ)
        n_present_B = (~number_BP.isnan()).sum(1) + (category_BQ > 0).sum(1)
        return cost_BC.sum(1) / n_present_B.clamp_min(1)

    @torch.inference_mode()
    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """Error of rebuilding X from the first 1, 2, 4, ... numbers, and what the latent keeps near, beside PCA.

        PCA is that of the training rows. Give rows that training did not see.
        """
        check_is_fitted(self, "network_")
        batches, network = list(self._batches(X)), self.network_
        latents = [network.encode(*batch) for batch in batches]
        components = [network.project(*batch) for batch in batches]
        measures = []
        for k in (k for k in CUTS if k <= self._n_features_out):
            k_1 = torch.tensor([k])
            pairs = [
                (network.decode(z, k_1), network.straight(c, k_1)) for z, c in zip(latents, components, strict=True)
            ]
            ours_N, pca_N = (
                torch.cat([self._cost(pair[i], *batch) for pair, batch in zip(pairs, batches, strict=True)]).numpy()
                for i in (0, 1)
            )
            interval = bootstrap_interval(np.mean, ours_N, seed=self.seed % 2**32)
            measures.append(
                Measure(f"error at k = {k}", float(ours_N.mean()), interval, (("PCA", float(pca_N.mean())),), False)
            )
        return measures + self._what_stays_near(batches, torch.cat(latents), torch.cat(components))

    def _what_stays_near(self, batches: list, latent_NZ: Tensor, component_NZ: Tensor) -> list[Measure]:
        """Trustworthiness and continuity of the first numbers, at most 8; on at most 2,000 rows."""
        if len(latent_NZ) < 30:
            return []
        k, rows = min(8, latent_NZ.shape[1]), slice(2000)
        x_NO = torch.cat([self.network_.cells.values(*batch) for batch in batches])[rows].numpy()
        ours, pca = (z[rows, :k].numpy() for z in (latent_NZ, component_NZ))
        return [
            Measure(f"{name} of {k} numbers", measure(x_NO, ours), None, (("PCA", measure(x_NO, pca)),))
            for name, measure in (("trustworthiness", trustworthiness), ("continuity", continuity))
        ]

    def _batches(self, X: Any) -> Iterator[tuple[Tensor, Tensor]]:
        number_NP, category_NQ = self.columns_.encode(next_table(self, X))
        for first in range(0, max(1, len(number_NP)), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            yield torch.tensor(number_NP[rows]).double(), torch.tensor(category_NQ[rows])

    def _cut(self, k: int | None) -> Tensor:
        if k is not None and not 1 <= k <= self._n_features_out:
            raise SettingError(f"k is {k}; this model has {self._n_features_out} latent numbers. Give 1 to that many.")
        return torch.tensor([self._n_features_out if k is None else k])

    def _rows(self, outputs: list[Tensor], form: str) -> Any:
        number_NP, category_NQ = (x.numpy() for x in self.network_.cells.likeliest(torch.cat(outputs)))
        columns = self.columns_
        if form == "array" and all(column.kind == "number" for column in columns.columns):
            # an array of numbers gets the decimals that a table would have rounded off
            centre_P, scale_P = np.array([(c.centre + c.origin, c.scale) for c in columns.number_columns]).T
            return number_NP * scale_P + centre_P
        table = columns.decode(number_NP, category_NQ)
        if form == "array":
            # as many columns as came: those that say nothing are empty
            nothing = pa.nulls(len(table))
            told = {name: table[name] for name in table.column_names}
            table = pa.table({column.name: told.get(column.name, nothing) for column in columns.columns})
        return in_form(table, form)

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "network_")
        names = getattr(self, "feature_names_in_", None)
        learned = {
            "columns": self.columns_.to_json(), "form": self.form_, "latent_dim": self._n_features_out,
            "flagged": self.network_.cells.flagged.tolist(), "n_features_in": int(self.n_features_in_),
            "feature_names_in": None if names is None else list(names), "n_iter": self.n_iter_,
            "measures": self.measures_,
        }  # fmt: skip
        return {name: value.float() for name, value in self.network_.state_dict().items()}, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        columns = Columns.from_json(learned["columns"])
        cells = Cells(len(columns.numbers), columns.cardinalities, learned["flagged"])
        # sizes from the weights: a spoilt config.json must not ask for more
        dim, depth = len(tensors["encoder.first.bias"]), sum(name.startswith("encoder.ins.") for name in tensors) // 2
        network = OrderedNetwork(cells, len(tensors["spread_Z"]), dim, depth)
        network.load_state_dict(tensors)
        self.n_features_in_ = learned["n_features_in"]
        if learned["feature_names_in"] is not None:
            self.feature_names_in_ = np.array(learned["feature_names_in"], dtype=object)
        self._finish(network, columns, learned["form"])
        self.n_iter_ = learned["n_iter"]


def _split(
    data: tuple[np.ndarray, ...], latent_dim: int, seed: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...] | None]:
    """A tenth of the rows, 1,000 at most, held out to judge by; none of fewer than 40."""
    N = len(data[0])
    if N < 40:
        return data, None
    n_held = int(np.clip(N // 10, 10, max(100, min(1000, 32_000 // latent_dim))))
    if isinstance(data[0], np.memmap):
        # rows mapped from disk stay there: the last ones are taken
        return tuple(array[:-n_held] for array in data), tuple(array[-n_held:] for array in data)
    order = np.random.default_rng(seed).permutation(N)
    return tuple(array[order[n_held:]] for array in data), tuple(array[order[:n_held]] for array in data)
