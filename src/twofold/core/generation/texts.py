"""How good made short texts are: names, words, addresses, one a line."""

from collections.abc import Sequence

import numpy as np

from twofold.core.generation.pictures import FLOOR
from twofold.errors import DataError
from twofold.measure.accuracy import wilson_interval
from twofold.measure.report import Measure
from twofold.measure.synthetic import letter_divergence, texts_told_apart

__all__ = ["text_measures"]

MOST = 4000
SHUFFLED, TRAINING = "letters in random order", "training texts"


def text_measures(
    train: Sequence[str], held_out: Sequence[str], fake: Sequence[str], *, seed: int = 0
) -> list[Measure]:
    """Unique, novel, told apart by their letters, runs of letters, lengths.

    Parameters
    ----------
    train : the texts that the fakes' maker learned from.
    held_out : real ones that it has not seen.
    """
    if not (len(train) and len(held_out) and len(fake)):
        raise DataError(
            f"{len(train)} training, {len(held_out)} held-out and {len(fake)} made texts; give some of each."
        )
    rng = np.random.default_rng(seed)
    train = list(train)
    held_out, fake = (_some(texts, MOST, rng) for texts in (held_out, fake))
    n = min(len(train), len(held_out), len(fake))
    mixed = ["".join(rng.permutation(list(text))) for text in _some(train, n, rng)]
    others = {TRAINING: _some(train, n, rng), SHUFFLED: mixed}
    unseen, made = _some(held_out, n, rng), _some(fake, n, rng)
    return [
        *_new_measures(train, held_out, fake, n, rng),
        _told_apart(unseen, made, others, seed),
        _divergence(unseen, made, others),
        _lengths(unseen, made, others),
    ]


def _some(texts: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    return [texts[row] for row in rng.permutation(len(texts))[:n]]


def _new_measures(
    train: list[str], held_out: list[str], fake: list[str], n: int, rng: np.random.Generator
) -> list[Measure]:
    """Shares of fakes that come once only, and that training lacks, beside those of held-out texts."""
    known, shares = set(train), []
    for texts in (_some(fake, n, rng), _some(held_out, n, rng)):
        shares.append((len(set(texts)) / n, float(np.mean([text not in known for text in texts]))))
    names = f"unique, of {n}", f"novel, of {n}: not in training"
    return [
        Measure(name, fakes, wilson_interval(round(fakes * n), n), ((FLOOR, real),))
        for name, fakes, real in zip(names, *shares, strict=True)
    ]


def _told_apart(unseen: list[str], made: list[str], others: dict[str, list[str]], seed: int) -> Measure:
    told = {name: texts_told_apart(unseen, texts, seed) for name, texts in {"": made, **others}.items()}
    beside = tuple((name, one.auc) for name, one in told.items() if name)
    name = f"two-sample AUC by runs of letters, {len(made)} of each"
    return Measure(name, told[""].auc, told[""].interval(seed), beside, False)


def _divergence(unseen: list[str], made: list[str], others: dict[str, list[str]]) -> Measure:
    beside = tuple((name, letter_divergence(unseen, texts)) for name, texts in others.items())
    return Measure("divergence of runs of three letters, bits", letter_divergence(unseen, made), None, beside, False)


def _lengths(unseen: list[str], made: list[str], others: dict[str, list[str]]) -> Measure:
    """Mean letters that lengths would have to change by."""
    sides = [np.sort([len(text) for text in texts]) for texts in (unseen, made, *others.values())]
    apart = [float(np.abs(side - sides[0]).mean()) for side in sides[1:]]
    return Measure("lengths apart, letters", apart[0], None, tuple(zip(others, apart[1:], strict=True)), False)
