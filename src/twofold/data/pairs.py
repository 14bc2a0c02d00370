"""Pictures and what is said of them: any number of captions a picture.

metadata.csv, .jsonl or .parquet beside the pictures   columns of words, or lists of them
a Parquet table with a column of pictures              likewise
a CSV or TSV with a column of paths                    one row a caption; as open_clip takes it (filepath, title)
cats/1.jpg cats/1.txt                                  a text of the same name: a caption a line
cats/1.jpg dogs/2.jpg                                  nothing else: the folder's name is the caption
Dimension key: N pictures, U different captions.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from twofold.data.listing import archive_in
from twofold.data.names import shown
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
LONGEST = 2000  # letters of a caption that are read


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
    is_list = isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in (".csv", ".tsv", ".jsonl")
    return is_list or holds_pictures(source)


def open_pairs(
    source: Any, captions: Sequence[Any] | None = None, *, image: str | None = None, text: str | None = None,
    split: str | None = None,
) -> Pairs:  # fmt: skip
    """Pictures with captions, from anywhere.

    Parameters
    ----------
    source : what `open_pictures` takes, or the path of a CSV or TSV with a column of paths.
    captions : for each picture a text, or a list of texts (None: those that come with the pictures).
    image : the column of paths, where the source is such a table.
    text : the columns of words, with commas between them (None: the first that is called like one).

    Raises
    ------
    DataError
        When there are no captions, or a column is not there: the columns that are there are listed.
    """
    if isinstance(source, Pairs):
        return source
    is_path = isinstance(source, str | os.PathLike)
    if is_path and captions is None and Path(source).suffix.lower() in (".csv", ".tsv"):
        return _from_list(Path(source), image, text)
    pictures = open_pictures(source, split=split)
    if captions is not None:
        return Pairs(pictures, _given(pictures, captions), [])
    found, note = _found(pictures, source, text)
    pairs = Pairs(pictures, found, [*pictures.notes, note])
    if not pairs.n_captions:
        raise DataError(f"{pictures.name}: {note}, and every one is empty. Give a column with words: --text NAME.")
    n_bare = sum(not own for own in found)
    pairs.notes += [f"{n_bare} of {len(pairs)} pictures have no caption"] if n_bare else []
    return pairs


def _given(pictures: Pictures, captions: Sequence[Any]) -> list[list[str]]:
    if len(captions) != len(pictures):
        raise DataError(
            f"{len(captions)} captions were given for {len(pictures)} pictures. Give one, or a list of some, for each."
        )
    return [_texts(cell) for cell in captions]


def _found(pictures: Pictures, source: Any, text: str | None) -> tuple[list[list[str]], str]:
    """The captions that come with pictures, and a note on where they were found."""
    names = [] if pictures.table is None else pictures.table.column_names
    if text is None and isinstance(source, str | os.PathLike) and (beside := _beside(pictures, Path(source))):
        return beside, "captions: texts of the same names"
    columns = _columns(text, names, pictures.name) if names or text else []
    if columns:
        assert pictures.table is not None
        return _of_columns(pictures.table, columns), f"captions: {', '.join(columns)}"
    if pictures.labels is not None:
        return [_texts(label) for label in pictures.labels], "captions: the labels, for want of any others"
    raise DataError(
        f"{pictures.name} has no captions. Put a metadata.csv with file_name and caption beside the pictures, or a "
        ".txt of the same name beside each."
    )


def _columns(text: str | None, names: Sequence[str], where: str) -> list[str]:
    """The columns of words that were named, or the first that is called like one."""
    if text is None:
        lower = {name.lower(): name for name in names}
        return [lower[name] for name in TEXTS if name in lower][:1]
    asked = [name.strip() for name in text.split(",") if name.strip()]
    for name in asked:
        if name not in names:
            raise DataError(f"{where} has no column {name!r}. Its columns: {', '.join(names)}.{nearest(name, names)}")
    return asked


def _of_columns(table: pa.Table, columns: Sequence[str]) -> list[list[str]]:
    cells = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    # of a column of lists, such as keywords, words that stand alone are one caption together
    return [list(dict.fromkeys(text for cell in row for text in _texts(cell))) for row in cells]


def _texts(cell: Any) -> list[str]:
    """A cell as captions: none, one, or as many as a list has; a list of words that stand alone is one caption."""
    parts = list(cell) if isinstance(cell, list | tuple | np.ndarray) else [cell]
    texts = [" ".join(str(part).split())[:LONGEST] for part in parts if part is not None and part == part]
    texts = [text for text in texts if text]
    if len(texts) > 2 and sum(" " in text for text in texts) * 2 < len(texts):
        return [", ".join(texts)]
    return texts


def _beside(pictures: Pictures, source: Path) -> list[list[str]]:
    """The lines of each picture's .txt; nothing where not one has any."""
    found = archive_in(source) if not source.is_dir() else None
    if not source.is_dir() or found is not None:
        return []
    captions = [_lines(source / Path(own).with_suffix(".txt")) for own in pictures.ids]
    return captions if any(captions) else []


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
    except OSError:
        return []
    return [text for line in text.splitlines() for text in _texts(line)]


# ---- a table of paths ----------------------------------------------------------------------------


def _from_list(path: Path, image: str | None, text: str | None) -> Pairs:
    """Pictures by the paths in a column; rows of one path are captions of one picture."""
    table = read_table(path)
    column = _path_column(table, image, path)
    columns = _columns(text, [name for name in table.column_names if name != column], shown(str(path)))
    if not columns:
        raise DataError(
            f"{shown(str(path))} has no column of captions; it has {', '.join(table.column_names)}. Name it: --text."
        )
    captions: dict[str, list[str]] = {}
    for name, own in zip(map(str, table.column(column).to_pylist()), _of_columns(table, columns), strict=True):
        kept = captions.setdefault(name, [])
        kept += [caption for caption in own if caption not in kept]
    places = {str(_place(path, name)): name for name in captions}
    pictures = open_pictures(list(places))
    notes = [f"pictures: {column}", f"captions: {', '.join(columns)}"]
    return Pairs(pictures, [captions[places[own]] for own in pictures.ids], notes)


def _path_column(table: pa.Table, image: str | None, path: Path) -> str:
    names = table.column_names
    if image is not None and image not in names:
        raise DataError(
            f"{shown(str(path))} has no column {image!r}. Its columns: {', '.join(names)}.{nearest(image, names)}"
        )
    lower = {name.lower(): name for name in names}
    found = image or next((lower[name] for name in PATHS if name in lower), None)
    if found is None:
        raise DataError(
            f"{shown(str(path))} has no column of paths ({', '.join(PATHS[:4])}, ...); it has {', '.join(names)}. "
            "Name it: --image."
        )
    return found


def _place(table: Path, name: str) -> Path:
    """Where a picture lies: beside the table, or from here."""
    beside = table.parent / name
    return beside if beside.exists() or not Path(name).exists() else Path(name)
