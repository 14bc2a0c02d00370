"""All measures of a generator by one door, whatever it makes.

Dimension key: N real items.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from twofold.core.generation.judge import PictureJudge, SoundJudge
from twofold.core.generation.pictures import asked_measure, picture_measures, sound_measures
from twofold.core.generation.rows import row_measures
from twofold.core.generation.texts import text_measures
from twofold.data.audio import Sounds
from twofold.errors import DataError
from twofold.measure.report import Measure

__all__ = ["Maker", "measure_fakes"]

HELD_OUT, LEAST, MOST = 0.25, 8, 4000
LEAST_MADE, MOST_MADE = 200, 20_000
N_ASKED = 500  # fakes of all classes together, to see whether they show what was asked for


@dataclass(frozen=True)
class Maker:
    """A generator, as the measures see it."""

    make: Callable[[int], Any]
    """So many fakes: uint8 pictures (n, S, S, C), sounds, a table, or texts."""
    make_class: Callable[[int, Any], Any] | None = None
    """So many of one class; None where none can be asked for."""
    classes: Sequence[Any] = ()


def measure_fakes(
    real: Any, maker: Maker, *, label_N: Sequence[Any] | None = None, unseen: Sequence[int] | None = None,
    target: str | None = None, seed: int = 0,
) -> list[Measure]:  # fmt: skip
    """How good the fakes are, each measure beside the floor of real held-out items and trivial fakes.

    Parameters
    ----------
    real : uint8 pictures (N, S, S, C), sounds, a table, or texts. Only when they are those that the generator learned
        from do the measures of copies speak of copies.
    label_N : classes of pictures or sounds, for a judge that tells them.
    unseen : the numbers of the items that the generator did not learn from; they set the floor. None: a quarter is
        drawn. If the generator did learn from that quarter too, copies of it pass for new items.
    target : of a table, the column to predict after learning from made rows.
    """
    n = real.num_rows if isinstance(real, pa.Table) else len(real)
    is_unseen_N = _unseen(n, unseen, seed)
    train, held_out = (_take(real, np.flatnonzero(part_N)) for part_N in (~is_unseen_N, is_unseen_N))
    is_table = isinstance(real, pa.Table)
    n_wanted = (~is_unseen_N).sum() if is_table else is_unseen_N.sum()
    fake = maker.make(int(np.clip(n_wanted, LEAST_MADE, MOST_MADE if is_table else MOST)))
    if is_table:
        return row_measures(train, held_out, fake, target=target, seed=seed)
    if isinstance(real, list):
        return text_measures(train, held_out, fake, seed=seed)
    known_N = None if label_N is None else np.array([str(label) for label in label_N], object)
    judged = None if known_N is None else known_N[~is_unseen_N]
    if isinstance(real, Sounds):
        hearer = SoundJudge.learn(train, judged, seed)
        measures: list[Measure] = sound_measures(hearer, train, held_out, fake, seed=seed)
        return measures + _asked(hearer, maker, held_out, known_N, is_unseen_N)
    judge = PictureJudge.learn(train, judged, seed)
    measures = picture_measures(judge, train, held_out, fake, seed=seed)
    return measures + _asked(judge, maker, held_out, known_N, is_unseen_N)


def _unseen(n: int, unseen: Sequence[int] | None, seed: int) -> np.ndarray:
    """Which items are held out, (N,) booleans."""
    is_unseen_N = np.zeros(n, bool)
    drawn = np.random.default_rng(seed).permutation(n)[: min(MOST, max(LEAST, round(HELD_OUT * n)))]
    is_unseen_N[drawn if unseen is None or not len(unseen) else np.asarray(unseen)] = True
    if min(is_unseen_N.sum(), (~is_unseen_N).sum()) < LEAST:
        raise DataError(f"{n} items are too few to measure by; at least {LEAST} to learn from and {LEAST} others are "
                        "needed. Give more.")  # fmt: skip
    return is_unseen_N


def _take(items: Any, rows: np.ndarray) -> Any:
    if isinstance(items, list):
        return [items[row] for row in rows]
    return items[rows] if isinstance(items, np.ndarray) else items.take(rows)


def _asked(
    judge: PictureJudge | SoundJudge, maker: Maker, held_out: Any, known_N: np.ndarray | None, is_unseen_N: np.ndarray
) -> list[Measure]:
    """Whether a class that is asked for comes."""
    if maker.make_class is None or known_N is None or not judge.classes:
        return []
    n_each = max(1, N_ASKED // len(maker.classes))
    asked = [own for own in maker.classes for _ in range(n_each)]
    fake = [maker.make_class(n_each, own) for own in maker.classes]
    joined = _joined(fake)
    is_right_H = judge.recognised(judge.features(held_out)) == known_N[is_unseen_N]
    return [asked_measure(judge, joined, asked, float(is_right_H.mean()))]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Sounds):
        return Sounds.of([sound for part in parts for sound in part], parts[0].rate)
    return np.concatenate(parts)
