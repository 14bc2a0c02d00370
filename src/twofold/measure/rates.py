"""Rate and distortion of lossy picture codecs.

Bjontegaard 2001, Calculation of average PSNR differences between RD-curves (VCEG-M33); monotone cubic interpolation
(PCHIP) in place of its polynomial, as codec comparisons do today.
Dimension key: Y, X, C picture height, width, channels; Q points of a curve.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from scipy.interpolate import PchipInterpolator

from twofold.measure.report import Measure, bootstrap_interval

__all__ = ["JPEG_QUALITIES", "bd_rate", "beside_jpeg", "bits_per_pixel", "pillow_curve", "psnr", "rate_at"]

JPEG_QUALITIES = (5, 8, 12, 18, 26, 36, 48, 60, 72, 82, 90, 95)

Curve = Sequence[tuple[float, float]]  # (bits per pixel, dB), one for each quality


def psnr(ours_YXC: np.ndarray, original_YXC: np.ndarray) -> float:
    """Peak signal to noise ratio of 8-bit pictures over all channels, dB; infinite where they are the same."""
    error = np.square(ours_YXC.astype(np.float64) - original_YXC).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def bits_per_pixel(data: bytes, picture_YXC: np.ndarray) -> float:
    """Of a whole file."""
    return 8 * len(data) / (picture_YXC.shape[0] * picture_YXC.shape[1])


def bd_rate(ours: Curve, reference: Curve) -> float:
    """How many more bits ours takes at the same PSNR, %: -30 is 30 % fewer; NaN where the curves do not overlap.

    From the mean difference of the logarithms of the rates.
    """
    (rate_Q, quality_Q), (their_rate_Q, their_quality_Q) = (_sorted(curve) for curve in (ours, reference))
    low, high = max(quality_Q[0], their_quality_Q[0]), min(quality_Q[-1], their_quality_Q[-1])
    if not low < high:
        return float("nan")
    place = np.linspace(low, high, 500)
    logs = [PchipInterpolator(q, np.log(r))(place) for q, r in ((quality_Q, rate_Q), (their_quality_Q, their_rate_Q))]
    return float(np.expm1(np.trapezoid(logs[0] - logs[1], place) / (high - low)) * 100)


def _sorted(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Rates and qualities, both rising: points that cost more and are no better than another are left out."""
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(curve):
        if np.isfinite(quality) and (not kept or quality > kept[-1][1]):
            kept.append((rate, quality))
    rates, qualities = np.array(kept).T
    return rates, qualities


def pillow_curve(
    picture_YXC: np.ndarray, kind: str = "JPEG", qualities: Sequence[int] = JPEG_QUALITIES, **how: object
) -> list[tuple[float, float]]:
    """Rate and PSNR of a codec of Pillow's at some qualities; JPEG with halved colours and optimised tables."""
    image = Image.fromarray(picture_YXC[:, :, 0] if picture_YXC.shape[2] == 1 else picture_YXC)
    settings = {"optimize": True, "subsampling": "4:2:0"} | how if kind == "JPEG" else how
    points = []
    for quality in qualities:
        file = io.BytesIO()
        image.save(file, kind, quality=quality, **settings)
        back = np.asarray(Image.open(file).convert(image.mode)).reshape(picture_YXC.shape)
        points.append((bits_per_pixel(file.getvalue(), picture_YXC), psnr(back, picture_YXC)))
    return points


def rate_at(curve: Curve, quality: float) -> float:
    """The rate at which a curve reaches that PSNR: log-linear between its points, that of its ends beyond them."""
    rate_Q, quality_Q = _sorted(curve)
    return float(np.exp(np.interp(quality, quality_Q, np.log(rate_Q))))


def beside_jpeg(ours: Sequence[Curve], jpeg: Sequence[Curve], names: Mapping[int, str]) -> list[Measure]:
    """A report on several pictures.

    Parameters
    ----------
    ours, jpeg : a curve for each picture.
    names : of the places of ours that are reported by themselves.
    """
    measures = []
    for place, name in names.items():
        rate, quality = np.mean([curve[place] for curve in ours], 0)
        near = np.mean([rate_at(theirs, curve[place][1]) for curve, theirs in zip(ours, jpeg, strict=True)])
        beside = (("JPEG at the same PSNR", float(near)),)
        measures.append(Measure(f"bits per pixel at {name}", float(rate), None, beside, False))
        measures.append(Measure(f"PSNR at {name}, dB", float(quality)))
    saved_N = np.array([bd_rate(curve, theirs) for curve, theirs in zip(ours, jpeg, strict=True)])
    saved_N = saved_N[np.isfinite(saved_N)]
    if len(saved_N):
        interval = bootstrap_interval(np.mean, saved_N)
        measures.append(Measure("BD-rate, %", float(saved_N.mean()), interval, (("JPEG 4:2:0", 0.0),), False))
    return measures
