"""Tables written back: whole, harmless, and known again."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from twofold.data.columns import Columns
from twofold.data.fingerprints import fingerprint, row_hashes
from twofold.data.tables import read_table
from twofold.data.writing import harmless, write_table
from twofold.errors import DataError, DiskFullError

ATTACKS = ["=1+1", "+1+1", "@SUM(A1)", "-2+3", "\t=1", "\r=1"]


@pytest.mark.parametrize("text", ATTACKS)
def test_formulas_are_made_harmless(text: str) -> None:
    assert harmless(text) == "'" + text


@pytest.mark.parametrize("text", ["-5", "+1.5e3", "-5%", "a=b", "", "<script>"])
def test_numbers_and_plain_texts_are_left_alone(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_written_table_reads_back_to_the_same_arrays(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"=n": [-1.5, None, 3.0], "w": ["=1+1", 'a "b", c', None], "b": [True, False, True]})
    write_table(table, tmp_path / f"t{suffix}")
    columns = Columns.learn(table)
    back = columns.encode(read_table(tmp_path / f"t{suffix}"))
    for found, expected in zip(back, columns.encode(table), strict=True):
        assert np.array_equal(found, expected, equal_nan=found.dtype == np.float32)
    assert [path.name for path in tmp_path.iterdir()] == [f"t{suffix}"]


def test_no_cell_or_name_of_a_text_file_begins_as_a_formula(tmp_path: Path) -> None:
    write_table(pa.table({"=name": ATTACKS[:4], "n": [-1, 2, 3, 4]}), tmp_path / "t.csv")
    cells = (tmp_path / "t.csv").read_text().replace("\n", ",").split(",")
    assert [cell for cell in cells if cell.strip('"')[:1] in "=+@" and cell] == []


def test_what_does_not_fit_a_text_file_leaves_the_old_one_whole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(DataError, match="'z'.*parquet"):
        write_table(pa.table({"z": [[1]]}), tmp_path / "t.csv")
    with pytest.raises(DataError, match="xls"):
        write_table(pa.table({"z": [1]}), tmp_path / "t.xls")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file size are set by resource")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path, suffix: str) -> None:
    import resource

    table = pa.table({"a": np.random.default_rng(0).normal(size=20_000)})
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    try:
        with pytest.raises(DiskFullError, match="no room"):
            write_table(table, tmp_path / f"t{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []


SAMPLE = {"n": [1.5, None, 3.0, 1.5], "w": ["a", "", None, "a"], "b": [True, None, False, True]}


def test_a_fingerprint_knows_values_names_and_types_but_not_chunks() -> None:
    table = pa.table(SAMPLE)
    assert fingerprint(pa.concat_tables([table[:1], table[1:]])) == fingerprint(table)
    others = [table[:3], table.rename_columns(["n", "v", "b"]), table.set_column(0, "n", [[1.5, None, 3.5, 1.5]])]
    others += [table.set_column(1, "w", [["a", None, None, "a"]])]
    assert len({fingerprint(other) for other in [table, *others]}) == 5


def test_a_fingerprint_does_not_see_what_lies_under_a_null() -> None:
    gone = np.array([False, True])
    one, other = (pa.table({"n": pa.array(np.array([1.0, under]), mask=gone)}) for under in (2.0, 3.0))
    assert fingerprint(one) == fingerprint(other)


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = "import pyarrow as pa\nfrom twofold.data.fingerprints import fingerprint\n"
    code += f"print(fingerprint(pa.table({SAMPLE})))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == fingerprint(pa.table(SAMPLE))


def test_rows_seen_before_are_known_again() -> None:
    table = pa.table(SAMPLE)
    hashes = row_hashes(table)
    assert hashes.dtype == np.uint64 and hashes[0] == hashes[3] and len(set(hashes.tolist())) == 3
    assert row_hashes(table.slice(2, 1)).tolist() == [hashes[2]]
    arrays = Columns.learn(table).encode(table)
    assert row_hashes(arrays)[0] == row_hashes(arrays)[3] and len(set(row_hashes(arrays).tolist())) == 3


def test_ten_thousand_different_rows_have_ten_thousand_hashes() -> None:
    i = np.arange(10_000)
    table = pa.table({"a": i % 100, "b": [f"w{k}" for k in i // 100]})
    assert len(np.unique(row_hashes(table))) == 10_000
