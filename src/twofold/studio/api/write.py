"""A language model at work: text that streams, what might have come instead, and what surprised it.

Dimension key: V tokens of the vocabulary, N tokens of a text.
"""

import json
import math
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.api.runs import RunId
from twofold.studio.place import Answer, Here, Question, Studio

__all__ = ["routes"]

routes = APIRouter(prefix="/runs", tags=["write"])

N_OTHERS = 8
N_NEXT = 20
COLDEST = 0.01
LONG_COPY = 60  # characters that stand so in the training text are worth a word
LINES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}


class WriteQuestion(Question):
    """How a text is to go on."""

    prompt: str = Field(default="", max_length=4000)
    tokens: int = Field(default=200, ge=1, le=1000)
    temperature: float = Field(default=0.8, ge=0, le=5, allow_inf_nan=False, description="0 takes the likeliest")
    top_p: float = Field(
        default=1.0, gt=0, le=1, allow_inf_nan=False, description="only the likeliest that make up this"
    )
    seed: int = Field(default=0, ge=0, lt=2**63)


class TextQuestion(Question):
    """A text."""

    text: str = Field(min_length=1, max_length=20_000)


class PromptQuestion(Question):
    """A text that may be empty."""

    text: str = Field(default="", max_length=4000)


class Chance(Answer):
    """A token that might come."""

    text: str
    probability: float


class NextAnswer(Answer):
    """What may come next, the likeliest first."""

    n_tokens: int = Field(description="of the vocabulary")
    bits: float = Field(description="how open it is: the entropy")
    chances: list[Chance]


class Surprise(Answer):
    """A token, and what it cost."""

    text: str
    bits: float


class SurpriseAnswer(Answer):
    """How well a text was foreseen."""

    bits_per_byte: float
    beside: dict[str, float] = Field(description="what general compressors need")
    tokens: list[Surprise]


@routes.post("/{run}/write", response_class=StreamingResponse, responses=LINES)
async def write_on(here: Here, run: RunId, question: WriteQuestion) -> StreamingResponse:
    """Text as JSON lines, one a token: text, probability, others; the last has `copy`, the longest copied passage."""
    pieces = await here.workbench.work(_begun, here, run, question)
    return StreamingResponse(_lines(here, pieces), media_type="application/x-ndjson")


@routes.post("/{run}/next")
async def tell_next(here: Here, run: RunId, question: PromptQuestion) -> NextAnswer:
    """What may come next after a text, and how likely."""
    return await here.workbench.work(_next, here, run, question.text)


@routes.post("/{run}/surprise")
async def tell_surprise(here: Here, run: RunId, question: TextQuestion) -> SurpriseAnswer:
    """What each token of a text cost, and the whole beside general compressors."""
    return await here.workbench.work(_surprise, here, run, question.text)


async def _lines(here: Studio, pieces: Iterator[dict[str, Any]]) -> AsyncIterator[str]:
    async for piece in here.workbench.each(pieces):
        yield json.dumps(piece) + "\n"


# ---- writing -------------------------------------------------------------------------------------


def _begun(here: Studio, run: str, question: WriteQuestion) -> Iterator[dict[str, Any]]:
    model = here.model(run, "stream")
    return _written(model, _encoded(model, question.prompt), question)


def _written(model: Any, token_N: np.ndarray, question: WriteQuestion) -> Iterator[dict[str, Any]]:
    """The tokens that `twofold write` draws with that seed, each beside those that were likely too."""
    import torch

    from twofold.nn.sampling import draw

    reader, generator = _reader(model, token_N), torch.Generator().manual_seed(question.seed)
    spell, text = _speller(model), question.prompt
    # so cold that only the likeliest is left: divided by less, logits would overflow
    temperature = question.temperature if question.temperature >= COLDEST else 0.0
    for _ in range(question.tokens):
        logit_V = reader.logits()[0]
        token = draw(logit_V, temperature, question.top_p, generator)
        share_V = torch.softmax(logit_V.double(), 0)
        reader.read(torch.tensor([[token]]))
        text += (piece := spell(token))
        yield {"text": piece, "probability": float(share_V[token]), "others": _likely(model, share_V, N_OTHERS)}
    copies = model.longest_copies(text, n_passages=1)
    yield {"copy": copies[0] if copies and len(copies[0]) >= LONG_COPY else ""}


def _encoded(model: Any, text: str) -> np.ndarray:
    try:
        token_N: np.ndarray = model.vocabulary_.encode(text)
    except UnicodeError as error:
        raise DataError("the text holds half characters, which cannot be read. Give whole ones.") from error
    return token_N


def _reader(model: Any, token_N: np.ndarray) -> Any:
    """The network, after it has read what it looks back on."""
    import torch

    reader = model.reader()
    for token in token_N[-model.context :].tolist():
        reader.read(torch.tensor([[token]]))
    return reader


def _speller(model: Any) -> Any:
    """A token as text; of one that ends within a character nothing yet."""
    decoder, halves = getincrementaldecoder("utf-8")("replace"), []

    def spell(token: int) -> str:
        # of letters that the training text lacked a token is half a byte
        halves.append(token)
        data = b"".join(model.vocabulary_.spelled(halves))
        if data or len(halves) == 2:
            halves.clear()
        return decoder.decode(data)

    return spell


def _likely(model: Any, share_V: Any, n: int) -> list[tuple[str, float]]:
    """The likeliest tokens, as texts."""
    best = share_V.topk(min(n, len(share_V)))
    return [
        (_named(model, token), share) for token, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _named(model: Any, token: int) -> str:
    return model.vocabulary_.pieces[token].decode("utf-8", "replace") or "(half a letter)"


def _next(here: Studio, run: str, text: str) -> NextAnswer:
    import torch

    model = here.model(run, "stream")
    share_V = torch.softmax(_reader(model, _encoded(model, text)).logits()[0].double(), 0)
    bits = float(-(share_V * share_V.clamp_min(1e-300).log2()).sum())
    chances = [Chance(text=name, probability=share) for name, share in _likely(model, share_V, N_NEXT)]
    return NextAnswer(n_tokens=len(share_V), bits=bits, chances=chances)


def _surprise(here: Studio, run: str, text: str) -> SurpriseAnswer:
    from twofold.measure.sizes import general_compressors

    model = here.model(run, "stream")
    token_N = _encoded(model, text)
    bits_N = model.token_nats(token_N) / math.log(2)
    spell, data = _speller(model), text.encode("utf-8", "replace")
    tokens = [
        Surprise(text=spell(token), bits=bits) for token, bits in zip(token_N.tolist(), bits_N.tolist(), strict=True)
    ]
    return SurpriseAnswer(
        bits_per_byte=float(bits_N.sum()) / len(data), beside=general_compressors(data), tokens=tokens
    )
