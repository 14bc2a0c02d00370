"""How good made pictures and sounds are, as points of a named feature network.

Real training items are what all are compared with: fakes, held-out real items (the floor) and noise (the ceiling), in
equal numbers, since distances of few points are too large by themselves.
Dimension key: N training items, H held-out ones, M fakes, E = equal numbers of each, S side, C channels, D features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from twofold.core.generation.judge import PictureJudge, SoundJudge
from twofold.data.audio import Sounds
from twofold.measure.accuracy import wilson_interval
from twofold.measure.generation import Copies, copies, frechet, frechet_interval, likeness
from twofold.measure.report import Measure

__all__ = ["FLOOR", "asked_measure", "cloud_measures", "copy_measures", "picture_measures", "sound_measures"]

MOST, MOST_TRAINING = 4000, 20_000  # of each, drawn; more take long
FLOOR, CEILING = "real, held out", "noise"
PRESENT = 0.25  # of a class's share among real items, below which it counts as missing


def picture_measures(
    judge: PictureJudge, train: np.ndarray, held_out: np.ndarray, fake: np.ndarray, *, seed: int = 0
) -> list[Measure]:
    """Frechet distance, precision, recall, density, coverage, copies; with a judge that tells classes, those too.

    Parameters
    ----------
    train : uint8 (N, S, S, C): the pictures that the generator learned from; of others, copies cannot be seen.
    held_out : (H, S, S, C): real ones that neither it nor the judge has seen.
    fake : (M, S, S, C); of the larger of both sides some are drawn. Give a thousand of each for sound figures.
    """
    noise = np.random.default_rng(seed).integers(0, 256, (min(MOST, len(fake)), *fake.shape[1:]), np.uint8)
    return _measures(judge, (train, held_out, fake, noise), seed)


def sound_measures(judge: SoundJudge, train: Sounds, held_out: Sounds, fake: Sounds, *, seed: int = 0) -> list[Measure]:
    """The same of sounds, by their log-mel pictures; noise is white, and as loud as the training sounds."""
    rng = np.random.default_rng(seed)
    loudness = float(np.sqrt(np.square(train.flat_S, dtype=np.float64).mean())) if len(train.flat_S) else 0.0
    lengths = fake.length_N[:MOST]
    noise = Sounds.of([rng.normal(0, loudness, n).clip(-1, 1) for n in lengths], fake.rate)
    return _measures(judge, (train, held_out, fake, noise), seed)


def asked_measure(judge: PictureJudge | SoundJudge, fake: Any, asked: Sequence[Any], held_out: float) -> Measure:
    """How often the judge sees the class that was asked for.

    Parameters
    ----------
    fake : pictures or sounds (M).
    asked : the class of each.
    held_out : how often it sees the class of a held-out real item.
    """
    n_right = int((judge.recognised(judge.features(fake)) == np.array(asked, object)).sum())
    beside = ((FLOOR, held_out), ("by chance", 1 / len(judge.classes)))
    interval = wilson_interval(n_right, len(asked))
    return Measure(f"asked-for class recognised, of {len(asked)}", n_right / len(asked), interval, beside)


def _measures(judge: PictureJudge | SoundJudge, items: Sequence[Any], seed: int) -> list[Measure]:
    points = [judge.features(part) for part in items]  # type: ignore[arg-type]
    train_ND, held_out_HD, fake_MD, noise_MD = points
    measures = [
        _frechet_measure(judge.name, points, seed),
        *cloud_measures(train_ND, held_out_HD, {"": fake_MD, CEILING: noise_MD}, seed=seed),
        *copy_measures(copies(train_ND[:MOST_TRAINING], held_out_HD, fake_MD), seed),
    ]
    return [*measures, _class_measure(judge, points)] if judge.classes else measures


def _drawn(rng: np.random.Generator, n: int, points: np.ndarray) -> np.ndarray:
    return points[np.sort(rng.permutation(len(points))[:n])]


def _frechet_measure(name: str, points: Sequence[np.ndarray], seed: int) -> Measure:
    """The distance to training items of fakes, of as many held-out items, and of as much noise."""
    rng, n = np.random.default_rng(seed), min(MOST, *map(len, points[1:]))
    train_ND = _drawn(rng, MOST_TRAINING, points[0])
    held_out_ED, fake_ED, noise_ED = (_drawn(rng, n, part) for part in points[1:])
    beside = ((FLOOR, frechet(train_ND, held_out_ED)), (CEILING, frechet(train_ND, noise_ED)))
    interval = frechet_interval(train_ND, fake_ED, seed=seed)
    return Measure(f"Frechet distance in {name}, {n} of each", frechet(train_ND, fake_ED), interval, beside, False)


def cloud_measures(
    train_ND: np.ndarray, held_out_HD: np.ndarray, fakes: dict[str, np.ndarray], *, seed: int
) -> list[Measure]:
    """Precision, recall, density and coverage of the fakes called "", beside held-out items and the other fakes."""
    rng = np.random.default_rng(seed)
    n = min(MOST, len(train_ND), len(held_out_HD), *(len(part) for part in fakes.values()))
    real_ED, of = _drawn(rng, n, train_ND), {FLOOR: held_out_HD} | fakes
    found = {name: likeness(real_ED, _drawn(rng, n, part)) for name, part in of.items()}
    told = {name: one.measures(seed) for name, one in found.items()}
    return [
        Measure(what, value, interval, tuple((name, told[name][what][0]) for name in of if name))
        for what, (value, interval) in told[""].items()
    ]


def copy_measures(found: Copies, seed: int) -> list[Measure]:
    """How far from training items, beside held-out ones and copies."""
    beside = ((FLOOR, 1.0), ("training items themselves", 0.0))
    interval = found.interval(lambda drawn: drawn.ratio, seed)
    nearer = found.interval(lambda drawn: drawn.share_nearer, seed)
    return [
        Measure("copy ratio", found.ratio, interval, beside),
        Measure("nearer to training than held-out items are", found.share_nearer, nearer,
                ((FLOOR, 0.5), ("training items themselves", 1.0)), False),
    ]  # fmt: skip


def _class_measure(judge: PictureJudge | SoundJudge, points: Sequence[np.ndarray]) -> Measure:
    """Of how many classes there are fakes."""
    real_N, held_out_H, fake_M = (judge.recognised(part) for part in points[:3])
    beside = ((FLOOR, _n_present(judge, real_N, held_out_H)), ("all", len(judge.classes)))
    return Measure("classes present", _n_present(judge, real_N, fake_M), None, beside)


def _n_present(judge: PictureJudge | SoundJudge, real_N: np.ndarray, seen_M: np.ndarray) -> int:
    """Classes that are seen at least a quarter as often as among real items."""
    return sum(bool((seen_M == own).mean() >= PRESENT * (real_N == own).mean() > 0) for own in judge.classes)
