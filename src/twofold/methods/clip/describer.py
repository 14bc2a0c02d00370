"""Describe: a caption for a picture, learned from the features and captions of others.

1. A ridge regression foretells from a picture's features which words are said of it, and how like each known picture
   it is (nn/foretelling.py).
2. The captioner (nn/captioner.py) learns to write, given those foretold words.
3. What it writes, and what is said of the likest pictures, is ranked by the CIDEr-D that the known captions let expect
   of it (measure/captions.py), and a little by how likely the captioner finds it.

Dimension key: N pictures, D features, R principal components, M words foretold, T words of a caption, B at a time,
C candidates.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twofold.core.device import choose_device
from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.core.loop import Plan, Progress, train
from twofold.errors import DataError, SettingError
from twofold.measure.captions import Cider, Jury, is_unspaced, split_words
from twofold.nn.captioner import PAD, UNKNOWN, Captioner, Vocabulary, sample_captions, search_captions
from twofold.nn.foretelling import MOST_LOOKS, Foretelling

__all__ = ["CaptionLearner", "Describer"]

MOST_FORETOLD = 2000  # M: so many of the commonest words
LONGEST = 30  # words of a caption
DIM = 128
SMOOTHING, DROPOUT, WORD_DROPOUT = 0.1, 0.4, 0.1
N_LIKEST = 20  # pictures whose captions are candidates
FLUENCY = 0.06  # CIDEr-D that a nat per word is worth
AT_ONCE = 64
WAYS = ("ranked", "written", "nearest")
MOST_TRIED = 100  # pictures by which the way is chosen


# ---- loss ----------------------------------------------------------------------------------------


class CaptionLearner(Learner):
    """Cross-entropy of the next word, smoothed (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567).

    Parameters
    ----------
    look_NR, lift_NM : of each known picture; the lift as foretold without it, so that the network finds it as
        unreliable as it is of new pictures.
    """

    learning_rate = 2e-3
    weight_decay = 0.05

    def __init__(self, network: Captioner, look_NR: np.ndarray, lift_NM: np.ndarray):
        super().__init__()
        self.network = network
        self.register_buffer("look_NR", torch.tensor(look_NR, dtype=torch.float32), persistent=False)
        self.register_buffer("lift_NM", torch.tensor(lift_NM, dtype=torch.float16), persistent=False)

    def loss(self, word_BT: Tensor, owner_B: Tensor) -> dict[str, Tensor]:
        """Nats a word, the end included."""
        self.n_places = word_BT.shape[1]
        word_BT = word_BT[:, : int((word_BT != PAD).sum(1).max())].long()
        look_BR, lift_BM = self.look_NR[owner_B], self.lift_NM[owner_B].float()
        before_BT = torch.cat([torch.zeros_like(word_BT[:, :1]), word_BT[:, :-1].clamp_min(0)], 1)
        # words before are hidden now and then: else the network would trust them more than the picture
        before_BT = torch.where(self._chances(before_BT) < WORD_DROPOUT, UNKNOWN, before_BT)
        seen_BD = self.network.begin(look_BR, lift_BM, self.drop)
        logit_BTV, _ = self.network.logits(before_BT, seen_BD, seen_BD, lift_BM, self.drop)
        nats_BT = torch.nn.functional.cross_entropy(
            logit_BTV.mT, word_BT, ignore_index=PAD, label_smoothing=SMOOTHING, reduction="none"
        )
        # words of the whole batch, whichever process holds how many
        n_words_A1 = self.whole_batch((word_BT != PAD).sum(1, keepdim=True).float())
        return {"next_word": nats_BT.sum(1).mean() / n_words_A1.mean()}

    def drop(self, x: Tensor) -> Tensor:
        """Dropout, from the loop's own random numbers."""
        return x * (self._chances(x) >= DROPOUT) / (1 - DROPOUT)

    def _chances(self, x: Tensor) -> Tensor:
        """Numbers in 0..1, shaped like (B, D), (B, T) or (B, T, D); the same however short a process's captions are."""
        if x.ndim == 2 and not x.dtype.is_floating_point or x.ndim == 3:
            return self.uniform(len(x), self.n_places, *x.shape[2:])[:, : x.shape[1]]
        return self.uniform(*x.shape)


# ---- the describer -------------------------------------------------------------------------------


class Describer:
    """Captions of pictures, from features that a picture tower gives.

    Parameters
    ----------
    feature_ND : features of the pictures to learn from.
    captions : those of each picture; pictures without any are left out.

    Raises
    ------
    DataError
        When no picture has a caption, or there is not one list for each row of features.

    Examples
    --------
    >>> feature_ND = np.eye(4).repeat(3, 0)
    >>> captions = [[f"a {colour} ball"] for colour in ("red", "green", "blue", "grey") for _ in range(3)]
    >>> describer = Describer.learn(feature_ND, captions, n_steps=20)
    >>> describer.describe(feature_ND[:1])[0][0][0]
    'a red ball'
    """

    def __init__(self, feature_ND: np.ndarray, captions: Sequence[Sequence[str]], *, seed: int = 0):
        feature_ND = _checked(feature_ND)
        if len(captions) != len(feature_ND):
            raise DataError(
                f"{len(captions)} lists of captions were given for {len(feature_ND)} pictures. Give one for each."
            )
        told = [[text for text in texts if text and split_words(text)] for texts in captions]
        rows = [n for n, texts in enumerate(told) if texts]
        if not rows:
            raise DataError(
                f"none of {len(captions)} pictures has a caption with a word in it. Give captions to learn from."
            )
        self.seed, self.way, self.n_updates = seed, WAYS[0], 0
        self._know([told[n] for n in rows])
        self.foretelling = Foretelling.learn(feature_ND[rows], self._said())
        with seeded(seed):
            self.network = self._empty_network()
        with torch.no_grad():
            # at first every word is as likely as it is common
            self.network.often_V.copy_(torch.tensor(self._counts()).clamp_min(1).log())

    def _know(self, captions: list[list[str]]) -> None:
        """What follows from the captions alone."""
        self.captions = captions
        self._flat = [text for texts in captions for text in texts]
        self._first_N = np.cumsum([0, *map(len, captions)])
        sentences = [split_words(text) for text in self._flat]
        self.vocabulary = Vocabulary.of(sentences)
        self.spelling = Spelling(self._flat)
        self.longest = min(LONGEST, int(np.quantile([len(words) for words in sentences], 0.99)) + 3)

    @classmethod
    def learn(
        cls, feature_ND: np.ndarray, captions: Sequence[Sequence[str]], *, seed: int = 0, n_steps: int | None = None,
        minutes: float | None = None,
    ) -> "Describer":  # fmt: skip
        """A describer that was trained to the end."""
        describer = cls(feature_ND, captions, seed=seed)
        for _ in describer.train(n_steps=n_steps, minutes=minutes):
            pass
        return describer

    def train(
        self, *, n_steps: int | None = None, minutes: float | None = None, folder: Path | None = None,
        device: str = "cpu", n_threads: int | None = None,
    ) -> Iterator[Progress]:  # fmt: skip
        """Teach the captioner, one Progress a step; closed early, it describes as well as it has learned.

        Parameters
        ----------
        n_steps, minutes : how long (None: 12 steps for the square root of the number of captions).
        folder : where its checkpoint lives, alone; a checkpoint found there is gone on from.
        """
        rows = [(words, n) for n, texts in enumerate(self.captions) for words in map(split_words, texts)]
        word_NT = np.array([self.vocabulary.encode(words, self.longest + 1) for words, _ in rows], np.int32)
        if n_steps is None and minutes is None:
            n_steps = int(np.clip(12 * len(rows) ** 0.5, 100, 6000))
        plan = Plan(n_steps=n_steps, minutes=minutes, batch_size=64, seed=self.seed, n_threads=n_threads)
        told = self.foretelling
        learner = CaptionLearner(self.network, told.looks(told.place_NR), told.lift(told.left_out(self._said())))
        learner.to(choose_device(device))
        try:
            yield from train(learner, (word_NT, np.array([n for _, n in rows])), plan, folder=folder)
        finally:
            self.network, self.n_updates = learner.network.cpu().eval(), learner.n_updates

    def _said(self) -> np.ndarray:
        """The share of each picture's captions that say each of the commonest words, (N, M)."""
        word_NM = np.zeros((len(self.captions), min(len(self.vocabulary.words), MOST_FORETOLD)), np.float32)
        for n, texts in enumerate(self.captions):
            for text in texts:
                numbers = {self.vocabulary.number.get(word, 0) - 2 for word in split_words(text)}
                word_NM[n, [m for m in numbers if 0 <= m < word_NM.shape[1]]] += 1 / len(texts)
        return word_NM

    def _counts(self) -> list[float]:
        numbers = [n for text in self._flat for n in self.vocabulary.encode(split_words(text), LONGEST) if n != PAD]
        return np.bincount(numbers, minlength=len(self.vocabulary)).astype(float).tolist()

    def _empty_network(self) -> Captioner:
        n_look = min(MOST_LOOKS, self.foretelling.place_NR.shape[1])
        return Captioner(len(self.vocabulary), n_look, len(self.foretelling.mean_M), DIM).eval()

    @cached_property
    def jury(self) -> Jury:
        """Who says what CIDEr-D a caption may expect: the known captions."""
        return Jury(self.captions)

    # ---- verbs -----------------------------------------------------------------------------------

    def describe(
        self, feature_ND: np.ndarray, n: int = 1, *, beam: int = 10, temperature: float | None = None, seed: int = 0
    ) -> list[list[tuple[str, float]]]:
        """Captions of each picture, n at most, the best first, with the CIDEr-D that it may expect.

        Parameters
        ----------
        beam : beginnings that the search keeps: more find better captions, and take longer.
        temperature : given, captions are drawn instead, with the log of their probability: higher is bolder.
        """
        if beam < 1 or n < 1:
            raise SettingError(f"beam is {beam} and n is {n}; both must be at least 1. Give larger ones.")
        place_NR = self.foretelling.places(_checked(feature_ND, len(self.foretelling.centre_D)))
        if temperature is not None:
            return self._drawn(place_NR, n, temperature, seed)
        return self._by(self.way, place_NR, n, beam)

    def settle(self, feature_ND: np.ndarray, captions: Sequence[Sequence[str]]) -> dict[str, float]:
        """Take the way that does best on pictures that were held out; the CIDEr-D of each.

        Where every picture has one short name, what the captioner writes is better than what its rank tells.
        """
        rows = [n for n, texts in enumerate(captions) if any(map(split_words, texts))][:MOST_TRIED]
        if not rows:
            return {}
        told, place_NR = [list(captions[n]) for n in rows], self.foretelling.places(_checked(feature_ND[rows]))
        cider, found = Cider(told), {}
        for way in WAYS:
            answers = [one[0][0] for one in self._by(way, place_NR, 1, 10)]
            found[way] = float(cider.scores(answers, told).mean())
        self.way = max(WAYS, key=lambda way: found[way])
        return found

    def _by(self, way: str, place_NR: np.ndarray, n: int, beam: int) -> list[list[tuple[str, float]]]:
        if way == "nearest":
            return self._nearest(place_NR, n)
        answers = []
        for first in range(0, len(place_NR), AT_ONCE):
            some_BR = place_NR[first : first + AT_ONCE]
            alike_BN = self.foretelling.alike(some_BR)
            for written, alike_N in zip(self.written(some_BR, beam), alike_BN, strict=True):
                plain = [pair for pair in written if pair[0]] if way == "written" else []
                answers.append((plain or self._ranked(written, alike_N))[:n])
        return answers

    def nearest(self, feature_ND: np.ndarray, n: int = 1) -> list[list[tuple[str, float]]]:
        """The caption of each of the n nearest known pictures that is likest its others, with the cosine: the floor."""
        return self._nearest(self.foretelling.places(_checked(feature_ND, len(self.foretelling.centre_D))), n)

    def _nearest(self, place_NR: np.ndarray, n: int) -> list[list[tuple[str, float]]]:
        near_NN = self.foretelling.nearness(place_NR)
        order = np.argsort(-near_NN, 1, kind="stable")[:, :n]
        return [[(self._usual(who), float(near[who])) for who in row] for row, near in zip(order, near_NN, strict=True)]

    def written(self, place_BR: np.ndarray, beam: int) -> list[list[tuple[str, float]]]:
        """What the captioner alone writes, the likeliest first, with nats a word."""
        found = search_captions(self.network, *self._inputs(place_BR), width=beam, longest=self.longest)
        scored = [
            [
                (self.spelling.text(self.vocabulary.decode(numbers)), score / (len(numbers) + 1))
                for numbers, score in one
            ]
            for one in found
        ]
        return [sorted(one, key=lambda pair: -pair[1]) for one in scored]

    def _inputs(self, place_BR: np.ndarray) -> tuple[Tensor, Tensor]:
        told = self.foretelling
        parts = told.looks(place_BR), told.lift(told.shares(place_BR))
        return tuple(torch.from_numpy(part.astype(np.float32)) for part in parts)

    def _ranked(self, written: list[tuple[str, float]], alike_N: np.ndarray) -> list[tuple[str, float]]:
        """All candidates by what CIDEr-D they may expect, each text once, the best first."""
        likest = np.argsort(-alike_N, kind="stable")[:N_LIKEST]
        own = np.concatenate([np.arange(self._first_N[who], self._first_N[who + 1]) for who in likest])
        # the known ones first: where nothing tells them apart, one of them is the answer
        texts = [self._flat[row] for row in own] + [text for text, _ in written]
        expected_C = self.jury.expected(texts, alike_N, np.concatenate([own, np.full(len(written), -1)]))
        # a sentence that a person wrote is as fluent as the best
        best = max(score for _, score in written)
        merit_C = expected_C + FLUENCY * np.array([best] * len(own) + [score for _, score in written])
        ranked: dict[str, tuple[str, float]] = {}
        for c in np.argsort(-merit_C, kind="stable"):
            ranked.setdefault(" ".join(split_words(texts[c])), (texts[c], float(expected_C[c])))
        return list(ranked.values())

    def _drawn(self, place_NR: np.ndarray, n: int, temperature: float, seed: int) -> list[list[tuple[str, float]]]:
        if not temperature > 0:
            raise SettingError(f"temperature is {temperature}; it must be greater than 0. Give 1, or leave it out.")
        look, lift = self._inputs(place_NR.repeat(n, 0))
        generator = torch.Generator().manual_seed(seed)
        drawn = sample_captions(
            self.network, look, lift, longest=self.longest, temperature=temperature, generator=generator
        )
        pairs = [(self.spelling.text(self.vocabulary.decode(numbers)), score) for numbers, score in drawn]
        return [sorted(pairs[k : k + n], key=lambda pair: -pair[1]) for k in range(0, len(pairs), n)]

    def _usual(self, who: int) -> str:
        """The caption of a known picture that is likest its others."""
        texts = self.captions[who]
        like_CC = self.jury.cider.between(texts, texts)
        return texts[int((like_CC.sum(1) - np.diag(like_CC)).argmax())]

    # ---- saving ----------------------------------------------------------------------------------

    def to_tensors(self) -> dict[str, Tensor]:
        """All that was learned, by name."""
        known = json.dumps({"captions": self.captions, "seed": self.seed, "way": self.way}, ensure_ascii=False).encode()
        tensors = {"known": torch.frombuffer(bytearray(known), dtype=torch.uint8)}
        for name in Foretelling.NAMES:
            tensors[f"foretelling.{name}"] = torch.from_numpy(np.ascontiguousarray(getattr(self.foretelling, name)))
        return tensors | {f"network.{name}": value for name, value in self.network.state_dict().items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Describer":
        """The describer that gave these."""
        describer = cls.__new__(cls)
        known = json.loads(bytes(tensors["known"].numpy()))
        describer.seed, describer.way = known["seed"], known["way"]
        if describer.way not in WAYS:
            raise ValueError(f"captions by {describer.way!r}")
        describer._know(known["captions"])
        describer.foretelling = Foretelling(
            {name: tensors[f"foretelling.{name}"].numpy() for name in Foretelling.NAMES}
        )
        with torch.device("meta"):
            describer.network = describer._empty_network()
        own = {n.removeprefix("network."): value for n, value in tensors.items() if n.startswith("network.")}
        describer.network.load_state_dict(own, assign=True)
        return describer


class Spelling:
    """Words as people wrote them: names keep their capitals, sentences begin as most of the captions do."""

    def __init__(self, captions: Sequence[str]):
        surfaces: Counter[str] = Counter()
        n_capital = 0
        for text in captions:
            words = split_words(text, is_lower=False)
            n_capital += words[0] != words[0].lower()
            # the first word's capital says nothing of the word
            surfaces.update(words[1:])
        self.is_capital = n_capital > len(captions) / 2
        best: dict[str, str] = {}
        for surface, _ in sorted(surfaces.items(), key=lambda item: (-item[1], item[0])):
            best.setdefault(surface.lower(), surface)
        self.written = {word: surface for word, surface in best.items() if word != surface}

    def text(self, words: Sequence[str]) -> str:
        """The sentence of these words; no space between signs that stand alone."""
        text = ""
        for word in (self.written.get(word, word) for word in words):
            text += word if not text or is_unspaced(text[-1]) and is_unspaced(word[0]) else f" {word}"
        return text[:1].upper() + text[1:] if self.is_capital else text


def _checked(feature_ND: Any, n_features: int | None = None) -> np.ndarray:
    feature_ND = np.asarray(feature_ND, np.float32)
    if feature_ND.ndim != 2 or n_features not in (None, feature_ND.shape[1]):
        wanted = "(pictures, features)" if n_features is None else f"(pictures, {n_features})"
        raise DataError(f"the features have the shape {feature_ND.shape}; it must be {wanted}. Give those.")
    if not np.isfinite(feature_ND).all():
        row = int(np.flatnonzero(~np.isfinite(feature_ND).all(1))[0])
        raise DataError(f"the features of picture {row} are not all finite. Leave the picture out.")
    return feature_ND
