"""Any bytes as a .tfz file, with no model but what the bytes themselves teach."""

from twofold.data.container import pack, unpack
from twofold.errors import DataError
from twofold.nn.coding import compress_bytes, decompress_bytes

__all__ = ["compress_alone", "decompress_alone", "run_of"]


def compress_alone(data: bytes) -> bytes:
    """Any bytes as a .tfz file that needs no model: predicted from themselves alone."""
    return pack({"kind": "bytes"}, [compress_bytes(data)])


def decompress_alone(packed: bytes) -> bytes:
    """The bytes that `compress_alone` was given."""
    header, chunks = unpack(packed)
    if header.get("kind") != "bytes" or len(chunks) != 1:
        raise DataError(f"the file holds {header.get('kind')!r}, not bytes without a model. Use the verb that made it.")
    return decompress_bytes(chunks[0])


def run_of(packed: bytes) -> str | None:
    """The run that a .tfz file of text or of a picture was compressed with; None where it needs none."""
    header, _ = unpack(packed)
    return str(header.get("run") or "?") if header.get("kind") in ("text", "picture") else None
