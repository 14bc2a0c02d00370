"""twofold sample: new items by a finished run, as files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say
from twofold.core.estimator import read_config
from twofold.data.atomic import write_atomically
from twofold.data.audio import write_sound
from twofold.data.names import shown
from twofold.data.pictures import write_picture
from twofold.data.sheets import contact_sheet
from twofold.data.tables import write_table
from twofold.errors import SettingError
from twofold.runs import load, with_verb

__all__ = ["sample"]

ALLOWED = {
    "pictures": ("", ".png"), "rows": (".csv", ".tsv", ".parquet"), "sounds": ("",), "texts": (".txt",),
}  # fmt: skip


@dataclass(kw_only=True)
class SampleFlags:
    """Make new items: pictures, rows, sounds or short texts."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder of a generator."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """A .png for a sheet of pictures, a new folder for pictures or sounds, .csv, .tsv or .parquet for rows, .txt."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 64
    """How many."""
    label: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """The class of all of them, where the run knows classes (None: as often as in training)."""
    seed: int = 0
    """The same seed gives the same items."""


def sample(arguments: list[str]) -> dict[str, Any]:
    """Make items and write them."""
    flags = parse(SampleFlags, "sample", arguments)
    generator = with_verb(load(flags.run), "sample", flags.run)
    what = generator.form_.name
    _check(flags.out, what)
    if what in ("pictures", "sounds"):
        told = _write_each(generator, flags, what)
    else:
        _write_whole(generator, flags)
        told = {}
    say(f"{flags.n} {what} in {shown(str(flags.out))}")
    return {"out": str(flags.out), "n": flags.n, "what": what, "seed": flags.seed, "class": flags.label, **told}


def _check(out: Path, what: str) -> None:
    """Refuse a place that cannot hold such items, before any is made."""
    allowed = ALLOWED[what]
    if out.suffix.lower() not in allowed:
        ways = " or ".join(", ".join(filter(None, [suffix or "a folder"])) for suffix in allowed)
        raise SettingError(f"{shown(str(out))} ends in {out.suffix!r}; {what} are written as {ways}. Give such a name.")
    if not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"{shown(str(out))} is there already, and not empty. Give another -o, or remove it.")


def _write_whole(generator: Any, flags: SampleFlags) -> None:
    """Texts one a line, or a table; a class that can be asked for stands in its own column, as in training."""
    batches = _batches(generator, flags)
    if flags.out.suffix.lower() == ".txt":
        write_atomically(flags.out, "".join(f"{text}\n" for _, batch in batches for text in batch).encode())
        return
    column = (read_config(flags.run).get("data") or {}).get("label") or "label"
    tables = []
    for label, batch in batches:
        table = nw.from_native(batch).to_arrow()
        tables.append(table if label is None else table.append_column(column, pa.array([label] * len(table))))
    write_table(pa.concat_tables(tables, promote_options="permissive"), flags.out)


def _write_each(generator: Any, flags: SampleFlags, what: str) -> dict[str, Any]:
    """A file an item, its class in its name; or one sheet of all pictures, class by class."""
    labels, items, rate = _made(generator, flags)
    if flags.out.suffix:
        write_picture(flags.out, contact_sheet(items))
        return {}
    width = max(5, len(str(len(items))))
    names = []
    for place, (label, item) in enumerate(zip(labels, items, strict=True), start=1):
        name = f"{place:0{width}d}" + (f"-{_plain(label)}" if label is not None else "")
        path = flags.out / f"{name}.{'png' if what == 'pictures' else 'wav'}"
        flags.out.mkdir(parents=True, exist_ok=True)
        if what == "pictures":
            write_picture(path, item)
        else:
            write_sound(path, item, rate)
        names.append(path.name)
    return {"files": names}


def _made(generator: Any, flags: SampleFlags) -> tuple[list[str | None], list[np.ndarray], int]:
    """The class of each item, the items, and the rate of sounds."""
    batches = _batches(generator, flags)
    labels = [label for label, batch in batches for _ in batch]
    return labels, [item for _, batch in batches for item in batch], getattr(batches[0][1], "rate", 0)


def _batches(generator: Any, flags: SampleFlags) -> list[tuple[str | None, Any]]:
    """The items class by class, classes as often as in training; all together where no classes are known."""
    if flags.label is not None or generator.classes_ is None:
        return [(flags.label, generator.sample(flags.n, label=flags.label, seed=flags.seed))]
    shares = generator.shares_
    drawn = np.random.default_rng(flags.seed).choice(len(shares), flags.n, p=shares)
    counts = [int((drawn == place).sum()) for place in range(len(shares))]
    # a seed of its own for each class, or the same noise would be shown again and again
    return [
        (label, generator.sample(count, label=label, seed=flags.seed + place))
        for place, (label, count) in enumerate(zip(generator.classes_, counts, strict=True))
        if count
    ]


def _plain(label: str) -> str:
    """A class as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in label)[:60]
