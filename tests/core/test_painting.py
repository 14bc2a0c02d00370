import numpy as np
import pytest
import torch
from PIL import Image

from twofold.core.painting import each_painted, random_mask
from twofold.errors import DataError, SettingError

RNG = np.random.default_rng(0)
SIZES = (16, 3, 4)


def grey(picture_1CSS: torch.Tensor, place_1M: torch.Tensor) -> torch.Tensor:
    """A painter that paints grey whatever it sees."""
    return torch.zeros_like(picture_1CSS)


def ramp(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.linspace(0, 200, width)[None, :, None], (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 16, 1), (40, 25, 3), (9, 70, 1)])
def test_what_is_not_hidden_comes_back_untouched_in_any_size(shape):
    picture = RNG.integers(0, 256, shape, dtype=np.uint8)
    mask = random_mask(shape[:2], 0.5, 4, np.random.default_rng(1))
    answer = each_painted(picture, mask, None, grey, sizes=SIZES, seed=0)
    assert answer.shape == shape and answer.dtype == np.uint8
    assert (answer[~mask] == picture[~mask]).all() and (answer[mask] != picture[mask]).any()


def test_a_painting_is_shifted_to_meet_what_is_known():
    picture, mask = ramp(32, 32), np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    answer = each_painted(picture, mask, None, grey, sizes=SIZES, seed=0)
    assert np.abs(answer.astype(int) - picture)[mask].max() < 25


def test_floats_lists_paths_and_pictures_of_pil_are_taken(tmp_path):
    picture, mask = ramp(20, 20), np.zeros((20, 20), np.uint8)
    mask[5:9, 5:9] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    expected = each_painted(picture, mask, None, grey, sizes=SIZES, seed=0)
    for given in (tmp_path / "a.png", Image.fromarray(picture)):
        assert (each_painted(given, tmp_path / "mask.png", None, grey, sizes=SIZES, seed=0) == expected).all()
    floats = each_painted(picture / np.float32(255), mask > 0, None, grey, sizes=SIZES, seed=0)
    assert floats.dtype == np.float32 and np.abs(255 * floats - expected).max() < 1
    two = each_painted([picture, picture], [mask, mask], None, grey, sizes=SIZES, seed=0)
    assert len(two) == 2 and (two[1] == expected).all()


def test_a_thin_scratch_does_not_hide_whole_patches():
    seen = []

    def spy(picture_1CSS: torch.Tensor, place_1M: torch.Tensor) -> torch.Tensor:
        seen.append(place_1M.shape[1])
        return picture_1CSS

    scratch, blot = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    scratch[30], blot[16:32, 16:32] = True, True
    for mask in (scratch, blot):
        each_painted(ramp(64, 64), mask, None, spy, sizes=SIZES, seed=0)
    assert seen == [16, 15]


def test_the_share_that_is_hidden_is_the_one_asked_for_and_follows_the_seed():
    for ratio in (0.05, 0.6, 0.99):
        mask = random_mask((64, 48), ratio, 8, np.random.default_rng(0))
        assert abs(mask.mean() - np.clip(ratio, 1 / 64, 63 / 64)) < 0.02
    answers = [each_painted(ramp(16, 16), None, 0.5, grey, sizes=SIZES, seed=seed) for seed in (0, 0, 1)]
    assert (answers[0] == answers[1]).all() and (answers[0] != answers[2]).any()


def test_masks_that_cannot_be_used_are_refused():
    picture = ramp(16, 16)
    for mask, ratio, error, match in (
        (np.zeros((9, 16), bool), None, DataError, "16 x 16 pixels and its mask 16 x 9"),
        (np.ones((16, 16), bool), None, DataError, "hides all of it"),
        (None, None, SettingError, "one of the two"), (np.ones((16, 16)), 0.5, SettingError, "one of the two"),
        (None, 1.0, SettingError, "between 0 and 1"), (None, float("nan"), SettingError, "between 0 and 1"),
        ([np.zeros((16, 16), bool)], None, DataError, "picture 2 has no mask"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            each_painted([picture, picture], mask, ratio, grey, sizes=SIZES, seed=0)
    untouched = each_painted(picture, np.zeros((16, 16), bool), None, grey, sizes=SIZES, seed=0)
    assert (untouched == picture).all()
