"""What is handed to a picture verb - paths, PIL images, arrays, one or many - as pictures, and answers as it came.

Dimension key: N pictures, B of them at a time, H, W height and width, S side of a square, C channels, Z latent numbers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError
from twofold.nn.convolutional import PixelCells, convolutions

__all__ = ["PictureRows", "as_given", "each_picture", "side_by_side"]

LARGEST_CHOSEN = 64  # side; larger ones are for users to ask for
NARROWER = 16  # times than a network for tables: a convolution computes at every pixel


def each_picture(X: Any) -> tuple[Pictures | Sequence[np.ndarray], bool]:
    """Pictures (H, W, C) one by one, uint8 or, where floats in 0..1 came, float32; and whether a single one was given.

    Floats may lie outside 0..1, as noisy ones do: nothing is cut off or rounded.
    """
    if isinstance(X, Pictures):
        return X, False
    if _is_float(X):
        array = np.asarray(X, np.float32)
        if array.ndim not in (2, 3, 4) or not np.isfinite(array).all():
            raise DataError(
                f"an array of shape {array.shape} was given; pictures are finite, and (H, W), (H, W, C) "
                "or (N, H, W, C). "
                "Reshape it, or mend its NaNs."
            )
        return (list(array), False) if array.ndim == 4 else ([array.reshape(*array.shape[:2], -1)], True)
    is_list = isinstance(X, list | tuple)
    if is_list and X and all(_is_float(picture) for picture in X):
        return [each_picture(picture)[0][0] for picture in X], False
    pictures = open_pictures(X)
    is_one = not is_list and len(pictures) == 1 and not _is_many(X)
    return pictures, is_one


def as_given(answer_HWC: np.ndarray, given: Any) -> np.ndarray:
    """The answer without its channel axis, where the picture came without one."""
    is_flat = isinstance(given, np.ndarray) and given.ndim == 2
    return answer_HWC[..., 0] if is_flat else answer_HWC


def side_by_side(one_NHWC: Tensor, other_NHWC: Tensor) -> np.ndarray:
    """Pictures by turns from the one and the other, uint8 (2N, H, W, C): pairs, on a sheet with even columns."""
    return torch.stack([one_NHWC, other_NHWC], 1).flatten(0, 1).cpu().numpy()


def _is_float(X: Any) -> bool:
    return getattr(getattr(X, "dtype", None), "kind", "") == "f"


def _is_many(X: Any) -> bool:
    """A folder, an archive or a stack is many pictures even when it holds but one."""
    if isinstance(X, str | Path):
        return not Path(X).is_file() or Path(X).suffix.lower() in (".zip", ".gz", ".parquet")
    return isinstance(X, np.ndarray) and X.ndim == 4


class PictureRows:
    """Pictures on their way into a network of ordered cells, in one size, and back.

    Parameters
    ----------
    size : S; the middle square of each picture is brought to it.
    channels : 1 or 3.
    """

    dtype = torch.float32

    def __init__(self, size: int, channels: int):
        self.size, self.channels = size, channels

    @classmethod
    def learn(cls, estimator: Any, X: Any) -> tuple["PictureRows", tuple[np.ndarray, ...]]:
        """The size that suits X, and its pictures in that size."""
        pictures = open_pictures(X)
        rows = cls(estimator.image_size or _suitable(pictures.size_N2), pictures.channels)
        return rows, rows.arrays(estimator, pictures)

    def cells(self) -> PixelCells:
        """What a picture is to a network."""
        return PixelCells(self.size, self.channels)

    def networks(self, cells: PixelCells, latent_dim: int, dim: int, depth: int) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder; the depth follows from the size."""
        return convolutions(cells, latent_dim, max(4, dim // NARROWER))

    def sizes_of(self, weights: Mapping[str, Tensor]) -> tuple[int, int]:
        """Width and depth of the networks, as `networks` takes them."""
        return weights["encoder.layers.0.0.weight"].shape[0] * NARROWER, 1

    def arrays(self, estimator: Any, X: Any) -> tuple[np.ndarray, ...]:
        """X for a later verb: pixels (N, S, S, C)."""
        return (open_pictures(X).resized(self.size, channels=self.channels),)

    def tensors(self, arrays: tuple[np.ndarray, ...], rows: slice) -> tuple[Tensor, ...]:
        """Some of the pictures, for the network."""
        return (torch.tensor(arrays[0][rows]),)

    def n_present(self, pixel_BSSC: Tensor) -> Tensor:
        """Pixels of each picture (B): none are missing."""
        return torch.full((len(pixel_BSSC),), self.channels * self.size**2)

    def answer(self, pixel_NSSC: np.ndarray, X: Any = None) -> np.ndarray:
        """Pictures as uint8 (N, S, S, C)."""
        return pixel_NSSC

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"size": self.size, "channels": self.channels}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "PictureRows":
        """The reverse of `to_json`."""
        return cls(int(told["size"]), int(told["channels"]))


def _suitable(size_N2: np.ndarray) -> int:
    """About the median of the short sides, at most 64, and a number that can be halved thrice."""
    return int(np.clip(np.median(size_N2.min(1)) // 8 * 8, 8, LARGEST_CHOSEN))
