"""A study: a trial that people judge, in a folder of its own. Its items, its rules, and every answer.

    ROOT/.studio/trials/ID/trial.json        questions, truth, rules; written once
                           items/NAME.png    what is shown, by names that tell nothing
                           answers.sqlite    who judges, and what each said
                           machine.json      what the machine judge says of the same items, once it was asked

An answer that was taken is on the disk: SQLite, by the standard library, synchronous. It counts once, however often it
is sent. Who comes back under the same nickname goes on where they stopped.
"""

import csv
import io
import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from twofold.data.atomic import write_atomically
from twofold.data.writing import harmless
from twofold.errors import DataError, DiskFullError, RunError, SettingError
from twofold.turing.exhibits import SUFFIXES, bring_together, open_exhibits, write_exhibit
from twofold.turing.items import Items, kind_of, take
from twofold.turing.trial import Shown, Trial
from twofold.turing.verdict import Answers, Verdict, decide

__all__ = ["Judge", "Rules", "Study", "find_studies", "read_answers"]

PLACE = (".studio", "trials")  # below a folder of runs
COLUMNS = ("person", "item", "place", "is_fake", "said_fake", "seconds", "data")
MOST_JUDGES = 500
PATIENCE = 10.0  # seconds to wait for another writer
TABLES = """
create table judges (id text primary key, name text unique not null, begun real not null);
create table answers (
    place integer primary key autoincrement, judge text not null references judges, question integer not null,
    said_fake integer not null, seconds real, given real not null, unique (judge, question)
);
create table endings (at real not null);
"""


@dataclass(frozen=True)
class Rules:
    """How the items are shown."""

    view_milliseconds: int | None = None
    """How long each is seen (None: as long as one likes)."""
    is_training: bool = False
    """Whether the truth is told after each answer."""
    break_every: int = 0
    """Answers between two breaks (0: none)."""


@dataclass(frozen=True)
class Judge:
    """A person, by nickname."""

    id: str
    name: str
    n_answers: int


class Study:
    """A trial that people judge.

    Parameters
    ----------
    folder : as `Study.begin` made it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            told = json.loads((folder / "trial.json").read_bytes())
            self.trial, self.rules = Trial.from_json(told["trial"]), Rules(**told["rules"])
            self.title, self.data, self.what, self.begun = told["title"], told["data"], told["what"], told["begun"]
            self.notes: list[str] = [*self.trial.notes, *told["notes"]]
            self._names: dict[str, list[str]] = told["names"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"there is no trial {folder.name[:40]!r} that can be read. Make it again.") from error

    @classmethod
    def begin(
        cls, root: Path, trial: Trial, sides: tuple[Items, Items], *, title: str, data: str, rules: Rules | None = None,
        notes: Sequence[str] = (),
    ) -> "Study":  # fmt: skip
        """Freeze the items of a trial below a folder of runs.

        Parameters
        ----------
        sides : the real items and the fakes, those that the trial was drawn from.
        data : what the answers' `data` column says.
        """
        study_id = secrets.token_hex(8)
        places = root.joinpath(*PLACE)
        part = places / f".{study_id}"
        (part / "items").mkdir(parents=True)
        try:
            what = kind_of(sides[0])
            shown, frozen = _renumbered(trial, sides)
            names = _freeze(shown, frozen, part / "items", SUFFIXES[what])
            told = {"title": title, "data": data, "what": what, "begun": time.time(), "trial": shown.to_json(),
                    "rules": asdict(rules or Rules()), "names": names, "notes": list(notes)}  # fmt: skip
            write_atomically(part / "trial.json", json.dumps(told).encode())
            with closing(sqlite3.connect(part / "answers.sqlite")) as base:
                base.executescript(TABLES)
            part.rename(places / study_id)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return cls(places / study_id)

    @classmethod
    def open(cls, root: Path, study_id: str) -> "Study":
        """The study of that id below a folder of runs."""
        if len(study_id) != 16 or not set(study_id) <= set("0123456789abcdef"):
            raise RunError(f"there is no trial {study_id[:40]!r}.")
        folder = root.resolve().joinpath(*PLACE, study_id)
        if folder.resolve() != folder:  # a link that leads elsewhere
            raise RunError(f"there is no trial {study_id!r}.")
        return cls(folder)

    @property
    def id(self) -> str:
        """Its name on the wire."""
        return self.folder.name

    def remove(self) -> None:
        """Take it off the disk, answers and all."""
        aside = self.folder.with_name(f".{self.id}-{secrets.token_hex(4)}")
        self.folder.rename(aside)  # first out of sight: no half of a study is ever seen
        shutil.rmtree(aside, ignore_errors=True)

    # ---- what is shown ---------------------------------------------------------------------------

    def items_of(self, question: Shown) -> list[str]:
        """Names of the one or two items of a question, from first to last."""
        return [self._names["fake" if is_fake else "real"][row] for is_fake, row in question.rows]

    def item(self, name: str) -> Path:
        """The file of an item."""
        if name not in self._names["real"] and name not in self._names["fake"]:
            raise RunError(f"there is no item {name[:40]!r} in this trial.")
        path = self.folder / "items" / f"{name}{SUFFIXES[self.what]}"
        if path.is_symlink() or not path.is_file():
            raise RunError(f"there is no item {name!r} in this trial any more. Make the trial again.")
        return path

    def sides(self) -> tuple[Items, Items]:
        """The real items and the fakes, as they are shown."""
        real, fake = ([self.item(name) for name in self._names[side]] for side in ("real", "fake"))
        return open_exhibits(self.what, real), open_exhibits(self.what, fake)

    # ---- who answers what ------------------------------------------------------------------------

    def join(self, nickname: str) -> Judge:
        """A person begins, or comes back."""
        name = " ".join(nickname.split())
        if not 1 <= len(name) <= 40 or not name.isprintable() or not name[0].isalnum():
            raise SettingError(
                f"{nickname[:40]!r} cannot be a nickname. Give 1 to 40 letters, a letter or digit first."
            )
        with self._base() as base:
            known = base.execute("select id from judges where name = ?", (name,)).fetchone()
            if known is None:
                self._refuse_if_ended(base)
                if base.execute("select count(*) from judges").fetchone()[0] >= MOST_JUDGES:
                    raise SettingError(f"{MOST_JUDGES} people judge already. Make another trial.")
                row = (secrets.token_hex(8), name, time.time())
                # two windows may ask at once
                base.execute("insert into judges values (?, ?, ?) on conflict do nothing", row)
                known = base.execute("select id from judges where name = ?", (name,)).fetchone()
        return self.judge(known[0])

    def judge(self, judge_id: str) -> Judge:
        """A person by id."""
        found = next((judge for judge in self.judges() if judge.id == judge_id), None)
        if found is None:
            raise RunError(f"there is no judge {judge_id[:40]!r} in this trial. Begin with a nickname.")
        return found

    def judges(self) -> list[Judge]:
        """All people, in the order they began."""
        with self._base() as base:
            found = base.execute(
                "select judges.id, name, count(question) from judges left join answers on judge = judges.id "
                "group by judges.id order by begun"
            ).fetchall()
        return [Judge(*row) for row in found]

    def left(self, judge: Judge) -> list[Shown]:
        """The questions that a person has not answered yet, in order."""
        with self._base() as base:
            done = {n for (n,) in base.execute("select question from answers where judge = ?", (judge.id,))}
        return [question for question in self.trial.questions if question.number not in done]

    def answer(self, judge: Judge, number: int, *, said_fake: bool, seconds: float | None) -> bool:
        """Take an answer; False where that person has answered this before: the first one counts."""
        if number not in self._questions:
            raise DataError(f"there is no question {number}; there are {len(self._questions)}. Give one of these.")
        with self._base() as base:
            self._refuse_if_ended(base)
            row = (judge.id, number, said_fake, seconds, time.time())
            taken = base.execute(
                "insert into answers (judge, question, said_fake, seconds, given) values (?, ?, ?, ?, ?) "
                "on conflict do nothing", row,
            )  # fmt: skip
            return taken.rowcount == 1

    def is_fake(self, number: int) -> bool:
        """The truth of a question: whether what is shown, or the first of two, is the fake."""
        return self._questions[number].is_fake

    def end(self) -> None:
        """No more answers; the verdict may be seen."""
        with self._base() as base:
            base.execute("insert into endings select ? where not exists (select * from endings)", (time.time(),))

    @property
    def is_ended(self) -> bool:
        """Whether its owner ended it."""
        with self._base() as base:
            return base.execute("select count(*) from endings").fetchone()[0] > 0

    @property
    def is_planned(self) -> bool:
        """Whether everybody who began answered all: the number of answers was fixed beforehand."""
        return all(judge.n_answers == len(self.trial.questions) for judge in self.judges())

    @property
    def may_tell(self) -> bool:
        """Whether the truth may be seen: nobody is in the middle of it, or it was ended, or it is training."""
        judges = self.judges()
        return self.rules.is_training or self.is_ended or (bool(judges) and self.is_planned)

    # ---- what the answers say --------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Every answer beside the truth, in the order they were given."""
        with self._base() as base:
            found = base.execute(
                "select name, question, place, said_fake, seconds from answers join judges on judge = judges.id "
                "order by place"
            ).fetchall()
        return [
            {"person": name, "item": str(number), "place": place, "is_fake": self.is_fake(number),
             "said_fake": bool(said_fake), "seconds": seconds, "data": harmless(self.data)}
            for name, number, place, said_fake, seconds in found
        ]  # fmt: skip

    def csv(self) -> str:
        """The same as CSV; `read_answers` reads it back."""
        file = io.StringIO()
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in self.rows())
        return file.getvalue()

    def verdict(self) -> Verdict:
        """What the answers say."""
        return decide(Answers.of(self.rows()), are_pairs=self.trial.are_pairs, is_planned=self.is_planned)

    def machine(self, *, is_asked: bool = True) -> dict[str, Any] | None:
        """What the machine judge says of the same items, as JSON; judged once, and kept.

        Parameters
        ----------
        is_asked : False: only what it has said before; None where it was not asked yet.
        """
        from twofold.turing.judge import judge  # imports torch, which answers do without

        path = self.folder / "machine.json"
        if path.is_file():
            return json.loads(path.read_bytes())  # type: ignore[no-any-return]
        if not is_asked:
            return None
        try:
            told = judge(*self.sides(), seed=self.trial.seed).to_json()
        except DataError as error:  # too few of them for a machine
            told = {"kind": "not asked", "sentence": f"The machine was not asked: {error}"}
        write_atomically(path, json.dumps(told).encode())
        return json.loads(path.read_bytes())  # type: ignore[no-any-return]

    # ---- the database ----------------------------------------------------------------------------

    @cached_property
    def _questions(self) -> dict[int, Shown]:
        return {question.number: question for question in self.trial.questions}

    def _refuse_if_ended(self, base: sqlite3.Connection) -> None:
        if base.execute("select count(*) from endings").fetchone()[0]:
            raise SettingError("this trial was ended: it takes no more answers. Make another one.")

    @contextmanager
    def _base(self) -> Iterator[sqlite3.Connection]:
        """The database, for one transaction: on the disk when the block is over, or nothing of it."""
        try:
            # rw: it is not made anew where it was removed
            uri = f"{(self.folder / 'answers.sqlite').absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as base:
                base.execute("pragma synchronous = full")
                base.execute("pragma foreign_keys = on")
                with base:
                    yield base
        except sqlite3.Error as error:
            if "full" in str(error):
                raise DiskFullError(f"there is no room for answers in {self.folder}. Make room.") from error
            raise RunError(f"there is no reading the answers of trial {self.id} ({error}).") from error


def find_studies(root: Path) -> list[Study]:
    """All studies below a folder of runs, the latest first."""
    places = root.joinpath(*PLACE)
    folders = [path for path in places.iterdir() if not path.name.startswith(".")] if places.is_dir() else []
    found = []
    for folder in folders:
        try:
            found.append(Study.open(root, folder.name))
        except RunError:
            continue  # being removed, or spoilt
    return sorted(found, key=lambda study: study.begun, reverse=True)


def read_answers(text: str) -> Answers:
    """The answers of `Study.csv`, or of any CSV with these columns.

    Examples
    --------
    >>> len(read_answers("person,item,is_fake,said_fake,seconds\\nann,3,true,false,1.25\\n"))
    1
    """
    rows: list[dict[str, Any]] = [dict(row) for row in csv.DictReader(io.StringIO(text))]
    for row in rows:
        for name in ("is_fake", "said_fake"):
            row[name] = {"true": True, "false": False}.get(str(row.get(name)).lower())
    return Answers.of(rows)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _renumbered(trial: Trial, sides: tuple[Items, Items]) -> tuple[Trial, tuple[Items, Items]]:
    """The trial with rows among those that it shows, and these alone, in one form."""
    used: list[list[int]] = [[], []]
    questions = []
    for shown in trial.questions:
        rows = {}
        for side, name in enumerate(("real", "fake")):
            if (row := getattr(shown, name)) is not None:
                used[side].append(row)
                rows[name] = len(used[side]) - 1
        questions.append(replace(shown, **rows))
    real, fake = (take(side, rows) for side, rows in zip(sides, used, strict=True))
    return replace(trial, questions=tuple(questions)), bring_together(real, fake)


def _freeze(trial: Trial, sides: tuple[Items, Items], folder: Path, suffix: str) -> dict[str, list[str]]:
    """A file for each item, written in the order that they are asked, which tells nothing; their names."""
    counts = [len({row for q in trial.questions for f, row in q.rows if f == is_fake}) for is_fake in (False, True)]
    names = {side: [secrets.token_hex(12) for _ in range(n)] for side, n in zip(("real", "fake"), counts, strict=True)}
    for question in trial.questions:
        for is_fake, row in question.rows:
            name = names["fake" if is_fake else "real"][row]
            write_exhibit(sides[is_fake], row, folder / f"{name}{suffix}")
    return names
