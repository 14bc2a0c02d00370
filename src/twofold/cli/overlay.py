"""Pictures that commands write: where they go, and heat laid over them.

Dimension key: H, W height and width, C channels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twofold.data.names import shown

__all__ = ["overlay", "targets"]

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


def overlay(picture_HWC: np.ndarray, heat_HW: np.ndarray) -> np.ndarray:
    """The picture, paler, with red where the heat, 0..1, is high: uint8 (H, W, 3)."""
    grey_HW1 = picture_HWC.astype(np.float32).mean(2, keepdims=True)
    share_HW1 = np.clip(heat_HW, 0, 1)[..., None]
    mixed_HW3 = (1 - share_HW1) * (0.7 * grey_HW1 + 60) + share_HW1 * HOT
    return mixed_HW3.round().clip(0, 255).astype(np.uint8)
