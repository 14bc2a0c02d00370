"""twofold evaluate, embed, detect: a finished run at work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say
from twofold.core.estimator import Estimator, read_config
from twofold.data.fingerprints import fingerprint
from twofold.data.tables import write_table
from twofold.data.text import read_text
from twofold.errors import DataError, RunError
from twofold.measure.report import Measure
from twofold.runs import Source, label_text, load, text_fingerprint, write_card

__all__ = ["detect", "embed", "evaluate", "tell_of_training_text"]


@dataclass(kw_only=True)
class UseFlags:
    """Use a finished run on data."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """A path, or sample:NAME."""
    label: str | None = None
    """The column that holds the truth (None: as in training, where the data have it)."""
    normal: str | None = None
    """Its value for normal rows (None: as in training, else 0 where that is a value)."""


@dataclass(kw_only=True)
class WriteFlags(UseFlags):
    """Use a finished run on data and write the answer."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write: .csv, .tsv or .parquet."""


def evaluate(arguments: list[str]) -> dict[str, Any]:
    """The method's measures beside baselines; they are added to the run's README.md."""
    flags = parse(UseFlags, "evaluate", arguments)
    estimator = load(flags.run)
    if estimator.reads == "text":
        tell_of_training_text(flags.run, flags.data, estimator.encoding)  # type: ignore[attr-defined]
        measures = estimator.evaluate(flags.data)  # type: ignore[attr-defined]
        write_card(estimator, flags.run, read_config(flags.run).get("data") or {}, measures)
        return _told(measures)
    rows, is_anomaly = _read(flags)
    _tell_what_was_seen(estimator, rows, flags.run)
    measures = estimator.evaluate(rows, is_anomaly)  # type: ignore[attr-defined]
    write_card(estimator, flags.run, read_config(flags.run).get("data") or {}, measures)
    return _told(measures)


def embed(arguments: list[str]) -> dict[str, Any]:
    """The latent of each row: columns id, e0, e1, ..."""
    flags = parse(WriteFlags, "embed", arguments)
    estimator = _with_verb(load(flags.run), "transform", flags.run)
    rows, _ = _read(flags)
    latent_NZ = np.asarray(estimator.transform(rows))
    columns = {f"e{i}": latent_NZ[:, i] for i in range(latent_NZ.shape[1])}
    write_table(pa.table({"id": _ids(len(latent_NZ)), **columns}), flags.out)
    say(f"{len(latent_NZ)} rows x {latent_NZ.shape[1]} numbers in {flags.out}")
    return {"out": str(flags.out), "rows": len(latent_NZ), "latent_dim": latent_NZ.shape[1]}


def detect(arguments: list[str]) -> dict[str, Any]:
    """Scores for each row; measures too where the truth is there."""
    flags = parse(WriteFlags, "detect", arguments)
    detector = _with_verb(load(flags.run), "p_values", flags.run)
    rows, is_anomaly = _read(flags)
    found = detector.detect(rows)
    write_table(pa.table({"id": _ids(rows.num_rows), **found}), flags.out)
    n_alarms = int(np.sum(found["is_anomaly"]))
    say(
        f"{n_alarms} of {rows.num_rows} rows are anomalies at an alarm rate of {detector.alarm_rate:g}; "
        f"scores of all in {flags.out}"
    )
    _tell_what_was_seen(detector, rows, flags.run)
    measures = [] if is_anomaly is None else detector.evaluate(rows, is_anomaly)
    return {"out": str(flags.out), "rows": rows.num_rows, "alarms": n_alarms, **_told(measures)}


def _read(flags: UseFlags) -> tuple[pa.Table, np.ndarray | None]:
    """The features, and which rows are anomalies where a label tells; by default label and value are training's."""
    trained_on = read_config(flags.run).get("data") or {}
    label = flags.label
    if label is None and trained_on.get("label") is not None:
        label = _label_if_there(flags.data, trained_on["label"])
    source = Source(flags.data, label, flags.normal)
    rows, labels = source.read()
    if not rows.num_rows:
        raise DataError(f"{flags.data} has no rows below its header. Give data with at least one row.")
    if labels is None:
        return rows, None
    if flags.normal is None and trained_on.get("normal") is not None:
        # rows that are all anomalies are fine here: the value is known from training
        return rows, labels != label_text(trained_on["normal"])
    if flags.normal is None and flags.label is None and "0" not in labels:
        return rows, None
    return rows, ~source.are_normal(labels, "0" if flags.normal is None else flags.normal)


def _label_if_there(data: str, label: str) -> str | None:
    names = Source(data).read()[0].column_names
    return label if label in names else None


def _tell_what_was_seen(estimator: Any, rows: pa.Table, run: Path) -> None:
    """Figures on rows that training saw flatter; say so."""
    if hasattr(estimator, "n_seen"):
        n_seen, what = estimator.n_seen(rows), "each is judged without itself as a neighbour, but"
    else:
        trained_on = (read_config(run).get("data") or {}).get("fingerprint")
        n_seen, what = rows.num_rows if fingerprint(rows) == trained_on else 0, "so"
    if n_seen:
        say(
            f"{n_seen} of {rows.num_rows} rows were learnt from: {what} figures on them flatter. "
            "Give rows that training did not see for sound ones."
        )


def tell_of_training_text(run: Path, text: str | Path, encoding: str) -> None:
    """Say so when this is the very text that was learnt from, and known by heart."""
    if text_fingerprint(read_text(text, encoding)) == (read_config(run).get("data") or {}).get("fingerprint"):
        say("this is the text that was learnt from: its figures flatter. Give another one for sound figures.")


def _told(measures: list[Measure]) -> dict[str, Any]:
    for measure in measures:
        say(str(measure))
    return {"measures": {measure.name: measure.to_json() for measure in measures}}


def _with_verb(estimator: Estimator, verb: str, run: Path) -> Any:
    if not hasattr(estimator, verb):
        raise RunError(f"{run} holds a {estimator.method!r} run, which has no {verb}. Give a run of a method that has.")
    return estimator


def _ids(n_rows: int) -> pa.Array:
    return pa.array(np.arange(1, n_rows + 1))
