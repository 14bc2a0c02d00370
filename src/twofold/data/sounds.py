"""Many sounds of any lengths, packed as float32 mono, and how one file is decoded.

What is done to a file: channels are averaged; whole numbers of 8 to 32 bits become -1..1; floats beyond that are scaled
to a peak of 1. Samples are read block by block, never by the length that a header claims.
Dimension key: N sounds, S samples of all of them, T samples of one, C channels.
"""

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from twofold.data.names import unique
from twofold.data.picture_set import Bad
from twofold.errors import DataError

__all__ = ["FETCH", "MAX_BYTES", "RATES", "Sounds", "claims_to_be_sound", "decode_sound", "is_sound", "resample"]

RATES = (1_000, 768_000)  # Hz: less is no sound that one hears, more no sound card makes
MAX_SAMPLES = 1 << 28  # of one file, all channels: 25 minutes of stereo at 96 kHz
MAX_BYTES = 1 << 30
MAX_CHANNELS = 64
BLOCK = 1 << 16  # frames that are read at once
SUFFIXES = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".mp3")
UNREADABLE = (".m4a", ".aac", ".wma", ".amr", ".ape", ".ra", ".mka", ".webm")
READABLE = "WAV, FLAC, OGG, AIFF and MP3 are read."
CONVERT = f"{READABLE} Convert it to one of these, or take it away."
FETCH = "Fetch or copy the file again, or take it away."
STREAMED = (0, 0xFFFFFFFF, 0x7FFFFFFF)  # lengths that a writer leaves when it cannot go back


@dataclass(eq=False)
class Sounds:
    """Sounds of any lengths at one rate, end to end in one array.

    Examples
    --------
    >>> sounds = Sounds.of([np.zeros(4), np.ones(2)], rate=8000, labels=["hush", "click"])
    >>> len(sounds), sounds[1].tolist(), sounds.fixed(3).tolist()
    (2, [1.0, 1.0], [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    """

    ids: list[str]
    """The path as given, or below the folder; the sound's number where there is none."""
    flat_S: np.ndarray
    """float32: all sounds, one after the other."""
    length_N: np.ndarray
    rate: int
    """Samples a second."""
    labels: np.ndarray | None = None
    """(N,) object array of text; None when there are none."""
    table: pa.Table | None = None
    """What else is known of each sound, row by row."""
    bad: list[Bad] = field(default_factory=list)
    """Every file that could not be read."""
    notes: list[str] = field(default_factory=list)
    """What was guessed or changed."""
    name: str = "the sounds"

    @classmethod
    def of(
        cls, arrays: Iterable[np.ndarray], rate: int, *, ids: Sequence[str] | None = None,
        labels: Sequence[str] | None = None, name: str = "the sounds",
    ) -> "Sounds":  # fmt: skip
        """Sounds from mono arrays (T)."""
        parts = [np.asarray(array, np.float32) for array in arrays]
        own = unique(ids) if ids is not None else [str(i) for i in range(len(parts))]
        flat_S = np.concatenate([np.zeros(0, np.float32), *parts])
        length_N = np.array([len(part) for part in parts], np.int64)
        return cls(own, flat_S, length_N, rate, None if labels is None else np.array(labels, object), name=name)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> np.ndarray:
        start = int(self._start_N[i])
        return self.flat_S[start : start + int(self.length_N[i])]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def _start_N(self) -> np.ndarray:
        return np.cumsum(self.length_N) - self.length_N

    @property
    def seconds_N(self) -> np.ndarray:
        """How long each lasts."""
        return self.length_N / self.rate

    @cached_property
    def digest_N16(self) -> np.ndarray:
        """A hash of the rate and samples of each, (N, 16) bytes."""
        start = self.rate.to_bytes(4, "little")
        found = b"".join(hashlib.sha256(start + sound.tobytes()).digest()[:16] for sound in self)
        return np.frombuffer(found, np.uint8).reshape(-1, 16)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of samples, rate and ids: the same data give the same."""
        found = hashlib.sha256(self.digest_N16.tobytes())
        found.update(json.dumps(self.ids).encode())
        return found.hexdigest()

    def take(self, rows: Any) -> "Sounds":
        """Some of the sounds, by numbers or by booleans."""
        rows = np.arange(len(self))[rows]
        chosen = Sounds.of([self[i] for i in rows], self.rate, ids=[self.ids[i] for i in rows], name=self.name)
        chosen.labels = None if self.labels is None else self.labels[rows]
        chosen.table = None if self.table is None else self.table.take(rows)
        chosen.bad, chosen.notes = self.bad, self.notes
        return chosen

    def fixed(self, n_samples: int) -> np.ndarray:
        """All in one length, float32 (N, n_samples): short ones end in silence, of long ones the loudest part."""
        result = np.zeros((len(self), n_samples), np.float32)
        for i, sound in enumerate(self):
            part = _loudest(sound, n_samples)
            result[i, : len(part)] = part
        return result


def _loudest(sound_T: np.ndarray, n_samples: int) -> np.ndarray:
    if len(sound_T) <= n_samples:
        return sound_T
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound_T, dtype=np.float64))])
    start = int(np.argmax(energy[n_samples:] - energy[:-n_samples]))
    return sound_T[start : start + n_samples]


# ---- one file ------------------------------------------------------------------------------------


def claims_to_be_sound(name: str) -> bool:
    """Whether a file of this name claims to be a sound, of a kind that can be read or not."""
    return "." + name.rpartition(".")[2].lower() in (*SUFFIXES, *UNREADABLE)


def is_sound(head: bytes) -> bool:
    """Whether a file that begins so is of a kind that can be read."""
    if head[:4] in (b"RIFF", b"RF64"):
        return head[8:12] == b"WAVE"
    if head[:4] == b"FORM":
        return head[8:12] in (b"AIFF", b"AIFC")
    return head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def decode_sound(file: BinaryIO) -> tuple[np.ndarray, int, str | None]:
    """Mono float32 samples (T), their rate, and a remark; DataError without the file's name.

    Raises
    ------
    DataError
        When it is no sound, is cut short, holds nothing, or its header claims what cannot be.
    """
    import soundfile

    head = file.read(64)
    if not head:
        raise DataError(f"is empty (0 bytes). {FETCH}")
    if not is_sound(head):
        raise DataError(_stranger(head))
    file.seek(0)
    try:
        with soundfile.SoundFile(_Steady(file)) as opened:
            _refuse_absurd(opened.samplerate, opened.channels)
            sound_TC, rate, is_exact = _read(opened), opened.samplerate, opened.format in ("FLAC", "AIFF")
            missing = opened.frames - len(sound_TC) if is_exact else 0
    except (soundfile.SoundFileError, ValueError, TypeError, OverflowError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be decoded ({_plain(error)}). {FETCH}") from error
    remark = _length_remark(file) if head[:4] == b"RIFF" else None
    if missing > 0:
        raise DataError(f"is cut short: {len(sound_TC)} samples are there, {missing} are missing. {FETCH}")
    mono_T, scaled = _mono(sound_TC)
    return mono_T, rate, remark or scaled


class _Steady:
    """A file that takes every place it is sent to: damaged headers send the decoder to places before the start."""

    def __init__(self, file: BinaryIO):
        self.file, self.read, self.tell = file, file.read, file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        """To a place from the start (0), from here (1) or from the end (2)."""
        start = self.file.tell() if whence == 1 else self.file.seek(0, 2) if whence == 2 else 0
        return self.file.seek(min(max(0, start + offset), MAX_BYTES))


def _refuse_absurd(rate: int, n_channels: int) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(
            f"claims a rate of {rate} samples a second; {RATES[0]} to {RATES[1]} are allowed. "
            "Set the rate in its header right, or take it away."
        )
    if n_channels > MAX_CHANNELS:
        raise DataError(f"claims {n_channels} channels; at most {MAX_CHANNELS} are allowed. {FETCH}")


def _read(opened: Any) -> np.ndarray:
    """All samples (T, C), whatever the header says of their number."""
    blocks, n_samples = [], 0
    while True:
        block = opened.read(BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block)
        n_samples += block.size
        if n_samples > MAX_SAMPLES:
            raise DataError(f"holds more than {MAX_SAMPLES} samples. Cut it into shorter files.")
    if not blocks:
        raise DataError(f"holds no samples: only a header. {FETCH}")
    return np.concatenate(blocks)


def _mono(sound_TC: np.ndarray) -> tuple[np.ndarray, str | None]:
    n_wrong = int((~np.isfinite(sound_TC)).any(1).sum())
    if n_wrong:
        raise DataError(
            f"has {n_wrong} of {len(sound_TC)} samples that are no finite numbers. Write it anew, or take it away."
        )
    mono_T = sound_TC[:, 0] if sound_TC.shape[1] == 1 else sound_TC.mean(1, dtype=np.float64).astype(np.float32)
    peak = float(np.abs(mono_T).max())
    if peak <= 1:
        return np.ascontiguousarray(mono_T), None
    return (mono_T / np.float64(peak)).astype(np.float32), "samples beyond -1..1: scaled to a peak of 1"


def _length_remark(file: BinaryIO) -> str | None:
    """Compare the length that a WAV header claims with what is there; DataError where the file is cut short."""
    n_bytes = file.seek(0, 2)
    place = 12
    while place + 8 <= n_bytes:
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            there = n_bytes - place - 8
            if size in STREAMED and there:
                return "no length in the header: read to the end of the file"
            if size > there:
                raise DataError(f"is cut short: its header claims {size} bytes of sound, {there} are there. {FETCH}")
            return None
        place += 8 + size + size % 2
    return None


def _stranger(head: bytes) -> str:
    signs = (
        (b"version https://git-lfs", "is a Git LFS pointer that stands for the sound. Run 'git lfs pull' to fetch it."),
        (b"\x1aE\xdf\xa3", f"is a video. {CONVERT}"),
        (b"PK\x03\x04", "is a ZIP archive. Unpack it, or give the archive itself."),
        (b"\x89PNG", "is a picture. Take it away."),
        (b"\xff\xd8\xff", "is a picture. Take it away."),
        (b"#!AMR", f"is an AMR recording. {CONVERT}"),
        (b"0&\xb2u", f"is Windows Media. {CONVERT}"),
    )
    for sign, what in signs:
        if head.startswith(sign):
            return what
    if head[4:8] == b"ftyp":
        return f"is MPEG-4 (M4A, AAC). {CONVERT}"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<head")):
        return f"is a web page: the download went wrong. {FETCH}"
    return f"is no sound that can be read: it begins with {head[:4]!r}. {CONVERT}"


def _plain(error: Exception) -> str:
    """The library's reason without what it says of our file object."""
    return str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__


def resample(sound_T: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """The sound at another rate, without what the new rate cannot hold (anti-aliased).

    A polyphase filter (scipy's resample_poly); the length is T new_rate / rate, rounded up.
    """
    if rate == new_rate:
        return sound_T
    from scipy.signal import resample_poly

    # rates without a common divisor would need a filter of millions of taps: 1e-8 of the rate is given up
    ratio = Fraction(new_rate, rate).limit_denominator(10_000)
    made = resample_poly(sound_T.astype(np.float64), ratio.numerator, ratio.denominator)
    return made[: max(1, math.ceil(len(sound_T) * new_rate / rate))].astype(np.float32)
