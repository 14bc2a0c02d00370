"""One picture of some data for a use page, and pictures on their way to it.

Dimension key: H, W height and width, C channels.
"""

from base64 import b64encode
from typing import Any

import numpy as np

from twofold.data.names import shown
from twofold.errors import DataError
from twofold.studio.guard import Refusal
from twofold.studio.place import Studio
from twofold.studio.shelf import Stock
from twofold.studio.showing import png, shrunk

__all__ = ["error_map", "inline", "item_name", "keep_picture", "picture_of"]

LEAST_ERROR = 96.0  # of 255, that is shown at full heat: faint errors stay dark


def picture_of(here: Studio, stock: Stock, row: int, side: int) -> np.ndarray:
    """A picture, uint8 (H, W, C), at most `side` high and wide; call it inside `workbench.work`."""
    from twofold.turing.items import kind_of

    items = here.items(stock)
    if kind_of(items) != "pictures":
        raise DataError(f"{stock.title} holds {kind_of(items)}, not pictures. Choose a picture.")
    if row >= len(items):
        raise Refusal(404, f"there is no item {row}; there are {len(items)}.")
    picture = np.asarray(shrunk(np.asarray(items[row]), side))
    return picture.reshape(*picture.shape[:2], -1)


def item_name(items: Any, row: int) -> str:
    """What an item is called: its file's name, or its row."""
    ids = getattr(items, "ids", None)
    return f"row {row}" if ids is None else shown(str(ids[row]))


def inline(picture_HWC: np.ndarray) -> str:
    """A small picture as an address that holds it."""
    return f"data:image/png;base64,{b64encode(png(picture_HWC)).decode()}"


def keep_picture(here: Studio, picture_HWC: np.ndarray, stem: str) -> str:
    """A picture among the results; where it is fetched from."""
    path = here.shelf.new_result(".png", stem)
    path.write_bytes(png(picture_HWC))
    return here.shelf.url(path)


def error_map(one_HWC: np.ndarray, other_HWC: np.ndarray) -> np.ndarray:
    """Where two pictures differ, as heat: black, red, yellow, white (H, W, 3); its largest error is white."""
    error_HW = np.abs(one_HWC.astype(np.float32) - other_HWC).mean(2)
    heat_HW1 = (error_HW / max(LEAST_ERROR, float(error_HW.max())))[..., None]
    return (255 * np.clip(3 * heat_HW1 - np.arange(3), 0, 1)).round().astype(np.uint8)
