"""Sounds as a GAN makes them: as log-mel pictures, that a vocoder learned from the same sounds makes audible.

Donahue, McAuley, Puckette 2018 (SpecGAN: sounds as pictures), https://arxiv.org/abs/1802.04208.
Dimension key: N sounds, B of them at a time, T samples, M = F = 64 mel bands and frames, Z noise numbers.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.estimator import seeded
from twofold.core.vocoding import learn_vocoder
from twofold.data.audio import Sounds, open_sounds
from twofold.data.sounds import RATES
from twofold.errors import DataError, SettingError
from twofold.nn.aside import set_aside
from twofold.nn.dcgan import CLASS_DIM, PictureDiscriminator, PictureGenerator
from twofold.nn.spectrogram import LogMel
from twofold.nn.vocoder import Vocoder

__all__ = ["SoundForm"]

SIDE = 64  # mel bands, and frames
LONGEST = 2.0  # seconds that are learned from; of longer sounds the loudest part
NEARLY_ALL = 0.95  # of the sounds should be as short
HOPS = (16, 2048)
LEAST_WINDOW = 0.03  # seconds: two turns of the lowest voice
QUIETEST = 0.01  # share of what is in the pictures that counts as silence
VOCODER_STEPS, VOCODER_STEPS_A_MINUTE = 600, 60
MOVED = (2, 4)  # bands and frames, that augmentation moves a picture at most
LOUDER = 0.1
SILENT = -0.8  # in a picture: where no band is louder, nothing is heard
FADE = 0.008  # seconds, at the end of a sound that is cut


class SoundForm:
    """Sounds of one length as pictures -1..1 (B, 1, M, F), on their way to the detective and back from the forger.

    Parameters
    ----------
    rate : samples a second.
    hop : samples from one frame to the next; 64 of them are the longest sound.
    span : the numbers in a log-mel picture that become -1, which is silence, and 1.
    """

    name: ClassVar[str] = "sounds"
    loss: ClassVar[str] = "relativistic"
    n_chances: ClassVar[int] = 3
    gamma: ClassVar[float] = 1.6
    """What the penalty begins with."""

    def __init__(self, rate: int, hop: int, span: tuple[float, float], vocoder: Vocoder | None = None):
        for what, number, (least, most) in (("rate", rate, RATES), ("hop", hop, HOPS)):
            if not least <= number <= most:
                raise SettingError(f"{what} is {number}; {least} to {most} are allowed. Give one of these.")
        self.rate, self.hop, self.span, self.vocoder = rate, hop, span, vocoder
        self.log_mel = LogMel(rate, window=_window(rate, hop), hop=hop, n_mels=SIDE)

    @classmethod
    def learn(cls, gan: Any, X: Any) -> tuple["SoundForm", tuple[np.ndarray, ...], np.ndarray | None]:
        """The length and the loudness that suit X, its pictures, float16 (N, 64, 64, 1), and their labels."""
        sounds = open_sounds(X)
        hop = _hop(sounds)
        form = cls(sounds.rate, hop, (0.0, 1.0))
        picture_NMF = form._pictures(sounds)
        is_heard_NF = np.arange(SIDE) * hop < sounds.length_N[:, None]
        heard = picture_NMF.transpose(0, 2, 1)[is_heard_NF]
        low, high = float(np.quantile(heard, QUIETEST)), float(heard.max())
        span = (low, max(high, low + 1))
        vocoder = learn_vocoder(
            sounds.fixed(SIDE * hop), form.log_mel, span, n_steps=_vocoder_steps(gan), seed=gan.seed,
            device=gan.device, n_threads=gan.n_threads,
        )  # fmt: skip
        form = cls(sounds.rate, hop, span, vocoder)
        return form, (form._scaled(picture_NMF),), sounds.labels

    def given(self, X: Any) -> tuple[Sounds, np.ndarray | None]:
        """Sounds at this rate, and their labels."""
        sounds = open_sounds(X, rate=self.rate)
        return sounds, sounds.labels

    def arrays(self, X: Any) -> tuple[np.ndarray, ...]:
        """Sounds of any kind as pictures in -1..1, float16 (N, 64, 64, 1)."""
        sounds, _ = self.given(X)
        if sounds.rate != self.rate:
            raise DataError(
                f"{sounds.name}: {sounds.rate} samples a second; this GAN knows {self.rate}. "
                f"Open them with open_sounds(path, rate={self.rate})."
            )
        return (self._scaled(self._pictures(sounds)),)

    def _pictures(self, sounds: Sounds) -> np.ndarray:
        """Log-mel pictures (N, M, F)."""
        parts = (torch.from_numpy(sounds.take(slice(i, i + 256)).fixed(SIDE * self.hop))
                 for i in range(0, len(sounds), 256))  # fmt: skip
        return torch.cat([self.log_mel(part) for part in parts]).numpy()

    def _scaled(self, picture_NMF: np.ndarray) -> np.ndarray:
        low, high = self.span
        return ((picture_NMF - low) / (high - low) * 2 - 1).clip(-1, 1).astype(np.float16)[..., None]

    def networks(self, gan: Any, n_classes: int) -> tuple[nn.Module, nn.Module]:
        """Generator, which carries the vocoder, and discriminator."""
        sizes: dict[str, Any] = {"n_classes": n_classes, "dim": gan.dim or 32}
        is_normed = gan.loss not in ("auto", self.loss)
        generator = PictureGenerator(SIDE, 1, n_noise=gan.noise_dim, is_normed=is_normed, **sizes)
        discriminator = PictureDiscriminator(SIDE, 1, is_normed=is_normed, **sizes)
        if not is_normed:
            # small first weights move faster; silence lies at the end of the bend, where it is held
            generator.apply(_begun_small), discriminator.apply(_begun_small)
            generator.is_bent = True
        generator.vocoder = self.vocoder
        return generator, discriminator

    def begin(self, generator: nn.Module, *arrays: np.ndarray) -> None:
        """The game begins with nothing: the vocoder was learned before."""

    def sizes_of(self, weights: Mapping[str, Tensor]) -> dict[str, int]:
        """Settings that the networks are rebuilt from: a spoilt config.json must not ask for more than there is."""
        n_class = CLASS_DIM * ("generator.classes.weight" in weights)
        return {"dim": len(weights["discriminator.layers.0.weight"]),
                "noise_dim": weights["generator.first.weight"].shape[1] - n_class}  # fmt: skip

    def real(self, picture_BMF1: Tensor) -> Tensor:
        """Pictures (B, 1, M, F)."""
        return picture_BMF1.float().permute(0, 3, 1, 2)

    def changed(self, picture_B1MF: Tensor, chance_B3: Tensor, strength: Tensor) -> Tensor:
        """Each moved a little in time and pitch, and made louder or softer, by that share of what is allowed."""
        most_2 = 2 / SIDE * torch.tensor(MOVED[::-1], device=picture_B1MF.device)
        shift_B2 = (2 * chance_B3[:, :2] - 1) * most_2 * strength
        turn_B23 = torch.eye(2, 3, device=picture_B1MF.device).repeat(len(picture_B1MF), 1, 1)
        turn_B23[:, :, 2] = (shift_B2 * SIDE / 2).round() / (SIDE / 2)  # whole frames: nothing is blurred
        grid = functional.affine_grid(turn_B23, list(picture_B1MF.shape), align_corners=False)
        # silence comes in from outside
        moved = functional.grid_sample(picture_B1MF + 1, grid, mode="nearest", align_corners=False) - 1
        louder_B111 = LOUDER * strength * (2 * chance_B3[:, 2, None, None, None] - 1)
        return moved + louder_B111 * (moved + 1).clamp(0, 1)

    @torch.inference_mode()
    def items(self, picture_N1MF: Tensor) -> Sounds:
        """Sounds, without the silence at their end."""
        low, high = self.span
        log_NMF = (picture_N1MF[:, 0].float() + 1) / 2 * (high - low) + low
        sample_NT = self.vocoder(log_NMF.to(self.vocoder.last.weight.device)).cpu()
        loudest_NF = picture_N1MF[:, 0].amax(1).cpu()
        n_frames_N = ((loudest_NF > SILENT) * torch.arange(1, SIDE + 1)).amax(1).clamp_min(1).tolist()
        heard = (sample_T[: n * self.hop].numpy() for sample_T, n in zip(sample_NT, n_frames_N, strict=True))
        return Sounds.of(map(self._faded, heard), self.rate, name="made sounds")

    def _faded(self, sample_T: np.ndarray) -> np.ndarray:
        """Ended softly, and nowhere beyond -1..1."""
        n = min(len(sample_T), max(1, round(FADE * self.rate)))
        sample_T = sample_T / max(1.0, float(np.abs(sample_T).max()))
        return np.concatenate([sample_T[:-n], sample_T[-n:] * np.linspace(1, 0, n, dtype=np.float32)])

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"rate": self.rate, "hop": self.hop, "span": list(self.span)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "SoundForm":
        """The reverse of `to_json`."""
        low, high = map(float, told["span"])
        form = cls(int(told["rate"]), int(told["hop"]), (low, high))
        with seeded(0):  # weights that are loaded over
            form.vocoder = Vocoder(form.log_mel, low=low, high=high)
        set_aside(form.vocoder)
        return form


def _begun_small(layer: nn.Module) -> None:
    """First weights as PyTorch draws them."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        layer.reset_parameters()


def _hop(sounds: Sounds) -> int:
    """Samples from frame to frame, even, so that 64 frames hold nearly all sounds, but no more than is useful."""
    longest = min(float(np.quantile(sounds.length_N, NEARLY_ALL)), LONGEST * sounds.rate)
    return int(np.clip(2 * math.ceil(longest / SIDE / 2), *HOPS))


def _window(rate: int, hop: int) -> int:
    """Samples that a frame sees: a power of 2, so that frames overlap by half at least, within the sound."""
    suitable = 2 ** math.ceil(math.log2(max(2.5 * hop, LEAST_WINDOW * rate)))
    return min(suitable, SIDE * hop // 4)


def _vocoder_steps(gan: Any) -> int:
    """As many updates as a sixth of the budget allows: no clock is asked, as a resumed run does them again."""
    by_clock = VOCODER_STEPS if gan.minutes is None else max(1, int(VOCODER_STEPS_A_MINUTE * gan.minutes))
    return min(VOCODER_STEPS, by_clock, gan.n_steps or VOCODER_STEPS)
