"""The .tfz file: a small JSON header and chunks of bytes, every one of them under a checksum.

    TFZ1 | version, 1 byte | size of the header, 4 | number of chunks, 4
    for each chunk: size, 8 | CRC32, 4
    header, JSON | CRC32 of all above, 4 | the chunks, one after the other

All numbers are little-endian. Nothing may follow the last chunk. Sizes are compared with the length of the file before
anything is cut out or parsed, and CRC32 sees every change of up to four bytes in a row.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from twofold.errors import DataError

__all__ = ["MAGIC", "VERSION", "pack", "unpack"]

MAGIC = b"TFZ1"
VERSION = 1
HEAD = struct.Struct("<4sBII")
ENTRY = struct.Struct("<QI")  # of the table of chunks
CHECKSUM = struct.Struct("<I")


def pack(header: dict[str, Any], chunks: Sequence[bytes]) -> bytes:
    """A file's bytes.

    Parameters
    ----------
    header : what `unpack` returns first; JSON must be able to write it.
    chunks : what `unpack` returns second.

    Examples
    --------
    >>> unpack(pack({"kind": "text"}, [b"one", b""]))
    ({'kind': 'text'}, [b'one', b''])
    """
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    table = b"".join(ENTRY.pack(len(chunk), zlib.crc32(chunk)) for chunk in chunks)
    front = HEAD.pack(MAGIC, VERSION, len(text), len(chunks)) + table + text
    return b"".join([front, CHECKSUM.pack(zlib.crc32(front)), *chunks])


def unpack(data: bytes | memoryview, name: str = "the file") -> tuple[dict[str, Any], list[bytes]]:
    """The header and the chunks of a packed file.

    Parameters
    ----------
    name : how the messages call the file.

    Raises
    ------
    DataError
        When the file is of another kind or version, is cut short, goes on after its end, or a byte of it has changed.
    """
    view = memoryview(data)
    n_header, n_chunks = _sizes(view, name)
    table_end = HEAD.size + n_chunks * ENTRY.size
    front_end = table_end + n_header
    _need(view, front_end + CHECKSUM.size, name)
    if CHECKSUM.unpack_from(view, front_end)[0] != zlib.crc32(view[:front_end]):
        raise _spoilt(name, "its header does not match its checksum")
    entries = list(ENTRY.iter_unpack(view[HEAD.size : table_end]))
    return _header(view[table_end:front_end], name), _chunks(view[front_end + CHECKSUM.size :], entries, name)


def _sizes(view: memoryview, name: str) -> tuple[int, int]:
    if bytes(view[: len(MAGIC)]) != MAGIC:
        raise DataError(
            f"{name} is not a .tfz file: it does not begin with TFZ1. Give one that twofold compress wrote."
        )
    _need(view, HEAD.size, name)
    _, version, n_header, n_chunks = HEAD.unpack_from(view)
    if version != VERSION:
        raise DataError(
            f"{name} is written in version {version} of the .tfz format; this twofold reads version {VERSION}. "
            "Install the twofold that wrote it, or get the file again if it may have been damaged."
        )
    return n_header, n_chunks


def _header(text: memoryview, name: str) -> dict[str, Any]:
    try:
        header = json.loads(bytes(text))
    except (ValueError, RecursionError) as error:
        raise _spoilt(name, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _spoilt(name, "its header is not a JSON object")
    return header


def _chunks(view: memoryview, entries: list[tuple[int, int]], name: str) -> list[bytes]:
    total = sum(size for size, _ in entries)
    _need(view, total, name)
    if len(view) > total:
        raise _spoilt(name, f"{len(view) - total} bytes follow its end")
    chunks, start = [], 0
    for place, (size, checksum) in enumerate(entries):
        chunk = view[start : start + size]
        if zlib.crc32(chunk) != checksum:
            raise _spoilt(name, f"part {place + 1} of {len(entries)} does not match its checksum")
        chunks.append(bytes(chunk))
        start += size
    return chunks


def _need(view: memoryview, size: int, name: str) -> None:
    if len(view) < size:
        raise _spoilt(name, f"at least {size - len(view)} bytes are missing")


def _spoilt(name: str, what: str) -> DataError:
    return DataError(f"{name} is damaged: {what}. Copy it again from where it came, or compress the original again.")
