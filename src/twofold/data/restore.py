"""Arrays back to the cells they came from: units, decimals, dates, words."""

import numpy as np
import pyarrow as pa

from twofold.data.kinds import Column

__all__ = ["date_column", "number_column", "range_text", "word_column"]

INT64_END = 2**63 - 1024  # the last float64 below it
DAY_SECONDS = 86_400


def _original(z_N: np.ndarray, column: Column) -> np.ndarray:
    return z_N * column.scale + column.centre


def number_column(z_N: np.ndarray, column: Column) -> pa.Array:
    """Standard deviations to numbers with as many decimals as training had; whole ones as int64."""
    x_N, gone = _original(z_N, column), np.isnan(z_N)
    if column.mark:
        return _marked(x_N, column)
    if column.origin:
        return pa.array([None if m else str(column.origin + round(x)) for x, m in zip(x_N, gone, strict=True)])
    if column.decimals is None:
        return pa.array(x_N, mask=gone)
    x_N = np.round(x_N, column.decimals)
    if column.decimals == 0 and (gone | (np.abs(x_N) < INT64_END)).all():
        return pa.array(np.where(gone, 0, x_N).astype(np.int64), mask=gone)
    return pa.array(x_N, mask=gone)


def _marked(x_N: np.ndarray, column: Column) -> pa.Array:
    """Texts such as $5.20 and 5%, as training had them."""
    digits = 6 if column.decimals is None else column.decimals
    shape = "{}{:.{}f}%" if column.mark == "%" else f"{{}}{column.mark}{{:.{{}}f}}"
    texts = [None if np.isnan(x) else shape.format("-" * bool(x < 0), abs(x), digits) for x in x_N]
    return pa.array(texts, pa.large_string())


def date_column(z_N: np.ndarray, column: Column) -> pa.Array:
    """Standard deviations to dates, or to seconds where training had times of day."""
    days, gone = _original(z_N, column), np.isnan(z_N)
    if column.decimals == 0:
        whole = np.clip(np.round(np.where(gone, 0, days)), -700_000, 2_900_000).astype(np.int32)
        return pa.array(whole, pa.int32(), mask=gone).cast(pa.date32())
    seconds = np.clip(np.round(np.where(gone, 0, days) * DAY_SECONDS), -6e10, 2.5e11).astype(np.int64)
    return pa.array(seconds, mask=gone).cast(pa.timestamp("s"))


def word_column(code_N: np.ndarray, column: Column) -> pa.Array:
    """Codes to levels; 0 and unknown codes to null."""
    levels = pa.array(column.levels, pa.large_string())
    known = (code_N >= 1) & (code_N <= len(levels))
    index = pa.array(np.where(known, code_N - 1, 0).astype(np.int64), mask=~known)
    return levels.take(index)


def range_text(column: Column) -> str:
    """'18 to 90', 'Rome, Oslo, Lima', or nothing for an ignored column."""
    if column.kind == "category":
        more = f" and {len(column.levels) - 5} more" if len(column.levels) > 5 else ""
        return ", ".join(level[:40] for level in column.levels[:5]) + more
    if column.kind == "ignore":
        return ""
    if column.kind == "date":
        return f"{_date_text(column.low)} to {_date_text(column.high)}"
    if column.origin:
        return f"{column.origin} to {column.origin + int(column.high)}"
    return f"{column.low:.6g} to {column.high:.6g}"


def _date_text(days: float) -> str:
    return str(np.datetime64(0, "s") + np.timedelta64(round(days * DAY_SECONDS), "s")).removesuffix("T00:00:00")
