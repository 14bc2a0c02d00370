"""Pixels of many pictures end to end: in memory, or in one file of the user's cache that is mapped.

The file is the pixels, then an index with its own checksum. It is named after what was read (names, sizes, times), so
that the next opening finds it. Every picture carries a hash: what has changed on disk is noticed and read again.
Dimension key: N pictures, P bytes of all of them.
"""

import hashlib
import json
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from twofold.data.atomic import NO_ROOM
from twofold.data.cache import cache_folder
from twofold.errors import DiskFullError

__all__ = ["IN_MEMORY", "Packer", "Pixels", "room", "stored"]

IN_MEMORY = 256 << 20  # bytes of pixels; more of them go to a file
BLOCK = 1 << 24  # bytes written at once
MAGIC = b"twofpix1"
TAIL = struct.Struct("<QQQI8s")  # bytes of pixels, pictures, bytes of facts, CRC32 of the index, magic
DIGEST = 16  # bytes
LEFTOVER = 24 * 3600  # seconds after which a part file of a killed process is cleared away


@dataclass(eq=False)
class Pixels:
    """Pictures of different sizes in one flat array."""

    flat_P: np.ndarray
    """uint8: all pictures, one after the other."""
    shape_N3: np.ndarray
    """Height, width, channels (1 or 3)."""
    digest_N16: np.ndarray
    """A hash of each picture's shape and pixels."""
    start_N: np.ndarray
    """Where each begins."""

    def __getitem__(self, i: int) -> np.ndarray:
        start, shape = int(self.start_N[i]), tuple(int(n) for n in self.shape_N3[i])
        return self.flat_P[start : start + shape[0] * shape[1] * shape[2]].reshape(shape)

    def take(self, rows: np.ndarray) -> "Pixels":
        """Some of the pictures; the bytes are shared."""
        return Pixels(self.flat_P, self.shape_N3[rows], self.digest_N16[rows], self.start_N[rows])


def digest(picture: np.ndarray) -> bytes:
    """The hash of a picture's shape and pixels."""
    found = hashlib.sha256(struct.pack("<III", *picture.shape))
    found.update(np.ascontiguousarray(picture).data)
    return found.digest()[:DIGEST]


class Packer:
    """Takes pictures one by one; beyond `in_memory` bytes they go to the file of this key in the cache."""

    def __init__(self, key: str, in_memory: int | None = None):
        self.key, self.in_memory = key, IN_MEMORY if in_memory is None else in_memory
        self.buffer = bytearray()
        self.file: BinaryIO | None = None
        self.shapes: list[tuple[int, ...]] = []
        self.digests: list[bytes] = []

    def add(self, picture: np.ndarray) -> None:
        """Append a picture, uint8 (H, W, C)."""
        self.shapes.append(picture.shape)
        self.digests.append(digest(picture))
        self.buffer += np.ascontiguousarray(picture).data.cast("B")
        if len(self.buffer) > (self.in_memory if self.file is None else BLOCK):
            self._spill()

    def finish(self, facts: dict[str, Any], *, keep: bool = True) -> Pixels:
        """The pixels; `facts` is what else the next opening is to know. Without `keep` there is none."""
        shape_N3 = np.array(self.shapes, np.int64).reshape(-1, 3)
        digest_N16 = np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, DIGEST)
        if self.file is None:
            return _pixels(np.frombuffer(self.buffer, np.uint8), shape_N3, digest_N16)
        n_pixels = int(shape_N3.prod(1).sum())
        index = shape_N3.astype("<i8").tobytes() + digest_N16.tobytes() + json.dumps(facts).encode()
        n_facts = len(index) - len(shape_N3) * (24 + DIGEST)
        self.buffer += index + TAIL.pack(n_pixels, len(shape_N3), n_facts, zlib.crc32(index), MAGIC)
        self._spill()
        path = self._rename()
        flat_P = _mapped(path, n_pixels)
        if not keep:
            with suppress(OSError):
                path.unlink()  # the mapping keeps the bytes
        return _pixels(flat_P, shape_N3, digest_N16)

    def drop(self) -> None:
        """Leave nothing behind, after a failure."""
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                os.unlink(self.file.name)
            self.file = None

    def _spill(self) -> None:
        if self.file is None:
            self.file = _part_file(self.key)
        try:
            self.file.write(self.buffer)
        except OSError as error:
            _refuse(error, Path(self.file.name))
        self.buffer = bytearray()

    def _rename(self) -> Path:
        assert self.file is not None
        path = _path(self.key)
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.file.name, path)
        except OSError as error:
            _refuse(error, path)
        self.file = None
        return path


def stored(key: str) -> tuple[Pixels, dict[str, Any]] | None:
    """Pixels and facts that an earlier opening left in the cache; None where there are none, or they are damaged."""
    path = _path(key)
    try:
        with open(path, "rb") as file:
            found = _read_index(file)
    except OSError:
        return None
    if found is not None:
        pixels, facts = found
        if all(digest(pixels[i]) == pixels.digest_N16[i].tobytes() for i in range(len(pixels.start_N))):
            return pixels, facts
    with suppress(OSError):
        path.unlink()
    return None


def room(shape: Sequence[int], in_memory: int | None = None) -> np.ndarray:
    """An empty uint8 array of that shape; a large one is a mapped file that vanishes with it."""
    n_bytes = int(np.prod(shape, dtype=np.int64))
    if n_bytes <= (IN_MEMORY if in_memory is None else in_memory):
        return np.empty(shape, np.uint8)
    file = _part_file("room")
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)  # a full disk is told now, not by a bus error later
        return np.memmap(file, np.uint8, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=tuple(shape))
    except OSError as error:
        _refuse(error, Path(file.name))
    finally:
        file.close()
        with suppress(OSError):
            os.unlink(file.name)  # the mapping keeps the bytes


def _pixels(flat_P: np.ndarray, shape_N3: np.ndarray, digest_N16: np.ndarray) -> Pixels:
    size_N = shape_N3.prod(1)
    return Pixels(flat_P, shape_N3, digest_N16, np.cumsum(size_N) - size_N)


def _mapped(path: Path, n_pixels: int) -> np.ndarray:
    # copy on write: whoever writes into a picture does not spoil the cache
    return np.memmap(path, np.uint8, "c", shape=(n_pixels,)) if n_pixels else np.empty(0, np.uint8)


def _read_index(file: BinaryIO) -> tuple[Pixels, dict[str, Any]] | None:
    n_bytes = file.seek(0, os.SEEK_END)
    if n_bytes < TAIL.size:
        return None
    file.seek(n_bytes - TAIL.size)
    n_pixels, n_pictures, n_facts, checksum, magic = TAIL.unpack(file.read(TAIL.size))
    n_index = n_pictures * (24 + DIGEST) + n_facts
    if magic != MAGIC or n_pixels + n_index + TAIL.size != n_bytes:
        return None
    file.seek(n_pixels)
    index = file.read(n_index)
    if zlib.crc32(index) != checksum:
        return None
    shape_N3 = np.frombuffer(index, "<i8", n_pictures * 3).reshape(-1, 3).astype(np.int64)
    digest_N16 = np.frombuffer(index, np.uint8, n_pictures * DIGEST, n_pictures * 24).reshape(-1, DIGEST)
    facts = json.loads(index[n_pictures * (24 + DIGEST) :])
    return _pixels(_mapped(Path(file.name), n_pixels), shape_N3, digest_N16), facts


def _path(key: str) -> Path:
    return cache_folder("pictures") / f"{key}.pixels"


def _part_file(key: str) -> BinaryIO:
    folder = cache_folder("pictures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(".*.part"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > LEFTOVER:
                    old.unlink()
        handle, name = tempfile.mkstemp(prefix=f".{key[:16]}-", suffix=".part", dir=folder)
        os.close(handle)
        return open(name, "r+b")
    except OSError as error:
        _refuse(error, folder)


def _refuse(error: OSError, path: Path) -> NoReturn:
    if error.errno in NO_ROOM:
        raise DiskFullError(
            error.errno,
            f"{path.parent} has no room for the unpacked pictures. Free some space, "
            "or set TWOFOLD_CACHE to a folder on a larger disk, and run the command again.",
        ) from error
    raise error
