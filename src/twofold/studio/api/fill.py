"""A masked autoencoder at work: what is hidden with a brush is painted anew.

Dimension key: H, W height and width, C channels, S side of a square grid of fields.
"""

from typing import Annotated

import numpy as np
from fastapi import APIRouter
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.api.runs import RunId
from twofold.studio.pictures import keep_picture, picture_of
from twofold.studio.place import Answer, Here, Question, Studio
from twofold.studio.shelf import Stock

__all__ = ["routes"]

routes = APIRouter(prefix="/runs/{run}", tags=["fill"])

LARGEST = 1024  # pixels of a side
FINEST = 64  # fields of a side

FieldNumber = Annotated[int, Field(ge=0, lt=FINEST**2)]


class FillQuestion(Question):
    """Which picture, and what of it is hidden."""

    data: str = Field(max_length=64, description="the id of data")
    row: int = Field(default=0, ge=0, lt=2**31)
    n_fields: int = Field(default=32, ge=2, le=FINEST, description="that lie across the picture, and as many down")
    hidden: list[FieldNumber] = Field(
        max_length=FINEST**2, description="numbers of the hidden fields, line by line from 0"
    )
    side: int = Field(default=512, ge=16, le=LARGEST, description="larger pictures are shrunk to that first")


class FillAnswer(Answer):
    """The picture, what was seen of it, and what was painted."""

    original: str
    seen: str
    painted: str
    width: int
    height: int
    hidden_share: float
    psnr: float | None = Field(description="of the painted pixels, in dB; none: nothing was hidden")
    psnr_smooth: float | None = Field(description="of a smooth filling from the border of what is hidden")


@routes.post("/fill")
async def fill_picture(here: Here, run: RunId, question: FillQuestion) -> FillAnswer:
    """A picture whose hidden fields are painted anew, from what is seen of it."""
    return await here.workbench.work(_fill, here, run, here.shelf.stock(question.data), question)


def _fill(here: Studio, run: str, stock: Stock, question: FillQuestion) -> FillAnswer:
    masked = here.model(run, "inpaint")
    picture_HWC = picture_of(here, stock, question.row, question.side)
    hidden_HW = _hidden(question, picture_HWC.shape[:2])
    painted_HWC = masked.inpaint(picture_HWC, hidden_HW) if hidden_HW.any() else picture_HWC
    return FillAnswer(
        original=keep_picture(here, picture_HWC, "original"), painted=keep_picture(here, painted_HWC, "painted"),
        seen=keep_picture(here, np.where(hidden_HW[..., None], 128, picture_HWC).astype(np.uint8), "seen"),
        width=picture_HWC.shape[1], height=picture_HWC.shape[0], hidden_share=float(hidden_HW.mean()),
        psnr=_nearness(painted_HWC[hidden_HW], picture_HWC[hidden_HW]),
        psnr_smooth=_nearness(_smooth(picture_HWC, hidden_HW)[hidden_HW], picture_HWC[hidden_HW]),
    )  # fmt: skip


def _hidden(question: FillQuestion, shape: tuple[int, int]) -> np.ndarray:
    """The hidden pixels, True (H, W)."""
    n_fields = question.n_fields
    if any(number >= n_fields**2 for number in question.hidden):
        raise DataError(
            f"hidden holds {max(question.hidden)}; {n_fields} x {n_fields} fields have 0 to {n_fields**2 - 1}."
        )
    hidden_SS = np.zeros(n_fields**2, bool)
    hidden_SS[question.hidden] = True
    line_H, column_W = (np.arange(side) * n_fields // side for side in shape)
    return hidden_SS.reshape(n_fields, n_fields)[line_H[:, None], column_W]


def _smooth(picture_HWC: np.ndarray, hidden_HW: np.ndarray) -> np.ndarray:
    import torch

    from twofold.nn.fill import filled
    from twofold.nn.pixels import from_pixels, to_pixels

    picture_1CHW = from_pixels(torch.from_numpy(np.array(picture_HWC))[None])
    return to_pixels(filled(picture_1CHW, torch.from_numpy(~hidden_HW)[None, None]))[0].numpy()


def _nearness(painted: np.ndarray, truth: np.ndarray) -> float | None:
    from twofold.measure.noise import psnr

    near = psnr(painted, truth) if truth.size else np.inf
    return float(near) if np.isfinite(near) else None
