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
from twofold.turing.records import Rules, Study

__all__ = ["turing"]

MOST = 1000  # items of each side, as many as the judge takes
FIRST_LOOK = 20  # of each side, for people
MOST_FOR_PEOPLE = 200


@dataclass(kw_only=True)
class TuringFlags:
    """Can the fakes be told from the real ones? A generator's run and real data, or any two folders of one kind."""

    real: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN|REAL")]
    """A generator's run, whose fakes are made now; or real pictures, sounds, rows of a table, or lines of a text."""
    fake: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA|FAKE")]
    """After a run the real data; after real data the fakes: generated, repaired or decompressed."""
    judge: Literal["machine", "human"] = "machine"
    """Who judges; human makes a trial and opens the studio at it."""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = None
    """Items of each side (None: as many as both have, at most 1000; for people 20)."""
    seen: str | None = None
    """Data that training saw: none of them counts as real."""
    split: str | None = None
    """Which split of the real side: train, val, test, all (None: all; of a run's own data what it held out)."""
    seed: int = 0
    """Start of all randomness; after a run, of the fakes too."""
    pairs: bool = False
    """For people: a real one and a fake side by side, instead of one at a time."""
    view_milliseconds: int | None = None
    """For people: how long each is seen (None: as long as one likes)."""
    training: bool = False
    """For people: whether the truth is told after each answer."""
    runs: Path | None = None
    """For people: the folder of runs that the trial goes into (None: the one that RUN lies in, else runs)."""
    port: int = 8765
    """For people: where the pages are."""


def turing(arguments: list[str]) -> dict[str, Any]:
    """The machine's judgement, with its controls."""
    flags = parse(TuringFlags, "turing", arguments)
    if flags.judge == "human":
        return _ask_people(flags)
    real, fake = _sides(flags)
    for side in (real, fake):
        for bad in getattr(side, "bad", []):
            say(f"left out: {shown(bad.name)}: {bad.reason}")
    seen = fingerprints(open_items(flags.seen)) if flags.seen else ()
    found = judge(real, fake, n=flags.n, seed=flags.seed, seen=seen)
    _tell(found)
    return {"judge": flags.judge, **found.to_json()}


def _ask_people(flags: TuringFlags) -> dict[str, Any]:
    """Make the trial, and serve its page until Ctrl-C."""
    from twofold.cli import main

    if flags.seen:
        raise SettingError("--seen is for --judge machine; of a run's own data only what it held out is shown anyway.")
    study, root = _study(flags)
    for note in study.notes:
        say(f"note: {note}")
    say(f"trial {study.id}: {len(study.trial.questions)} questions, in {study.folder}")
    main(["studio", f"--runs={root}", f"--port={flags.port}", f"--page=turing?trial={study.id}"])
    return {"judge": "human", "trial": study.id}


def _study(flags: TuringFlags) -> tuple[Study, Path]:
    """The trial, and the folder of runs that it lies in."""
    from twofold.runs.forgeries import begin_study, sides_of_data, sides_of_run

    n = FIRST_LOOK if flags.n is None else flags.n
    if not 1 <= n <= MOST_FOR_PEOPLE:
        raise SettingError(f"n is {n}; for people 1 to {MOST_FOR_PEOPLE} of each side are allowed. Give 20.")
    if flags.view_milliseconds is not None and not 50 <= flags.view_milliseconds <= 60_000:
        raise SettingError(f"view-milliseconds is {flags.view_milliseconds}; 50 to 60000 are allowed. Give 500.")
    real = Path(flags.real)
    is_run = (real / CONFIG).is_file()
    _refuse_run(flags.fake)
    sides = sides_of_run(real, flags.fake, n, seed=flags.seed, split=flags.split) if is_run \
        else sides_of_data(flags.real, flags.fake, flags.split or "all")  # fmt: skip
    root = flags.runs or (real.resolve().parent if is_run else Path("runs"))
    rules = Rules(flags.view_milliseconds, flags.training)
    title = real.resolve().name if is_run else f"{real.name} or {Path(flags.fake).name}"
    return begin_study(root, sides, n=n, seed=flags.seed, are_pairs=flags.pairs, rules=rules, title=title,
                       data=flags.fake if is_run else flags.real), root  # fmt: skip


def _refuse_run(fake: str) -> None:
    if (Path(fake) / CONFIG).is_file():
        raise SettingError(f"{fake} is a run; a run stands first, then the real data: twofold turing {fake} DATA.")


def _sides(flags: TuringFlags) -> tuple[Items, Items]:
    """What is compared."""
    _refuse_run(flags.fake)
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
