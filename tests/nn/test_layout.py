"""How a picture lies in a file."""

import numpy as np
import pytest
import torch

from twofold.errors import DataError
from twofold.nn.layout import Layout, centred, in_pixels, turned, with_margin


@pytest.mark.parametrize("size", [(1, 1, 3), (768, 768, 1), (769, 50, 3), (2000, 3001, 3)])
def test_tiles_cover_every_block_once_and_none_is_too_large(size):
    layout = Layout(size, 10)
    n_times_HW = np.zeros(layout.shape, int)
    for place in layout.tiles():
        n_times_HW[place] += 1
        assert all(0 < side.stop - side.start <= layout.tile for side in place)
    assert (n_times_HW == 1).all() and layout.n_tiles == len(list(layout.tiles()))


def test_a_layout_comes_back_from_its_header():
    layout = Layout((5, 700, 1), 64)
    assert Layout.of(layout.header()) == layout
    with pytest.raises(DataError, match="lacks what a picture needs"):
        Layout.of(layout.header() | {"level": True})


def test_a_place_is_found_again_within_its_margin():
    blocks_HW = np.arange(60 * 70).reshape(60, 70)
    place = (slice(20, 31), slice(0, 9))
    wide, inner = with_margin(place, (60, 70), 16)
    assert np.array_equal(blocks_HW[wide][inner], blocks_HW[place])
    assert wide == (slice(4, 47), slice(0, 25)) and in_pixels(place) == (slice(160, 248), slice(0, 72))


def test_pictures_are_filled_up_to_whole_blocks_by_their_edges():
    pixel_13YX = centred(np.full((3, 9, 1), 200, np.uint8))
    assert pixel_13YX.shape == (1, 3, 8, 16) and (pixel_13YX == 72).all()


def test_windows_are_mirrored_and_turned_each_in_its_own_way():
    patch_BYXC = torch.randint(0, 256, (3, 4, 4, 3), dtype=torch.uint8)
    plain, mirrored, on_its_side = turned(patch_BYXC, torch.tensor([[False, False], [True, False], [False, True]]))
    pixel_B3YX = patch_BYXC.permute(0, 3, 1, 2).float() - 128
    assert torch.equal(plain, pixel_B3YX[0]) and torch.equal(mirrored, pixel_B3YX[1].flip(2))
    assert torch.equal(on_its_side, pixel_B3YX[2].transpose(1, 2))
