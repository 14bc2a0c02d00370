"""A GAN of short texts: letters, lengths, files, and that names look like names."""

import numpy as np
import pytest
import torch

from twofold import GAN
from twofold.errors import DataError
from twofold.measure.synthetic import texts_told_apart
from twofold.methods.gan.texts import TextForm, holds_texts

WORDS = [
    a + b + c for a in ("ma", "lo", "si", "ka", "re") for b in ("ri", "na", "to", "le") for c in ("", "n", "s", "a")
]


def fitted(texts, n_steps=3, **settings):
    return GAN(n_steps=n_steps, dim=8, **settings).fit(texts)


def test_texts_are_made_of_the_letters_seen_and_no_longer():
    made = fitted(WORDS).sample(200)
    assert len(made) == 200 and all(isinstance(text, str) for text in made)
    assert set("".join(made)) <= set("".join(WORDS)) and max(map(len, made)) <= max(map(len, WORDS))


def test_before_the_game_they_are_like_what_was_learned():
    made = fitted(WORDS, n_steps=1).sample(80)
    noise = ["".join(np.random.default_rng(n).permutation(list(word))) for n, word in enumerate(WORDS)]
    assert texts_told_apart(WORDS, made).auc < texts_told_apart(WORDS, noise).auc


def test_texts_go_into_the_game_and_back():
    texts = ["Ærø", "a b", "", "日本", "x" * 64]
    form, (letter_NT,), _ = TextForm.learn(GAN(), texts)
    assert letter_NT.dtype == np.uint8 and form.items(form.real(torch.from_numpy(letter_NT))) == texts


def test_long_texts_are_cut_and_unknown_letters_left_out():
    form, (letter_NT,), _ = TextForm.learn(GAN(), ["ab" * 100])
    assert letter_NT.shape == (1, 64)
    assert form.items(form.real(torch.from_numpy(form.arrays(["a?b"])[0]))) == ["ab"]


def test_of_many_letters_the_commonest_are_kept():
    form, _, _ = TextForm.learn(
        GAN(), ["".join(map(chr, range(0x4E00 + n, 0x4E00 + n + 60))) for n in range(0, 600, 20)]
    )
    assert len(form.alphabet) == 255


def test_a_form_comes_back_from_json():
    form, (letter_NT,), _ = TextForm.learn(GAN(), WORDS)
    np.testing.assert_array_equal(TextForm.from_json(form.to_json()).arrays(WORDS)[0], letter_NT)


def test_a_file_holds_one_text_a_line(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(WORDS) + "\n\n")
    assert holds_texts(path) and not holds_texts(tmp_path / "table.csv")
    form, (letter_NT,), _ = TextForm.learn(GAN(), path)
    assert form.items(form.real(torch.from_numpy(letter_NT))) == WORDS


def test_no_texts_are_refused():
    with pytest.raises(DataError, match="no texts"):
        TextForm.learn(GAN(), ["", " "])


@pytest.mark.parametrize("texts", [["a"], ["a"] * 50, ["ab", ""], ["日本"]], ids=str)
def test_the_smallest_sets_are_learned(texts):
    made = fitted(texts, n_steps=2).sample(5)
    assert len(made) == 5 and set("".join(made)) <= set("".join(texts))


def test_a_saved_gan_makes_the_same_texts(tmp_path):
    gan = fitted(WORDS)
    gan.save_pretrained(tmp_path / "run")
    assert GAN.load(tmp_path / "run").sample(20, seed=4) == gan.sample(20, seed=4)
    assert gan.discriminate(WORDS[:3]).shape == (3,)


def test_the_way_from_one_text_to_another_can_be_walked():
    assert len(fitted(WORDS).interpolate(0, 1, n=5)) == 5


@pytest.mark.shared
def test_names_are_new_and_hard_to_tell(shared):
    names = (shared / "data" / "text" / "names.txt").read_text().split()
    order = np.random.default_rng(9).permutation(len(names))
    train, unseen = ([names[place] for place in part] for part in (order[:5000], order[5000:6000]))
    made = GAN(n_steps=30, seed=9).fit(train).sample(1000)
    assert len(set(made)) / 1000 > 0.9
    known = set(train)
    assert np.mean([name not in known for name in made]) > np.mean([name not in known for name in unseen]) - 0.15
    assert texts_told_apart(unseen, made).auc < 0.8
