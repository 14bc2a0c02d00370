"""One picture file to pixels, whatever the file holds, and back.

What is done: EXIF orientation is applied; alpha is laid on white; palettes and CMYK become RGB; of several frames or
pages the first is taken; colour profiles are not applied. Values beyond 8 bits: 16-bit ones are divided by 257;
32-bit and floating-point ones are taken as 0..1 or 0..255 when they lie there (whole ones also as 0..65535), and are
else stretched from the picture's lowest to its highest. Only the decoders named in picture_kinds.py are ever started;
a picture larger than MAX_PIXELS is refused before it is decoded.
Dimension key: H height, W width, C channels: 1 when the picture is grey, else 3.
"""

import io
import math
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from twofold.data.atomic import write_atomically
from twofold.data.names import shown
from twofold.data.picture_kinds import FETCH, HEAD_BYTES, format_of
from twofold.errors import DataError

__all__ = ["MAX_BYTES", "MAX_PIXELS", "decode", "decode_picture", "open_regular", "pixels_of", "write_picture"]

MAX_PIXELS = 64_000_000
MAX_BYTES = 1 << 29  # of a file; 64 million pixels of 64 bits
SHRINK = f"Shrink it to at most {MAX_PIXELS // 10**6} million pixels, or take it away."
ORIENTATION = 0x112  # the EXIF tag
WRITABLE = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip


def decode_picture(source: str | Path | bytes, name: str | None = None) -> np.ndarray:
    """The pixels of one picture file: uint8 (H, W, C).

    Parameters
    ----------
    source : path, or the file's bytes.
    name : what messages call it; the path by default.

    Raises
    ------
    DataError
        When it is no picture, is damaged, or is too large: it names the file, the reason and the remedy.
    """
    name = name or ("the picture" if isinstance(source, bytes) else shown(str(source)))
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open_regular(Path(source)) as file:
            return decode(file)[0]
    except DataError as error:
        raise DataError(f"{name} {error}") from error


def open_regular(path: Path) -> BinaryIO:
    """Open a plain file for reading; a pipe, socket or device is never opened."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise DataError(f"{_sort(mode)}, not a file; it is not opened. Take it away.")
        return open(path, "rb")
    except OSError as error:
        raise DataError(_why_closed(path, error)) from error


def decode(file: BinaryIO, short_side: int | None = None) -> tuple[np.ndarray, str | None]:
    """Pixels (H, W, C) and a remark on how values beyond 8 bits were read; DataError without the file's name.

    Parameters
    ----------
    short_side : shrink a larger picture to this many pixels on its short side, while it is decoded where that is quick.
    """
    with _guarded():
        return _decode(file, short_side)


def write_picture(path: str | Path, array: np.ndarray) -> None:
    """Write pixels, uint8 (H, W), (H, W, 1) or (H, W, 3), in the format of the path's ending, whole or not at all."""
    path = Path(path)
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path} ends in {path.suffix!r}; pictures are written as {', '.join(WRITABLE)}. Give one.")
    array = np.asarray(array)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        what = f"{array.dtype} {array.shape}"
        raise DataError(f"the pixels for {path} are {what}; uint8 (H, W), (H, W, 1) or (H, W, 3) is needed.")
    image = Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
    options: dict[str, dict[str, Any]] = {"JPEG": {"quality": 92}, "WEBP": {"lossless": True}}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options.get(kind, {}))
    write_atomically(path, buffer.getbuffer())


def pixels_of(picture: Any, short_side: int | None = None) -> np.ndarray:
    """Pixels (H, W, C) of a PIL image, or of an array (H, W) or (H, W, C) of bytes, booleans, uint16 or floats 0..1."""
    if isinstance(picture, Image.Image):
        with _guarded():
            return _pixels(picture, short_side)[0]
    array = _bytes_of(np.asarray(picture))
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        what = f"is an array of shape {array.shape}"
        raise DataError(f"{what}; a picture is (height, width), or has 1, 3 or 4 channels last. Turn its axes so.")
    is_large = short_side is not None and min(array.shape[:2]) > short_side
    if array.shape[2] == 4 or is_large:
        return _pixels(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), short_side)[0]
    return np.ascontiguousarray(array)


def _bytes_of(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind in "iu" and array.size and 0 <= array.min() and array.max() <= 255:
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and array.size and 0 <= array.min() and array.max() <= 1:  # false for NaN
        return np.rint(array * 255.0).astype(np.uint8)
    span = f"{array.min()} to {array.max()}" if array.dtype.kind in "iuf" and array.size else "no numbers"
    raise DataError(
        f"is an array of {array.dtype} ({span}); uint8, whole numbers from 0 to 255, uint16 or floats from 0 to 1 "
        "are needed. Scale it to one of these."
    )


# ---- reading -------------------------------------------------------------------------------------


@contextmanager
def _guarded() -> Iterator[None]:
    """Whatever a decoder raises on a damaged file becomes a DataError; what it warns of is not told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"claims to be larger than any picture here may be. {SHRINK}") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"has a damaged header, or is of a rare kind that is not read. {FETCH}") from error
    except MemoryError as error:
        raise DataError(f"needs more memory than there is. {SHRINK}") from error
    except Exception as error:
        if "MAX_TEXT" in str(error):
            raise DataError("holds a note or profile that unpacks to megabytes. Save it again without.") from error
        raise DataError(f"cannot be decoded ({_reason(error)}): it is cut short or damaged. {FETCH}") from error


def _decode(file: BinaryIO, short_side: int | None) -> tuple[np.ndarray, str | None]:
    n_bytes = file.seek(0, io.SEEK_END)
    if n_bytes > MAX_BYTES:
        raise DataError(f"is {n_bytes / 1e9:.1f} GB; a picture of up to {MAX_BYTES / 1e9:.1f} GB is read. {SHRINK}")
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = format_of(head)
    if kind == "WEBP":
        _refuse_large(*_webp_size(head))  # its decoder takes the memory as soon as it is opened
    file.seek(0)
    with Image.open(file, formats=[kind]) as image:
        _refuse_large(*image.size)
        if short_side is not None and kind == "JPEG":
            image.draft(image.mode, _at_least(image.size, 2 * short_side))
        return _pixels(image, short_side)


def _pixels(image: Image.Image, short_side: int | None) -> tuple[np.ndarray, str | None]:
    image.load()
    pixels, remark = _as_bytes(image)
    pixels = _turned(pixels, _orientation(image))
    if short_side is not None and min(pixels.shape[:2]) > short_side:
        pixels = _shrunk(pixels, short_side)
    return np.ascontiguousarray(pixels), remark


def _refuse_large(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(f"claims to be {width} x {height} pixels. {SHRINK}")
    if width < 1 or height < 1:
        raise DataError(f"has no area ({width} x {height} pixels). {FETCH}")


def _webp_size(head: bytes) -> tuple[int, int]:
    kind, head = head[12:16], head.ljust(30, b"\0")
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _at_least(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = min(1.0, short_side / min(size))
    return math.ceil(size[0] * scale), math.ceil(size[1] * scale)


def _shrunk(pixels: np.ndarray, short_side: int) -> np.ndarray:
    H, W, C = pixels.shape
    scale = short_side / min(H, W)
    size = max(1, round(W * scale)), max(1, round(H * scale))
    image = Image.fromarray(pixels[..., 0] if C == 1 else pixels).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size[1], size[0], C)


def _as_bytes(image: Image.Image) -> tuple[np.ndarray, str | None]:
    if image.mode.startswith("I") or image.mode == "F":
        pixels_HW, remark = _eight_bits(np.asarray(image))
        return pixels_HW[..., None], remark
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None], None
    pixels = np.asarray(image.convert("RGB"))
    return (pixels[..., :1] if _is_grey(pixels) else pixels), None


def _is_grey(pixels: np.ndarray) -> bool:
    """Whether all three channels are the same everywhere; most colour pictures are told by a few pixels."""
    for part in (pixels[::37, ::41], pixels):
        if not (np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 0], part[..., 2])):
            return False
    return True


def _eight_bits(value_HW: np.ndarray) -> tuple[np.ndarray, str]:
    """Values beyond 8 bits, as the module says."""
    if value_HW.dtype.itemsize == 2:
        value_HW = value_HW.astype(np.uint32)
        return ((value_HW + 128) // 257).astype(np.uint8), "16-bit values, divided by 257"
    if not np.isfinite(value_HW).all():
        n_bad = int((~np.isfinite(value_HW)).sum())
        raise DataError(f"holds {n_bad} values that are no numbers. Fill them in, or take the picture away.")
    low, high = float(value_HW.min()), float(value_HW.max())
    is_whole = value_HW.dtype.kind != "f"
    what = "32-bit whole values" if is_whole else "floating-point values"
    if low >= 0 and high <= 1 and not is_whole:
        scale, low, how = 255.0, 0.0, "times 255"
    elif low >= 0 and high <= 255:
        scale, low, how = 1.0, 0.0, "taken as 0..255"
    elif low >= 0 and high <= 65535 and is_whole:
        scale, low, how = 1 / 257, 0.0, "divided by 257"
    else:
        scale, how = 255 / max(high - low, 1e-30), "stretched from each picture's lowest to its highest"
    return np.rint((value_HW.astype(np.float64) - low) * scale).astype(np.uint8), f"{what}, {how}"


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing on the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The picture as it was seen; EXIF counts flips and quarter turns from 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


# ---- reasons -------------------------------------------------------------------------------------


def _sort(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "is a folder"), (stat.S_ISFIFO, "is a pipe"), (stat.S_ISSOCK, "is a socket"))
    return next((what for test, what in kinds if test(mode)), "is a device")


def _why_closed(path: Path, error: OSError) -> str:
    if path.is_symlink() and not path.exists():
        return "is a link that leads nowhere. Mend the link, or take it away."
    if isinstance(error, FileNotFoundError):
        return "does not exist. Give the path of a picture."
    if isinstance(error, PermissionError):
        return "may not be read by you. Change its permissions (chmod u+r), or take it away."
    return f"cannot be opened ({error.strerror}). {FETCH}"


def _reason(error: Exception) -> str:
    text = shown(str(error).splitlines()[0][:100]) if str(error) else ""
    return text or type(error).__name__
