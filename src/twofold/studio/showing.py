"""Arrays as bytes that a browser shows or plays.

Dimension key: H, W height and width, C channels, T samples.
"""

from io import BytesIO

import numpy as np
from PIL import Image

from twofold.data.audio import write_sound

__all__ = ["enlarged", "png", "shrunk", "wav"]


def png(picture_HWC: np.ndarray) -> bytes:
    """A picture, uint8 (H, W), (H, W, 1), (H, W, 3) or with opacity (H, W, 4), as PNG."""
    picture = np.ascontiguousarray(picture_HWC)
    buffer = BytesIO()
    Image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture).save(buffer, "PNG")
    return buffer.getvalue()


def shrunk(picture_HWC: np.ndarray, side: int) -> np.ndarray:
    """The picture brought to at most that height and width."""
    height, width = picture_HWC.shape[:2]
    if max(height, width) <= side:
        return picture_HWC
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    plain = picture_HWC[..., 0] if picture_HWC.ndim == 3 and picture_HWC.shape[2] == 1 else picture_HWC
    return np.asarray(Image.fromarray(np.ascontiguousarray(plain)).resize(size, Image.Resampling.BILINEAR))


def enlarged(picture_HWC: np.ndarray, side: int) -> np.ndarray:
    """A small picture with each pixel as a square, at least `side` pixels high."""
    scale = max(1, -(-side // picture_HWC.shape[0]))
    return picture_HWC.repeat(scale, 0).repeat(scale, 1)


def wav(sample_T: np.ndarray, rate: int) -> bytes:
    """A sound as WAV."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        write_sound(path, sample_T, rate)
        return path.read_bytes()
