"""A detector at work: scores, p-values, and what gave each away.

Dimension key: N items, T of them told of, B bins of a histogram.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import Field

from twofold.errors import DataError
from twofold.studio.api.runs import RunId
from twofold.studio.place import Answer, Here, Question, Studio
from twofold.studio.shelf import Stock

__all__ = ["routes"]

routes = APIRouter(prefix="/runs", tags=["odd"])

MOST_PICTURES = 256  # a picture takes some hundredths of a second, a row none
N_HEATS = 24
N_BINS = 48
FEW_LABELS = 6

Cell = bool | int | float | Annotated[str, Field(max_length=2000)] | None
Cells = Annotated[dict[Annotated[str, Field(max_length=200)], Cell], Field(max_length=2000)]


class DetectQuestion(Question):
    """Which data are to be looked through."""

    data: str = Field(max_length=64)
    label: str | None = Field(default=None, max_length=200, description="the column that tells what each row is "
                              "(none: as in training); it is shown, and never judged by")  # fmt: skip
    start: int = Field(default=0, ge=0, lt=2**31)
    n: int = Field(default=20_000, ge=1, le=20_000, description=f"of pictures at most {MOST_PICTURES}")
    n_told: int = Field(default=60, ge=1, le=500, description="how many of the strangest are told of one by one")


class ScoresQuestion(Question):
    """Rows, cell by cell."""

    rows: list[Cells] = Field(min_length=1, max_length=100)
    why: bool = Field(default=False, description="whether to tell the columns that gave each row away")


class Reason(Answer):
    """A column that gave a row away, or the strangest spot of a picture."""

    column: str
    seen: float | str | None
    expected: float | str | None
    share: float = Field(description="of the strangeness that goes when the cell is as expected")
    text: str


class Score(Answer):
    """How strange one item is."""

    anomaly_score: float = Field(description="higher is stranger")
    p_value: float = Field(description="how large a share of what is normal is at least as strange")
    is_anomaly: bool
    why: list[Reason]


class OddItem(Score):
    """An item, its place in the data, and where it is strange."""

    row: int
    name: str
    label: str | None
    heat: str | None = Field(description="of a picture: where to get it with red laid over what is strange")


class Histogram(Answer):
    """How often which score came: edges (B + 1), and counts (B) by label, or of all."""

    edges: list[float]
    counts: dict[str, list[int]]


class DetectAnswer(Answer):
    """All scores at a glance, the strangest one by one."""

    what: str = Field(description="rows or pictures")
    n: int
    n_items: int = Field(description="in all of the data")
    n_anomalies: int
    n_seen: int = Field(description="learned from: figures on them flatter")
    alarm_line: float = Field(description="the score above which an item is an anomaly")
    alarm_rate: float
    columns: list[str] = Field(description="of the rows: those that are judged by")
    histogram: Histogram
    by_label: list[dict[str, int | str]] = Field(description="label, n, and how many of them are anomalies")
    items: list[OddItem] = Field(description="the strangest first")
    file: str = Field(description="scores of all, as CSV")


class ScoresAnswer(Answer):
    """Scores in the order of the rows."""

    alarm_line: float
    items: list[Score]


@routes.post("/{run}/detect")
async def detect(here: Here, run: RunId, question: DetectQuestion) -> DetectAnswer:
    """Score data, the strangest first, each with what gave it away."""
    return await here.workbench.work(_detect, here, run, question)


@routes.post("/{run}/scores")
async def score_rows(here: Here, run: RunId, question: ScoresQuestion) -> ScoresAnswer:
    """Score rows that are given cell by cell; at most 100."""
    return await here.workbench.work(_scores, here, run, question)


def _scores(here: Studio, run: str, question: ScoresQuestion) -> ScoresAnswer:
    detector = here.model(run, "p_values")
    if detector.judge_.kind != "rows":
        raise DataError("this run judges pictures, not rows. Send data to /detect.")
    items = _items(detector, _table(question.rows), None, len(question.rows) if question.why else 0)
    return ScoresAnswer(alarm_line=-float(detector.offset_), items=items)


def _table(rows: list[dict[str, Any]]) -> Any:
    """Cells as a table of texts: what they mean is for the columns of training to say."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names})


def _text(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _items(detector: Any, X: Any, own_N: Any, n_why: int) -> list[Score]:
    """Scores of all, with reasons for the first `n_why`."""
    import torch

    judge, items = detector.judge_, detector.judge_.read(detector, X)
    score_N = judge.scores(items, own_N)
    p_N = judge.calibration.p_values(score_N).tolist()
    why: list[Any] = judge.reasons(items, own_N, torch.arange(n_why)) if n_why else []
    why += [[] for _ in range(len(score_N) - n_why)]
    line = -float(detector.offset_)
    return [Score(anomaly_score=score, p_value=p, is_anomaly=score > line, why=[_reason(one) for one in some])
            for score, p, some in zip(score_N.tolist(), p_N, why, strict=True)]  # fmt: skip


def _reason(reason: Any) -> Reason:
    if not hasattr(reason, "column"):
        return Reason(column=reason.where, seen=None, expected=None, share=1.0, text=f"{reason.where}: {reason.why}")
    seen, expected = _cell(reason.seen), _cell(reason.expected)
    return Reason(column=reason.column, seen=seen, expected=expected, share=_finite(reason.share), text=str(reason))


def _cell(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    return _finite(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _finite(value: float) -> float:
    return float(np.nan_to_num(value, nan=0.0, posinf=1e300, neginf=-1e300))


# ---- whole data ----------------------------------------------------------------------------------


def _detect(here: Studio, run: str, question: DetectQuestion) -> DetectAnswer:
    detector, stock = here.model(run, "p_values"), here.shelf.stock(question.data)
    X, labels_N, n_items = _opened(here, run, stock, question, detector.judge_.kind)
    judge = detector.judge_
    items = judge.read(detector, X)
    own_N = judge.own(items)
    score = judge.scores(items, own_N)
    score_N, line = score.numpy(), -float(detector.offset_)
    order_T = np.argsort(-score_N, kind="stable")[: question.n_told]
    told = _told(here, detector, X, own_N, order_T)
    for item, row in zip(told, order_T.tolist(), strict=True):
        item.row, item.label = row + question.start, None if labels_N is None else labels_N[row]
    columns = {"anomaly_score": score_N, "p_value": judge.calibration.p_values(score).numpy(),
               "is_anomaly": score_N > line}  # fmt: skip
    return DetectAnswer(
        what=judge.kind, n=len(score_N), n_items=n_items, n_anomalies=int((score_N > line).sum()),
        n_seen=judge.n_seen(items), alarm_line=line, alarm_rate=detector.alarm_rate,
        columns=list(getattr(X, "column_names", [])),
        histogram=_histogram(score_N, line, labels_N), by_label=_by_label(score_N > line, labels_N), items=told,
        file=here.shelf.url(_written(here, X, columns, question.start)),
    )  # fmt: skip


def _opened(
    here: Studio, run: str, stock: Stock, question: DetectQuestion, kind: str
) -> tuple[Any, list[str] | None, int]:
    """What is to be judged, the label of each where there is one, and how many there are in all."""
    from twofold.runs import label_text
    from twofold.turing.items import kind_of, take

    items = here.items(stock)
    if kind_of(items) != kind:
        raise DataError(f"{stock.title} holds {kind_of(items)}; this run judges {kind}. Give data of that kind.")
    most = question.n if kind == "rows" else min(question.n, MOST_PICTURES)
    rows = np.arange(question.start, min(len(items), question.start + most))
    if not len(rows):
        raise DataError(f"there is no item {question.start} in {stock.title}; it has {len(items)}.")
    X: Any = take(items, rows)
    if kind == "pictures":
        return X, None if X.labels is None else list(map(str, X.labels)), len(items)
    trained_on = here.ledger.config(here.shelf.run(run)).get("data") or {}
    label = question.label or trained_on.get("label")
    if label not in X.column_names:
        if question.label:
            raise DataError(f"{stock.title} has no column {question.label[:60]!r}. Columns: {X.column_names[:30]}.")
        return X, None, len(items)
    return X.drop_columns([label]), list(map(label_text, X[label].to_pylist())), len(items)


def _told(here: Studio, detector: Any, X: Any, own_N: Any, order_T: np.ndarray) -> list[OddItem]:
    """The chosen ones, each with its reasons; the strangest pictures with heat laid over them."""
    from twofold.data.names import shown
    from twofold.turing.items import take

    some: Any = take(X, order_T)
    scores = _items(detector, some, None if own_N is None else own_N[order_T.copy()], len(order_T))
    heats = _heats(here, detector, take(some, np.arange(min(N_HEATS, len(order_T))))) if hasattr(X, "ids") else []
    names = [shown(str(name)) for name in some.ids] if hasattr(X, "ids") else [""] * len(scores)
    heats += [None] * (len(scores) - len(heats))
    return [OddItem(**score.model_dump(), row=0, name=name, label=None, heat=heat)
            for score, name, heat in zip(scores, names, heats, strict=True)]  # fmt: skip


def _heats(here: Studio, detector: Any, pictures: Any) -> list[str | None]:
    from twofold.data.sheets import overlays
    from twofold.studio.showing import enlarged, png, shrunk

    found: list[str | None] = []
    for picture_HW3 in overlays(pictures, detector.heat_maps(pictures)):
        path = here.shelf.new_result(".png", "heat")
        path.write_bytes(png(enlarged(shrunk(picture_HW3, 512), 96)))
        found.append(here.shelf.url(path))
    return found


def _histogram(score_N: np.ndarray, line: float, labels: list[str] | None) -> Histogram:
    """Scores far beyond the line are counted in the last bin, or one of them would flatten all others."""
    low = float(score_N.min())
    high = float(min(score_N.max(), max(line + 2 * (line - low), np.quantile(score_N, 0.98))))
    edges_B = np.linspace(low, max(high, low + 1e-6 * max(1.0, abs(low))), N_BINS + 1)
    clipped_N = score_N.clip(edges_B[0], edges_B[-1])
    names = sorted(set(labels or []))
    label_N = np.array(labels, object) if 2 <= len(names) <= FEW_LABELS else None
    parts = {"all": clipped_N} if label_N is None else {name: clipped_N[label_N == name] for name in names}
    counts = {name: np.histogram(part, edges_B)[0].tolist() for name, part in parts.items()}
    return Histogram(edges=edges_B.tolist(), counts=counts)


def _by_label(is_anomaly_N: np.ndarray, labels: list[str] | None) -> list[dict[str, int | str]]:
    if labels is None:
        return []
    label_N = np.array(labels, object)
    rows = ((name, label_N == name) for name in sorted(set(labels))[:50])
    return [{"label": name, "n": int(own_N.sum()), "anomalies": int(is_anomaly_N[own_N].sum())} for name, own_N in rows]


def _written(here: Studio, X: Any, columns: dict[str, np.ndarray], start: int) -> Path:
    """All scores as a table."""
    import pyarrow as pa

    from twofold.data.names import shown
    from twofold.data.tables import write_table

    ids = list(map(shown, X.ids)) if hasattr(X, "ids") else np.arange(start + 1, start + X.num_rows + 1)
    path = here.shelf.new_result(".csv", "scores")
    write_table(pa.table({"id": ids, **columns}), path)
    return path
