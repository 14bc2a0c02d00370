"""The GAN on sounds: what is made has the rate, lengths and classes of what was learned from."""

import numpy as np
import pytest
import torch

from twofold.data.audio import Sounds, open_sounds
from twofold.errors import DataError, SettingError
from twofold.methods.gan import GAN
from twofold.methods.gan.sounds import SoundForm

RATE = 8000


def tones(n=48):
    """Low tones of a third of a second, and high ones of half of one."""
    rng = np.random.default_rng(0)
    sounds = []
    for i in range(n):
        second_T = np.arange(int((0.3, 0.5)[i % 2] * RATE * rng.uniform(0.9, 1))) / RATE
        pitch = (200, 900)[i % 2] * rng.uniform(0.9, 1.1)
        sounds.append(0.4 * np.sin(2 * np.pi * pitch * second_T) * rng.uniform(0.5, 1))
    return Sounds.of(sounds, RATE, labels=[("low", "high")[i % 2] for i in range(n)])


def gan(**settings):
    return GAN(**{"n_steps": 3, "dim": 4, "noise_dim": 8, "batch_size": 16, "n_threads": 1} | settings)


def frequency(sound_T):
    power = np.abs(np.fft.rfft(sound_T * np.hanning(len(sound_T))))
    return float(np.argmax(power) * RATE / len(sound_T))


@pytest.fixture(scope="module")
def fitted():
    torch.set_num_threads(1)
    return gan().fit(tones())


@pytest.fixture(scope="module")
def learned():
    """What the form makes of tones, and their pictures."""
    torch.set_num_threads(1)
    form, arrays, labels = SoundForm.learn(gan(n_steps=40), tones())
    return form, form.real(torch.from_numpy(arrays[0])), labels


def test_sounds_are_made_at_their_rate_and_can_be_asked_for_by_label(fitted):
    assert list(fitted.classes_) == ["high", "low"]
    made = fitted.sample(5, label="low", seed=3)
    assert isinstance(made, Sounds) and len(made) == 5 and made.rate == RATE
    assert (made.seconds_N <= 0.55).all() and np.isfinite(made.flat_S).all() and np.abs(made.flat_S).max() <= 1
    assert np.array_equal(made.flat_S, fitted.sample(5, label="low", seed=3).flat_S)
    assert len(fitted.interpolate(n=3)) == 3


def test_64_frames_hold_nearly_all_sounds(learned):
    form, picture_N1MF, labels = learned
    assert picture_N1MF.shape == (48, 1, 64, 64) and list(labels[:2]) == ["low", "high"]
    assert 0.47 * RATE < 64 * form.hop < 0.52 * RATE
    assert float(picture_N1MF.min()) == -1 and float(picture_N1MF.max()) == 1


def test_pictures_become_the_sounds_that_they_were_made_from(learned):
    form, picture_N1MF, _ = learned
    again, real = form.items(picture_N1MF[:8]), tones(8)
    for made_T, real_T in zip(again, real, strict=True):
        assert frequency(made_T) == pytest.approx(frequency(real_T), rel=0.1)
        assert 0.5 < made_T.std() / real_T.std() < 2
        # the silence at the end is gone
        assert abs(len(made_T) - len(real_T)) < 4 * form.hop


def test_a_picture_of_silence_is_a_short_silent_sound(learned):
    form, _, _ = learned
    (hush_T,) = form.items(torch.full((1, 1, 64, 64), -1.0))
    assert len(hush_T) == form.hop and np.abs(hush_T).max() < 0.01


def test_sounds_are_changed_only_as_much_as_is_allowed_and_stay_differentiable(learned):
    form, picture_N1MF, _ = learned
    chance_B3 = torch.rand(48, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(form.changed(picture_N1MF, chance_B3, torch.tensor(0.0)), picture_N1MF)
    x = picture_N1MF.clone().requires_grad_()
    changed = form.changed(x, chance_B3, torch.tensor(1.0))
    changed.sum().backward()
    assert (x.grad != 0).float().mean() > 0.8
    # silence stays silence: only what is heard is made louder, and it comes in from outside
    assert float(changed.detach().amin()) == -1
    assert float((changed.detach() - picture_N1MF).abs().mean()) > 0.02


def test_a_saved_gan_makes_the_same_sounds(fitted, tmp_path):
    loaded = GAN.load(fitted.save(tmp_path))
    assert np.array_equal(loaded.sample(3).flat_S, fitted.sample(3).flat_S)
    assert np.array_equal(loaded.discriminate(tones(6)), fitted.discriminate(tones(6)))
    assert loaded.network_.generator.vocoder is loaded.form_.vocoder


def test_a_training_cut_short_goes_on_to_the_same_bits(fitted, tmp_path):
    steps = gan().train(tones(), folder=tmp_path)
    next(steps)
    steps.close()
    resumed = gan()
    for _ in resumed.train(tones(), folder=tmp_path):
        pass
    state, expected = resumed.network_.state_dict(), fitted.network_.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_the_vocoder_is_no_players_to_change(fitted):
    form, _, _ = SoundForm.learn(gan(), tones())
    for name, weight in form.vocoder.state_dict().items():
        assert torch.equal(weight, fitted.network_.state_dict()[f"generator.vocoder.{name}"]), name


def test_sounds_at_another_rate_are_refused_with_what_to_do(fitted):
    with pytest.raises(DataError, match=r"16000 samples a second; this GAN knows 8000. Open them with"):
        fitted.discriminate(Sounds.of([np.ones(800)], 16000))


@pytest.mark.parametrize("told", [{"rate": 8000, "hop": 10**9}, {"rate": 10**12, "hop": 100}])
def test_a_spoilt_configuration_asks_for_no_room(told):
    with pytest.raises(SettingError, match="are allowed"):
        SoundForm.from_json(told | {"span": [-7, 3]})


@pytest.mark.parametrize("sound", [np.zeros(4000), np.ones(1), np.full(200_000, 0.1)], ids=["silent", "short", "long"])
def test_odd_sounds_are_learned_from(sound):
    fitted = gan(n_steps=1).fit(Sounds.of([sound] * 12, RATE))
    assert np.isfinite(fitted.sample(2).flat_S).all()


@pytest.mark.shared
def test_spoken_digits_fill_the_pictures(shared):
    sounds = open_sounds(shared / "data" / "audio" / "fsdd_wav.zip").take(slice(0, 3000, 30))
    form, (picture_NMF1,), labels = SoundForm.learn(gan(n_steps=1), sounds)
    assert len(set(labels)) == 10 and picture_NMF1.dtype == np.float16
    # they are heard for most of the picture, and neither too loud nor too soft for it
    assert 0.4 < (picture_NMF1 > -0.95).mean() < 0.9 and 0.02 < (picture_NMF1 > 0.4).mean() < 0.2
    again = form.items(form.real(torch.from_numpy(picture_NMF1)))
    assert np.corrcoef(again.length_N, np.minimum(sounds.length_N, 64 * form.hop))[0, 1] > 0.8
