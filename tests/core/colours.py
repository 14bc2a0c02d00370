"""Two small towers that need no training: mean colours on a grid, and the names of colours.

Dimension key: B pictures, S side, Q texts, G cells a side, E = 3 G G + 1, N pictures of a gallery, H, W height, width.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from twofold.errors import SettingError

WORDS = {
    "red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1), "yellow": (1, 1, -1), "cyan": (-1, 1, 1),
    "magenta": (1, -1, 1), "white": (1, 1, 1), "black": (-1, -1, -1),
}  # fmt: skip


class Colours:
    """Finds pictures by their colours."""

    method = "colours"
    reads = ("pictures",)
    image_size, channels = 16, 3

    def __init__(self, n_cells: int = 2):
        self.n_cells = n_cells

    @property
    def identity(self) -> str:
        return hashlib.sha256(f"colours {self.n_cells}".encode()).hexdigest()

    def embed_pixels(self, pixel_BSSC):
        assert pixel_BSSC.dtype == np.uint8 and pixel_BSSC.shape[1:] == (16, 16, 3)
        G = self.n_cells
        mean_BGG3 = pixel_BSSC.reshape(-1, G, 16 // G, G, 16 // G, 3).mean((2, 4)) / 127.5 - 1
        return self._unit(mean_BGG3.reshape(len(pixel_BSSC), -1))

    def transform_text(self, texts):
        unknown = [word for text in texts for word in text.split() if word not in WORDS]
        if unknown:
            raise SettingError(f"{unknown[0]!r} is no colour. Known are {', '.join(WORDS)}.")
        return self._unit(
            np.array([np.tile(np.sum([WORDS[w] for w in text.split()], 0), self.n_cells**2) for text in texts])
        )

    def least_scores(self, score_QN):
        assert score_QN.dtype == np.float32
        return score_QN.mean(1).clip(0.8, 0.85)

    def explain(self, picture_HWC, text):
        colour_HW3 = np.broadcast_to(picture_HWC, (*picture_HWC.shape[:2], 3)) / 127.5 - 1
        return (colour_HW3 @ np.array(WORDS[text.split()[0]], np.float32) / 3).astype(np.float32)

    def save(self, folder):
        Path(folder).mkdir(parents=True)
        config = {"method": self.method, "state": "finished", "format": 1, "settings": {"n_cells": self.n_cells}}
        (Path(folder) / "config.json").write_text(json.dumps(config))

    @classmethod
    def load(cls, folder):
        return cls(**json.loads((Path(folder) / "config.json").read_text())["settings"])

    @staticmethod
    def _unit(value_BE):
        value_BE = np.column_stack([value_BE, np.full(len(value_BE), 0.05)]).astype(np.float32)
        return value_BE / np.linalg.norm(value_BE, axis=1, keepdims=True)
