"""What the answers of people, one or several, to "real or fake?" say, with how much certainty, in plain words.

Where several people judge, people differ (by some 8 points, Stein et al. 2023): what counts is then the spread between
them. Both the answers together and the people's own accuracies must agree before anything is claimed.
Dimension key: N answers, P people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.stats import fisher_exact, norm, t

from twofold.errors import DataError, SettingError
from twofold.turing.statistics import (
    answers_needed,
    anytime_interval,
    d_prime_error,
    pair_d_prime,
    people_p,
    signal_detection,
    wilson_interval,
)

__all__ = ["Answers", "Verdict", "decide"]

LEVEL = 0.05
UNBALANCED = 0.6  # share of fakes, or of real ones, beyond which the share right says little

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers row by row, in the order they were given.

    Examples
    --------
    >>> answers = Answers.of([{"person": "ann", "item": "1", "is_fake": True, "said_fake": False, "seconds": 1.2}])
    >>> len(answers), answers.is_right_N.tolist()
    (1, [False])
    """

    person_N: np.ndarray
    item_N: np.ndarray
    is_fake_N: np.ndarray
    """The truth; of pairs: whether the first one is the fake."""
    said_fake_N: np.ndarray
    seconds_N: np.ndarray
    """Until the answer came; NaN where it was not measured."""

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in vars(self).items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of the answers have different lengths: {lengths}. Give one value an answer.")
        if not len(self.person_N):
            raise DataError("there are no answers. Give at least one.")

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Answers":
        """From rows with person, item, is_fake, said_fake and, where it was measured, seconds."""
        for place, row in enumerate(rows):
            lost = [name for name in ("is_fake", "said_fake") if not isinstance(row.get(name), bool | np.bool_)]
            if lost:
                raise DataError(f"answer {place + 1} has no true or false under {lost[0]!r}. Give one.")
        return cls(
            np.array([str(row.get("person", "")) for row in rows]),
            np.array([str(row.get("item", "")) for row in rows]),
            np.array([bool(row["is_fake"]) for row in rows]),
            np.array([bool(row["said_fake"]) for row in rows]),
            np.array([float(row.get("seconds") or np.nan) for row in rows]),
        )

    def __len__(self) -> int:
        return len(self.person_N)

    @property
    def is_right_N(self) -> np.ndarray:
        """Whether each answer is the truth."""
        return self.is_fake_N == self.said_fake_N

    def counts(self) -> tuple[list[str], np.ndarray]:
        """The people, and of each (P, 4): hits, fakes, false alarms, real ones."""
        people, who_N = np.unique(self.person_N, return_inverse=True)
        parts = [self.is_fake_N & self.said_fake_N, self.is_fake_N, ~self.is_fake_N & self.said_fake_N, ~self.is_fake_N]
        return people.tolist(), np.stack([np.bincount(who_N, part, len(people)) for part in parts], 1).astype(int)


@dataclass(frozen=True)
class Verdict:
    """What the answers say; rates with 95 % intervals."""

    kind: str
    """told apart, could not be told apart, or undecided."""
    sentence: str
    """The same in plain words, with figures."""
    n_answers: int
    n_people: int
    accuracy: float
    interval: Interval
    """Of the accuracy: Wilson's of one person, Student's over the accuracies of several."""
    anytime: Interval
    """The same, valid at any stopping time: of one person's answers, or over people as they come."""
    hits: float | None
    """Share of fakes called fake; None where none was shown."""
    hits_interval: Interval
    false_alarms: float | None
    """Share of real ones called fake."""
    false_alarms_interval: Interval
    d_prime: float
    d_prime_interval: Interval
    """By its standard error; where there are several people, at least by the spread between them."""
    criterion: float
    """Above 0: rather says "real"; of pairs: rather says "the second"."""
    p_chance: float
    """That of guessing."""
    p_equivalence: float
    """That of an accuracy outside 50 % +- margin."""
    margin: float
    n_to_tell: int
    """Answers in all that tell an accuracy as this one from guessing with 90 % power; a million: more than that."""
    n_to_equate: int
    """Answers in all that show an accuracy as this one to be within the margin."""
    seconds: float | None
    """Median time of an answer."""
    people: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.sentence

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def decide(answers: Answers, *, margin: float = 0.1, are_pairs: bool = False, is_planned: bool = True) -> Verdict:
    """The verdict.

    Parameters
    ----------
    margin : accuracies within 50 % +- margin count as "could not be told apart".
    are_pairs : a real one and a fake were shown at once; `is_fake` tells whether the first was the fake.
    is_planned : the number of answers was fixed beforehand. Else whoever stopped may have stopped when it looked good,
        and the verdict rests on the interval that allows for that.

    Examples
    --------
    >>> truth = np.arange(100) % 2 == 0
    >>> answers = Answers(np.zeros(100), np.arange(100), truth, truth ^ (np.arange(100) % 5 == 0), np.ones(100))
    >>> decide(answers).kind
    'told apart'
    """
    if not 0 < margin < 0.5:
        raise SettingError(f"margin is {margin}; more than 0 and less than .5 is allowed. Give .1 for +-10 points.")
    people, counts_P4 = answers.counts()
    right_P, shown_P = counts_P4[:, 0] + counts_P4[:, 3] - counts_P4[:, 2], counts_P4[:, 1] + counts_P4[:, 3]
    n_right, n, n_people = int(right_P.sum()), len(answers), len(people)
    interval, anytime = _intervals(right_P, shown_P)
    p_chance, p_equivalence = _p_values(counts_P4, right_P, shown_P, margin)
    n_hits, n_fakes, n_alarms, n_reals = counts_P4.sum(0)
    d_prime, criterion = _detection(counts_P4.sum(0), are_pairs)
    share = float(np.mean(right_P / shown_P))
    n_to_tell, n_to_equate = answers_needed(share, margin)
    timed_N = answers.seconds_N[np.isfinite(answers.seconds_N)]
    verdict = Verdict(
        "", "", n, n_people, share, interval, anytime,
        n_hits / n_fakes if n_fakes else None, _wilson(n_hits, n_fakes),
        n_alarms / n_reals if n_reals else None, _wilson(n_alarms, n_reals),
        float(d_prime), _d_prime_interval(counts_P4, are_pairs), float(criterion), p_chance, p_equivalence, margin,
        n_to_tell, n_to_equate, float(np.median(timed_N)) if len(timed_N) else None,
        [_person(name, right, shown) for name, right, shown in zip(people, right_P, shown_P, strict=True)],
        _notes(answers, n_people, is_planned),
    )  # fmt: skip
    kind = _kind(verdict, is_planned)
    return Verdict(**{**vars(verdict), "kind": kind, "sentence": _sentence(verdict, kind, n_right)})


def _detection(count_4: np.ndarray, are_pairs: bool) -> tuple[Any, Any]:
    d_prime, criterion = signal_detection(*count_4.T)
    if not are_pairs:
        return d_prime, criterion
    n_right, n = count_4.T[0] + count_4.T[3] - count_4.T[2], count_4.T[1] + count_4.T[3]
    return pair_d_prime(n_right, n), criterion


def _intervals(right_P: np.ndarray, shown_P: np.ndarray) -> tuple[Interval, Interval]:
    share_P, n_people = right_P / shown_P, len(right_P)
    if n_people == 1:
        return _wilson(right_P[0], shown_P[0]), _pair(anytime_interval(right_P[0], shown_P[0]))
    # people who happen to agree are no proof that all people do: no narrower than the answers themselves allow
    half = t.ppf(1 - LEVEL / 2, n_people - 1) * share_P.std(ddof=1) / np.sqrt(n_people)
    pooled, mean = _wilson(right_P.sum(), shown_P.sum()), float(share_P.mean())
    around = max(0.0, min(pooled[0], mean - half)), min(1.0, max(pooled[1], mean + half))
    return around, _pair(anytime_interval(share_P.sum(), n_people))


def _p_values(
    counts_P4: np.ndarray, right_P: np.ndarray, shown_P: np.ndarray, margin: float
) -> tuple[float, float]:  # fmt: skip
    n_hits, n_fakes, n_alarms, n_reals = (int(n) for n in counts_P4.sum(0))
    p_chance, p_equivalence = people_p(right_P, shown_P, margin)
    if max(n_fakes, n_reals) <= UNBALANCED * (n_fakes + n_reals):
        return p_chance, p_equivalence
    # who calls all of them fake is right more often than not: the two rates must differ
    table = [[n_hits, n_fakes - n_hits], [n_alarms, n_reals - n_alarms]]
    return max(p_chance, float(fisher_exact(table).pvalue)), 1.0


def _d_prime_interval(counts_P4: np.ndarray, are_pairs: bool) -> Interval:
    """Of one person by its standard error; of several Student's, by leaving out one after the other (jackknife)."""
    total_4, n_people = counts_P4.sum(0), len(counts_P4)
    d_prime = float(_detection(total_4, are_pairs)[0])
    if are_pairs:
        # sqrt 2 z has the variance of a difference of two z
        n_right, n = total_4[0] + total_4[3] - total_4[2], total_4[1] + total_4[3]
        half = norm.ppf(1 - LEVEL / 2) * d_prime_error(n_right, n, n - n_right, n)
    else:
        half = norm.ppf(1 - LEVEL / 2) * d_prime_error(*total_4)
    if n_people > 1:
        without_P = np.asarray(_detection(total_4 - counts_P4, are_pairs)[0])
        error = np.sqrt((n_people - 1) * np.square(without_P - without_P.mean()).mean())
        # as with the accuracy: no narrower than the answers themselves allow
        half = max(half, t.ppf(1 - LEVEL / 2, n_people - 1) * error)
    return d_prime - float(half), d_prime + float(half)


def _wilson(n_right: int, n: int) -> Interval:
    return _pair(wilson_interval(n_right, n)) if n else (0.0, 1.0)


def _pair(ends: Any) -> Interval:
    return float(ends[0]), float(ends[1])


def _person(name: str, right: int, shown: int) -> dict[str, Any]:
    return {"person": str(name), "answers": int(shown), "accuracy": right / shown, "interval": _wilson(right, shown)}


def _notes(answers: Answers, n_people: int, is_planned: bool) -> list[str]:
    notes = []
    if n_people == 1:
        notes.append("one person answered: this speaks of that person, not of people")
    elif n_people < 5:
        notes.append(f"{n_people} people answered: five or more make the interval between people worth something")
    share = float(answers.is_fake_N.mean())
    if max(share, 1 - share) > UNBALANCED:
        notes.append(f"{share:.0%} of what was shown is fake: show as many real ones as fakes")
    pairs = np.stack([np.unique(column, return_inverse=True)[1] for column in (answers.person_N, answers.item_N)], 1)
    n_again = len(pairs) - len(np.unique(pairs, axis=0))
    if n_again:
        notes.append(f"{n_again} answers are to an item that the same person had seen before")
    if not is_planned:
        notes.append("the number of answers was not fixed beforehand: the verdict rests on the anytime interval")
    return notes


# ---- words ---------------------------------------------------------------------------------------


def _kind(verdict: Verdict, is_planned: bool) -> str:
    low, high = verdict.anytime
    tells = verdict.p_chance <= LEVEL if is_planned else not low <= 0.5 <= high
    inside = 0.5 - verdict.margin < low and high < 0.5 + verdict.margin
    equates = verdict.p_equivalence <= LEVEL if is_planned else inside and verdict.p_equivalence <= LEVEL
    # a difference that is there, but within the margin, is one that was declared not to matter
    return "could not be told apart" if equates else "told apart" if tells else "undecided"


def _sentence(verdict: Verdict, kind: str, n_right: int) -> str:
    low, high = verdict.interval
    who = "One person was" if verdict.n_people == 1 else f"{verdict.n_people} people were"
    figures = (
        f"{who} right in {n_right} of {verdict.n_answers} answers ({verdict.accuracy:.0%}, {low:.0%} to {high:.0%})"
    )
    within = f"within ±{100 * verdict.margin:g} points of guessing"
    if kind == "could not be told apart":
        return f"Real and fake could not be told apart {within}: {figures}."
    if kind == "told apart" and verdict.accuracy < 0.5:
        return f"Real and fake were told apart, but the wrong way round: {figures}; the fakes look more real."
    if kind == "told apart":
        return f"Real and fake were told apart: {figures}; d' {verdict.d_prime:.2f}."
    return f"Undecided: {figures}. {_more(verdict)}"


def _more(verdict: Verdict) -> str:
    n = min(verdict.n_to_tell, verdict.n_to_equate)
    if n >= 1_000_000:
        return "At this accuracy no number of answers settles it: it lies at the edge of the margin."
    if n <= verdict.n_answers:
        return "There are answers enough; people differ too much, or it lies close to the edge. Ask more people."
    what = "tell them apart" if verdict.n_to_tell < verdict.n_to_equate else "show that they cannot be told apart"
    more = n - verdict.n_answers
    return f"About {more} more answers would {what} (90 % power) if the accuracy stays as it is."
