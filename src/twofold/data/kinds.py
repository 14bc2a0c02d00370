"""What one column means: a number, a category, a date, or nothing that can be learnt from, and why.

Nothing is dropped silently: an ignored column says why in its note, and a column that is neither one thing nor
the other is an error that names the cell (guessing.py).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twofold.data.cells import (
    Place,
    Texts,
    Values,
    category_values,
    date_values,
    find_mark,
    is_text,
    may_be_numbers,
    number_values,
    texts_of,
)
from twofold.data.guessing import MAX_LEVELS, guess_kind

__all__ = ["KINDS", "OTHER", "Column", "is_sound", "learn_column", "to_plain", "values_of", "words_of"]

KINDS = ("number", "category", "date", "ignore")
OTHER = "other"
MAX_DECIMALS = 6
MAX_LEVEL_LENGTH = 200  # letters; longer texts are pooled
LEAST_SHARE = 1 / 5000  # of the rows; rarer levels are pooled
HUGE = 1e37  # float32 ends at 3.4e38
EXACT = 2**53  # beyond it a float64 skips whole numbers
ID_NAME = re.compile(r"(?i)^(.*[_. ])?(id|index|idx|row|rowid|row_?number|uuid|guid)$|^.*[a-z]ID$|^Unnamed: 0$")


@dataclass(frozen=True)
class Column:
    """One column as training saw it; everything in it is plain JSON."""

    name: str
    kind: str
    note: str = ""
    """What was guessed, or why the column is ignored."""
    n_missing: int = 0
    n_distinct: int = 0
    levels: tuple[str, ...] = ()
    """Of a category, the commonest first; code 0 is none of them."""
    centre: float = 0.0
    scale: float = 1.0
    origin: int = 0
    """Taken off before anything else, where whole numbers are too large for float64."""
    decimals: int | None = None
    """Digits behind the point; None = many."""
    mark: str = ""
    """The sign that each number carries, such as $ or %."""
    low: float = 0.0
    high: float = 0.0
    """Range, less the origin; of dates in days since 1970."""


def learn_column(column: pa.ChunkedArray, kind: str | None, missing: Sequence[str], place: Place) -> Column:
    """What the column means; `kind` is what the user says, if anything."""
    whole, is_forced = _whole(column), kind is not None
    kind, note, mark = (kind, "", "") if kind else guess_kind(whole, missing, place)
    if is_forced and kind == "number" and is_text(whole.type):
        mark = find_mark(texts_of(whole).values)
    start = Column(place.column, kind, note=note, mark=mark)
    if kind == "category":
        return _learn_category(whole, missing, start, place)
    if kind in ("number", "date"):
        learnt = _learn_number(whole, missing, start, place)
        return learnt if is_forced else _ignore_row_numbers(learnt, len(whole))
    return replace(start, n_missing=whole.null_count, note=note or "set to be ignored")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


# ---- learning -----------------------------------------------------------------------------------


def values_of(array: pa.Array, column: Column, missing: Sequence[str], place: Place) -> np.ndarray:
    """Numbers, or days, of a number or date column, less its origin; DataError at a cell that is neither."""
    if column.kind == "date":
        values = date_values(array, missing)
        _refuse_bad(array, values, place, "is no date as 2024-03-01. Mend it, or declare the column a category.")
        return values.number_N
    if not may_be_numbers(array.type):
        raise place.error(None, f"it holds values of type {array.type}; numbers are needed. Give the numbers.")
    if column.origin:
        return _less_origin(array, column, missing, place)
    values = number_values(array, missing, column.mark)
    need = f"is no number with the sign {column.mark}" if column.mark else "stands among numbers"
    remedy = "Mend the cell, declare the word as missing, or declare the column a category."
    _refuse_bad(array, values, place, f"{need}. {remedy}")
    return values.number_N


def _refuse_bad(array: pa.Array, values: Values, place: Place, what: str) -> None:
    if values.bad_N is not None and values.bad_N.any():
        index = int(np.flatnonzero(values.bad_N)[0])
        raise place.error(index, f"{str(array[index].as_py())[:60]!r} {what}")
    infinite = np.isinf(values.number_N)
    if infinite.any():
        index = int(np.flatnonzero(infinite)[0])
        text = str(array[index].as_py())[:60]
        remedy = "Mend the cell, leave it empty, or declare the word as missing."
        raise place.error(index, f"{text!r} is infinite, or too large to compute with. {remedy}")


def words_of(array: pa.Array, missing: Sequence[str], place: Place) -> Texts:
    """The words of a category column; DataError where its type has none."""
    try:
        return category_values(array, missing)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        what = f"it holds values of type {array.type}; words are needed. Give words, or declare it to be ignored."
        raise place.error(None, what) from None


def _less_origin(array: pa.Array, column: Column, missing: Sequence[str], place: Place) -> np.ndarray:
    """Exact differences of whole numbers beyond 2^53; other cells as well as float64 can."""
    plain = values_of(array, replace(column, origin=0), missing, place)
    try:
        origin = pa.scalar(Decimal(column.origin), pa.decimal128(30, 0))
        exact = pc.subtract(_whole_numbers(array, plain), origin).cast(pa.float64())
    except pa.ArrowInvalid:
        return plain - column.origin
    return exact.to_numpy(zero_copy_only=False)


def _learn_number(array: pa.Array, missing: Sequence[str], column: Column, place: Place) -> Column:
    x_N = values_of(array, column, missing, place)
    present = ~np.isnan(x_N)
    x = x_N[present]
    if not len(x):
        return replace(column, kind="ignore", n_missing=len(x_N), note="no value in any row")
    if np.abs(x).max() > HUGE:
        index = int(np.flatnonzero(np.abs(np.nan_to_num(x_N)) > HUGE)[0])
        text = str(array[index].as_py())[:60]
        remedy = "Mend the cell, or declare it as missing."
        raise place.error(index, f"{text!r} is too large to learn from (above 1e37). {remedy}")
    if column.kind == "number" and not column.origin and _is_beyond_exact(array, x):
        return _learn_large(array, missing, column, place)
    column = replace(column, n_missing=len(x_N) - len(x), n_distinct=pc.count_distinct(pa.array(x)).as_py())
    centre, scale = _centre_and_scale(x)
    decimals = None if column.kind == "date" and (x % 1).any() else _decimals(x)
    return replace(column, centre=centre, scale=scale, decimals=decimals, low=float(x.min()), high=float(x.max()))


def _is_beyond_exact(array: pa.Array, x: np.ndarray) -> bool:
    """Whole numbers, written as such, that float64 cannot tell apart."""
    if np.abs(x).max() < EXACT or (x % 1).any():
        return False
    if is_text(array.type):
        return not pc.any(pc.match_substring_regex(array, r"[.eE]")).as_py()
    return bool(pa.types.is_integer(array.type) or pa.types.is_decimal(array.type))


def _learn_large(array: pa.Array, missing: Sequence[str], column: Column, place: Place) -> Column:
    """Whole numbers beyond 2^53: exact, by way of an origin."""
    plain = values_of(array, column, missing, place)
    try:
        origin = int(pc.min(_whole_numbers(array, plain)).as_py())
    except pa.ArrowInvalid:
        remedy = "Shorten them, or declare the column a category or to be ignored."
        raise place.error(None, f"whole numbers too large to be told apart (beyond 2^53). {remedy}") from None
    note = f"whole numbers beyond 2^53: counted from {origin}"
    return _learn_number(array, missing, replace(column, origin=origin, note=note), place)


def _whole_numbers(array: pa.Array, plain_N: np.ndarray) -> pa.Array:
    """Exact whole numbers, null where the plain ones are missing."""
    array = pc.utf8_trim_whitespace(array) if is_text(array.type) else array
    present = pc.if_else(pa.array(~np.isnan(plain_N)), array, pa.scalar(None, array.type))
    return present.cast(pa.decimal128(30, 0))


def _centre_and_scale(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; of a constant, a hundredth of its size, so that later change shows."""
    shift, reach = float(x[0]), float(np.abs(x - x[0]).max())
    if reach <= 4 * np.spacing(np.abs(x).max()):
        return shift, 0.01 * abs(shift) or 0.01
    d = (x - shift) / reach
    return shift + reach * float(d.mean()), reach * float(d.std())


def _decimals(x: np.ndarray, limit: int = MAX_DECIMALS) -> int | None:
    """Digits behind the point, looked for in at most 10,000 values."""
    sample = x[:: max(1, len(x) // 10_000)]
    for n in range(limit + 1):
        if np.array_equal(np.round(sample, n), sample):
            return n if n or not (x % 1).any() else None
    return None


def _ignore_row_numbers(column: Column, n: int) -> Column:
    is_id = column.kind == "number" and ID_NAME.match(column.name) and column.decimals == 0
    if is_id and column.n_distinct == n and n >= 20:
        note = "whole numbers that differ in every row, by their name identifiers; declare it a number to use it"
        return replace(column, kind="ignore", note=note)
    return column


def _learn_category(array: pa.Array, missing: Sequence[str], column: Column, place: Place) -> Column:
    texts = words_of(array, missing, place)
    n_missing = int((texts.code_N < 0).sum())
    counts: dict[str, int] = {}
    per_code = np.bincount(texts.code_N[texts.code_N >= 0], minlength=len(texts.values))
    for text, count in zip(texts.values.to_pylist(), per_code.tolist(), strict=True):
        if count:
            counts[text] = counts.get(text, 0) + count
    if not counts:
        return replace(column, kind="ignore", n_missing=n_missing, note="no value in any row")
    levels, n_pooled = _levels(counts)
    pooled = f"{n_pooled} rare values are pooled as {OTHER!r}" if n_pooled else ""
    note = "; ".join(filter(None, [column.note, pooled]))
    return replace(column, levels=levels, n_missing=n_missing, n_distinct=len(counts), note=note)


def _levels(counts: dict[str, int]) -> tuple[tuple[str, ...], int]:
    """The commonest values, ties by name, and how many others are pooled."""
    least = max(1.0, LEAST_SHARE * sum(counts.values()))
    ranked = sorted(counts, key=lambda text: (-counts[text], text))
    kept = [text for text in ranked[:MAX_LEVELS] if counts[text] >= least and len(text) <= MAX_LEVEL_LENGTH]
    if len(ranked) - len(kept) == 1 and len(ranked[-1]) <= MAX_LEVEL_LENGTH and len(kept) < MAX_LEVELS:
        kept = ranked  # a pool of one would only lose its name
    if len(kept) == len(ranked):
        return tuple(kept), 0
    n_pooled = len(ranked) - len(kept)
    return tuple(kept if OTHER in kept else [*kept, OTHER]), n_pooled


def is_sound(column: Column) -> bool:
    """Whether a description that was read back from a file can be computed with."""
    texts = column.name, column.note, column.mark, *column.levels
    decimals = 0 if column.decimals is None else column.decimals
    whole = column.n_missing, column.n_distinct, column.origin, decimals
    numbers = column.centre, column.scale, column.low, column.high
    return (
        all(isinstance(text, str) for text in texts)
        and all(type(number) is int for number in whole)
        and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
        and column.kind in KINDS
        and column.scale > 0
        and 0 <= decimals <= MAX_DECIMALS
    )


def to_plain(column: Column) -> dict[str, Any]:
    """Only what differs from the defaults, as JSON."""
    default = Column(column.name, column.kind)
    record: dict[str, Any] = {"name": column.name, "kind": column.kind}
    for key, value in vars(column).items():
        if value != getattr(default, key):
            record[key] = list(value) if isinstance(value, tuple) else value
    return record
