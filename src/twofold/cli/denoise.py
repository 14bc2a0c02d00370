"""twofold denoise: pictures without their noise, by a run or by themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say, table
from twofold.data.names import shown
from twofold.data.pictures import Pictures, open_pictures, write_picture
from twofold.data.sheets import targets
from twofold.errors import RunError, SettingError
from twofold.methods.denoiser import Denoiser, denoise_alone
from twofold.runs import load

__all__ = ["denoise"]

ALONE = "--self"


@dataclass(kw_only=True)
class AloneFlags:
    """Clean pictures with nothing to learn from but each noisy one itself."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """A picture, or a folder or archive of them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The picture to write; for many a folder."""
    noise: float | None = None
    """Standard deviation of the noise, of 255 (None: estimated for each picture)."""


@dataclass(kw_only=True)
class DenoiseFlags:
    """Clean pictures by a finished run. Without a run: twofold denoise --self IN -o OUT."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder of a denoiser."""
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """A picture, or a folder or archive of them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The picture to write; for many a folder."""
    noise: float | None = None
    """Standard deviation of the noise, of 255 (None: estimated for each picture)."""
    turns: int = 1
    """Turned copies whose answers are averaged, 1 to 8: more is finer, and takes as many times as long."""


def denoise(arguments: list[str]) -> dict[str, Any]:
    """Write the clean pictures; tell the noise level and the gain that is foreseen for each."""
    if ALONE in arguments:
        flags = parse(AloneFlags, f"denoise {ALONE}", [word for word in arguments if word != ALONE])
        pictures = open_pictures(flags.data, split="all")
        cleaned = (denoise_alone(picture, flags.noise) for picture in pictures)
    else:
        flags = _denoise_flags(arguments)
        denoiser = load(flags.run)
        if not isinstance(denoiser, Denoiser):
            raise RunError(f"{flags.run} holds a {denoiser.method!r} run, which cannot denoise. Give a denoiser's run.")
        pictures = open_pictures(flags.data, split="all")
        cleaned = (
            (denoiser.denoise(picture, flags.noise, n_turns=flags.turns), denoiser.estimate_gain(picture, flags.noise))
            for picture in pictures
        )
    rows = _write(pictures, cleaned, flags.out, is_one=flags.data.is_file() and len(pictures) == 1)
    table(rows)
    for bad in pictures.bad:
        say(f"left out: {shown(bad.name)}: {bad.reason}")
    return {"out": str(flags.out), "pictures": rows, "bad": [bad._asdict() for bad in pictures.bad]}


def _denoise_flags(arguments: list[str]) -> DenoiseFlags:
    flags = parse(DenoiseFlags, "denoise", arguments)
    if not 1 <= flags.turns <= 8:
        raise SettingError(f"--turns is {flags.turns}. Allowed: 1 to 8. Give 1, or 8 for the finest.")
    return flags


def _write(pictures: Pictures, cleaned: Any, out: Path, *, is_one: bool) -> list[dict[str, Any]]:
    """Each picture as soon as it is clean; a row for each."""
    rows = []
    for path, name, (clean_HWC, gain) in zip(targets(pictures.ids, out, is_one), pictures.ids, cleaned, strict=True):
        write_picture(path, np.asarray(clean_HWC))
        rows.append({"picture": shown(name), "predicted gain in dB": round(float(gain), 2), "written": str(path)})
    return rows
