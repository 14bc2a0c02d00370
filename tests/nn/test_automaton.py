"""The automaton of letters: against counting by hand."""

import numpy as np
import pytest

from twofold.nn.automaton import Automaton


def coded(words, alphabet, length):
    rows = [[alphabet.index(letter) + 1 for letter in word] + [0] * (length - len(word)) for word in words]
    return np.array(rows)


WORDS = ["anna", "hanna", "hannah", "ann", "an", "nan", "ana"] * 3


def slow_chances(words, run, alphabet):
    """Of each letter after a run (^ begins a word): Witten and Bell, from the run without its first letter."""
    follow = []
    for word in words:
        text = "^" + word + "$"
        follow += [
            text[i + len(run)] for i in range(len(text) - len(run)) if text[i : i + len(run)] == run and i + len(run)
        ]
    letters = "$" + alphabet
    kinds = len(set(follow))
    below = slow_chances(words, run[1:], alphabet) if run else {a: 1 / len(letters) for a in letters}
    return {a: (follow.count(a) + kinds * below[a]) / (len(follow) + kinds) for a in letters}


def test_chances_are_those_of_counting_by_hand():
    automaton = Automaton.learn(coded(WORDS, "ahn", 7), n_letters=4, order=2, n_states=1000)
    state = 0
    for run, letter in (("^", "h"), ("^h", "a"), ("ha", "n"), ("an", "n"), ("nn", "a")):
        expected = slow_chances(WORDS, run, "ahn")
        assert automaton.chance_SA[state] == pytest.approx([expected[a] for a in "$ahn"])
        state = automaton.next_SA[state, "$ahn".index(letter)]


def test_chances_sum_to_one_and_states_exist():
    automaton = Automaton.learn(coded(WORDS, "ahn", 7), n_letters=4, order=3, n_states=1000)
    np.testing.assert_allclose(automaton.chance_SA.sum(1), 1)
    assert automaton.next_SA.min() >= 0 and automaton.next_SA.max() < len(automaton.chance_SA)


@pytest.mark.parametrize("n_states", [1, 2, 3, 7])
def test_no_more_states_than_there_is_room_for(n_states):
    automaton = Automaton.learn(coded(WORDS, "ahn", 7), n_letters=4, order=3, n_states=n_states)
    assert len(automaton.chance_SA) <= max(2, n_states)
    np.testing.assert_allclose(automaton.chance_SA.sum(1), 1)


def test_one_text_and_texts_that_fill_their_room_are_learned():
    automaton = Automaton.learn(np.array([[1, 2, 1]]), n_letters=3, order=4, n_states=50)
    assert np.isfinite(automaton.chance_SA).all()
