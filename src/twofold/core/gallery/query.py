"""What is searched for, as one vector: words and pictures added, and others taken away.

Dimension key: E width of the shared space.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from twofold.core.gallery.towers import Towers, embed_pictures, side_of
from twofold.data.names import shown
from twofold.data.pictures import open_pictures
from twofold.errors import DataError, SettingError

__all__ = ["Weighted", "ask"]

Weighted = str | tuple[str, float]
LEAST_TRUST = 1e-3  # the nearest can still be told


def ask(
    towers: Towers, text: str | None, *, like: Sequence[Any] = (), plus: Sequence[Weighted] = (),
    minus: Sequence[Weighted] = (),
) -> np.ndarray:  # fmt: skip
    """The vector (E,): the sum of all that is wanted less what is not; as long as its words are known, 1 at most.

    Raises
    ------
    SettingError
        When nothing is wanted, or what is not wanted leaves nothing.
    """
    weighted = [(text, 1.0)] if text is not None else []
    weighted += [_weighted(part) for part in plus]
    weighted += [(words, -weight) for words, weight in map(_weighted, minus)]
    _check(weighted, bool(len(like)))
    parts = []
    if weighted:
        weight_Q = np.array([weight for _, weight in weighted], np.float32)
        parts.append(weight_Q @ np.asarray(towers.transform_text([words for words, _ in weighted]), np.float32))
    if len(like):
        parts.append(_liked(towers, like).sum(0))
    query_E = np.sum(parts, 0)
    length = float(np.linalg.norm(query_E))
    if not length > 1e-6:
        raise SettingError("what is wanted and what is not wanted are the same. Leave one of them out.")
    return (query_E / length * _trust(towers, weighted)).astype(np.float32)


def _trust(towers: Towers, weighted: Sequence[tuple[str, float]]) -> float:
    """How much of what is said the towers know, in 0..1: a guess must not be taken for a fit."""
    if not weighted or not hasattr(towers, "known_share"):
        return 1.0
    share_Q = np.asarray(towers.known_share([words for words, _ in weighted]), np.float64)
    share = float(np.average(share_Q, weights=[abs(weight) for _, weight in weighted]))
    return max(share, LEAST_TRUST)


def _weighted(part: Weighted) -> tuple[str, float]:
    words, weight = (part, 1.0) if isinstance(part, str) else part
    if not weight > 0 or not np.isfinite(weight):
        raise SettingError(f"{words!r} has weight {weight}. Allowed is more than 0. Use minus for what is not wanted.")
    return words, float(weight)


def _check(weighted: list[tuple[str, float]], has_pictures: bool) -> None:
    if any(not words.strip() for words, _ in weighted):
        raise SettingError("a text to search for is empty. Give some words.")
    if not has_pictures and not any(weight > 0 for _, weight in weighted):
        raise SettingError("nothing is searched for. Give a text, a picture that is like it, or both.")


def _liked(towers: Towers, like: Sequence[Any]) -> np.ndarray:
    pictures = open_pictures(list(like), short_side=side_of(towers))
    for bad in pictures.bad:
        raise DataError(f"{shown(bad.name)} {bad.reason}")
    return embed_pictures(towers, list(pictures))
