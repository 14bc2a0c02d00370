"""A machine that judges real or fake: a two-sample test by a classifier, with two controls.

Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, https://arxiv.org/abs/1610.06545. Of ordinary
cross-validation the folds depend on each other, and a test that ignores that errs too often. Here validation is
progressive (Blum, Kalai, Langford 1999; Podkopaev and Ramdas 2023): every block is judged by what was learned from the
blocks before it, so that under chance the blocks' rank sums are independent, and their sum (van Elteren 1960) is a test
that keeps its level without a single permutation.

Dimension key: N items of both sides.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, rankdata
from threadpoolctl import threadpool_limits

from twofold.data.pictures import Pictures
from twofold.errors import DataError, SettingError
from twofold.turing.controls import spoil
from twofold.turing.features import picture_features, sound_features, window_size
from twofold.turing.items import Items, fingerprints, kind_of, open_sides, take
from twofold.turing.learners import Cells, Groups, Learner, Letters
from twofold.turing.statistics import wilson_interval

__all__ = ["Comparison", "Judgement", "compare", "judge", "learner_for"]

LEVEL = 0.05
LEAST, MOST = 12, 1000  # items of each side: fewer tell nothing, more take long
CUTS = (1 / 3, 1 / 2, 2 / 3, 5 / 6)  # the first third is only learned from; then four blocks are judged
N_CONTROLS = 8  # splits of the real side; two alarms among them come by chance once in 60 times
MOST_ALARMS = 1
N_TELLS = 5
COPIED = ("pictures", "sounds")  # the same row or word may well occur twice by itself
AUC_STEPS = 4001


@dataclass(frozen=True)
class Comparison:
    """One test of two sides."""

    n: int
    """Items judged, of both sides; those of the first third are only learned from."""
    auc: float
    """How often a fake looks more like a fake than a real one does; .5 is chance."""
    auc_interval: tuple[float, float]
    accuracy: float
    accuracy_interval: tuple[float, float]
    p: float
    """Two-sided, that of two sides that do not differ."""

    @property
    def is_flagged(self) -> bool:
        """Whether the fakes look more like fakes than chance allows; without a difference so in 2.5 % of the tests."""
        return self.p <= LEVEL and self.auc > 0.5


@dataclass(frozen=True)
class Judgement:
    """What the machine says."""

    kind: str
    """told apart, could not be told apart, too weak to say, or not to be trusted."""
    sentence: str
    what: str
    """pictures, sounds, rows or texts."""
    n_real: int
    n_fake: int
    test: Comparison
    """Real against fake."""
    real_against_real: list[float]
    """p-values of splits of the real side, which do not differ."""
    real_against_real_auc: tuple[float, float]
    """Least and greatest AUC of those."""
    sensitivity: Comparison
    """Real against real made a little worse: must be seen."""
    spoilt_by: str
    tells: dict[str, float] = field(default_factory=dict)
    """What tells them apart: pictures and sounds: the AUC of each group of features; rows: by how much the AUC falls
    without a column; texts: how many more fakes than real ones (a share) have a run of letters, or how much longer
    they are."""
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.sentence

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def judge(
    real: Any, fake: Any, *, n: int | None = None, seed: int = 0, seen: Collection[str] = (),
    features: tuple[np.ndarray, np.ndarray] | None = None,
) -> Judgement:  # fmt: skip
    """Can a machine tell the fakes from the real items?

    Parameters
    ----------
    real, fake : paths, or pictures, sounds, tables or texts; of one kind.
    n : items of each side (None: as many as both have, at most 1,000).
    seen : fingerprints of items that training saw (`items.fingerprints`); they are left out of the real side.
    features : more numbers for each item of both sides, (N, F) each, such as what a backbone makes of them.

    Raises
    ------
    DataError
        When the sides are of two kinds, or one has too few items.
    """
    real, fake = open_sides(real, fake)
    chosen = _choose(real, fake, n, seed, set(seen), features)
    half, n_kept = min(chosen.n, len(chosen.names) // 2), len(chosen.names)
    spoilt, spoilt_by = spoil(take(chosen.real, range(half, 2 * half)), seed)
    rows, is_fake = np.r_[: chosen.n, n_kept : n_kept + chosen.n], np.arange(2 * chosen.n) >= chosen.n
    with threadpool_limits(1):  # small fits: a second thread costs more than it brings
        learner = learner_for(chosen.real, chosen.fake, chosen.more)
        test = compare(learner, rows, is_fake, chosen.group_N, seed)
        controls = [_split(learner, n_kept, half, chosen.group_N, seed + place) for place in range(N_CONTROLS)]
        sensitivity = _sensitivity(take(chosen.real, range(half)), spoilt, seed)
        tells = _tells(learner, rows, is_fake, seed) if test.is_flagged else {}
    return _judged(test, controls, sensitivity, spoilt_by=spoilt_by, what=kind_of(real), n=chosen.n, tells=tells,
                   notes=chosen.notes)  # fmt: skip


class Chosen(NamedTuple):
    """The items that are judged."""

    real: Items
    """n of them, and up to n more, which serve the controls."""
    fake: Items
    n: int
    names: list[str]
    """Fingerprints of the real ones."""
    group_N: np.ndarray
    """Of all: those of one number are the same item."""
    more: tuple[np.ndarray, np.ndarray] | None
    notes: list[str]


def _choose(
    real: Items, fake: Items, n: int | None, seed: int, seen: set[str], features: tuple[np.ndarray, np.ndarray] | None
) -> Chosen:  # fmt: skip
    names, kind, rng = (fingerprints(real), fingerprints(fake)), kind_of(real), np.random.default_rng(seed)
    _check(kind, n, names, features)
    fresh, fakes = _usable(names[0], kind, seen), _usable(names[1], kind, set())
    n = min(len(fresh), len(fakes), n or MOST)
    if n < LEAST:
        raise DataError(
            f"there are {len(fresh)} real items that training did not see and {len(fakes)} fakes; at least {LEAST} of "
            "each are needed, some 200 to say much. Give more."
        )
    real_rows, fake_rows = rng.permutation(fresh)[: 2 * n], rng.permutation(fakes)[:n]
    own = [names[0][row] for row in real_rows]
    group_N = np.unique(own + [names[1][row] for row in fake_rows], return_inverse=True)[1]
    kept = take(real, real_rows), take(fake, fake_rows)
    more = None if features is None else (np.asarray(features[0])[real_rows], np.asarray(features[1])[fake_rows])
    return Chosen(*kept, n, own, group_N, more, _notes(names, kind, seen) + _size_notes(*kept))


def _check(
    kind: str, n: int | None, names: tuple[list[str], list[str]], features: tuple[np.ndarray, np.ndarray] | None
) -> None:  # fmt: skip
    if n is not None and n < LEAST:
        raise SettingError(f"n is {n}; at least {LEAST} of each side are needed, some 200 to say much. Give more.")
    if features is None:
        return
    if kind in ("rows", "texts"):
        raise SettingError(f"features are taken for pictures and sounds only; these are {kind}. Leave them out.")
    for side, own, given in zip(("real", "fake"), names, features, strict=True):
        if np.ndim(given) != 2 or len(given) != len(own):
            raise DataError(f"the {side} side has {len(own)} items and features {np.shape(given)}. Give a row an item.")


def _usable(names: list[str], kind: str, seen: set[str]) -> np.ndarray:
    """Rows that training did not see; of copies only the first, where two that are the same can be nothing else."""
    first = {name: row for row, name in reversed(list(enumerate(names)))}
    return np.array([row for row, name in enumerate(names)
                     if name not in seen and (kind not in COPIED or first[name] == row)], int)  # fmt: skip


def learner_for(real: Items, fake: Items, more: tuple[np.ndarray, np.ndarray] | None = None) -> Learner:
    """What judges items of this kind; its rows are the real ones, then the fakes.

    Parameters
    ----------
    more : further numbers for each item of both sides, for pictures and sounds.
    """
    kind = kind_of(real)
    if kind == "rows":
        return Cells(real, fake)
    if kind == "texts":
        return Letters([*real, *fake])
    if kind == "pictures":
        size, is_cut = window_size(real, fake)
        channels = max(real.channels, fake.channels)
        sides = [picture_features(side, size, is_cut=is_cut, channels=channels) for side in (real, fake)]
    else:
        sides = [sound_features(side) for side in (real, fake)]
    if more is not None:
        sides = [{**side, "given features": np.asarray(own)} for side, own in zip(sides, more, strict=True)]
    return Groups({name: np.concatenate([side[name] for side in sides]) for name in sides[0]})


# ---- the test ------------------------------------------------------------------------------------


def compare(
    learner: Learner, row_N: np.ndarray, is_fake_N: np.ndarray, group_N: np.ndarray, seed: int
) -> Comparison:  # fmt: skip
    """Progressive validation: each block is scored by what was learned from those before it.

    Parameters
    ----------
    row_N : rows of the learner, of both sides.
    group_N : of all the learner's rows: those of one number are the same item, and stay in one block.
    """
    block_N = _blocks(is_fake_N, group_N[row_N], seed)
    score_N = np.full(len(row_N), np.nan)
    for block in range(1, len(CUTS) + 1):
        before, now = block_N < block, block_N == block
        if len(set(is_fake_N[before])) == 2 and now.any():
            score_N[now] = learner.scores(row_N[before], is_fake_N[before], row_N[now])
    wins, n_pairs, spread = 0.0, 0, 0.0
    for block in range(1, len(CUTS) + 1):
        won, pairs, variance = _rank_sum(score_N[block_N == block], is_fake_N[block_N == block])
        wins, n_pairs, spread = wins + won, n_pairs + pairs, spread + variance
    share = wins / n_pairs if n_pairs else 0.5
    z = (wins - n_pairs / 2) / np.sqrt(spread) if spread else 0.0
    judged = np.isfinite(score_N)
    n_right, n = int(((score_N > 0) == is_fake_N)[judged].sum()), int(judged.sum())
    low, high = wilson_interval(n_right, n)
    return Comparison(
        n, share, _auc_interval(share, int(is_fake_N[judged].sum()), int((~is_fake_N[judged]).sum())),
        n_right / n, (float(low), float(high)), float(2 * norm.sf(abs(z))),
    )  # fmt: skip


def _blocks(is_fake_N: np.ndarray, group_N: np.ndarray, seed: int) -> np.ndarray:
    """The block of each item: even shares of both sides in each, the same item always in one."""
    rng = np.random.default_rng(seed)
    place_N = np.empty(len(is_fake_N))
    for side in (is_fake_N, ~is_fake_N):
        place_N[side] = (rng.permutation(side.sum()) + 0.5) / side.sum()
    first = np.unique(group_N, return_index=True, return_inverse=True)
    return np.searchsorted(CUTS, place_N[first[1]][first[2]])


def _rank_sum(score_V: np.ndarray, is_fake_V: np.ndarray) -> tuple[float, int, float]:
    """Pairs of a fake and a real one that the fake wins, all pairs, and the variance of the former under chance."""
    n, n_fake = len(score_V), int(is_fake_V.sum())
    n_real = n - n_fake
    if not n_fake or not n_real or not np.isfinite(score_V).all():
        return 0.0, 0, 0.0
    rank_V = rankdata(score_V)
    won = rank_V[is_fake_V].sum() - n_fake * (n_fake + 1) / 2
    return float(won), n_fake * n_real, float(n_fake * n_real * rank_V.var(ddof=1) / n)


def _auc_interval(share: float, n_fake: int, n_real: int) -> tuple[float, float]:
    """AUCs that this one does not contradict at 95 % (Newcombe 2006; variance of Hanley and McNeil 1982)."""
    true = np.linspace(0, 1, AUC_STEPS)[1:-1]
    half = (n_fake + n_real) / 2 - 1
    variance = true * (1 - true) * (1 + half * ((1 - true) / (2 - true) + true / (1 + true))) / (n_fake * n_real)
    inside = true[np.abs(share - true) <= norm.ppf(0.975) * np.sqrt(variance)]
    return (float(inside.min()), float(inside.max())) if len(inside) else (share, share)


# ---- the controls --------------------------------------------------------------------------------


def _split(learner: Learner, n_real: int, half: int, group_N: np.ndarray, seed: int) -> Comparison:
    """Two random halves of the real side."""
    rows = np.random.default_rng(seed + 1000).permutation(n_real)[: 2 * half]
    return compare(learner, rows, np.arange(2 * half) >= half, group_N, seed)


def _sensitivity(real: Items, spoilt: Items, seed: int) -> Comparison:
    """Half of the real side against the other half made worse."""
    learner, n = learner_for(real, spoilt), len(fingerprints(real))
    return compare(learner, np.arange(2 * n), np.arange(2 * n) >= n, np.arange(2 * n), seed)


def _tells(learner: Learner, row_N: np.ndarray, is_fake_N: np.ndarray, seed: int) -> dict[str, float]:
    """Learned from two thirds, told by the rest."""
    learned = _blocks(is_fake_N, np.arange(len(row_N)), seed) < 3
    found = learner.tells(row_N[learned], is_fake_N[learned], row_N[~learned], is_fake_N[~learned])
    return dict(list(found.items())[:N_TELLS])


# ---- words ---------------------------------------------------------------------------------------


def _notes(names: tuple[list[str], list[str]], kind: str, seen: set[str]) -> list[str]:
    n_seen = sum(name in seen for name in names[0])
    notes = [f"{n_seen} real items were seen in training, and are left out"] if n_seen else []
    n_copies = len(set(names[0]) & set(names[1]))
    notes += [f"{n_copies} fakes are copies of real items"] if n_copies else []
    once = ", and count once" if kind in COPIED else ""
    for what, own in (("real items", names[0]), ("fakes", names[1])):
        n_again = len(own) - len(set(own))
        notes += [f"{n_again} of {len(own)} {what} are the same as another{once}"] if n_again else []
    return notes


def _size_notes(real: Items, fake: Items) -> list[str]:
    if not isinstance(real, Pictures) or window_size(real, fake)[1]:
        return []
    sizes = [" x ".join(f"{n:.0f}" for n in np.median(side.size_N2, 0)) for side in (real, fake)]
    return [
        f"the real ones are {sizes[0]} pixels, the fakes {sizes[1]}: both are shrunk to {window_size(real, fake)[0]}, "
        "and finer detail is not judged"
    ]


def _judged(
    test: Comparison, controls: list[Comparison], sensitivity: Comparison, *, spoilt_by: str, what: str, n: int,
    tells: dict[str, float], notes: list[str],
) -> Judgement:  # fmt: skip
    n_alarms = sum(control.is_flagged for control in controls)
    kind = "told apart" if test.is_flagged else "could not be told apart"
    if test.is_flagged and n_alarms > MOST_ALARMS:
        kind = "not to be trusted"
    elif not test.is_flagged and not sensitivity.is_flagged:
        kind = "too weak to say"
    return Judgement(
        kind, _sentence(kind, test, sensitivity, (what, spoilt_by, n_alarms, n), tells), what, n, n, test,
        [control.p for control in controls],
        (min(control.auc for control in controls), max(control.auc for control in controls)),
        sensitivity, spoilt_by, tells, notes,
    )  # fmt: skip


def _sentence(
    kind: str, test: Comparison, sensitivity: Comparison, facts: tuple[str, str, int, int], tells: dict[str, float]
) -> str:  # fmt: skip
    what, spoilt_by, n_alarms, n = facts
    low, high = test.auc_interval
    figures = f"AUC {test.auc:.3f} ({low:.3f} to {high:.3f}; .5 is chance), p {test.p:.2g}, {n} + {n} {what}"
    if kind == "told apart":
        return f"A machine tells real and fake apart: {figures}. Mostly by {', '.join(list(tells)[:3])}."
    if kind == "could not be told apart":
        return (
            f"A machine could not tell real and fake apart: {figures}. It is not blind: it does see {spoilt_by} "
            f"(AUC {sensitivity.auc:.3f})."
        )
    if kind == "too weak to say":
        return (
            f"This judge is too weak to say: {figures}; it does not even see {spoilt_by} (AUC {sensitivity.auc:.3f}). "
            "Give more of both."
        )
    return (
        f"Not to be trusted: {figures}, but {n_alarms} of {N_CONTROLS} splits of the real side differ from each other "
        "too. Take copies and series out of it."
    )
