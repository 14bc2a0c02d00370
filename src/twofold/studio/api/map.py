"""An autoencoder at work: the latent map, decoding any point, rebuilding with the error beside.

Dimension key: N items, Z latent numbers.
"""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.api.runs import RunId
from twofold.studio.guard import Refusal
from twofold.studio.pictures import error_map, inline, item_name, keep_picture
from twofold.studio.place import Answer, Here, Question, Studio
from twofold.studio.shelf import Stock
from twofold.studio.showing import shrunk
from twofold.studio.tiles import Tiles, sheet_of

__all__ = ["routes"]

routes = APIRouter(prefix="/runs/{run}", tags=["map"])

LARGEST_MAP = 3000
N_COLUMNS = 50  # of a sheet of thumbnails
SHEET_PIXELS = 3_000_000
N_NAMED = 300
FARTHEST = 1e6  # from the middle of the map, that is asked for

StockName = Annotated[str, Field(max_length=64, description="the id of data")]
Size = Annotated[int, Field(ge=1, le=LARGEST_MAP, description="items on the map: all, or that many drawn")]
Row = Annotated[int, Field(ge=0, lt=2**31)]


class MapQuestion(Question):
    """What is to be put on the map."""

    data: StockName
    n: Size = 1000
    label: str | None = Field(default=None, max_length=200, description="column of labels (none: as in training)")


class SheetAnswer(Answer):
    """Thumbnails of the map's items on one picture, line by line."""

    url: str
    side: int
    n_columns: int


class MapAnswer(Answer):
    """Items on the map, in the order of their rows."""

    what: str = Field(description="pictures or rows")
    n_items: int = Field(description="of the data")
    n_latent: int
    rows: list[int]
    x: list[float]
    y: list[float]
    labels: list[str] | None
    label: str | None = Field(description="the column that the labels come from")
    columns: list[str] = Field(description="that may be the label; the first 300")
    sheet: SheetAnswer | None = Field(description="none where items cannot be shown as pictures")


class NeighboursQuestion(Question):
    """Whose neighbours."""

    data: StockName
    row: Row
    n: Size = 1000
    n_neighbours: int = Field(default=8, ge=1, le=64)


class NeighboursAnswer(Answer):
    """The nearest of the map's items, by all latent numbers; the item itself is left out."""

    rows: list[int]
    distances: list[float]


class RebuildQuestion(Question):
    """What to rebuild, and from how much."""

    data: StockName
    row: Row
    k: int | None = Field(default=None, ge=1, le=100_000, description="latent numbers that are used (none: all)")


class CellAnswer(Answer):
    """A cell of a table."""

    name: str
    original: str | None
    rebuilt: str | None
    off: float | None = Field(description="by how many standard deviations; for words 0 or 1")


class PicturesAnswer(Answer):
    """Addresses that hold pictures."""

    original: str
    rebuilt: str
    error: str


class RebuildAnswer(Answer):
    """An item, and what the first k latent numbers make of it."""

    name: str
    k: int
    n_latent: int
    error: float = Field(description="mean squared error in standard deviations, or nats")
    pictures: PicturesAnswer | None
    cells: list[CellAnswer] | None


class DecodeQuestion(Question):
    """Points of the map."""

    points: list[
        Annotated[
            list[Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)]],
            Field(min_length=2, max_length=2),
        ]
    ] = Field(min_length=1, max_length=64)


class DecodeAnswer(Answer):
    """What is found at each point: a picture's address, or cells, or both."""

    pictures: list[str] | None
    cells: list[dict[str, str | None]] | None


@routes.post("/map")
async def draw_map(here: Here, run: RunId, question: MapQuestion) -> MapAnswer:
    """Items as points of a plane, like beside like, with thumbnails where they are pictures."""
    return await here.workbench.work(_map, here, run, here.shelf.stock(question.data), question)


@routes.post("/neighbours")
async def find_neighbours(here: Here, run: RunId, question: NeighboursQuestion) -> NeighboursAnswer:
    """The items of the map that are nearest to an item, by all its latent numbers."""
    return await here.workbench.work(_neighbours, here, run, here.shelf.stock(question.data), question)


@routes.post("/rebuild")
async def rebuild_item(here: Here, run: RunId, question: RebuildQuestion) -> RebuildAnswer:
    """An item rebuilt from its first k latent numbers, and where that goes wrong."""
    return await here.workbench.work(_rebuild, here, run, here.shelf.stock(question.data), question)


@routes.post("/decode")
async def decode_points(here: Here, run: RunId, question: DecodeQuestion) -> DecodeAnswer:
    """What the decoder makes of points of the map, also where no item lies."""
    return await here.workbench.work(_decode, here, run, question)


# ---- work ----------------------------------------------------------------------------------------


def _map(here: Studio, run: str, stock: Stock, question: MapQuestion) -> MapAnswer:
    from twofold.turing.items import take

    autoencoder, items, what = _opened(here, run, stock)
    row_N = _drawn(len(items), question.n)
    some, label = take(items, row_N), _label(here, run, items, question.label)
    point_N2 = np.nan_to_num(autoencoder.map(some))
    return MapAnswer(
        what=what, n_items=len(items), n_latent=_n_latent(autoencoder), rows=row_N.tolist(),
        x=point_N2[:, 0].tolist(), y=point_N2[:, 1].tolist(),
        labels=_labels(some, label), label=label, columns=getattr(items, "column_names", [])[:N_NAMED],
        sheet=_sheet(here, autoencoder, some),
    )  # fmt: skip


def _neighbours(here: Studio, run: str, stock: Stock, question: NeighboursQuestion) -> NeighboursAnswer:
    from twofold.turing.items import take

    autoencoder, items, _ = _opened(here, run, stock)
    _check_row(items, question.row)
    row_N = _drawn(len(items), question.n)
    latent_NZ = autoencoder.transform(take(items, np.append(row_N, question.row)))
    distance_N = np.linalg.norm(latent_NZ[:-1] - latent_NZ[-1], axis=1)
    order = [place for place in distance_N.argsort(kind="stable") if row_N[place] != question.row]
    nearest = order[: question.n_neighbours]
    return NeighboursAnswer(rows=row_N[nearest].tolist(), distances=distance_N[nearest].astype(float).tolist())


def _rebuild(here: Studio, run: str, stock: Stock, question: RebuildQuestion) -> RebuildAnswer:
    from twofold.turing.items import take

    autoencoder, items, what = _opened(here, run, stock)
    _check_row(items, question.row)
    one, k = take(items, [question.row]), min(question.k or _n_latent(autoencoder), _n_latent(autoencoder))
    rebuilt = autoencoder.reconstruct(one, k=k)
    shown = _pictures(autoencoder, one), _pictures(autoencoder, rebuilt)
    return RebuildAnswer(
        name=item_name(items, question.row), k=k, n_latent=_n_latent(autoencoder),
        error=float(autoencoder.reconstruction_error(one, k=k)[0]),
        pictures=None if shown[0] is None or shown[1] is None else _beside(shown[0][0], shown[1][0]),
        cells=_compared(autoencoder, one, rebuilt) if what == "rows" else None,
    )  # fmt: skip


def _decode(here: Studio, run: str, question: DecodeQuestion) -> DecodeAnswer:
    autoencoder = here.model(run, "inverse_map")
    found = autoencoder.inverse_map(np.array(question.points, np.float64))
    shown = _pictures(autoencoder, found)
    cells = [_texts(row) for row in found.to_pylist()] if _columns(autoencoder) is not None else None
    return DecodeAnswer(pictures=None if shown is None else [inline(picture) for picture in shown], cells=cells)


# ---- parts ---------------------------------------------------------------------------------------


def _opened(here: Studio, run: str, stock: Stock) -> tuple[Any, Any, str]:
    """The model, the items, and what they are: what the model learned from."""
    from twofold.turing.items import kind_of

    autoencoder, items = here.model(run, "inverse_map"), here.items(stock)
    what, wanted = kind_of(items), "pictures" if _columns(autoencoder) is None else "rows"
    if what != wanted:
        raise DataError(f"{stock.title} holds {what}; this run learned from {wanted}. Choose data of that kind.")
    return autoencoder, items, what


def _columns(autoencoder: Any) -> Any:
    """What the columns of a table mean; None of a model of pictures."""
    return getattr(autoencoder.rows_, "columns", None)


def _n_latent(autoencoder: Any) -> int:
    return len(autoencoder.error_ratio_)


def _drawn(n_items: int, n: int) -> np.ndarray:
    """Rows of the map: the same ones for every question."""
    return np.sort(np.random.default_rng(0).permutation(n_items)[:n])


def _check_row(items: Any, row: int) -> None:
    if row >= len(items):
        raise Refusal(404, f"there is no item {row}; there are {len(items)}.")


def _label(here: Studio, run: str, items: Any, asked: str | None) -> str | None:
    """The column that colours the map: the one that was asked for, or that of the training where it is there."""
    names = getattr(items, "column_names", [])
    if asked and names and asked not in names:
        raise DataError(f"there is no column {asked[:80]!r}. Allowed: {', '.join(names[:20])}.")
    learned = (here.ledger.config(here.shelf.run(run)).get("data") or {}).get("label")
    return (asked or (learned if learned in names else None)) if names else None


def _labels(items: Any, column: str | None) -> list[str] | None:
    if hasattr(items, "column_names"):
        return None if column is None else [_text(value)[:80] for value in items[column].to_pylist()]
    return None if items.labels is None else [str(label)[:80] for label in items.labels]


def _pictures(autoencoder: Any, items: Any) -> Any:
    """Items as the model sees them, uint8 (N, H, W, C); None of a table whose columns are no pixels."""
    columns = _columns(autoencoder)
    if columns is None:
        return items if isinstance(items, np.ndarray) else autoencoder.rows_.arrays(autoencoder, items)[0]
    tiles = Tiles.of(columns)
    # by way of the model's own columns texts become numbers
    return None if tiles is None else tiles.pictures(columns.decode(*columns.encode(items)))


def _sheet(here: Studio, autoencoder: Any, items: Any) -> SheetAnswer | None:
    pictures = _pictures(autoencoder, items)
    if pictures is None or not len(pictures):
        return None
    side = int(min(max(pictures.shape[1:3]), (SHEET_PIXELS / len(pictures)) ** 0.5, 64))
    url = keep_picture(here, sheet_of(pictures, side, N_COLUMNS), "map")
    return SheetAnswer(url=url, side=side, n_columns=N_COLUMNS)


def _beside(original_HWC: np.ndarray, rebuilt_HWC: np.ndarray) -> PicturesAnswer:
    pictures = original_HWC, rebuilt_HWC, error_map(original_HWC, rebuilt_HWC)
    return PicturesAnswer(
        **dict(zip(PicturesAnswer.model_fields, (inline(shrunk(p, 256)) for p in pictures), strict=True))
    )


def _compared(autoencoder: Any, one: Any, rebuilt: Any) -> list[CellAnswer]:
    """Cell by cell, in the order of the table."""
    columns = _columns(autoencoder)
    (number_2P, category_2Q) = (
        np.concatenate(pair) for pair in zip(columns.encode(one), columns.encode(rebuilt), strict=True)
    )
    off = dict(zip(columns.numbers, np.abs(np.diff(number_2P, axis=0)[0].astype(float)), strict=True))
    off |= dict(zip(columns.categories, (np.diff(category_2Q, axis=0)[0] != 0).astype(float), strict=True))
    before, after = (_texts(table.select(columns.names).to_pylist()[0]) for table in (one, rebuilt))
    return [
        CellAnswer(
            name=name, original=before[name], rebuilt=after[name], off=off[name] if np.isfinite(off[name]) else None
        )
        for name in columns.names
    ]


def _texts(row: dict[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:200]
