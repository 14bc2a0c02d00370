"""Reading: every dress of one table gives one table; every fault is named."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twofold.data import open_table
from twofold.data.tables import read_table, split_label, table_name, table_notes
from twofold.errors import DataError

PLAIN = "amount,age,city\n1.5,30,Rome\n,41,Oslo\n1234.25,18,Rome\n"
CELLS = {"amount": ["1.5", None, "1234.25"], "age": ["30", "41", "18"], "city": ["Rome", "Oslo", "Rome"]}


def saved(tmp_path: Path, data: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def refusal(tmp_path: Path, data: str | bytes, name: str = "t.csv") -> str:
    with pytest.raises(DataError) as caught:
        read_table(saved(tmp_path, data, name))
    return str(caught.value)


DRESSES = {
    "plain": PLAIN.encode(),
    "bom": PLAIN.encode("utf-8-sig"),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-16 without a mark": PLAIN.encode("utf-16-le"),
    "utf-32": PLAIN.encode("utf-32"),
    "crlf": PLAIN.replace("\n", "\r\n").encode(),
    "cr": PLAIN.replace("\n", "\r").encode(),
    "no last end": PLAIN.rstrip().encode(),
    "blank lines": b"\n\n" + PLAIN.replace("\n", "\n\n").encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "sep line": b"sep=;\n" + PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "bars": PLAIN.replace(",", "|").encode(),
    "decimal commas": b"amount;age;city\n1,5;30;Rome\n;41;Oslo\n1.234,25;18;Rome\n",
    "quoted": b'"amount","age","city"\n"1.5","30","Rome"\n"","41","Oslo"\n"1234.25","18","Rome"\n',
    "remark": b"# exported on Monday, by hand\n" + PLAIN.encode(),
    "trailing comma": PLAIN.replace("\n", ",\n").encode(),
    "row numbers": b",amount,age,city\n0,1.5,30,Rome\n1,,41,Oslo\n2,1234.25,18,Rome\n",
    "gzip": gzip.compress(PLAIN.encode()),
    "padded names": b" amount ,age , city\n1.5,30,Rome\n,41,Oslo\n1234.25,18,Rome\n",
}


@pytest.mark.parametrize("dress", DRESSES)
def test_one_table_in_many_dresses_is_one_table(tmp_path: Path, dress: str) -> None:
    assert read_table(saved(tmp_path, DRESSES[dress])).to_pydict() == CELLS


def test_the_name_of_a_file_may_lie_about_its_kind(tmp_path: Path) -> None:
    pq.write_table(pa.table(CELLS), tmp_path / "lie.csv")
    assert read_table(tmp_path / "lie.csv").to_pydict() == CELLS
    assert read_table(saved(tmp_path, PLAIN, "lie.parquet")).to_pydict() == CELLS


def test_latin_1_is_read_and_said_to_be_guessed(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, "âge,city\n1,Zürich\n2,Köln\n".encode("latin-1")))
    assert table.to_pydict() == {"âge": ["1", "2"], "city": ["Zürich", "Köln"]}
    assert "not UTF-8" in table_notes(table)[0]


def test_a_bad_byte_among_digits_is_refused_by_column_and_row(tmp_path: Path) -> None:
    message = refusal(tmp_path, b"a,b\n1,2\n3,4\xff5\n")
    assert "t.csv, row 2" in message and "'b'" in message and "UTF-8" in message


def test_utf8_with_one_broken_letter_is_not_taken_for_latin_1(tmp_path: Path) -> None:
    assert "row 2" in refusal(tmp_path, "a,b\nZürich,1\n".encode() + b"K\xfcln,2\n")


def test_broken_utf_16_is_refused_near_its_row(tmp_path: Path) -> None:
    data = "a,b\n1,2\n3,4\n".encode("utf-16") + b"\x00\xdc1\x00"  # half a surrogate pair
    assert "utf-16" in refusal(tmp_path, data)
    assert "utf-16" in refusal(tmp_path, "a,b\n1,2\n".encode("utf-16") + b"\x31")  # half a letter


def test_parquet_with_letters_that_are_no_utf8_is_refused(tmp_path: Path) -> None:
    letters = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"a": letters}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="Parquet"):
        read_table(tmp_path / "t.parquet")


def test_two_open_quotes_do_not_swallow_the_rows_between(tmp_path: Path) -> None:
    assert "row 1" in refusal(tmp_path, 'a,b\n"12,2\n3,4\n"5,6\n7,8\n')


def test_an_inch_mark_inside_a_cell_is_a_letter(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, 'pipe,n\n5" long,1\n6 inch,2\n'))
    assert table.to_pydict() == {"pipe": ['5" long', "6 inch"], "n": ["1", "2"]}


def test_line_ends_and_quotes_inside_cells_are_kept(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, 'a,b\n"two\nlines, ""so""",1\nx,2\n'))
    assert table["a"].to_pylist() == ['two\nlines, "so"', "x"]


def test_a_row_in_the_last_block_with_a_cell_too_many_is_named(tmp_path: Path) -> None:
    rows = ["1.25,2.5"] * 800_000
    rows[-5] = "1,2,3"
    assert f"row {len(rows) - 4}:" in refusal(tmp_path, "a,b\n" + "\n".join(rows))


def test_blank_lines_in_a_single_column_are_told(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, "a\n1\n\n3\n"))
    assert table.num_rows == 2 and "blank lines" in table_notes(table)[0]


def test_names_that_are_twice_or_missing_are_told_apart_and_told(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, "a,,a,a.2\n1,2,3,4\n"))
    assert table.column_names == ["a", "column2", "a.3", "a.2"]
    assert "two columns are named 'a'" in table_notes(table)[0]


@pytest.mark.parametrize(
    ("header", "has_header"),
    [("0,1,2", True), ("2019,2020,2021", True), ("3,b,c", True), ("1.5,2,3", False), ("39,Gov,775,13", False)],
)
def test_a_first_line_of_numbers_is_a_row_unless_it_counts(tmp_path: Path, header: str, has_header: bool) -> None:
    n = header.count(",") + 1
    table = read_table(saved(tmp_path, header + "\n" + ",".join(["7"] * n) + "\n"))
    assert (table.column_names == header.split(",")) == has_header
    assert table.num_rows == (1 if has_header else 2)


def test_a_cell_of_thirty_million_letters_is_read(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, "a,b\n1," + "y" * 30_000_000 + "\n2,z\n"))
    assert [len(text) for text in table["b"].to_pylist()] == [30_000_000, 1]


def test_a_file_larger_than_allowed_in_memory_is_mapped_and_equal(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["a;b", *(f"{x:.3f};w{i % 7}".replace(".", ",") for i, x in enumerate(rng.normal(size=200_000)))]
    path = saved(tmp_path, "\n".join(lines))
    folder = tmp_path / "spool"
    folder.mkdir()
    mapped = read_table(path, in_memory=1000, folder=folder)
    assert mapped.equals(read_table(path))
    assert len(list(folder.iterdir())) == 1
    before = pa.total_allocated_bytes()
    again = read_table(path, in_memory=1000)
    assert again.equals(mapped) and pa.total_allocated_bytes() - before < 1_000_000


def test_a_mapped_parquet_file_is_equal(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(1000.0), "b": pa.array(["x", "y"] * 500).dictionary_encode()})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=70)
    assert read_table(tmp_path / "t.parquet", in_memory=10).equals(read_table(tmp_path / "t.parquet"))


def test_row_numbers_that_pandas_saved_are_left_out(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2]}, index=[5, 3]).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.column_names == ["a"] and "row numbers" in table_notes(table)[0]


def test_frames_and_arrays_of_every_maker_are_equal() -> None:
    frame = pd.DataFrame({"x0": [1.0, 2.5], "x1": [3.0, 4.0]})
    makers = [frame, pl.from_pandas(frame), pl.from_pandas(frame).lazy(), pa.Table.from_pandas(frame), frame.to_numpy()]
    makers += [frame.to_numpy().tolist(), {"x0": [1.0, 2.5], "x1": [3.0, 4.0]}]
    for source in makers:
        assert read_table(source).to_pydict() == frame.to_dict("list")


def test_a_pandas_column_of_mixed_kinds_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'z'"):
        read_table(pd.DataFrame({"z": [1, "b"]}))


@pytest.mark.parametrize(
    "source", [[1, 2], None, 3, np.zeros((2, 2, 2)), [[1], [2, 3]], np.eye(2) * 1j, pd.Series([1])]
)
def test_what_is_no_table_is_refused_with_a_remedy(source: object) -> None:
    with pytest.raises(DataError, match=r"\. [A-Z]"):
        read_table(source)


def test_a_cut_gzip_file_says_so(tmp_path: Path) -> None:
    assert "damaged gzip" in refusal(tmp_path, gzip.compress(PLAIN.encode() * 1000)[:-12], "t.csv.gz")


def test_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(DataError, match="Give the"):
            read_table(path)


def test_the_label_is_taken_out_of_the_table(tmp_path: Path) -> None:
    table, labels = split_label(read_table(saved(tmp_path, "a,y\n1,0\n2,1\n")), "y")
    assert table.column_names == ["a"] and labels.tolist() == [0, 1] and table_name(table) == "t.csv"


def test_a_label_that_is_absent_is_answered_with_the_columns_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'amount', 'age', 'city'.*Did you mean 'city'"):
        split_label(read_table(saved(tmp_path, PLAIN)), "City")


def test_samples_have_their_label_and_unknown_ones_are_answered_with_the_list() -> None:
    from twofold.data import default_label
    from twofold.data.samples import SAMPLES

    for name, n_rows in (("digits", 1797), ("breast-cancer", 569), ("wine", 178)):
        table = open_table(f"sample:{name}")
        assert table.num_rows == n_rows and default_label(f"sample:{name}") == SAMPLES[name].label
        assert SAMPLES[name].label == table.column_names[-1]
    with pytest.raises(DataError, match="digits, breast-cancer, wine"):
        open_table("sample:iris")
