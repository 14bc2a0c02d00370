"""Autoencoder: a few ordered numbers for each row or picture, and it back from the first k of them, for any k.

The networks start as principal components (PCA) and learn what those miss. In training each row is rebuilt from a
random number of its first latent numbers, so the first ones learn to hold the most (nested dropout). Gates, set on
held-out rows, shut the networks out where they do not beat PCA.

Rippel, Gelbart, Adams 2014, Learning ordered representations with nested dropout, https://arxiv.org/abs/1402.0915
Dimension key: N rows (of a table, or pictures), B rows at a time, C cells of a row (or pixels), Z latent numbers,
R = N_CUTS * B, D width, O outputs; a `row` is a tuple of tensors: numbers and categories, or pixels.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from twofold.core.device import choose_device
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.pictures import PictureRows, side_by_side
from twofold.core.planar import MAP_ROWS, plan_map, start_map, train_in_turn
from twofold.core.rows import TableRows
from twofold.core.splits import hold_out
from twofold.data.pictures import holds_pictures
from twofold.errors import DataError, SettingError
from twofold.measure.latents import nearness
from twofold.measure.report import Measure, bootstrap_interval
from twofold.nn.ordered import FLOOR, OrderedNetwork, start_from_pca
from twofold.nn.planar import PlanarNetwork

__all__ = ["Autoencoder", "OrderedLearner"]

N_CUTS = 2  # numbers of latents that a row is rebuilt from in one step
DROPOUT = 0.1
GATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PCA_CELLS, LEAST_PCA_ROWS = 20_000_000, 300  # from how many the start is computed
ROWS_AT_ONCE, CELLS_AT_ONCE = 2048, 4_000_000
FAR = 3.0  # standard deviations: a cell farther off than that is no farther away on the map
CUTS = (1, 2, 4, 8, 16, 32, 64, 128)  # numbers of latents that a report shows

Rows = TableRows | PictureRows


# ---- loss ----------------------------------------------------------------------------------------


class OrderedLearner(Learner):
    """The error of rebuilding from the first k, for random k, each in proportion to PCA's at that k."""

    def __init__(self, network: OrderedNetwork):
        super().__init__()
        self.network = network

    def loss(self, *row: Tensor) -> dict[str, Tensor]:
        """The error over PCA's; 1 at the start."""
        # half precision would blur what is left at large k, a thousandth of the variance
        with torch.autocast(row[0].device.type, enabled=False):
            return {"relative_error": self._relative_error(*row)}

    def _relative_error(self, *row: Tensor) -> Tensor:
        B, Z = len(row[0]), len(self.network.spread_Z)
        latent_BZ = self.network.encode(*row, drop=self.drop)
        # the cuts of a row side by side: then each process's rows are a block, as `uniform` deals its numbers out
        k_R = (self.uniform(B, N_CUTS).reshape(-1) * Z).long().clamp_max(Z - 1) + 1
        latent_RZ = latent_BZ.repeat_interleave(N_CUTS, 0)
        output_RO = self.network.straight(latent_RZ, k_R) + self.network.added(latent_RZ, k_R, self.drop)
        cost_RC = self.network.cells.surprise(output_RO, *(part.repeat_interleave(N_CUTS, 0) for part in row))
        # without this the first few would be all that matters: PCA's error falls a hundredfold from k = 1 to 32
        return (cost_RC.mean(1) / self.network.error_Z[k_R - 1]).mean()

    def drop(self, hidden_RD: Tensor) -> Tensor:
        """Dropout, from the loop's own random numbers."""
        R, D = hidden_RD.shape
        return hidden_RD * (self.uniform(R, D) >= DROPOUT) / (1 - DROPOUT)

    @torch.inference_mode()
    def evaluate(self, *row: Tensor) -> dict[str, float]:
        """Set the gates, and compare with PCA: the mean over k of the ratio of errors, plus a fine where PCA wins."""
        network, Z = self.network, len(self.network.spread_Z)
        network.bend.fill_(1.0)
        latent_BZ, plain_BZ = network.encode(*row), network.project(*row)
        for k in range(1, Z + 1):
            k_1 = torch.tensor([k], device=latent_BZ.device)
            straight_BO, added_BO = network.straight(latent_BZ, k_1), network.added(latent_BZ, k_1)
            outputs = [network.straight(plain_BZ, k_1), *(straight_BO + gate * added_BO for gate in GATES)]
            errors = torch.stack([network.cells.surprise(o, *row).mean() for o in outputs])
            best = int(errors[1:].argmin())
            network.gate_Z[k - 1] = GATES[best]
            floor = network.error_Z[0] * FLOOR
            network.ratio_Z[k - 1] = (errors[1 + best] + floor) / (errors[0] + floor)
        return {"held_out": self._judge()}

    def preview(self, *row: Tensor) -> np.ndarray | None:
        """Pictures, each beside what all its latent numbers tell of it; rows of a table are not shown."""
        network = self.network
        output_BO = network.decode(network.encode(*row), torch.tensor([len(network.spread_Z)], device=row[0].device))
        return side_by_side(row[0], *network.cells.likeliest(output_BO)) if row[0].dtype == torch.uint8 else None

    def _judge(self) -> float:
        network = self.network
        if (score := float(network.ratio_Z.mean() + 10 * (network.ratio_Z.max() - 1).clamp_min(0))) < 1:
            return score
        # nothing gained yet: plain PCA
        network.bend.fill_(0.0)
        network.gate_Z.fill_(0.0)
        network.ratio_Z.fill_(1.0)
        return 1.0


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """A few ordered numbers for each row of a table, or for each picture, and it back from the first k of them.

    Numbers, dates, categories and missing cells may be mixed; pictures are brought to one size. On held-out rows the
    rebuilding from the first k is made to beat PCA with k components, for every k.

    Attributes
    ----------
    network_ : the fitted networks.
    map_ : the network of the map: points in the plane, and the way back.
    rows_ : what the columns of the table mean, or the size of the pictures.
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
    >>> autoencoder.map(X).shape
    (178, 2)
    """

    method: ClassVar[str] = "autoencoder"
    reads: ClassVar[tuple[str, ...]] = ("table", "pictures")

    latent_dim: int = 32
    """Numbers a row becomes, at most: more keep more of it; the first k of them are the best k to keep."""
    dim: int = 256
    """Width of the networks: wider learn finer detail, take longer, and need more rows."""
    depth: int = 2
    """Blocks in each network: more can bend further, and take longer."""
    map_steps: int | None = None
    """Updates of the 2-D map: more keep more neighbours; 0 leaves it PCA's plane (None: 1,000, or n_steps if fewer)."""
    image_size: int | None = None
    """Side that pictures are brought to, 8 to 256: larger shows finer detail, and takes longer (None: 64 at most)."""
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
        X : 2-D array, pandas, polars or Arrow frame, or path of a table; or pictures: a folder, an archive, a 4-D
            array, a list of PIL images.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        rows, data = (PictureRows if holds_pictures(X) else TableRows).learn(self, X)
        n_steps = int(np.clip(20 * len(data[0]) ** 0.5, 100, 10_000))
        plan = self._plan(n_steps, interval=max(1, (self.n_steps or n_steps) // 10))
        kept, held_out = hold_out(data, self.latent_dim, self.seed)
        plan, map_plan = plan_map(plan, self.map_steps, self.n_steps, len(data[0]))
        learner = self._start(rows, kept, is_judged=held_out is not None)
        place = None if folder is None else Path(folder)
        try:
            yield from train(learner, kept, plan, held_out=held_out, folder=place)
        finally:
            self._finish(learner.network, rows)
            self.n_iter_ = learner.n_updates
            mapped = self._places(data)
            planar = start_map(*mapped, self.seed, choose_device(self.device))
            self._finish_map(planar.network)
        try:
            yield from train_in_turn(learner, planar, mapped, map_plan, place)
        finally:
            self._finish_map(planar.network)

    def _check(self) -> None:
        self._check_settings(latent_dim=1, dim=1, depth=1, map_steps=0)
        if self.image_size is not None and not (8 <= self.image_size <= 256 and self.image_size % 8 == 0):
            near = int(np.clip(self.image_size // 8 * 8, 8, 256))
            raise SettingError(
                f"image_size is {self.image_size}; it must be a multiple of 8 from 8 to 256. Give {near}."
            )

    def _start(self, rows: Rows, kept: tuple[np.ndarray, ...], *, is_judged: bool) -> OrderedLearner:
        cells = rows.cells()
        few = np.random.default_rng(self.seed).permutation(len(kept[0]))
        few = few[: max(LEAST_PCA_ROWS, PCA_CELLS // max(1, cells.n_outputs))]
        with seeded(self.seed), torch.no_grad():
            network = start_from_pca(
                cells, tuple(torch.from_numpy(array[few]) for array in kept), self.seed, latent_dim=self.latent_dim,
                networks=lambda Z: rows.networks(cells, Z, self.dim, self.depth),
            )  # fmt: skip
        # until the first judgement the gates are shut, where there will be one: stopped before it, this is PCA
        for gate in (network.bend, network.gate_Z):
            gate.fill_(0.0 if is_judged else 1.0)
        learner = OrderedLearner(network).to(choose_device(self.device))
        learner.learning_rate = self.learning_rate
        return learner

    def _finish(self, network: OrderedNetwork, rows: Rows) -> None:
        self.network_, self.rows_ = network.cpu().to(rows.dtype).eval().requires_grad_(False), rows
        self.error_ratio_ = self.network_.ratio_Z.numpy()
        self._n_features_out = len(self.error_ratio_)
        cuts = [k for k in CUTS if k <= self._n_features_out and np.isfinite(self.error_ratio_[k - 1])]
        self.measures_ = {f"error at k = {k}, of PCA's": float(self.error_ratio_[k - 1]) for k in cuts}

    @torch.inference_mode()
    def _places(self, data: tuple[np.ndarray, ...]) -> tuple[Tensor, Tensor]:
        """What the map is learned from, of some of the rows: features by which they are near, and latent numbers."""
        few = np.random.default_rng(self.seed).permutation(len(data[0]))[:MAP_ROWS]
        parts = [
            (self._features(*row), self.network_.encode(*row)) for row in self._parts(array[few] for array in data)
        ]
        return tuple(torch.cat(part).float() for part in zip(*parts, strict=True))

    def _features(self, *row: Tensor) -> Tensor:
        """The cells of a row of a table; the latent numbers of a picture."""
        is_table = isinstance(self.rows_, TableRows)
        return self.network_.cells.values(*row).clamp(-FAR, FAR) if is_table else self.network_.encode(*row)

    def _finish_map(self, network: PlanarNetwork) -> None:
        self.map_ = deepcopy(network).cpu().to(self.rows_.dtype).eval().requires_grad_(False)

    # ---- verbs -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def transform(self, X: Any) -> np.ndarray:
        """The latent numbers, (N, Z), the most telling first; the first k columns are the best k."""
        check_is_fitted(self, "network_")
        latent_NZ = torch.cat([self.network_.encode(*batch) for batch in self._batches(X)])
        return latent_NZ.numpy().astype(np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64)

    @torch.inference_mode()
    def inverse_transform(self, latent: Any) -> Any:
        """Rows from latent numbers (N, k), k <= Z: an array, or the kind of frame that fit was given; or pictures."""
        check_is_fitted(self, "network_")
        latent_Nk = torch.from_numpy(check_array(latent, dtype=np.float64, copy=True)).to(self.rows_.dtype)
        if latent_Nk.shape[1] > self._n_features_out:
            raise DataError(
                f"the latent has {latent_Nk.shape[1]} columns; this model has {self._n_features_out} latent numbers. "
                "Give that many, or the first few of them."
            )
        k_1 = self._cut(latent_Nk.shape[1])
        latent_NZ = nn.functional.pad(latent_Nk, (0, self._n_features_out - int(k_1)))
        return self._answer(self.network_.decode(part_BZ, k_1) for part_BZ in latent_NZ.split(self._n_at_once()))

    @torch.inference_mode()
    def map(self, X: Any) -> np.ndarray:
        """Points in the plane, (N, 2), in which rows that are near stay near; new rows are placed among the old."""
        check_is_fitted(self, "network_")
        return torch.cat([self.map_.encode(self._features(*batch)) for batch in self._batches(X)]).double().numpy()

    @torch.inference_mode()
    def inverse_map(self, points: Any) -> Any:
        """What is found at points of the map (N, 2): rows or pictures, as `inverse_transform` gives them."""
        check_is_fitted(self, "network_")
        point_N2 = torch.from_numpy(check_array(points, dtype=np.float64, copy=True)).to(self.rows_.dtype)
        if point_N2.shape[1] != 2:
            raise DataError(f"the points have {point_N2.shape[1]} columns; the map has 2. Give x and y.")
        return self.inverse_transform(self.map_.decode(point_N2).numpy())

    @torch.inference_mode()
    def reconstruct(self, X: Any, k: int | None = None) -> Any:
        """The rows of X as the first k latent numbers tell them (all by default), as X is: an array or a frame.

        Missing cells come back filled in; pictures as uint8 (N, S, S, C), in the size of the model.
        """
        check_is_fitted(self, "network_")
        k_1 = self._cut(k)
        outputs = (self.network_.decode(self.network_.encode(*batch), k_1) for batch in self._batches(X))
        return self._answer(outputs, X)

    @torch.inference_mode()
    def reconstruction_error(self, X: Any, k: int | None = None) -> np.ndarray:
        """The mean cost of each row's present cells, (N,): squared error in standard deviations, nats of categories."""
        check_is_fitted(self, "network_")
        k_1, network = self._cut(k), self.network_
        parts = [self._cost(network.decode(network.encode(*batch), k_1), *batch) for batch in self._batches(X)]
        return torch.cat(parts).numpy()

    def _cost(self, output_BO: Tensor, *row: Tensor) -> Tensor:
        return self.network_.cells.surprise(output_BO, *row).sum(1) / self.rows_.n_present(*row)

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
            beside = (("PCA", float(pca_N.mean())),)
            measures.append(Measure(f"error at k = {k}", float(ours_N.mean()), interval, beside, False))
        return measures + self._what_stays_near(batches, torch.cat(latents), torch.cat(components).numpy())

    def _what_stays_near(self, batches: list, latent_NZ: Tensor, component_NZ: np.ndarray) -> list[Measure]:
        """How near rows stay to their neighbours among the first numbers, at most 8, and on the map."""
        k, cells = min(8, latent_NZ.shape[1]), self.network_.cells
        x_NO = torch.cat([cells.values(*batch) for batch in batches]).numpy()
        point_N2 = torch.cat([self.map_.encode(self._features(*batch)) for batch in batches]).numpy()
        return [
            *nearness(f"{k} numbers", x_NO, latent_NZ[:, :k].numpy(), component_NZ[:, :k]),
            *nearness("the map", x_NO, point_N2, component_NZ[:, :2]),
        ]

    def _batches(self, X: Any) -> Iterator[tuple[Tensor, ...]]:
        return self._parts(self.rows_.arrays(self, X))

    def _parts(self, arrays: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        arrays = tuple(arrays)
        for first in range(0, max(1, len(arrays[0])), self._n_at_once()):
            yield self.rows_.tensors(arrays, slice(first, first + self._n_at_once()))

    def _n_at_once(self) -> int:
        return int(np.clip(CELLS_AT_ONCE // self.network_.cells.n_outputs, 1, ROWS_AT_ONCE))

    def _cut(self, k: int | None) -> Tensor:
        if k is not None and not 1 <= k <= self._n_features_out:
            raise SettingError(f"k is {k}; this model has {self._n_features_out} latent numbers. Give 1 to that many.")
        return torch.tensor([self._n_features_out if k is None else k])

    def _answer(self, outputs: Iterable[Tensor], X: Any = None) -> Any:
        parts = [self.network_.cells.likeliest(output_BO) for output_BO in outputs]
        return self.rows_.answer(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)), X)

    # ---- saving ----------------------------------------------------------------------------------

    def describe_backbone(self) -> dict[str, Any] | None:
        """What the encoder of pictures is rebuilt from (nn/encoders.py); nothing for tables."""
        told = self.rows_.to_json() if isinstance(self.rows_, PictureRows) else None
        return told and {"architecture": "ordered", "arguments": told, "image_size": told["size"], **told}

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "network_")
        learned = {
            "rows": self.rows_.to_json(), "is_pictures": isinstance(self.rows_, PictureRows), "n_iter": self.n_iter_,
            "n_features_in": getattr(self, "n_features_in_", None),
            "feature_names_in": list(getattr(self, "feature_names_in_", ())) or None, "measures": self.measures_,
        }  # fmt: skip
        both = nn.ModuleDict({"network": self.network_, "map": self.map_}).state_dict()
        return {name.removeprefix("network."): value.float() for name, value in both.items()}, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        rows = (PictureRows if learned["is_pictures"] else TableRows).from_json(learned["rows"])
        cells, Z = rows.cells(), len(tensors["spread_Z"])
        network = OrderedNetwork(cells, Z, rows.networks(cells, Z, *rows.sizes_of(tensors)))
        planar = PlanarNetwork(len(tensors["map.centre_D"]), Z)
        both = {name if name.startswith("map.") else f"network.{name}": value for name, value in tensors.items()}
        nn.ModuleDict({"network": network, "map": planar}).load_state_dict(both)
        for name in ("n_features_in", "feature_names_in"):
            if learned[name] is not None:
                setattr(self, f"{name}_", learned[name] if name[0] == "n" else np.array(learned[name], dtype=object))
        self._finish(network, rows)
        self._finish_map(planar)
        self.n_iter_ = learned["n_iter"]
