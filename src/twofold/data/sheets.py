"""Pictures to look at: many on one sheet, heat laid over them, and the files that they go to.

Dimension key: H, W height and width, C channels.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from twofold.data.names import shown

__all__ = ["contact_sheet", "overlays", "targets"]

SHOWN_SIDE = 48  # pixels that a picture on a sheet has at least
GAP = 2
HOT = np.array([217, 40, 20], np.float32)


def targets(names: Sequence[str], out: Path, is_one: bool) -> list[Path]:
    """Where each picture goes: `out` itself, or a PNG in that folder, none over another."""
    if is_one:
        return [out]
    paths = []
    for name in names:
        inside = Path(*[part for part in Path(shown(name)).parts if part not in ("..", "/", "\\")])
        paths.append(out / (inside if inside.suffix == ".png" else inside.with_name(inside.name + ".png")))
    return paths


def overlays(pictures: Iterable[np.ndarray], heats: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pictures, paler, with red where the heat is far above what is usual among them: uint8 (H, W, 3)."""
    usual = float(np.median([np.median(heat_HW) for heat_HW in heats]))
    top = max(float(heat_HW.max()) for heat_HW in heats)
    shares = (((heat_HW - usual) / max(top - usual, 1e-9)).clip(0, 1)[..., None] for heat_HW in heats)
    return [_reddened(picture, share_HW1) for picture, share_HW1 in zip(pictures, shares, strict=True)]


def _reddened(picture_HWC: np.ndarray, share_HW1: np.ndarray) -> np.ndarray:
    grey_HW1 = picture_HWC.astype(np.float32).mean(2, keepdims=True)
    mixed_HW3 = (1 - share_HW1) * (0.7 * grey_HW1 + 60) + share_HW1 * HOT
    return mixed_HW3.round().clip(0, 255).astype(np.uint8)


def contact_sheet(pictures: list[np.ndarray]) -> np.ndarray:
    """All pictures (S, S, C) on one sheet, row by row, small ones enlarged: uint8 (H, W, C)."""
    scale = max(1, -(-SHOWN_SIDE // pictures[0].shape[0]))
    n_columns = int(np.ceil(np.sqrt(len(pictures))))
    n_rows = -(-len(pictures) // n_columns)
    S, _, C = pictures[0].shape
    step = S * scale + GAP
    sheet = np.full((n_rows * step + GAP, n_columns * step + GAP, C), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (GAP + step * part for part in divmod(place, n_columns))
        sheet[top : top + S * scale, left : left + S * scale] = picture.repeat(scale, 0).repeat(scale, 1)
    return sheet
