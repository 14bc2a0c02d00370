"""Sounds from anywhere: the door for folders, archives, single files and arrays.

recordings/7_jackson_32.wav                   label, speaker, number in the name (Free Spoken Digit Dataset)
dogs/1.wav cats/2.flac                        a folder a class
train/dogs/1.wav test/dogs/2.wav              splits, by the first folder
metadata.csv with a column file_name          labels, speakers, whatever else is known of each sound
"""

import io
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from twofold.data.atomic import write_atomically
from twofold.data.decoding import open_regular
from twofold.data.hub import is_of_hub
from twofold.data.layouts import choose_split, places
from twofold.data.listing import Entry, archive_in, is_metadata, names_in
from twofold.data.names import shown, unique
from twofold.data.picture_set import Bad
from twofold.data.picture_tables import metadata_of, split_off_label
from twofold.data.sounds import (
    FETCH,
    MAX_BYTES,
    RATES,
    Sounds,
    claims_to_be_sound,
    decode_sound,
    is_sound,
    resample,
)
from twofold.errors import DataError, SettingError

__all__ = ["Sounds", "holds_sounds", "open_sounds", "write_sound"]

SPOKEN = re.compile(r"([^_/]+)_([^_/]+)_(\d+)\.\w+")  # label, speaker, number
WRITABLE = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}
SILENT = 1e-5  # of full scale, -100 dB
N_LOOKED_AT = 1000  # files of a folder that tell what it holds
N_REASONS = 3  # that a message lists when nothing could be read
MOST_LABELS = 64  # that names of files are taken for


class Item(NamedTuple):
    """One sound before it is decoded."""

    name: str
    open: Callable[[], BinaryIO]
    """Opens it; DataError, without the name, where that cannot be done."""


def open_sounds(
    source: Any, *, rate: int | None = None, split: str | None = None, array_rate: int | None = None
) -> Sounds:
    """Sounds from a path, or from memory.

    Parameters
    ----------
    source : path of a folder, a ZIP archive, ARCHIVE.zip/FOLDER or one sound; a list of paths or of arrays (T) or
        (T, C); one array (T), or (N, T) of mono sounds.
    rate : samples a second that all are brought to; by default the commonest among them.
    split : train, val, test or a split's own name; "all"; by default train, where there is one.
    array_rate : samples a second of arrays, which cannot tell it themselves.

    Raises
    ------
    DataError
        When no sound can be read: the first reasons are listed. Files that cannot be read stand in `bad`.
    """
    if isinstance(source, Sounds):
        return source
    if rate is not None and not RATES[0] <= rate <= RATES[1]:
        raise SettingError(f"rate is {rate}; {RATES[0]} to {RATES[1]} samples a second are allowed. Give one of these.")
    if isinstance(source, str | os.PathLike):
        return _from_path(Path(os.fspath(source)).expanduser(), rate, split)
    parts: list[Any] = _arrays(source) if isinstance(source, np.ndarray) else list(source)
    paths = [Path(os.fspath(part)).expanduser() for part in parts if isinstance(part, str | os.PathLike)]
    if paths and len(paths) == len(parts):
        items = [Item(str(path), lambda path=path: open_regular(path)) for path in paths]  # type: ignore[misc]
        return _decoded(items, rate, "the sounds")
    return _from_arrays(parts, rate, array_rate)


def holds_sounds(source: Any) -> bool:
    """Whether a path leads to sounds rather than to pictures, a table or a text; told by names and first bytes."""
    if isinstance(source, Sounds):
        return True
    if not isinstance(source, str | os.PathLike) or is_of_hub(source):
        return False
    path = Path(os.fspath(source)).expanduser()
    found = None if path.is_dir() else archive_in(path)
    if path.is_dir() or found is not None:
        names = list(islice(names_in(path) if found is None else names_in(*found), N_LOOKED_AT))
        return sum(map(claims_to_be_sound, names)) > len(names) / 2
    try:
        with open_regular(path) as file:
            head = file.read(12)
    except DataError:
        return False
    # two bytes are little to know an MP3 by
    return is_sound(head) and (head[0] != 0xFF or claims_to_be_sound(path.name))


def write_sound(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Write samples in -1..1, (T) or (T, C), as 16-bit WAV or FLAC, or as OGG, whole or not at all."""
    import soundfile

    path, samples = Path(path), np.asarray(samples)
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path} ends in {path.suffix!r}; sounds are written as {', '.join(WRITABLE)}. Give one.")
    if samples.ndim not in (1, 2) or samples.dtype.kind != "f" or not samples.size or not np.isfinite(samples).all():
        what = f"{samples.dtype} {samples.shape}"
        raise DataError(f"the samples for {path} are {what}; finite floats (T) or (T, C) are needed.")
    if not RATES[0] <= rate <= RATES[1]:
        raise SettingError(f"rate is {rate}; {RATES[0]} to {RATES[1]} samples a second are allowed. Give one of these.")
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), rate, format=kind)
    write_atomically(path, buffer.getbuffer())


# ---- where they come from ------------------------------------------------------------------------


def _from_path(path: Path, rate: int | None, split: str | None) -> Sounds:
    name = shown(str(path))
    if path.is_dir():
        names = sorted(os.path.relpath(found, path).replace(os.sep, "/") for found in _files(path))
        return _from_tree([Item(own, lambda own=own: open_regular(path / own)) for own in names], name, rate, split)  # type: ignore[misc]
    found = archive_in(path)
    if found is not None:
        return _from_tree(_packed(*found, name), name, rate, split)
    return _decoded([Item(str(path), lambda: open_regular(path))], rate, name)


def _files(folder: Path) -> Iterable[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [own for own in folders if not own.startswith(".")]
        yield from (os.path.join(parent, own) for own in names if _is_wanted(own) and not own.startswith("."))


def _is_wanted(name: str) -> bool:
    return claims_to_be_sound(name) or is_metadata(name)


def _packed(archive: Path, inner: str, name: str) -> list[Item]:
    try:
        opened = zipfile.ZipFile(archive)  # open as long as one of its entries is held
        infos = sorted((info for info in opened.infolist() if not info.is_dir()), key=lambda info: info.filename)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{name} cannot be read as a ZIP archive ({error}). {FETCH}") from error
    return [
        Item(info.filename, lambda info=info: _unpacked(opened, info))  # type: ignore[misc]
        for info in infos
        if _is_wanted(info.filename) and f"/{inner}" in f"/{info.filename}" and "__MACOSX" not in info.filename
    ]


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """An entry's bytes; bounded, whatever the archive claims."""
    if info.flag_bits & 1:
        raise DataError("is encrypted. Unpack the archive with its password, and give the folder.")
    if info.file_size > MAX_BYTES:
        raise DataError(f"would unpack to {info.file_size} bytes; {MAX_BYTES} are allowed. Cut it into parts.")
    try:
        with archive.open(info) as file:
            return io.BytesIO(file.read(info.file_size + 1))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"cannot be unpacked ({shown(str(error))}). Fetch the archive again.") from error


def _from_tree(items: Sequence[Item], name: str, rate: int | None, split: str | None) -> Sounds:
    notices = [item for item in items if is_metadata(item.name)]
    items = [item for item in items if not is_metadata(item.name)]
    where = places([item.name for item in items])
    rows, notes = choose_split([place.split for place in where], split, name)
    sounds = _decoded([items[row] for row in rows], rate, name)
    sounds.notes[:0] = [note.replace("pictures", "sounds") for note in notes]
    label_of = {shown(items[row].name): where[row].label for row in rows}
    labels = [label_of.get(own) for own in sounds.ids]
    if labels and all(label is not None for label in labels) and len(set(labels)) > 1:
        sounds.labels = np.array([shown(str(label)) for label in labels], object)
        sounds.notes.append(f"labels: the folder's name, {len(set(labels))} of them")
    for notice in notices:
        _tell(sounds, notice, {shown(item.name) for item in items}, name)
    return sounds


def _tell(sounds: Sounds, notice: Item, there: set[str], name: str) -> None:
    """Add what a metadata file tells of each sound; its labels go before those of folders and names."""
    table = metadata_of(Entry(notice.name, (), notice.open))
    if table is None:
        return
    row_of = {shown(path): row for row, path in enumerate(table["file_name"].to_pylist())}
    lost = sorted(set(row_of) - there)
    sounds.bad += [Bad(own, "is named in the metadata but is not there. Add it, or take its row out.") for own in lost]
    rows = pa.array([row_of.get(own) for own in sounds.ids], pa.int64())
    table, labels, notes = split_off_label(table.drop_columns(["file_name"]).take(rows), None, name)
    if labels is not None:
        sounds.labels = labels
        sounds.notes = [note for note in sounds.notes if not note.startswith("labels: ")]
    sounds.table = table
    sounds.notes += [note.replace("pictures", "sounds") for note in notes]


def _arrays(array: np.ndarray) -> list[np.ndarray]:
    if array.ndim not in (1, 2):
        raise DataError(f"an array of shape {array.shape} was given; (T), or (N, T) of N mono sounds is needed.")
    return [array] if array.ndim == 1 else list(array)


def _from_arrays(parts: Sequence[Any], rate: int | None, array_rate: int | None) -> Sounds:
    if array_rate is None or not RATES[0] <= array_rate <= RATES[1]:
        allowed = f"{RATES[0]} to {RATES[1]} samples a second are allowed"
        raise SettingError(f"array_rate is {array_rate}; {allowed}. Arrays cannot tell their rate: give it.")
    items = [Item(str(i), lambda part=part: _wave(part, array_rate)) for i, part in enumerate(parts)]  # type: ignore[misc]
    return _decoded(items, rate, "the sounds")


def _wave(part: Any, rate: int) -> BinaryIO:
    """An array as a file, so that it passes the same checks."""
    import soundfile

    array = np.asarray(part)
    if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "fi":
        what = f"is an array of {array.dtype} {array.shape}"
        raise DataError(f"{what}; floats in -1..1 or whole numbers (T) or (T, C) are needed. Turn it so.")
    if array.dtype.kind == "i":
        array = array / -float(np.iinfo(array.dtype).min)
    buffer = io.BytesIO()
    soundfile.write(buffer, array.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    buffer.seek(0)
    return buffer


# ---- decoding all --------------------------------------------------------------------------------


def _decoded(items: Sequence[Item], rate: int | None, name: str) -> Sounds:
    sounds, rates, ids, bad = [], [], [], []
    remarks: Counter[str] = Counter()
    for own, item in zip(unique(shown(item.name) for item in items), items, strict=True):
        try:
            with item.open() as file:
                sound_T, own_rate, remark = decode_sound(file)
        except DataError as error:
            bad.append(Bad(own, str(error)))
            continue
        sounds.append(sound_T)
        rates.append(own_rate)
        ids.append(own)
        remarks.update([remark] if remark else [])
    if not sounds:
        raise DataError(_nothing_read(name, bad))
    counts = Counter(rates)
    rate = rate or min(counts, key=lambda own: (-counts[own], own))
    sounds = [resample(sound, own, rate) for sound, own in zip(sounds, rates, strict=True)]
    result = Sounds.of(sounds, rate, ids=ids, name=name)
    result.bad = bad
    result.notes = _notes(result, counts, remarks)
    _read_names(result)
    return result


def _notes(sounds: Sounds, rates: Counter[int], remarks: Counter[str]) -> list[str]:
    notes = [f"{remark} ({n} of {len(sounds)} sounds)" for remark, n in remarks.items()]
    others = {own: n for own, n in rates.items() if own != sounds.rate}
    if others:
        told = ", ".join(f"{n} of {own} Hz" for own, n in sorted(others.items()))
        notes.append(f"brought to {sounds.rate} Hz: {told}")
    silent = [own for own, sound in zip(sounds.ids, sounds, strict=True) if np.abs(sound).max() < SILENT]
    if silent:
        notes.append(f"silent: {len(silent)} of {len(sounds)} sounds, such as {silent[0]}")
    return notes


def _read_names(sounds: Sounds) -> None:
    """Label, speaker and number where every name has the three, as in 7_jackson_32.wav."""
    found = [SPOKEN.fullmatch(own.rpartition("/")[2]) for own in sounds.ids]
    matches = [match for match in found if match]
    if len(matches) < len(found) or len(found) < 2:
        return
    label, speaker, number = zip(*(match.groups() for match in matches), strict=True)
    if not 1 < len(set(label)) < min(len(found), MOST_LABELS + 1):
        return
    sounds.labels = np.array(label, object)
    sounds.table = pa.table({"speaker": list(speaker), "number": [int(n) for n in number]})
    sounds.notes.append(f"labels: the names' first part, {len(set(label))} of them; speaker and number: the others")


def _nothing_read(name: str, bad: Sequence[Bad]) -> str:
    if not bad:
        return f"{name} holds no sounds. Give a folder, a ZIP archive or a file of WAV, FLAC, OGG, AIFF or MP3."
    reasons = " ".join(f"{own} {reason}" for own, reason in bad[:N_REASONS])
    more = f" And {len(bad) - N_REASONS} more." if len(bad) > N_REASONS else ""
    return f"{name}: not one sound can be read. {reasons}{more}"
