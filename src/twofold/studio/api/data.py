"""Data: what can be learned from, what it is, its items one by one, and how one's own files get here."""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, UploadFile
from fastapi import Path as InPath
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.guard import Refusal
from twofold.studio.place import Answer, Here, Question, Studio, version_of
from twofold.studio.shelf import Stock

__all__ = ["routes"]

routes = APIRouter(prefix="/data", tags=["data"])

MAX_FILE = 50 << 20  # bytes
MAX_FILES = 1000  # at once
MAX_DEPTH = 12
# a sheet of thumbnails is looked at again and again
KEPT = {"Cache-Control": "private, max-age=60"}
# what an upload's file may be called: any letters, but nothing that steers a path or a terminal
BAD_PART = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\u202a-\u202e\u2066-\u2069]')

StockId = Annotated[str, InPath(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Row = Annotated[int, InPath(ge=0, lt=2**31)]


class StockAnswer(Answer):
    """Data that can be learned from."""

    id: str
    title: str
    kind: str = Field(description="sample, upload, input or folder")
    about: str


class LookAnswer(Answer):
    """What data are."""

    id: str
    title: str
    what: str = Field(description="pictures, sounds, rows or texts")
    n: int
    facts: dict[str, Any]
    labels: list[str] = Field(description="columns or classes that may be the label")
    notes: list[str]
    bad: list[dict[str, str]] = Field(description="what cannot be read, and why; the first 100")


class ItemsAnswer(Answer):
    """Some items: pictures and sounds by name and label, rows by their cells, texts as they are."""

    what: str
    n: int
    start: int
    items: list[dict[str, Any]]


class UploadAnswer(Answer):
    """A place for files that are on their way."""

    upload: str


class DoneQuestion(Question):
    """All files of an upload are there."""

    title: str = Field(default="", max_length=80, description="what the data are called")
    is_input: bool = Field(default=False, description="only to be used once, by a run: it is not listed")


@routes.get("")
async def list_data(here: Here) -> list[StockAnswer]:
    """Uploads, granted folders and built-in samples."""
    return [_told(stock) for stock in here.shelf.stocks() if stock.kind != "input"]


@routes.post("", status_code=201)
async def upload_data(here: Here, files: list[UploadFile], is_input: bool = False) -> StockAnswer:
    """Files in one go; a path in a file's name is kept (`cats/1.png`). More than 1,000: begin an upload."""
    upload, folder = here.shelf.new_upload()
    try:
        await _keep_files(folder, files)
        return _told(_finish(here, upload, "", is_input))
    except Exception:
        here.shelf.drop_upload(upload)
        raise


@routes.post("/uploads", status_code=201)
async def begin_upload(here: Here) -> UploadAnswer:
    """A place for many files, which are sent in several requests."""
    return UploadAnswer(upload=here.shelf.new_upload()[0])


@routes.post("/uploads/{upload}/files", status_code=204)
async def add_files(here: Here, upload: StockId, files: list[UploadFile]) -> None:
    """Some of the files; at most 1,000 and 256 MB at once, 50 MB a file."""
    await _keep_files(here.shelf.part(upload), files)


@routes.post("/uploads/{upload}/done", status_code=201)
async def finish_upload(here: Here, upload: StockId, question: DoneQuestion) -> StockAnswer:
    """All are there: the upload becomes data."""
    here.shelf.part(upload)
    return _told(_finish(here, upload, question.title, question.is_input))


@routes.get("/{stock}")
async def look_at_data(here: Here, stock: StockId) -> LookAnswer:
    """What the data are, and every file that cannot be read."""
    return await here.workbench.work(_look, here, here.shelf.stock(stock))


@routes.delete("/{stock}", status_code=204)
async def remove_data(here: Here, stock: StockId) -> None:
    """Take uploaded data off the disk."""
    here.shelf.remove_upload(stock)


@routes.get("/{stock}/items")
async def list_items(
    here: Here, stock: StockId, start: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    n: Annotated[int, Query(ge=1, le=200)] = 60,
) -> ItemsAnswer:  # fmt: skip
    """Some of the items."""
    return await here.workbench.work(_items, here, here.shelf.stock(stock), start, n)


@routes.get("/{stock}/items/{row}/picture", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def show_picture(
    here: Here, stock: StockId, row: Row, side: Annotated[int, Query(ge=8, le=2048)] = 128
) -> Response:
    """A picture of the data, at most `side` pixels high and wide."""
    known = here.shelf.stock(stock)
    picture = await here.workbench.draw(
        ("picture", *version_of(known), row, side), lambda: _picture(here, known, row, side)
    )
    return Response(picture, media_type="image/png", headers=KEPT)


@routes.get("/{stock}/items/{row}/sound", response_class=Response, responses={200: {"content": {"audio/wav": {}}}})
async def play_sound(here: Here, stock: StockId, row: Row) -> Response:
    """A sound of the data."""
    return Response(await here.workbench.work(_sound, here, here.shelf.stock(stock), row), media_type="audio/wav")


# ---- uploads -------------------------------------------------------------------------------------


async def _keep_files(folder: Path, files: list[UploadFile]) -> None:
    for file in files:
        target = folder / "files" / _inside(file.filename or "")
        if target.exists():
            raise DataError(f"{file.filename!r} was sent twice. Send each file once.")
        if (file.size or 0) > MAX_FILE:
            raise Refusal(
                413, f"{file.filename!r} is larger than {MAX_FILE >> 20} MB. Name its folder at the start: --data."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while piece := await file.read(1 << 20):
                out.write(piece)


def _inside(name: str) -> PurePosixPath:
    """A file's name as a path below the upload's folder, or a refusal."""
    parts = name.split("/")
    is_bad = len(parts) > MAX_DEPTH or any(
        part in ("", ".", "..") or BAD_PART.search(part) or len(part.encode("utf-8", "replace")) > 200 for part in parts
    )
    if is_bad or name.startswith("~"):
        raise DataError(f"{name[:80]!r} cannot be the name of a file here. Allowed: plain names, with / for folders.")
    # a hidden file is none of the data
    return PurePosixPath(*(part.lstrip(".") or "_" for part in parts))


def _finish(here: Studio, upload: str, title: str, is_input: bool) -> Stock:
    folder = here.shelf.part(upload) / "files"
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    if not inside:
        raise DataError("nothing was sent. Send at least one file.")
    # one file, or one folder, is the data; several files are a folder of data
    source = inside[0].name if len(inside) == 1 else ""
    n_files = sum(path.is_file() for path in folder.rglob("*"))
    about = "1 file" if n_files == 1 else f"{n_files} files"
    return here.shelf.keep_upload(upload, title or source or about, source, about, is_input=is_input)


# ---- looks ---------------------------------------------------------------------------------------


def _told(stock: Stock) -> StockAnswer:
    return StockAnswer(id=stock.id, title=stock.title, kind=stock.kind, about=stock.about)


def _look(here: Studio, stock: Stock) -> LookAnswer:
    from twofold.data.names import shown
    from twofold.turing.items import kind_of

    items = here.items(stock)
    what = kind_of(items)
    facts, labels, notes = _FACTS[what](items)
    bad = [{"name": shown(str(name)), "reason": reason} for name, reason in list(getattr(items, "bad", []))[:100]]
    return LookAnswer(id=stock.id, title=stock.title, what=what, n=len(items), facts=facts, labels=labels,
                      notes=notes, bad=bad)  # fmt: skip


def _facts_of_pictures(pictures: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    height_N, width_N = pictures.size_N2.T
    facts = {"colour": pictures.channels == 3, "height": [int(height_N.min()), int(height_N.max())],
             "width": [int(width_N.min()), int(width_N.max())], "duplicates": int(pictures.n_duplicates)}  # fmt: skip
    return facts, _classes(pictures), list(pictures.notes)


def _facts_of_sounds(sounds: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    facts = {"rate": int(sounds.rate), "seconds": [float(sounds.seconds_N.min()), float(sounds.seconds_N.max())]}
    return facts, _classes(sounds), list(sounds.notes)


def _classes(items: Any) -> list[str]:
    return [] if items.labels is None else sorted(set(map(str, items.labels.tolist())))[:500]


def _facts_of_rows(rows: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    from twofold.data.tables import table_notes

    return {"columns": rows.column_names}, rows.column_names, table_notes(rows)


def _facts_of_texts(texts: list[str]) -> tuple[dict[str, Any], list[str], list[str]]:
    return {"characters": sum(map(len, texts)), "begins": texts[0][:400] if texts else ""}, [], []


_FACTS = {"pictures": _facts_of_pictures, "sounds": _facts_of_sounds, "rows": _facts_of_rows, "texts": _facts_of_texts}


def _items(here: Studio, stock: Stock, start: int, n: int) -> ItemsAnswer:
    from twofold.data.names import shown
    from twofold.turing.items import kind_of

    items = here.items(stock)
    what, rows = kind_of(items), range(min(start, len(items)), min(start + n, len(items)))
    if what == "rows":
        told = [{"row": start + place, "cells": {k: _cell(v) for k, v in cells.items()}}
                for place, cells in enumerate(items.slice(start, n).to_pylist())]  # fmt: skip
    elif what == "texts":
        told = [{"row": row, "text": items[row][:2000]} for row in rows]
    else:
        labels = items.labels
        told = [{"row": row, "name": shown(str(items.ids[row])), "label": None if labels is None else str(labels[row])}
                for row in rows]  # fmt: skip
    return ItemsAnswer(what=what, n=len(items), start=start, items=told)


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else repr(value)[:200]


def _picture(here: Studio, stock: Stock, row: int, side: int) -> bytes:
    from twofold.studio.showing import png, shrunk

    return png(shrunk(_item(here, stock, row, "pictures"), side))


def _sound(here: Studio, stock: Stock, row: int) -> bytes:
    from twofold.studio.showing import wav

    return wav(_item(here, stock, row, "sounds"), here.items(stock).rate)


def _item(here: Studio, stock: Stock, row: int, what: str) -> Any:
    from twofold.turing.items import kind_of

    items = here.items(stock)
    if kind_of(items) != what:
        raise DataError(f"{stock.title} holds {kind_of(items)}, not {what}.")
    if row >= len(items):
        raise Refusal(404, f"there is no item {row}; there are {len(items)}.")
    return items[row]
