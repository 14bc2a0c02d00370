"""Where the pictures of a gallery lie: below a folder, or in a ZIP archive; asked what is there, never what was."""

import os
import time
import zipfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from twofold.core.gallery.dates import seconds_of, wall_seconds
from twofold.data.listing import Entry, archive_in, is_metadata, list_archive, list_folder
from twofold.data.names import shown
from twofold.errors import DataError

__all__ = ["Source", "open_source"]

SETTLED = 2_000_000_000  # nanoseconds: a file changed later than this before may change again, and its time not
ELSEWHERE = "Put it back, or give another folder or archive."


class Source:
    """A folder of pictures.

    Parameters
    ----------
    place : the folder.
    """

    def __init__(self, place: Path):
        self.place = place

    def check(self) -> None:
        """DataError where the place itself is not there."""
        if not self.place.is_dir():
            raise DataError(f"{shown(str(self.place))} is not there. {ELSEWHERE}")

    def entries(self) -> list[Entry]:
        """Every picture, and what claims to be one; a stamp that cannot be relied on is empty.

        Raises
        ------
        DataError
            When the folder is not there.
        """
        self.check()
        began = time.time_ns()
        found = (entry for entry in list_folder(self.place) if not is_metadata(entry.name))
        return [entry._replace(stamp=()) if _is_unsettled(entry, began) else entry for entry in found]

    def has(self, name: str) -> bool:
        """Whether a picture of that name is there now."""
        return os.path.isfile(self.place / name)

    def path(self, name: str) -> Path:
        """Where it lies."""
        return self.place / name

    def open(self, name: str) -> BinaryIO:
        """Its bytes; an OSError where it is not there."""
        return open(self.place / name, "rb")

    def date(self, entry: Entry) -> float:
        """When the file was written; seconds as in dates.py."""
        if len(entry.stamp) > 1:
            return wall_seconds(entry.stamp[1] / 1e9)
        try:
            return wall_seconds(os.stat(self.place / entry.name).st_mtime)
        except OSError:
            return 0.0


class Archive(Source):
    """A ZIP archive of pictures, or a folder of one."""

    def __init__(self, place: Path, file: Path, inner: str):
        super().__init__(place)
        self.file, self.start = file, f"{inner}/" if inner else ""
        self._of: tuple[int, ...] = ()
        self._entries: dict[str, Entry] = {}
        self._dates: dict[str, float] = {}

    def check(self) -> None:
        """DataError where the archive is not there, or is none."""
        self._listed()

    def entries(self) -> list[Entry]:
        """Every picture, and what claims to be one."""
        return list(self._listed().values())

    def has(self, name: str) -> bool:
        """Whether the archive holds it now."""
        return name in self._listed()

    def open(self, name: str) -> BinaryIO:
        """Its bytes."""
        if name not in self._listed():
            raise FileNotFoundError(f"{self.file} holds no {name}")
        return self._listed()[name].open()

    def date(self, entry: Entry) -> float:
        """When the file was written, as the archive says."""
        return self._dates.get(entry.name, 0.0)

    def _listed(self) -> dict[str, Entry]:
        """What the archive holds, read again only when it was written anew."""
        try:
            state = os.stat(self.file)
        except OSError as error:
            raise DataError(f"{shown(str(self.file))} is not there. {ELSEWHERE}") from error
        now = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        if now != self._of:
            self._entries, self._dates = {}, _dates(self.file, self.start)
            for entry in list_archive(self.file):
                if entry.name.startswith(self.start) and not is_metadata(entry.name):
                    own = entry.name.removeprefix(self.start)
                    self._entries.setdefault(own, entry._replace(name=own))
            self._of = now
        return self._entries


def open_source(place: str | Path) -> Source:
    """The folder or archive at this place; ARCHIVE.zip/FOLDER is a folder of an archive."""
    place = Path(os.path.abspath(Path(place).expanduser()))
    found = None if place.is_dir() else archive_in(place)
    if found is not None:
        return Archive(place, *found)
    if place.is_file():
        raise DataError(f"{shown(str(place))} is a file, and no ZIP archive. Give a folder of pictures, or an archive.")
    return Source(place)


def _is_unsettled(entry: Entry, began: int) -> bool:
    return len(entry.stamp) > 2 and entry.stamp[2] > began - SETTLED


def _dates(file: Path, start: str) -> dict[str, float]:
    dates: dict[str, float] = {}
    with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError), zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            with suppress(ValueError):
                own = info.filename.replace("\\", "/").removeprefix(start)
                dates.setdefault(own, seconds_of(datetime(*info.date_time)))
    return dates
