"""Arrays, frames and files as one kind of thing, with scikit-learn's bookkeeping."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator

from twofold.core.rows import first_table, form_of, in_form, is_named, learn_columns, next_table
from twofold.errors import DataError

ARRAY = np.random.default_rng(0).normal(size=(5, 2))
FRAME = pd.DataFrame(ARRAY, columns=["a", "b"])


class Plain(BaseEstimator):
    """Nothing but what scikit-learn needs to keep its books."""


@pytest.mark.parametrize(
    "X", [FRAME, pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME)], ids=["pandas", "polars", "arrow"]
)
def test_names_are_remembered_and_a_frame_comes_back_in_its_form(X):
    estimator = Plain()
    table = first_table(estimator, X)
    assert list(estimator.feature_names_in_) == ["a", "b"] and estimator.n_features_in_ == 2
    assert is_named(X) and type(in_form(table, form_of(X))) is type(X)
    with pytest.warns(UserWarning, match="valid feature names"):
        assert next_table(estimator, ARRAY).column_names == ["a", "b"]


def test_an_array_has_no_names_and_a_later_one_must_be_as_wide():
    estimator = Plain()
    first_table(estimator, FRAME)
    first_table(estimator, ARRAY)
    assert not hasattr(estimator, "feature_names_in_") and form_of(ARRAY) == "array" and not is_named(ARRAY)
    assert next_table(estimator, ARRAY).num_columns == 2
    with pytest.raises(ValueError, match="3 features"):
        next_table(estimator, np.ones((2, 3)))
    with pytest.raises(ValueError, match="2D array"):
        next_table(estimator, ARRAY[0])


def test_a_path_is_a_named_table(tmp_path):
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    estimator = Plain()
    assert first_table(estimator, tmp_path / "a.csv").num_rows == 5
    assert list(estimator.feature_names_in_) == ["a", "b"] and form_of(str(tmp_path / "a.csv")) == "pyarrow"


def test_the_columns_of_an_array_of_numbers_are_numbers_even_if_they_look_like_something_else():
    counted = np.column_stack([np.arange(30.0), np.repeat([0.0, 1.0], 15)])
    columns, _ = learn_columns(Plain(), counted, None, ())
    assert [column.kind for column in columns.columns] == ["number", "number"]
    columns, _ = learn_columns(Plain(), counted, {"x1": "category"}, ())
    assert columns.categories == ["x1"]


def test_missing_cells_pass_and_infinite_ones_are_named():
    spoilt = ARRAY.copy()
    spoilt[3, 1] = np.nan
    columns, table = learn_columns(Plain(), spoilt, None, ())
    assert np.isnan(columns.encode(table)[0]).sum() == 1
    spoilt[3, 1] = np.inf
    with pytest.raises(DataError, match="column 'x1', row 4"):
        learn_columns(Plain(), spoilt, None, ())
