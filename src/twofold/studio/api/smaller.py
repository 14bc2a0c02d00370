"""A compressor at work: real files at any quality, beside PNG and JPEG of the same picture.

Dimension key: Y, X height and width, C channels.
"""

from bisect import bisect_left
from functools import cache
from io import BytesIO
from typing import Annotated

import numpy as np
from fastapi import APIRouter, UploadFile
from PIL import Image
from pydantic import Field

from twofold.studio.api.runs import RunId
from twofold.studio.guard import Refusal
from twofold.studio.pictures import error_map, keep_picture, picture_of
from twofold.studio.place import Answer, Here, Question, Studio
from twofold.studio.shelf import Stock
from twofold.studio.showing import png

__all__ = ["routes"]

routes = APIRouter(prefix="/runs/{run}", tags=["smaller"])

LARGEST = 1536  # side; a core writes and reads about 200,000 pixels in a second
MAX_FILE, MAX_PIXELS = 16 << 20, 4_000_000
JPEG_QUALITIES = range(1, 96)

Jpeg = tuple[int, np.ndarray]
"""Bytes of a file, and its pixels (Y, X, C)."""

Side = Annotated[int, Field(ge=32, le=LARGEST, description="larger pictures are shrunk to that many pixels first")]


class SmallerQuestion(Question):
    """Which picture, and how small."""

    data: str = Field(max_length=64, description="the id of data")
    row: int = Field(default=0, ge=0, lt=2**31)
    quality: float = Field(default=50.0, ge=0, le=100, description="0: the smallest file; 100: the least error")
    side: Side = 768


class FileAnswer(Answer):
    """A file of the picture, and how near it is to it."""

    url: str = Field(description="what the file shows, as PNG")
    n_bytes: int
    psnr: float | None = Field(description="in dB; none where nothing was lost")


class SmallerAnswer(Answer):
    """The file, and what PNG and JPEG make of the same picture."""

    file: str
    original: str
    error: str
    width: int
    height: int
    ours: FileAnswer
    png_bytes: int
    jpeg_as_good: FileAnswer = Field(description="the smallest JPEG that is at least as near, or the best there is")
    jpeg_as_small: FileAnswer = Field(description="the best JPEG that is no larger, or the smallest there is")


class PictureAnswer(Answer):
    """A picture out of a file."""

    url: str
    width: int
    height: int


@routes.post("/compress")
async def compress_picture(here: Here, run: RunId, question: SmallerQuestion) -> SmallerAnswer:
    """A picture as a .tfz file, opened again, beside PNG and JPEG as they are measured."""
    return await here.workbench.work(_compress, here, run, here.shelf.stock(question.data), question)


@routes.post("/decompress")
async def decompress_file(here: Here, run: RunId, file: UploadFile) -> PictureAnswer:
    """The picture in a .tfz file that this run wrote; at most 16 MB, and 4 million pixels."""
    data = await file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Refusal(413, f"the file is larger than {MAX_FILE >> 20} MB. twofold decompress opens it.")
    return await here.workbench.work(_decompress, here, run, data)


def _compress(here: Studio, run: str, stock: Stock, question: SmallerQuestion) -> SmallerAnswer:
    compressor = here.model(run, "compress", "compressor")
    picture_YXC = picture_of(here, stock, question.row, question.side)
    data = compressor.compress(picture_YXC, question.quality)
    ours_YXC = compressor.decompress(data)
    path = here.shelf.new_result(".tfz", "picture")
    path.write_bytes(data)
    ours = _told(here, len(data), ours_YXC, picture_YXC)
    good, small = _jpegs(picture_YXC, ours.psnr, len(data))
    return SmallerAnswer(
        file=here.shelf.url(path), original=keep_picture(here, picture_YXC, "original"),
        error=keep_picture(here, error_map(picture_YXC, ours_YXC), "error"),
        width=picture_YXC.shape[1], height=picture_YXC.shape[0], ours=ours, png_bytes=len(png(picture_YXC)),
        jpeg_as_good=_told(here, *good, picture_YXC), jpeg_as_small=_told(here, *small, picture_YXC),
    )  # fmt: skip


def _decompress(here: Studio, run: str, data: bytes) -> PictureAnswer:
    from twofold.data.container import unpack
    from twofold.nn.layout import Layout

    compressor = here.model(run, "compress", "compressor")
    header, _ = unpack(data)
    if header.get("kind") == "picture" and np.prod(Layout.of(header).size[:2], dtype=float) > MAX_PIXELS:
        raise Refusal(413, f"the picture has more than {MAX_PIXELS:,} pixels. twofold decompress opens it.")
    picture_YXC = compressor.decompress(data)
    return PictureAnswer(url=keep_picture(here, picture_YXC, "opened"), width=picture_YXC.shape[1],
                         height=picture_YXC.shape[0])  # fmt: skip


def _told(here: Studio, n_bytes: int, rebuilt_YXC: np.ndarray, picture_YXC: np.ndarray) -> FileAnswer:
    from twofold.measure.rates import psnr

    near = psnr(rebuilt_YXC, picture_YXC)
    return FileAnswer(url=keep_picture(here, rebuilt_YXC, "rebuilt"), n_bytes=n_bytes,
                      psnr=near if np.isfinite(near) else None)  # fmt: skip


def _jpegs(picture_YXC: np.ndarray, near: float | None, n_bytes: int) -> tuple[Jpeg, Jpeg]:
    """The smallest JPEG that is at least so near, and the best that is no larger."""
    from twofold.measure.rates import psnr

    file = cache(lambda quality: _jpeg(picture_YXC, quality))
    wanted = float("inf") if near is None else near
    good = bisect_left(JPEG_QUALITIES, True, key=lambda quality: psnr(file(quality)[1], picture_YXC) >= wanted)
    small = bisect_left(JPEG_QUALITIES, True, key=lambda quality: file(quality)[0] > n_bytes) - 1
    return file(JPEG_QUALITIES[min(good, len(JPEG_QUALITIES) - 1)]), file(JPEG_QUALITIES[max(small, 0)])


def _jpeg(picture_YXC: np.ndarray, quality: int) -> Jpeg:
    image, buffer = Image.fromarray(picture_YXC[..., 0] if picture_YXC.shape[2] == 1 else picture_YXC), BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return len(buffer.getvalue()), np.asarray(Image.open(buffer)).reshape(picture_YXC.shape)
