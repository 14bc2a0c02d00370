"""Batched changes against slow ones that are done picture by picture, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from twofold.errors import SettingError
from twofold.nn.augmentation import crop, flip, jitter, normalise, pad_and_crop, resized_crop


def some(B=5, C=3, H=9, W=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    picture = torch.randint(0, 256, (B, C, H, W), dtype=torch.uint8, generator=generator)
    return picture, lambda *shape: torch.rand(B, *shape, generator=generator)


@pytest.mark.parametrize("C", [1, 3])
@pytest.mark.parametrize("is_float", [False, True])
def test_crop_cuts_the_window_that_its_numbers_name(C, is_float):
    picture, draw = some(B=40, C=C, H=9, W=12)
    picture, chance = picture / 255 if is_float else picture, draw(2)
    windows = crop(picture, chance, 4)
    for b in range(40):
        top, left = int(chance[b, 0] * 6), int(chance[b, 1] * 9)
        assert torch.equal(windows[b], picture[b, :, top : top + 4, left : left + 4])


def test_crop_reaches_every_place_and_takes_pictures_that_lie_channels_last():
    picture = torch.arange(25, dtype=torch.uint8).reshape(1, 5, 5, 1).expand(500, 5, 5, 1).permute(0, 3, 1, 2)
    windows = crop(picture, torch.rand(500, 2, generator=torch.Generator().manual_seed(0)), 3)
    assert {int(window[0, 0, 0]) for window in windows} == {0, 1, 2, 5, 6, 7, 10, 11, 12}
    assert int(crop(picture[:1], torch.ones(1, 2), 3)[0, 0, 0, 0]) == 12


def test_a_window_larger_than_the_picture_is_refused():
    picture, draw = some()
    with pytest.raises(SettingError, match="10 x 10; the pictures are 9 x 9"):
        crop(picture, draw(2), 10)


def test_pad_and_crop_moves_each_picture_over_black():
    picture, draw = some(B=60)
    chance = draw(2)
    moved = pad_and_crop(picture, chance, 2)
    for b in range(60):
        wide = torch.zeros(3, 13, 13, dtype=torch.uint8)
        wide[:, 2:-2, 2:-2] = picture[b]
        top, left = int(chance[b, 0] * 5), int(chance[b, 1] * 5)
        assert torch.equal(moved[b], wide[:, top : top + 9, left : left + 9])


def test_flip_mirrors_where_the_chance_is_below_one_half():
    picture, _ = some(B=4)
    flipped = flip(picture, torch.tensor([0.1, 0.5, 0.49, 0.9]))
    for b, is_flipped in enumerate([True, False, True, False]):
        assert torch.equal(flipped[b], picture[b].flip(2) if is_flipped else picture[b])


def slow_jitter(pixels_HWC, factors):
    """Brightness, contrast, saturation of one picture of floats, as their definitions say."""
    bright, contrast, colour = factors
    pixels = np.clip(pixels_HWC * bright, 0, 1)
    luma = (lambda p: p @ np.array([0.299, 0.587, 0.114])) if pixels.shape[2] == 3 else (lambda p: p[..., 0])
    mean = luma(pixels).mean()
    pixels = np.clip(mean + contrast * (pixels - mean), 0, 1)
    grey = luma(pixels)[..., None]
    return np.clip(grey + colour * (pixels - grey), 0, 1)


@pytest.mark.parametrize("C", [1, 3])
@pytest.mark.parametrize("is_float", [False, True])
def test_jitter_is_brightness_then_contrast_then_saturation(C, is_float):
    picture, draw = some(B=30, C=C, H=7, W=11)
    chance, strength = draw(3), (0.4, 0.3, 0.8)
    changed = jitter(picture / 255 if is_float else picture, chance, strength)
    for b in range(30):
        factors = [1 + s * (2 * float(u) - 1) for s, u in zip(strength, chance[b], strict=True)]
        expected = slow_jitter(picture[b].permute(1, 2, 0).double().numpy() / 255, factors)
        assert np.abs(changed[b].permute(1, 2, 0).numpy() - expected).max() < 1e-6


def test_jitter_of_many_parts_is_that_of_each_alone(monkeypatch):
    from twofold.nn import augmentation

    picture, draw = some(B=7)
    chance, area = draw(3), draw(4)
    whole, cut = jitter(picture, chance), resized_crop(picture, area, 5)
    monkeypatch.setattr(augmentation, "PART", 1)
    assert torch.equal(jitter(picture, chance), whole) and torch.allclose(resized_crop(picture, area, 5), cut)


def test_no_strength_changes_nothing():
    picture, draw = some()
    assert torch.allclose(jitter(picture, draw(3), (0, 0, 0)), picture / 255, atol=1e-6)


def slow_resized_crop(pixels_HW, top, left, height, width, size):
    """Pillow's own resize of a window with a box that may lie between pixels."""
    box = (left, top, left + width, top + height)
    return np.asarray(Image.fromarray(pixels_HW).resize((size, size), Image.Resampling.BILINEAR, box=box))


@pytest.mark.parametrize("H, W, size", [(40, 60, 8), (12, 10, 16), (9, 9, 9)])
def test_resized_crop_is_a_window_of_random_area_and_shape_resized_with_averaging(H, W, size):
    picture, draw = some(B=30, C=1, H=H, W=W)
    chance = draw(4)
    windows = resized_crop(picture, chance, size, area=(0.2, 0.6))
    for b in range(30):
        share, shape = 0.2 + 0.4 * float(chance[b, 0]), math.exp((2 * float(chance[b, 1]) - 1) * math.log(4 / 3))
        height, width = min(H, math.sqrt(share * H * W / shape)), min(W, math.sqrt(share * H * W * shape))
        top, left = float(chance[b, 2]) * (H - height), float(chance[b, 3]) * (W - width)
        expected = slow_resized_crop(picture[b, 0].float().numpy(), top, left, height, width, size)
        assert np.abs((windows[b, 0] * 255).numpy() - expected).max() < 0.01  # of 255; measured 0.0003


def test_the_whole_picture_at_its_own_size_stays_as_it_is():
    picture, draw = some()
    assert torch.allclose(resized_crop(picture, draw(4), 9, area=(1, 1), ratio=(1, 1)), picture / 255, atol=1e-5)


@pytest.mark.parametrize("is_float", [False, True])
def test_normalise_takes_mean_and_deviation_out(is_float):
    picture, _ = some()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    expected = (picture / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert torch.allclose(normalise(picture / 255 if is_float else picture, mean, std), expected, atol=1e-6)
    assert torch.allclose(normalise(picture, 0.5, 0.5), picture / 127.5 - 1, atol=1e-6)
