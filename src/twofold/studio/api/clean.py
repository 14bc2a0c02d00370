"""A denoiser at work: noise put on and taken off again, and how much that helped.

Dimension key: H, W height and width, C channels.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from fastapi import APIRouter
from pydantic import Field

from twofold.studio.api.runs import RunId
from twofold.studio.pictures import keep_picture, picture_of
from twofold.studio.place import Answer, Here, Question, Studio
from twofold.studio.shelf import Stock

__all__ = ["routes"]

routes = APIRouter(tags=["clean"])

LARGEST = 1536  # side; a core cleans about 150,000 pixels in a second
LARGEST_ALONE = 160  # by itself: about 5,000 in a second
WINDOW = 192  # in the middle of the picture, where the gain is foreseen

Side = Annotated[int, Field(ge=32, le=LARGEST, description="larger pictures are shrunk to that many pixels first")]
Denoise = Callable[[np.ndarray, float], tuple[np.ndarray, float]]
"""A noisy picture, in floats of 0..1, and its level to the clean one, and the gain in dB that is foreseen."""


class CleanQuestion(Question):
    """Which picture, and how much noise is put on it first."""

    data: str = Field(max_length=64, description="the id of data")
    row: int = Field(default=0, ge=0, lt=2**31)
    strength: float = Field(default=0.0, ge=0, le=100, description="of the noise that is added, of 255; 0: none")
    seed: int = Field(default=0, ge=0, lt=2**31)
    level: float | None = Field(default=None, ge=0, le=255, description="of the noise (none: estimated)")
    side: Side = 384


class CleanAnswer(Answer):
    """Before and after."""

    noisy: str
    cleaned: str
    width: int
    height: int
    level: float = Field(description="of the noise, of 255: as given, or as estimated")
    gain: float = Field(description="foreseen, in dB, without knowing the clean picture")
    psnr_noisy: float | None = Field(description="in dB; known where the noise was added here")
    psnr_cleaned: float | None


@routes.post("/runs/{run}/clean")
async def clean_picture(here: Here, run: RunId, question: CleanQuestion) -> CleanAnswer:
    """A picture without its noise, by a run."""
    return await here.workbench.work(_by_run, here, run, here.shelf.stock(question.data), question)


@routes.post("/clean")
async def clean_alone(here: Here, question: CleanQuestion) -> CleanAnswer:
    """A picture without its noise, by what it alone tells: without any run, slower, on at most 160 pixels a side."""
    return await here.workbench.work(_by_itself, here, here.shelf.stock(question.data), question)


def _by_run(here: Studio, run: str, stock: Stock, question: CleanQuestion) -> CleanAnswer:
    denoiser = here.model(run, "denoise")

    def denoise(noisy_HWC: np.ndarray, level: float) -> tuple[np.ndarray, float]:
        return denoiser.denoise(noisy_HWC, level), denoiser.estimate_gain(_middle(noisy_HWC), level)

    return _clean(here, picture_of(here, stock, question.row, question.side), question, denoise)


def _by_itself(here: Studio, stock: Stock, question: CleanQuestion) -> CleanAnswer:
    from twofold.methods.denoiser import denoise_alone

    picture_HWC = picture_of(here, stock, question.row, min(question.side, LARGEST_ALONE))
    return _clean(here, picture_HWC, question, denoise_alone)


def _clean(here: Studio, picture_HWC: np.ndarray, question: CleanQuestion, denoise: Denoise) -> CleanAnswer:
    from twofold.measure.noise import noise_level, psnr

    noisy_HWC = _noised(picture_HWC, question.strength, question.seed)
    level = noise_level(noisy_HWC) if question.level is None else question.level
    share_HWC, gain = denoise(noisy_HWC / np.float32(255), level)
    cleaned_HWC = 255 * share_HWC
    is_known = question.strength > 0
    return CleanAnswer(
        noisy=keep_picture(here, _in_bytes(noisy_HWC), "noisy"),
        cleaned=keep_picture(here, _in_bytes(cleaned_HWC), "cleaned"),
        width=noisy_HWC.shape[1], height=noisy_HWC.shape[0], level=float(level), gain=float(gain),
        psnr_noisy=_finite(psnr(noisy_HWC, picture_HWC)) if is_known else None,
        psnr_cleaned=_finite(psnr(cleaned_HWC.clip(0, 255), picture_HWC)) if is_known else None,
    )  # fmt: skip


def _noised(picture_HWC: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """The picture with normal noise, in floats: not cut off at black and white, which would hide its level."""
    normal_HWC = np.random.default_rng(seed).standard_normal(picture_HWC.shape, np.float32)
    return picture_HWC + np.float32(strength) * normal_HWC


def _in_bytes(picture_HWC: np.ndarray) -> np.ndarray:
    return picture_HWC.round().clip(0, 255).astype(np.uint8)


def _middle(picture_HWC: np.ndarray) -> np.ndarray:
    top, left = (max(0, side - WINDOW) // 2 for side in picture_HWC.shape[:2])
    return picture_HWC[top : top + WINDOW, left : left + WINDOW]


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
