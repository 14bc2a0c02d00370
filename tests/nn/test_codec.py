"""The transforms of the picture codec."""

import pytest
import torch
from sklearn.datasets import load_sample_image

from twofold.nn.codec import BLOCK, N_LEVELS, Codec, anchor_weights, rounded, step_size


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


def test_small_latents_are_rounded_to_nought_and_the_gradient_passes():
    latent_1CHW = torch.tensor([0.55, -0.55, 0.65, 1.53, -1.6, 20.2]).expand(5, 6).reshape(1, 5, 6, 1).requires_grad_()
    whole_1CHW = rounded(latent_1CHW)
    # the three means are only rounded
    assert whole_1CHW[0, 0, :, 0].tolist() == [1, -1, 1, 2, -2, 20]
    assert whole_1CHW[0, 4, :, 0].tolist() == [0, 0, 1, 1, -2, 20]
    assert torch.equal(torch.autograd.grad(whole_1CHW.sum(), latent_1CHW)[0], torch.ones(1, 5, 6, 1))


def test_pixels_depend_on_no_block_beyond_the_margin(codec):
    moved = Codec(dim=16, depth=1)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.normal_(std=0.1)
    latent_1CHW, level_1 = torch.zeros(1, 192, 41, 3), torch.tensor([9])
    before = moved.synthesise(latent_1CHW, level_1)
    latent_1CHW[:, :, 20] = 3
    is_changed_H = (moved.synthesise(latent_1CHW, level_1) != before).any(3).any(1)[0].reshape(41, BLOCK).any(1)
    first, last = is_changed_H.nonzero().flatten()[[0, -1]].tolist()
    assert 20 - moved.margin <= first < 20 < last <= 20 + moved.margin
