"""What is handed to a picture verb - paths, PIL images, arrays, one or many - as pictures, and answers as it came.

Dimension key: N pictures, H, W height and width, C channels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError

__all__ = ["as_given", "each_picture", "with_channels"]


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
                f"an array of shape {array.shape} was given; pictures are finite and (H, W), (H, W, C) or (N, H, W, C). "
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


def with_channels(picture_HWC: np.ndarray, channels: int) -> np.ndarray:
    """A grey picture as colour, or a colour picture as grey (by luma), where the model needs the other."""
    if picture_HWC.shape[2] == channels:
        return picture_HWC
    if channels == 3:
        return np.repeat(picture_HWC, 3, 2)
    luma = picture_HWC @ np.array([0.299, 0.587, 0.114], np.float32)
    return (luma if picture_HWC.dtype.kind == "f" else luma.round().astype(np.uint8))[..., None]


def _is_float(X: Any) -> bool:
    return getattr(getattr(X, "dtype", None), "kind", "") == "f"


def _is_many(X: Any) -> bool:
    """A folder, an archive or a stack is many pictures even when it holds but one."""
    if isinstance(X, str | Path):
        return not Path(X).is_file() or Path(X).suffix.lower() in (".zip", ".gz", ".parquet")
    return isinstance(X, np.ndarray) and X.ndim == 4
