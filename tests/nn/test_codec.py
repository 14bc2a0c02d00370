"""The transforms of the picture codec."""

import pytest
import torch
from sklearn.datasets import load_sample_image

from twofold.nn.codec import N_LEVELS, Codec, anchor_weights, step_size


@pytest.fixture(scope="module")
def pixel_13YX():
    crop_YXC = load_sample_image("flower.jpg")[100:228, 200:360].copy()
    return torch.from_numpy(crop_YXC).permute(2, 0, 1)[None].float() - 128


@pytest.fixture(scope="module")
def codec(pixel_13YX):
    torch.manual_seed(0)
    codec = Codec(dim=16, depth=1)
    codec.start(pixel_13YX)
    return codec.eval().requires_grad_(False)


def test_blocks_keep_the_energy_and_come_back(codec, pixel_13YX):
    coefficient_1CHW = codec.blocks(pixel_13YX)
    assert coefficient_1CHW.square().sum() == pytest.approx(pixel_13YX.square().sum().item(), rel=1e-5)
    assert torch.allclose(codec.blocks.inverse(coefficient_1CHW), pixel_13YX, atol=1e-3)


def test_coefficients_stand_by_falling_variance_after_the_three_means(codec, pixel_13YX):
    variance_C = codec.blocks(pixel_13YX).var((0, 2, 3))
    assert (variance_C[3:-1] >= variance_C[4:] - 1e-3).all()
    assert codec.blocks.is_luma_C.sum() == 64 and codec.blocks.is_luma_C[0]


@pytest.mark.parametrize("level", [0, 30, N_LEVELS])
def test_before_training_the_error_is_that_of_rounding(codec, pixel_13YX, level):
    level_1 = torch.tensor([level])
    latent_1CHW = codec.analyse(pixel_13YX, level_1).round()
    error = (codec.synthesise(latent_1CHW, level_1) - pixel_13YX).square().mean()
    # fine steps: a twelfth of the square; coarse ones less, as most coefficients are near 0
    assert error <= step_size(level_1).square() / 12 * 1.05


def test_a_finer_level_has_a_smaller_step():
    steps = step_size(torch.arange(N_LEVELS + 1))
    assert (steps[1:] < steps[:-1]).all()


def test_anchors_share_a_level_in_exact_sixteenths():
    weight_BA = anchor_weights(torch.arange(N_LEVELS + 1))
    assert torch.equal(weight_BA * 16, (weight_BA * 16).round())
    assert torch.equal(weight_BA.sum(1), torch.ones(N_LEVELS + 1))
