"""Tables to files: whole or not at all, and harmless to the spreadsheet that opens them."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from twofold.data.atomic import NO_ROOM
from twofold.data.cells import is_text
from twofold.errors import DataError, DiskFullError

__all__ = ["harmless", "write_table"]

FORMULA = r"^([=+\-@\t\r])"
PLAIN_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?$"
SUFFIXES = (".csv", ".tsv", ".parquet")


def harmless(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would take it for a formula; numbers stay."""
    return str(_harmless(pa.array([text], pa.large_string()))[0].as_py())


def _harmless(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    is_number = pc.match_substring_regex(column, PLAIN_NUMBER)
    is_formula = pc.and_(pc.match_substring_regex(column, FORMULA), pc.invert(is_number))
    return pc.if_else(is_formula, pc.replace_substring_regex(column, FORMULA, r"'\1"), column)


def write_table(table: pa.Table, path: str | Path) -> None:
    """Write .csv, .tsv or .parquet by way of a temporary file, so that a broken write leaves nothing behind.

    Cells and names of text files that start with = + - @ get an apostrophe before them, unless they are numbers.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        allowed = ", ".join(SUFFIXES)
        raise DataError(f"{path.name} ends with {path.suffix!r}; tables are written as {allowed}. Rename it.")
    if not path.parent.is_dir():
        raise DataError(f"the folder {path.parent} does not exist. Make it, or write elsewhere.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(table, part, path.suffix)
        os.replace(part, path)
    except OSError as error:
        if error.errno in NO_ROOM:
            size = f"{table.nbytes / 1e6:.1f} MB"
            remedy = "What was there before is untouched. Free some space or write elsewhere."
            raise DiskFullError(error.errno, f"no room for {path} ({size}). {remedy}") from error
        raise DataError(f"{path} cannot be written ({error}). Write elsewhere.") from error
    finally:
        part.unlink(missing_ok=True)


def _write(table: pa.Table, part: Path, suffix: str) -> None:
    with part.open("wb") as file:
        if suffix == ".parquet":
            pq.write_table(table, file)
        else:
            _write_text(table, file, "\t" if suffix == ".tsv" else ",")
        file.flush()
        os.fsync(file.fileno())


def _write_text(table: pa.Table, file: pa.NativeFile, separator: str) -> None:
    columns = [_as_cells(column, name) for name, column in zip(table.column_names, table.columns, strict=True)]
    names = [harmless(name) for name in table.column_names]
    options = pa.csv.WriteOptions(delimiter=separator, quoting_style="needed")
    pa.csv.write_csv(pa.table(columns, names=names), file, write_options=options)


def _as_cells(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise DataError(f"column {name!r} of type {column.type} does not fit in a text file. Write .parquet instead.")
    return _harmless(column) if is_text(column.type) else column
