"""Feature networks to judge fakes by, which the generator never met: small, of the user's own data, without downloads.

With labels a convolutional network that tells the classes of the real pictures, and spoilt ones; without, a code in
closed form (nn/patch_code.py) of what survives a change of view, and of the light and the contrast of each part.
Dimension key: N pictures, B of them at a time, C channels, S side as given, s side that the network sees, T samples,
F raw features, D = 64 features, L classes, V views.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.core.loop import Plan, train
from twofold.data.audio import Sounds
from twofold.data.sounds import resample
from twofold.errors import DataError
from twofold.nn.augmentation import pad_and_crop
from twofold.nn.patch_code import PatchCode, learn_patch_code, ratio_axes
from twofold.nn.pixels import from_pixels, to_pixels
from twofold.nn.spectrogram import LogMel
from twofold.nn.views import N_CHANCES, changed

__all__ = ["PictureJudge", "SoundJudge"]

N_FEATURES = 64
SMALLEST, LARGEST = 16, 32  # side that the network sees
AT_ONCE = 256
STEPS, BATCH, LEARNING_RATE = (100, 500), 64, 2e-3
N_WORDS, N_TURNED, N_VIEWS = 64, 2000, 2
FLOOR = 0.1  # of the mean variance: what small numbers of pictures cannot tell from chance
LEAST_CODED, GRID = 10, 4
GRAIN = 0.06  # of -1..1, laid over all pictures: the code sees no contrast that is fainter, as people do not
SILENCE, LOUD = -11.5, 3.0  # natural logarithm of a band's magnitude, shown black and white


# ---- with labels ---------------------------------------------------------------------------------


class ClassNetwork(nn.Module):
    """Pictures (B, C, s, s) in -1..1 to features (B, D), and those to logits (B, L + 1), of spoilt ones the last."""

    def __init__(self, channels: int, n_classes: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1), nn.GELU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.GroupNorm(8, 64), nn.GELU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.GroupNorm(8, 64), nn.GELU(),
            nn.AdaptiveAvgPool2d(GRID), nn.Flatten(), nn.Linear(64 * GRID**2, N_FEATURES),
        )  # fmt: skip
        self.n_classes, self.head = n_classes, nn.Linear(N_FEATURES, n_classes + 1)

    def forward(self, picture_BCss: Tensor) -> Tensor:
        """Features (B, D)."""
        feature_BD: Tensor = self.layers(picture_BCss)
        return feature_BD

    def logits(self, feature_BD: Tensor) -> Tensor:
        """How likely each class is (B, L + 1)."""
        logit_BL: Tensor = self.head(functional.gelu(feature_BD))
        return logit_BL


class ClassLearner(Learner):
    """Learns to tell the classes of pictures that are moved a little; float (B, C, s, s) in -1..1.

    A quarter of each batch is spoilt and is a class of its own, the last: a network that only knows real pictures takes
    noise for one of them.
    """

    learning_rate = LEARNING_RATE

    def __init__(self, network: ClassNetwork):
        super().__init__()
        self.network = network

    def loss(self, *batch: Tensor) -> dict[str, Tensor]:
        """Cross-entropy."""
        picture_BCss, label_B = batch
        moved_BCss = pad_and_crop(picture_BCss + 1, self.uniform(len(picture_BCss), 2), 2) - 1
        n_spoilt = len(picture_BCss) // 4
        if n_spoilt:
            spoilt = self.spoilt(moved_BCss[:n_spoilt], moved_BCss[-n_spoilt:])
            moved_BCss = torch.cat([spoilt, moved_BCss[n_spoilt:]])
            label_B = torch.cat([torch.full_like(label_B[:n_spoilt], self.network.n_classes), label_B[n_spoilt:]])
        logit_BL = self.network.logits(self.network(moved_BCss))
        return {"class": functional.cross_entropy(logit_BL, label_B, label_smoothing=0.05)}

    def spoilt(self, picture_BCss: Tensor, other_BCss: Tensor) -> Tensor:
        """Each picture blurred, mixed with another, with its parts exchanged, or lost in noise, by lot."""
        B, half = len(picture_BCss), picture_BCss.shape[2] // 2
        which_B, share_B111 = (4 * self.uniform(B)).long(), 0.3 + 0.7 * self.uniform(B, 1, 1, 1)
        noise_BCss = 2 * self.uniform(B, *picture_BCss.shape[1:]) - 1
        kinds = (
            functional.avg_pool2d(picture_BCss, 3, 1, 1, count_include_pad=False),
            (picture_BCss + other_BCss) / 2,
            torch.cat([picture_BCss[:, :, :half], other_BCss[:, :, half:]], 2),
            (1 - share_B111) * picture_BCss + share_B111 * noise_BCss,
        )
        return torch.stack(kinds)[which_B, torch.arange(B)]


# ---- without -------------------------------------------------------------------------------------


class ViewCode(nn.Module):
    """Pictures (B, C, s, s) to features (B, D): a patch code and the light of each part, turned by linear algebra."""

    centre_F: Tensor
    axis_FD: Tensor

    def __init__(self, code: PatchCode | None, n_raw: int, n_features: int):
        super().__init__()
        self.code = code
        self.register_buffer("centre_F", torch.zeros(n_raw))
        self.register_buffer("axis_FD", torch.zeros(n_raw, n_features))

    @classmethod
    @torch.no_grad()
    def learn(cls, picture_NCss: Tensor, seed: int) -> Self:
        """The directions in which pictures differ most, over what a changed view of one changes."""
        pixel_NssC = to_pixels(picture_NCss)
        grained_NssC = to_pixels(_grained(picture_NCss))
        code = learn_patch_code(grained_NssC, seed, n_words=N_WORDS) if len(pixel_NssC) >= LEAST_CODED else None
        views = [_raw(code, picture_NCss[:N_TURNED])]
        generator = torch.Generator().manual_seed(seed)
        for _ in range(N_VIEWS):
            chance_NR = torch.rand(len(pixel_NssC[:N_TURNED]), N_CHANCES, generator=generator)
            views.append(_raw(code, changed(pixel_NssC[:N_TURNED], chance_NR, jitters=0, is_mirrored=False)))
        raw_VNF = torch.stack(views)
        view_code = cls(code, raw_VNF.shape[2], min(N_FEATURES, raw_VNF.shape[2]))
        view_code.centre_F.copy_(raw_VNF.mean((0, 1)))
        away_VNF = raw_VNF - view_code.centre_F
        mean_NF, away_MF = away_VNF.mean(0), away_VNF.flatten(0, 1)
        between_FF, total_FF = mean_NF.T @ mean_NF / len(mean_NF), away_MF.T @ away_MF / len(away_MF)
        axis_FD, share_D = ratio_axes(between_FF, total_FF, N_FEATURES, FLOOR)
        view_code.axis_FD.copy_(axis_FD * share_D)
        return view_code

    def forward(self, picture_BCss: Tensor) -> Tensor:
        """Features (B, D)."""
        return (_raw(self.code, picture_BCss) - self.centre_F) @ self.axis_FD


def _grained(picture_NCss: Tensor) -> Tensor:
    """With always the same faint grain; patches without contrast would else be told apart by a rounding error."""
    generator = torch.Generator().manual_seed(0)
    return picture_NCss + GRAIN * torch.randn(picture_NCss.shape[1:], generator=generator)


def _raw(code: PatchCode | None, picture_NCss: Tensor) -> Tensor:
    """What the code says, and mean and contrast of each of 4 x 4 parts, (N, F)."""
    parts = []
    for some_BCss in picture_NCss.split(AT_ONCE):
        mean_BCgg = functional.adaptive_avg_pool2d(some_BCss, GRID)
        square_BCgg = functional.adaptive_avg_pool2d(some_BCss.square(), GRID)
        contrast_BCgg = (square_BCgg - mean_BCgg.square()).clamp_min(0).sqrt()
        light = [mean_BCgg.flatten(1), contrast_BCgg.flatten(1)]
        parts.append(torch.cat([*([] if code is None else [code(_grained(some_BCss))]), *light], 1))
    return torch.cat(parts)


# ---- the judge -----------------------------------------------------------------------------------


class PictureJudge:
    """Sixty-four numbers a picture, by a network that the generator never met; their mean variance is 1.

    Distances of two judges do not compare: `name` says which one it is.

    Examples
    --------
    >>> pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 1), np.uint8)
    >>> judge = PictureJudge.learn(pixels, None, seed=0)
    >>> judge.name, judge.features(pixels[:3]).shape
    ('64 features of a patch code of 60 real pictures, seed 0', (3, 64))
    """

    def __init__(self, network: ClassNetwork | ViewCode, name: str, shape: tuple[int, int], classes: Sequence[Any]):
        self.network, self.name, self.classes = network.eval().requires_grad_(False), name, list(classes)
        self.side, self.channels = shape
        self.scale = 1.0

    @classmethod
    def learn(cls, pixel_NSSC: np.ndarray, label_N: Sequence[Any] | None = None, seed: int = 0) -> Self:
        """From real pictures, those that the generator learns from; some 20 CPU seconds at most.

        Parameters
        ----------
        pixel_NSSC : uint8.
        label_N : their classes, of any type; with None, or a single class, the code in closed form is solved.
        """
        pixel_NSSC = np.asarray(pixel_NSSC)
        if pixel_NSSC.ndim != 4 or len(pixel_NSSC) < 2:
            raise DataError(f"pictures of shape {pixel_NSSC.shape} were given; at least 2 of (N, S, S, C) are needed.")
        side, n = int(np.clip(pixel_NSSC.shape[1], SMALLEST, LARGEST)), len(pixel_NSSC)
        order_N = np.random.default_rng(seed).permutation(n)
        picture_NCss = _resized(pixel_NSSC[order_N], side)
        classes, code_N = np.unique([] if label_N is None else np.asarray(label_N), return_inverse=True)
        if len(classes) < 2:
            network: ClassNetwork | ViewCode = ViewCode.learn(picture_NCss, seed)
            name = f"64 features of a patch code of {n:,} real pictures, seed {seed}"
        else:
            network = _trained(picture_NCss, torch.from_numpy(code_N[order_N]), len(classes), seed)
            name = f"64 features of a CNN trained on {n:,} real pictures, seed {seed}"
        judge = cls(network, name, (side, pixel_NSSC.shape[3]), classes.tolist() if len(classes) > 1 else [])
        judge.scale = float(1 / max(judge.features(pixel_NSSC).var(0).mean() ** 0.5, 1e-12))
        return judge

    @torch.inference_mode()
    def features(self, pixel_NSSC: np.ndarray) -> np.ndarray:
        """Float64 (N, 64) of uint8 pictures of any size."""
        if pixel_NSSC.shape[3] != self.channels:
            what = f"pictures of {pixel_NSSC.shape[3]} channels were given to a judge of {self.channels}"
            raise DataError(f"{what}. Give pictures as those that it learned from.")
        parts = [
            self.network(_resized(pixel_NSSC[start : start + AT_ONCE], self.side))
            for start in range(0, len(pixel_NSSC), AT_ONCE)
        ]
        return self.scale * torch.cat(parts).double().numpy()

    @torch.inference_mode()
    def recognised(self, feature_ND: np.ndarray) -> np.ndarray:
        """The class (N,) that each is taken for; of a judge that learned with labels."""
        assert isinstance(self.network, ClassNetwork)
        logit_NL = self.network.logits(torch.from_numpy(feature_ND / self.scale).float())
        return np.array(self.classes, object)[logit_NL[:, :-1].argmax(1).numpy()]


def _resized(pixel_NSSC: np.ndarray, side: int) -> Tensor:
    picture_NCSS = from_pixels(torch.from_numpy(np.ascontiguousarray(pixel_NSSC)))
    S = picture_NCSS.shape[2]
    if S == side:
        return picture_NCSS
    mode = "area" if S > side else "bilinear"
    return functional.interpolate(picture_NCSS, (side, side), mode=mode)


def _trained(picture_NCss: Tensor, label_N: Tensor, n_classes: int, seed: int) -> ClassNetwork:
    with seeded(seed):
        learner = ClassLearner(ClassNetwork(picture_NCss.shape[1], n_classes))
    n_steps = int(np.clip(20 * len(picture_NCss) // BATCH, *STEPS))
    for _ in train(learner, (picture_NCss, label_N), Plan(n_steps=n_steps, batch_size=BATCH, seed=seed)):
        pass
    return learner.network


class SoundJudge:
    """The same of sounds, by their log-mel pictures.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sounds = Sounds.of([rng.normal(0, 0.1, 2000) for _ in range(12)], rate=8000)
    >>> SoundJudge.learn(sounds).features(sounds).shape
    (12, 64)
    """

    def __init__(self, rate: int, n_samples: int):
        self.rate, self.n_samples = rate, n_samples
        self.log_mel = LogMel(rate)
        self.judge: PictureJudge

    @classmethod
    def learn(cls, sounds: Sounds, label_N: Sequence[Any] | None = None, seed: int = 0) -> Self:
        """From real sounds, at their rate; of long ones the loudest part."""
        longest = int(np.quantile(sounds.length_N, 0.95))
        hop = 128
        judge = cls(sounds.rate, max(2, -(-longest // hop)) * hop)
        judge.judge = PictureJudge.learn(judge.pictures(sounds), label_N, seed)
        return judge

    @property
    def name(self) -> str:
        """What it is."""
        return self.judge.name.replace("pictures", "sounds' log-mel pictures")

    @property
    def classes(self) -> list[Any]:
        """Those that it tells; none where it learned without labels."""
        return self.judge.classes

    def features(self, sounds: Sounds) -> np.ndarray:
        """Float64 (N, 64)."""
        return self.judge.features(self.pictures(sounds))

    def recognised(self, feature_ND: np.ndarray) -> np.ndarray:
        """The class (N,) that each is taken for."""
        return self.judge.recognised(feature_ND)

    @torch.inference_mode()
    def pictures(self, sounds: Sounds) -> np.ndarray:
        """Log-mel pictures, uint8 (N, 64, 64, 1): low notes below, silence black."""
        if sounds.rate != self.rate:
            sounds = Sounds.of([resample(sound, sounds.rate, self.rate) for sound in sounds], self.rate)
        sample_NT = torch.from_numpy(sounds.fixed(self.n_samples))
        parts = []
        for some_BT in sample_NT.split(AT_ONCE):
            log_BMF = self.log_mel(some_BT).flip(1)
            shade_BMF = 255 * ((log_BMF - SILENCE) / (LOUD - SILENCE)).clamp(0, 1)
            parts.append(functional.interpolate(shade_BMF[:, None], (64, 64), mode="bilinear")[:, 0])
        return torch.cat(parts).round().to(torch.uint8).numpy()[..., None]
