"""Data sets of the Hugging Face hub: streamed once into a Parquet file, which every reader here takes."""

import hashlib
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twofold.data.atomic import NO_ROOM
from twofold.data.cache import cache_folder
from twofold.errors import DataError, DiskFullError, SettingError

__all__ = ["fetched", "is_of_hub", "text_column"]

SIGN = "hf:"
SETTINGS = ("config", "split", "rows", "column", "revision")
MOST_BYTES = 4 << 30  # unpacked; a larger data set must be asked for in part
ROWS_AT_ONCE = 500
HOW = "Write hf:OWNER/NAME, or hf:OWNER/NAME?split=test&rows=10000; settings: " + ", ".join(SETTINGS) + "."


def is_of_hub(source: Any) -> bool:
    """Whether the source is named as a data set of the hub."""
    return isinstance(source, str) and source.startswith(SIGN)


def fetched(source: Any) -> Any:
    """The source as it is; in place of `hf:OWNER/NAME?split=train&rows=1000`, the path of a Parquet copy.

    The copy is made once and kept in the cache; `revision=` names another state of the data set.

    Raises
    ------
    DataError
        When the data set cannot be had, or is larger than 4 GB and no `rows` were named.
    """
    if not is_of_hub(source):
        return source
    name, how = _parsed(source)
    # what column is meant is the reader's business: the copy holds all
    stamp = repr((name, sorted((key, value) for key, value in how.items() if key != "column")))
    folder = cache_folder("hub") / hashlib.sha256(stamp.encode()).hexdigest()[:16]
    copy = folder / f"{name.strip('/').replace('/', '--')[-100:]}.parquet"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _copy(name, how, copy)
    return str(copy)


def text_column(source: str) -> pa.ChunkedArray:
    """The texts of a data set of the hub: of the column that was named, else of the first that holds text."""
    table = pq.read_table(fetched(source), memory_map=True)
    _, how = _parsed(source)
    texts = [f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    column = how.get("column", texts[0] if texts else "")
    if column not in texts:
        raise DataError(
            f"{source} has no column {column!r} of text. Columns of text: {', '.join(texts) or 'none'}; all: "
            f"{', '.join(table.column_names)}. Add ?column=NAME."
        )
    return table[column]


def _parsed(source: str) -> tuple[str, dict[str, str]]:
    """The data set's name, and the settings behind its question mark."""
    name, _, query = source.removeprefix(SIGN).partition("?")
    how = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [key for key in how if key not in SETTINGS]
    rows = how.get("rows", "1")
    if not name or unknown or not rows.isdecimal() or int(rows) < 1:
        why = f": {unknown[0]!r} is no setting" if unknown else ""
        raise SettingError(f"{source} cannot be understood{why}. {HOW}")
    return name, how


def _copy(name: str, how: dict[str, str], path: Path) -> None:
    """Stream the rows into the Parquet file; a copy that fails leaves nothing behind."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        batches = _batches(name, how)
        first = next(batches, None)
        if first is None:
            raise DataError(f"hf:{name} has no rows in this split. {HOW}")
        with pq.ParquetWriter(part, first.schema, compression="zstd") as writer:
            n_bytes = 0
            for batch in chain([first], batches):
                writer.write_table(batch.cast(first.schema))
                n_bytes += batch.nbytes
                if n_bytes > MOST_BYTES:
                    raise DataError(f"hf:{name} is larger than {MOST_BYTES >> 30} GB. Say how many rows: ?rows=100000")
        os.replace(part, path)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFullError(error.errno, f"no room for a copy of hf:{name} in {path.parent}.") from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _batches(name: str, how: dict[str, str]) -> Iterator[pa.Table]:
    """Tables of some rows each: pictures and sounds as the bytes of their files, labels as their names."""
    try:
        import datasets
        from datasets.table import embed_table_storage
    except ImportError as error:
        raise DataError(
            f"{SIGN}{name} needs the package datasets, which is not installed. Run: pip install 'twofold[hf]'"
        ) from error
    try:
        rows = datasets.load_dataset(
            name, how.get("config"), split=how.get("split", "train"), revision=how.get("revision"), streaming=True
        ).decode(False)
        rows = rows.take(int(how["rows"])) if "rows" in how else rows
        features = rows.features or rows._resolve_features().features
        for batch in rows.with_format("arrow").iter(ROWS_AT_ONCE):
            table = embed_table_storage(batch.cast(features.arrow_schema))
            yield _named(table, features).replace_schema_metadata(None)
    # a data set that comes with a program is refused by a RuntimeError
    except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        what = str(error).strip().partition("\n")[0][:300]
        raise DataError(f"hf:{name} cannot be had ({type(error).__name__}: {what}). {HOW}") from error


def _named(table: pa.Table, features: Any) -> pa.Table:
    """The table with class numbers turned into the classes' names."""
    for place, (column, feature) in enumerate(features.items()):
        names = getattr(feature, "names", None)
        if names and pa.types.is_integer(table[column].type):
            number = pc.if_else(pc.less(table[column], 0), None, table[column])
            table = table.set_column(place, column, pa.chunked_array([pa.array(names).take(number.combine_chunks())]))
    return table
