"""A classifier at work: the class of pictures, and how sure it is.

Dimension key: N pictures, K classes.
"""

from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.api.runs import RunId
from twofold.studio.guard import Refusal
from twofold.studio.place import Answer, Here, Question, Studio

__all__ = ["routes"]

routes = APIRouter(prefix="/runs", tags=["recognise"])


class RecogniseQuestion(Question):
    """Pictures of data: these rows, or some that are drawn."""

    data: str = Field(max_length=64)
    rows: list[int] = Field(default_factory=list, max_length=64, description="which (none: `n` that are drawn)")
    n: int = Field(default=24, ge=1, le=64)
    seed: int = Field(default=0, ge=0, lt=2**31, description="by which they are drawn")
    n_classes: int = Field(default=5, ge=1, le=1000, description="how many of the likeliest classes are told")


class Chance(Answer):
    """A class, and how likely it is."""

    label: str
    probability: float


class Recognised(Answer):
    """What a picture is taken for, the likeliest first."""

    row: int
    name: str
    label: str | None = Field(description="what the data say that it is")
    classes: list[Chance]


class RecogniseAnswer(Answer):
    """What each picture is taken for."""

    n: int = Field(description="pictures in the data")
    items: list[Recognised]


@routes.post("/{run}/recognise")
async def recognise(here: Here, run: RunId, question: RecogniseQuestion) -> RecogniseAnswer:
    """Say which class each picture is of, and how sure that is."""
    return await here.workbench.work(_recognise, here, run, question)


def _recognise(here: Studio, run: str, question: RecogniseQuestion) -> RecogniseAnswer:
    from twofold.data.names import shown
    from twofold.turing.items import kind_of

    classifier, stock = here.model(run, "predict_proba"), here.shelf.stock(question.data)
    pictures = here.items(stock)
    if kind_of(pictures) != "pictures":
        raise DataError(f"{stock.title} holds {kind_of(pictures)}; pictures are needed.")
    rows = question.rows or _drawn(len(pictures), question.n, question.seed)
    if not all(0 <= row < len(pictures) for row in rows):
        raise Refusal(404, f"there are {len(pictures)} items, from 0 on; asked for was {max(rows)}.")
    share_NK = classifier.predict_proba(pictures.take(np.array(rows)))
    labels = pictures.labels
    items = [Recognised(row=row, name=shown(str(pictures.ids[row])), label=None if labels is None else str(labels[row]),
                        classes=_likeliest(classifier.classes_, share_K, question.n_classes))
             for row, share_K in zip(rows, share_NK, strict=True)]  # fmt: skip
    return RecogniseAnswer(n=len(pictures), items=items)


def _drawn(n_items: int, n: int, seed: int) -> list[int]:
    return sorted(np.random.default_rng(seed).choice(n_items, min(n, n_items), replace=False).tolist())


def _likeliest(classes_K: Any, share_K: np.ndarray, n: int) -> list[Chance]:
    best = np.argsort(-share_K, kind="stable")[:n]
    return [Chance(label=str(classes_K[k]), probability=float(share_K[k])) for k in best]
