import torch

from twofold.nn.patch_code import learn_patch_code
from twofold.nn.sparse_vit import SparseViT
from twofold.nn.view_encoder import ViewEncoder, parts_of, solve_directions
from twofold.nn.views import N_CHANCES, changed


def encoder(n_features: int = 8) -> ViewEncoder:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (40, 12, 12, 1), dtype=torch.uint8)
    return ViewEncoder(SparseViT(12, 1, 3, dim=32, depth=1), learn_patch_code(pixels, 0, n_words=16), n_features).eval()


def test_directions_that_do_not_survive_a_changed_view_are_left_out():
    model = encoder(n_features=2)
    F, N = len(model.centre_F), 300
    steady, fickle = torch.randn(N, 2), torch.randn(3, N, F)
    said = fickle.clone()
    # two numbers that all views agree on, told faintly among others that change with every view
    said[:, :, 5], said[:, :, 9] = 0.01 * steady[:, 0], 3 * steady[:, 1] + 7
    share = solve_directions(model, said)
    assert (share > 0.9).all()
    found = ((said[0] - model.centre_F) / model.scale_F) @ model.axis_FE
    both = torch.cat([found, steady], 1)
    correlation = torch.corrcoef(both.T)[:2, 2:]
    assert (correlation.square().sum(1) > 0.9).all()  # measured: .93


def test_the_features_are_the_same_after_a_rebuilding_from_the_weights():
    model, picture = encoder(), torch.rand(5, 1, 12, 12) * 2 - 1
    solve_directions(model, torch.randn(3, 50, len(model.centre_F)))
    again = ViewEncoder.with_weights(model.state_dict(), {"size": 12, "channels": 1, "is_half": False})
    assert torch.equal(parts_of(again, picture), parts_of(model, picture)) and again.n_features == 8


def test_views_stay_in_range_are_as_the_chances_say_and_grey_ones_stay_grey():
    pixels = torch.randint(0, 256, (64, 16, 16, 3), dtype=torch.uint8)
    chance = torch.rand(64, N_CHANCES)
    view = changed(pixels, chance, jitters=0.4)
    assert view.shape == (64, 3, 16, 16) and view.abs().max() <= 1 + 1e-6
    assert torch.equal(view, changed(pixels, chance, jitters=0.4))
    is_grey = (view - view.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-5
    assert torch.equal(is_grey, chance[:, 8] < 0.2)
    assert changed(pixels[..., :1], chance).shape == (64, 1, 16, 16)


def test_a_view_that_shows_all_and_changes_nothing_is_the_picture_or_its_mirror_image():
    pixels = torch.randint(0, 256, (8, 16, 16, 1), dtype=torch.uint8)
    chance = torch.full((8, N_CHANCES), 0.5)
    chance[:4, 4] = 0.1
    view = changed(pixels, chance, least_area=1.0, jitters=0.0)
    expected = 2 * pixels.movedim(3, 1).float() / 255 - 1
    assert torch.allclose(view[4:], expected[4:], atol=1e-5) and torch.allclose(
        view[:4], expected[:4].flip(3), atol=1e-5
    )
    kept = changed(pixels, chance, least_area=1.0, jitters=0.0, is_mirrored=False)
    assert torch.allclose(kept, expected, atol=1e-5)
