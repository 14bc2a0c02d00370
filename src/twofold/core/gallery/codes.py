"""The first look at all pictures: embeddings as bytes in one mapped file, derived from storage at any time.

Each row has a scale of its own, so that its largest number becomes 127: of unit vectors of 512 numbers the products are
right to 6e-4. The file holds, after a head of 64 bytes: numbers int64 (N,), dates float64 (N,), scales float32 (N,),
codes int8 (N, E); a check sum in the head covers them all. A file that is absent, torn, or of another generation is
made again.
Dimension key: N pictures, E width of the embedding.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from twofold.core.gallery.storage import Storage
from twofold.errors import RunError

__all__ = ["Codes", "widened"]

HEAD = struct.Struct("<8s32sQQII")  # magic, whose, generation, N, E, check sum
MAGIC, HEAD_BYTES = b"2foldcod", 64
CHUNK = 1024  # rows that are widened at a time: they stay in the processor's cache


@dataclass(eq=False)
class Codes:
    """Embeddings of all pictures, a byte a number."""

    own: str
    generation: int
    id_N: np.ndarray
    date_N: np.ndarray
    scale_N: np.ndarray
    code_NE: np.ndarray

    @classmethod
    def of(cls, storage: Storage) -> "Codes":
        """From what storage holds now."""
        facts, (N, E), parts = storage.embeddings()
        codes = cls(facts["own"], facts["generation"], *_room(N, E))
        n = 0
        for some in parts:
            ids, dates, blobs = zip(*some, strict=True)
            rows = slice(n, n + len(some))
            codes.id_N[rows], codes.date_N[rows] = ids, dates
            codes.scale_N[rows], codes.code_NE[rows] = _coded(_vectors(blobs, E, storage.path))
            n += len(some)
        return codes

    @classmethod
    def read(cls, path: Path, own: str, generation: int) -> "Codes | None":
        """The file, mapped; None where it is absent, torn, of another gallery or generation."""
        try:
            byte = np.memmap(path, np.uint8, "c")
            magic, whose, its_generation, N, E, check = HEAD.unpack_from(byte.data)
        except (OSError, ValueError, struct.error):
            return None
        known = (MAGIC, own.encode(), generation)
        if (magic, whose, its_generation) != known or len(byte) != HEAD_BYTES + N * (20 + E):
            return None
        if zlib.crc32(byte[HEAD_BYTES:].data) != check:
            return None
        return cls(own, generation, *_parts(byte[HEAD_BYTES:], N, E))

    def to_bytes(self) -> bytearray:
        """The file's contents."""
        N, E = self.code_NE.shape
        data = bytearray(HEAD_BYTES + N * (20 + E))
        body = memoryview(data)[HEAD_BYTES:]
        own = self.id_N, self.date_N, self.scale_N, self.code_NE
        for there, here in zip(_parts(np.frombuffer(body, np.uint8), N, E), own, strict=True):
            there[:] = here
        HEAD.pack_into(data, 0, MAGIC, self.own.encode(), self.generation, N, E, zlib.crc32(body))
        return data

    def scores(self, query_E: np.ndarray) -> np.ndarray:
        """Nearly the products of all pictures with a unit vector: float32 (N,)."""
        query_E = np.ascontiguousarray(query_E, np.float32)
        code_NE = torch.from_numpy(self.code_NE)
        if _has_exact_bytes():
            scale, code_E = _coded(query_E[None])
            product_N = torch._int_mm(torch.from_numpy(code_E), code_NE.T)[0].float().numpy()
            return product_N * (self.scale_N * scale[0])
        return widened(code_NE, torch.from_numpy(query_E)).numpy() * self.scale_N


def _room(n: int, E: int) -> tuple[np.ndarray, ...]:
    return np.empty(n, np.int64), np.empty(n), np.empty(n, np.float32), np.empty((n, E), np.int8)


def _parts(byte: np.ndarray, N: int, E: int) -> Iterator[np.ndarray]:
    """Numbers, dates, scales and codes as views of the bytes."""
    start = 0
    for kind, width in ((np.int64, 1), (np.float64, 1), (np.float32, 1), (np.int8, E)):
        n_bytes = N * width * np.dtype(kind).itemsize
        part = byte[start : start + n_bytes].view(kind)
        yield part.reshape(N, E) if kind is np.int8 else part
        start += n_bytes


def _vectors(blobs: Sequence[bytes], E: int, path: Path) -> np.ndarray:
    if any(len(blob) != 2 * E for blob in blobs):
        raise RunError(f"{path} is spoilt: an embedding is of another length. Remove its folder, and make it anew.")
    return np.frombuffer(b"".join(blobs), "<f2").reshape(-1, E).astype(np.float32)


def _coded(vector_NE: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales (N,) and codes int8 (N, E)."""
    scale_N = np.maximum(np.abs(vector_NE).max(1), 1e-12) / np.float32(127)
    return scale_N, np.rint(vector_NE / scale_N[:, None]).astype(np.int8)


def widened(code_NE: Tensor, query_E: Tensor) -> Tensor:
    """Products of bytes with floats, some rows at a time."""
    product_N = torch.empty(len(code_NE))
    for start in range(0, len(code_NE), CHUNK):
        rows = slice(start, start + CHUNK)
        torch.mv(code_NE[rows].float(), query_E, out=product_N[rows])
    return product_N


@cache
def _has_exact_bytes() -> bool:
    """Whether torch multiplies bytes here, and its sums do not overflow in between, as on processors without VNNI."""
    code_NE = torch.tensor([[127], [-127], [-128], [1]], dtype=torch.int8, device="cpu").repeat(8, 512)
    try:
        product_N = torch._int_mm(code_NE[:1], code_NE.T)[0]
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(product_N, code_NE.int() @ code_NE[0].int())
