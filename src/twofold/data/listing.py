"""What lies in a folder or a ZIP archive of pictures, without decoding any.

Links are followed, each folder is visited once. Hidden files and folders, side files of operating systems and files
that are no pictures are passed over; what claims to be a picture and cannot be opened is kept, to be reported.
"""

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from twofold.data.decoding import MAX_BYTES, open_regular
from twofold.data.names import shown
from twofold.data.picture_kinds import FETCH, HEAD_BYTES, claims_to_be, is_picture
from twofold.errors import DataError

__all__ = ["Entry", "archive_in", "is_metadata", "list_archive", "list_folder", "names_in"]

SIDE_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
BOMB_RATIO, BOMB_BYTES = 500, 32 << 20  # an entry that is both is no picture


class Entry(NamedTuple):
    """A file that is a picture, claims to be one, or tells of pictures (metadata)."""

    name: str
    """Path below the folder or archive, with slashes."""
    stamp: tuple[int, ...]
    """Size and times: while they stay, so do the contents."""
    open: Callable[[], BinaryIO]
    """Opens it; DataError, without the name, where that cannot be done."""


def list_folder(folder: Path) -> Iterator[Entry]:
    """The files below a folder, in the order of their names."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        name = waiting.pop()
        path = folder / name
        if not path.is_dir():
            entry = _entry(path, name)
        elif isinstance(found := _children(path, name, seen), Entry):
            entry = found
        else:
            entry = None
            waiting += [f"{name}/{child}" if name else child for child in reversed(found)]
        if entry is not None:
            yield entry


def list_archive(path: Path) -> Iterator[Entry]:
    """The files in a ZIP archive, in the order of their names."""
    try:
        archive = zipfile.ZipFile(path)  # open as long as one of its entries is held: opening it anew is slow
        infos = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{shown(str(path))} cannot be read as a ZIP archive ({error}). {FETCH}") from error
    for info in infos:
        name = info.filename.replace("\\", "/")
        if any(_is_hidden(part) for part in name.split("/") if part != ".."):
            continue
        entry = Entry(name, (info.file_size, info.CRC), lambda info=info: _open_packed(archive, info))  # type: ignore[misc]
        if claims_to_be(name) or is_metadata(name) or _begins_as_picture(entry):
            yield entry


def names_in(path: Path, inner: str = "") -> Iterator[str]:
    """The names of all files in a folder, or in a folder of an archive; nothing is opened."""
    if path.is_dir():
        for _, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            yield from (name for name in names if not _is_hidden(name))
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return
    yield from (name for name in names if not name.endswith("/") and f"/{inner}" in f"/{name}")


def archive_in(path: Path) -> tuple[Path, str] | None:
    """The ZIP archive in a path such as photos.zip/train, and the folder within it; None where there is none."""
    for outer in (path, *path.parents):
        if outer.is_file():
            inner = path.relative_to(outer).as_posix()
            return (outer, "" if inner == "." else inner) if _is_archive(outer) else None
        if outer.is_dir():
            return None
    return None


def _is_archive(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(4) in (b"PK\3\4", b"PK\5\6")
    except (DataError, OSError):
        return False


def _children(folder: Path, name: str, seen: set[tuple[int, int]]) -> list[str] | Entry:
    """The names in a folder that was not visited yet, or an entry that tells why it cannot be listed."""
    try:
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen and state.st_ino:
            return []
        seen.add((state.st_dev, state.st_ino))
        return sorted(own for own in os.listdir(folder) if not _is_hidden(own))
    except OSError as error:
        reason = f"is a folder that cannot be listed ({error.strerror}). Change its permissions, or take it away."
        return Entry(name or ".", (), lambda: _fail(reason))


def _entry(path: Path, name: str) -> Entry | None:
    try:
        state = os.stat(path)
        stamp: tuple[int, ...] = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        is_file = stat.S_ISREG(state.st_mode)
    except OSError:
        stamp, is_file = (), False
    entry = Entry(name, stamp, lambda: open_regular(path))
    if claims_to_be(name) or (is_file and (is_metadata(name) or _begins_as_picture(entry))):
        return entry
    return None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SIDE_FILES


def is_metadata(name: str) -> bool:
    """Whether a file of this name tells of the pictures beside it."""
    return name.rpartition("/")[2].lower() in METADATA


def _begins_as_picture(entry: Entry) -> bool:
    try:
        with entry.open() as file:
            return is_picture(file.read(HEAD_BYTES))
    except (DataError, OSError):
        return False


def _fail(reason: str) -> BinaryIO:
    raise DataError(reason)


def _open_packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """An entry's bytes; bounded, whatever the archive claims."""
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", parts[0]):
        raise DataError("has a name that leads outside the archive. Pack it again, or take it away.")
    if info.flag_bits & 1:
        raise DataError("is encrypted. Unpack the archive with its password, and give the folder.")
    is_bomb = info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size)
    if info.file_size > MAX_BYTES or is_bomb:
        raise DataError(f"would unpack from {info.compress_size} to {info.file_size} bytes. Take it away.")
    try:
        with archive.open(info) as file:
            return io.BytesIO(file.read(info.file_size + 1))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"cannot be unpacked ({shown(str(error))}). Fetch the archive again.") from error
