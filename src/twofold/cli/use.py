"""twofold evaluate, embed, detect: a finished run at work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import tyro

from twofold.cli.flags import parse
from twofold.cli.mistakes import tell_mistakes
from twofold.cli.output import say
from twofold.core.estimator import Estimator, read_config
from twofold.data.fingerprints import fingerprint
from twofold.data.names import shown
from twofold.data.pictures import Pictures, holds_pictures, write_picture
from twofold.data.sheets import overlays, targets
from twofold.data.tables import write_table
from twofold.data.text import read_text
from twofold.errors import DataError
from twofold.measure.report import Measure
from twofold.runs import Source, label_text, load, text_fingerprint, with_verb, write_card

__all__ = [
    "UseFlags", "WriteFlags", "detect", "embed", "evaluate", "ids_of", "read_pictures", "tell_of_training_text",
]  # fmt: skip


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
    split: str | None = None
    """Which split of a folder of pictures: train, val, test, all (None: test where there is one)."""


@dataclass(kw_only=True)
class WriteFlags(UseFlags):
    """Use a finished run on data and write the answer."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write: .csv, .tsv or .parquet."""


def evaluate(arguments: list[str]) -> dict[str, Any]:
    """The method's measures beside baselines; they are added to the run's README.md."""
    flags = parse(UseFlags, "evaluate", arguments)
    estimator = load(flags.run)
    if estimator.reads == ("text",):
        tell_of_training_text(flags.run, flags.data, estimator.encoding)  # type: ignore[attr-defined]
        measures = estimator.evaluate(flags.data)  # type: ignore[attr-defined]
        write_card(estimator, flags.run, read_config(flags.run).get("data") or {}, measures)
        return _told(measures)
    if estimator.reads == ("pairs",):
        return _evaluate_pairs(flags, estimator)
    if hasattr(estimator, "sample"):
        return _evaluate_generator(flags, estimator)
    if hasattr(estimator, "classes_"):
        return _evaluate_classes(flags, estimator)
    rows, is_anomaly = _read(flags, estimator)
    _tell_what_was_seen(estimator, rows, flags.run)
    measures = estimator.evaluate(rows, is_anomaly)  # type: ignore[attr-defined]
    write_card(estimator, flags.run, read_config(flags.run).get("data") or {}, measures)
    return _told(measures)


def _evaluate_classes(flags: UseFlags, classifier: Any) -> dict[str, Any]:
    """Accuracy by the labels that came with the pictures, which classes are mixed up, and the worst mistakes."""
    pictures, _ = read_pictures(flags)
    _tell_what_was_seen(classifier, pictures, flags.run)
    measures = classifier.evaluate(pictures)
    write_card(classifier, flags.run, read_config(flags.run).get("data") or {}, measures)
    told = _told(measures)
    return told | tell_mistakes(
        pictures, classifier.predict_proba(pictures), classifier.classes_, flags.run / "outputs"
    )


def _evaluate_pairs(flags: UseFlags, estimator: Any) -> dict[str, Any]:
    """How well words and pictures find each other, by captions that training did not see."""
    pairs = Source(flags.data, None, None, flags.split).pairs_to_judge(estimator)
    for note in pairs.notes:
        say(f"note: {note}")
    trained_on = read_config(flags.run).get("data") or {}
    if pairs.fingerprint == trained_on.get("fingerprint"):
        say("these are the pairs that were learned from: figures on them flatter. Give others for sound ones.")
    measures = estimator.evaluate(pairs)
    write_card(estimator, flags.run, trained_on, measures)
    return _told(measures)


def _evaluate_generator(flags: UseFlags, generator: Any) -> dict[str, Any]:
    """How good its fakes are; of the data that it learned from, what was held out sets the floor."""
    from twofold.runs.fakes import reference

    material = reference(generator, flags.run, flags.data, flags.label, flags.split)
    trained_on = read_config(flags.run).get("data") or {}
    if material.fingerprint != trained_on.get("fingerprint"):
        say("note: not the data that were learned from: copies cannot be seen by these. Give those to look for copies.")
    measures = generator.evaluate(material.X, material.y)
    write_card(generator, flags.run, trained_on, measures)
    return _told(measures)


def embed(arguments: list[str]) -> dict[str, Any]:
    """The latent of each row: columns id, e0, e1, ...; of an autoencoder also its place on a plane, map_x, map_y."""
    flags = parse(WriteFlags, "embed", arguments)
    estimator = with_verb(load(flags.run), "transform", flags.run)
    rows, _ = _read(flags, estimator)
    latent_NZ = np.asarray(estimator.transform(rows))
    columns = {f"e{i}": latent_NZ[:, i] for i in range(latent_NZ.shape[1])}
    if hasattr(estimator, "map"):
        columns |= dict(zip(("map_x", "map_y"), np.asarray(estimator.map(rows)).T, strict=True))
    write_table(pa.table({"id": ids_of(rows), **columns}), flags.out)
    say(f"{len(latent_NZ)} rows x {latent_NZ.shape[1]} numbers in {flags.out}")
    return {"out": str(flags.out), "rows": len(latent_NZ), "latent_dim": latent_NZ.shape[1]}


def detect(arguments: list[str]) -> dict[str, Any]:
    """Scores for each row; measures too where the truth is there."""
    flags = parse(WriteFlags, "detect", arguments)
    detector = with_verb(load(flags.run), "p_values", flags.run)
    rows, is_anomaly = _read(flags, detector)
    found = detector.detect(rows)
    write_table(pa.table({"id": ids_of(rows), **found}), flags.out)
    heat = _write_heat(detector, rows, found["is_anomaly"], flags.out) if isinstance(rows, Pictures) else None
    n_alarms, n_rows = int(np.sum(found["is_anomaly"])), len(rows)
    what = "pictures" if isinstance(rows, Pictures) else "rows"
    say(
        f"{n_alarms} of {n_rows} {what} are anomalies at an alarm rate of {detector.alarm_rate:g}; "
        f"scores of all in {flags.out}" + (f", heat maps of the anomalies in {heat}" if heat else "")
    )
    _tell_what_was_seen(detector, rows, flags.run)
    measures = [] if is_anomaly is None else detector.evaluate(rows, is_anomaly)
    return {"out": str(flags.out), "rows": n_rows, "alarms": n_alarms, **_told(measures)}


def _write_heat(detector: Any, pictures: Pictures, is_anomaly_N: np.ndarray, out: Path) -> str:
    """Beside the table a folder of the anomalies, each with where it is strange laid over it; the folder's name."""
    folder = out.with_name(f"{out.stem}-heat")
    strange = pictures.take(np.flatnonzero(is_anomaly_N))
    if not len(strange):
        return ""
    drawn = overlays(strange, detector.heat_maps(strange))
    for path, picture_HW3 in zip(targets(strange.ids, folder, False), drawn, strict=True):
        write_picture(path, picture_HW3)
    return str(folder)


def _read(flags: UseFlags, estimator: Estimator) -> tuple[Any, np.ndarray | None]:
    """The features, and which rows are anomalies where a label tells; by default label and value are training's."""
    if estimator.reads == ("pairs",) or ("pictures" in estimator.reads and holds_pictures(flags.data)):
        return read_pictures(flags)
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


def read_pictures(flags: UseFlags) -> tuple[Pictures, np.ndarray | None]:
    """The pictures, and which are anomalies where it is known what the normal ones are called."""
    trained_on = read_config(flags.run).get("data") or {}
    source = Source(flags.data, flags.label or trained_on.get("label"), flags.normal, flags.split)
    pictures = source.pictures()
    for note in pictures.notes:
        say(f"note: {note}")
    for bad in pictures.bad:
        say(f"left out: {shown(bad.name)}: {bad.reason}")
    normal = flags.normal or trained_on.get("normal")
    if normal is None or pictures.labels is None:
        return pictures, None
    return pictures, pictures.labels != label_text(normal)


def _label_if_there(data: str, label: str) -> str | None:
    names = Source(data).read()[0].column_names
    return label if label in names else None


def _tell_what_was_seen(estimator: Any, rows: pa.Table, run: Path) -> None:
    """Figures on rows that training saw flatter; say so."""
    if hasattr(estimator, "n_seen"):
        n_seen, what = estimator.n_seen(rows), "each is judged without itself as a neighbour, but"
    else:
        trained_on = (read_config(run).get("data") or {}).get("fingerprint")
        own = rows.fingerprint if isinstance(rows, Pictures) else fingerprint(rows)
        n_seen, what = len(rows) if own == trained_on else 0, "so"
    if n_seen:
        say(
            f"{n_seen} of {len(rows)} rows were learnt from: {what} figures on them flatter. "
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


def ids_of(rows: Any) -> pa.Array:
    """The pictures' ids, or the rows' numbers from 1."""
    return pa.array(list(map(shown, rows.ids)) if isinstance(rows, Pictures) else np.arange(1, len(rows) + 1))
