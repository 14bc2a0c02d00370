"""Short texts, such as names, as a GAN makes them: rows of letters.

The generator begins as a Markov chain (nn/automaton.py), learned in closed form from the texts that are not held out;
the game makes it better. Of long texts a language model writes better ones.
Dimension key: N texts, B of them at a time, T letters of the longest, A letters of the alphabet (0: the end).
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from twofold.data.text import is_text, read_text
from twofold.errors import DataError, RunError
from twofold.nn.automaton import Automaton
from twofold.nn.text_game import TextDiscriminator, TextGenerator

__all__ = ["TextForm", "holds_texts"]

DIM = 64
LONGEST = 64  # letters; a longer text is cut
MOST_LETTERS = 255
ORDER, MOST_STATES = 4, 1024
LETTERS_A_STATE = 250
READ = 100_000  # texts that the automaton is learned from
HIDDEN = 0.3  # of the letters, that augmentation hides at most


class TextForm:
    """Short texts on their way to the detective and back from the forger.

    Parameters
    ----------
    alphabet : the letters, the commonest first; letter n is number n + 1.
    length : T.
    n_states : of the automaton that the generator begins as.
    """

    name: ClassVar[str] = "texts"
    loss: ClassVar[str] = "relativistic"
    gamma: ClassVar[float] = 1.0
    """What the penalty begins with."""

    def __init__(self, alphabet: str, length: int, n_states: int):
        self.alphabet, self.length, self.n_states = alphabet, length, n_states
        self.n_chances = length

    @classmethod
    def learn(cls, gan: Any, X: Any) -> tuple["TextForm", tuple[np.ndarray, ...], None]:
        """The alphabet of X, and its texts as numbers of letters, uint8 (N, T)."""
        texts = _texts(X)
        if not any(texts):
            raise DataError("there are no texts, or all are empty. Give a list of texts, or a file with one a line.")
        count = Counter(letter for text in texts for letter in text[:LONGEST])
        alphabet = "".join(letter for letter, _ in sorted(count.items(), key=lambda pair: (-pair[1], pair[0])))
        n_states = int(np.clip(count.total() // LETTERS_A_STATE, len(alphabet) + 2, MOST_STATES))
        length = min(LONGEST, max(map(len, texts)))
        form = cls(alphabet[:MOST_LETTERS], length, n_states)
        return form, form.arrays(texts), None

    def begin(self, generator: nn.Module, *arrays: np.ndarray) -> None:
        """Make the generator the automaton of these texts."""
        letters = {"n_letters": len(self.alphabet) + 1, "order": ORDER, "n_states": self.n_states}
        generator.begin(Automaton.learn(np.asarray(arrays[0][:READ]), **letters))

    def given(self, X: Any) -> tuple[list[str], None]:
        """Texts one by one; a file holds one a line."""
        return _texts(X), None

    def arrays(self, X: Any) -> tuple[np.ndarray, ...]:
        """Texts as numbers of letters, uint8 (N, T); letters that training did not have are left out."""
        texts, number = _texts(X), {letter: n for n, letter in enumerate(self.alphabet, start=1)}
        letter_NT = np.zeros((len(texts), self.length), np.uint8)
        for row, text in zip(letter_NT, texts, strict=True):
            known = [number[letter] for letter in text if letter in number][: self.length]
            row[: len(known)] = known
        return (letter_NT,)

    def networks(self, gan: Any, n_classes: int) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator."""
        sizes: dict[str, Any] = {"dim": gan.dim or DIM, "n_classes": n_classes}
        A = len(self.alphabet) + 1
        return (
            TextGenerator(self.length, A, self.n_states, n_more=gan.noise_dim, **sizes),
            TextDiscriminator(self.length, A, **sizes),
        )

    def sizes_of(self, weights: Mapping[str, Tensor]) -> dict[str, int]:
        """Settings that the networks are rebuilt from: a spoilt config.json must not ask for more than there is."""
        (S, A), (dim, n_inputs, _) = (
            weights[f"generator.{name}"].shape for name in ("logit_SA", "network.first.weight")
        )
        n_classes = weights["discriminator.network.first.weight"].shape[1] - A
        if (S, A, self.length * dim) != (
            self.n_states,
            len(self.alphabet) + 1,
            weights["discriminator.first.weight"].shape[1],
        ):
            raise RunError("config.json and the weights tell of different texts. Train again.")
        return {"dim": dim, "noise_dim": n_inputs - 2 * A - n_classes}

    def real(self, letter_BT: Tensor) -> Tensor:
        """Letters as ones among zeros, (B, T, A)."""
        return nn.functional.one_hot(letter_BT.long(), len(self.alphabet) + 1).float()

    def changed(self, letter_BTA: Tensor, chance_BT: Tensor, strength: Tensor) -> Tensor:
        """Texts with some of their letters hidden, so that the detective does not know them by heart."""
        return letter_BTA * (chance_BT >= HIDDEN * strength)[:, :, None]

    def items(self, letter_NTA: Tensor) -> list[str]:
        """Texts."""
        letters = ["", *self.alphabet]
        return ["".join(letters[number] for number in row) for row in letter_NTA.argmax(2).tolist()]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"alphabet": self.alphabet, "length": self.length, "n_states": self.n_states}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "TextForm":
        """The reverse of `to_json`."""
        return cls(str(told["alphabet"]), int(told["length"]), int(told["n_states"]))


def holds_texts(X: Any) -> bool:
    """Whether X is a list of texts, or a path of a file of them, one a line."""
    if isinstance(X, str | Path):
        # a folder may hold anything: a generator of texts learns from the lines of one file
        return is_text(str(X)) and not Path(X).is_dir()
    is_list = isinstance(X, list | tuple) and bool(X) and all(isinstance(text, str) for text in X)
    return is_list and not Path(X[0]).exists()


def _texts(X: Any) -> list[str]:
    """Texts one by one; a file holds one a line, and its empty lines are none."""
    if isinstance(X, str | Path):
        return [line.strip() for line in read_text(X).splitlines() if line.strip()]
    return [str(text).strip() for text in X]
