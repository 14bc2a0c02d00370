"""twofold index, search: pictures of a folder found by words, by other pictures, or by both."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say, table
from twofold.cli.sheet import named_sheet
from twofold.core.device import threads
from twofold.core.gallery import Found, Gallery, Match, Refreshed
from twofold.data.names import shown
from twofold.data.pictures import write_picture
from twofold.data.sheets import overlays, targets
from twofold.errors import RunError, SettingError
from twofold.methods.clip import CLIP
from twofold.nn.openclip import OPENCLIP
from twofold.runs import load, with_verb

__all__ = ["index", "search"]

TOLD_EVERY = 5.0  # seconds
WHY_SIDE = 448  # pixels of the short side of a picture that is explained
WEIGHT = re.compile(r"(\d+(?:\.\d+)?):(.+)", re.DOTALL)

Texts = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT")]


@dataclass(kw_only=True)
class IndexFlags:
    """Make a folder of pictures searchable; again, to bring it up to date."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run folder of a clip model, or openclip:MODEL/WEIGHTS."""
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """A folder of pictures, with all folders below it, or a ZIP archive."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The folder of the index, such as photos.index."""
    n_threads: int | None = None
    """Processor threads (None: all); from two on, pictures are decoded beside the embedding."""
    graph: bool = False
    """Also link neighbours, for quick search beyond a million pictures; needs the extra twofold[index]."""


@dataclass(kw_only=True)
class SearchFlags:
    """Find pictures in an index. What does not fit is not listed."""

    index: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="INDEX")]
    """The folder that twofold index wrote."""
    text: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="TEXT")] = None
    """What the pictures show."""
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10
    """How many, at most."""
    like: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE")] = ()
    """A picture that what is sought resembles; may be given again."""
    plus: Texts = ()
    """Words to add; 0.5:words for half the weight; may be given again."""
    minus: Texts = ()
    """Words to take away, likewise."""
    sort: str = "fit"
    """fit: the best first; date: the newest first of all that fit."""
    since: str | None = None
    """Only pictures of this day or later: 2024, 2024-05 or 2024-05-17."""
    until: str | None = None
    """Only pictures of this day or earlier."""
    all: bool = False
    """Show the nearest, even where they do not fit."""
    sheet: Path | None = None
    """A picture to write, of all that is found."""
    why: Path | None = None
    """A folder to write the pictures to, red where each fits the text."""
    run: str | None = None
    """The run whose towers made the index (None: where it was then)."""


def index(arguments: list[str]) -> dict[str, Any]:
    """Embed what is new, forget what is gone, tell what is broken."""
    flags = parse(IndexFlags, "index", arguments)
    towers = _towers(flags.run)
    gallery = Gallery.open(flags.out)
    n_threads = flags.n_threads or torch.get_num_threads()
    run = os.path.abspath(flags.run) if Path(flags.run).exists() else flags.run
    # one thread decodes
    with threads(max(1, n_threads - 1)):
        last = _watched(gallery.refresh(towers, flags.folder, run=run, n_threads=n_threads))
    if flags.graph:
        gallery.connect()
    for bad in gallery.broken:
        say(f"left out: {shown(bad.name)}: {bad.reason}")
    say(
        f"{len(gallery)} pictures in {shown(str(flags.out))}: {last.n_embedded} embedded, {last.n_recognised} known by "
        f"their bytes, {last.n_unchanged} unchanged, {last.n_forgotten} forgotten, {len(gallery.broken)} broken; "
        f"{last.seconds:.1f} s"
    )
    return {
        "out": str(flags.out), "pictures": len(gallery), "embedded": last.n_embedded, "recognised": last.n_recognised,
        "unchanged": last.n_unchanged, "forgotten": last.n_forgotten, "seconds": last.seconds,
        "broken": [{"name": shown(bad.name), "reason": bad.reason} for bad in gallery.broken],
    }  # fmt: skip


def search(arguments: list[str]) -> dict[str, Any]:
    """List what fits, or say that nothing does."""
    flags = parse(SearchFlags, "search", arguments)
    if flags.why is not None and flags.text is None:
        raise SettingError("--why shows where a picture fits a text, and none was given. Give one, or leave --why out.")
    gallery = Gallery.open(flags.index)
    towers = _towers(flags.run or _remembered_run(gallery))
    found = gallery.search(
        towers, flags.text, like=flags.like, plus=_weighted(flags.plus), minus=_weighted(flags.minus), k=flags.k,
        sort=flags.sort, since=flags.since, until=flags.until,
    )  # fmt: skip
    listed = found.nearest if flags.all else list(found)
    _tell_unknown(towers, [flags.text or "", *flags.plus, *flags.minus])
    _tell(found, listed)
    written = _write(gallery, towers, listed, flags)
    return {
        "matches": [_told(match) for match in found], "nearest": [_told(match) for match in found.nearest],
        "least_score": found.least_score, "pictures": len(gallery), **written,
    }  # fmt: skip


def _towers(run: str) -> Any:
    if run.startswith(OPENCLIP):
        return CLIP.from_openclip(run)
    return with_verb(load(run), "embed_pixels", Path(run))


def _remembered_run(gallery: Gallery) -> str:
    run = gallery.known_facts()["run"]
    if os.path.isabs(run) and not os.path.isdir(run):
        raise RunError(
            f"{shown(str(gallery.folder))} was made by the run {shown(run)}, which is not there any more. "
            "Give its new place with --run."
        )
    return run


def _watched(refreshing: Iterator[Refreshed]) -> Refreshed:
    """A line every few seconds; the last state."""
    told = time.monotonic()
    for last in refreshing:
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            left = (last.total - last.done) * last.seconds / max(1, last.done)
            say(f"{last.done} of {last.total} pictures, {last.n_broken} broken, {left:.0f} s to go")
    return last


def _weighted(texts: Sequence[str]) -> list[tuple[str, float]]:
    found = [(WEIGHT.fullmatch(text), text) for text in texts]
    return [(parts[2], float(parts[1])) if parts else (text, 1.0) for parts, text in found]


def _tell_unknown(towers: Any, texts: Sequence[str]) -> None:
    """Words that were not in the captions it learned from; a guess from their letters is not to be trusted."""
    asked = " ".join(words for words, _ in _weighted(texts))
    unknown = towers.unknown_words(asked) if hasattr(towers, "unknown_words") else []
    if unknown:
        say(f"not in the captions that were learned from: {', '.join(unknown)}. Other words may find more.")


def _tell(found: Found, listed: list[Match]) -> None:
    if found.least_score is None:
        say("the index holds no pictures")
        return
    if not found:
        best = found.nearest[0] if found.nearest else None
        near = f"the nearest, {best.id}, scores {best.score:.3f}; " if best else "there is none of these dates; "
        say(f"nothing fits: {near}{found.least_score:.3f} is needed." + ("" if listed else " See it with --all."))
    if listed:
        table([
            {"": place, "score": f"{match.score:.3f}", "fits": "yes" if match.fits else "no",
             "date": f"{match.date:%Y-%m-%d %H:%M}", "picture": match.id}
            for place, match in enumerate(listed, start=1)
        ])  # fmt: skip


def _told(match: Match) -> dict[str, Any]:
    return {
        "id": match.id, "path": shown(str(match.path)), "date": match.date.isoformat(), "score": match.score,
        "fits": match.fits,
    }  # fmt: skip


def _write(gallery: Gallery, towers: Any, listed: list[Match], flags: SearchFlags) -> dict[str, Any]:
    """The sheet and the explained pictures, where they are asked for and something was found."""
    written: dict[str, Any] = {}
    if not listed:
        return written
    if flags.sheet is not None:
        names = [f"{place} {match.id}" for place, match in enumerate(listed, start=1)]
        write_picture(flags.sheet, named_sheet([gallery.pixels(match, 256) for match in listed], names))
        say(f"{len(listed)} pictures in {shown(str(flags.sheet))}")
        written["sheet"] = str(flags.sheet)
    if flags.why is not None:
        pictures = [gallery.pixels(match, WHY_SIDE) for match in listed]
        heats = [np.asarray(towers.explain(picture_HWC, flags.text)) for picture_HWC in pictures]
        paths = targets([match.name for match in listed], flags.why, False)
        for path, picture_HW3 in zip(paths, overlays(pictures, heats), strict=True):
            write_picture(path, picture_HW3)
        say(f"where they fit: {len(paths)} pictures in {shown(str(flags.why))}")
        written["why"] = [str(path) for path in paths]
    return written
