"""CIDEr-D against a slow and obvious one, written down from the paper, and against what it should say."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from twofold.errors import DataError
from twofold.measure.captions import Cider, Jury, split_words

REFERENCES = [
    ["a black dog runs through the grass", "the dog is running", "a dog on grass"],
    ["two men on a bench", "a man sits on a bench beside a man"],
    ["a red apple"],
    ["a child in a red coat runs through the snow", "snow"],
]


def groups(text, n):
    words = split_words(text)
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def slowly(candidate, captions, references):
    """The formula, letter by letter: equations 2 to 5 of the paper."""

    def weight(group):
        n_said = sum(any(group in groups(text, len(group)) for text in texts) for texts in references)
        return math.log(len(references) / max(1, n_said))

    total = 0.0
    for n in (1, 2, 3, 4):
        for text in captions:
            c = {g: k * weight(g) for g, k in groups(candidate, n).items()}
            r = {g: k * weight(g) for g, k in groups(text, n).items()}
            norm = math.hypot(*c.values()) * math.hypot(*r.values())
            if norm > 0:
                cosine = sum(min(c[g], r.get(g, 0.0)) * r.get(g, 0.0) for g in c) / norm
                apart = len(split_words(candidate)) - len(split_words(text))
                total += 10 * cosine * math.exp(-(apart**2) / (2 * 6**2)) / len(captions) / 4
    return total


CANDIDATES = [
    "a dog runs through the grass", "a man on a bench on a bench on a bench", "an apple", "a child a child runs in snow"
]  # fmt: skip


def test_it_is_the_formula_of_the_paper():
    expected = [slowly(c, r, REFERENCES) for c, r in zip(CANDIDATES, REFERENCES, strict=True)]
    assert Cider(REFERENCES).scores(CANDIDATES, REFERENCES) == pytest.approx(expected, abs=1e-12)
    assert min(expected) > 0.1


WORDS = some.lists(some.sampled_from("a b c d".split()), min_size=1, max_size=9).map(" ".join)
PICTURES = some.lists(some.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=4)


@given(WORDS, PICTURES)
def test_it_is_the_formula_of_the_paper_for_any_words(candidate, references):
    found = Cider(references).scores([candidate] * len(references), references)
    assert found == pytest.approx([slowly(candidate, r, references) for r in references], abs=1e-9)


def test_saying_a_word_over_and_over_does_not_pay():
    cider = Cider(REFERENCES)
    once, often = cider.between(["a red apple", "a red apple apple apple apple"], ["a red apple"])[:, 0]
    assert once == pytest.approx(7.5)  # there are no groups of four words in it
    assert often < once / 2


def test_a_word_that_is_said_of_all_pictures_tells_nothing():
    references = [["a dog"], ["a cat"], ["a bird"]]
    assert Cider(references).between(["a"], ["a dog"])[0, 0] == 0


def test_pictures_without_captions_do_not_count_but_cannot_be_measured_by():
    cider = Cider([*REFERENCES, []])
    assert cider.weight == Cider(REFERENCES).weight
    with pytest.raises(DataError, match="picture 4 has no captions"):
        cider.scores(["a dog"] * 5, [*REFERENCES, []])
    with pytest.raises(DataError, match="2 candidates were given for 4 pictures"):
        cider.scores(["a dog"] * 2, REFERENCES)


def test_an_empty_candidate_scores_nothing():
    assert Cider(REFERENCES).scores(["", "!!", "", ""], REFERENCES).tolist() == [0, 0, 0, 0]


def test_the_jury_expects_the_weighted_sum_of_the_scores():
    weights = np.array([0.6, -0.1, 0.3, 0.2])
    cider = Cider(REFERENCES)
    expected = sum(
        w * cider.between(CANDIDATES, texts).mean(1) for w, texts in zip(weights, REFERENCES, strict=True)
    )  # fmt: skip
    assert Jury(REFERENCES).expected(CANDIDATES, weights) == pytest.approx(expected, abs=1e-12)


def test_a_known_caption_does_not_speak_for_itself():
    jury, weights = Jury(REFERENCES), np.array([1.0, 0.0, 0.0, 0.0])
    texts = REFERENCES[0]
    like = jury.cider.between(texts, texts)
    expected = (like.sum(1) - np.diag(like)) / len(texts)
    assert jury.expected(texts, weights, np.arange(3)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man's well-known T-shirt .", ["a", "man's", "well-known", "t-shirt"]),
        ("ein Mädchen, das „läuft“", ["ein", "mädchen", "das", "läuft"]),
        ("一只狗在跑。", list("一只狗在跑")),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("cafe\u0301 = café", ["café", "café"]),
        ("party 🎉🎉", ["party", "🎉", "🎉"]),
        (" -- ... ", []),
    ],
)
def test_words_are_found_in_many_scripts(text, words):
    assert split_words(text) == words
