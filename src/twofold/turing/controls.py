"""Real items made a little worse in a known way: a judge that does not see that is too weak to say anything."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from twofold.data.audio import Sounds
from twofold.data.pictures import Pictures
from twofold.data.sounds import RATES, resample
from twofold.turing.items import Items

__all__ = ["spoil"]

JPEG_QUALITY = 30
SWAPPED = 0.2  # share of a text's letters that change places with the next, at least one
JITTER = 0.5  # standard deviations


def spoil(items: Items, seed: int) -> tuple[Items, str]:
    """The items made worse, and how."""
    rng = np.random.default_rng(seed)
    if isinstance(items, Pictures):
        return Pictures.of(map(_as_jpeg, items), ids=items.ids), f"JPEG of quality {JPEG_QUALITY}"
    if isinstance(items, Sounds):
        half = max(items.rate // 2, RATES[0])
        made = [resample(resample(s, items.rate, half), half, items.rate)[: len(s)] for s in items]
        return Sounds.of(made, items.rate, ids=items.ids), "frequencies of the upper half taken away"
    if isinstance(items, pa.Table):
        columns = [_jittered(column, rng) for column in items.columns]
        return pa.table(columns, names=items.column_names), f"cells strayed by {JITTER:g} standard deviations"
    return [_swapped(text, rng) for text in items], f"{SWAPPED:.0%} of the letters swapped with the next"


def _as_jpeg(picture_HWC: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture_HWC[..., 0] if picture_HWC.shape[2] == 1 else picture_HWC).save(
        file, "JPEG", quality=JPEG_QUALITY
    )
    return np.asarray(Image.open(file)).reshape(picture_HWC.shape)


def _jittered(column: pa.ChunkedArray, rng: np.random.Generator) -> pa.Array:
    """Numbers with noise, as many decimals as before; of words a fifth drawn from other rows."""
    try:
        number_N = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        other_N = np.where(rng.random(len(column)) < 0.2, rng.permutation(len(column)), np.arange(len(column)))
        return pc.take(column, pa.array(other_N))
    seen = number_N[np.isfinite(number_N)]
    spread = float(seen.std()) if len(seen) else 0.0
    made_N = number_N + JITTER * spread * rng.normal(size=len(number_N))
    if len(seen) and not (seen % 1).any():
        made_N = np.round(made_N)
    return pa.array(made_N, mask=np.isnan(made_N)).cast(pa.float64())


def _swapped(text: str, rng: np.random.Generator) -> str:
    letters = list(text)
    n = len(letters) - 1
    places = np.flatnonzero(rng.random(max(0, n)) < SWAPPED)
    for place in places if len(places) or n < 1 else [int(rng.integers(n))]:
        letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)
