"""Cells to values: what text means as a number, a date or a category.

Everything works on the distinct texts of a column, so a column of a million cells and three words costs three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twofold.errors import DataError

__all__ = [
    "MARKS", "MISSING_AMONG_NUMBERS", "MISSING_AMONG_WORDS", "Place", "Texts", "Values", "are_dates",
    "category_values", "date_values", "find_mark", "is_missing", "is_text", "may_be_numbers", "number_values",
    "parse_dates", "parse_numbers", "texts_of",
]  # fmt: skip

MISSING_AMONG_WORDS = ("", "na", "n/a", "n.a.", "nan", "null", "<na>", "#n/a", "nat", "?")
MISSING_AMONG_NUMBERS = (*MISSING_AMONG_WORDS, "none", "nil", "-", "--", ".", "missing")
MARKS = "$€£¥₹%"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:[+-]?inf(inity)?)$"
GROUPED = r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$"
ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
ZONED = r"\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})$"
ANY_DATE = (
    r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?$|^(19|20)\d{6}$"
    r"|^\d{1,2}[ -](?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[ -]\d{2,4}$"
    r"|^(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2},? \d{4}$"
)
DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Place:
    """Where a cell stands, for messages."""

    table: str
    column: str
    first_row: int = 0
    """Rows above this block."""

    def error(self, index: int | None, what: str) -> DataError:
        """The error that names this table and column, and the row where one cell is to blame."""
        row = "" if index is None else f", row {self.first_row + int(index) + 1}"
        return DataError(f"{self.table}, column {self.column!r}{row}: {what}")


class Texts(NamedTuple):
    """A column of text as its distinct cells and, per row, which one it is."""

    values: pa.Array
    """Distinct texts, trimmed."""
    code_N: np.ndarray
    """Index into values; -1 where the cell is null."""


class Values(NamedTuple):
    """What a column's cells are worth."""

    number_N: np.ndarray
    """float64; NaN = missing."""
    bad_N: np.ndarray | None = None
    """True where a cell could not be understood; None when all were."""


def is_text(type_: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return pa.types.is_large_string(type_) or pa.types.is_string(type_)


def may_be_numbers(type_: pa.DataType) -> bool:
    """Numbers, booleans, durations and times of day; text, which may hold numbers; a column of nothing."""
    if is_text(type_) or pa.types.is_null(type_) or pa.types.is_decimal(type_):
        return True
    is_other = pa.types.is_date(type_) or pa.types.is_timestamp(type_) or pa.types.is_interval(type_)
    return bool(pa.types.is_primitive(type_) and not is_other)


def texts_of(column: pa.Array) -> Texts:
    """The distinct texts of a column, trimmed, and each row's place among them."""
    encoded = column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Texts(pc.utf8_trim_whitespace(encoded.dictionary), codes)


def is_missing(values: pa.Array, words: Sequence[str]) -> np.ndarray:
    """Which texts mean 'no value', whatever their case."""
    known = pa.array([word.strip().lower() for word in words], values.type)
    return pc.is_in(pc.utf8_lower(values), value_set=known).to_numpy(zero_copy_only=False)


def _spread(texts: Texts, of_value: np.ndarray, of_null: float | bool) -> np.ndarray:
    """What holds for the distinct texts, for every row."""
    return np.append(of_value, np.asarray(of_null, of_value.dtype))[texts.code_N]


# ---- numbers ------------------------------------------------------------------------------------


def number_values(column: pa.Array, missing: Sequence[str] = (), mark: str = "") -> Values:
    """Numbers of a column of numbers or of text; `mark` is the sign ($ or %) that each text must carry."""
    if not is_text(column.type):
        return Values(_without(_native_numbers(column), missing))
    if not mark:
        try:
            return Values(_without(_to_numpy(column.cast(pa.float64())), missing))
        except pa.ArrowInvalid:
            pass
    texts = texts_of(column)
    numbers, bad = parse_numbers(texts.values, missing, mark)
    bad_N = _spread(texts, bad, False)
    return Values(_spread(texts, numbers, np.nan), bad_N if bad_N.any() else None)


def _native_numbers(column: pa.Array) -> np.ndarray:
    """Numbers, booleans, durations (seconds) and times of day (seconds)."""
    if pa.types.is_duration(column.type) or pa.types.is_time(column.type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        whole = column.cast(pa.int32()) if pa.types.is_time32(column.type) else column
        return _to_numpy(whole.cast(pa.int64()).cast(pa.float64(), safe=False)) / per_second
    return _to_numpy(column.cast(pa.float64(), safe=False))


def _to_numpy(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)  # nulls become NaN


def _without(number_N: np.ndarray, missing: Sequence[str]) -> np.ndarray:
    """NaN where the number is one of the words for missing, such as -999."""
    numbers = [float(word) for word in missing if word.strip().lstrip("+-").replace(".", "", 1).isdigit()]
    return np.where(np.isin(number_N, numbers), np.nan, number_N) if numbers else number_N


def parse_numbers(values: pa.Array, missing: Sequence[str], mark: str = "") -> tuple[np.ndarray, np.ndarray]:
    """The texts as float64 (NaN = missing or bad), and which are bad."""
    gone = is_missing(values, (*MISSING_AMONG_NUMBERS, *missing))
    plain = pc.replace_substring(values, "\u2212", "-")
    has_mark = np.ones(len(values), bool)
    if mark:
        has_mark = pc.match_substring(plain, mark).to_numpy(zero_copy_only=False)
        plain = pc.utf8_trim_whitespace(pc.replace_substring(plain, mark, "", max_replacements=1))
        plain = pc.replace_substring_regex(plain, r"^([+-])\s+", r"\1")
    grouped = pc.match_substring_regex(plain, GROUPED)
    plain = pc.if_else(grouped, pc.replace_substring(plain, ",", ""), plain)
    good = pc.match_substring_regex(plain, NUMBER).to_numpy(zero_copy_only=False) & has_mark & ~gone
    numbers = pc.if_else(pa.array(good), plain, pa.scalar(None, plain.type)).cast(pa.float64())
    return _to_numpy(numbers), ~good & ~gone


def find_mark(values: pa.Array) -> str:
    """The sign of money or share that the first text with one carries, or nothing."""
    pattern = rf"^[+-]?\s*[{MARKS}]\s*[+-]?[\d.]|^[+-]?[\d.,]+\s*[{MARKS}]$"
    marked = values.filter(pc.match_substring_regex(values, pattern))
    text = marked[0].as_py() if len(marked) else ""
    return next((letter for letter in text if letter in MARKS), "")


# ---- dates --------------------------------------------------------------------------------------


def date_values(column: pa.Array, missing: Sequence[str] = ()) -> Values:
    """Days since 1970 of a column of dates, timestamps or ISO texts."""
    if is_text(column.type):
        texts = texts_of(column)
        days, bad = parse_dates(texts.values, missing)
        bad_N = _spread(texts, bad, False)
        return Values(_spread(texts, days, np.nan), bad_N if bad_N.any() else None)
    if pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
        zone = getattr(column.type, "tz", None)
        return Values(_days(column.cast(pa.timestamp("us", tz=zone), safe=False)))
    return Values(np.full(len(column), np.nan), _to_numpy(column.is_valid()).astype(bool))


def are_dates(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Which texts are ISO dates, and which are dates of any style."""
    iso = pc.match_substring_regex(values, ISO_DATE).to_numpy(zero_copy_only=False)
    return iso, iso | pc.match_substring_regex(values, ANY_DATE).to_numpy(zero_copy_only=False)


def parse_dates(values: pa.Array, missing: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The texts as days since 1970 (NaN = missing or bad), and which are bad."""
    gone = is_missing(values, (*MISSING_AMONG_NUMBERS, *missing))
    iso, _ = are_dates(values)
    zoned = pc.match_substring_regex(values, ZONED).to_numpy(zero_copy_only=False)
    days = np.full(len(values), np.nan)
    for where, zone in ((iso & ~zoned & ~gone, None), (iso & zoned & ~gone, "UTC")):
        if where.any():
            days[where] = _cast_dates(values.filter(pa.array(where)), zone)
    return days, np.isnan(days) & ~gone


def _cast_dates(values: pa.Array, zone: str | None) -> np.ndarray:
    try:
        return _days(values.cast(pa.timestamp("us", tz=zone)))
    except pa.ArrowInvalid:  # the 30th of February: one by one, only then
        if len(values) == 1:
            return np.array([np.nan])
        return np.concatenate([_cast_dates(half, zone) for half in _halves(values)])


def _halves(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    middle = len(values) // 2
    return values[:middle], values[middle:]


def _days(stamps: pa.Array) -> np.ndarray:
    return _to_numpy(stamps.cast(pa.int64()).cast(pa.float64(), safe=False)) / DAY


# ---- categories ---------------------------------------------------------------------------------


def category_values(column: pa.Array, missing: Sequence[str] = ()) -> Texts:
    """The column as distinct texts; missing ones have the code -1, and True, TRUE, true are one."""
    texts = texts_of(_as_text(column))
    gone = is_missing(texts.values, (*MISSING_AMONG_WORDS, *missing))
    values = pc.replace_substring_regex(texts.values, r"^'([=+\-@])", r"\1")  # as writing.harmless left them
    values = pc.replace_substring_regex(values, r"^(?i:true)$", "True")
    values = pc.replace_substring_regex(values, r"^(?i:false)$", "False")
    if not gone.any():
        return Texts(values, texts.code_N)
    return Texts(values, np.where(_spread(texts, gone, True), -1, texts.code_N))


def _as_text(column: pa.Array) -> pa.Array:
    """Text of any simple column; whole numbers without '.0'."""
    if is_text(column.type):
        return column
    text = column.cast(pa.large_string())
    return pc.replace_substring_regex(text, r"^(-?\d+)\.0$", r"\1") if pa.types.is_floating(column.type) else text
