"""Any table to Arrow: files, pandas, polars and Arrow frames, 2-D arrays.

Columns of text files stay text here; columns.py decides what they mean. What was guessed on the way is told by
`table_notes`. A table that may not fit in memory goes block by block into an Arrow file that is mapped.
"""

import difflib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twofold.data.atomic import NO_ROOM
from twofold.data.delimited import is_too_long, read_batches
from twofold.data.dialect import find_dialect, unique_names
from twofold.data.files import ARROW, PARQUET, recognise
from twofold.data.writing import write_table
from twofold.errors import DataError, DiskFullError, TwofoldError

__all__ = ["read_table", "split_label", "table_name", "table_notes", "nearest", "write_table"]

IN_MEMORY = 1 << 30  # bytes of text or of unpacked Parquet; a larger table is mapped from disk
METADATA = b"twofold"


def read_table(
    source: Any, *, name: str | None = None, in_memory: int = IN_MEMORY, folder: str | Path | None = None
) -> pa.Table:
    """A table from a path, a frame or an array.

    Parameters
    ----------
    source : path of CSV, TSV, CSV.GZ or Parquet; pandas, polars or Arrow frame; 2-D array of shape (N, P).
    name : what messages call the table; the file's name by default.
    in_memory : bytes up to which a file is read into memory; a larger one is mapped from disk.
    folder : where the mapped file is put and left; by default a temporary place that frees itself.

    Returns
    -------
    pyarrow.Table with different column names. Columns of text files are text, with null for empty cells.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        table, notes = _read_file(path, in_memory, folder)
        return _labelled(table, name or path.name, notes)
    table, notes = _from_memory(source, name or "the table")
    return _labelled(table, name or "the table", notes)


def table_name(table: pa.Table) -> str:
    """What messages call the table."""
    return str(_metadata(table).get("name", "the table"))


def table_notes(table: pa.Table) -> list[str]:
    """What was guessed or set right while reading."""
    return list(_metadata(table).get("notes", []))


def split_label(table: pa.Table, label: str) -> tuple[pa.Table, np.ndarray]:
    """The table without its label column, and the labels: whole numbers, numbers or text, of shape (N,)."""
    if label not in table.column_names:
        raise DataError(
            f"{table_name(table)} has no column {label!r} to be the label. "
            f"Its columns: {_some(table.column_names)}.{nearest(label, table.column_names)}"
        )
    return table.drop_columns([label]), _label_values(table.column(label))


def nearest(word: str, words: Iterable[str]) -> str:
    """' Did you mean ...?' when one of the words is close, else nothing."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _some(names: list[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


def _label_values(column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count == 0:
        for type_ in (pa.int64(), pa.float64()):
            try:
                return column.cast(type_).to_numpy()
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
    text = column.cast(pa.large_string()).fill_null("")
    return np.asarray(pc.utf8_trim_whitespace(text).to_pylist(), dtype=str)


# ---- what a table carries along -----------------------------------------------------------------


def _metadata(table: pa.Table) -> dict[str, Any]:
    return json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))


def _labelled(table: pa.Table, name: str, notes: list[str]) -> pa.Table:
    table, more = _tidy(table)
    if not table.column_names:
        raise DataError(f"{name} has no columns. Give a table with at least one column.")
    notes = list(dict.fromkeys(notes + more))
    return table.replace_schema_metadata({METADATA: json.dumps({"name": name, "notes": notes})})


def _tidy(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Plain types, stripped and different names, no row numbers saved by pandas."""
    notes: list[str] = []
    index = [i for i, name in enumerate(table.column_names) if re.fullmatch(r"__index_level_\d+__", name)]
    for i in reversed(index):
        table = table.remove_column(i)
        notes.append("the row numbers saved by pandas are left out")
    names = [name.strip() or f"column{i + 1}" for i, name in enumerate(table.column_names)]
    return pa.table(list(map(_plain, table.columns)), names=unique_names(names, notes)), notes


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values without dictionaries, views, runs or extension types."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        return _plain(pa.chunked_array([chunk.storage for chunk in column.chunks], type_.storage_type))
    if pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_):
        return _plain(column.cast(type_.value_type))
    if pa.types.is_string(type_) or pa.types.is_string_view(type_):
        return column.cast(pa.large_string())
    return column


# ---- files --------------------------------------------------------------------------------------


def _read_file(path: Path, in_memory: int, folder: str | Path | None) -> tuple[pa.Table, list[str]]:
    kind = recognise(path)
    if kind == PARQUET:
        return _read_parquet(path, in_memory, folder), []
    if kind == ARROW:
        return _guarded(path, lambda: pa.ipc.open_file(pa.memory_map(str(path))).read_all()), []
    dialect = find_dialect(path, kind)
    is_large = dialect.survey.n_bytes > in_memory
    for batches in read_batches(path, kind, dialect):
        try:
            columns = [name for name in dialect.names if name not in dialect.dropped]
            empty = pa.schema([(name, pa.large_string()) for name in columns])
            table = _spool(batches, empty, folder) if is_large else pa.Table.from_batches(list(batches), empty)
            return table, dialect.notes
        except pa.ArrowInvalid as error:
            if not is_too_long(error):
                raise
    raise DataError(f"{path.name} has a row longer than 2 GB. Split it into rows.")


def _read_parquet(path: Path, in_memory: int, folder: str | Path | None) -> pa.Table:
    def read() -> pa.Table:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            n_bytes = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
            if n_bytes <= in_memory or not file.metadata.num_rows:
                return file.read()
            batches = (pa.RecordBatch.from_struct_array(_plain_batch(batch)) for batch in file.iter_batches())
            first = next(batches)
            return _spool(_chain(first, batches), first.schema, folder)

    return _guarded(path, read)


def _plain_batch(batch: pa.RecordBatch) -> pa.StructArray:
    table, _ = _tidy(pa.Table.from_batches([batch]))
    return table.combine_chunks().to_batches()[0].to_struct_array()


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _guarded(path: Path, read: Callable[[], pa.Table]) -> pa.Table:
    try:
        table = read()
        table.validate(full=True)  # letters that are not UTF-8, offsets that lead outside
        return table
    except TwofoldError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        what = str(error).splitlines()[0][:120]
        remedy = "It is cut short or damaged: fetch or write it again."
        raise DataError(f"{path.name} cannot be read as Parquet ({what}). {remedy}") from error


def _spool(batches: Iterator[pa.RecordBatch], schema: pa.Schema, folder: str | Path | None) -> pa.Table:
    """Write the batches to an Arrow file and map it; without a folder the file vanishes with the table."""
    handle, name = tempfile.mkstemp(suffix=".arrow", prefix="twofold-", dir=folder)
    os.close(handle)
    try:
        with pa.ipc.new_file(name, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        table = pa.ipc.open_file(pa.memory_map(name)).read_all()
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            remedy = "Free some space, or give another folder."
            raise DiskFullError(error.errno, f"no room to unpack the table in {Path(name).parent}. {remedy}") from error
        raise
    if folder is None and os.name == "posix":
        os.unlink(name)  # the mapping keeps the bytes until it is dropped
    return table


# ---- memory -------------------------------------------------------------------------------------


def _from_memory(source: Any, name: str) -> tuple[pa.Table, list[str]]:
    if isinstance(source, pa.Table):
        return source, table_notes(source)
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source]), []
    if isinstance(source, Mapping):
        return pa.table(dict(source)), []
    module = type(source).__module__.split(".")[0]
    if module == "pandas" and hasattr(source, "columns"):
        return _from_pandas(source, name), []
    if nw.dependencies.is_into_dataframe(source) or module == "polars":
        frame = nw.from_native(source)
        return (frame.collect() if isinstance(frame, nw.LazyFrame) else frame).to_arrow(), []
    if hasattr(source, "__arrow_c_stream__") and not hasattr(source, "to_numpy"):
        return pa.table(source), []
    return _from_array(source, name), []


def _from_pandas(frame: Any, name: str) -> pa.Table:
    """By position, since pandas allows names that are twice, or no text."""
    columns = []
    for i, label in enumerate(frame.columns):
        try:
            columns.append(pa.chunked_array([pa.array(frame.iloc[:, i], from_pandas=True)]))
        except (pa.ArrowException, OverflowError) as error:
            remedy = "Make it one kind, for instance with .astype(str)."
            raise DataError(f"{name}, column {str(label)!r} mixes kinds of values ({error}). {remedy}") from error
    return pa.table(columns, names=[str(label) for label in frame.columns])


def _from_array(source: Any, name: str) -> pa.Table:
    if hasattr(source, "toarray"):
        raise DataError(f"{name} is a sparse matrix; a dense one is needed. Pass its .toarray().")
    try:
        array = np.asarray(source)
    except ValueError as error:
        raise DataError(f"{name} is not an array with rows of one length ({error}). Mend its rows.") from error
    if array.ndim != 2:
        what = f"an array of shape {array.shape}" if array.ndim else f"a {type(source).__name__}"
        remedy = "Reshape your data to one row a sample, one column a feature." if array.ndim else "Give one of these."
        raise DataError(f"{name} is {what}; a path, a frame or a 2-D array is needed. {remedy}")
    if array.dtype.kind == "c":
        remedy = "Pass real and imaginary parts as columns."
        raise DataError(f"{name} holds complex numbers; real ones are needed. {remedy}")
    return pa.table([_array_column(array[:, i], i, name) for i in range(array.shape[1])], names=_x_names(array))


def _x_names(array: np.ndarray) -> list[str]:
    return [f"x{i}" for i in range(array.shape[1])]


def _array_column(values: np.ndarray, i: int, name: str) -> pa.Array:
    try:
        return pa.array(np.ascontiguousarray(values) if values.dtype.kind != "U" else values.astype(object))
    except pa.ArrowException as error:
        raise DataError(f"{name}, column 'x{i}' mixes kinds of values ({error}). Make it one kind.") from error
