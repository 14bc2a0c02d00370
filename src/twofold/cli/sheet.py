"""Pictures on one sheet, each above its name.

Dimension key: H, W height and width, C channels.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from twofold.data.sheets import contact_sheet

__all__ = ["named_sheet"]

SIDE, LINE = 192, 16  # pixels of a tile, and of the name in it


def named_sheet(pictures: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Whole pictures (H, W, C), made smaller, with their names: uint8 (H, W, 3)."""
    return contact_sheet([_tile(*pair) for pair in zip(pictures, names, strict=True)])


def _tile(picture_HWC: np.ndarray, name: str) -> np.ndarray:
    image = Image.fromarray(np.broadcast_to(picture_HWC, (*picture_HWC.shape[:2], 3)))
    image.thumbnail((SIDE, SIDE - LINE), Image.Resampling.BICUBIC)
    tile = Image.new("RGB", (SIDE, SIDE), "white")
    tile.paste(image, ((SIDE - image.width) // 2, (SIDE - LINE - image.height) // 2))
    ImageDraw.Draw(tile).text((2, SIDE - LINE + 1), _fitting(name), fill="black", font=_font())
    return np.asarray(tile)


def _fitting(name: str) -> str:
    """The name, its middle left out where it is too long for a tile."""
    short, n = name, len(name)
    while _font().getlength(short) > SIDE - 4:
        n -= 1
        short = f"{name[: n // 2]}…{name[len(name) - n + n // 2 :]}"
    return short


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 11)
