"""What a machine looks at in pictures and sounds: groups of fixed numbers, without weights and without training.

Pictures: colours; DCT coefficients of 8 x 8 blocks and steps between blocks (where codecs and upsampling leave traces);
co-occurrences of residuals (Fridrich and Kodovsky 2012, Rich models for steganalysis, in little); random convolutions
(Saxe et al. 2011); the coarse layout. Sounds: statistics of the log-mel spectrogram, its movement, loudness, length.

Dimension key: N items, B items at a time, S side of a picture, C channels, F numbers, M mel bands, T frames.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.fft import dctn
from torch.nn import functional

from twofold.data.audio import Sounds
from twofold.data.pictures import Pictures
from twofold.nn.spectrogram import LogMel

__all__ = ["picture_features", "sound_features", "window_size"]

SIDES = (16, 128)  # of the window that is looked at: least and most
ALIKE = 0.05  # by which the two sides' sizes may differ before both are shrunk to one
BATCH = 64
BLOCK = 8  # of JPEG and most codecs
N_FILTERS = 48
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
YCC = np.array([[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]], np.float32)

Groups = dict[str, np.ndarray]


def window_size(real: Pictures, fake: Pictures) -> tuple[int, bool]:
    """The side of the window both are looked at through, and whether it is cut out as it is rather than shrunk."""
    short_real, short_fake = (float(np.median(side.size_N2.min(1))) for side in (real, fake))
    is_alike = abs(short_real - short_fake) <= ALIKE * max(short_real, short_fake)
    return int(np.clip(min(short_real, short_fake), *SIDES)), is_alike


def picture_features(pictures: Pictures, size: int, *, is_cut: bool, channels: int) -> Groups:
    """Groups of numbers (N, F) by name."""
    parts: list[Groups] = []
    for picture_BSSC in _windows(pictures, size, is_cut, channels):
        luma_BSS, chroma = _planes(picture_BSSC)
        parts.append({
            "colours": _colours(luma_BSS, chroma),
            "fine detail": _frequencies(luma_BSS),
            "texture": _texture(luma_BSS),
            "shapes": _shapes(luma_BSS),
            "layout": _pooled(luma_BSS, 8).reshape(len(luma_BSS), -1),
        })  # fmt: skip
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _windows(pictures: Pictures, size: int, is_cut: bool, channels: int) -> Iterator[np.ndarray]:
    for start in range(0, len(pictures), BATCH):
        some = pictures.take(range(start, min(start + BATCH, len(pictures))))
        if not is_cut:
            yield some.resized(size, channels=channels)
            continue
        pieces = [_middle(picture, size) for picture in some]
        yield np.stack([np.repeat(p, 3, 2) if p.shape[2] < channels else p[..., :channels] for p in pieces])


def _middle(picture_HWC: np.ndarray, size: int) -> np.ndarray:
    """The middle window, in step with the 8 x 8 blocks of the whole; mirrored where the picture is smaller."""
    short = [max(0, size - n) for n in picture_HWC.shape[:2]]
    if any(short):
        picture_HWC = np.pad(picture_HWC, [(0, n) for n in short] + [(0, 0)], "symmetric")
    top, left = ((n - size) // 2 // BLOCK * BLOCK for n in picture_HWC.shape[:2])
    return picture_HWC[top : top + size, left : left + size]


def _planes(picture_BSSC: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    x = picture_BSSC.astype(np.float32)
    if x.shape[3] == 1:
        return x[..., 0], []
    ycc = x @ YCC
    return ycc[..., 0], [ycc[..., 1], ycc[..., 2]]


def _colours(luma_BSS: np.ndarray, chroma: list[np.ndarray]) -> np.ndarray:
    found = [(luma_BSS <= 0).mean((1, 2)), (luma_BSS >= 254.5).mean((1, 2))]
    for plane_BSS in (luma_BSS, *chroma):
        flat_BP = plane_BSS.reshape(len(plane_BSS), -1)
        spread_B = flat_BP.std(1) + 1e-3
        found += [flat_BP.mean(1), np.log(spread_B), ((flat_BP - flat_BP.mean(1)[:, None]) ** 3).mean(1) / spread_B**3]
        found += list(np.quantile(flat_BP, QUANTILES, axis=1))
    for plane_BSS in chroma:
        found.append(np.log(np.abs(np.diff(plane_BSS, axis=2)).mean((1, 2)) + 0.05))
    return np.stack(found, 1)


def _frequencies(luma_BSS: np.ndarray) -> np.ndarray:
    """Of 8 x 8 blocks: how large each coefficient is, how often none; steps across blocks beside those within."""
    B, S, _ = luma_BSS.shape
    n = S // BLOCK
    blocks = luma_BSS[:, : n * BLOCK, : n * BLOCK].reshape(B, n, BLOCK, n, BLOCK).transpose(0, 1, 3, 2, 4)
    size = np.abs(dctn(blocks, axes=(3, 4), norm="ortho")).reshape(B, n * n, BLOCK * BLOCK)
    large, none = np.log(size.mean(1) + 0.1), (size < 2).mean(1)
    steps = []
    for axis in (1, 2):
        step = np.abs(np.diff(luma_BSS, axis=axis)).mean(3 - axis)
        phase = np.stack([step[:, i::BLOCK].mean(1) for i in range(BLOCK)], 1)
        steps.append(np.log((phase + 0.1) / (phase.mean(1, keepdims=True) + 0.1)))
    return np.concatenate([large, none, *steps], 1)


def _texture(luma_BSS: np.ndarray) -> np.ndarray:
    """How often each pair of neighbouring residuals, in five steps, occurs; fine and coarse."""
    found = []
    for scale in (1.0, 5.0):
        counts = 0
        for x in (luma_BSS, luma_BSS.transpose(0, 2, 1)):
            residual = np.diff(np.round(x), 2, axis=2) / scale
            step = np.clip(np.round(residual), -2, 2).astype(np.int64) + 2
            pair_BP = (5 * step[:, :, :-1] + step[:, :, 1:]).reshape(len(x), -1)
            place = pair_BP + 25 * np.arange(len(x))[:, None]
            counts = counts + np.bincount(place.ravel(), minlength=25 * len(x)).reshape(len(x), 25) / pair_BP.shape[1]
        found.append(np.sqrt(counts / 2))
    return np.concatenate(found, 1)


def _shapes(luma_BSS: np.ndarray) -> np.ndarray:
    """Random 5 x 5 filters at two scales: how often each answers, and how strongly."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in (16, 32):
        picture = torch.from_numpy(_pooled(luma_BSS, size)).float()[:, None] / 64
        filters = torch.randn(N_FILTERS, 1, 5, 5, generator=generator)
        filters -= filters.mean((2, 3), keepdim=True)
        bias = torch.randn(N_FILTERS, generator=generator)
        answer = functional.conv2d(picture, filters / 5, bias / 4)
        found += [(answer > 0).float().mean((2, 3)), answer.clamp_min(0).mean((2, 3)), answer.amax((2, 3))]
    return torch.cat(found, 1).numpy()


def _pooled(luma_BSS: np.ndarray, size: int) -> np.ndarray:
    return functional.adaptive_avg_pool2d(torch.from_numpy(luma_BSS), size).numpy()


# ---- sounds --------------------------------------------------------------------------------------


def sound_features(sounds: Sounds) -> Groups:
    """Groups of numbers (N, F) by name."""
    window = 2 ** max(6, round(np.log2(0.032 * sounds.rate)))  # 32 ms
    log_mel = LogMel(sounds.rate, window=window, hop=window // 2, n_mels=40)
    rows = [_one_sound(sound, sounds.rate, window, log_mel) for sound in sounds]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _one_sound(sound_T: np.ndarray, rate: int, window: int, log_mel: Callable) -> Groups:
    padded = np.pad(sound_T, (0, max(0, 4 * window - len(sound_T))))
    with torch.inference_mode():
        mel_MT = log_mel(torch.from_numpy(padded)[None])[0].numpy()
    move_MT, loud_T = np.diff(mel_MT, axis=1), mel_MT.max(0)
    peak, is_loud_T = loud_T.max(), loud_T > loud_T.max() - 6
    crossing = np.abs(np.diff(np.signbit(sound_T).astype(np.int8))).mean() if len(sound_T) > 1 else 0.0
    first, last = np.flatnonzero(is_loud_T)[[0, -1]]
    rms = np.sqrt(np.mean(np.square(sound_T)) + 1e-10)
    return {
        "spectrum": np.concatenate([mel_MT.mean(1), mel_MT[:, is_loud_T].mean(1) - peak]),
        "quiet and loud": np.quantile(mel_MT, (0.05, 0.5, 0.95), axis=1).ravel(),
        "movement": np.concatenate([mel_MT.std(1), move_MT.std(1), np.abs(move_MT).mean(1)]),
        "loudness": np.array([
            np.log(rms), np.abs(sound_T).max(), loud_T.mean(), loud_T.std(), crossing, is_loud_T.mean(),
            first / len(loud_T), last / len(loud_T),
        ]),
        "length": np.array([np.log(len(sound_T) / rate)]),
    }  # fmt: skip
