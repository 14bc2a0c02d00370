"""The network that finds noise, tiles, and groups of patches that look alike."""

import numpy as np
import pytest
import torch

from twofold.nn import alike
from twofold.nn.alike import denoise_alike
from twofold.nn.pixels import from_pixels, to_pixels, turned
from twofold.nn.tiles import in_tiles
from twofold.nn.unet import NoiseUNet


@pytest.fixture
def network() -> NoiseUNet:
    torch.manual_seed(0)
    network = NoiseUNet(1, (4, 6), (1, 1)).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval().requires_grad_(False)


def test_a_picture_twice_as_bright_with_twice_the_noise_is_answered_twice_as_bright(network):
    picture, level = torch.randn(2, 1, 11, 14).double(), torch.tensor([0.1, 0.3]).double()
    assert torch.allclose(network(2 * picture, 2 * level), 2 * network(picture, level))


def test_tiles_give_the_answer_of_the_whole_picture(network):
    picture = torch.randn(1, 1, 150, 203).double()
    level = torch.tensor([0.2]).double()
    whole = network(picture, level)
    tiled = in_tiles(lambda part: network(part, level), picture, 40, network.reach)
    assert torch.allclose(tiled, whole, atol=1e-12)


def test_a_pixel_depends_on_none_beyond_the_reach(network):
    # ReLU may hide a dependence in one place, not in all
    picture = torch.randn(1, 1, 200, 200).double().requires_grad_()
    network(picture, torch.tensor([0.2]).double())[0, 0, 96:104, 96:104].sum().backward()
    rows = picture.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert 96 - network.reach <= rows[0] and rows[-1] < 104 + network.reach


def test_a_network_is_rebuilt_from_its_weights_alone(network):
    again = NoiseUNet.with_weights(network.state_dict())
    assert (again.channels, again.widths, again.n_blocks) == (1, (4, 6), (1, 1))


def test_pixels_survive_the_way_in_and_out():
    pixel = torch.randint(0, 256, (2, 5, 4, 3), dtype=torch.uint8)
    assert torch.equal(to_pixels(from_pixels(pixel)), pixel)


def test_the_eight_turns_are_different_and_each_picture_gets_its_own():
    picture = torch.arange(9.0).reshape(1, 1, 3, 3)
    each = turned(picture.expand(8, 1, 3, 3), torch.arange(8))
    assert len({tuple(part.flatten().tolist()) for part in each}) == 8
    assert torch.equal(turned(picture, torch.tensor([5]))[0, 0], picture[0, 0].flip(0).T)


def test_groups_of_patches_are_mixed_as_the_slow_way_does(monkeypatch):
    """One pass over a tiny picture against loops over groups, in float64."""
    rng = np.random.default_rng(0)
    noisy = (100 + 60 * np.sin(np.arange(22) / 3) + 20 * rng.standard_normal((18, 22)))[..., None]
    side, n_alike, level = 5, 6, 20.0
    fast = alike._pass(torch.from_numpy(noisy).movedim(-1, 0).float(), None, level, side, n_alike)[0].numpy()
    total, weight = np.zeros((18, 22)), np.zeros((18, 22))
    patches = {(y, x): noisy[y : y + side, x : x + side, 0] for y in range(14) for x in range(18)}
    for y in [0, 4, 8, 12, 13]:
        for x in [0, 4, 8, 12, 16, 17]:
            distance = {
                place: np.square(patch - patches[y, x]).mean() - (place == (y, x))
                for place, patch in patches.items()
                if abs(place[0] - y) <= 13 and abs(place[1] - x) <= 17
            }
            group = sorted(distance, key=distance.get)[:n_alike]
            Y = np.stack([patches[place].ravel() for place in group])
            mix = np.eye(n_alike) - side**2 * level**2 * np.linalg.inv(Y @ Y.T + 1e-3 * np.eye(n_alike))
            for place, clean, row in zip(group, mix @ Y, mix, strict=True):
                trust = 1 / max((row**2).sum(), 1e-3)
                inside = slice(place[0], place[0] + side), slice(place[1], place[1] + side)
                total[inside] += trust * clean.reshape(side, side)
                weight[inside] += trust
    assert np.allclose(fast, total / weight, atol=0.05)


def test_a_picture_without_noise_is_left_as_it_is():
    picture = np.random.default_rng(0).random((20, 20, 3)).astype(np.float32) * 255
    assert np.array_equal(denoise_alike(picture, 0.0), picture)
