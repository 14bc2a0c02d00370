"""What a file is, told by its bytes: names lie, contents do not.

A table may come as text (CSV and its kin), gzip of such text, Parquet or an Arrow file. Everything else is refused
by a message that says what the file is and what to do. Nothing is ever unpickled.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from twofold.errors import DataError

__all__ = ["TEXT", "GZIP", "PARQUET", "ARROW", "open_bytes", "blocks_of", "recognise"]

TEXT, GZIP, PARQUET, ARROW = "text", "gzip", "parquet", "arrow"
READABLE = "Tables are read from CSV, TSV, CSV.GZ and Parquet."

TABLE_SIGNS = {b"PAR1": PARQUET, b"\x1f\x8b": GZIP, b"ARROW1\x00\x00": ARROW}

OTHER_SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet workbook", "Unpack it, or save the sheet as CSV."),
    (b"PK\x05\x06", "an empty ZIP archive or spreadsheet workbook", "Save the sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (.xls)", "Save the sheet as CSV."),
    (b"\x89PNG", "a PNG picture", "Give the table that belongs to it."),
    (b"\xff\xd8\xff", "a JPEG picture", "Give the table that belongs to it."),
    (b"GIF8", "a GIF picture", "Give the table that belongs to it."),
    (b"%PDF", "a PDF document", "Export its table as CSV."),
    (b"version https://git-lfs", "a Git LFS pointer that stands for the data", "Run 'git lfs pull' to fetch the data."),
    (b"\x93NUMPY", "a NumPy array file", "Load it with numpy.load and pass the array."),
    (b"\x89HDF", "an HDF5 file", "Write its table as Parquet."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it first."),
    (b"BZh", "a bzip2 archive", "Unpack it first."),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first."),
)
PAGE_SIGNS = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<svg")
PICKLE_PROTOCOLS = b"\x02\x03\x04\x05"


def recognise(path: Path) -> str:
    """TEXT, GZIP, PARQUET or ARROW; DataError when the file is absent, empty or something else."""
    _refuse_absent(path)
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise DataError(f"{path.name} is empty (0 bytes). {READABLE} Write or fetch the file again.")
    for sign, kind in TABLE_SIGNS.items():
        if head.startswith(sign):
            return kind
    _refuse_other(path, head)
    return TEXT


def _refuse_absent(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path} does not exist. Give the path of a table. {READABLE}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; a table is one file. {READABLE} Give the file inside it.")
    if not path.is_file():
        raise DataError(f"{path} is not a regular file. {READABLE} Save its contents to a file first.")


def _refuse_other(path: Path, head: bytes) -> None:
    for sign, what, remedy in OTHER_SIGNS:
        if head.startswith(sign):
            raise DataError(f"{path.name} is {what}, not a table. {READABLE} {remedy}")
    if head.lstrip().lower().startswith(PAGE_SIGNS):
        remedy = "The download went wrong: fetch the data again."
        raise DataError(f"{path.name} is a web page (HTML or XML), not a table. {READABLE} {remedy}")
    if head[0] == 0x80 and head[1:2] in [bytes([p]) for p in PICKLE_PROTOCOLS]:
        remedy = "Open it where you trust it and write the table as CSV or Parquet."
        raise DataError(f"{path.name} is a Python pickle; it is never opened, since that can run code. {remedy}")
    if head.lstrip().startswith((b'{"', b"[{", b"{\n")):
        raise DataError(f"{path.name} is JSON, not a table. {READABLE} Write its records as CSV or Parquet.")


def open_bytes(path: Path, kind: str) -> BinaryIO:
    """The file's bytes, unpacked when it is gzip."""
    return cast(BinaryIO, gzip.open(path, "rb")) if kind == GZIP else path.open("rb")


def blocks_of(path: Path, kind: str, size: int = 1 << 23) -> Iterator[bytes]:
    """The (unpacked) file block by block."""
    try:
        with open_bytes(path, kind) as file:
            while block := file.read(size):
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged gzip file ({error}). Fetch or compress it again.") from error
