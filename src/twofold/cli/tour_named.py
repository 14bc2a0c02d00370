"""The tour's chapter on words and pictures: signs found by names that were never seen, and named."""

import numpy as np

from twofold.cli.report import Chapter, rows_html
from twofold.data.pairs import Pairs, open_pairs
from twofold.measure.report import Measure
from twofold.methods.clip import CLIP

__all__ = ["named_chapter"]

QUERIES = (
    "black chess queen", "playing card", "domino tile", "letter with diaeresis", "rightwards arrow", "braille pattern",
    "photograph of a motorcycle",
)  # fmt: skip
WANTED = "black chess queen"  # kept out of training, and asked for
N_SHOWN, N_NAMED = 8, 6


def named_chapter(seed: int) -> Chapter:
    """Learn from signs and their Unicode names; then look for signs, and name them, that were not among them."""
    pairs = open_pairs("sample:glyphs")
    learnt, unseen = _parts(pairs, seed)
    model = CLIP(n_steps=150, embed_dim=256, dim=256, seed=seed).fit(learnt)
    found = model.evaluate(unseen)[0]
    return Chapter(
        "Words and pictures",
        "Two networks, one for pictures and one for words, put both into one space: what belongs together lies "
        "together. Words then find pictures, and pictures words, that were never seen together.",
        f"{len(learnt)} signs and their names; {len(unseen)} others to look for",
        Measure("name finds its unseen sign at once", found.value, found.interval, found.baselines),
        [
            (
                rows_html(_searched(model, unseen)),
                f"What these words find among {len(unseen)} signs that were not learned from; nothing where none fits.",
            ),
            (
                rows_html(_named(model, unseen, seed)),
                "Signs that were not learned from, in the words that the captioner found for them.",
            ),
        ],
    )


def _parts(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """All but a tenth of the signs, and that tenth."""
    is_unseen_N = np.random.default_rng(seed).random(len(pairs)) < 0.1
    is_unseen_N |= np.array([names == [WANTED] for names in pairs.captions])
    return pairs.take(~is_unseen_N), pairs.take(is_unseen_N)


def _searched(model: CLIP, unseen: Pairs) -> list[tuple[str, list[np.ndarray]]]:
    found = model.search(unseen, QUERIES, k=N_SHOWN)
    empty = [np.full_like(unseen.pictures[0], 255)]
    return [
        (query if hits else f"{query}: nothing fits", [unseen.pictures[hit.index] for hit in hits] or empty)
        for query, hits in zip(QUERIES, found, strict=True)
    ]


def _named(model: CLIP, unseen: Pairs, seed: int) -> list[tuple[str, list[np.ndarray]]]:
    some = unseen.take(np.random.default_rng(seed).permutation(len(unseen))[:N_NAMED])
    return [
        (f"{own[0][0]}  (it is: {names[0]})", [picture])
        for own, names, picture in zip(model.describe(some), some.captions, some.pictures, strict=True)
    ]
