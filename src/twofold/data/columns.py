"""What the columns of a table mean, and the arrays that networks learn from.

`Columns.learn` looks at a training table once; `encode` turns this or a later table into two row-aligned arrays,
matched by name; `decode` turns arrays back into a table. A run keeps its Columns in config.json.

Dimension key: N rows, P number columns (dates among them), Q category columns.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from twofold.data.cells import Place
from twofold.data.fingerprints import fingerprint, row_hashes
from twofold.data.kinds import KINDS, OTHER, Column, is_sound, learn_column, to_plain, values_of, words_of
from twofold.data.restore import date_column, number_column, range_text, word_column
from twofold.data.tables import nearest, read_table, table_name
from twofold.errors import DataError, SettingError

__all__ = ["Columns", "encode_numbers", "fingerprint", "row_hashes"]

CLIP = 1e9  # standard deviations: even fourth powers stay below float32's 3.4e38
BLOCK_ROWS = 65_536
IN_MEMORY = 1 << 30  # bytes of one array; a larger one is mapped from disk


@dataclass(frozen=True)
class Columns:
    """The columns of a training table and their meanings.

    Example
    -------
    >>> columns = Columns.learn({"age": ["31", "", "40"], "city": ["Rome", "Oslo", "Rome"]})
    >>> number_NP, category_NQ = columns.encode({"city": ["Oslo"], "age": [35.5]})
    >>> number_NP.tolist(), category_NQ.tolist()
    ([[0.0]], [[2]])
    """

    columns: tuple[Column, ...]
    missing: tuple[str, ...] = ()
    """Words for 'no value' besides the usual ones."""
    n_rows: int = 0
    """Of the training table."""

    # ---- learning and keeping -------------------------------------------------------------------

    @classmethod
    def learn(cls, source: Any, kinds: Mapping[str, str] | None = None, missing: Sequence[str] = ()) -> "Columns":
        """Find out what each column means.

        Parameters
        ----------
        source : a table, or anything that read_table takes; N rows.
        kinds : column name -> 'number', 'category', 'date' or 'ignore', where the guess would be wrong.
        missing : words for 'no value' besides the usual ones, such as 'unknown' or '-999'.
        """
        table, kinds = _as_table(source), dict(kinds or {})
        name = table_name(table)
        _check_kinds(kinds, table)
        if not table.num_rows:
            raise DataError(f"{name} has no rows below its header. Give a table with rows to learn from.")
        places = [Place(name, column) for column in table.column_names]
        pairs = zip(table.columns, places, strict=True)
        learnt, faults = [], []
        for column, place in pairs:
            try:
                learnt.append(learn_column(column, kinds.get(place.column), missing, place))
            except DataError as error:
                faults.append(str(error))
        if faults:
            more = [f"{len(faults) - 20} more columns are wrong."] if len(faults) > 20 else []
            raise DataError("\n".join(faults[:20] + more))
        columns = cls(tuple(learnt), tuple(missing), table.num_rows)
        if not columns.names:
            why = "; ".join(f"{c.name!r}: {c.note}" for c in learnt[:10])
            raise DataError(f"{name} has no column to learn from ({why}). Give at least one of numbers or categories.")
        return columns

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers, for config.json."""
        return {
            "n_rows": self.n_rows,
            "missing": list(self.missing),
            "columns": [to_plain(column) for column in self.columns],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Columns":
        """The Columns that to_json described."""
        try:
            plain = [{**column, "levels": tuple(column.get("levels", ()))} for column in record["columns"]]
            columns = tuple(Column(**column) for column in plain)
            missing, n_rows = tuple(record["missing"]), int(record["n_rows"])
            if not (all(map(is_sound, columns)) and all(isinstance(word, str) for word in missing)):
                raise ValueError("a value of another type or range")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"the description of the columns is spoilt ({error!r}). Train again.") from error
        return cls(columns, missing, n_rows)

    # ---- what there is --------------------------------------------------------------------------

    @cached_property
    def number_columns(self) -> tuple[Column, ...]:
        """P columns, dates among them, in the order of the training table."""
        return tuple(column for column in self.columns if column.kind in ("number", "date"))

    @cached_property
    def category_columns(self) -> tuple[Column, ...]:
        """Q columns, in the order of the training table."""
        return tuple(column for column in self.columns if column.kind == "category")

    @property
    def numbers(self) -> list[str]:
        """Names of the P columns of number_NP."""
        return [column.name for column in self.number_columns]

    @property
    def categories(self) -> list[str]:
        """Names of the Q columns of category_NQ."""
        return [column.name for column in self.category_columns]

    @property
    def cardinalities(self) -> list[int]:
        """Codes of each category: its levels and 0, which is none of them."""
        return [len(column.levels) + 1 for column in self.category_columns]

    @property
    def names(self) -> list[str]:
        """All that are used, in the order of the training table."""
        return [column.name for column in self.columns if column.kind != "ignore"]

    @property
    def ignored(self) -> dict[str, str]:
        """Name -> why, for the columns that are not used."""
        return {column.name: column.note for column in self.columns if column.kind == "ignore"}

    def extra(self, source: Any) -> list[str]:
        """Columns of this table that training did not have; encode passes over them."""
        known = {column.name for column in self.columns}
        return [name for name in _as_table(source).column_names if name not in known]

    def describe(self) -> list[dict[str, Any]]:
        """One row a column: name, kind, n_missing, n_distinct, values (range or commonest), note."""
        return [
            {
                "name": column.name,
                "kind": column.kind,
                "n_missing": column.n_missing,
                "n_distinct": column.n_distinct,
                "values": range_text(column),
                "note": column.note,
            }
            for column in self.columns
        ]

    # ---- arrays ---------------------------------------------------------------------------------

    def encode(
        self, source: Any, *, in_memory: int = IN_MEMORY, folder: str | Path | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The table as arrays for networks; columns are found by name, whatever their order.

        Parameters
        ----------
        source : a table, or anything that read_table takes; N rows.
        in_memory : bytes up to which an array is kept in memory; a larger one is mapped from disk.
        folder : where mapped arrays are put and left; by default a temporary place that frees itself.

        Returns
        -------
        number_NP : float32, in standard deviations from the training mean, within +-1e9; NaN = missing.
        category_NQ : int64; 0 = missing or never seen, 1.. = the training levels, the commonest first.
        """
        table = _as_table(source)
        self._refuse_lost(table)
        number_NP = _empty((table.num_rows, len(self.numbers)), np.float32, in_memory, folder)
        category_NQ = _empty((table.num_rows, len(self.categories)), np.int64, in_memory, folder)
        table_columns = dict(zip(table.column_names, table.columns, strict=True))
        used = {name: table_columns[name] for name in self.names}
        for start in range(0, table.num_rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, table.num_rows)
            blocks = {name: _block(column, start, stop) for name, column in used.items()}
            self._encode_block(blocks, number_NP[start:stop], category_NQ[start:stop], (table_name(table), start))
        return number_NP, category_NQ

    def _encode_block(
        self, blocks: dict[str, pa.Array], number_NP: np.ndarray, category_NQ: np.ndarray, at: tuple[str, int]
    ) -> None:
        table, start = at
        for p, column in enumerate(self.number_columns):
            x_N = values_of(blocks[column.name], column, self.missing, Place(table, column.name, start))
            number_NP[:, p] = encode_numbers(x_N, column)
        for q, column in enumerate(self.category_columns):
            category_NQ[:, q] = self._codes(blocks[column.name], column, Place(table, column.name, start))

    def _codes(self, array: pa.Array, column: Column, place: Place) -> np.ndarray:
        texts = words_of(array, self.missing, place)
        code_of = {level: code for code, level in enumerate(column.levels, start=1)}
        other = code_of.get(OTHER, 0)
        codes = [code_of.get(text, other) for text in texts.values.to_pylist()]
        return np.array([*codes, 0], np.int64)[texts.code_N]

    def _refuse_lost(self, table: pa.Table) -> None:
        lost = sorted(set(self.names) - set(table.column_names), key=self.names.index)
        if not lost:
            return
        there = [name for name in table.column_names if name not in self.names]
        hints = [nearest(lost[0], there)] if there else [""]
        shown = ", ".join(map(repr, lost[:10])) + (f" and {len(lost) - 10} more" if len(lost) > 10 else "")
        new = f" New here: {', '.join(map(repr, there[:10]))}." if there else ""
        raise DataError(
            f"{table_name(table)} lacks {shown}, which training had.{new}{hints[0]} "
            f"Columns are matched by name: give all {len(self.names)}, in any order, under the names of training."
        )

    def decode(self, number_NP: np.ndarray, category_NQ: np.ndarray) -> pa.Table:
        """Arrays back to a table in original units, names and order; NaN and code 0 become null."""
        self._check_shapes(number_NP, category_NQ)
        columns: dict[str, pa.Array] = {}
        for p, column in enumerate(self.number_columns):
            restore = date_column if column.kind == "date" else number_column
            columns[column.name] = restore(np.asarray(number_NP[:, p], np.float64), column)
        for q, column in enumerate(self.category_columns):
            columns[column.name] = word_column(np.asarray(category_NQ[:, q]), column)
        return pa.table({name: columns[name] for name in self.names})

    def _check_shapes(self, number_NP: np.ndarray, category_NQ: np.ndarray) -> None:
        P, Q = len(self.numbers), len(self.categories)
        shapes = number_NP.shape, category_NQ.shape
        if any(len(shape) != 2 for shape in shapes) or (shapes[0][1], shapes[1][1]) != (P, Q):
            need = f"(N, {P}) and (N, {Q}) are needed. Give arrays as encode made them."
            raise DataError(f"arrays of shapes {shapes[0]} and {shapes[1]} were given; {need}")


def encode_numbers(x_N: np.ndarray, column: Column) -> np.ndarray:
    """Standard deviations from the training mean, float32; NaN stays."""
    return np.clip((x_N - column.centre) / column.scale, -CLIP, CLIP).astype(np.float32)


def _as_table(source: Any) -> pa.Table:
    is_ours = isinstance(source, pa.Table) and b"twofold" in (source.schema.metadata or {})
    return source if is_ours else read_table(source)


def _block(column: pa.ChunkedArray, start: int, stop: int) -> pa.Array:
    part = column.slice(start, stop - start)
    return part.chunk(0) if part.num_chunks == 1 else pa.concat_arrays(part.chunks)


def _check_kinds(kinds: Mapping[str, str], table: pa.Table) -> None:
    present = set(table.column_names)
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise SettingError(f"column {name!r} is declared {kind!r}; allowed are {', '.join(KINDS)}. Choose one.")
        if name not in present:
            hint = nearest(name, table.column_names) + " Mend the name."
            raise DataError(f"{table_name(table)} has no column {name!r}, which is declared a {kind}.{hint}")


def _empty(shape: tuple[int, int], dtype: type, in_memory: int, folder: str | Path | None) -> np.ndarray:
    """An array to fill: in memory, or mapped from a file when it is large."""
    n_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
    if n_bytes <= in_memory:
        return np.empty(shape, dtype)
    handle, name = tempfile.mkstemp(suffix=".array", prefix="twofold-", dir=folder)
    os.close(handle)
    array = np.memmap(name, dtype, mode="w+", shape=shape)
    if folder is None and os.name == "posix":
        os.unlink(name)  # the mapping keeps the bytes until it is dropped
    return array
