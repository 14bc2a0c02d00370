"""What is handed to fit and to the verbs after it - arrays, frames, files - as one kind of thing: a table.

Keeps scikit-learn's bookkeeping (`n_features_in_`, `feature_names_in_`) on the estimator.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor, nn

from twofold.data.columns import Columns
from twofold.data.tables import read_table
from twofold.nn.cells import Cells
from twofold.nn.ordered import perceptrons

__all__ = ["TableRows", "first_table", "form_of", "in_form", "is_named", "learn_columns", "next_table"]


def is_named(X: Any) -> bool:
    """Whether X brings names for its columns: a path, or a pandas, polars or Arrow frame."""
    return isinstance(X, str | Path) or hasattr(X, "columns") or hasattr(X, "__arrow_c_stream__")


def form_of(X: Any) -> str:
    """What rows go back as: array, pyarrow, pandas, polars, ..."""
    if not is_named(X):
        return "array"
    return "pyarrow" if isinstance(X, str | Path) else str(nw.from_native(X).implementation.value)


def in_form(table: pa.Table, form: str) -> Any:
    """A table as that kind of frame, or as an array."""
    if form == "array":
        return np.array([column.to_pylist() for column in table.columns], dtype=object).T
    return table if form == "pyarrow" else nw.from_arrow(table, backend=form).to_native()  # type: ignore[arg-type]


def first_table(estimator: BaseEstimator, X: Any) -> pa.Table:
    """The table that fit learns from; the estimator remembers its columns.

    Raises
    ------
    DataError
        When X cannot be read as a table.
    """
    for name in ("feature_names_in_", "n_features_in_"):
        if hasattr(estimator, name):
            delattr(estimator, name)
    if not is_named(X):
        return read_table(_checked(estimator, X, is_first=True))
    table = read_table(X)
    estimator.n_features_in_ = table.num_columns
    estimator.feature_names_in_ = np.array(table.column_names, dtype=object)
    return table


def next_table(estimator: BaseEstimator, X: Any) -> pa.Table:
    """The table of a later verb. Columns are matched by name where both have names, else by place."""
    if is_named(X):
        return read_table(X)
    table = read_table(_checked(estimator, X, is_first=False))
    names = getattr(estimator, "feature_names_in_", None)
    return table if names is None else table.rename_columns(list(names))


def learn_columns(
    estimator: BaseEstimator, X: Any, kinds: Mapping[str, str] | None, missing: Sequence[str]
) -> tuple[Columns, pa.Table]:
    """What the columns of X mean, and X as a table; nothing is guessed of an array of numbers."""
    table = first_table(estimator, X)
    plain = () if is_named(X) else [field.name for field in table.schema if not pa.types.is_large_string(field.type)]
    return Columns.learn(table, dict.fromkeys(plain, "number") | dict(kinds or {}), missing), table


def _checked(estimator: BaseEstimator, X: Any, *, is_first: bool) -> np.ndarray:
    """A 2-D array by scikit-learn's own rules; NaN is a missing cell, infinity is refused later, by column and row."""
    array = validate_data(
        estimator, X, reset=is_first, skip_check_array=False, dtype="numeric", ensure_all_finite=False, order="C"
    )
    return np.asarray(array)


class TableRows:
    """Rows of a table on their way into a network of ordered cells, and back.

    Parameters
    ----------
    columns : what they mean.
    form : what rows go back as where nothing else was handed over.
    """

    dtype = torch.float64  # then a row's answer does not depend on which rows came with it

    def __init__(self, columns: Columns, form: str):
        self.columns, self.form = columns, form

    @classmethod
    def learn(cls, estimator: Any, X: Any) -> tuple["TableRows", tuple[np.ndarray, ...]]:
        """What X's columns mean, and its rows as arrays."""
        columns, table = learn_columns(estimator, X, estimator.kinds, estimator.missing)
        return cls(columns, form_of(X)), columns.encode(table)

    def cells(self) -> Cells:
        """What a row is to a network; only numbers that can be missing have a flag."""
        columns = self.columns
        flagged = [p for p, column in enumerate(columns.number_columns) if column.n_missing]
        return Cells(len(columns.numbers), columns.cardinalities, flagged)

    def networks(self, cells: Cells, latent_dim: int, dim: int, depth: int) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder."""
        return perceptrons(cells, latent_dim, dim, depth)

    def sizes_of(self, weights: Mapping[str, Tensor]) -> tuple[int, int]:
        """Width and depth of the networks: a spoilt config.json must not ask for more than there is."""
        depth = sum(name.startswith("encoder.ins.") for name in weights) // 2
        return len(weights["encoder.first.bias"]), depth

    def arrays(self, estimator: BaseEstimator, X: Any) -> tuple[np.ndarray, ...]:
        """X for a later verb: numbers (N, P) and categories (N, Q)."""
        return self.columns.encode(next_table(estimator, X))

    def tensors(self, arrays: tuple[np.ndarray, ...], rows: slice) -> tuple[Tensor, ...]:
        """Some of the rows, for the network."""
        return torch.tensor(arrays[0][rows]).double(), torch.tensor(arrays[1][rows])

    def n_present(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """Cells of each row that are not missing (B)."""
        return ((~number_BP.isnan()).sum(1) + (category_BQ > 0).sum(1)).clamp_min(1)

    def answer(self, number_NP: np.ndarray, category_NQ: np.ndarray, X: Any = None) -> Any:
        """Rows as X is, an array or a frame; as what was learnt from where X is None."""
        form = self.form if X is None else form_of(X)
        if form == "array" and all(column.kind == "number" for column in self.columns.columns):
            # an array of numbers gets the decimals that a table would have rounded off
            centre_P, scale_P = np.array([(c.centre + c.origin, c.scale) for c in self.columns.number_columns]).T
            return number_NP * scale_P + centre_P
        table = self.columns.decode(number_NP, category_NQ)
        if form == "array":
            # as many columns as came: those that say nothing are empty
            nothing = pa.nulls(len(table))
            told = {name: table[name] for name in table.column_names}
            table = pa.table({column.name: told.get(column.name, nothing) for column in self.columns.columns})
        return in_form(table, form)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"columns": self.columns.to_json(), "form": self.form}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "TableRows":
        """The reverse of `to_json`."""
        return cls(Columns.from_json(told["columns"]), told["form"])
