"""Tables that hold pictures (Parquet with a column of files) or tell of them (metadata.csv, metadata.jsonl)."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from twofold.data.listing import Entry
from twofold.data.names import shown
from twofold.data.picture_kinds import FETCH, HEAD_BYTES, is_picture
from twofold.data.tables import nearest, read_table
from twofold.errors import DataError

__all__ = ["PictureColumn", "metadata_of", "picture_column", "split_off_label", "without_pictures"]

LABELS = ("label", "labels")
FILE_NAME = "file_name"


# ---- Parquet -------------------------------------------------------------------------------------


def picture_column(path: Path) -> str | None:
    """The first column whose first values are picture files; None where there is none."""
    try:
        with _opened(path) as file:
            schema = file.schema_arrow
            named = [name for name in schema.names if _is_binary(schema.field(name).type)]
            return next((str(name) for name in named if _begins_with_picture(file, name)), None)
    except DataError:
        return None


class PictureColumn:
    """The files in a column of a Parquet table; one row group is in memory at a time."""

    def __init__(self, path: Path, column: str):
        self.path, self.column = path, column
        with _opened(path) as file:
            counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        self.end_G = np.cumsum(counts)
        self.group, self.rows = -1, pa.array([], pa.binary())

    def __getitem__(self, row: int) -> bytes:
        group = int(np.searchsorted(self.end_G, row, "right"))
        if group != self.group:
            self.rows, self.group = self._read(group), group
        data = self.rows[row - int(self.end_G[group])].as_py()  # counted from the group's end
        if isinstance(data, dict):
            data = data.get("bytes")
        if data is None:
            raise DataError("is missing: the cell is empty. Fill it, or take the row away.")
        return bytes(data)

    def _read(self, group: int) -> pa.Array:
        with _opened(self.path) as file:
            rows = file.read_row_group(group, columns=[self.column]).column(0).combine_chunks()
            rows.validate(full=True)
            if len(rows) != file.metadata.row_group(group).num_rows:
                raise ValueError("rows are missing")
        return rows


def without_pictures(path: Path, column: str) -> tuple[int, pa.Table | None]:
    """The number of rows, and all other columns; whole-number labels as the class names that the schema tells."""
    with _opened(path) as file:
        names = [name for name in file.schema_arrow.names if name != column]
        n_rows = file.metadata.num_rows
        if not names:
            return n_rows, None
        # by the reader of all tables, for plain types; the pictures' bytes are not read
        table = read_table(file.read(columns=names), name=path.name)
        for name, classes in _class_names(file.schema_arrow).items():
            if name in table.column_names:
                table = _named(table, name, classes)
    return n_rows, table


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """The file; whatever its reader raises on damage becomes a DataError."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        what = shown(str(error).splitlines()[0][:100]) if str(error) else type(error).__name__
        raise DataError(f"cannot be read: {shown(path.name)} is damaged ({what}). {FETCH}") from error


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _begins_with_picture(file: pq.ParquetFile, name: str) -> bool:
    for batch in file.iter_batches(batch_size=16, columns=[name]):
        cells = [cell.get("bytes") if isinstance(cell, dict) else cell for cell in batch.column(0).to_pylist()]
        return any(is_picture(cell[:HEAD_BYTES]) for cell in cells if cell)
    return False


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Column name to names of its classes: as Hugging Face datasets stores them, or under "classes"."""
    metadata = schema.metadata or {}
    found: dict[str, list[str]] = {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        found = {name: kind["names"] for name, kind in features.items() if isinstance(kind, dict) and "names" in kind}
        classes = metadata.get(b"classes")
        if classes is not None:
            text = classes.decode()
            found[LABELS[0]] = json.loads(text) if text.startswith("[") else text.split(",")
    except (ValueError, AttributeError):
        return found
    return found


def _named(table: pa.Table, name: str, classes: Sequence[str]) -> pa.Table:
    column = table.column(name)
    if not pa.types.is_integer(column.type):
        return table
    named = [classes[i] if i is not None and 0 <= i < len(classes) else None for i in column.to_pylist()]
    return table.set_column(table.column_names.index(name), name, pa.array(named, pa.large_string()))


# ---- metadata beside pictures --------------------------------------------------------------------


def metadata_of(entry: Entry) -> pa.Table | None:
    """The table of metadata.csv, .jsonl or .parquet with paths from the top in file_name; None without that column."""
    folder, _, name = entry.name.rpartition("/")
    try:
        with entry.open() as file:
            data = file.read()
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / name
            path.write_bytes(data)
            table = _read_lines(path) if name.lower().endswith(".jsonl") else read_table(path)
    except DataError as error:
        raise DataError(f"{shown(entry.name)}: {error}") from error
    if FILE_NAME not in table.column_names:
        return None
    paths = [f"{folder}/{path}" if folder else path for path in map(str, table.column(FILE_NAME).to_pylist())]
    return table.set_column(table.column_names.index(FILE_NAME), FILE_NAME, pa.array(paths, pa.large_string()))


def _read_lines(path: Path) -> pa.Table:
    try:
        return read_table(pyarrow.json.read_json(path), name=path.name)
    except pa.ArrowException as error:
        raise DataError(f"it is not one JSON object a line ({str(error).splitlines()[0]}). Write it anew.") from error


def split_off_label(
    table: pa.Table | None, label: str | None, name: str
) -> tuple[pa.Table | None, np.ndarray | None, list[str]]:
    """The table without its label column, the labels as text (N,), and a note on which column was guessed."""
    names = [] if table is None else table.column_names
    if label is not None and label not in names:
        there = f"Its columns: {', '.join(map(repr, names))}." if names else "It has no table beside its pictures."
        raise DataError(f"{name} has no column {label!r} to be the label. {there}{nearest(label, names)}")
    column = label or next((own for own in LABELS if own in names), None)
    if table is None or column is None:
        return table, None, []
    cells = table.column(column).to_pylist()
    labels = np.array([_text(cell) for cell in cells], object)
    notes = [] if label else [f"labels: column {column!r}"]
    n_empty = sum(cell is None for cell in cells)
    notes += [f"{n_empty} pictures have no label"] if n_empty else []
    rest = table.drop_columns([column])
    return (rest if rest.num_columns else None), labels, notes


def _text(cell: Any) -> str:
    return "" if cell is None else str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
