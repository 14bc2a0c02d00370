"""Progress on the terminal: a bar with ETA and loss terms; plain lines where there is no terminal."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twofold.cli.output import say
from twofold.core.distributed import is_main
from twofold.core.loop import Progress

__all__ = ["watch"]


def watch(training: Iterator[Progress]) -> Progress | None:
    """Show a training to its end, or until Ctrl-C, which leaves a usable model; the last measurement."""
    show = (_bar if sys.stderr.isatty() else _lines) if is_main() else iter
    last = None
    with _stop_flag() as stop:
        try:
            for progress in show(training):
                last = progress
                if stop:
                    say("stopping: the model so far is kept")
                    break
        finally:
            training.close()  # type: ignore[attr-defined]
    return last


@contextmanager
def _stop_flag() -> Iterator[list[bool]]:
    """A list that Ctrl-C fills: training stops between two steps, never inside one. A second Ctrl-C ends at once."""
    stop: list[bool] = []

    def note(number: int, frame: Any) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append(True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _lines(training: Iterator[Progress]) -> Iterator[Progress]:
    """A plain line every few seconds, at each note, and for the last step."""
    told = time.monotonic()
    last = None
    for last in training:
        if last.note or time.monotonic() - told > 5:
            told = time.monotonic()
            _tell(last)
        yield last
    if last is not None:
        _tell(last)


def _tell(progress: Progress) -> None:
    of = f"/{progress.n_steps}" if progress.n_steps else ""
    note = f"  {progress.note}" if progress.note else ""
    print(f"step {progress.step}{of}  {progress.seconds:.0f} s  {_terms(progress)}{note}", file=sys.stderr, flush=True)


def _terms(progress: Progress) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in (progress.losses | progress.measures).items())


def _bar(training: Iterator[Progress]) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(file=sys.stderr), refresh_per_second=4) as bar:
        task = bar.add_task("", total=None)
        for progress in training:
            if progress.note:
                bar.console.print(progress.note)
            bar.update(task, completed=progress.step, total=progress.n_steps, description=_terms(progress))
            yield progress
