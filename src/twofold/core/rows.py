"""What is handed to fit and to the verbs after it - arrays, frames, files - as one kind of thing: a table.

Keeps scikit-learn's bookkeeping (`n_features_in_`, `feature_names_in_`) on the estimator.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from twofold.data.columns import Columns
from twofold.data.tables import read_table

__all__ = ["first_table", "form_of", "in_form", "is_named", "learn_columns", "next_table"]


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
