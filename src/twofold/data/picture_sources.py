"""From what a user gives to items that can be decoded one by one, with their labels and metadata.

Dimension key: N items, H height, W width, C channels.
"""

import gzip
import io
import math
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from twofold.data.decoding import decode, open_regular, pixels_of
from twofold.data.layouts import choose_split, places, split_word
from twofold.data.listing import Entry, archive_in, is_metadata, list_archive, list_folder, names_in
from twofold.data.names import shown, unique
from twofold.data.picture_kinds import FETCH, HEAD_BYTES, claims_to_be, is_picture
from twofold.data.picture_set import Bad
from twofold.data.picture_tables import PictureColumn, metadata_of, picture_column, split_off_label, without_pictures
from twofold.errors import DataError

__all__ = ["Collection", "Item", "gather", "is_source"]

Read = Callable[[int | None], tuple[np.ndarray, str | None]]
N_LOOKED_AT = 1000  # files of a folder that tell what it holds
GZIP_RATIO = 1032  # gzip packs no better
OTHERS = {".txt", ".md", ".rst", ".tex", ".py", ".wav", ".flac", ".mp3", ".ogg", ".m4a"}


class Item(NamedTuple):
    """One picture before it is decoded."""

    id: str
    stamp: tuple[int, ...]
    """Size and times of its file."""
    read: Read
    """From the short side that is wanted, or None, to pixels and a remark; DataError without the name."""


@dataclass
class Collection:
    """What is to be decoded."""

    name: str
    items: list[Item]
    labels: np.ndarray | None = None
    table: pa.Table | None = None
    bad: list[Bad] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stamp: tuple[int, ...] | None = ()
    """Of the file that holds them all; None when they come from memory, and can be kept under no name."""


def gather(source: Any, split: str | None, label: str | None) -> Collection:
    """What `source` holds, ready to be decoded; the arguments are those of `open_pictures`."""
    if isinstance(source, str | os.PathLike):
        return _from_path(Path(os.fspath(source)).expanduser(), split, label)
    one = isinstance(source, Image.Image) or (isinstance(source, np.ndarray) and _is_one(source))
    parts = [source] if one else list(source)
    items = [_item(part, str(i)) for i, part in enumerate(parts)]
    ids = unique(item.id for item in items)
    items = [item._replace(id=own) for item, own in zip(items, ids, strict=True)]
    return Collection("the pictures", items, stamp=None)


def is_source(source: Any) -> bool:
    """Whether pictures are given, rather than a table or a text; told by names and first bytes."""
    if isinstance(source, str | os.PathLike):
        return _path_holds(Path(os.fspath(source)).expanduser())
    if isinstance(source, np.ndarray):
        return (
            source.ndim in (3, 4) and source.dtype.kind in "bui" or source.ndim in (3, 4) and source.dtype.kind == "f"
        )
    if isinstance(source, list | tuple) and len(source):
        first = source[0]
        is_path = isinstance(first, str | os.PathLike)
        return _path_holds(Path(os.fspath(first))) if is_path else isinstance(first, bytes) or _is_picture(first)
    return isinstance(source, Image.Image)


def _is_picture(given: Any) -> bool:
    return isinstance(given, Image.Image) or (isinstance(given, np.ndarray) and given.ndim in (2, 3))


def _path_holds(path: Path) -> bool:
    found = None if path.is_dir() else archive_in(path)
    if path.is_dir() or found is not None:
        names = list(islice(names_in(path) if found is None else names_in(*found), N_LOOKED_AT))
        n_pictures = sum(map(claims_to_be, names))
        others = Counter(own for name in names if (own := os.path.splitext(name)[1].lower()) in OTHERS)
        return n_pictures >= max(others.values(), default=1)
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except DataError:
        return False
    return is_picture(head) or _is_idx(path, head) or (head[:4] == b"PAR1" and picture_column(path) is not None)


# ---- paths ---------------------------------------------------------------------------------------


def _from_path(path: Path, split: str | None, label: str | None) -> Collection:
    name = shown(str(path))
    if path.is_dir():
        return _from_tree(list_folder(path), name, split, label)
    found = archive_in(path)
    if found is not None:
        archive, inner = found
        entries = _within(list(list_archive(archive)), inner, name)
        return _stamped(_from_tree(entries, name, split, label), archive)
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except DataError as error:
        raise DataError(f"{name} {error}") from error
    if head[:4] == b"PAR1":
        return _stamped(_from_parquet(path, split, label), path)
    if _is_idx(path, head):
        return _from_idx(path, split)
    return Collection(name, [Item(name, (), _reader(lambda: open_regular(path)))], stamp=None)


def _stamped(found: Collection, path: Path) -> Collection:
    state = path.stat()
    found.stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return found


def _reader(open_: Callable[[], Any]) -> Read:
    def read(short_side: int | None) -> tuple[np.ndarray, str | None]:
        with open_() as file:
            return decode(file, short_side)

    return read


def _within(entries: list[Entry], inner: str, name: str) -> list[Entry]:
    """Those of an archive's entries that lie in a folder of it; the one folder at its top need not be named."""
    if not inner:
        return entries
    tops = {entry.name.split("/")[0] for entry in entries}
    starts = [f"{inner}/"] + ([f"{tops.pop()}/{inner}/"] if len(tops) == 1 else [])
    found = [entry for start in starts for entry in entries if entry.name.startswith(start) or entry.name == start[:-1]]
    if not found:
        raise DataError(f"{name}: the archive has no folder of pictures {shown(inner)!r}. Give one that it has.")
    return found


def _from_tree(entries: Iterable[Entry], name: str, split: str | None, label: str | None) -> Collection:
    entries = list(entries)
    pictures = [entry for entry in entries if not is_metadata(entry.name)]
    where = places([entry.name for entry in pictures])
    try:
        table, splits, bad = _metadata(entries, [entry.name for entry in pictures])
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    if any(place.split for place in where):
        splits = [place.split for place in where]
    rows, notes = choose_split(splits, split, name)
    n_masks = sum(where[row].is_mask for row in rows) or sum(place.is_mask for place in where)
    notes += [f"{n_masks} masks in ground_truth are left out: they are no pictures to learn from"] if n_masks else []
    rows = [row for row in rows if not where[row].is_mask]
    table = None if table is None else table.take(np.array(rows, np.int64))
    table, labels, more = split_off_label(table, label, name)
    if labels is None:
        labels, more = _folder_labels([where[row].label for row in rows])
    items = [
        Item(own, pictures[row].stamp, _reader(pictures[row].open))
        for row, own in zip(rows, unique(shown(pictures[row].name) for row in rows), strict=True)
    ]
    return Collection(name, items, labels, table, bad, notes + more)


def _folder_labels(labels: Sequence[str | None]) -> tuple[np.ndarray | None, list[str]]:
    if not labels or any(label is None for label in labels):
        return None, []
    counts = Counter(map(shown, map(str, labels)))
    return np.array([shown(str(label)) for label in labels], object), [
        f"labels: the folder's name, {len(counts)} of them"
    ]


def _metadata(entries: list[Entry], names: list[str]) -> tuple[pa.Table | None, list[str | None], list[Bad]]:
    """What metadata files tell of each name, its split, and which of their rows lead nowhere."""
    parts = [table for entry in entries if is_metadata(entry.name) and (table := metadata_of(entry)) is not None]
    nothing: list[str | None] = [None] * len(names)
    if not parts:
        return None, nothing, []
    table = pa.concat_tables(parts, promote_options="permissive")
    paths = table.column("file_name").to_pylist()
    row_of = {path: row for row, path in enumerate(paths)}
    lost = sorted(set(paths) - set(names))
    bad = [Bad(shown(path), "is named in the metadata but is not there. Add it, or take its row out.") for path in lost]
    rows = pa.array([row_of.get(name) for name in names], pa.int64())
    table = table.drop_columns(["file_name"]).take(rows)
    return (table if table.num_columns else None), _split_column(table) or nothing, bad


def _split_column(table: pa.Table | None) -> list[str | None] | None:
    """The column "split", when its values are words for splits."""
    if table is None or "split" not in table.column_names:
        return None
    values = [None if value is None else str(value) for value in table.column("split").to_pylist()]
    return values if all(value is None or split_word(value) for value in set(values)) else None


def _from_parquet(path: Path, split: str | None, label: str | None) -> Collection:
    name, column = shown(str(path)), picture_column(path)
    if column is None:
        raise DataError(f"{name} has no column of pictures (PNG, JPEG, ... as bytes). Give one that has.")
    n_rows, table = without_pictures(path, column)
    rows, notes = choose_split(_split_column(table) or [None] * n_rows, split, name)
    table = None if table is None else table.take(np.array(rows, np.int64))
    table, labels, more = split_off_label(table, label, name)
    files = PictureColumn(path, column)
    items = [Item(str(row), (), _reader(lambda row=row: io.BytesIO(files[row]))) for row in rows]  # type: ignore[misc]
    return Collection(name, items, labels, table, notes=[f"pictures: column {column!r}", *notes, *more])


# ---- idx files -----------------------------------------------------------------------------------


def _is_idx(path: Path, head: bytes) -> bool:
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as file:
                head = file.read(16)
        except (OSError, EOFError, zlib.error):
            return False
    return head[:3] == b"\0\0\x08" and head[3:4] in (b"\3", b"\4")


def _from_idx(path: Path, split: str | None) -> Collection:
    name = shown(str(path))
    if split not in (None, "all"):
        raise DataError(f"{name} is an idx file, which is one split; {split!r} was asked for. Give the other file.")
    array = _read_idx(path)
    items = [Item(str(i), (), lambda _, i=i: (pixels_of(array[i]), None)) for i in range(len(array))]  # type: ignore[misc]
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"))
    if beside == path or not beside.is_file():
        return Collection(name, items, stamp=None)
    labels = _read_idx(beside)
    if labels.shape != (len(array),):
        raise DataError(f"{name} holds {len(array)} pictures; {beside.name} holds labels {labels.shape}. {FETCH}")
    notes = [f"labels: {shown(beside.name)}"]
    return Collection(name, items, np.array([str(i) for i in labels], object), notes=notes, stamp=None)


def _read_idx(path: Path) -> np.ndarray:
    """An idx file of bytes: two zeros, 8, the number of sizes, the sizes (big-endian), the bytes."""
    try:
        with open_regular(path) as plain:
            is_packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            file = gzip.open(plain) if is_packed else plain
            zeros, kind, n_sizes = struct.unpack(">HBB", file.read(4))
            sizes = struct.unpack(f">{n_sizes}I", file.read(4 * n_sizes))
            # no more than the file can hold is asked for, whatever its header claims
            data = file.read(min(math.prod(sizes), path.stat().st_size * GZIP_RATIO))
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{shown(path.name)} is a damaged idx file ({error}). {FETCH}") from error
    if zeros or kind != 8 or not data or len(data) != math.prod(sizes):
        raise DataError(f"{shown(path.name)} is cut short, or no idx file of bytes: sizes {sizes}, {len(data)} bytes.")
    return np.frombuffer(data, np.uint8).reshape(sizes)


# ---- memory --------------------------------------------------------------------------------------


def _is_one(array: np.ndarray) -> bool:
    """(H, W), or (H, W, C): a picture three or four pixels wide is given as (1, H, W, C)."""
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))


def _item(part: Any, number: str) -> Item:
    if isinstance(part, str | os.PathLike):
        path = Path(os.fspath(part)).expanduser()
        return Item(shown(os.fspath(part)), (), _reader(lambda: open_regular(path)))
    if isinstance(part, bytes):
        return Item(number, (), _reader(lambda: io.BytesIO(part)))
    return Item(number, (), lambda short_side: (pixels_of(part, short_side), None))
