"""Texts as bags of their words, pairs of words and runs of letters, and what a network makes of such a bag.

Runs of letters let a word that was never seen resemble those that it is built like.
Bojanowski, Grave, Joulin, Mikolov 2017, https://arxiv.org/abs/1607.04606
Dimension key: M texts, B of them at a time, L pieces of a text, T its words, V known pieces, E width of the shared
space, D width of the transformer.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.bend import Bend
from twofold.nn.transformer import Block, normed, turns

__all__ = ["BagTower", "Pieces", "WordReader"]

SINGLE = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
# vowels and accents that stand above or below a letter, which Python counts as no letters
MARKS = (
    r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff"
    r"\u0e30-\u0e4e\u0eb0-\u0ece\u102b-\u103e\u17b4-\u17d3"
)
# a word, a sign, or a single letter of the scripts that are written without spaces
WORD = re.compile(rf"[{SINGLE}]|(?:(?![{SINGLE}])[^\W_]|[{MARKS}])+|[^\w\s]")
RUNS = (3, 4, 5)  # letters of a run, the edges of the word counted in
MOST_PIECES, MOST_WORDS = 256, 48  # of a text; the rest of a longer one is left out
MOST_KNOWN = 40_000
HEAD_DIM = 32


def _words(text: str) -> list[str]:
    # one spelling of what looks alike: letters with accents in one piece, wide letters narrow
    return WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _pieces(words: Sequence[str]) -> list[str]:
    """Words, then what they are built of; a word is told from a run of letters by its edges."""
    pairs = [f"{one} {two}" for one, two in zip(words, words[1:], strict=False)]
    return [*(f"<{word}>" for word in words), *pairs, *(run for word in words for run in _runs(word))]


def _runs(word: str) -> list[str]:
    edged = f"<{word}>"
    return [edged[i : i + n] for n in RUNS if n < len(edged) for i in range(len(edged) - n + 1)]


class Pieces:
    """The pieces that are known, and how much each tells.

    Parameters
    ----------
    names : V pieces; numbers start at 1, and 0 is none.
    weight_V : how much each counts: the rarer, the more.

    Examples
    --------
    >>> pieces = Pieces.learn(["black king", "white king", "black rook"])
    >>> pieces.encode(["black queen"]).shape[0], pieces.names[:3]
    (1, ['<black>', '<king>', '<rook>'])
    """

    def __init__(self, names: Sequence[str], weight_V: np.ndarray):
        self.names, self.weight_V = list(names), np.asarray(weight_V, np.float32)
        self.number = {name: i for i, name in enumerate(self.names, start=1)}

    @classmethod
    def learn(cls, texts: Sequence[str]) -> "Pieces":
        """The words, and what occurs in two texts or more; the commonest where there are too many."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(_pieces(_words(text))))
        kept = {name: n for name, n in counts.items() if n > 1 or name.startswith("<") and name.endswith(">")}
        # by count, then by letters: the same texts in another order know the same
        ordered = sorted(kept, key=lambda name: (-kept[name], name))[:MOST_KNOWN]
        names = sorted(ordered, key=lambda name: (not (name.startswith("<") and name.endswith(">")), name))
        return cls(names, np.log((len(texts) + 1) / np.array([kept[name] for name in names], np.float64)))

    def encode(self, texts: Iterable[str]) -> np.ndarray:
        """Numbers of the known pieces of each text, int32 (M, L), with 0 behind."""
        # each once: what is said twice tells no more
        found = [self._numbers(dict.fromkeys(_pieces(_words(text))))[:MOST_PIECES] for text in texts]
        return _padded(found)

    def encode_words(self, texts: Iterable[str]) -> np.ndarray:
        """Numbers of the known words of each text in their order, int32 (M, T), with 0 behind."""
        return _padded([self._numbers(f"<{word}>" for word in _words(text))[:MOST_WORDS] for text in texts])

    def matrix(self, piece_ML: np.ndarray) -> scipy.sparse.csr_matrix:
        """Weights of the pieces of each text, rows of length 1, (M, V)."""
        text_K, place_K = np.nonzero(piece_ML)
        piece_K = piece_ML[text_K, place_K] - 1
        shape = (len(piece_ML), len(self.names))
        found = scipy.sparse.csr_matrix((self.weight_V[piece_K], (text_K, piece_K)), shape=shape)
        length_M = np.sqrt(np.asarray(found.multiply(found).sum(1))).ravel()
        return scipy.sparse.diags(1 / np.maximum(length_M, 1e-9)) @ found

    def known_share(self, texts: Iterable[str]) -> np.ndarray:
        """How much of each text is known, 0 to 1 (M,): its words by their weight, an unknown word by its runs."""
        return np.array([self._known_share(_words(text)) for text in texts], np.float32)

    def _known_share(self, words: Sequence[str]) -> float:
        known, total = 0.0, 1e-9
        for word in words:
            number = self.number.get(f"<{word}>")
            # an unknown word counts as much as the rarest
            weight = float(self.weight_V.max(initial=0) if number is None else self.weight_V[number - 1])
            runs = _runs(word)
            share = 1.0 if number else sum(run in self.number for run in runs) / max(1, len(runs))
            known, total = known + weight * share, total + weight
        return known / total

    def unknown(self, text: str) -> list[str]:
        """Words that no caption had; what they are built of may be known."""
        return [word for word in dict.fromkeys(_words(text)) if word.isalnum() and f"<{word}>" not in self.number]

    def _numbers(self, names: Iterable[str]) -> list[int]:
        return [self.number[name] for name in names if name in self.number]


def _padded(rows: list[list[int]]) -> np.ndarray:
    result = np.zeros((len(rows), max(1, max(map(len, rows), default=1))), np.int32)
    for i, row in enumerate(rows):
        result[i, : len(row)] = row
    return result


class BagTower(nn.Module):
    """The weighted pieces of a text, summed in the shared space; what bends the sum begins as nothing.

    Parameters
    ----------
    weight_V : how much each piece counts.
    """

    def __init__(self, weight_V: Tensor, embed_dim: int, dim: int):
        super().__init__()
        self.register_buffer("weight_V", torch.cat([torch.zeros(1), weight_V.float()]))
        self.meaning = nn.Parameter(torch.zeros(len(weight_V) + 1, embed_dim))
        self.bias = nn.Parameter(torch.zeros(embed_dim))
        self.bend = Bend(embed_dim, dim, embed_dim)

    def forward(self, piece_BL: Tensor) -> Tensor:
        """(B, E), not yet of length 1."""
        weight_BL = self.weight_V[piece_BL]
        length_B1 = weight_BL.square().sum(1, keepdim=True).sqrt().clamp_min(1e-6)
        sum_BE = functional.embedding_bag(piece_BL, self.meaning, per_sample_weights=weight_BL / length_B1, mode="sum")
        plain_BE = sum_BE + self.bias
        return plain_BE + self.bend(plain_BE)


class WordReader(nn.Module):
    """What the order of the words adds: a transformer over them, which begins as nothing.

    Parameters
    ----------
    n_words : numbers that words can have.
    """

    def __init__(self, n_words: int, embed_dim: int, dim: int = 192, depth: int = 3):
        super().__init__()
        self.n_heads = dim // HEAD_DIM
        self.embedding = nn.Embedding(n_words + 1, dim)
        self.blocks = nn.ModuleList(Block(dim, self.n_heads) for _ in range(depth))
        self.out = nn.Linear(dim, embed_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, word_BT: Tensor) -> Tensor:
        """(B, E): the mean over the words of what each says in the light of those before it."""
        x_BTD = normed(self.embedding(word_BT))
        turn = turns(0, word_BT.shape[1], HEAD_DIM // 2, x_BTD)
        for block in self.blocks:
            x_BTD = block(x_BTD, turn)
        is_word_BT1 = (word_BT > 0).unsqueeze(2)
        mean_BD = (normed(x_BTD) * is_word_BT1).sum(1) / is_word_BT1.sum(1).clamp_min(1)
        return self.out(mean_BD)
