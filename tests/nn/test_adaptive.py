import math

import numpy as np
import pytest

from twofold.nn.adaptive import NEXT, STATES, Adaptive, byte_letters


def run(token_SL, n_tokens=256, experts=None, letter_V=None):
    """Bits that each step costs (L), all streams together."""
    S, L = token_SL.shape
    model = Adaptive(S, L, n_tokens, letter_V, has_expert=experts is not None)
    bits_L = np.zeros(L)
    for step in range(L):
        model.start(None if experts is None else experts[step])
        for left in reversed(range(model.n_bits)):
            bit_S = (token_SL[:, step] >> left) & 1
            chance_S = model.predict().astype(np.float64)
            bits_L[step] -= np.log2(np.where(bit_S, chance_S, 1 - chance_S)).sum()
            model.learn(bit_S)
    return bits_L


def words(n_streams, n_steps, seed=0):
    """Streams of a little language: ten words in any order."""
    rng = np.random.default_rng(seed)
    lexicon = "to be or not that is the question whether nobler".split()
    texts = [" ".join(rng.choice(lexicon, n_steps)).encode()[:n_steps] for _ in range(n_streams)]
    return np.array([list(text) for text in texts], np.int64)


def test_what_repeats_soon_costs_almost_nothing():
    token_SL = np.tile(np.arange(40), 10)[None]
    bits_L = run(token_SL, 64)
    assert bits_L[:40].mean() > 4
    assert bits_L[-40:].mean() < 0.1


def test_words_in_any_order_come_near_the_entropy_of_the_choice():
    token_SL = words(8, 400)
    bits = run(token_SL, letter_V=byte_letters())[200:].sum() / (8 * 200)
    # ten words of 4.1 letters and a space on average: log2(10) / 5.1 = .65 bits a letter
    assert bits < 0.95


def test_noise_costs_hardly_more_than_its_length():
    token_SL = np.random.default_rng(0).integers(0, 256, (16, 200))
    assert run(token_SL).sum() / token_SL.size < 8.6


def test_two_models_told_the_same_say_the_same():
    token_SL = words(3, 60)
    assert run(token_SL, letter_V=byte_letters()).tolist() == run(token_SL, letter_V=byte_letters()).tolist()


@pytest.mark.parametrize("n_tokens", [1, 2, 16, 17, 81, 300, 4096])
def test_every_size_of_vocabulary_is_written_in_whole_tokens(n_tokens):
    token_SL = np.random.default_rng(0).integers(0, n_tokens, (2, 30))
    assert np.isfinite(run(token_SL, n_tokens)).all()


def test_a_good_expert_is_believed_from_the_beginning():
    token_SL = np.random.default_rng(0).integers(0, 81, (8, 50))
    experts = [np.where(np.arange(81) == token_SL[:, step, None], 0.92, 0.001) for step in range(50)]
    assert run(token_SL, 81, experts).sum() / token_SL.size < 0.4


def test_an_expert_that_is_always_wrong_is_soon_left_aside():
    token_SL = words(8, 300)
    experts = [np.where(np.arange(256) == 255 - token_SL[:, step, None], 0.99, 0.01 / 255) for step in range(300)]
    with_liar = run(token_SL, 256, experts)[150:].sum()
    assert with_liar < 1.15 * run(token_SL)[150:].sum() + 50


def test_probabilities_are_multiples_of_one_65536th_and_never_0_or_1():
    model = Adaptive(4, 100, 2)
    for _ in range(100):
        model.start()
        chance_S = model.predict()
        assert ((chance_S > 0) & (chance_S < 1)).all()
        assert (chance_S * 65536 == np.rint(chance_S * 65536)).all()
        model.learn(np.ones(4, np.int64))
    assert chance_S.min() > 0.99


def test_states_count_up_and_stay_within_a_byte():
    assert len(STATES) <= 256
    assert NEXT.shape == (2, len(STATES)) and NEXT.max() < len(STATES)
    for bit in (0, 1):
        place = 0
        for _ in range(50):
            place = NEXT[bit, place]
        assert STATES[place][bit] == 40 and STATES[place][1 - bit] == 0


def test_a_surprise_after_a_long_run_shortens_its_memory():
    place = 0
    for _ in range(40):
        place = NEXT[0, place]
    zeros, ones, last = STATES[NEXT[1, place]]
    assert ones == 1 and last == 1 and zeros == int(math.log2(40)) + 2
