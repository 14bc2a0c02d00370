"""Generator and discriminator of texts: the start, the end of a text, and that gradients flow."""

import numpy as np
import torch

from twofold.nn.automaton import Automaton
from twofold.nn.text_game import TextDiscriminator, TextGenerator

NONE = torch.zeros(400, dtype=torch.int64)


def made(generator, n=400):
    noise_BZ = torch.randn(n, generator.n_noise, generator=torch.Generator().manual_seed(0))
    return generator(noise_BZ, torch.zeros(n, dtype=torch.int64))


def begun():
    letter_NT = np.array([[1, 2, 1, 0], [2, 2, 0, 0], [1, 0, 0, 0]] * 30)
    generator = TextGenerator(4, 3, 40, dim=8, n_more=3, n_classes=1)
    generator.begin(Automaton.learn(letter_NT, n_letters=3, order=2, n_states=40))
    return generator, letter_NT


def test_after_the_end_come_only_ends():
    letter_BTA = made(TextGenerator(6, 3, 1, dim=8, n_more=3, n_classes=1)).detach()
    letter_BT = letter_BTA.argmax(2)
    assert (letter_BTA.sum(2).round(decimals=4) == 1).all()
    ended_BT = (letter_BT == 0).cumsum(1) > 0
    assert not letter_BT[ended_BT].any() and letter_BT[:, 0].any()


def test_before_the_game_texts_are_those_of_the_automaton():
    generator, letter_NT = begun()
    texts = {tuple(row) for row in made(generator).argmax(2).tolist()}
    share = np.mean([tuple(row) in {tuple(known) for known in letter_NT.tolist()} for row in texts])
    assert {tuple(row) for row in letter_NT.tolist()} <= texts and share > 0.05
    first = np.bincount(made(generator).argmax(2)[:, 0].numpy(), minlength=3) / 400
    np.testing.assert_allclose(first, [0.0, 2 / 3, 1 / 3], atol=0.1)


def test_the_generator_learns_through_letters():
    generator, _ = begun()
    TextDiscriminator(4, 3, dim=8, n_classes=1)(made(generator), NONE).sum().backward()
    assert (generator.network.last.weight.grad.abs().sum((1, 2)) > 0).all()
