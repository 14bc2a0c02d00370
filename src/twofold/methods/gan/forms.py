"""What a GAN can make, and how each kind of item meets the two networks."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from torch import Tensor, nn

from twofold.data.audio import holds_sounds
from twofold.data.pictures import holds_pictures
from twofold.methods.gan.pictures import PictureForm
from twofold.methods.gan.rows import RowForm
from twofold.methods.gan.sounds import SoundForm
from twofold.methods.gan.texts import TextForm, holds_texts

__all__ = ["FORMS", "Form", "form_for"]


class Form(Protocol):
    """One kind of item on its way to the discriminator, and from the generator to people. `x` is (B, ...)."""

    name: str
    loss: str
    """Which game suits such items."""
    n_chances: int
    """Numbers in 0..1 that `changed` takes for each item; 0 where there is no augmentation."""

    @classmethod
    def learn(cls, gan: Any, X: Any) -> tuple[Self, tuple[np.ndarray, ...], np.ndarray | None]:
        """What the data are, row-aligned arrays (N, ...) of them, and the labels that came with them."""
        ...

    @property
    def gamma(self) -> float:
        """What the penalty on slopes begins with."""
        ...

    def arrays(self, X: Any) -> tuple[np.ndarray, ...]:
        """Data of a later verb as the same arrays."""
        ...

    def given(self, X: Any) -> tuple[Any, np.ndarray | None]:
        """Data of a later verb as `items` would answer them, and their labels."""
        ...

    def networks(self, gan: Any, n_classes: int) -> tuple[nn.Module, nn.Module]:
        """Generator(noise_BZ, class_B) -> x, with `n_noise`; discriminator(x, class_B) -> score_B, higher = real."""
        ...

    def begin(self, generator: nn.Module, *arrays: np.ndarray) -> None:
        """Give the generator what can be learned of the items, arrays and class, without a game."""
        ...

    def real(self, *arrays: Tensor) -> Tensor:
        """Rows of the arrays as the discriminator sees them."""
        ...

    def changed(self, x: Tensor, chance_BR: Tensor, strength: Tensor) -> Tensor:
        """Items changed a little, differentiably; by nothing where the strength is 0."""
        ...

    def items(self, x: Tensor) -> Any:
        """What people are given: pictures (N, S, S, C), a table, sounds or texts."""
        ...

    def sizes_of(self, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        """Settings that the networks are rebuilt with, read off the shapes of their weights."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        ...

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        ...


FORMS: dict[str, type[Form]] = {form.name: form for form in (PictureForm, RowForm, SoundForm, TextForm)}
"""By the name that config.json knows them by."""


def form_for(X: Any) -> type[Form]:
    """The kind of item that X holds; what is nothing else is a table."""
    for holds, form in ((holds_texts, TextForm), (holds_sounds, SoundForm), (holds_pictures, PictureForm)):
        if holds(X):
            return form
    return RowForm
