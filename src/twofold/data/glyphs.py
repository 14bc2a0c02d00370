"""Signs as pictures: what the font files that come with matplotlib hold, by Unicode name.

Dimension key: N signs, S side in pixels.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from twofold.errors import SettingError

__all__ = ["FACES", "MORE_FACES", "draw_glyphs"]

FACES = ("DejaVuSans",)
MORE_FACES = (
    *FACES, "DejaVuSans-*", "DejaVuSansDisplay", "DejaVuSansMono*", "DejaVuSerif*", "STIXGeneral*", "STIXSiz*",
)  # fmt: skip
"""The Computer Modern faces are left out: their places are not Unicode's, so their signs have no names."""

SIDES = (16, 64)
LETTER_HEIGHT = 0.8  # size of the letters, of the side: nearly all signs then fit with room to spare
CATEGORIES = {
    "Lu": "uppercase letter", "Ll": "lowercase letter", "Lt": "titlecase letter", "Lm": "modifier letter",
    "Lo": "other letter", "Mn": "mark", "Mc": "spacing mark", "Me": "enclosing mark", "Nd": "digit",
    "Nl": "letter number", "No": "other number", "Pc": "connector", "Pd": "dash", "Ps": "opening bracket",
    "Pe": "closing bracket", "Pi": "opening quote", "Pf": "closing quote", "Po": "other punctuation",
    "Sm": "mathematical symbol", "Sc": "currency symbol", "Sk": "modifier symbol", "So": "other symbol",
}  # fmt: skip

# "cyrillic small letter i with grave": script, letter; what follows "with" or names a joined form is left out
LETTER = re.compile(
    r"^(?:(.+?) )??(?:(?:capital|small) )*(?:letter|ligature|syllable|syllabics) (?:(?:capital|small) )*(.+)$"
    r"|^(mathematical) .*?(?:capital|small) (.+)$"
)
VARIANT = re.compile(r"( with .*| (isolated|initial|medial|final) form)$")


def draw_glyphs(size: int = 32, faces: Iterable[str] = FACES) -> tuple[np.ndarray, pa.Table]:
    """Every named sign of these faces, once, black on white in the middle of its picture.

    A sign that looks like one before it is left out (the Greek capital Alpha is a Latin A), and so is one that shows
    nothing. All signs of a face have the same letter size, but for the few that would not fit.

    Parameters
    ----------
    size : side of the pictures in pixels, 16 to 64.
    faces : font files of matplotlib, without their ending; a star stands for anything.

    Returns
    -------
    picture_NSS : uint8, 0 black to 255 white.
    table : id (U+0041), caption (the Unicode name in small letters), label (its category in words), category
        (Unicode's two letters), script and letter (null where the sign is no letter), face.
    """
    if not SIDES[0] <= size <= SIDES[1]:
        raise SettingError(
            f"size is {size}; signs can be drawn from {SIDES[0]} to {SIDES[1]} pixels. Give one of those."
        )
    pictures: dict[bytes, dict[str, str | None]] = {}
    for path in _font_files(faces):
        face = FT2Font(str(path))
        about = {"face": f"{face.family_name} {face.style_name}"}
        for sign, picture_SS in _drawn(path, _named_signs(face), size):
            pictures.setdefault(picture_SS.tobytes(), {**_facts(sign), **about})
    picture_NSS = np.frombuffer(b"".join(pictures), np.uint8).reshape(-1, size, size)
    return picture_NSS, pa.Table.from_pylist(_with_ids(list(pictures.values())))


def _font_files(faces: Iterable[str]) -> list[Path]:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return list(dict.fromkeys(path for face in faces for path in sorted(folder.glob(f"{face}.ttf"))))


def _named_signs(face: FT2Font) -> list[str]:
    """The characters that have a sign and a name, in Unicode's order."""
    signs = [chr(code) for code, place in sorted(face.get_charmap().items()) if place]
    return [sign for sign in signs if unicodedata.name(sign, "")]


def _with_ids(rows: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    """Ids are code points; where several faces show the same one, the face is named too."""
    is_plain = len({row["face"] for row in rows}) == 1
    return [row if is_plain else row | {"id": f"{row['face']}/{row['id']}"} for row in rows]


# ---- what a sign is ------------------------------------------------------------------------------


def _facts(sign: str) -> dict[str, str | None]:
    caption, category = unicodedata.name(sign).lower(), unicodedata.category(sign)
    match = LETTER.match(caption) if category.startswith("L") else None
    script, letter = (match[1] or match[3], match[2] or match[4]) if match else (None, None)
    return {
        "id": f"U+{ord(sign):04X}", "caption": caption, "label": CATEGORIES.get(category, "other"),
        "category": category, "script": script, "letter": letter and VARIANT.sub("", letter),
    }  # fmt: skip


# ---- its picture ---------------------------------------------------------------------------------


def _drawn(path: Path, signs: list[str], size: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each sign that shows anything, and its picture (S, S)."""
    # matplotlib's faces need no shaping: one character is one sign
    font = cache(lambda height: ImageFont.truetype(str(path), height, layout_engine=ImageFont.Layout.BASIC))
    for sign in signs:
        ink = _ink(font, sign, size)
        if ink.size:
            yield sign, _in_the_middle(ink, size)


def _ink(font: Callable[[int], ImageFont.FreeTypeFont], sign: str, size: int) -> np.ndarray:
    """The sign without the paper around it, at the letter size or the largest that leaves a pixel at each edge."""
    height = round(LETTER_HEIGHT * size)
    while (mask := font(height).getmask(sign, mode="L")) and max(mask.size) > size - 2:
        height = min(height - 1, height * (size - 2) // max(mask.size))
    return _trimmed(np.array(mask, np.uint8).reshape(mask.size[::-1]))


def _trimmed(ink: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else ink[:0]


def _in_the_middle(ink: np.ndarray, size: int) -> np.ndarray:
    picture_SS = np.full((size, size), 255, np.uint8)
    top, left = ((size - side) // 2 for side in ink.shape)
    picture_SS[top : top + ink.shape[0], left : left + ink.shape[1]] -= ink
    return picture_SS
