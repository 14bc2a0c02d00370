"""Where finished runs are used: models stay open between questions, and one question is worked on at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from twofold.studio.guard import Refusal

__all__ = ["Workbench"]

KEPT_OPEN = 6
MAX_WAITING = 160
N_THREADS = 1  # one core answers, the other trains
DRAWN_BYTES = 64 << 20

Answer = TypeVar("Answer")
_END = object()


class Workbench:
    """Models that are open, data that are open, and a thread that works."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="workbench")
        self._open: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._n_waiting = 0
        self._drawn: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._n_drawn = 0  # bytes

    def warm_up(self) -> None:
        """Import what is heavy, behind the first page."""
        self._thread.submit(_import_all)

    def end(self) -> None:
        """No more work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def work(self, job: Callable[..., Answer], *given: Any) -> Answer:
        """Do something heavy when its turn comes.

        Raises
        ------
        Refusal
            503 where too many wait already.
        """
        if self._n_waiting >= MAX_WAITING:
            raise Refusal(503, "too many questions at once. Try again in a moment.")
        self._n_waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job, *given)
        finally:
            self._n_waiting -= 1

    async def draw(self, key: tuple[Any, ...], make: Callable[[], bytes]) -> bytes:
        """A picture or sound that was drawn under that key before, or is drawn when its turn comes."""
        if key not in self._drawn:
            drawn = await self.work(make)
            self._n_drawn += len(drawn) - len(self._drawn.get(key, b""))
            self._drawn[key] = drawn
            while self._n_drawn > DRAWN_BYTES:
                self._n_drawn -= len(self._drawn.popitem(last=False)[1])
            return drawn
        self._drawn.move_to_end(key)
        return self._drawn[key]

    async def each(self, pieces: Iterator[Answer]) -> AsyncIterator[Answer]:
        """A generator's pieces, one turn each, so that others get theirs in between."""
        try:
            while (piece := await self.work(next, pieces, _END)) is not _END:
                yield piece  # type: ignore[misc]
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                await self.work(close)

    def model(self, folder: Path) -> Any:
        """The estimator of a run, opened once; call it inside `work`."""
        from twofold.runs import load

        changed = (folder / "config.json").stat().st_mtime_ns
        return self.keep(("model", folder, changed), lambda: load(folder))

    def keep(self, key: tuple[Any, ...], make: Callable[[], Answer]) -> Answer:
        """What was made under that key before, or made now; the longest unused is let go."""
        if key not in self._open:
            self._open[key] = make()
            while len(self._open) > KEPT_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]  # type: ignore[no-any-return]


def _import_all() -> None:
    import torch

    import twofold.runs  # noqa: F401

    torch.set_num_threads(N_THREADS)
