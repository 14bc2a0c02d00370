"""A small network that makes a log-mel picture sound, and the rounds that polish what it makes.

The network looks at the frames around each and guesses magnitude and phase of its spectrum, as Siuzdak 2023 (Vocos),
https://arxiv.org/abs/2306.00814, with blocks of Liu et al. 2022 (ConvNeXt). Rounds after Griffin and Lim 1984 make
phases agree where frames overlap; unlike theirs these leave the magnitudes free but for their sums in the mel bands,
which is all that the picture tells. The network is trained through some rounds (Masuyama et al. 2019).
Dimension key: B sounds, T samples, F frames, K = window / 2 + 1 frequencies, M mel bands, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.spectrogram import LogMel

__all__ = ["SoundLoss", "Vocoder"]

AT_ONCE = 8  # pictures
REACH = 7  # frames that a block sees at once
LEAST, MOST = -6.0, 4.0  # logarithms by which the network changes a magnitude
TINY = 1e-7
MOMENTUM = 0.99
FARTHEST = 10.0  # times that a round changes a band
QUIET = 3e-3  # magnitudes below are not heard
SCALES = (2.0, 1.0, 0.5)  # times the window of the pictures, by which sounds are compared


class Vocoder(nn.Module):
    """Log-mel pictures (B, M, F) to samples (B, F hop).

    Parameters
    ----------
    log_mel : what the pictures are made with.
    low, high : the least and the largest number in them.
    dim : D.

    Examples
    --------
    >>> vocoder = Vocoder(LogMel(8000), low=-8, high=3, dim=16)
    >>> vocoder(torch.zeros(2, 64, 64), n_rounds=2).shape
    torch.Size([2, 8192])
    """

    def __init__(self, log_mel: LogMel, *, low: float, high: float, dim: int = 128, n_blocks: int = 4):
        super().__init__()
        self.log_mel, self.low, self.high = log_mel, low, high
        self.first = nn.Conv1d(log_mel.n_mels, dim, REACH, padding=REACH // 2)
        self.blocks = nn.Sequential(*(Block(dim) for _ in range(n_blocks)))
        self.norm = nn.LayerNorm(dim)
        self.last = nn.Linear(dim, 3 * (log_mel.window // 2 + 1))
        nn.init.normal_(self.last.weight, std=0.02)
        share_K1 = log_mel.mel_MK.sum(0)[:, None].clamp_min(1e-8)
        self.register_buffer("spread_KM", log_mel.mel_MK.T / share_K1, persistent=False)

    def forward(self, log_BMF: Tensor, *, n_rounds: int = 40) -> Tensor:
        """Samples whose log-mel picture is near; more rounds bring it nearer, and take longer."""
        # few at a time stay in the processor's cache: 1.7 x faster
        return torch.cat([self.sound(part_BMF, n_rounds) for part_BMF in log_BMF.split(AT_ONCE)])

    def sound(self, log_BMF: Tensor, n_rounds: int) -> Tensor:
        """Samples of a few pictures."""
        mel_BMF = log_BMF.clamp_min(self.low).exp()
        guess_BKF, before_BKF = self.guess(log_BMF.clamp_min(self.low), mel_BMF), None
        for _ in range(n_rounds):
            sound_BKF = self.log_mel.transform(self.log_mel.untransform(guess_BKF))
            guess_BKF = self.polished(sound_BKF, before_BKF, mel_BMF)
            before_BKF = sound_BKF
        return self.log_mel.untransform(guess_BKF)

    def guess(self, log_BMF: Tensor, mel_BMF: Tensor) -> Tensor:
        """What the network takes the spectrum for, complex (B, K, F), with the bands' sums right."""
        x_BMF = (log_BMF - self.low) / (self.high - self.low) * 2 - 1
        x_BFD = self.norm(self.blocks(self.first(x_BMF)).transpose(1, 2))
        change_BKF, real_BKF, imag_BKF = self.last(x_BFD).transpose(1, 2).chunk(3, 1)
        magnitude_BKF = (self.spread_KM @ mel_BMF) * change_BKF.clamp(LEAST, MOST).exp()
        magnitude_BKF = magnitude_BKF * (self.spread_KM @ (mel_BMF / (self.log_mel.mel_MK @ magnitude_BKF)))
        factor_BKF = magnitude_BKF * (real_BKF.square() + imag_BKF.square() + 1e-6).rsqrt()
        return torch.complex(real_BKF * factor_BKF, imag_BKF * factor_BKF)

    def polished(self, sound_BKF: Tensor, before_BKF: Tensor | None, mel_BMF: Tensor) -> Tensor:
        """The spectrum of a real sound, its phases pushed on the way they go, its bands corrected."""
        pushed_BKF = sound_BKF if before_BKF is None else sound_BKF + MOMENTUM * (sound_BKF - before_BKF)
        magnitude_BKF, length_BKF = _length(sound_BKF), _length(pushed_BKF)
        ratio_BMF = mel_BMF / (self.log_mel.mel_MK @ magnitude_BKF).clamp_min(TINY)
        ratio_BMF = ratio_BMF.clamp(1 / FARTHEST, FARTHEST)
        # to the power of 1.5: what is overdone a little is right after fewer rounds
        ratio_BKF = self.spread_KM @ (ratio_BMF * ratio_BMF.sqrt())
        return pushed_BKF * (magnitude_BKF * ratio_BKF / length_BKF)


class Block(nn.Module):
    """Looks at the frames nearby, then at each alone; begins as nothing."""

    def __init__(self, dim: int):
        super().__init__()
        self.near = nn.Conv1d(dim, dim, REACH, padding=REACH // 2, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.widen, self.narrow = nn.Linear(dim, 3 * dim), nn.Linear(3 * dim, dim)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x_BDF: Tensor) -> Tensor:
        """The same shape."""
        x_BFD = self.norm(self.near(x_BDF).transpose(1, 2))
        return x_BDF + self.narrow(functional.gelu(self.widen(x_BFD))).transpose(1, 2)


class SoundLoss(nn.Module):
    """How unlike two sounds (B, T) are: in their log-mel pictures, and in spectra at several scales.

    Phases are free: Yamamoto, Song, Kim 2020 (Parallel WaveGAN), https://arxiv.org/abs/1910.11480.
    """

    def __init__(self, log_mel: LogMel, low: float):
        super().__init__()
        self.log_mel, self.low = log_mel, low
        self.windows = [int(scale * log_mel.window) for scale in SCALES]
        for window in self.windows:
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)

    def forward(self, made_BT: Tensor, real_BT: Tensor) -> dict[str, Tensor]:
        """Mean difference of the logarithms in the bands, and of spectra."""
        made_BMF, real_BMF = (self.log_mel(x_BT).clamp_min(self.low) for x_BT in (made_BT, real_BT))
        apart = [self.apart(*(self.magnitudes(x, window) for x in (made_BT, real_BT))) for window in self.windows]
        return {"mel": 2 * (made_BMF - real_BMF).abs().mean(), "spectra": torch.stack(apart).mean()}

    def apart(self, made_BKF: Tensor, real_BKF: Tensor) -> Tensor:
        """By the share of the magnitude that is wrong, and by logarithms."""
        share_B = (made_BKF - real_BKF).norm(dim=(1, 2)) / (real_BKF.norm(dim=(1, 2)) + 1e-3)
        log_made, log_real = (x.clamp_min(QUIET).log() for x in (made_BKF, real_BKF))
        return share_B.mean() + 0.5 * (log_made - log_real).abs().mean()

    def magnitudes(self, sample_BT: Tensor, window: int) -> Tensor:
        """(B, K, F)."""
        taper_W = self.get_buffer(f"window_{window}")
        return _length(torch.stft(sample_BT, window, window // 4, window=taper_W, return_complex=True))


def _length(complex_BKF: Tensor) -> Tensor:
    """Its magnitude, with a slope at 0 too."""
    return (complex_BKF.real.square() + complex_BKF.imag.square() + 1e-12).sqrt()
