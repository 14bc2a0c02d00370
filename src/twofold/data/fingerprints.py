"""Which data is this, and have we seen this row before?

Both are pure functions of names, types and values: the same in every process, on every machine, however the
table is cut into chunks.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from twofold.data.cells import is_text

__all__ = ["fingerprint", "row_hashes"]

BLOCK_ROWS = 65_536
ODD = np.uint64(0x9E3779B97F4A7C15)
MIX_A, MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
MISSING = np.uint64(0xD6E8FEB86659FD93)


def fingerprint(table: pa.Table) -> str:
    """SHA-256 of column names, types and values, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{len(name)}:{name}:{column.type};".encode())
        for block in _blocks(column):
            for piece in _pieces(block):
                digest.update(piece)
    return digest.hexdigest()


def row_hashes(data: pa.Table | Sequence[np.ndarray]) -> np.ndarray:
    """One uint64 for each of N rows of a table, or of row-aligned arrays such as encode gives."""
    if isinstance(data, pa.Table):
        columns = [_column_hashes(column) for column in data.columns]
        n_rows = data.num_rows
    else:
        columns = [_bits(column) for array in data for column in array.reshape(len(array), -1).T]
        n_rows = len(data[0])
    total = np.full(n_rows, len(columns), np.uint64)
    for column_N in columns:
        total = _mix(total * ODD + column_N)
    return total


def _blocks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for start in range(0, len(column), BLOCK_ROWS):
        part = column.slice(start, BLOCK_ROWS)
        yield part.chunk(0) if part.num_chunks == 1 else pa.concat_arrays(part.chunks)


def _pieces(block: pa.Array) -> Iterator[bytes]:
    """The block's values as bytes, whatever its offset and padding."""
    yield np.packbits(block.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    if is_text(block.type) or pa.types.is_binary(block.type) or pa.types.is_large_binary(block.type):
        data, length_N = _text_bytes(block)
        yield length_N.astype("<i8").tobytes()
        yield data.tobytes()
    elif pa.types.is_primitive(block.type) and not pa.types.is_boolean(block.type):
        yield _native(block).tobytes()
    else:
        yield repr(block.to_pylist()).encode()


def _native(block: pa.Array) -> np.ndarray:
    """Fixed-width values as bytes, zero where null."""
    width = block.type.bit_width // 8
    buffer = np.frombuffer(block.buffers()[1], np.uint8)[block.offset * width : (block.offset + len(block)) * width]
    bytes_NW = buffer.reshape(len(block), width)
    return np.where(block.is_valid().to_numpy(zero_copy_only=False)[:, None], bytes_NW, np.uint8(0))


def _text_bytes(block: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """All letters of a block end to end, and the length of each cell."""
    block = block.cast(pa.large_binary()).fill_null(b"")
    offsets = np.frombuffer(block.buffers()[1], np.int64)[block.offset : block.offset + len(block) + 1]
    if not len(block) or offsets[-1] == offsets[0]:
        return np.zeros(0, np.uint8), np.zeros(len(block), np.int64)
    return np.frombuffer(block.buffers()[2], np.uint8)[offsets[0] : offsets[-1]], np.diff(offsets)


# ---- rows ---------------------------------------------------------------------------------------


def _mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finish: every bit of x touches every bit of the result."""
    x = (x ^ (x >> np.uint64(30))) * MIX_A
    x = (x ^ (x >> np.uint64(27))) * MIX_B
    return x ^ (x >> np.uint64(31))


def _bits(values_N: np.ndarray) -> np.ndarray:
    """The bits of numbers as float64: 1 and 1.0 are one, -0 and 0 are one, NaN is missing."""
    number_N = np.asarray(values_N, np.float64) + 0.0
    return np.where(np.isnan(number_N), MISSING, number_N.view(np.uint64))


def _column_hashes(column: pa.ChunkedArray) -> np.ndarray:
    blocks = [_block_hashes(block) for block in _blocks(column)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)


def _block_hashes(block: pa.Array) -> np.ndarray:
    if pa.types.is_temporal(block.type):
        block = block.cast(pa.int32() if block.type.bit_width == 32 else pa.int64())
    if pa.types.is_primitive(block.type) or pa.types.is_decimal(block.type):
        return _bits(block.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if not is_text(block.type):
        block = pa.array([repr(value) for value in block.to_pylist()], pa.large_string())
    encoded = block.dictionary_encode()
    hashes = np.append(_text_hashes(encoded.dictionary), MISSING)
    return hashes[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def _text_hashes(values: pa.Array) -> np.ndarray:
    """A polynomial of the letters of each text, modulo 2^64."""
    letters, length_N = _text_bytes(values)
    if not len(letters):
        return length_N.astype(np.uint64)
    start_N = np.cumsum(length_N) - length_N
    position = np.arange(len(letters)) - np.repeat(start_N, length_N)
    powers = np.cumprod(np.full(int(length_N.max()), ODD, np.uint64))
    total = np.append(np.uint64(0), np.cumsum(letters.astype(np.uint64) * powers[position], dtype=np.uint64))
    return _mix(total[start_N + length_N] - total[start_N] + length_N.astype(np.uint64))
