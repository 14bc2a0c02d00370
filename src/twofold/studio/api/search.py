"""Pictures and words in one space: an index of data, searched by words and by pictures; captions and typed labels.

An index is the vectors of all pictures of some data, made by one run; it lies in RUNS/.studio/indexes under a name that
tells both, so that it is made once. Searching is what `twofold search` does (core/gallery).
Dimension key: N pictures, K labels, E width of the shared space.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from twofold.errors import DataError, RunError, SettingError
from twofold.studio.api.runs import RunId
from twofold.studio.guard import Refusal
from twofold.studio.place import Answer, Here, Question, Studio
from twofold.studio.shelf import Stock

__all__ = ["routes"]

routes = APIRouter(prefix="/runs", tags=["search"])

AT_ONCE = 64  # pictures between two looks at others' questions
MOST_PIXELS = 4 << 20  # of a picture that is explained
LINES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}

IndexId = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$")]
Words = Annotated[str, Field(min_length=1, max_length=400)]


class IndexQuestion(Question):
    """Which pictures are to be found."""

    data: str = Field(max_length=64)


class Item(Question):
    """A picture of data."""

    data: str = Field(max_length=64)
    row: int = Field(ge=0, lt=2**31)


class SearchQuestion(Question):
    """What is looked for: words, words more and less, and a picture that it is like."""

    text: str | None = Field(default=None, max_length=400)
    plus: list[Words] = Field(default_factory=list, max_length=8)
    minus: list[Words] = Field(default_factory=list, max_length=8)
    like: list[Item] = Field(default_factory=list, max_length=4)
    k: int = Field(default=24, ge=1, le=200)


class Found(Answer):
    """A picture, and how like it is."""

    row: int
    name: str
    label: str | None
    score: float
    fits: bool


class SearchAnswer(Answer):
    """The nearest first; what does not fit is said so."""

    data: str = Field(description="the id of the data that the rows are of")
    n: int
    least_score: float = Field(description="what a picture must score to fit")
    unknown: list[str] = Field(description="words that no caption had")
    items: list[Found]


class DescribeQuestion(Item):
    """A picture to be said in words."""

    n: int = Field(default=3, ge=1, le=8)


class Caption(Answer):
    """What a picture shows, in words."""

    text: str
    score: float


class DescribeAnswer(Answer):
    """Captions, the best first."""

    captions: list[Caption]


class ClassifyQuestion(Item):
    """A picture, and the labels that it is to be told apart by."""

    labels: list[Words] = Field(min_length=2, max_length=50)


class ClassifyAnswer(Answer):
    """The probability of each label, in their order."""

    labels: list[str]
    probabilities: list[float]


@dataclass(frozen=True)
class Index:
    """The vectors of all pictures of some data."""

    stock: str
    vector_NE: np.ndarray


@routes.post("/{run}/indexes", response_class=StreamingResponse, responses=LINES)
async def make_index(here: Here, run: RunId, question: IndexQuestion) -> StreamingResponse:
    """Make data searchable. JSON lines: `done` and `total` pictures; the last has `index`, its id."""
    steps = await here.workbench.work(_begun, here, run, here.shelf.stock(question.data))
    return StreamingResponse(_lines(here, steps), media_type="application/x-ndjson")


@routes.post("/{run}/indexes/{index}/search")
async def search(here: Here, run: RunId, index: IndexId, question: SearchQuestion) -> SearchAnswer:
    """The pictures nearest to what is looked for, and whether they fit."""
    return await here.workbench.work(_search, here, run, index, question)


@routes.get("/{run}/why", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def show_why(
    here: Here, run: RunId, data: Annotated[str, Query(max_length=64)], row: Annotated[int, Query(ge=0, lt=2**31)],
    text: Annotated[str, Query(min_length=1, max_length=400)],
) -> Response:  # fmt: skip
    """A picture, red where it fits the words."""
    return Response(await here.workbench.work(_why, here, run, (data, row), text), media_type="image/png")


@routes.post("/{run}/describe")
async def describe(here: Here, run: RunId, question: DescribeQuestion) -> DescribeAnswer:
    """What a picture shows, in words."""
    return await here.workbench.work(_describe, here, run, question)


@routes.post("/{run}/classify")
async def classify(here: Here, run: RunId, question: ClassifyQuestion) -> ClassifyAnswer:
    """Which of some labels fits a picture; training need not have named them."""
    return await here.workbench.work(_classify, here, run, question)


async def _lines(here: Studio, steps: Iterator[dict[str, Any]]) -> AsyncIterator[str]:
    async for step in here.workbench.each(steps):
        yield json.dumps(step) + "\n"


# ---- the index -----------------------------------------------------------------------------------


def _begun(here: Studio, run: str, stock: Stock) -> Iterator[dict[str, Any]]:
    """What is to be done, refused before the first line where it cannot be."""
    towers, pictures = here.model(run, "embed_pixels"), _pictures(here, stock)
    name = hashlib.sha256(f"{towers.identity} {stock.id} {pictures.fingerprint}".encode()).hexdigest()[:24]
    return _steps(here, towers, pictures, (name, stock))


def _steps(here: Studio, towers: Any, pictures: Any, named: tuple[str, Stock]) -> Iterator[dict[str, Any]]:
    name, stock = named
    vectors: list[np.ndarray] = []
    for start in range(0, 0 if _place(here, name).is_file() else len(pictures), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(pictures)))
        vectors.append(towers.transform(pictures.take(rows)))
        yield {"done": int(rows[-1]) + 1, "total": len(pictures)}
    if vectors:
        _keep(here, name, Index(stock.id, np.concatenate(vectors)), towers.identity)
    yield {"index": name, "total": len(pictures)}


def _place(here: Studio, name: str) -> FilePath:
    return here.shelf.hidden / "indexes" / f"{name}.safetensors"


def _keep(here: Studio, name: str, index: Index, identity: str) -> None:
    from safetensors.numpy import save

    from twofold.data.atomic import write_atomically

    place = _place(here, name)
    place.parent.mkdir(exist_ok=True)
    write_atomically(place, save({"vectors": index.vector_NE}, {"stock": index.stock, "towers": identity}))


def _open(here: Studio, name: str, identity: str) -> Index:
    """The index of that name.

    Raises
    ------
    RunError
        When it is not there, or was made by another run: its vectors cannot be compared with this one's.
    """
    place = _place(here, name)
    if not place.is_file():
        raise RunError(f"there is no index {name}. Make one: POST /api/v1/runs/RUN/indexes.")
    index, made_by = here.workbench.keep(("index", name), lambda: _read(place))
    if made_by != identity:
        raise RunError("the index was made by another run, whose vectors are not like these. Make a new one.")
    return index  # type: ignore[no-any-return]


def _read(place: FilePath) -> tuple[Index, str]:
    from safetensors import safe_open

    with safe_open(place, "np") as file:
        told = file.metadata()
        return Index(told["stock"], file.get_tensor("vectors")), told["towers"]


# ---- searching -----------------------------------------------------------------------------------


def _search(here: Studio, run: str, name: str, question: SearchQuestion) -> SearchAnswer:
    from twofold.core.gallery.query import ask
    from twofold.data.names import shown

    towers = here.model(run, "embed_pixels")
    index = _open(here, name, towers.identity)
    pictures = _pictures(here, here.shelf.stock(index.stock))
    like = [_picture(here, item.data, item.row) for item in question.like]
    query_E = ask(towers, question.text or None, like=like, plus=question.plus, minus=question.minus)
    score_N = index.vector_NE @ query_E
    least = float(towers.least_scores(score_N[None])[0])
    best = np.argsort(-score_N, kind="stable")[: question.k].tolist()
    labels = pictures.labels
    items = [Found(row=row, name=shown(str(pictures.ids[row])), label=None if labels is None else str(labels[row]),
                   score=float(score_N[row]), fits=bool(score_N[row] >= least)) for row in best]  # fmt: skip
    words = " ".join([question.text or "", *question.plus, *question.minus])
    return SearchAnswer(data=index.stock, n=len(score_N), least_score=least, unknown=towers.unknown_words(words)[:20],
                        items=items)  # fmt: skip


def _pictures(here: Studio, stock: Stock) -> Any:
    from twofold.turing.items import kind_of

    items = here.items(stock)
    if kind_of(items) != "pictures":
        raise DataError(f"{stock.title} holds {kind_of(items)}; pictures are needed. Give a folder of them.")
    return items


def _picture(here: Studio, data: str, row: int) -> np.ndarray:
    pictures = _pictures(here, here.shelf.stock(data))
    if row >= len(pictures):
        raise Refusal(404, f"there is no item {row}; there are {len(pictures)}.")
    return np.asarray(pictures[row])


def _why(here: Studio, run: str, item: tuple[str, int], text: str) -> bytes:
    from twofold.data.sheets import overlays
    from twofold.studio.showing import enlarged, png, shrunk

    towers, picture_HWC = here.model(run, "explain", "clip"), _picture(here, *item)
    small = shrunk(picture_HWC, 448)
    small = small if small.ndim == 3 else small[..., None]
    return png(enlarged(overlays([small], [np.asarray(towers.explain([small], text))])[0], 192))


def _describe(here: Studio, run: str, question: DescribeQuestion) -> DescribeAnswer:
    told = here.model(run, "describe").describe([_picture(here, question.data, question.row)], question.n)[0]
    return DescribeAnswer(captions=[Caption(text=text, score=float(score)) for text, score in told])


def _classify(here: Studio, run: str, question: ClassifyQuestion) -> ClassifyAnswer:
    labels = [label.strip() for label in question.labels]
    if not all(labels):
        raise SettingError("a label is empty. Give words.")
    share_K = here.model(run, "classify").classify([_picture(here, question.data, question.row)], labels)[0]
    return ClassifyAnswer(labels=labels, probabilities=[float(share) for share in share_K])
