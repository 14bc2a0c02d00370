"""Pixels that outgrow memory: one mapped file in the cache, found again, rebuilt when stale or damaged."""

import errno
import os
import time

import numpy as np
import pytest

from twofold.data import pictures as door
from twofold.data import pixels
from twofold.data.pictures import Pictures, open_pictures, write_picture
from twofold.errors import DiskFullError

RNG = np.random.default_rng(0)


@pytest.fixture
def small_memory(tmp_path, monkeypatch):
    """A cache of its own, and pictures that go to it beyond 1,000 bytes; the folder of the cache."""
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pixels, "IN_MEMORY", 1000)
    monkeypatch.setattr(pixels, "BLOCK", 700)
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def folder(tmp_path):
    for i in range(9):
        write_picture(tmp_path / "data" / f"{i}.png", RNG.integers(0, 256, (8 + i, 9, 1 + 2 * (i % 2)), dtype=np.uint8))
    (tmp_path / "data" / "bad.png").write_bytes(b"junk")
    return tmp_path / "data"


def in_memory(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pixels, "IN_MEMORY", 1 << 20)
        return open_pictures(folder)


def same(a: Pictures, b: Pictures) -> bool:
    return a.ids == b.ids and a.bad == b.bad and all(np.array_equal(a[i], b[i]) for i in range(len(b)))


def count_decoded(monkeypatch):
    decoded, decode = [], door._decoded
    monkeypatch.setattr(door, "_decoded", lambda *given: decoded.append(1) or decode(*given))
    return decoded


def test_beyond_memory_pictures_are_mapped_and_equal(folder, small_memory, monkeypatch):
    mapped = open_pictures(folder)
    assert isinstance(mapped.pixels.flat_P, np.memmap) and len(list(small_memory.iterdir())) == 1
    whole = in_memory(folder, monkeypatch)
    assert same(mapped, whole) and mapped.fingerprint == whole.fingerprint and len(mapped.bad) == 1


def test_the_next_opening_decodes_nothing(folder, small_memory, monkeypatch):
    first, decoded = open_pictures(folder), count_decoded(monkeypatch)
    again = open_pictures(folder)
    assert not decoded and same(first, again) and again.notes == first.notes


def test_writing_into_a_picture_does_not_spoil_the_cache(folder, small_memory, monkeypatch):
    open_pictures(folder)[0][:] = 0
    assert same(open_pictures(folder), in_memory(folder, monkeypatch))


def test_a_changed_file_is_read_again_also_when_size_and_time_are_kept(folder, small_memory, monkeypatch):
    first = open_pictures(folder)
    path = folder / "3.png"
    state = path.stat()
    time.sleep(0.02)
    path.write_bytes((folder / "1.png").read_bytes().ljust(state.st_size, b"\0")[: state.st_size])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    again = open_pictures(folder)
    assert not same(first, again) and same(again, in_memory(folder, monkeypatch))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 0.99, 0.9999])
@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_cache_is_rebuilt(folder, small_memory, monkeypatch, share, how):
    first = open_pictures(folder)
    fingerprint, ids, copies = first.fingerprint, first.ids, [first[i].copy() for i in range(len(first))]
    (path,) = small_memory.iterdir()
    data = bytearray(path.read_bytes())
    at = int(share * len(data))
    data[at] ^= 0x10
    path.unlink()  # as a fresh file: the first opening still maps the old one
    path.write_bytes(data if how == "flipped" else data[:at])
    decoded = count_decoded(monkeypatch)
    again = open_pictures(folder)
    assert decoded == [1] and again.fingerprint == fingerprint and again.ids == ids
    assert all(np.array_equal(again[i], copies[i]) for i in range(len(copies)))
    open_pictures(folder)
    assert decoded == [1]


def test_pictures_from_memory_leave_nothing_in_the_cache(small_memory):
    arrays = RNG.integers(0, 256, (20, 10, 10, 3), dtype=np.uint8)
    pictures = Pictures.of(arrays)
    assert np.array_equal(pictures[19], arrays[19]) and not list(small_memory.iterdir())


def test_large_results_are_mapped_and_leave_nothing(folder, small_memory, monkeypatch):
    pictures = open_pictures(folder)
    resized, patches = pictures.resized(16), pictures.patches(8, 40, seed=0)
    assert isinstance(resized, np.memmap) and isinstance(patches, np.memmap)
    assert [path.suffix for path in small_memory.iterdir()] == [".pixels"]
    whole = in_memory(folder, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(pixels, "IN_MEMORY", 1 << 20)
        assert np.array_equal(whole.resized(16), resized) and np.array_equal(whole.patches(8, 40, seed=0), patches)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_told_and_leaves_nothing(folder, small_memory, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        make = pixels._part_file

        def opened(key):
            # a disk with 500 bytes of room: a real file behind a real limit
            file = make(key)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
            return file

        import resource
        import signal

        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        monkeypatch.setattr(pixels, "_part_file", opened)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(DiskFullError, match="TWOFOLD_CACHE"):
            open_pictures(folder)
    finally:
        if call == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(small_memory.iterdir())


def test_part_files_of_a_killed_process_are_cleared_away_after_a_day(folder, small_memory):
    small_memory.mkdir(parents=True)
    old, new = small_memory / ".old.part", small_memory / ".new.part"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (0, 0))
    open_pictures(folder)
    assert not old.exists() and new.exists()
