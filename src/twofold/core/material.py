"""What a run learns from: a path or sample, read as the method reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

from twofold.core.estimator import Estimator
from twofold.data import default_label, open_table
from twofold.data.audio import Sounds, holds_sounds, open_sounds
from twofold.data.columns import fingerprint
from twofold.data.pairs import Pairs, open_pairs
from twofold.data.pictures import Pictures, holds_pictures, open_pictures
from twofold.data.tables import nearest, split_label
from twofold.data.text import is_text, read_text
from twofold.errors import DataError

__all__ = ["Material", "Source", "label_text", "text_fingerprint"]

LEAST_LINES = 2


@dataclass(frozen=True)
class Source:
    """Where rows or pictures come from, what their labels are, which label means normal, and which split is meant."""

    data: str
    label: str | None = None
    normal: str | None = None
    split: str | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Source":
        """That of a run: the entry `data` of its config.json."""
        return cls(*(data.get(name) for name in ("data", "label", "normal", "split")))  # type: ignore[arg-type]

    def read(self) -> tuple[pa.Table, np.ndarray | None]:
        """The features, and the labels as texts (None where no label column was named)."""
        table = open_table(self.data)
        label = self.label or default_label(self.data)
        if label is None:
            if self.normal is not None:
                raise DataError(f"--normal {self.normal} needs --label: the column in which that value stands.")
            return table, None
        features, labels = split_label(table, label)
        return features, np.array([label_text(value) for value in labels], dtype=object)

    def training_rows(self) -> pa.Table:
        """The rows to learn from: all, or only the normal ones when it was said which those are."""
        return self.labelled_rows()[0]

    def labelled_rows(self) -> tuple[pa.Table, np.ndarray | None]:
        """The same, and their labels as texts."""
        features, labels = self.read()
        if self.normal is None or labels is None:
            return features, labels
        is_normal_N = self.are_normal(labels, self.normal)
        return features.filter(pa.array(is_normal_N)), labels[is_normal_N]

    def pictures(self) -> Pictures:
        """The pictures of the split that was named; else those to measure on: test, else val, else all."""
        if self.split is not None:
            return open_pictures(self.data, split=self.split, label=self.label)
        for split in ("test", "val"):
            try:
                return open_pictures(self.data, split=split, label=self.label)
            except DataError:
                continue
        return open_pictures(self.data, split="all", label=self.label)

    def training_pictures(self) -> Pictures:
        """The pictures to learn from: the train split where there is one, and only normal ones when that was said."""
        pictures = open_pictures(self.data, split=self.split, label=self.label)
        if self.normal is None:
            return pictures
        if pictures.labels is None:
            raise DataError(
                f"--normal {self.normal} needs labels; {self.data} has none. Sort the pictures into a folder a label."
            )
        return pictures.take(self.are_normal(pictures.labels, self.normal))

    def pairs(self, estimator: Estimator, split: str | None) -> Pairs:
        """Pictures with captions of a split, from the columns that the estimator names."""
        named = {name: getattr(estimator, name, None) for name in ("image", "text")}
        return open_pairs(self.data, split=split, **named)

    def pairs_to_judge(self, estimator: Estimator) -> Pairs:
        """Those of the split that was named; else those to measure on: test, else val, else all."""
        if self.split is not None:
            return self.pairs(estimator, self.split)
        for split in ("test", "val"):
            try:
                return self.pairs(estimator, split)
            except DataError:
                continue
        return self.pairs(estimator, "all")

    def training_sounds(self) -> Sounds:
        """The sounds to learn from; `label` names a column of what is known of each, or the labels that were found."""
        sounds = open_sounds(self.data, split=self.split)
        columns = [] if sounds.table is None else sounds.table.column_names
        if self.label in columns and sounds.table is not None:
            sounds.labels = np.array([label_text(value) for value in sounds.table[self.label].to_pylist()], object)
        if sounds.labels is None and (self.label or self.normal):
            hint = nearest(self.label or "", columns)
            raise DataError(
                f"{self.data} has no labels{hint and f' called {self.label!r}'}.{hint} Sort the sounds into a folder a "
                "label, or name them LABEL_SPEAKER_NUMBER.wav."
            )
        if self.normal is None or sounds.labels is None:
            return sounds
        return sounds.take(self.are_normal(sounds.labels, self.normal))

    def are_normal(self, labels: np.ndarray, normal: str) -> np.ndarray:
        """Which of the labels mean normal (N booleans).

        Raises
        ------
        DataError
            When none does: the message lists the labels there are.
        """
        is_normal_N = labels == label_text(normal)
        if not is_normal_N.any():
            values = sorted(set(labels))
            shown = ", ".join(values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")
            raise DataError(
                f"{self.data}: no row has {self.label or default_label(self.data) or 'the label'} = {normal}. "
                f"Values there: {shown}. "
                "Give one of them as --normal."
            )
        return is_normal_N


@dataclass(frozen=True)
class Material:
    """What an estimator is given to learn from."""

    X: Any
    fingerprint: str
    unit: str
    size: int
    y: np.ndarray | None = None
    """Labels as texts, for an estimator that learns from them."""
    only_label: str | None = None
    """Of pictures that all have the same one, such as `good`: it means normal."""

    @classmethod
    def of(cls, estimator: Estimator, source: Source) -> "Material":
        """The source as the estimator reads it: a table, pictures, sounds, short texts or one long text."""
        if estimator.reads == ("text",):
            return cls._of_text(estimator, source)
        if estimator.reads == ("pairs",):
            return cls._of_pairs(estimator, source)
        kind = _kind(source.data, estimator.reads)
        if kind not in estimator.reads:
            reads = ", ".join(estimator.reads)
            raise DataError(
                f"{source.data} holds {kind}; {estimator.method!r} learns from: {reads}. "
                + ("Give a CSV or Parquet file." if "table" in estimator.reads else "Give one of these.")
            )
        readers = {
            "table": cls._of_rows,
            "pictures": cls._of_pictures,
            "sounds": cls._of_sounds,
            "texts": cls._of_lines,
        }
        return readers[kind](source)

    @classmethod
    def _of_rows(cls, source: Source) -> "Material":
        rows, labels = source.labelled_rows()
        return cls(rows, fingerprint(rows), "n_rows", rows.num_rows, labels)

    @classmethod
    def _of_pictures(cls, source: Source) -> "Material":
        pictures = source.training_pictures()
        labels = [] if pictures.labels is None else sorted(set(pictures.labels))
        only_label = labels[0] if len(labels) == 1 else None
        return cls(pictures, pictures.fingerprint, "n_pictures", len(pictures), pictures.labels, only_label)

    @classmethod
    def _of_sounds(cls, source: Source) -> "Material":
        sounds = source.training_sounds()
        return cls(sounds, sounds.fingerprint, "n_sounds", len(sounds), sounds.labels)

    @classmethod
    def _of_lines(cls, source: Source) -> "Material":
        _refuse_labels(source, "tables, pictures and sounds", "short texts have none")
        text = read_text(source.data)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if len(lines) < LEAST_LINES:
            raise DataError(f"{source.data} holds {len(lines)} lines of text. Give short texts, one a line.")
        return cls(lines, text_fingerprint("\n".join(lines)), "n_lines", len(lines))

    @classmethod
    def _of_pairs(cls, estimator: Estimator, source: Source) -> "Material":
        _refuse_labels(source, "tables, pictures and sounds", "captions are named with --text")
        pairs = source.pairs(estimator, source.split)
        return cls(pairs, pairs.fingerprint, "n_pairs", pairs.n_captions)

    @classmethod
    def _of_text(cls, estimator: Estimator, source: Source) -> "Material":
        _refuse_labels(source, "tables and pictures", f"{estimator.method!r} learns from a text")
        text = read_text(source.data, getattr(estimator, "encoding", "utf-8"))
        return cls([text], text_fingerprint(text), "n_characters", len(text))


def _kind(data: str, reads: tuple[str, ...]) -> str:
    """What the data are, among pictures, sounds, texts and a table."""
    if holds_pictures(data):
        return "pictures"
    if holds_sounds(data):
        return "sounds"
    if "texts" in reads and is_text(data):
        return "texts"
    # what cannot be told is refused by the reader of what is expected
    return "table" if "table" in reads else "pictures"


def _refuse_labels(source: Source, whose: str, why: str) -> None:
    if source.label is not None or source.normal is not None:
        raise DataError(f"--label and --normal are for {whose}; {why}. Leave them out.")


def text_fingerprint(text: str) -> str:
    """SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def label_text(value: Any) -> str:
    """A label as text; 0, 0.0 and "0" are the same label."""
    if value is None:
        return ""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value).strip()
    return str(int(number)) if number.is_integer() else str(number)
