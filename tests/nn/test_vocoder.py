"""The vocoder: sounds that have the picture they were made from, nearer than by Griffin-Lim, and quickly."""

import time

import numpy as np
import pytest
import torch

from twofold.core.vocoding import learn_vocoder
from twofold.data.audio import open_sounds
from twofold.nn.aside import set_aside
from twofold.nn.spectrogram import LogMel
from twofold.nn.vocoder import SoundLoss, Vocoder

RATE, T = 8000, 5376
SPAN = (-7.3, 3.5)


def tones(n):
    """Tones with overtones that fade, at pitches of voices."""
    rng = np.random.default_rng(0)
    second_T = np.arange(T) / RATE
    pitch_N1 = rng.uniform(90, 300, (n, 1))
    sound_NT = sum(np.sin(2 * np.pi * k * pitch_N1 * second_T) / k for k in range(1, 8))
    return (0.2 * sound_NT * np.exp(-second_T / rng.uniform(0.1, 0.5, (n, 1)))).astype(np.float32)


def log_mel():
    return LogMel(RATE, window=256, hop=84)


def test_pictures_become_samples_a_hop_a_frame_and_silence_stays_silent():
    vocoder = Vocoder(log_mel(), low=SPAN[0], high=SPAN[1], dim=16)
    with torch.inference_mode():
        assert vocoder(torch.zeros(11, 64, 20), n_rounds=2).shape == (11, 20 * 84)
        assert vocoder(torch.full((1, 64, 20), -11.5)).abs().max() < 0.02


def test_each_picture_sounds_the_same_among_others_as_alone():
    vocoder = Vocoder(log_mel(), low=SPAN[0], high=SPAN[1], dim=16)
    picture_BMF = log_mel()(torch.from_numpy(tones(9)))
    with torch.inference_mode():
        among, alone = vocoder(picture_BMF, n_rounds=4)[8], vocoder(picture_BMF[8:], n_rounds=4)[0]
    assert (among - alone).abs().max() < 1e-3


def test_rounds_bring_the_picture_nearer():
    vocoder, sound_NT = Vocoder(log_mel(), low=SPAN[0], high=SPAN[1], dim=16), torch.from_numpy(tones(4))
    unlike, picture_NMF = SoundLoss(log_mel(), SPAN[0]), log_mel()(sound_NT)
    with torch.inference_mode():
        errors = [float(unlike(vocoder(picture_NMF, n_rounds=n), sound_NT)["mel"]) for n in (0, 4, 16)]
    assert errors[0] > errors[1] > errors[2]


def test_a_sound_is_not_unlike_itself_and_its_phases_are_free():
    sound_NT = torch.from_numpy(tones(2))
    unlike = SoundLoss(log_mel(), SPAN[0])
    assert sum(map(float, unlike(sound_NT, sound_NT).values())) < 1e-5
    assert sum(map(float, unlike(-sound_NT, sound_NT).values())) < 1e-5
    assert float(unlike(sound_NT / 2, sound_NT)["spectra"]) > 0.4


def test_learning_helps_and_the_same_seed_gives_the_same_vocoder():
    sound_NT, made = tones(40), []
    for n_steps in (1, 20, 20):
        made.append(learn_vocoder(sound_NT, log_mel(), SPAN, n_steps=n_steps, n_threads=1))
    first, learned, again = made
    assert all(torch.equal(a, b) for a, b in zip(learned.buffers(), again.buffers(), strict=True))
    real_NT, unlike = torch.from_numpy(tones(8)), SoundLoss(log_mel(), SPAN[0])
    with torch.inference_mode():
        before, after = (unlike(vocoder(log_mel()(real_NT), n_rounds=2), real_NT) for vocoder in (first, learned))
    assert sum(after.values()) < 0.9 * sum(before.values())


def test_silence_can_be_learned_from():
    vocoder = learn_vocoder(np.zeros((3, T), np.float32), log_mel(), (-11.5, -10.5), n_steps=2)
    assert all(torch.isfinite(weights).all() for weights in vocoder.buffers())


def test_weights_set_aside_are_saved_and_are_nobodys_to_learn():
    vocoder = Vocoder(log_mel(), low=SPAN[0], high=SPAN[1], dim=16)
    names = dict(vocoder.named_parameters())
    before = vocoder(torch.zeros(1, 64, 8), n_rounds=1)
    set_aside(vocoder)
    assert not list(vocoder.parameters()) and set(vocoder.state_dict()) == set(names)
    assert torch.equal(before, vocoder(torch.zeros(1, 64, 8), n_rounds=1))


@pytest.mark.shared
def test_spoken_digits_come_back_nearer_than_by_griffin_lim_and_faster(shared):
    sounds = open_sounds(shared / "data" / "audio" / "fsdd_wav.zip")
    is_unseen = np.array(sounds.table["number"]) < 5
    vocoder = learn_vocoder(sounds.take(np.flatnonzero(~is_unseen)[::3]).fixed(T), log_mel(), SPAN, n_steps=80)
    picture_NMF = log_mel()(torch.from_numpy(sounds.take(np.flatnonzero(is_unseen)[::10]).fixed(T)))
    errors, spent = [], []
    with torch.inference_mode():
        for way in (vocoder, lambda part: log_mel().inverse(part, n_rounds=32)):
            began = time.process_time()
            again_NT = torch.cat([way(part) for part in picture_NMF.split(8)])
            spent.append(time.process_time() - began)
            apart = log_mel()(again_NT).clamp_min(SPAN[0]) - picture_NMF.clamp_min(SPAN[0])
            errors.append(float(apart.abs().mean()))
    assert errors[0] < 0.8 * errors[1]  # after 600 steps measured .68
    assert spent[0] < 2 * spent[1]
