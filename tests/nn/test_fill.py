import pytest
import torch

from twofold.nn.fill import filled


@pytest.mark.parametrize("shape", [(16, 16), (7, 13), (1, 9), (64, 40)])
def test_known_pixels_stay_and_holes_lie_between_them(shape):
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(2, 3, *shape, generator=generator)
    is_known = torch.rand(2, 1, *shape, generator=generator) < 0.3
    is_known[..., 0, 0] = True
    answer = filled(picture, is_known)
    everywhere = is_known.expand_as(picture)
    assert torch.equal(answer[everywhere], picture[everywhere])
    assert answer.min() >= picture[everywhere].min() - 1e-6 and answer.max() <= picture[everywhere].max() + 1e-6


def test_a_flat_picture_is_filled_flat_and_a_slope_nearly_straight():
    is_known = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    is_known[..., 12:20, 12:20] = False
    flat = torch.full((1, 1, 32, 32), 0.7)
    assert torch.allclose(filled(flat, is_known), flat)
    slope = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    assert (filled(slope, is_known) - slope).abs().max() < 0.08


def test_where_nothing_is_known_the_answer_is_0():
    assert not filled(torch.rand(1, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)).any()
