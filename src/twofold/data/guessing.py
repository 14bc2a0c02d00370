"""Which kind a column is, when the user did not say.

A column that is neither numbers nor words is an error that names the cell; one that holds nothing to learn from is
ignored, and its note says why.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twofold.data.cells import (
    MISSING_AMONG_NUMBERS,
    Place,
    Texts,
    are_dates,
    find_mark,
    is_missing,
    is_text,
    may_be_numbers,
    parse_numbers,
    texts_of,
)
from twofold.errors import DataError

__all__ = ["MAX_LEVELS", "guess_kind"]

MAX_LEVELS = 64  # of a category


def guess_kind(column: pa.Array, missing: Sequence[str], place: Place) -> tuple[str, str, str]:
    """Kind, note and mark."""
    type_ = column.type
    if column.null_count == len(column):
        return "ignore", "no value in any row", ""
    if pa.types.is_boolean(type_):
        return "category", "", ""
    if pa.types.is_date(type_) or pa.types.is_timestamp(type_):
        return "date", "", ""
    if not may_be_numbers(type_):
        return "ignore", f"values of type {type_} cannot be used; make numbers or words of them", ""
    if not is_text(type_) or _is_plainly_numeric(column):
        return "number", "", ""
    return _guess_text(texts_of(column), missing, place)


def _is_plainly_numeric(column: pa.Array) -> bool:
    """Text that Arrow reads as numbers, and no codes such as 00123."""
    try:
        column.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return not _are_codes(column)


def _are_codes(values: pa.Array) -> bool:
    """Whole numbers with leading zeros: all of one length, or many of them."""
    leading = values.filter(pc.starts_with(values, "0"))
    n_leading = pc.sum(pc.match_substring_regex(leading, r"^0\d+$")).as_py() or 0
    if not n_leading:
        return False
    n_values = len(values) - values.null_count
    return n_leading * 10 >= n_values or pc.count_distinct(pc.utf8_length(values), mode="only_valid").as_py() == 1


def _guess_text(texts: Texts, missing: Sequence[str], place: Place) -> tuple[str, str, str]:
    present = ~is_missing(texts.values, (*MISSING_AMONG_NUMBERS, *missing))
    if not present.any():
        return "ignore", "no value in any row", ""
    values = texts.values.filter(pa.array(present))
    mark = find_mark(values)
    numbers, bad = parse_numbers(values, missing, mark)
    if not bad.any() and not _are_codes(values):
        return "number", _number_note(values, mark), mark
    iso, any_date = are_dates(values)
    if iso.all():
        return "date", "", ""
    if bad.any():
        bad_value = np.zeros(len(present), bool)
        bad_value[np.flatnonzero(present)[bad]] = True
        _refuse_words_among_numbers(texts, bad_value, present, place, mark)
        _refuse_mixed_dates(texts, iso, any_date, present, place)
    return _guess_words(texts, present, any_date.mean() > 0.8)


def _number_note(values: pa.Array, mark: str) -> str:
    notes = [f"the sign {mark} is left out"] if mark else []
    if pc.any(pc.match_substring(values, ",")).as_py():
        notes.append("1,234.50 is read as 1234.50")
    return "; ".join(notes)


def _refuse_words_among_numbers(texts: Texts, bad: np.ndarray, present: np.ndarray, place: Place, mark: str) -> None:
    """Numbers that hardly repeat, and among them words: no category, and no column of numbers either."""
    n_good, n_bad = int((present & ~bad).sum()), int(bad.sum())
    n_rows = int(np.append(present & ~bad, False)[texts.code_N].sum())
    if n_good < n_bad or not (n_good > 20 or 2 * n_good > n_rows > 2):
        return
    index = int(np.flatnonzero(bad[texts.code_N] & (texts.code_N >= 0))[0])
    raise _word_error(texts.values[int(texts.code_N[index])].as_py(), index, place, mark)


def _word_error(text: str, index: int, place: Place, mark: str) -> DataError:
    sign = f" with the sign {mark}" if mark else ""
    remedy = "Mend the cell, declare the word as missing, or declare the column a category."
    return place.error(index, f"{text[:60]!r} stands among numbers{sign}. {remedy}")


def _refuse_mixed_dates(texts: Texts, iso: np.ndarray, dates: np.ndarray, present: np.ndarray, place: Place) -> None:
    if not iso.any() or dates.mean() < 0.8:
        return
    other = np.zeros(len(present) + 1, bool)
    other[np.flatnonzero(present)[~iso]] = True
    index = int(np.flatnonzero(other[texts.code_N])[0])
    text = texts.values[int(texts.code_N[index])].as_py()
    remedy = "Write every date as 2024-03-01, or declare the column a category or to be ignored."
    raise place.error(index, f"{text[:60]!r} is written in another style than the other dates. {remedy}")


def _guess_words(texts: Texts, present: np.ndarray, are_old_dates: bool) -> tuple[str, str, str]:
    """Category, or why not."""
    values = texts.values.filter(pa.array(present))
    n_rows = int(np.append(present, False)[texts.code_N].sum())
    n_distinct = len(values)
    remedy = "declare it a category to use it"
    if n_distinct == n_rows and n_rows > 8 or n_distinct > MAX_LEVELS and 2 * n_distinct > n_rows:
        if are_old_dates:
            return "ignore", "dates not written as 2024-03-01: write them so to use them", ""
        if pc.mean(pc.count_substring(values, " ")).as_py() > 3:
            return "ignore", f"sentences that hardly repeat; {remedy}", ""
        return "ignore", f"a text that differs in (almost) every row, such as an identifier; {remedy}", ""
    return "category", "", ""
