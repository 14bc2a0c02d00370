"""A generator at work: new items, and walks between two of them.

Each item has a seed of its own: item i of a sheet is made from seed + i, so that any two can be walked between.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.api.runs import RunId
from twofold.studio.guard import Refusal
from twofold.studio.place import Answer, Here, Studio

__all__ = ["routes"]

routes = APIRouter(prefix="/runs", tags=["new"])

Seed = Annotated[int, Query(ge=0, lt=2**31, description="of the first item; the next have the next ones")]
Count = Annotated[int, Query(ge=1, le=256)]
Steps = Annotated[int, Query(ge=2, le=64)]
Label = Annotated[str | None, Query(max_length=200, description="the class of all (none: as often as in training)")]
Place = Annotated[int, InPath(ge=0, le=255)]
KEPT = 8  # sheets and walks of a run
SHOWN_SIDE = 128  # pixels that a small picture is brought to


class MadeItem(Answer):
    """An item that was made: a text or the cells of a row; pictures and sounds by their place."""

    place: int
    seed: int
    label: str | None
    real: float | None = Field(description="how surely the detective takes it for real, 0..1")
    text: str | None = None
    cells: dict[str, bool | int | float | str | None] | None = None


class MadeAnswer(Answer):
    """What was made."""

    what: str = Field(description="pictures, rows, sounds or texts")
    classes: list[str] = Field(description="that can be asked for")
    size: list[int] = Field(description="of pictures: height and width")
    items: list[MadeItem]


@dataclass(frozen=True)
class Made:
    """Items, and the class and the seed of each."""

    what: str
    items: Any
    labels: list[str | None]
    seeds: list[int]


@routes.get("/{run}/made")
async def make_items(here: Here, run: RunId, n: Count = 36, seed: Seed = 0, label: Label = None) -> MadeAnswer:
    """Make items, and ask the detective about each."""
    return await here.workbench.work(_told, here, run, (n, seed, label))


@routes.get("/{run}/made/{place}/picture", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def show_made(
    here: Here, run: RunId, place: Place, n: Count = 36, seed: Seed = 0, label: Label = None
) -> Response:
    """A picture that was made, small ones with each pixel as a square."""
    body = await here.workbench.work(_picture, here, run, (n, seed, label), place)
    return Response(body, media_type="image/png")


@routes.get("/{run}/made/{place}/sound", response_class=Response, responses={200: {"content": {"audio/wav": {}}}})
async def play_made(
    here: Here, run: RunId, place: Place, n: Count = 36, seed: Seed = 0, label: Label = None
) -> Response:
    """A sound that was made."""
    body = await here.workbench.work(_sound, here, run, (n, seed, label), place)
    return Response(body, media_type="audio/wav")


@routes.get("/{run}/made/file", response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}})
async def keep_made(here: Here, run: RunId, n: Count = 36, seed: Seed = 0, label: Label = None) -> Response:
    """All that was made as a file: a ZIP of PNG or WAV, a CSV, or a TXT."""
    body, suffix = await here.workbench.work(_file, here, run, (n, seed, label))
    headers = {"Content-Disposition": f'attachment; filename="made-{seed}{suffix}"'}
    return Response(body, media_type="application/octet-stream", headers=headers)


@routes.get("/{run}/walk")
async def walk(
    here: Here, run: RunId, seed: Seed = 0, other: Seed = 1, n: Steps = 24, label: Label = None
) -> MadeAnswer:
    """What lies between the items of two seeds, both counted in; of pictures see /walk/strip."""
    return await here.workbench.work(_told_walk, here, run, (seed, other, n, label))


@routes.get("/{run}/walk/strip", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def walk_in_pictures(
    here: Here, run: RunId, seed: Seed = 0, other: Seed = 1, n: Steps = 24, label: Label = None
) -> Response:
    """The pictures between two seeds, side by side in one PNG."""
    return Response(await here.workbench.work(_strip, here, run, (seed, other, n, label)), media_type="image/png")


@routes.get("/{run}/walk/{place}/sound", response_class=Response, responses={200: {"content": {"audio/wav": {}}}})
async def play_walk(
    here: Here, run: RunId, place: Place, seed: Seed = 0, other: Seed = 1, n: Steps = 24, label: Label = None
) -> Response:
    """A sound between those of two seeds."""
    sounds = (await here.workbench.work(_walk, here, run, (seed, other, n, label))).items
    return Response(await here.workbench.work(_as_wav, sounds, place), media_type="audio/wav")


# ---- making --------------------------------------------------------------------------------------

Asked = tuple[int, int, str | None]


def _made(here: Studio, run: str, asked: Asked) -> Made:
    """The items, kept so that their pictures and sounds can be asked for one by one."""
    generator = here.model(run, "sample")
    return _kept(here, run, asked, lambda: _make(generator, *asked))


def _kept(here: Studio, run: str, asked: tuple[Any, ...], make: Callable[[], Made]) -> Made:
    """What was asked for lately; all of a run in one place, so that no model has to leave the workbench for it."""
    changed = (here.shelf.run(run) / "config.json").stat().st_mtime_ns
    lately: dict[tuple[Any, ...], Made] = here.workbench.keep(("made", run, changed), dict)
    if asked not in lately:
        lately[asked] = make()
        while len(lately) > KEPT:
            del lately[next(iter(lately))]
    return lately[asked]


def _make(generator: Any, n: int, seed: int, label: str | None) -> Made:
    seeds = list(range(seed, seed + n))
    labels = _labels(generator, seeds, label)
    parts = [generator.sample(1, label=own, seed=at) for own, at in zip(labels, seeds, strict=True)]
    return Made(generator.form_.name, _joined(parts), labels, seeds)


def _labels(generator: Any, seeds: Sequence[int], label: str | None) -> list[str | None]:
    """The class of each item: the one that was asked for, else classes as often as in training."""
    if label is not None or generator.classes_ is None:
        return [label] * len(seeds)
    return [str(np.random.default_rng(at).choice(generator.classes_, p=generator.shares_)) for at in seeds]


def _joined(parts: Sequence[Any]) -> Any:
    import pyarrow as pa

    from twofold.data.audio import Sounds

    if isinstance(parts[0], pa.Table):
        return pa.concat_tables(parts, promote_options="permissive")
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if isinstance(parts[0], Sounds):
        return Sounds.of([sound for part in parts for sound in part], parts[0].rate, name="made sounds")
    return [item for part in parts for item in part]


def _walk(here: Studio, run: str, asked: tuple[int, int, int, str | None]) -> Made:
    generator = here.model(run, "sample")
    seed, other, n, label = asked
    own = _labels(generator, [seed], label)[0]
    return _kept(here, run, asked, lambda: Made(
        generator.form_.name, generator.interpolate(seed, other, n, label=own), [own] * n, [seed] * n,
    ))  # fmt: skip


# ---- telling -------------------------------------------------------------------------------------


def _told(here: Studio, run: str, asked: Asked) -> MadeAnswer:
    return _answer(here.model(run, "sample"), _made(here, run, asked))


def _told_walk(here: Studio, run: str, asked: tuple[int, int, int, str | None]) -> MadeAnswer:
    return _answer(here.model(run, "sample"), _walk(here, run, asked))


def _answer(generator: Any, made: Made) -> MadeAnswer:
    labels = None if made.labels[0] is None else made.labels
    real_N = np.asarray(generator.discriminate(made.items, labels), float).tolist()
    rows: list[dict[str, Any]] = [{} for _ in real_N]
    if made.what == "rows":
        rows = [{"cells": {name: _cell(value) for name, value in cells.items()}} for cells in made.items.to_pylist()]
    elif made.what == "texts":
        rows = [{"text": text} for text in made.items]
    told = enumerate(zip(made.seeds, made.labels, real_N, rows, strict=True))
    items = [MadeItem(place=place, seed=at, label=label, real=_cell(real), **row)
             for place, (at, label, real, row) in told]  # fmt: skip
    size = list(made.items.shape[1:3]) if made.what == "pictures" else []
    classes = [] if generator.classes_ is None else list(map(str, generator.classes_))
    return MadeAnswer(what=made.what, classes=classes, size=size, items=items)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _picture(here: Studio, run: str, asked: Asked, place: int) -> bytes:
    from twofold.studio.showing import enlarged, png

    return png(enlarged(_one(_made(here, run, asked), place, "pictures"), SHOWN_SIDE))


def _sound(here: Studio, run: str, asked: Asked, place: int) -> bytes:
    made = _made(here, run, asked)
    _one(made, place, "sounds")
    return _as_wav(made.items, place)


def _as_wav(sounds: Any, place: int) -> bytes:
    from twofold.studio.showing import wav

    if not hasattr(sounds, "rate"):
        raise DataError("this run makes no sounds.")
    if place >= len(sounds):
        raise Refusal(404, f"there is no item {place}; there are {len(sounds)}.")
    return wav(sounds[place], sounds.rate)


def _one(made: Made, place: int, what: str) -> Any:
    if made.what != what:
        raise DataError(f"this run makes {made.what}, not {what}.")
    if place >= len(made.items):
        raise Refusal(404, f"there is no item {place}; there are {len(made.items)}.")
    return made.items[place]


def _strip(here: Studio, run: str, asked: tuple[int, int, int, str | None]) -> bytes:
    from twofold.studio.showing import png

    made = _walk(here, run, asked)
    _one(made, 0, "pictures")
    return png(np.concatenate(list(made.items), axis=1))


def _file(here: Studio, run: str, asked: Asked) -> tuple[bytes, str]:
    made = _made(here, run, asked)
    if made.what == "texts":
        return "".join(f"{text}\n" for text in made.items).encode(), ".txt"
    if made.what == "rows":
        return _csv(here, run, made), ".csv"
    from twofold.studio.showing import png, wav

    write = png if made.what == "pictures" else lambda sound: wav(sound, made.items.rate)
    buffer, suffix = io.BytesIO(), "png" if made.what == "pictures" else "wav"
    with zipfile.ZipFile(buffer, "w") as archive:
        for item, at, label in zip(made.items, made.seeds, made.labels, strict=True):
            name = f"{at}" + ("" if label is None else "-" + "".join(c if c.isalnum() else "_" for c in label)[:60])
            archive.writestr(f"{name}.{suffix}", write(item))
    return buffer.getvalue(), ".zip"


def _csv(here: Studio, run: str, made: Made) -> bytes:
    """The rows, with their class in the column that it had in training."""
    import pyarrow as pa

    from twofold.data.tables import write_table

    table = made.items
    if made.labels[0] is not None:
        column = (here.ledger.config(here.shelf.run(run)).get("data") or {}).get("label") or "label"
        table = table.append_column(column, pa.array(made.labels))
    path = here.shelf.new_result(".csv", "made")
    write_table(table, path)
    try:
        return path.read_bytes()
    finally:
        path.unlink()
