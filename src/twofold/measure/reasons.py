"""Why a row is strange, in words.

Dimension key: B rows, T columns tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from torch import Tensor

__all__ = ["Reason", "worst"]


@dataclass(frozen=True)
class Reason:
    """One column of a strange row.

    Examples
    --------
    >>> print(Reason("age", 190.0, 41.25, 0.8))
    age = 190 (expected 41.25)
    """

    column: str
    seen: Any
    expected: Any
    share: float  # of the row's strangeness that goes when the cell is as expected

    def __str__(self) -> str:
        return f"{self.column} = {_text(self.seen)} (expected {_text(self.expected)})"


def _text(value: Any) -> str:
    """Four digits that count; whole numbers whole."""
    if value is None:
        return "missing"
    if not isinstance(value, float):
        return str(value)
    if abs(value) < 1e15 and (value.is_integer() or abs(value) >= 1e4):
        return f"{value:.0f}"
    return f"{value:.4g}"


def worst(
    names: Sequence[str], tables: Sequence[pa.Table], blame: tuple[Tensor, Tensor, Tensor], n_columns: int
) -> list[list[Reason]]:
    """The columns most to blame for each row; after the first only those whose repair makes the row less strange.

    Parameters
    ----------
    names : of the columns, by their numbers in `blame`.
    tables : the rows as seen and as expected.
    blame : columns tried, share of the strangeness that goes, rank; each (B, T).
    """
    column_BT, share_BT = blame[0].tolist(), blame[1].tolist()
    seen, expected = ({name: table[name].to_pylist() for name in table.column_names} for table in tables)
    order_BT = blame[2].argsort(1, descending=True).tolist()
    found = []
    for b, order_T in enumerate(order_BT):
        reasons = [
            Reason(name := names[column_BT[b][t]], seen[name][b], expected[name][b], max(0.0, share_BT[b][t]))
            for t in order_T
        ]
        # a cell that is as expected is no reason
        told = [reason for reason in reasons if _text(reason.seen) != _text(reason.expected)] or reasons[:1]
        found.append(told[:1] + [reason for reason in told[1:n_columns] if reason.share > 0])
    return found
