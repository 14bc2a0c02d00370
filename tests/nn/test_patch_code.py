import numpy as np
import scipy.linalg
import torch

from twofold.nn.patch_code import PatchCode, learn_patch_code, ratio_axes
from twofold.nn.pixels import from_pixels


def stripes(n: int, seed: int = 0) -> torch.Tensor:
    """Pictures of stripes, upright or lying, at any place, with noise: uint8 (N, 16, 16, 1)."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    pictures = [
        128 + 70 * np.sin(2 * np.pi * (x if i % 2 else y) / 5 + rng.uniform(0, 6)) + rng.normal(0, 12, (16, 16))
        for i in range(n)
    ]
    return torch.from_numpy(np.clip(np.stack(pictures), 0, 255).astype(np.uint8)[..., None])


def test_one_number_of_the_code_tells_kinds_of_pictures_that_no_pixel_does():
    train, test = stripes(200), from_pixels(stripes(60, seed=1))
    kind = np.arange(60) % 2

    def most_telling(features: torch.Tensor) -> float:
        columns = features.flatten(1).numpy().T
        return max(abs(np.corrcoef(column, kind)[0, 1]) for column in columns)

    assert most_telling(learn_patch_code(train, 0, n_words=64)(test)) > 0.8  # measured: 0.87
    assert most_telling(test) < 0.5


def test_words_are_the_same_whatever_the_brightness_and_the_contrast():
    code = learn_patch_code(stripes(50), 0, n_words=32)
    picture = from_pixels(stripes(3, seed=2))
    assert (code.words(picture) == code.words(0.4 * picture + 0.3)).float().mean() > 0.999


def test_a_blank_picture_has_no_words_and_finite_features():
    code = learn_patch_code(stripes(50), 0, n_words=32)
    blank = torch.full((2, 1, 16, 16), 0.5)
    assert not code.words(blank).any() and torch.isfinite(code(blank)).all()
    # and pictures that are all blank can be learnt from
    assert torch.isfinite(learn_patch_code(torch.full((9, 12, 12, 3), 7, dtype=torch.uint8), 0, n_words=8)(
        torch.zeros(1, 3, 12, 12)
    )).all()  # fmt: skip


def test_axes_are_those_of_the_generalised_eigenproblem():
    rng = np.random.default_rng(0)
    total, part = (rng.normal(size=(40, 6)) for _ in range(2))
    total, part = total.T @ total / 40, part.T @ part / 100
    axes, shares = ratio_axes(torch.from_numpy(part), torch.from_numpy(total), 3, 0.0)
    expected, directions = scipy.linalg.eigh(part, total)
    assert np.allclose(shares.numpy(), np.clip(expected[::-1][:3], 0, 1), atol=1e-5)
    for column in range(3):
        direction = directions[:, -1 - column]
        assert np.allclose(np.abs(axes[:, column].numpy()), np.abs(direction), atol=1e-4)


def test_the_same_seed_gives_the_same_code_and_weights_rebuild_it():
    code, same, other = (learn_patch_code(stripes(40), seed, n_words=32) for seed in (0, 0, 1))
    picture = from_pixels(stripes(3, seed=2))
    assert torch.equal(code(picture), same(picture)) and not torch.equal(code(picture), other(picture))
    assert torch.equal(PatchCode.with_weights(code.state_dict(), is_half=False)(picture), code(picture))


def test_axes_exist_where_rounding_left_a_direction_less_than_no_spread():
    total = torch.diag(torch.tensor([2.0, 1.0, -0.01]))
    axes, shares = ratio_axes(torch.diag(torch.tensor([1.0, 0.9, 0.0])), total, 2, 0.001)
    assert torch.isfinite(axes).all() and torch.allclose(shares, torch.tensor([0.9, 0.5]), atol=0.01)
    rare = (np.random.default_rng(0).random((80, 24, 24, 3)) > 0.996).astype(np.uint8) * 255
    for is_half in (False, True):
        code = learn_patch_code(torch.from_numpy(rare), 3, n_words=64, is_half=is_half)
        assert torch.isfinite(code(from_pixels(torch.from_numpy(rare[:4])))).all()
