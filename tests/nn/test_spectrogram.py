"""Log-mel pictures: tones stand where they belong, and come back at their pitch."""

import numpy as np
import pytest
import torch

from twofold.data.audio import open_sounds
from twofold.errors import SettingError
from twofold.nn.spectrogram import LogMel, mel_filters

RATE, T = 8000, 8192


def tone(frequency):
    return 0.5 * torch.sin(2 * torch.pi * frequency * torch.arange(T) / RATE)


def pitch(sample_T):
    power = torch.fft.rfft(sample_T * torch.hann_window(len(sample_T))).abs()
    return float(power.argmax() * RATE / len(sample_T))


def test_8192_samples_are_a_picture_of_64_by_64():
    assert LogMel(RATE)(torch.zeros(3, T)).shape == (3, 64, 64)


def test_a_higher_tone_stands_in_a_higher_band_and_a_louder_one_is_brighter():
    log_mel = LogMel(RATE)
    picture_BMF = log_mel(torch.stack([tone(200), tone(800), tone(3000), tone(800) / 10]))
    band_B = picture_BMF.mean(2).argmax(1)
    assert band_B[0] < band_B[1] < band_B[2] and band_B[3] == band_B[1]
    loudest = picture_BMF.mean(2).amax(1)
    assert float(loudest[1] - loudest[3]) == pytest.approx(np.log(10), abs=0.01)


@pytest.mark.parametrize("frequency", [250, 440, 1000, 2500])
def test_a_tone_comes_back_at_its_pitch_and_about_as_loud(frequency):
    log_mel = LogMel(RATE)
    back_T = log_mel.inverse(log_mel(tone(frequency)[None]))[0]
    # a band is all that is known of the pitch: up to 110 Hz wide at 2,500
    assert abs(pitch(back_T) - frequency) < 20 + 0.04 * frequency
    assert 0.6 < float(back_T.std() / tone(frequency).std()) < 1.6


def test_the_transform_without_change_comes_back_exactly():
    log_mel, sample_BT = LogMel(RATE), torch.randn(2, T, generator=torch.Generator().manual_seed(0))
    assert (log_mel.untransform(log_mel.transform(sample_BT)) - sample_BT).abs().max() < 1e-4


def test_the_same_seed_gives_the_same_sound():
    log_mel = LogMel(RATE)
    picture = log_mel(tone(700)[None])
    first, same, other = (log_mel.inverse(picture, n_rounds=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_no_band_is_empty_even_where_bands_are_narrower_than_bins():
    for n_mels, window in ((64, 256), (80, 256), (40, 1024)):
        assert (mel_filters(n_mels, window, RATE).sum(1) - 1).abs().max() < 1e-5
        assert (mel_filters(n_mels, window, RATE) >= 0).all()


def test_a_hop_that_does_not_fit_the_window_is_refused():
    with pytest.raises(SettingError, match="hop is 200"):
        LogMel(RATE, hop=200)


@pytest.mark.shared
def test_spoken_digits_come_back_with_their_spectrogram(shared):
    sounds = open_sounds(shared / "data" / "audio" / "fsdd_wav.zip")
    sample_BT = torch.from_numpy(sounds.take(range(0, 3000, 300)).fixed(T))
    log_mel = LogMel(RATE)
    picture_BMF = log_mel(sample_BT)
    again_BMF = log_mel(log_mel.inverse(picture_BMF))
    loud = picture_BMF > picture_BMF.amax((1, 2), keepdim=True) - 5
    error = float((picture_BMF - again_BMF)[loud].abs().mean())
    assert error < 0.08  # measured .05 of a natural logarithm
