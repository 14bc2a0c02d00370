"""Many pictures of any sizes, packed as uint8, and what is known of each.

Dimension key: N pictures, H height, W width, C channels (1 grey, 3 colour).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from twofold.data.names import unique
from twofold.data.pixels import Packer, Pixels, room
from twofold.errors import DataError, SettingError

__all__ = ["Bad", "Pictures"]

FITS = ("crop", "stretch", "pad")
LUMA = np.array([299, 587, 114])  # thousandths, ITU-R BT.601


class Bad(NamedTuple):
    """A file that could not be read."""

    name: str
    reason: str
    """Why, and what to do."""


@dataclass(eq=False)
class Pictures:
    """Pictures of any sizes, decoded once and packed as uint8.

    Examples
    --------
    >>> pictures = Pictures.of(np.zeros((2, 8, 6, 3), np.uint8), labels=["cat", "dog"])
    >>> pictures[1].shape, pictures.resized(4, channels=1).shape
    ((8, 6, 3), (2, 4, 4, 1))
    """

    ids: list[str]
    """The path as given, or below the folder (see names.original for odd letters); the row's number where none is."""
    pixels: Pixels
    labels: np.ndarray | None = None
    """(N,) object array of text: class folder, label column, idx labels; None when there are none."""
    table: pa.Table | None = None
    """What else is known of each picture, row by row."""
    bad: list[Bad] = field(default_factory=list)
    """Every file that could not be read."""
    notes: list[str] = field(default_factory=list)
    """What was guessed."""
    name: str = "the pictures"
    """What messages call them."""

    @classmethod
    def of(
        cls, arrays: Iterable[np.ndarray], *, ids: Sequence[str] | None = None, labels: Sequence[str] | None = None,
        table: pa.Table | None = None, name: str = "the pictures",
    ) -> "Pictures":  # fmt: skip
        """Pictures from uint8 arrays (H, W), (H, W, 1) or (H, W, 3), one after the other."""
        packer = Packer("memory")
        for array in arrays:
            packer.add(array.reshape(*array.shape[:2], -1))
        pixels = packer.finish({}, keep=False)
        n = len(pixels.start_N)
        own = unique(ids) if ids is not None else [str(i) for i in range(n)]
        return cls(own, pixels, None if labels is None else np.array(labels, object), table, name=name)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> np.ndarray:
        return _in_channels(self.pixels[i], self.channels)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def size_N2(self) -> np.ndarray:
        """Height and width of each picture."""
        return self.pixels.shape_N3[:, :2]

    @cached_property
    def channels(self) -> int:
        """1 when every picture is grey, else 3."""
        return int(self.pixels.shape_N3[:, 2].max(initial=1))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of pixels and ids: the same data give the same."""
        found = hashlib.sha256(self.pixels.digest_N16.tobytes())
        found.update(json.dumps(self.ids).encode())
        return found.hexdigest()

    @property
    def n_duplicates(self) -> int:
        """Pictures whose pixels are those of an earlier one."""
        return len(self) - len(np.unique(self.pixels.digest_N16, axis=0)) if len(self) else 0

    def take(self, rows: Any) -> "Pictures":
        """Some of the pictures, by numbers or by booleans; the pixels are shared."""
        rows = np.arange(len(self))[rows]
        return Pictures(
            [self.ids[i] for i in rows], self.pixels.take(rows), None if self.labels is None else self.labels[rows],
            None if self.table is None else self.table.take(rows), self.bad, self.notes, self.name,
        )  # fmt: skip

    def resized(self, size: int, *, channels: int | None = None, fit: str = "crop") -> np.ndarray:
        """All pictures in one size, antialiased: uint8 (N, size, size, C), a mapped file when large.

        Parameters
        ----------
        channels : 1 or 3; as the pictures are by default.
        fit : "crop" the middle square, "stretch" the whole, or "pad" the whole with its mean colour.
        """
        if fit not in FITS:
            raise SettingError(f"fit is {fit!r}; allowed are {', '.join(FITS)}. Give one of these.")
        C = self.channels if channels is None else channels
        result = room((len(self), size, size, C))
        for i in range(len(self)):
            result[i] = _fitted(_in_channels(self.pixels[i], C), size, fit)
        return result

    def patches(self, size: int, n: int, *, seed: int, channels: int | None = None) -> np.ndarray:
        """Random windows, uint8 (n, size, size, C), in the order they were drawn.

        A picture is drawn in proportion to its area; one that is smaller is mirrored up to `size`.
        """
        if not len(self):
            raise DataError(f"{self.name} hold no pictures to cut windows from. Add some.")
        C = self.channels if channels is None else channels
        rng = np.random.default_rng(seed)
        area_N = self.size_N2.prod(1).astype(float)
        row_n, place_n2 = rng.choice(len(self), n, p=area_N / area_N.sum()), rng.random((n, 2))
        result = room((n, size, size, C))
        for i in np.argsort(row_n, kind="stable"):  # neighbours in the file are read together
            result[i] = _in_channels(_window(self.pixels[row_n[i]], size, place_n2[i]), C)
        return result


def _in_channels(picture: np.ndarray, C: int) -> np.ndarray:
    if picture.shape[2] == C:
        return picture
    if C == 3:
        return np.repeat(picture, 3, 2)
    return ((picture @ LUMA + 500) // 1000).astype(np.uint8)[..., None]


def _window(picture: np.ndarray, size: int, place_2: np.ndarray) -> np.ndarray:
    short = [max(0, size - n) for n in picture.shape[:2]]
    if any(short):
        picture = np.pad(picture, [(n // 2, n - n // 2) for n in short] + [(0, 0)], "symmetric")
    top, left = ((np.array(picture.shape[:2]) - size + 1) * place_2).astype(int)
    return picture[top : top + size, left : left + size]


def _fitted(picture: np.ndarray, size: int, fit: str) -> np.ndarray:
    H, W, C = picture.shape
    if (H, W) == (size, size):
        return picture
    box, inner = (0.0, 0.0, float(W), float(H)), (size, size)
    if fit == "crop":
        side = min(H, W)
        left, top = (W - side) / 2, (H - side) / 2
        box = (left, top, left + side, top + side)
    elif fit == "pad":
        scale = size / max(H, W)
        inner = (max(1, round(W * scale)), max(1, round(H * scale)))
    image = Image.fromarray(picture[..., 0] if C == 1 else picture)
    pixels = np.asarray(image.resize(inner, Image.Resampling.BICUBIC, box=box)).reshape(inner[1], inner[0], C)
    if inner == (size, size):
        return pixels
    whole = np.broadcast_to(picture.mean((0, 1)).round().astype(np.uint8), (size, size, C)).copy()
    top, left = (size - inner[1]) // 2, (size - inner[0]) // 2
    whole[top : top + inner[1], left : left + inner[0]] = pixels
    return whole
