"""The truth of a gallery, in SQLite: what is known of each picture, and its embedding.

A row is never changed: what became another picture, or has another date or name, gets a new row with a new number. Each
write is one transaction with the next generation's number, so that a reader knows when what it derived is out of date.
Dimension key: N pictures, E width of the embedding.
"""

import errno
import json
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twofold.data.names import shown
from twofold.data.picture_set import Bad
from twofold.errors import DiskFullError, RunError

__all__ = ["Row", "Storage"]

FILE = "pictures.sqlite"
FORMAT = 1
PATIENCE = 30  # seconds that one waits for another's write to end
CHUNK = 500  # numbers in one question
NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC)
SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE picture (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE, stamp TEXT NOT NULL, digest BLOB, date REAL,
    height INTEGER, width INTEGER, reason TEXT
);
CREATE TABLE embedding (id INTEGER PRIMARY KEY, vector BLOB NOT NULL);
"""
INSERT = "INSERT INTO picture (name, stamp, digest, date, height, width, reason) VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class Row:
    """What is known of one picture; without an embedding it is broken, for a reason."""

    name: str
    stamp: tuple[int, ...]
    digest: bytes | None = None
    """Of the bytes of its file."""
    date: float | None = None
    """Seconds as in dates.py."""
    height: int | None = None
    width: int | None = None
    reason: str | None = None
    vector_E: np.ndarray | None = None
    id: int = 0
    """The number that storage gave it."""


class Storage:
    """The database of one gallery; every question opens it anew, so that threads and forks may ask."""

    def __init__(self, folder: Path):
        self.path = folder / FILE

    @property
    def is_there(self) -> bool:
        """Whether anything was ever stored; a process that was killed at its first breath left an empty file."""
        return self.path.is_file() and self.path.stat().st_size > 0

    def facts(self) -> dict[str, Any]:
        """What holds for all pictures: generation, own, and what `begin` was given; nothing where that never ended.

        Raises
        ------
        RunError
            When the database is spoilt, or of another version.
        """
        with self._reading() as base:
            facts = _facts(base) if _has_tables(base) else {}
        if facts.get("format", FORMAT) != FORMAT:
            raise RunError(f"{shown(str(self.path))} is of another version of twofold. Make the index anew.")
        return facts

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Make the database where there is none yet, and remember the facts."""
        with self._writing() as base:
            if not _has_tables(base):
                for statement in filter(str.strip, SCHEMA.split(";")):
                    base.execute(statement)
                _remember(base, {"format": FORMAT, "own": uuid.uuid4().hex, "generation": 0})
            _remember(base, facts)

    def stamps(self) -> dict[str, tuple[int, ...]]:
        """Of each picture, also the broken ones, its stamp."""
        with self._reading() as base:
            rows = base.execute("SELECT name, stamp FROM picture")
            return {_text(name): tuple(json.loads(stamp)) for name, stamp in rows}

    def digests(self) -> dict[bytes, int]:
        """The number of a picture with an embedding, by the digest of its file."""
        with self._reading() as base:
            return dict(base.execute("SELECT digest, id FROM picture WHERE reason IS NULL AND digest IS NOT NULL"))

    def broken(self) -> list[Bad]:
        """The pictures that could not be read, by name."""
        with self._reading() as base:
            rows = base.execute("SELECT name, reason FROM picture WHERE reason IS NOT NULL ORDER BY name")
            return [Bad(_text(name), reason) for name, reason in rows]

    def rows(self, ids: Sequence[int] | np.ndarray) -> dict[int, Row]:
        """Those with these numbers that are still there, with their embeddings."""
        found: dict[int, Row] = {}
        with self._reading() as base:
            for start in range(0, len(ids), CHUNK):
                some = [int(i) for i in ids[start : start + CHUNK]]
                rows = base.execute(
                    "SELECT id, name, stamp, digest, date, height, width, vector FROM picture JOIN embedding USING (id)"
                    f" WHERE id IN ({','.join('?' * len(some))})",
                    some,
                )
                found |= {row[0]: _row(*row) for row in rows}
        return found

    def count(self) -> int:
        """N: how many have an embedding."""
        with self._reading() as base:
            return base.execute("SELECT count(*) FROM embedding").fetchone()[0]

    def embeddings(self) -> tuple[dict[str, Any], tuple[int, int], Iterator[list[tuple[int, float, bytes]]]]:
        """Facts, N and E, and of each picture number, date and embedding, some thousands at a time: of one moment."""
        parts = self._embeddings()
        facts, shape = next(parts)
        return facts, shape, parts

    def write(self, rows: Iterable[Row], forgotten: Iterable[str] = ()) -> None:
        """Put rows in the place of those of the same names, and forget names: all or nothing.

        Raises
        ------
        DiskFullError
            When there is no room: what was there before is whole.
        """
        with self._writing() as base:
            for name in forgotten:
                _forget(base, name)
            for row in rows:
                _forget(base, row.name)
                _insert(base, row)
            _remember(base, {"generation": _facts(base)["generation"] + 1})

    def _embeddings(self) -> Iterator[Any]:
        with self._reading() as base:
            base.execute("BEGIN")
            facts = _facts(base)
            first = base.execute("SELECT length(vector) FROM embedding LIMIT 1").fetchone() or (0,)
            n = base.execute("SELECT count(*) FROM embedding JOIN picture USING (id)").fetchone()[0]
            yield facts, (n, first[0] // 2)
            rows = base.execute("SELECT id, date, vector FROM embedding JOIN picture USING (id) ORDER BY id")
            while some := rows.fetchmany(4096):
                yield some

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._told(), closing(self._connect("rw")) as base:
            yield base

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._told(), closing(self._connect("rwc")) as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
                base.execute("COMMIT")
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise

    def _connect(self, mode: str) -> sqlite3.Connection:
        place = Path(os.path.abspath(self.path)).as_uri()
        return sqlite3.connect(f"{place}?mode={mode}", uri=True, timeout=PATIENCE, isolation_level=None)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite raises in our words."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.DatabaseError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> Exception:
        path, code = shown(str(self.path)), getattr(error, "sqlite_errorcode", 0)
        if code in NO_ROOM:
            return DiskFullError(
                errno.ENOSPC,
                f"{path} cannot grow: there is no room for it ({error}). What was there before is untouched. "
                "Free some space and run the command again.",
            )
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return RunError(f"{path} is being written by another process for more than {PATIENCE} s. Wait for it.")
        if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return RunError(f"{path} cannot be opened, or not be written ({error}). Change its folder's permissions.")
        return RunError(
            f"{path} is spoilt ({error}). Remove the folder {shown(str(self.path.parent))}, and make it anew with: "
            "twofold index RUN DIR -o FOLDER"
        )


def _remember(base: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    pairs = [(name, json.dumps(value)) for name, value in facts.items()]
    base.executemany("INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", pairs)


def _has_tables(base: sqlite3.Connection) -> bool:
    return base.execute("SELECT 1 FROM sqlite_master WHERE name = 'fact'").fetchone() is not None


def _facts(base: sqlite3.Connection) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in base.execute("SELECT name, value FROM fact")}


def _forget(base: sqlite3.Connection, name: str) -> None:
    base.execute("DELETE FROM embedding WHERE id IN (SELECT id FROM picture WHERE name = ?)", (_key(name),))
    base.execute("DELETE FROM picture WHERE name = ?", (_key(name),))


def _insert(base: sqlite3.Connection, row: Row) -> None:
    values = _key(row.name), json.dumps(row.stamp), row.digest, row.date, row.height, row.width, row.reason
    number = base.execute(INSERT, values).lastrowid
    if row.vector_E is not None:
        base.execute("INSERT INTO embedding VALUES (?, ?)", (number, row.vector_E.astype("<f2").tobytes()))


def _row(
    number: int, name: bytes, stamp: str, digest: bytes, date: float, height: int, width: int, vector: bytes
) -> Row:
    vector_E = np.frombuffer(vector, "<f2").astype(np.float32)
    return Row(_text(name), tuple(json.loads(stamp)), digest, date, height, width, None, vector_E, number)


def _key(name: str) -> bytes:
    """A name as bytes, also one with half letters."""
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")
