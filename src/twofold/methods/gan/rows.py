"""Rows of a table as a GAN makes them.

What comes out could stand in the table: whole numbers are whole, values lie in the range seen, levels are those of
training, cells are missing as often. The generator begins as a mixture of clusters (nn/mixture.py), learned in closed
form from the rows that are not held out; the game makes it better.
Dimension key: N rows, B of them at a time, P numbers, G groups of levels, O outputs, R cells of a row.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from twofold.core.rows import form_of, in_form, is_named, learn_columns
from twofold.data.columns import Columns
from twofold.data.tables import read_table
from twofold.errors import DataError, RunError
from twofold.nn.mixture import Mixture
from twofold.nn.quantiles import Quantiles
from twofold.nn.row_game import RowDiscriminator, RowGenerator, RowPlan

__all__ = ["RowForm"]

DIM = 192
ROWS_A_CLUSTER, MOST_CLUSTERS = 20, 250
MOST_ENTRIES = 1_000_000  # of all covariances together
MIXED = 10_000  # rows that the mixture is learned from
HIDDEN = 0.5  # of the cells, that augmentation hides at most


class RowForm:
    """Rows of a table on their way to the detective and back from the forger.

    Parameters
    ----------
    columns : what they mean.
    form : what rows go back as: array, pyarrow, pandas, polars.
    quantiles : how each column of numbers is coded.
    n_clusters : of the mixture that the generator begins as.
    """

    name: ClassVar[str] = "rows"
    loss: ClassVar[str] = "relativistic"
    gamma: ClassVar[float] = 8.0
    """What the penalty begins with: rows are few, and soon learned by heart."""

    def __init__(self, columns: Columns, form: str, quantiles: list[Quantiles], n_clusters: int):
        self.columns, self.form, self.quantiles, self.n_clusters = columns, form, quantiles, n_clusters
        self.missable = [column.n_missing > 0 for column in columns.category_columns]
        self.numbered = [p for p, column in enumerate(quantiles) if len(column.knot_K)]
        levels = [len(column.levels) for column in columns.category_columns]
        sizes = [column.levels for column in quantiles] + [n + m for n, m in zip(levels, self.missable, strict=True)]
        first = np.cumsum([0, *sizes])
        gates = [int(first[p]) if sizes[p] > 1 else -1 for p in self.numbered]
        self.plan = RowPlan(len(self.numbered), tuple(sizes), tuple(gates))
        self.owner_O = self.plan.cells()
        self.n_chances = int(self.owner_O.max()) + 1

    @classmethod
    def learn(cls, gan: Any, X: Any) -> tuple["RowForm", tuple[np.ndarray, ...], None]:
        """What X's columns mean; its numbers as normal ones, float32 (N, P), and levels, int64 (N, G)."""
        columns, table = learn_columns(gan, X, gan.kinds, gan.missing)
        number_NQ = columns.encode(table)[0]
        quantiles = [Quantiles.learn(x_N) for x_N in number_NQ.T]
        P = sum(len(column.knot_K) > 0 for column in quantiles)
        n_clusters = np.clip(table.num_rows // ROWS_A_CLUSTER, 1, min(MOST_CLUSTERS, MOST_ENTRIES // max(1, P * P)))
        form = cls(columns, form_of(X), quantiles, max(1, int(n_clusters)))
        return form, form.arrays(table), None

    def begin(self, generator: nn.Module, *arrays: np.ndarray) -> None:
        """Make the generator the mixture of these rows: numbers, levels and class."""
        number_NP, level_NG, class_N = (torch.from_numpy(np.array(part[:MIXED])) for part in arrays)
        row_NO = self.plan.row(number_NP, level_NG).numpy()
        number_NP, one_NL = row_NO[:, : self.plan.n_numbers], row_NO[:, self.plan.n_numbers :]
        there_NP = np.ones_like(number_NP)
        for p, gate in enumerate(self.plan.gates):
            there_NP[:, p] = one_NL[:, gate] if gate >= 0 else 1.0
        # the class counts as one more category, so that clusters are of one class
        told_NL = np.concatenate([one_NL, np.eye(generator.n_classes)[class_N.numpy()]], 1)
        mixture = Mixture.learn(number_NP, told_NL, n_clusters=self.n_clusters, seed=0, there_NP=there_NP)
        generator.begin(mixture, class_N)

    def given(self, X: Any) -> tuple[pa.Table, None]:
        """Any table with these columns; an array has them in their order."""
        table = read_table(X)
        if not is_named(X):
            names = [column.name for column in self.columns.columns]
            if table.num_columns != len(names):
                raise DataError(f"the rows have {table.num_columns} columns; training had {len(names)}. Give as many.")
            table = table.rename_columns(names)
        return table, None

    def arrays(self, X: Any) -> tuple[np.ndarray, ...]:
        """Any table with these columns as the same arrays."""
        table, _ = self.given(X)
        number_NQ, category_NJ = self.columns.encode(table)
        rng = np.random.default_rng(0)
        coded = [column.encode(x_N, rng) for column, x_N in zip(self.quantiles, number_NQ.T, strict=True)]
        levels = [level_N for _, level_N in coded]
        for column, code_N, is_missable in zip(
            self.columns.category_columns, category_NJ.T, self.missable, strict=True
        ):
            # a level never seen becomes the commonest, where nothing was ever missing
            levels.append(np.where(code_N > 0, code_N - 1, len(column.levels) * is_missable))
        normals = [coded[p][0] for p in self.numbered]
        N = table.num_rows
        return (np.stack(normals, 1) if normals else np.zeros((N, 0), np.float32)), np.stack(levels, 1)

    def networks(self, gan: Any, n_classes: int) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator."""
        dim = gan.dim or DIM
        return (
            RowGenerator(self.plan, self.n_clusters, dim=dim, n_more=gan.noise_dim, n_classes=n_classes),
            RowDiscriminator(self.plan, dim=dim, n_classes=n_classes),
        )

    def sizes_of(self, weights: Mapping[str, Tensor]) -> dict[str, int]:
        """Settings that the networks are rebuilt from: a spoilt config.json must not ask for more than there is."""
        K, P = weights["generator.mean_KP"].shape
        L = weights["generator.logit_KL"].shape[1]
        if (K, P, L) != (self.n_clusters, self.plan.n_numbers, self.plan.n_levels):
            raise RunError("config.json and the weights tell of different tables. Train again.")
        dim, n_inputs = weights["generator.network.first.weight"].shape
        n_classes = len(weights["generator.share_CK"])
        return {"dim": dim, "noise_dim": n_inputs - 2 * P - 2 * L - n_classes}

    def real(self, number_BP: Tensor, level_BG: Tensor) -> Tensor:
        """Rows (B, O): normal numbers, then a one among zeros for each group of levels."""
        return self.plan.row(number_BP, level_BG)

    def changed(self, row_BO: Tensor, chance_BR: Tensor, strength: Tensor) -> Tensor:
        """Rows with some of their cells hidden, so that the detective does not know them by heart."""
        is_shown_BR = chance_BR >= HIDDEN * strength
        return row_BO * is_shown_BR[:, self.owner_O.to(row_BO.device)]

    def items(self, row_NO: Tensor) -> Any:
        """A table with the columns of training, as the kind of frame or array that it was learned from."""
        number_NP, level_NG = (part.cpu().numpy() for part in self.plan.coded(row_NO.float()))
        number_NQ = np.zeros((len(row_NO), len(self.quantiles)))
        for p, column in enumerate(self.quantiles):
            normal_N = number_NP[:, self.numbered.index(p)] if p in self.numbered else np.zeros(len(row_NO))
            number_NQ[:, p] = column.decode(normal_N, level_NG[:, p])
        code_NJ = level_NG[:, len(self.quantiles) :] + 1
        for place, column in enumerate(self.columns.category_columns):
            code_NJ[code_NJ[:, place] > len(column.levels), place] = 0
        table = self.columns.decode(number_NQ, code_NJ)
        return self._array(table) if self.form == "array" else in_form(table, self.form)

    def _array(self, table: pa.Table) -> np.ndarray:
        """As many columns as came, those that say nothing empty; numbers where all are numbers."""
        told = {name: table[name] for name in table.column_names}
        whole = pa.table({c.name: told.get(c.name, pa.nulls(len(table))) for c in self.columns.columns})
        if any(column.kind not in ("number", "ignore") for column in self.columns.columns):
            return in_form(whole, "array")
        return np.stack([np.array(column.to_pylist(), np.float64) for column in whole.columns], 1)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"columns": self.columns.to_json(), "form": self.form, "n_clusters": self.n_clusters,
                "quantiles": [column.to_json() for column in self.quantiles]}  # fmt: skip

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "RowForm":
        """The reverse of `to_json`."""
        columns, quantiles = Columns.from_json(told["columns"]), list(map(Quantiles.from_json, told["quantiles"]))
        return cls(columns, told["form"], quantiles, int(told["n_clusters"]))
