"""twofold fit METHOD DATA --out RUN, twofold resume RUN."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from twofold.cli.flags import parse, parse_with_settings
from twofold.cli.output import say
from twofold.cli.progress import watch
from twofold.core.distributed import is_main
from twofold.core.loop import Progress
from twofold.data.pictures import write_picture
from twofold.data.sheets import contact_sheet
from twofold.data.tables import nearest
from twofold.errors import SettingError
from twofold.methods import METHODS
from twofold.runs import Source, fit_run, load, resume_run

__all__ = ["fit", "resume"]


@dataclass(kw_only=True)
class FitFlags:
    """Train a method in a new run folder."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """A path, or sample:NAME."""
    out: Path
    """The run folder to make."""
    label: str | None = None
    """The column that holds labels: never a feature."""
    normal: str | None = None
    """The label of normal rows: only these are learnt from."""
    split: str | None = None
    """Which split of a folder of pictures: train, val, test, all (None: train where there is one)."""


@dataclass(kw_only=True)
class ResumeFlags:
    """Go on after a stop or a crash, to the bits the run would have reached."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""


def fit(arguments: list[str]) -> dict[str, Any] | None:
    """Train; the run's measures, told by the main one of several processes."""
    method = _method(arguments)
    flags, estimator = parse_with_settings(FitFlags, METHODS[method], f"fit {method}", arguments[1:])
    source = Source(flags.data, flags.label, flags.normal, flags.split)
    if flags.normal is not None and hasattr(estimator, "normal_only"):
        # it was just said which rows are normal
        estimator.set_params(normal_only=True)
    return _finish(fit_run(estimator, source, flags.out), flags.out)


def resume(arguments: list[str]) -> dict[str, Any] | None:
    """Go on; the run's measures."""
    flags = parse(ResumeFlags, "resume", arguments)
    return _finish(resume_run(flags.run), flags.run)


def _method(arguments: list[str]) -> str:
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print("usage: twofold fit METHOD DATA --out RUN [flags]\n\nMETHOD (its flags: twofold fit METHOD --help):")
        for key, cls in METHODS.items():
            print(f"  {key:<12} {(cls.__doc__ or '').strip().splitlines()[0]}")
        sys.exit(0)
    if name not in METHODS:
        hint = nearest(name, METHODS)
        raise SettingError(
            f"method {name!r} is not known.{hint} Allowed: {', '.join(METHODS)}. See: twofold fit --help"
        )
    return name


def _finish(training: Iterator[Progress], folder: Path) -> dict[str, Any] | None:
    last = watch(_with_looks(training, folder))
    if not is_main():
        return None
    estimator = load(folder)
    measures = getattr(estimator, "measures_", {})
    for name, value in measures.items():
        say(f"{name}: {value:.4g}")
    alarms = getattr(estimator, "alarms_", [])
    for alarm in alarms:
        say(f"alarm: {alarm}")
    say(f"saved in {folder}")
    return {
        "run": str(folder), "steps": estimator.n_iter_, "seconds": last.seconds if last else 0.0,
        "measures": measures, "alarms": alarms,
    }  # fmt: skip


def _with_looks(training: Iterator[Progress], folder: Path) -> Iterator[Progress]:
    """The same; pictures that are shown on the way are kept in outputs/preview.png, the latest over the last."""
    with closing(training) as steps:  # type: ignore[type-var]
        for progress in steps:
            is_look = isinstance(progress.preview, np.ndarray) and progress.preview.ndim == 4
            if is_look and is_main():
                write_picture(folder / "outputs" / "preview.png", contact_sheet(list(progress.preview)))
            yield progress
