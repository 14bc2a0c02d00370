"""Files to arrays: tables for now, by one door."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["default_label", "open_table"]


def open_table(data: Any) -> "pa.Table":
    """A table from 'sample:NAME', a path (CSV, TSV, CSV.GZ, Parquet), hf:OWNER/NAME, a frame or a 2-D array."""
    if isinstance(data, str) and data.startswith("sample:"):
        from twofold.data.samples import load_sample

        return load_sample(data.removeprefix("sample:"))
    from twofold.data.hub import fetched
    from twofold.data.tables import read_table

    return read_table(fetched(data))


def default_label(data: Any) -> str | None:
    """The label column of a built-in sample; None for everything else."""
    if not (isinstance(data, str) and data.startswith("sample:")):
        return None
    from twofold.data.samples import SAMPLES

    sample = SAMPLES.get(data.removeprefix("sample:"))
    return sample.label if sample else None
