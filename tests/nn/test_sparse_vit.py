import torch
from torch.nn import functional

from twofold.nn.sparse_vit import PatchPainter, SparseViT, as_patches, as_picture, visible


def network(size: int = 12, patch: int = 3) -> SparseViT:
    torch.manual_seed(0)
    return SparseViT(size, 2, patch, dim=64, depth=2).eval()


def test_patches_are_those_a_loop_would_cut_and_come_back_as_the_picture():
    picture = torch.randn(3, 2, 12, 12)
    patches = as_patches(picture, 3)
    for row in range(4):
        for column in range(4):
            cut = picture[:, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            assert torch.equal(patches[:, 4 * row + column], cut.flatten(1))
    assert torch.equal(as_picture(patches, 3), picture)


def test_what_is_hidden_has_no_influence_at_all():
    model, picture = network(), torch.randn(2, 2, 12, 12)
    place = torch.tensor([[0, 5, 11], [2, 3, 15]])
    other = torch.where(model.is_visible(place), picture, torch.randn_like(picture))
    assert torch.equal(model.tokens(picture, place), model.tokens(other, place))
    assert model.is_visible(place).sum((1, 2, 3)).tolist() == [27, 27]


def test_all_places_in_another_order_give_the_same_tokens_in_that_order():
    model, picture = network(), torch.randn(1, 2, 12, 12)
    place = torch.randperm(16)[None]
    assert torch.allclose(model.tokens(picture, place)[0], model.tokens(picture)[0, place[0]], atol=1e-5)
    assert torch.allclose(model(picture), model.tokens(picture).mean(1))


def test_attention_is_that_of_the_textbook():
    attention, x = network().blocks[0].attention, torch.randn(2, 7, 64)
    query, key, value = attention.into(x).view(2, 7, 3, 2, 32).unbind(2)
    expected = torch.zeros(2, 7, 2, 32)
    for head in range(2):
        for i in range(7):
            look = functional.softmax((query[:, i, head, None] * key[:, :, head]).sum(2) / 32**0.5, 1)
            expected[:, i, head] = (look[..., None] * value[:, :, head]).sum(1)
    assert torch.allclose(attention(x), attention.out(expected.flatten(2)), atol=1e-5)


def test_visible_places_are_drawn_evenly_without_repeats_and_in_order():
    place = visible(torch.rand(4000, 16), 4)
    assert (place.diff(dim=1) > 0).all()
    counts = torch.bincount(place.flatten(), minlength=16)
    assert (counts - 1000).abs().max() < 150


def test_the_painter_answers_for_every_patch_and_says_nothing_before_it_learned():
    painter, place = PatchPainter(64, 16, 18, dim=32, depth=1), torch.tensor([[1, 7]]).expand(3, -1)
    assert torch.equal(painter(torch.randn(3, 2, 64), place), torch.zeros(3, 16, 18))


def test_a_network_is_rebuilt_from_its_weights():
    model, picture = network(), torch.randn(2, 2, 12, 12)
    again = SparseViT.with_weights(model.state_dict(), {"size": 12, "channels": 2})
    assert torch.equal(again(picture), model(picture)) and len(again.blocks) == 2
