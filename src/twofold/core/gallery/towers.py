"""What a gallery asks of the two towers that it is searched with.

Dimension key: B, N pictures, Q texts, S side, C channels, E width of the shared space, H, W height and width.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from twofold.data.picture_set import Pictures

__all__ = ["Towers", "embed_pictures", "side_of"]


class Towers(Protocol):
    """A tower for pictures and one for texts, which put both into one space of unit vectors."""

    @property
    def identity(self) -> str:
        """SHA-256 that tells which two towers these are: what others embedded cannot be compared with theirs."""

    @property
    def image_size(self) -> int | None:
        """S; of an estimator that chooses it while fitting None, and `image_size_` tells."""

    @property
    def channels(self) -> int:
        """C: 1 or 3."""

    def embed_pixels(self, pixel_BSSC: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 (B, E), of pictures, uint8."""

    def transform_text(self, texts: list[str]) -> np.ndarray:
        """Unit vectors, float32 (Q, E)."""

    def least_scores(self, score_QN: np.ndarray) -> np.ndarray:
        """(Q,): what a picture must score to fit, told from the scores of each query against all pictures."""

    def explain(self, picture_HWC: np.ndarray, text: str) -> np.ndarray:
        """Heat (H, W): where a picture fits the text."""


def side_of(towers: Towers) -> int:
    """S, the side that pictures are brought to."""
    return int(getattr(towers, "image_size_", None) or towers.image_size or 0)


def embed_pictures(towers: Towers, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Unit vectors (B, E) of the middle squares of pictures (H, W, C) of any sizes."""
    if not pictures:
        return np.empty((0, 0), np.float32)
    pixel_BSSC = Pictures.of(pictures).resized(side_of(towers), channels=towers.channels)
    return np.asarray(towers.embed_pixels(pixel_BSSC), np.float32)
