"""Pairs of pictures and captions as arrays to learn from.

Dimension key: N pictures, M captions, S side, C channels, L pieces of a caption, T words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from twofold.data.pairs import Pairs
from twofold.errors import DataError
from twofold.nn.words import Pieces

__all__ = ["Lesson", "text_arrays"]

LEAST_TO_HOLD_OUT, MOST_HELD_OUT = 40, 500  # pictures
SHARE = 0.1
PLACED_AT_ONCE = 10_000  # captions
SIDED = re.compile(r"\b(left|right|\w*clockwise|letters?|digits?|numerals?|words?|text)\b")


@dataclass(frozen=True)
class Lesson:
    """What is learned from, caption by caption, and which captions are of pictures that were held out."""

    pieces: Pieces
    picture_M: np.ndarray
    text_M: np.ndarray
    piece_ML: np.ndarray
    word_MT: np.ndarray
    is_held_M: np.ndarray
    texts: list[str]
    """Every different caption, by its number."""
    reads_words: bool

    @classmethod
    def of(cls, pairs: Pairs, *, reads_words: bool, seed: int) -> "Lesson":
        """Of all captions; what is counted is counted on those that are not held out."""
        picture_M = np.repeat(np.arange(len(pairs)), [len(own) for own in pairs.captions])
        texts = [caption for own in pairs.captions for caption in own]
        if len(set(picture_M)) < 2 or len(set(texts)) < 2:
            raise DataError(
                f"{pairs.pictures.name}: {len(set(texts))} different captions of {len(set(picture_M))} pictures; at "
                "least two of both are needed, and hundreds for sense. Give more pairs."
            )
        is_held_M = np.isin(picture_M, _held_out(np.unique(picture_M), seed))
        pieces = Pieces.learn([text for text, is_held in zip(texts, is_held_M, strict=True) if not is_held])
        if not pieces.names:
            raise DataError(f"{pairs.pictures.name}: no caption holds a word or a sign. Give captions with words.")
        number = {text: i for i, text in enumerate(dict.fromkeys(text.lower() for text in texts))}
        text_M = np.array([number[text.lower()] for text in texts])
        arrays = text_arrays(pieces, texts, reads_words=reads_words)
        return cls(pieces, picture_M, text_M, *arrays, is_held_M, list(number), reads_words)

    def has_sides(self, n_pictures: int) -> np.ndarray:
        """Which pictures' captions speak of a side, or of letters (N): a mirror would make something else of them."""
        is_sided_U = np.array([SIDED.search(text) is not None for text in self.texts])
        return np.isin(np.arange(n_pictures), self.picture_M[is_sided_U[self.text_M]])

    def places(self, direction_VZ: np.ndarray) -> np.ndarray:
        """Where every different caption lies along these directions of pieces, float32 (U, Z)."""
        first_U = np.unique(self.text_M, return_index=True)[1]
        parts = [
            self.pieces.matrix(self.piece_ML[rows]) @ direction_VZ
            for rows in np.array_split(first_U, 1 + len(first_U) // PLACED_AT_ONCE)
        ]
        return np.concatenate(parts).astype(np.float32)

    def by_number(self) -> "Lesson":
        """The same, with captions as their numbers for pieces: for a tower that looked at them before."""
        return replace(self, piece_ML=self.text_M[:, None].astype(np.int32))

    def arrays(self, is_held: bool) -> tuple[np.ndarray, ...]:
        """As the learner's loss takes them: of the captions to learn from, or of those held out."""
        rows = self.is_held_M == is_held
        return self.picture_M[rows], self.text_M[rows], self.piece_ML[rows], self.word_MT[rows]

    def held_out(self) -> tuple[Tensor, ...] | None:
        """Those held out as tensors; None where there are none."""
        return tuple(map(torch.from_numpy, self.arrays(True))) if self.is_held_M.any() else None

    def by_tokens(self, token_UL: np.ndarray) -> "Lesson":
        """The same, with the tokens of a borrowed tower for pieces."""
        return replace(self, piece_ML=token_UL[self.text_M].astype(np.int32))


def _held_out(numbers_N: np.ndarray, seed: int) -> np.ndarray:
    """A tenth of the pictures, 500 at most; none of fewer than 40."""
    if len(numbers_N) < LEAST_TO_HOLD_OUT:
        return numbers_N[:0]
    n_held = min(MOST_HELD_OUT, round(SHARE * len(numbers_N)))
    return np.random.default_rng(seed).permutation(numbers_N)[:n_held]


def text_arrays(pieces: Pieces, texts: Sequence[str], *, reads_words: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (M, L) and, where their order is read, words (M, T)."""
    word_MT = pieces.encode_words(texts) if reads_words else np.zeros((len(texts), 1), np.int32)
    return pieces.encode(texts), word_MT
