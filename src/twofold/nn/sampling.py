"""Drawing the next token, and turning the drawn bytes into text.

Dimension key: V tokens of the vocabulary.
"""

from codecs import getincrementaldecoder
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["as_text", "draw", "until"]


def draw(logit_V: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """A token: the likeliest at temperature 0, else one of the likeliest that make up `top_p`."""
    if temperature == 0:
        return int(logit_V.argmax())
    share_V, token_V = torch.softmax(logit_V.double() / temperature, 0).sort(descending=True)
    # the token that crosses the share is still in
    share_V[(share_V.cumsum(0) - share_V) >= top_p] = 0.0
    return int(token_V[torch.multinomial(share_V, 1, generator=generator)])


def as_text(pieces: Iterator[bytes]) -> Iterator[str]:
    """Bytes as text as soon as they make up characters."""
    decoder = getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece)


def until(stop: str | None, pieces: Iterator[str]) -> Iterator[str]:
    """The pieces before the stop text; as much is held back as might be its beginning."""
    if not stop:
        yield from pieces
        return
    waiting = ""
    for piece in pieces:
        waiting += piece
        if stop in waiting:
            yield waiting[: waiting.index(stop)]
            return
        if len(waiting) > len(stop):
            yield waiting[: -len(stop)]
            waiting = waiting[-len(stop) :]
    yield waiting
