import random
import tracemalloc
import zlib

import pytest

from twofold.data.container import HEAD, MAGIC, pack, unpack
from twofold.errors import DataError

HEADER = {"kind": "text", "n_tokens": 3, "name": "Größe"}
CHUNKS = [b"first", b"", bytes(range(256))]


def forged(text, n_chunks=0):
    """A file with a right checksum over a header that we never write."""
    front = HEAD.pack(MAGIC, 1, len(text), n_chunks) + text
    return front + zlib.crc32(front).to_bytes(4, "little")


@pytest.mark.parametrize("header, chunks", [(HEADER, CHUNKS), ({}, []), ({"a": [1, None]}, [b""])])
def test_what_is_packed_comes_back(header, chunks):
    assert unpack(pack(header, chunks)) == (header, chunks)


def test_each_of_2000_flipped_bytes_is_noticed():
    data, rng = pack(HEADER, [*CHUNKS, bytes(2000)]), random.Random(0)
    for _ in range(2000):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        with pytest.raises(DataError):
            unpack(bytes(spoilt))


def test_every_truncation_is_noticed():
    data = pack(HEADER, CHUNKS)
    for size in range(len(data)):
        with pytest.raises(DataError, match=r"not a \.tfz file|damaged"):
            unpack(data[:size])


def test_what_follows_the_end_is_noticed():
    with pytest.raises(DataError, match="2 bytes follow its end"):
        unpack(pack(HEADER, CHUNKS) + b"\n\n")


def test_sizes_that_the_file_cannot_hold_allocate_nothing():
    tracemalloc.start()
    for n_header, n_chunks in ((2**32 - 1, 0), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(DataError, match="bytes are missing"):
            unpack(HEAD.pack(MAGIC, 1, n_header, n_chunks) + bytes(100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{", b"\xff", b"[" * 100_000])
def test_a_header_that_is_no_json_object_is_refused(text):
    with pytest.raises(DataError, match="its header is not"):
        unpack(forged(text))


def test_another_version_and_another_kind_are_named():
    with pytest.raises(DataError, match="version 2"):
        unpack(HEAD.pack(MAGIC, 2, 0, 0))
    with pytest.raises(DataError, match=r"poem.tfz is not a \.tfz file"):
        unpack(b"\x1f\x8b poem", "poem.tfz")


def test_a_header_that_json_cannot_write_is_refused_when_packing():
    with pytest.raises(ValueError):
        pack({"loss": float("nan")}, [])
