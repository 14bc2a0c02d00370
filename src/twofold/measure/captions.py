"""How like the captions of a picture a written one is, told by the groups of words they share.

CIDEr-D: for groups of 1 to 4 words, the cosine of their counts, each group weighed by how few pictures it is said of;
counts are cut to the reference's, and another length costs, so that saying a word over and over does not pay.

Vedantam, Zitnick, Parikh 2015, https://arxiv.org/abs/1411.5726
Dimension key: N pictures, C candidates, R references, G different groups of words.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import csr_array

from twofold.errors import DataError

__all__ = ["Cider", "Jury", "is_unspaced", "split_words"]

LONGEST = 4  # words of a group
SIGMA = 6.0  # words by which the length may differ
SCALE = 10.0  # as the paper reports it
INNER = "'’-"  # join two halves of a word
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "IDEOGRAPHIC")

SMALLEST = 1e-12

Group = tuple[str, ...]
Said = tuple[Group, int]  # a group, for the i-th time


def split_words(text: str, *, is_lower: bool = True) -> list[str]:
    """The words of a text in lower case, without punctuation; scripts that put no spaces between words by character.

    Examples
    --------
    >>> split_words("A well-fed dog's 2 bones, 骨頭!")
    ['a', 'well-fed', "dog's", '2', 'bones', '骨', '頭']
    """
    words, is_open = [], False
    text = unicodedata.normalize("NFC", text)
    for sign in text.lower() if is_lower else text:
        kind = unicodedata.category(sign)[0]
        if is_open and (kind in "LNM" or sign in INNER) and not is_unspaced(sign):
            words[-1] += sign
        elif kind in "LN" or unicodedata.category(sign) == "So":
            words.append(sign)
            is_open = kind in "LN" and not is_unspaced(sign)
        elif kind == "M" and words:
            # a mark belongs to the sign before it
            words[-1] += sign
        else:
            is_open = False
    return [word.rstrip(INNER) for word in words]


def is_unspaced(sign: str) -> bool:
    """Whether a sign is of a script that puts no spaces between words."""
    return sign > "\u0dff" and unicodedata.name(sign, "").startswith(UNSPACED)


class Cider:
    """CIDEr-D, its weights taken from the captions of many pictures.

    Parameters
    ----------
    references : the captions of each picture; a picture without any does not count.

    Examples
    --------
    >>> references = [["a red apple", "an apple"], ["a green pear"], ["two dogs play"]]
    >>> cider = Cider(references)
    >>> cider.scores(["a red apple", "a dog", "two dogs play"], references).round(2).tolist()
    [4.35, 0.22, 7.5]
    """

    def __init__(self, references: Sequence[Sequence[str]]):
        told = [captions for captions in references if len(captions)]
        n_pictures: Counter[Group] = Counter()
        for captions in told:
            n_pictures.update({group for caption in captions for group in _groups(split_words(caption))})
        self.most = math.log(max(1, len(told)))
        self.weight = {group: self.most - math.log(count) for group, count in n_pictures.items()}

    def scores(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """How like its picture's captions each candidate is, 0 to 10, (N); their mean is what papers report.

        Raises
        ------
        DataError
            When there is not one candidate for each picture, or a picture has no captions to be measured by.
        """
        if len(candidates) != len(references):
            raise DataError(
                f"{len(candidates)} candidates were given for {len(references)} pictures. Give one for each."
            )
        bare = next((n for n, captions in enumerate(references) if not len(captions)), None)
        if bare is not None:
            raise DataError(f"picture {bare} has no captions to be measured by. Leave it out, or give it one.")
        return np.array([
            self.between([candidate], captions).mean()
            for candidate, captions in zip(candidates, references, strict=True)
        ])  # fmt: skip

    def between(self, candidates: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """How like each candidate is to each reference, (C, R)."""
        candidate_words, reference_words = ([split_words(text) for text in part] for part in (candidates, references))
        place: dict[Said, int] = {}
        said_CG = self.matrix(candidate_words, place, is_reference=False)
        told_RG = self.matrix(reference_words, place, is_reference=True)
        said_CG.resize(len(candidates), len(place))
        length_C, length_R = (np.array([len(words) for words in part]) for part in (candidate_words, reference_words))
        return SCALE / LONGEST * (said_CG @ told_RG.T).toarray() * _nearness(length_C[:, None] - length_R)

    def shares(self, words: Sequence[str]) -> list[tuple[Said, float, float]]:
        """What a caption brings to the cosines, as a candidate and as a reference.

        A candidate's counts are cut to the reference's: min(c, r) r is the sum over i = 1, 2, ... of [c >= i] [r >= i]
        r; so each further time that a group is said is an entry of its own, and a cosine a sum over common entries.
        """
        found = []
        for n in range(1, LONGEST + 1):
            counts = Counter(_groups(words, n, n))
            weights = {group: self.weight.get(group, self.most) for group in counts}
            norm = max(math.sqrt(sum((weights[group] * count) ** 2 for group, count in counts.items())), SMALLEST)
            for group, count in counts.items():
                share = weights[group] / norm
                found += [((group, i), share, share * count) for i in range(count)]
        return found

    def matrix(self, captions: Sequence[Sequence[str]], place: dict[Said, int], *, is_reference: bool) -> csr_array:
        """The shares of captions as rows; groups not yet in `place` get a column there."""
        rows, places, values = [], [], []
        for row, words in enumerate(captions):
            for key, said, told in self.shares(words):
                rows.append(row)
                places.append(place.setdefault(key, len(place)))
                values.append(told if is_reference else said)
        return csr_array((values, (rows, places)), shape=(len(captions), len(place)))


class Jury:
    """What CIDEr-D a caption may expect of a picture that is like others, more or less, whose captions are known.

    Devlin et al. 2015, Exploring nearest neighbor approaches for image captioning, https://arxiv.org/abs/1505.04467

    Parameters
    ----------
    captions : those of each known picture.

    Examples
    --------
    >>> jury = Jury([["a red apple", "an apple"], ["a green pear"], ["two dogs play"]])
    >>> alike_N = np.array([0.7, 0.3, 0.0])
    >>> jury.expected(["a red apple", "two dogs"], alike_N).round(2).tolist()
    [3.09, 0.0]
    """

    def __init__(self, captions: Sequence[Sequence[str]]):
        self.cider = Cider(captions)
        self.words = [split_words(text) for texts in captions for text in texts]
        self.owner_R = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
        self.share_R = 1 / np.maximum(np.bincount(self.owner_R, minlength=len(captions)), 1)[self.owner_R]
        self.length_R = np.array([len(words) for words in self.words])
        self.place: dict[Said, int] = {}
        self.told_RG = self.cider.matrix(self.words, self.place, is_reference=True)

    def expected(self, candidates: Sequence[str], alike_N: np.ndarray, own_C: np.ndarray | None = None) -> np.ndarray:
        """The weighted sum of the CIDEr-D by each picture's captions, (C).

        Parameters
        ----------
        alike_N : how like the known pictures the new one is; weights of any sign.
        own_C : the number of the known caption that a candidate is, which must not speak for itself; -1 for others.
        """
        weight_R = alike_N[self.owner_R] * self.share_R
        by_length: dict[int, np.ndarray] = {}
        score_C = np.zeros(len(candidates))
        for c, words in enumerate(map(split_words, candidates)):
            if len(words) not in by_length:
                by_length[len(words)] = (weight_R * _nearness(len(words) - self.length_R)) @ self.told_RG
            shares = self.cider.shares(words)
            known = [(self.place[key], share) for key, share, _ in shares if key in self.place]
            score_C[c] = sum(by_length[len(words)][place] * share for place, share in known)
            if own_C is not None and own_C[c] >= 0:
                score_C[c] -= weight_R[own_C[c]] * sum(said * told for _, said, told in shares)
        return SCALE / LONGEST * score_C


def _nearness(difference: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(difference) / (2 * SIGMA**2))


def _groups(words: Sequence[str], shortest: int = 1, longest: int = LONGEST) -> Iterable[Group]:
    """All runs of so many words."""
    for n in range(shortest, longest + 1):
        for first in range(len(words) - n + 1):
            yield tuple(words[first : first + n])
