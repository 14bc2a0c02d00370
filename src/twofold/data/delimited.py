"""Text files to Arrow: every column is read as text, so that columns.py decides what it means.

Arrow's reader is fast but its errors name no row; when it fails, or the survey saw something odd, the file is
read again slowly to find the row to blame.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from twofold.data.dialect import Dialect
from twofold.data.files import GZIP, open_bytes
from twofold.errors import DataError

__all__ = ["is_too_long", "read_batches"]

FIRST_BLOCK = 1 << 22  # bytes; grown when one row is longer
LAST_BLOCK = (1 << 31) - 1
DECIMAL_COMMA = r"^\s*[+-]?[$€£¥₹]?\s*(\d{1,3}(\.\d{3})+|\d*)(,\d+)?([eE][+-]?\d+)?\s*[$€£¥₹%]?\s*$"


def read_batches(path: Path, kind: str, dialect: Dialect) -> Iterator[Iterator[pa.RecordBatch]]:
    """One iterator of batches for each attempt: a failed attempt (a row longer than a block) is to be thrown away."""
    _refuse_odd_bytes(path, kind, dialect)
    size = FIRST_BLOCK
    while size < LAST_BLOCK:
        yield _batches(path, kind, dialect, size)
        size = min(size * 16, LAST_BLOCK)
    yield _batches(path, kind, dialect, LAST_BLOCK)


def is_too_long(error: pa.ArrowInvalid) -> bool:
    """Whether a larger block would help."""
    return "block size" in str(error) or "straddling" in str(error)


def _batches(path: Path, kind: str, dialect: Dialect, block_size: int) -> Iterator[pa.RecordBatch]:
    n_bytes = dialect.survey.n_bytes
    try:
        for batch in _open(path, kind, dialect, block_size):
            batch = batch.drop_columns(dialect.dropped) if dialect.dropped else batch
            yield _with_points(batch) if dialect.decimal_comma else batch
    except pa.ArrowInvalid as error:
        if "file is too short" in str(error) and block_size > 4 * n_bytes or "Empty CSV" in str(error):
            return  # a header and nothing below it
        if is_too_long(error) and block_size < min(n_bytes * 4, LAST_BLOCK):
            raise
        raise blame(path, kind, dialect, str(error)) from error
    except UnicodeDecodeError as error:
        raise blame(path, kind, dialect, str(error)) from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be unpacked or read ({error}). Fetch or write it again.") from error


def _open(path: Path, kind: str, dialect: Dialect, block_size: int) -> pa.csv.CSVStreamingReader:
    read = pa.csv.ReadOptions(
        column_names=dialect.names,
        skip_rows=dialect.skip_lines,
        block_size=block_size,
        encoding="utf-8" if dialect.encoding == "utf-8-sig" else dialect.encoding,
    )
    parse = pa.csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True)
    text = dict.fromkeys(dialect.names, pa.large_string())
    convert = pa.csv.ConvertOptions(column_types=text, null_values=[""], strings_can_be_null=True)
    stream = pa.input_stream(str(path), compression="gzip" if kind == GZIP else None)
    return pa.csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert)


def _with_points(batch: pa.RecordBatch) -> pa.RecordBatch:
    """1.234,50 becomes 1234.50 in every cell that is such a number."""
    columns = []
    for column in batch.columns:
        is_number = pc.match_substring_regex(column, DECIMAL_COMMA)
        point = pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".")
        columns.append(pc.if_else(is_number, point, column))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


# ---- who is to blame ----------------------------------------------------------------------------


def _refuse_odd_bytes(path: Path, kind: str, dialect: Dialect) -> None:
    survey = dialect.survey
    is_wide = dialect.encoding.startswith(("utf-16", "utf-32"))
    if not is_wide and (survey.has_nul or (dialect.encoding.startswith("utf-8") and not survey.is_utf8)):
        raise blame(path, kind, dialect, "bytes that are not text")
    if not is_wide and (survey.n_quotes % 2 or survey.n_opened != survey.n_closed):
        fault = _first_fault(path, kind, dialect)
        if fault is not None:
            raise fault


def blame(path: Path, kind: str, dialect: Dialect, reason: str) -> DataError:
    """The error that names the first bad row, or at least repeats the reason."""
    fault = _first_fault(path, kind, dialect)
    return fault or DataError(f"{path.name} cannot be read as a table: {reason}. Save it again as UTF-8 CSV.")


def _first_fault(path: Path, kind: str, dialect: Dialect) -> DataError | None:
    n_rows = 0  # complete rows below the header
    with open_bytes(path, kind) as binary, _unlimited_cells():
        text = io.TextIOWrapper(binary, encoding=dialect.encoding, errors="surrogateescape", newline="")
        try:
            for _ in range(dialect.skip_lines):
                text.readline()
            for row in csv.reader(text, delimiter=dialect.separator, strict=True):
                n_rows += bool(row)
                fault = _fault_of(row, dialect)
                if fault:
                    return DataError(f"{path.name}, row {n_rows}: {fault}")
        except csv.Error as error:
            return _quote_fault(path, n_rows + 1, error)
        except UnicodeError as error:
            what = f"bytes that are not {dialect.encoding} ({error})"
            return DataError(f"{path.name}, near row {n_rows + 1}: {what}. Save the file as UTF-8.")
    return None


def _quote_fault(path: Path, row: int, error: Exception) -> DataError:
    return DataError(
        f'{path.name}, row {row}: a quote (") opens here and does not close as it should ({error}). '
        'Close it, or double it ("") where it is part of the text.'
    )


def _fault_of(row: list[str], dialect: Dialect) -> str:
    """What is wrong with the row, or nothing."""
    n_columns = len(dialect.names)
    for name, cell in zip(dialect.names, row, strict=False):
        if "\0" in cell:
            return f"column {name!r} holds a zero byte, which no text has. Mend the cell {cell[:40]!r}."
        if any("\udc80" <= letter <= "\udcff" for letter in cell):
            shown = cell[:40].encode("utf-8", "surrogateescape")
            return f"column {name!r} holds bytes that are not UTF-8: {shown!r}. Save the file as UTF-8."
    if row and len(row) != n_columns:
        many = "more" if len(row) > n_columns else "fewer"
        return f"{len(row)} cells, {many} than the {n_columns} of the header. Mend the row, or quote its separators."
    return ""


@contextmanager
def _unlimited_cells() -> Iterator[None]:
    limit = csv.field_size_limit(1 << 30)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
