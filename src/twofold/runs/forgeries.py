"""What people judge: real items, and fakes by whatever a run makes of them; and the study that both become.

A gan makes fakes of noise. A compressor's fakes are pictures that went through a file and back; a masked autoencoder's
are pictures of which it painted a part; a language model's are passages it wrote on from real beginnings.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twofold.core.estimator import Estimator, read_config
from twofold.data.pictures import Pictures, open_pictures
from twofold.data.text import read_text
from twofold.errors import DataError, RunError
from twofold.runs import load
from twofold.runs.fakes import fakes_of, real_side
from twofold.turing.items import Items, fingerprints, open_sides
from twofold.turing.records import Rules, Study
from twofold.turing.trial import draw_trial

__all__ = ["MAKERS", "Sides", "begin_study", "sides_of_data", "sides_of_run"]

QUALITY = 20.0  # of decompressed pictures: above, hardly anybody sees it
HIDDEN = 0.4  # share of a picture that is painted
LARGE, PATCH = 256, 128  # of pictures larger than the first, windows of the second are judged
PROMPT, PASSAGE = 40, 150  # characters that a language model goes on from, and that are judged
TEMPERATURE = 0.8
PROSE = 0.85  # of the letters and spaces of a passage


@dataclass(frozen=True)
class Sides:
    """The real items and the fakes that a trial is drawn from."""

    real: Items
    fake: Items
    are_matched: bool = False
    """Whether each fake was made from the real item of the same row."""
    notes: list[str] = field(default_factory=list)


def sides_of_data(real: Any, fake: Any, split: str = "all") -> Sides:
    """Two data sets of one kind."""
    return Sides(*open_sides(real, fake, split))


def sides_of_run(
    run: Path, data: str, n: int, *, seed: int = 0, estimator: Estimator | None = None, split: str | None = None
) -> Sides:
    """Enough of both sides for a trial of n and n, by the run's own way of forging.

    Parameters
    ----------
    estimator : the run's, where it is open already.

    Raises
    ------
    RunError
        When the run's method forges nothing.
    """
    model = load(run) if estimator is None else estimator
    if model.method not in MAKERS:
        raise RunError(f"{run.name} holds a {model.method!r} run, which makes no fakes. Allowed: {', '.join(MAKERS)}.")
    sides = MAKERS[model.method](model, run, data, n=n, seed=seed, split=split)
    if (read_config(run).get("data") or {}).get("data") == data and sides.are_matched:
        sides.notes.append("the run learned from these very data")
    return sides


def begin_study(
    root: Path, sides: Sides, *, n: int, seed: int = 0, are_pairs: bool = False, rules: Rules | None = None,
    title: str, data: str,
) -> Study:  # fmt: skip
    """Draw the trial, and freeze its items below a folder of runs."""
    names = [fingerprints(side) for side in (sides.real, sides.fake)]
    trial = draw_trial(names[0], names[1], n=n, seed=seed, are_pairs=are_pairs, are_matched=sides.are_matched)
    return Study.begin(root, trial, (sides.real, sides.fake), title=title, data=data, rules=rules, notes=sides.notes)


# ---- the ways of forging -------------------------------------------------------------------------


def _generated(model: Any, run: Path, data: str, *, n: int, seed: int, split: str | None) -> Sides:
    real, notes = real_side(model, run, data, split)
    return Sides(*open_sides(real, fakes_of(model, n, seed)), notes=notes)


def _decompressed(model: Any, run: Path, data: str, *, n: int, seed: int, split: str | None) -> Sides:
    real = _some(data, n, seed, split)
    made = [model.decompress(model.compress(picture, QUALITY)) for picture in real]
    return Sides(real, Pictures.of(made), True, [f"the fakes went through a file of quality {QUALITY:g}, and back"])


def _painted(model: Any, run: Path, data: str, *, n: int, seed: int, split: str | None) -> Sides:
    real = _some(data, n, seed, split)
    made = [model.inpaint(picture, ratio=HIDDEN, seed=seed + row) for row, picture in enumerate(real)]
    return Sides(real, Pictures.of(made), True, [f"{HIDDEN:.0%} of each fake was hidden, and painted"])


def _written(model: Any, run: Path, data: str, *, n: int, seed: int, split: str | None) -> Sides:
    """Passages after real beginnings, of which nobody is shown both the real and the written one."""
    text, notes = read_text(data), []
    if (read_config(run).get("data") or {}).get("data") == data and model.held_out:
        text = text[len(text) - int(model.held_out * len(text)) :]
        notes.append("only the end of the text, which was held out from learning, stands on the real side")
    windows = _windows(text, 2 * n, np.random.default_rng(seed))
    if len(windows) < 2 * n:
        raise DataError(
            f"{data} has room for {len(windows)} passages; {2 * n} are needed. Ask for fewer, or give more text."
        )
    real = [_whole_words(window[PROMPT:]) for window in windows[:n]]
    made = []
    for place, window in enumerate(windows[n:]):
        pieces = model.stream(window[:PROMPT], PASSAGE, temperature=TEMPERATURE, seed=seed + place)
        made.append(_whole_words("".join(_until(PASSAGE, pieces))[:PASSAGE]))
    return Sides(real, made, notes=notes)


MAKERS: dict[str, Callable[..., Sides]] = {
    "gan": _generated, "compressor": _decompressed, "masked": _painted, "language": _written,
}  # fmt: skip
"""Method -> how its runs forge."""


def _some(data: str, n: int, seed: int, split: str | None) -> Pictures:
    """2 n pictures by chance: windows, where they are few and large."""
    pictures = open_pictures(data, split=split or "all")
    if float(np.median(pictures.size_N2.min(1))) >= LARGE:
        return Pictures.of(pictures.patches(PATCH, 2 * n, seed=seed))
    rows = np.random.default_rng(seed).permutation(len(pictures))[: 2 * n]
    return pictures.take(np.sort(rows))


def _windows(text: str, n: int, rng: np.random.Generator) -> list[str]:
    """Pieces by chance, each a beginning and a passage: of prose, where there is enough, and not of tables or code."""
    size = PROMPT + PASSAGE
    pieces = [text[start : start + size] for start in range(0, len(text) - size + 1, size)]
    prose = [piece for piece in pieces if sum(map(str.isalpha, piece)) + piece.count(" ") >= PROSE * size]
    chosen = prose if len(prose) >= n else pieces
    return [chosen[place] for place in rng.permutation(len(chosen))[:n]]


def _until(n_letters: int, pieces: Any) -> Any:
    for piece in pieces:
        yield piece
        n_letters -= len(piece)
        if n_letters <= 0:
            return


def _whole_words(text: str) -> str:
    """From the first whole word to the last; spaces as one, so that only the words tell."""
    words = text.split()
    return " ".join(words[1:-1] if len(words) > 2 else words)
