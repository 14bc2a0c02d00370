"""twofold describe, classify: pictures in words, by a clip run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say, table
from twofold.cli.use import ids_of
from twofold.data.names import shown
from twofold.data.pictures import Pictures, open_pictures
from twofold.data.tables import write_table
from twofold.errors import DataError, SettingError
from twofold.methods.clip import CLIP
from twofold.nn.openclip import OPENCLIP
from twofold.runs import load, with_verb

__all__ = ["classify", "describe"]

MOST_SHOWN = 50  # pictures; the rest is in the file


@dataclass(kw_only=True)
class PictureFlags:
    """Pictures, and the run that looks at them."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run folder of a clip model, or openclip:MODEL/WEIGHTS."""
    pictures: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PICTURE...")]
    """Pictures, or one folder, archive or table of them."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """A table to write the answers to as well: .csv, .tsv or .parquet."""


@dataclass(kw_only=True)
class DescribeFlags(PictureFlags):
    """Say in words what pictures show."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """Captions for each picture, the best first."""
    temperature: float | None = None
    """Given, captions are drawn: higher is bolder (None: the best that are found)."""
    seed: int = 0
    """Start of the drawing."""


@dataclass(kw_only=True)
class ClassifyFlags(PictureFlags):
    """Tell which of some labels fits each picture; training need not have named them."""

    labels: str
    """The labels, with commas between them: cat,dog,car."""
    template: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT")] = ()
    """A text with {} where the label goes, such as "a photo of a {}"; may be given again, and all are averaged."""


def describe(arguments: list[str]) -> dict[str, Any]:
    """Captions of each picture."""
    flags = parse(DescribeFlags, "describe", arguments)
    if flags.n < 1:
        raise SettingError(f"-n is {flags.n}; it must be at least 1. Give a larger one.")
    model = with_verb(_model(flags.run), "describe", Path(flags.run))
    pictures = _opened(flags.pictures)
    told = model.describe(pictures, flags.n, temperature=flags.temperature, seed=flags.seed)
    names = ids_of(pictures).to_pylist()
    rows = [
        {"id": name, "caption": caption, "score": score}
        for name, own in zip(names, told, strict=True) for caption, score in own
    ]  # fmt: skip
    _tell(rows, flags.out)
    return {"captions": rows} | ({"out": str(flags.out)} if flags.out else {})


def classify(arguments: list[str]) -> dict[str, Any]:
    """The likeliest label of each picture, and the probability of each."""
    flags = parse(ClassifyFlags, "classify", arguments)
    labels = [label.strip() for label in flags.labels.split(",") if label.strip()]
    model = with_verb(_model(flags.run), "classify", Path(flags.run))
    pictures = _opened(flags.pictures)
    probability_NK = model.classify(pictures, labels, flags.template or ("{}",))
    rows = [
        {"id": name, "prediction": labels[int(own_K.argmax())]}
        | {f"p_{label}": float(own_K[k]) for k, label in enumerate(labels)}
        for name, own_K in zip(ids_of(pictures).to_pylist(), probability_NK, strict=True)
    ]
    _tell(rows, flags.out)
    return {"pictures": rows} | ({"out": str(flags.out)} if flags.out else {})


def _model(run: str) -> Any:
    return CLIP.from_openclip(run) if run.startswith(OPENCLIP) else load(Path(run))


def _opened(given: tuple[str, ...]) -> Pictures:
    if not given:
        raise SettingError("no picture was given. Give some, or a folder of them.")
    pictures = open_pictures(given[0] if len(given) == 1 else list(given), split="all" if len(given) == 1 else None)
    for bad in pictures.bad:
        say(f"left out: {shown(bad.name)}: {bad.reason}")
    if not len(pictures):
        raise DataError("not one picture could be read.")
    return pictures


def _tell(rows: list[dict[str, Any]], out: Path | None) -> None:
    shown_rows = [
        {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows[:MOST_SHOWN]
    ]
    table(shown_rows)
    if len(rows) > MOST_SHOWN:
        say(f"and {len(rows) - MOST_SHOWN} more" + ("" if out else "; see all with -o OUT.csv"))
    if out is not None:
        write_table(pa.Table.from_pylist(rows), out)
        say(f"all in {out}")
