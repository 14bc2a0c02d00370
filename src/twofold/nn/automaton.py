"""Which letter follows which: a Markov chain of varying order as an automaton, in closed form.

A state is a run of letters that ends where a text has got to: the longest that training held often enough. Its chances
of the next letter lean on those of the run without its first letter, the less the more often it was seen (Witten and
Bell 1991). It writes texts letter by letter, by two tables and nothing else.

Dimension key: N texts, T letters, A letters of the alphabet (0: the end), S states.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

__all__ = ["Automaton"]

LEAST = 2  # times a run must occur: of those that occur once, texts would be copied


@dataclass(frozen=True, eq=False)
class Automaton:
    """Chances of the next letter in each state, and the state after it; state 0 is the beginning.

    Examples
    --------
    >>> automaton = Automaton.learn(np.array([[1, 2, 0], [1, 2, 0]]), n_letters=3, order=1, n_states=9)
    >>> automaton.chance_SA[0].round(2).tolist()
    [0.11, 0.78, 0.11]
    """

    chance_SA: np.ndarray
    next_SA: np.ndarray

    @classmethod
    def learn(cls, letter_NT: np.ndarray, *, n_letters: int, order: int, n_states: int) -> "Automaton":
        """From texts.

        Parameters
        ----------
        letter_NT : numbers of letters; 0 from the end on.
        order : letters that a state knows at most, 1 or more.
        n_states : at most; the commonest runs are kept, and always the beginning and the empty run.
        """
        followers = _followers(letter_NT, order)
        always: list[tuple[int, ...]] = [(-1,), ()]
        runs = sorted(followers, key=lambda run: (-followers[run].total(), run))
        kept = dict.fromkeys([*always, *(run for run in runs if followers[run].total() >= LEAST)])
        states = {run: place for place, run in enumerate(list(kept)[: max(2, n_states)])}
        chances: dict[tuple[int, ...], np.ndarray] = {}
        for run in sorted(states, key=len):
            below_A = chances[_longest(run[1:], states)] if run else np.full(n_letters, 1 / n_letters)
            count_A = np.bincount(list(followers[run].elements()), minlength=n_letters) if run in followers else 0
            n_kinds = np.count_nonzero(count_A)
            total = np.sum(count_A) + n_kinds
            chances[run] = (count_A + n_kinds * below_A) / total if total else below_A
        next_SA = np.zeros((len(states), n_letters), np.int64)
        for run, place in states.items():
            for letter in range(1, n_letters):
                next_SA[place, letter] = states[_longest((*run, letter)[-order:], states)]
        return cls(np.stack([chances[run] for run in states]), next_SA)


def _followers(letter_NT: np.ndarray, order: int) -> dict[tuple[int, ...], Counter]:
    """Of each run of letters, -1 being the beginning, what follows it, and how often."""
    found: dict[tuple[int, ...], Counter] = {}
    for letters in letter_NT.tolist():
        text = (-1, *letters[: letters.index(0) + 1 if 0 in letters else len(letters)])
        for place in range(1, len(text)):
            for length in range(min(order, place) + 1):
                found.setdefault(text[place - length : place], Counter())[text[place]] += 1
    return found


def _longest(run: tuple[int, ...], states: dict[tuple[int, ...], int]) -> tuple[int, ...]:
    while run not in states:
        run = run[1:]
    return run
