"""What is shown to a judge: as many real items as fakes, in an order that a seed fixes, none of them seen in training.

A trial is plain JSON, and the same two sets, seed and training items make it again. An item that stood in training is
known by its fingerprint (of pixels, samples, cells or letters), so that a copy under another name is known too.
"""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twofold.errors import DataError, SettingError
from twofold.turing.verdict import Answers

__all__ = ["Shown", "Trial", "draw_trial"]


@dataclass(frozen=True)
class Shown:
    """One question."""

    number: int
    real: int | None
    """Row among the real ones; None where a fake alone is shown."""
    fake: int | None
    is_fake: bool
    """Whether the one that is shown, or the first of two, is the fake."""

    @property
    def rows(self) -> list[tuple[bool, int]]:
        """(is fake, row) of each item, from first to last."""
        both = [(True, self.fake), (False, self.real)] if self.is_fake else [(False, self.real), (True, self.fake)]
        return [(is_fake, row) for is_fake, row in both if row is not None]


@dataclass(frozen=True)
class Trial:
    """The questions in the order they are asked.

    Examples
    --------
    >>> trial = draw_trial(["a", "b", "c"], ["x", "y"], n=2, seen={"a"})
    >>> sorted(row for shown in trial.questions for is_fake, row in shown.rows if not is_fake)
    [1, 2]
    >>> Trial.from_json(trial.to_json()) == trial
    True
    """

    questions: tuple[Shown, ...]
    seed: int
    are_pairs: bool
    fingerprint: str
    """Of the items on both sides: another set of items does not answer this trial."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Trial":
        """The trial that `to_json` wrote."""
        try:
            questions = tuple(Shown(**question) for question in record["questions"])
            return cls(questions, int(record["seed"]), bool(record["are_pairs"]), str(record["fingerprint"]),
                       tuple(record["notes"]))  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no trial ({error!r}). Draw it again, with the same seed.") from error

    def answers(self, person: str, said_fake: dict[int, bool], seconds: dict[int, float] | None = None) -> Answers:
        """What a person said to the questions of these numbers, beside the truth."""
        unknown = sorted(set(said_fake) - {shown.number for shown in self.questions})
        if unknown:
            raise DataError(f"there is no question {unknown[0]}; there are {len(self.questions)}. Give one of these.")
        times = seconds or {}
        return Answers.of([
            {"person": person, "item": str(shown.number), "is_fake": shown.is_fake,
             "said_fake": said_fake[shown.number], "seconds": times.get(shown.number)}
            for shown in self.questions if shown.number in said_fake
        ])  # fmt: skip


def draw_trial(
    real: Collection[str], fake: Collection[str], *, n: int = 30, seed: int = 0, are_pairs: bool = False,
    seen: Collection[str] = (), are_matched: bool = False,
) -> Trial:  # fmt: skip
    """A balanced trial of n real items and n fakes.

    Parameters
    ----------
    real, fake : the fingerprint of each item.
    n : of each side; of pairs, how many.
    are_pairs : a real one and a fake at once, in random order: which is the fake?
    seen : fingerprints of the items that training saw; none of them is shown as a real one.
    are_matched : each fake was made from the real item of the same row: a pair holds both, and of one at a time never
        both are shown.

    Raises
    ------
    DataError
        When a side has fewer than n different items to show.
    """
    if n < 1:
        raise SettingError(f"n is {n}; at least 1 of each side is needed. Give 30 for a first look.")
    rng = np.random.default_rng(seed)
    real_rows, n_seen = _fresh(list(real), set(seen))
    fake_rows, _ = _fresh(list(fake), set())
    n_copies = len(set(fake) & set(seen))
    _refuse_few(len(real_rows), len(fake_rows), n, n_seen)
    if are_matched:
        chosen_real, chosen_fake = _matched(sorted(set(real_rows) & set(fake_rows)), n, rng, are_pairs)
    else:
        chosen_real, chosen_fake = (rng.choice(rows, n, replace=False).tolist() for rows in (real_rows, fake_rows))
    questions = _pairs(chosen_real, chosen_fake, rng) if are_pairs else _singles(chosen_real, chosen_fake, rng)
    notes = [f"{n_seen} real items were seen in training, and are left out"] if n_seen else []
    notes += [f"{n_copies} fakes are items of training, copied"] if n_copies else []
    digest = hashlib.sha256("\n".join([*real, "", *fake]).encode()).hexdigest()
    return Trial(tuple(questions), seed, are_pairs, digest, tuple(notes))


def _fresh(items: list[str], seen: set[str]) -> tuple[list[int], int]:
    """Rows of different items that were not seen, and how many were."""
    rows: dict[str, int] = {}
    for row, item in enumerate(items):
        if item not in seen:
            rows.setdefault(item, row)
    return list(rows.values()), sum(item in seen for item in items)


def _matched(rows: list[int], n: int, rng: np.random.Generator, are_pairs: bool) -> tuple[list[int], list[int]]:
    """Rows of both sides: the same ones for pairs, else none on both."""
    needed = n if are_pairs else 2 * n
    _refuse_few(len(rows), needed, needed, 0)
    chosen = rng.choice(rows, needed, replace=False).tolist()
    return chosen[:n], chosen[needed - n :]


def _singles(real: list[int], fake: list[int], rng: np.random.Generator) -> list[Shown]:
    both = [(row, None, False) for row in real] + [(None, row, True) for row in fake]
    return [Shown(number, *both[place]) for number, place in enumerate(rng.permutation(len(both)))]


def _pairs(real: list[int], fake: list[int], rng: np.random.Generator) -> list[Shown]:
    # the fake comes first in half of them
    is_first = rng.permutation(np.arange(len(real)) % 2 == 0).tolist()
    return [Shown(number, *pair) for number, pair in enumerate(zip(real, fake, is_first, strict=True))]


def _refuse_few(n_real: int, n_fake: int, n: int, n_seen: int) -> None:
    for name, there in (("real items", n_real), ("fakes", n_fake)):
        if there < n:
            because = f" ({n_seen} others were seen in training)" if name == "real items" and n_seen else ""
            remedy = "Give more, or ask for fewer."
            raise DataError(f"there are {there} different {name}{because}; {n} were asked for. {remedy}")
