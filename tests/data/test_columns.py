"""Meanings of columns, and arrays there and back."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

from twofold.data.columns import Columns
from twofold.data.samples import load_sample
from twofold.errors import DataError, SettingError


def kinds_of(**cells: list[Any]) -> dict[str, str]:
    return {column.name: column.kind for column in Columns.learn(cells).columns}


def round_trip(**cells: list[Any]) -> dict[str, list[Any]]:
    columns = Columns.learn(cells)
    return columns.decode(*columns.encode(cells)).to_pydict()


def test_kinds_are_guessed_as_a_reader_would() -> None:
    n = 30
    found = kinds_of(
        amount=[f"{i}.5" for i in range(n)],
        money=[f"-${i},000.25" if i else "" for i in range(n)],
        share=[f"{i} %" for i in range(n)],
        postcode=[f"{i % 9:05d}" for i in range(n)],
        city=["Rome", "Oslo", "none"] * 10,
        claims=["1", "2 to 4", "none"] * 10,
        day=[f"2024-03-{i + 1:02d}" for i in range(n)],
        key=[f"id-{i}" for i in range(n)],
        remark=[f"customer {i} called about a parcel" for i in range(n)],
        nothing=["NA", "", None] * 10,
        customer_id=list(range(n)),
        pairs=[[i] for i in range(n)],
    )
    assert found == {
        "amount": "number", "money": "number", "share": "number", "postcode": "category", "city": "category",
        "claims": "category", "day": "date", "key": "ignore", "remark": "ignore", "nothing": "ignore",
        "customer_id": "ignore", "pairs": "ignore",
    }  # fmt: skip


def test_an_ignored_column_says_why() -> None:
    columns = Columns.learn({"a": [1, 2], "b": [[1], [2]], "c": [None, None]})
    assert "type list" in columns.ignored["b"] and "no value" in columns.ignored["c"]


def test_the_user_may_set_the_kind_and_the_words_for_missing() -> None:
    cells = {"code": [1, 2, 1], "x": ["1", "unknown", "-999"], "y": [1, 2, 3]}
    columns = Columns.learn(cells, kinds={"code": "category", "y": "ignore"}, missing=["unknown", "-999"])
    assert columns.categories == ["code"] and columns.numbers == ["x"] and columns.ignored == {"y": "set to be ignored"}
    assert columns.encode(cells)[0].ravel().tolist() == [0.0, pytest.approx(np.nan, nan_ok=True)] + [
        pytest.approx(np.nan, nan_ok=True)
    ]


def test_a_kind_that_does_not_exist_or_a_column_that_does_not_is_refused() -> None:
    with pytest.raises(SettingError, match="number, category, date, ignore"):
        Columns.learn({"a": [1]}, kinds={"a": "text"})
    with pytest.raises(DataError, match="Did you mean 'amount'"):
        Columns.learn({"amount": [1]}, kinds={"amont": "number"})


@pytest.mark.parametrize("kind", ["number", "date", "category"])
def test_a_kind_that_the_cells_cannot_have_is_refused_by_column(kind: str) -> None:
    with pytest.raises(DataError, match="'a'"):
        Columns.learn({"a": [[1], [2]]}, kinds={"a": kind})


def test_words_for_missing_are_missing() -> None:
    words = ["NA", "n/a", "null", "None", "?", "-", "n.a.", " ", "NaN", "<NA>", "", None]
    columns = Columns.learn({"x": [*words, "1", "3"]})
    number_NP, _ = columns.encode({"x": [*words, "1", "3"]})
    assert np.isnan(number_NP[:-2]).all() and number_NP[-2:].ravel().tolist() == [-1.0, 1.0]


def test_pandas_polars_arrow_and_text_encode_equally(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.5, None, 3.25], "n": [3, 1, 2], "b": [True, False, True], "c": ["u", None, "v"]})
    (tmp_path / "t.csv").write_text(frame.to_csv(index=False))
    columns = Columns.learn(frame)
    sources = [frame, pl.from_pandas(frame), pa.Table.from_pandas(frame), tmp_path / "t.csv"]
    for source in sources:
        number_NP, category_NQ = columns.encode(source)
        assert np.array_equal(number_NP, columns.encode(frame)[0], equal_nan=True)
        assert category_NQ.tolist() == [[1, 1], [2, 0], [1, 2]]
        assert Columns.learn(source).numbers == ["x", "n"]


def test_numbers_are_standardised_and_constants_are_zero() -> None:
    rng = np.random.default_rng(0)
    number_NP, _ = Columns.learn({"x": rng.normal(5, 3, 500), "c": np.full(500, 7.0)}).encode(
        {"c": np.full(500, 7.0), "x": np.random.default_rng(0).normal(5, 3, 500)}
    )
    assert abs(number_NP[:, 0].mean()) < 1e-6 and abs(number_NP[:, 0].std() - 1) < 1e-6
    assert (number_NP[:, 1] == 0).all()


def test_a_constant_that_changes_later_shows_by_far() -> None:
    columns = Columns.learn({"zero": [0, 0, 0], "seven": [7, 7, 7], "large": [1e12] * 3})
    number_NP, _ = columns.encode({"zero": [1], "seven": [8], "large": [2e12]})
    assert (number_NP > 10).all() and np.isfinite(number_NP).all()


def test_thousandths_around_a_million_millions_are_kept() -> None:
    number_NP, _ = Columns.learn({"x": [1e12 + i / 1000 for i in range(60)]}).encode(
        {"x": [1e12 + i / 1000 for i in range(60)]}
    )
    assert len(np.unique(number_NP)) == 60 and abs(number_NP.std() - 1) < 1e-3


@pytest.mark.parametrize("start", [2**53, 2**63 - 30, 2**64])
def test_whole_numbers_beyond_float64_stay_apart_and_come_back(start: int) -> None:
    texts = [str(start + i) for i in range(60)]
    columns = Columns.learn({"x": [*texts, "NA"]})
    number_NP, category_NQ = columns.encode({"x": [*texts, "NA"]})
    assert np.allclose(np.diff(number_NP[:60, 0]), np.diff(number_NP[:60, 0])[0], rtol=1e-4)
    assert columns.decode(number_NP, category_NQ)["x"].to_pylist() == [*texts, None]


def test_far_away_values_stay_finite_up_to_their_fourth_power() -> None:
    number_NP, _ = Columns.learn({"x": [1.0, 2.0]}).encode({"x": [1e300, -1e39]})
    assert number_NP.ravel().tolist() == [1e9, -1e9] and np.isfinite(number_NP**4).all()


@pytest.mark.parametrize("text", ["inf", "-Infinity", "1e400"])
def test_the_infinite_is_refused_by_column_and_row_in_training_and_later(text: str) -> None:
    with pytest.raises(DataError, match=r"column 'x', row 3: .*infinite"):
        Columns.learn({"x": ["1", "2", text]})
    with pytest.raises(DataError, match=r"column 'x', row 1: .*infinite"):
        Columns.learn({"x": ["1", "2"]}).encode({"x": [text]})


def test_a_word_among_numbers_is_named_even_in_a_later_block() -> None:
    cells = [str(i) for i in range(100_000)]
    columns = Columns.learn({"x": cells})
    cells[90_000] = "unknown"
    for attempt in (columns.encode, Columns.learn):
        with pytest.raises(DataError, match="column 'x', row 90001: 'unknown' .*declare"):
            attempt({"x": cells})


def test_columns_are_found_by_name_and_a_lost_one_is_named() -> None:
    columns = Columns.learn({"a": [1, 2], "b": [3, 5]})
    assert columns.encode({"b": [5], "new": [1], "a": [1]})[0].tolist() == [[-1, 1]]
    assert columns.extra({"b": [5], "new": [1], "a": [1]}) == ["new"]
    with pytest.raises(DataError, match="lacks 'b'.*New here: 'bb'.*Did you mean 'bb'"):
        columns.encode({"a": [1], "bb": [2]})


def test_rare_words_are_pooled_and_unknown_ones_have_code_zero() -> None:
    words = ["a"] * 3000 + ["b"] * 2995 + ["c", "d", "e", "f", "g"]
    columns = Columns.learn({"w": words, "v": ["x", "y"] * 3000})
    assert columns.cardinalities == [4, 3] and columns.category_columns[0].levels == ("a", "b", "other")
    assert columns.encode({"w": ["a", "c", "new", None], "v": ["y", "new", "", "?"]})[1].tolist() == [
        [1, 2], [3, 0], [3, 0], [0, 0],
    ]  # fmt: skip


def test_true_is_one_word_however_it_is_written() -> None:
    columns = Columns.learn({"b": [True, False, True]})
    assert columns.encode({"b": ["true", "FALSE", "True", ""]})[1].ravel().tolist() == [1, 2, 1, 0]


def test_dates_in_two_styles_are_refused_and_a_bad_day_too() -> None:
    with pytest.raises(DataError, match="column 'day', row 2: '01/03/2024'"):
        Columns.learn({"day": ["2024-03-01", "01/03/2024"] * 20})
    with pytest.raises(DataError, match="column 'day', row 2: '2024-02-30'"):
        Columns.learn({"day": ["2024-03-01", "2024-02-30"]})


def test_percent_in_training_and_not_later_is_refused() -> None:
    columns = Columns.learn({"x": ["5%", "7%"]})
    with pytest.raises(DataError, match="row 1: '5' is no number with the sign %"):
        columns.encode({"x": ["5"]})


def test_units_dates_and_words_come_back() -> None:
    cells = {
        "whole": [1, 2, None, 90],
        "cents": ["1.25", "", "-3.50", "1000.75"],
        "money": ["$1.25", "-$3.50", None, "$2.00"],
        "day": [date(2024, 1, 1), date(1969, 5, 4), None, date(2024, 2, 29)],
        "time": ["2024-01-01 10:00", "2024-01-01T12:30:15", "", "2024-01-03 00:00"],
        "city": ["Rome", "Oslo", "", "Rome"],
    }
    assert round_trip(**cells) == {
        "whole": [1, 2, None, 90],
        "cents": [1.25, None, -3.5, 1000.75],
        "money": ["$1.25", "-$3.50", None, "$2.00"],
        "day": cells["day"],
        "time": [datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 12, 30, 15), None, datetime(2024, 1, 3)],
        "city": ["Rome", "Oslo", None, "Rome"],
    }


WHOLE = st.lists(st.none() | st.integers(-9999, 9999), min_size=1, max_size=30)
WORDS = st.sampled_from(["a", "b", "Rome", "=1+1", "'quoted", "x, y", "🎈"])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.none() | st.integers(-9999, 9999), st.none() | WORDS), min_size=1, max_size=30))
def test_what_is_encoded_decodes_to_itself(rows: list[tuple[int | None, str | None]]) -> None:
    cells = {"n": [n for n, _ in rows], "w": [w for _, w in rows], "one": [1] * len(rows)}
    back = round_trip(**cells)
    expected = {"n": cells["n"], "w": cells["w"], "one": cells["one"]}
    assert back == {name: expected[name] for name in back}
    assert all(set(expected[name]) == {None} for name in set(expected) - set(back))


@settings(max_examples=60, deadline=None)
@given(x=st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=2, max_size=30))
def test_any_finite_numbers_encode_finitely_and_come_back_to_float32(x: list[float]) -> None:
    columns = Columns.learn({"x": x})
    number_NP, category_NQ = columns.encode({"x": x})
    assert np.isfinite(number_NP).all()
    back = columns.decode(number_NP, category_NQ)["x"].cast(pa.float64(), safe=False).to_numpy()
    assert np.allclose(back, x, rtol=0, atol=1e-5 * max(np.ptp(x), 1e-300) + 1e-7 + 1e-12 * np.abs(x).max())


def test_the_description_survives_json() -> None:
    columns = Columns.learn({"n": [1, 2, 2**60], "d": [date(2024, 1, 1)] * 3, "w": ["a", "b", None], "i": [None] * 3})
    assert Columns.from_json(json.loads(json.dumps(columns.to_json()))) == columns
    with pytest.raises(DataError, match="spoilt"):
        Columns.from_json({"columns": [{"nme": "a"}]})


@pytest.mark.parametrize(
    "wrong",
    [{"decimals": []}, {"decimals": 99}, {"scale": 0.0}, {"scale": "1"}, {"centre": float("nan")}, {"kind": "colour"},
     {"levels": [1]}, {"levels": 5}, {"origin": 1.5}, {"name": None}, {"size": 1}],
)  # fmt: skip
def test_a_description_that_cannot_be_computed_with_is_refused(wrong: dict[str, Any]) -> None:
    record = Columns.learn({"n": [1, 2, 3]}).to_json()
    record["columns"][0] |= wrong
    with pytest.raises(DataError, match="the description of the columns is spoilt"):
        Columns.from_json(record)


def test_describe_has_a_row_for_every_column() -> None:
    rows = Columns.learn({"n": [1, 2, None], "w": ["a", "b", "a"], "i": [None] * 3}).describe()
    assert [row["name"] for row in rows] == ["n", "w", "i"]
    assert [row["values"] for row in rows] == ["1 to 2", "a, b", ""]
    assert [row["n_missing"] for row in rows] == [1, 0, 3]


def test_arrays_larger_than_allowed_in_memory_are_mapped_and_equal(tmp_path: Path) -> None:
    table = load_sample("digits")
    columns = Columns.learn(table, kinds={"digit": "category"})
    number_NP, category_NQ = columns.encode(table, in_memory=1000, folder=tmp_path)
    assert isinstance(number_NP, np.memmap) and len(list(tmp_path.iterdir())) == 2
    for mapped, plain in zip((number_NP, category_NQ), columns.encode(table), strict=True):
        assert np.array_equal(mapped, plain)


def test_no_rows_and_no_columns_to_learn_from_are_refused_but_none_to_encode_are_not() -> None:
    with pytest.raises(DataError, match="no rows"):
        Columns.learn({"a": []})
    with pytest.raises(DataError, match="no column to learn from"):
        Columns.learn({"a": [None]})
    assert Columns.learn({"a": [1, 2]}).encode({"a": []})[0].shape == (0, 1)


def test_arrays_of_other_shapes_are_not_decoded() -> None:
    with pytest.raises(DataError, match=r"\(N, 1\) and \(N, 0\)"):
        Columns.learn({"a": [1, 2]}).decode(np.zeros((2, 2)), np.zeros((2, 0)))
