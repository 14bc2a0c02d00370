"""Pictures and what is said of them: any number of captions a picture.

metadata.csv, .jsonl or .parquet beside the pictures   columns of words, or lists of them; several rows a picture
a Parquet table with a column of pictures              likewise
CSV, TSV, JSONL or Parquet with a column of paths      one row a caption; as open_clip takes it (filepath, title)
cats/1.jpg cats/1.txt                                  a text of the same name: a caption a line; also in an archive
cats/1.jpg dogs/2.jpg                                  nothing else: the folder's name is the caption
Dimension key: N pictures, U different captions.
"""

import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from twofold.data.decoding import open_regular
from twofold.data.hub import fetched
from twofold.data.layouts import choose_split, split_word
from twofold.data.listing import archive_in, is_metadata, list_archive, list_folder
from twofold.data.names import original, shown
from twofold.data.picture_tables import metadata_of, picture_column
from twofold.data.pictures import Pictures, holds_pictures, open_pictures
from twofold.data.tables import nearest, read_table
from twofold.errors import DataError

__all__ = ["Pairs", "holds_pairs", "open_pairs"]

TEXTS = (
    "caption",
    "captions",
    "text",
    "texts",
    "title",
    "name",
    "description",
    "sentence",
    "sentences",
    "alt",
    "prompt",
)
PATHS = ("filepath", "file_name", "image", "image_path", "path", "file", "filename", "img")
FILE_NAME, LABEL, SPLIT = "file_name", "label", "split"
LISTS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl")
LONGEST = 2000  # letters of a caption that are read
MOST_BYTES = 1 << 20  # of a text beside a picture
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


@dataclass(eq=False)
class Pairs:
    """Pictures with their captions.

    Examples
    --------
    >>> pairs = open_pairs(np.zeros((2, 8, 8, 3), np.uint8), ["a black square", ["night", "nothing"]])
    >>> len(pairs), pairs.n_captions, pairs.captions[1]
    (2, 3, ['night', 'nothing'])
    """

    pictures: Pictures
    captions: list[list[str]]
    """Of each picture, as often as it has some; none where none was given."""
    notes: list[str]
    """What was guessed."""

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def n_captions(self) -> int:
        """All captions together."""
        return sum(map(len, self.captions))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of pictures and captions: the same data give the same."""
        found = hashlib.sha256(self.pictures.fingerprint.encode())
        found.update(json.dumps(self.captions).encode())
        return found.hexdigest()

    def told(self) -> tuple[list[str], np.ndarray]:
        """The different captions, whatever their case, and of which pictures each was told, (U, N)."""
        number: dict[str, int] = {}
        spelt: list[str] = []
        for caption in (caption for own in self.captions for caption in own):
            if number.setdefault(caption.lower(), len(spelt)) == len(spelt):
                spelt.append(caption)
        is_told_UN = np.zeros((len(spelt), len(self)), bool)
        for picture, own in enumerate(self.captions):
            is_told_UN[[number[caption.lower()] for caption in own], picture] = True
        return spelt, is_told_UN

    def take(self, rows: Any) -> "Pairs":
        """Some of the pictures with theirs, by numbers or by booleans."""
        rows = np.arange(len(self))[rows]
        return Pairs(self.pictures.take(rows), [self.captions[i] for i in rows], self.notes)


def holds_pairs(source: Any) -> bool:
    """Whether `open_pairs` would take this; no picture is decoded."""
    if isinstance(source, Pairs):
        return True
    return (isinstance(source, str | os.PathLike) and _is_list(Path(source).expanduser())) or holds_pictures(source)


def _is_list(path: Path) -> bool:
    """Whether this is a table of paths, rather than one that holds pictures."""
    name = path.name.lower()
    is_table = name.endswith(".parquet") and path.is_file() and picture_column(path) is None
    return not path.is_dir() and (name.endswith(LISTS) or is_table)


def open_pairs(
    source: Any, captions: Sequence[Any] | None = None, *, image: str | None = None, text: str | None = None,
    split: str | None = None,
) -> Pairs:  # fmt: skip
    """Pictures with captions, from anywhere.

    Parameters
    ----------
    source : what `open_pictures` takes, or the path of a table with a column of paths.
    captions : for each picture a text, or a list of texts (None: those that come with the pictures).
    image : the column of paths, where the source is such a table.
    text : the columns of words, with commas between them (None: the first that is called like one); label is always
        one, where pictures have labels.
    split : train, val, test or a split's own name; "all"; by default train, where there is one.

    Raises
    ------
    DataError
        When there are no captions, or a column is not there: the columns that are there are listed.
    """
    if isinstance(source, Pairs):
        if captions is None:
            return source
        source = source.pictures
    source = fetched(source)
    path = Path(source).expanduser() if isinstance(source, str | os.PathLike) else None
    if path is not None and captions is None and _is_list(path):
        return _checked(_from_list(path, image, text, split))
    pictures = open_pictures(source, split=split)
    if captions is not None:
        return Pairs(pictures, _given(pictures, captions), [])
    found, note = _found(pictures, path, text)
    return _checked(Pairs(pictures, found, [*pictures.notes, note]))


def _checked(pairs: Pairs) -> Pairs:
    """The pairs, with a note on pictures that have no caption; some must have one."""
    if not pairs.n_captions:
        raise DataError(
            f"{pairs.pictures.name}: {pairs.notes[-1]}, and every one is empty. Give a column with words: --text NAME."
        )
    n_bare = sum(not own for own in pairs.captions)
    note = f"{n_bare} of {len(pairs)} pictures have no caption"
    return replace(pairs, notes=[*pairs.notes, note]) if n_bare else pairs


def _given(pictures: Pictures, captions: Any) -> list[list[str]]:
    if hasattr(captions, "to_pylist"):
        captions = captions.to_pylist()
    if isinstance(captions, str) or len(captions) != len(pictures):
        n_given = 1 if isinstance(captions, str) else len(captions)
        bad = f" {len(pictures.bad)} files could not be read, first {pictures.bad[0].name}." if pictures.bad else ""
        raise DataError(
            f"{n_given} captions were given for {len(pictures)} pictures.{bad} Give one, or a list of some, for each."
        )
    return [_texts(cell) for cell in captions]


def _found(pictures: Pictures, path: Path | None, text: str | None) -> tuple[list[list[str]], str]:
    """The captions that come with pictures, and a note on where they were found."""
    tree = path if path is not None and (path.is_dir() or archive_in(path) is not None) else None
    if text is None and tree is not None and any(beside := _beside(pictures, tree)):
        return beside, "captions: texts of the same names"
    table = _facts(pictures, tree)
    columns = _columns(text, [name for name in table.column_names if name != FILE_NAME], pictures.name)
    if columns:
        told, note = _of_columns(table, columns), f"captions: {', '.join(columns)}"
        if FILE_NAME in table.column_names and tree is not None:
            of_name = _grouped(table.column(FILE_NAME).to_pylist(), told)
            told = [of_name.get(original(own), []) for own in pictures.ids]
        return told, note
    if pictures.labels is not None:
        return [_texts(label) for label in pictures.labels], "captions: the labels, for want of any others"
    raise DataError(
        f"{pictures.name} has no captions. Put a metadata.csv with file_name and caption beside the pictures, or a "
        ".txt of the same name beside each."
    )


def _facts(pictures: Pictures, tree: Path | None) -> pa.Table:
    """What is known of pictures: all rows of the metadata in a folder or an archive, else a row a picture."""
    if tree is not None and pictures.table is not None:
        found = None if tree.is_dir() else archive_in(tree)
        entries = list_folder(tree) if found is None else list_archive(found[0])
        tables = [metadata_of(entry) for entry in entries if is_metadata(entry.name)]
        return pa.concat_tables([table for table in tables if table is not None], promote_options="permissive")
    table = pa.table({}) if pictures.table is None else pictures.table
    if pictures.labels is None or LABEL in table.column_names:
        return table
    labels = pa.array([str(label) for label in pictures.labels])
    return table.append_column(LABEL, labels) if table.num_columns else pa.table({LABEL: labels})


def _grouped(names: Iterable[Any], captions: Iterable[list[str]]) -> dict[str, list[str]]:
    """The captions of all rows of a name, in their order, each once; rows without a name are left out."""
    found: dict[str, dict[str, None]] = {}
    for name, own in zip(names, captions, strict=True):
        if name is not None:
            found.setdefault(name, {}).update(dict.fromkeys(own))
    return {name: list(own) for name, own in found.items()}


def _columns(text: str | None, names: Sequence[str], where: str) -> list[str]:
    """The columns of words that were named, or the first that is called like one."""
    if text is None:
        lower = {name.lower(): name for name in names}
        return [lower[name] for name in TEXTS if name in lower][:1]
    asked = [name.strip() for name in text.split(",") if name.strip()]
    for name in asked:
        if name not in names:
            there = f"Its columns: {', '.join(names)}." if names else "There is no table beside its pictures."
            raise DataError(f"{where} has no column {name!r}. {there}{nearest(name, names)}")
    return asked


def _of_columns(table: pa.Table, columns: Sequence[str]) -> list[list[str]]:
    cells = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    # of a column of lists, such as keywords, words that stand alone are one caption together
    return [list(dict.fromkeys(text for cell in row for text in _texts(cell))) for row in cells]


def _texts(cell: Any) -> list[str]:
    """A cell as captions: none, one, or as many as a list has; a list of words that stand alone is one caption."""
    parts = list(cell) if isinstance(cell, list | tuple | np.ndarray) else [cell]
    # half a letter, as broken JSON holds, cannot be saved
    clean = (str(part).encode("utf-8", "replace").decode() for part in parts if not _is_missing(part))
    texts = list(dict.fromkeys(text for part in clean if (text := " ".join(part.split())[:LONGEST].strip())))
    if len(texts) > 2 and sum(map(_stands_alone, texts)) * 2 > len(texts):
        return [", ".join(texts)[:LONGEST]]
    return texts


def _is_missing(part: Any) -> bool:
    return part is None or (not isinstance(part, str) and str(part) in ("nan", "NaT", "<NA>"))


def _stands_alone(text: str) -> bool:
    """Whether this is one word; a script without spaces does not tell."""
    return " " not in text and not UNSPACED.search(text)


def _beside(pictures: Pictures, tree: Path) -> list[list[str]]:
    """The lines of each picture's .txt in a folder or an archive."""
    names = [str(PurePosixPath(original(own)).with_suffix(".txt")) for own in pictures.ids]
    found = None if tree.is_dir() else archive_in(tree)
    if found is None:
        return [_lines(_bytes_in(tree / name)) for name in names]
    with zipfile.ZipFile(found[0]) as archive:
        infos = {info.filename.replace("\\", "/"): info for info in archive.infolist()}
        return [_lines(_bytes_packed(archive, infos[name])) if name in infos else [] for name in names]


def _lines(data: bytes) -> list[str]:
    texts = (text for line in data.decode("utf-8-sig", "replace").splitlines() for text in _texts(line))
    return list(dict.fromkeys(texts))


def _bytes_in(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(MOST_BYTES)
    except (DataError, OSError):
        return b""


def _bytes_packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(MOST_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError):
        return b""


# ---- a table of paths ----------------------------------------------------------------------------


def _from_list(path: Path, image: str | None, text: str | None, split: str | None) -> Pairs:
    """Pictures by the paths in a column; rows of one path are captions of one picture."""
    table, where = _read_list(path), shown(str(path))
    column = _path_column(table, image, where)
    columns = _columns(text, [name for name in table.column_names if name != column], where)
    if not columns:
        raise DataError(f"{where} has no column of captions; it has {', '.join(table.column_names)}. Name it: --text.")
    rows, notes = choose_split(_splits(table), split, where)
    table = table.take(np.array(rows, np.int64))
    places = [_place(path, str(name)) if name else None for name in table.column(column).to_pylist()]
    captions = _grouped(places, _of_columns(table, columns))
    if not captions:
        raise DataError(f"{where}: column {column!r} names no pictures. Name another: --image.")
    pictures = replace(open_pictures(list(captions)), name=where)
    of_id = {shown(place): own for place, own in captions.items()}
    n_lost = places.count(None)
    notes += [f"{n_lost} rows name no picture"] if n_lost else []
    notes += [f"{len(pictures.bad)} of {len(captions)} pictures cannot be read: {pictures.bad[0].name} "
              f"{pictures.bad[0].reason}"] if pictures.bad else []  # fmt: skip
    notes += [f"pictures: {column}", f"captions: {', '.join(columns)}"]
    return Pairs(pictures, [of_id[own] for own in pictures.ids], notes)


def _read_list(path: Path) -> pa.Table:
    if not path.name.lower().endswith(".jsonl"):
        return read_table(path)
    try:
        with open_regular(path) as file:
            return read_table(pyarrow.json.read_json(file), name=path.name)
    except DataError as error:
        raise DataError(f"{shown(str(path))} {error}") from error
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{shown(str(path))} is not one JSON object a line ({reason}). Write it anew.") from error


def _splits(table: pa.Table) -> list[str | None]:
    """The split of each row, where there is a column of such."""
    values = table.column(SPLIT).to_pylist() if SPLIT in table.column_names else []
    are_splits = bool(values) and all(value is None or split_word(str(value)) for value in values)
    return [value and str(value) for value in values] if are_splits else [None] * len(table)


def _path_column(table: pa.Table, image: str | None, where: str) -> str:
    names = table.column_names
    if image is not None and image not in names:
        raise DataError(f"{where} has no column {image!r}. Its columns: {', '.join(names)}.{nearest(image, names)}")
    lower = {name.lower(): name for name in names}
    found = image or next((lower[name] for name in PATHS if name in lower), None)
    if found is None:
        raise DataError(
            f"{where} has no column of paths ({', '.join(PATHS[:4])}, ...); it has {', '.join(names)}. "
            "Name it: --image."
        )
    return found


def _place(table: Path, name: str) -> str:
    """Where a picture lies: beside the table, or from here."""
    beside = table.parent / name
    return str(beside if beside.exists() or not Path(name).exists() else Path(name))
