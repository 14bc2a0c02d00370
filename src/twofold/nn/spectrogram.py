"""Sounds as pictures: the log-mel spectrogram, and the way back.

Griffin and Lim 1984, Signal estimation from modified short-time Fourier transform; the fast variant of Perraudin,
Balazs, Sondergaard 2013, A fast Griffin-Lim algorithm. The mel scale is that of O'Shaughnessy 1987.
Dimension key: B sounds, T samples, F frames, W samples of a window, K = W / 2 + 1 frequencies, M mel bands.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.errors import SettingError

__all__ = ["LogMel", "mel_filters"]

FLOOR = 1e-5  # magnitudes below count as silence
MOMENTUM = 0.99  # of Perraudin et al.


class LogMel(nn.Module):
    """Samples (B, T) to log-mel pictures (B, M, F) with F = T / hop, and approximately back.

    Parameters
    ----------
    rate : samples a second.
    window : W samples that each frame sees.
    hop : samples from one frame to the next; divides T.
    n_mels : M bands from 0 Hz to rate / 2, each as wide as the ear hears.

    Examples
    --------
    >>> log_mel = LogMel(8000)
    >>> log_mel(torch.zeros(2, 8192)).shape, log_mel.inverse(torch.zeros(2, 64, 64), n_rounds=2).shape
    (torch.Size([2, 64, 64]), torch.Size([2, 8192]))
    """

    def __init__(self, rate: int, *, window: int = 256, hop: int = 128, n_mels: int = 64):
        super().__init__()
        if not 0 < hop <= window // 2 or (window - hop) % 2:
            raise SettingError(
                f"hop is {hop}; at most half the window of {window} is allowed, both even or both odd. Give such a one."
            )
        self.rate, self.window, self.hop, self.n_mels = rate, window, hop, n_mels
        self.register_buffer("window_W", torch.hann_window(window), persistent=False)
        self.register_buffer("mel_MK", mel_filters(n_mels, window, rate), persistent=False)

    def forward(self, sample_BT: Tensor) -> Tensor:
        """Natural logarithm of the magnitude in each band, at least log 1e-5."""
        magnitude_BKF = self.transform(sample_BT).abs()
        return (self.mel_MK @ magnitude_BKF).clamp_min(FLOOR).log()

    def transform(self, sample_BT: Tensor) -> Tensor:
        """Short-time Fourier transform, complex (B, K, F): frame f is centred on its own hop."""
        margin = (self.window - self.hop) // 2
        mode = "reflect" if sample_BT.shape[1] > margin else "constant"
        padded_BT = functional.pad(sample_BT, (margin, margin), mode=mode)
        return torch.stft(
            padded_BT, self.window, self.hop, window=self.window_W, center=False, return_complex=True,
        )  # fmt: skip

    def untransform(self, spectrum_BKF: Tensor) -> Tensor:
        """The samples (B, F hop) whose transform is nearest: frames are laid over each other."""
        frame_BWF = torch.fft.irfft(spectrum_BKF, self.window, dim=1) * self.window_W[:, None]
        weight_1WF = self.window_W.square()[None, :, None].expand(1, -1, frame_BWF.shape[2])
        margin, n = (self.window - self.hop) // 2, frame_BWF.shape[2] * self.hop
        sum_BT, weight_1T = (self._overlay(part)[:, margin : margin + n] for part in (frame_BWF, weight_1WF))
        return sum_BT / weight_1T.clamp_min(1e-8)

    def _overlay(self, frame_BWF: Tensor) -> Tensor:
        length = (frame_BWF.shape[2] - 1) * self.hop + self.window
        return functional.fold(frame_BWF, (1, length), (1, self.window), stride=(1, self.hop))[:, 0, 0]

    def inverse(self, log_BMF: Tensor, *, n_rounds: int = 32, seed: int = 0) -> Tensor:
        """Samples (B, F hop) whose log-mel picture is near; phases are guessed, first by `seed`, then in rounds.

        Parameters
        ----------
        n_rounds : of Griffin-Lim: 32 is quick, 100 is finer.
        """
        magnitude_BKF = self.magnitudes(log_BMF.exp())
        generator = torch.Generator().manual_seed(seed)
        angle_BKF = 2 * math.pi * torch.rand(magnitude_BKF.shape, generator=generator).to(magnitude_BKF)
        guess_BKF = torch.polar(magnitude_BKF, angle_BKF)
        before_BKF = torch.zeros_like(guess_BKF)
        for _ in range(n_rounds):
            sound_BKF = self.transform(self.untransform(guess_BKF))
            pushed_BKF = sound_BKF + MOMENTUM * (sound_BKF - before_BKF)
            before_BKF = sound_BKF
            guess_BKF = magnitude_BKF * pushed_BKF / pushed_BKF.abs().clamp_min(1e-8)
        return self.untransform(guess_BKF)

    def magnitudes(self, mel_BMF: Tensor, n_rounds: int = 50) -> Tensor:
        """Magnitudes (B, K, F), none negative, whose bands are these (by the rule of Lee and Seung 2001)."""
        share_K = self.mel_MK.sum(0)[:, None]
        found_BKF = self.mel_MK.T @ (mel_BMF / self.mel_MK.sum(1)[:, None].clamp_min(1e-8))
        found_BKF = found_BKF.clamp_min(FLOOR * 1e-3) * (share_K > 0)
        for _ in range(n_rounds):
            ratio_BMF = mel_BMF / (self.mel_MK @ found_BKF).clamp_min(1e-10)
            found_BKF = found_BKF * (self.mel_MK.T @ ratio_BMF) / share_K.clamp_min(1e-8)
        return found_BKF


def mel_filters(n_mels: int, window: int, rate: int) -> Tensor:
    """Triangles (M, K) that overlap by half, evenly spaced in mel, each with a sum of 1; none is empty."""
    top = _mel(rate / 2)
    edge = 700 * (10 ** (torch.linspace(0, top, n_mels + 2, dtype=torch.float64) / 2595) - 1)
    bin_K = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64)
    low_M1, mid_M1, high_M1 = (edge[i : i + n_mels, None] for i in range(3))
    # where bands are narrower than the bins of the transform they are widened to reach one
    width = rate / window
    rise_MK = 1 - (mid_M1 - bin_K) / (mid_M1 - low_M1).clamp_min(width)
    fall_MK = 1 - (bin_K - mid_M1) / (high_M1 - mid_M1).clamp_min(width)
    filter_MK = torch.minimum(rise_MK, fall_MK).clamp_min(0)
    return (filter_MK / filter_MK.sum(1, keepdim=True)).float()


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)
