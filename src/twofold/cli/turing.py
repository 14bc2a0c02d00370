"""twofold turing: real or fake?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say, table
from twofold.core.estimator import CONFIG
from twofold.data.names import shown
from twofold.errors import SettingError
from twofold.runs import load, with_verb
from twofold.turing.items import Items, fingerprints, open_items, open_sides
from twofold.turing.judge import Judgement, judge

__all__ = ["turing"]

MOST = 1000  # items of each side, as many as the judge takes


@dataclass(kw_only=True)
class TuringFlags:
    """Can the fakes be told from the real ones? A generator's run and real data, or any two folders of one kind."""

    real: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN|REAL")]
    """A generator's run, whose fakes are made now; or real pictures, sounds, rows of a table, or lines of a text."""
    fake: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA|FAKE")]
    """After a run the real data; after real data the fakes: generated, repaired or decompressed."""
    judge: Literal["machine", "human"] = "machine"
    """Who judges."""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = None
    """Items of each side (None: as many as both have, at most 1000)."""
    seen: str | None = None
    """Data that training saw: none of them counts as real."""
    split: str | None = None
    """Which split of the real side: train, val, test, all (None: all; of a run's own data what it held out)."""
    seed: int = 0
    """Start of all randomness; after a run, of the fakes too."""


def turing(arguments: list[str]) -> dict[str, Any]:
    """The machine's judgement, with its controls."""
    flags = parse(TuringFlags, "turing", arguments)
    if flags.judge == "human":
        raise SettingError("--judge is human, for which there is no page yet. Allowed: machine. Give --judge machine.")
    real, fake = _sides(flags)
    for side in (real, fake):
        for bad in getattr(side, "bad", []):
            say(f"left out: {shown(bad.name)}: {bad.reason}")
    seen = fingerprints(open_items(flags.seen)) if flags.seen else ()
    found = judge(real, fake, n=flags.n, seed=flags.seed, seen=seen)
    _tell(found)
    return {"judge": flags.judge, **found.to_json()}


def _sides(flags: TuringFlags) -> tuple[Items, Items]:
    """What is compared."""
    if (Path(flags.fake) / CONFIG).is_file():
        raise SettingError(
            f"{flags.fake} is a run; a run stands first, then the real data: twofold turing {flags.fake} DATA."
        )
    if not (Path(flags.real) / CONFIG).is_file():
        return open_sides(flags.real, flags.fake, flags.split or "all")
    from twofold.runs.fakes import fakes_of, real_side

    generator = with_verb(load(flags.real), "sample", Path(flags.real))
    real, notes = real_side(generator, Path(flags.real), flags.fake, flags.split)
    for note in notes:
        say(f"note: {note}")
    return open_sides(real, fakes_of(generator, min(MOST, len(real), flags.n or MOST), flags.seed))


def _tell(found: Judgement) -> None:
    low, high = found.real_against_real_auc
    p_values = found.real_against_real
    rows = [
        {"what": "real against fake", "AUC": found.test.auc, "accuracy": found.test.accuracy, "p": found.test.p},
        {"what": f"real against {found.spoilt_by}", "AUC": found.sensitivity.auc,
         "accuracy": found.sensitivity.accuracy, "p": found.sensitivity.p},
        {"what": f"real against real, {len(p_values)} splits", "AUC": f"{low:.3f} to {high:.3f}", "accuracy": None,
         "p": f"{min(p_values):.2g} to {max(p_values):.2g}"},
    ]  # fmt: skip
    table(rows)
    if found.tells:
        table([{"it goes by": name, "how much": value} for name, value in found.tells.items()])
    for note in found.notes:
        say(f"note: {note}")
    say(str(found))
