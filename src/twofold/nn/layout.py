"""How a picture lies in a file: tiles of whole blocks, each seen with the margin that its networks look at.

So no seam shows: a tile's pixels are those that the whole picture would have given.
Dimension key: B pictures; Y, X, C picture height, width, channels; H, W blocks down and across.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twofold.errors import DataError
from twofold.nn.codec import BLOCK, N_LEVELS

__all__ = ["Layout", "Place", "centred", "in_pixels", "turned", "with_margin"]

TILE = 96  # blocks, at most, down and across

Place = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Layout:
    """How a picture lies in a file."""

    size: tuple[int, int, int]  # height, width, channels
    level: int  # of quality
    tile: int = TILE

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> "Layout":
        """From a file's header.

        Raises
        ------
        DataError
            When it says what no picture has.
        """
        size, level, tile = (header.get(name) for name in ("size", "level", "tile"))
        numbers = [*size, level, tile] if isinstance(size, list) and len(size) == 3 else [None]
        is_whole = all(type(number) is int for number in numbers)
        if not (is_whole and min(size) > 0 and size[2] in (1, 3) and 0 <= level <= N_LEVELS and 0 < tile <= TILE):
            raise DataError("the file's header lacks what a picture needs. Compress the original again.")
        return cls(tuple(size), level, tile)

    def header(self) -> dict[str, Any]:
        """The reverse of `of`."""
        return asdict(self) | {"size": list(self.size)}

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks down and across."""
        return -(-self.size[0] // BLOCK), -(-self.size[1] // BLOCK)

    @property
    def n_tiles(self) -> int:
        """How many parts the file has."""
        return -(-self.shape[0] // self.tile) * -(-self.shape[1] // self.tile)

    def tiles(self) -> Iterator[Place]:
        """Rows and columns of blocks, cut into about equal parts."""
        sides = []
        for n_blocks in self.shape:
            edges = np.linspace(0, n_blocks, -(-n_blocks // self.tile) + 1).round().astype(int).tolist()
            sides.append([slice(*edge) for edge in pairwise(edges)])
        yield from product(*sides)


def centred(picture_YXC: np.ndarray) -> Tensor:
    """Pixels around 0, (1, 3, 8H, 8W), sides filled up to whole blocks with their last ones."""
    height, width, _ = picture_YXC.shape
    filled_YXC = np.pad(picture_YXC, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), "edge")
    return torch.from_numpy(filled_YXC).permute(2, 0, 1)[None].expand(-1, 3, -1, -1).float() - 128


def turned(patch_BYXC: Tensor, is_flipped_B2: Tensor) -> Tensor:
    """Bytes as pixels around 0 (B, 3, Y, X), some of them mirrored or turned on their diagonal."""
    pixel_B3YX = patch_BYXC.permute(0, 3, 1, 2).float() - 128
    is_mirrored_B111, is_turned_B111 = is_flipped_B2[:, :, None, None, None].unbind(1)
    pixel_B3YX = torch.where(is_mirrored_B111, pixel_B3YX.flip(3), pixel_B3YX)
    pixel_B3YX = torch.where(is_turned_B111, pixel_B3YX.transpose(2, 3), pixel_B3YX)
    return pixel_B3YX.contiguous(memory_format=torch.channels_last)


def with_margin(place: Place, shape: tuple[int, int], margin: int) -> tuple[Place, Place]:
    """A place with the blocks around it, as far as there are any, and where it lies in that."""
    wide = [slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(place, shape, strict=True)]
    inner = [slice(s.start - w.start, s.stop - w.start) for s, w in zip(place, wide, strict=True)]
    return (wide[0], wide[1]), (inner[0], inner[1])


def in_pixels(place: Place) -> Place:
    """The same place in pixels."""
    rows, columns = (slice(BLOCK * side.start, BLOCK * side.stop) for side in place)
    return rows, columns
