"""Bringing a gallery up to date: what is new is read once, embedded, and kept every few seconds.

A file whose bytes are known under another name is recognised by their digest and not embedded again. The broken are
remembered with the reason, and not tried again until their file changes.
Dimension key: E width of the embedding.
"""

import hashlib
import io
import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from PIL import Image

from twofold.core.gallery.dates import Header, read_header
from twofold.core.gallery.sources import Source
from twofold.core.gallery.storage import Row, Storage
from twofold.core.gallery.towers import Towers, embed_pictures, side_of
from twofold.data.decoding import MAX_BYTES, MAX_PIXELS, decode, pixels_of
from twofold.data.listing import Entry
from twofold.errors import DataError

__all__ = ["Refreshed", "refresh"]

BATCH = 32
KEPT_EVERY = 2.0  # seconds between writes: more is lost by a kill, less slows down
DRAFT = 1.5  # a JPEG is decoded at this many times the side at least, for its pixels to be averaged and not picked
AHEAD = 2 * BATCH  # pictures decoded before they are embedded, at most


@dataclass(frozen=True)
class Refreshed:
    """How far a refresh is."""

    done: int
    """Files looked into."""
    total: int
    """Files to be looked into: new ones, and those that changed."""
    n_unchanged: int
    n_embedded: int = 0
    n_recognised: int = 0
    """Known by their bytes: touched, renamed, moved or copied."""
    n_broken: int = 0
    n_forgotten: int = 0
    """No longer there."""
    seconds: float = 0.0


@dataclass
class _Found:
    """A file that was read: its row, and its pixels where they are to be embedded."""

    row: Row
    pixels: np.ndarray | None = None


@dataclass
class _Plan:
    """What a refresh has to do, told by names and stamps alone."""

    new: list[Entry]
    n_unchanged: int
    gone: list[str]
    digests: dict[bytes, int] = field(default_factory=dict)


def refresh(storage: Storage, towers: Towers, source: Source, *, n_threads: int = 1) -> Iterator[Refreshed]:
    """Bring storage up to date with its source; closed at any time, what was embedded is kept.

    Parameters
    ----------
    n_threads : with more than one, the next pictures are decoded in a thread beside the embedding.
    """
    began = time.monotonic()
    plan = _plan(storage, source)
    state = Refreshed(0, len(plan.new), plan.n_unchanged)
    yield state
    writer = _Writer(storage)
    read = _reader(storage, source, plan.digests, side_of(towers))
    try:
        files = _ahead(read, plan.new) if n_threads > 1 else map(read, plan.new)
        while found := list(islice(files, BATCH)):
            writer.add(_embedded(towers, found))
            state = _counted(state, found, time.monotonic() - began)
            yield state
    finally:
        writer.flush()
    if plan.gone:
        storage.write([], plan.gone)
    yield replace(state, n_forgotten=len(plan.gone), seconds=time.monotonic() - began)


class _Writer:
    """Rows, written together every few seconds."""

    def __init__(self, storage: Storage):
        self.storage = storage
        self.waiting: list[Row] = []
        self.last = time.monotonic()

    def add(self, rows: Sequence[Row]) -> None:
        self.waiting += rows
        if time.monotonic() - self.last > KEPT_EVERY:
            self.flush()

    def flush(self) -> None:
        # emptied first: where the disk is full, the same rows are not tried twice
        rows, self.waiting = self.waiting, []
        if rows:
            self.storage.write(rows)
        self.last = time.monotonic()


def _plan(storage: Storage, source: Source) -> _Plan:
    known = storage.stamps()
    entries = source.entries()
    new = [entry for entry in entries if not entry.stamp or known.get(entry.name) != tuple(entry.stamp)]
    there = {entry.name for entry in entries}
    # what lies in a folder that cannot be listed just now is not gone
    hidden = [entry.name for entry in entries if not entry.stamp and source.path(entry.name).is_dir()]
    starts = tuple("" if name == "." else f"{name}/" for name in hidden)
    gone = [name for name in known if name not in there and not (starts and name.startswith(starts))]
    return _Plan(new, len(entries) - len(new), gone, storage.digests() if new else {})


def _reader(storage: Storage, source: Source, digests: dict[bytes, int], side: int) -> Callable[[Entry], _Found]:
    def read(entry: Entry) -> _Found:
        row = Row(entry.name, tuple(entry.stamp), date=source.date(entry))
        try:
            data = _bytes(entry)
            row = replace(row, digest=hashlib.sha256(data).digest())
            # asked for now: by the time of embedding the other row may have been replaced
            twin = storage.rows([digests[row.digest]]) if row.digest in digests else {}
            vector_E = next((other.vector_E for other in twin.values()), None)
            header = read_header(data)
            pixels = _pixels(data, header, side) if vector_E is None else None
        except DataError as error:
            return _Found(replace(row, reason=str(error)))
        except OSError as error:  # of the disk: it may go away, so it is tried again
            return _Found(replace(row, stamp=(), reason=f"cannot be read ({error.strerror}). Look after the disk."))
        date = row.date if header.taken is None else header.taken
        return _Found(replace(row, date=date, height=header.height, width=header.width, vector_E=vector_E), pixels)

    return read


def _bytes(entry: Entry) -> bytes:
    """The whole file, read once; of one that is far too large only what decoding needs to refuse it."""
    with entry.open() as file:
        if file.seek(0, io.SEEK_END) > MAX_BYTES:
            decode(file)
        file.seek(0)
        return file.read()


def _pixels(data: bytes, header: Header, side: int) -> np.ndarray:
    """The picture with its short side as wanted; a JPEG is decoded smaller than `decode` would, which is quicker."""
    height, width = header.height or 0, header.width or 0
    if header.kind != "JPEG" or not 0 < height * width <= MAX_PIXELS:
        return decode(io.BytesIO(data), side)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            scale = min(1.0, DRAFT * side / min(image.size))
            image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
            return pixels_of(image, side)


def _ahead(read: Callable[[Entry], _Found], entries: Iterable[Entry]) -> Iterator[_Found]:
    """The files in their order, read in one thread beside this one."""
    waiting: deque[Future[_Found]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="twofold-decode")
    try:
        for entry in entries:
            waiting.append(pool.submit(read, entry))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _embedded(towers: Towers, found: list[_Found]) -> list[Row]:
    """The rows, with embeddings of those that were decoded."""
    vectors = iter(embed_pictures(towers, [item.pixels for item in found if item.pixels is not None]))
    return [item.row if item.pixels is None else replace(item.row, vector_E=next(vectors)) for item in found]


def _counted(state: Refreshed, found: list[_Found], seconds: float) -> Refreshed:
    n_embedded = sum(item.pixels is not None for item in found)
    n_recognised = sum(item.row.vector_E is not None for item in found)
    return replace(
        state,
        done=state.done + len(found),
        n_embedded=state.n_embedded + n_embedded,
        n_recognised=state.n_recognised + n_recognised,
        n_broken=state.n_broken + len(found) - n_embedded - n_recognised,
        seconds=seconds,
    )
