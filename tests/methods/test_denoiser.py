"""Denoising: from clean pictures, from noisy ones, from one."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from twofold.errors import DataError, SettingError
from twofold.measure.noise import noise_level, psnr
from twofold.methods.denoiser import Denoiser, NoiseFinder, denoise_alone, neighbours
from twofold.nn.unet import NoiseUNet

PHOTOS = load_sample_images().images
WINDOWS = np.stack([photo[y : y + 96, x : x + 96] for photo in PHOTOS for y in (0, 200, 320) for x in (0, 250, 500)])
HELD_OUT = PHOTOS[0][100:180, 100:180]
SMALL = {"dim": 16, "depth": 1, "patch_size": 32, "learning_rate": 6e-3, "n_threads": 1, "device": "cpu"}


def noised(picture: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    """Floats in about 0..1."""
    noise = np.random.default_rng(seed).standard_normal(picture.shape)
    return (picture / 255 + level / 255 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser(n_steps=300, **SMALL).fit(WINDOWS)


def test_a_noisy_picture_comes_back_cleaner_by_more_than_4_db(denoiser):
    noisy = noised(HELD_OUT, 25)
    gain = psnr(denoiser.denoise(noisy), HELD_OUT / 255, 1.0) - psnr(noisy, HELD_OUT / 255, 1.0)
    assert gain > 4.5  # measured 5.07


def test_the_gain_is_foreseen_within_a_dB_without_the_clean_picture(denoiser):
    noisy = noised(HELD_OUT, 25)
    gain = psnr(denoiser.denoise(noisy, 25), HELD_OUT / 255, 1.0) - psnr(noisy, HELD_OUT / 255, 1.0)
    assert denoiser.estimate_gain(noisy, 25) == pytest.approx(gain, abs=1)


def test_noisy_pictures_alone_teach_to_denoise_too():
    noisy = (noised(WINDOWS, 25) * 255).round().clip(0, 255).astype(np.uint8)
    model = Denoiser(n_steps=300, are_noisy=True, **SMALL).fit(noisy)
    asked = noised(HELD_OUT, 25, 9)
    assert psnr(model.denoise(asked), HELD_OUT / 255, 1.0) - psnr(asked, HELD_OUT / 255, 1.0) > 3.5  # measured 4.0
    assert model.measures_["predicted gain in dB"] > 3


def test_one_noisy_picture_cleans_itself():
    noisy = noised(HELD_OUT, 25)
    clean, gain = denoise_alone(noisy, 25)
    real = psnr(clean, HELD_OUT / 255, 1.0) - psnr(noisy, HELD_OUT / 255, 1.0)
    assert real > 5  # measured 5.4
    assert gain == pytest.approx(real, abs=1)


def test_grey_flat_colour_lists_and_files_are_answered_as_they_came(denoiser, tmp_path):
    grey = HELD_OUT[..., 0]
    assert denoiser.denoise(grey).shape == grey.shape and denoiser.denoise(grey).dtype == np.uint8
    assert [answer.shape for answer in denoiser.denoise([HELD_OUT, HELD_OUT[:31, :45]])] == [(80, 80, 3), (31, 45, 3)]
    Image.fromarray(HELD_OUT).save(tmp_path / "one.png")
    assert np.array_equal(denoiser.denoise(tmp_path / "one.png"), denoiser.denoise(HELD_OUT))
    assert len(denoiser.denoise(tmp_path)) == 1
    assert denoiser.denoise(noised(HELD_OUT, 5)).dtype == np.float32


def test_a_model_of_grey_pictures_cleans_colour_channel_by_channel():
    model = Denoiser(n_steps=2, **SMALL).fit(WINDOWS[..., :1])
    answer = model.denoise(HELD_OUT, 25)
    assert np.array_equal(answer[..., 1], model.denoise(HELD_OUT[..., 1], 25))


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 9, 3), (7, 7, 1), (33, 8, 3)])
def test_pictures_of_any_size_are_cleaned(denoiser, shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert denoiser.denoise(picture).shape == shape
    assert np.isfinite(denoiser.estimate_gain(picture))
    assert denoise_alone(picture)[0].shape == shape


def test_pictures_that_are_none_are_refused_by_what_they_are(denoiser):
    with pytest.raises(DataError, match="5 channels"):
        denoiser.denoise(np.zeros((8, 8, 5), np.float32))
    with pytest.raises(DataError, match="finite"):
        denoiser.denoise(np.full((8, 8), np.nan, np.float32))
    with pytest.raises(SettingError, match="patch_size is 33"):
        Denoiser(patch_size=33).fit(WINDOWS)


def test_turning_and_turning_back_changes_nothing_but_the_answer_is_finer(denoiser):
    noisy = noised(HELD_OUT, 25)
    one, eight = (psnr(denoiser.denoise(noisy, 25, n_turns=n), HELD_OUT / 255, 1.0) for n in (1, 8))
    assert eight > one


def test_the_loss_on_clean_pictures_is_half_the_mean_log_error():
    network = NoiseUNet(1, (8, 8), (1, 1))
    torch.nn.init.normal_(network.last.weight, std=0.1)
    learner = NoiseFinder(network, 0.4, are_noisy=False, is_half=False)
    pixel = torch.from_numpy(WINDOWS[:3, :16, :16, :1].copy())
    learner.generator.manual_seed(1)
    found = learner.loss(pixel, torch.zeros(3))["log_error"]
    # the slow way: the same numbers in the same order, picture by picture
    learner.generator.manual_seed(1)
    turn, level, noise = learner.uniform(3), learner.uniform(3) * 0.4, learner.normal(3, 1, 16, 16)
    is_cut = learner.uniform(3) < 0.25
    terms = []
    for i in range(3):
        clean = pixel[i, :, :, 0].numpy() / 127.5 - 1
        which = int(turn[i] * 8)
        clean = clean[::-1] if which & 1 else clean
        clean = clean[:, ::-1] if which & 2 else clean
        clean = torch.tensor((clean.T if which & 4 else clean).copy()).float()
        noisy = clean + level[i] * noise[i, 0]
        noisy = noisy.clamp(-1, 1) if is_cut[i] else noisy
        answer = noisy - network(noisy[None, None], level[i : i + 1])[0, 0]
        terms.append(0.5 * torch.log(((answer - clean) ** 2).mean() + 1e-5))
    assert found.item() == pytest.approx((sum(terms) / 3).item(), abs=1e-5)


def test_neighbours_are_two_different_pixels_side_by_side_of_each_cell():
    picture = torch.arange(2 * 6 * 8.0).reshape(1, 2, 6, 8)
    for which in range(8):
        one, other = neighbours(picture, torch.full((1, 3, 4), which))
        assert one.shape == (1, 2, 3, 4)
        # in a picture that counts its pixels, neighbours differ by one to the side and by eight below
        assert set((one - other).abs().unique().tolist()) <= {1.0, 8.0}
        rows, columns = (one[0, 0] // 8).long(), (one[0, 0] % 8).long()
        assert torch.equal(rows // 2, torch.arange(3)[:, None].expand(3, 4))
        assert torch.equal(columns // 2, torch.arange(4).expand(3, 4))


def test_a_noise_level_is_found_within_a_tenth():
    for level in (10, 25, 50):
        assert noise_level(noised(PHOTOS[0], level) * 255) == pytest.approx(level, rel=0.1)
