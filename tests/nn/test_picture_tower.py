"""What needs no training: colours counted by loops, kinds of features brought to one scale, towers saved."""

import numpy as np
import pytest
import torch
from torch import nn

from twofold.nn.picture_tower import Bodies, PictureHead, PictureTower, principal_axes
from twofold.nn.pixels import from_pixels
from twofold.nn.plain_body import PlainBody, colour_shares

RNG = np.random.default_rng(0)
PIXELS = {C: torch.from_numpy(RNG.integers(0, 256, (30, 16, 16, C), np.uint8)) for C in (1, 3)}


class Mean(nn.Module):
    """A body of one feature a channel."""

    n_features = 3

    def forward(self, picture_BCSS):
        return picture_BCSS.mean((2, 3))


# ---- colours -------------------------------------------------------------------------------------


def shares_slowly(pixel_SSC, levels):
    """Roots of the shares of each colour in the whole and the quarters, pixel by pixel."""
    S, _, C = pixel_SSC.shape
    counts = np.zeros((5, levels**C))
    for y in range(S):
        for x in range(S):
            value_C = pixel_SSC[y, x] / 127.5 - 1
            colour = sum(min(int((v + 1) * levels / 2), levels - 1) * levels**c for c, v in enumerate(value_C))
            counts[0, colour] += 1
            counts[1 + 2 * (2 * y >= S) + (2 * x >= S), colour] += 1
    return np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1)).ravel()


@pytest.mark.parametrize(("C", "levels"), [(1, 16), (3, 4)])
@pytest.mark.parametrize("S", [1, 2, 7, 16])
def test_colours_are_counted_as_by_loops(C, levels, S):
    pixel_BSSC = PIXELS[C][:4, :S, :S]
    found = colour_shares(from_pixels(pixel_BSSC)).numpy()
    expected = np.stack([shares_slowly(pixel.numpy().astype(np.float32), levels) for pixel in pixel_BSSC])
    assert found == pytest.approx(expected, abs=1e-6)
    assert np.square(found).reshape(4, 5, -1).sum(2)[:, 0] == pytest.approx(1)


def test_what_is_moved_within_a_quarter_changes_no_colours():
    pixel_BSSC = np.zeros((2, 16, 16, 3), np.uint8)
    pixel_BSSC[0, 1:4, 1:4], pixel_BSSC[1, 4:7, 4:7] = (250, 9, 9), (250, 9, 9)
    one, other = colour_shares(from_pixels(torch.from_numpy(pixel_BSSC)))
    assert torch.equal(one, other)


# ---- the plain body ------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [1, 3])
def test_the_plain_body_tells_as_many_features_of_each_kind_as_it_says(C):
    body = PlainBody.learn(PIXELS[C], seed=0, n_words=16)
    picture_BCSS = from_pixels(PIXELS[C][:3])
    feature_BD = body(picture_BCSS)
    assert feature_BD.shape == (3, body.n_features) and sum(body.blocks) == body.n_features
    patches, colours, small = feature_BD.split(body.blocks, 1)
    assert torch.equal(patches, body.code(picture_BCSS)) and torch.equal(colours, colour_shares(picture_BCSS))
    means = picture_BCSS.unflatten(2, (8, 2)).unflatten(4, (8, 2)).mean((3, 5))
    assert torch.allclose(small, means.flatten(1), atol=1e-6)
    assert len(body.shares) == len(body.blocks)


def test_the_same_seed_gives_the_same_body_and_its_weights_rebuild_it():
    one, same, other = (PlainBody.learn(PIXELS[3], seed=seed, n_words=16) for seed in (0, 0, 1))
    picture_BCSS = from_pixels(PIXELS[3][:3])
    assert torch.equal(one(picture_BCSS), same(picture_BCSS))
    assert not torch.equal(one(picture_BCSS), other(picture_BCSS))
    rebuilt = PlainBody.with_weights(one.state_dict(), {})
    assert torch.equal(one(picture_BCSS), rebuilt(picture_BCSS))


@pytest.mark.parametrize("n", [2, 3])
def test_few_pictures_that_show_nothing_break_nothing(n):
    body = PlainBody.learn(torch.zeros(n, 16, 16, 3, dtype=torch.uint8), seed=0)
    assert torch.isfinite(body(torch.zeros(1, 3, 16, 16))).all()


# ---- axes ----------------------------------------------------------------------------------------


def test_the_axes_are_those_of_a_plain_decomposition_of_scaled_features():
    feature_ND = RNG.normal(size=(60, 7)) * np.array([5, 4, 3, 100, 60, 30, 10]) + 8
    centre_D, axis_DR = principal_axes(feature_ND, [3, 4], [1.0, 0.5], seed=0)
    blocks = feature_ND[:, :3], feature_ND[:, 3:]
    scaled = np.hstack([s * (b - b.mean(0)) / np.sqrt(b.var(0).sum()) for s, b in zip((1, 0.5), blocks, strict=True)])
    u, length, _ = np.linalg.svd(scaled, full_matrices=False)
    expected = u * length
    expected /= np.sqrt(expected.var(0).mean())
    found = (feature_ND - centre_D) @ axis_DR
    assert found.shape == (60, 7) and found.var(0).mean() == pytest.approx(1, rel=1e-4)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-3)


def test_a_kind_that_does_not_vary_tells_nothing_and_one_share_more_tells_more():
    feature_ND = np.hstack([RNG.normal(size=(40, 3)), np.full((40, 2), 9.0)])
    _, axis_DR = principal_axes(feature_ND, [3, 2], [1.0, 1.0], seed=0)
    assert not axis_DR[3:].any() and axis_DR[:3].any()
    varied = np.hstack([feature_ND[:, :3], RNG.normal(size=(40, 3))])
    of_second = [np.square(principal_axes(varied, [3, 3], [1.0, share], 0)[1][3:]).sum() for share in (0.2, 1.0)]
    assert of_second[1] > of_second[0]


@pytest.mark.parametrize("feature_ND", [np.ones((1, 4)), np.ones((2, 4)), np.ones((9, 4)), np.eye(4)[:2]])
def test_axes_of_next_to_nothing_are_finite(feature_ND):
    centre_D, axis_DR = principal_axes(feature_ND.astype(np.float32), [4], [1.0], seed=0)
    assert np.isfinite(axis_DR).all() and axis_DR.shape[0] == 4 and axis_DR.shape[1] >= 1
    assert centre_D == pytest.approx(feature_ND.mean(0))


# ---- bodies, head, tower -------------------------------------------------------------------------


def tower(C=3, embed_dim=5):
    """A plain tower with weights as if it had learned."""
    bodies = Bodies([PlainBody.learn(PIXELS[C], seed=0, n_words=16)]).eval()
    feature_ND = bodies.of_pixels(PIXELS[C].numpy())
    centre_D, axis_DR = map(torch.from_numpy, principal_axes(feature_ND, bodies.blocks, bodies.shares, 0))
    head, generator = PictureHead(centre_D, axis_DR, embed_dim, 6), torch.Generator().manual_seed(0)
    for weight in head.parameters():
        nn.init.normal_(weight, generator=generator)
    return PictureTower(bodies, head).eval().requires_grad_(False)


def test_bodies_stand_side_by_side_whatever_is_asked_at_once():
    plain = PlainBody.learn(PIXELS[3], seed=0, n_words=16)
    bodies = Bodies([Mean(), plain])
    assert bodies.blocks == [3, *plain.blocks] and bodies.shares == [1.0, *plain.shares]
    feature_ND = bodies.of_pixels(np.concatenate([PIXELS[3].numpy()] * 2))
    assert feature_ND.shape == (60, sum(bodies.blocks)) and feature_ND.dtype == np.float32
    picture_BCSS = from_pixels(PIXELS[3])
    assert feature_ND[30:] == pytest.approx(torch.cat([Mean()(picture_BCSS), plain(picture_BCSS)], 1).numpy(), abs=1e-5)
    assert bodies.of_pixels(PIXELS[3][:0].numpy()).shape == (0, sum(bodies.blocks))


def test_a_head_begins_as_nothing_and_then_is_linear_until_it_learns_to_bend():
    head = PictureHead(torch.ones(4), torch.eye(4)[:, :3] * 2, 5, 6)
    feature_BD = torch.tensor([[1.0, 2.0, 3.0, 9.0]])
    assert head.reduced(feature_BD).tolist() == [[0.0, 2.0, 4.0]]
    assert not head(head.reduced(feature_BD)).any()
    nn.init.ones_(head.weight)
    assert head(head.reduced(feature_BD)).tolist() == [[6.0] * 5]
    assert {name for name, _ in head.named_parameters()} >= {"weight", "bias", "bend.0.weight"}


@pytest.mark.parametrize("C", [1, 3])
def test_a_tower_is_rebuilt_from_its_weights_and_gives_vectors_of_length_one(C):
    whole = tower(C)
    rebuilt = PictureTower.with_weights(whole.state_dict(), {"borrowed": None})
    picture_BCSS = from_pixels(PIXELS[C][:4])
    assert torch.equal(whole.embedded(picture_BCSS), rebuilt.embedded(picture_BCSS))
    assert torch.allclose(whole.embedded(picture_BCSS).norm(dim=1), torch.ones(4))
    feature_BD = rebuilt(picture_BCSS)
    assert feature_BD.shape == (4, rebuilt.n_features) and rebuilt.blocks[1] == 5
    assert torch.equal(feature_BD[:, -5:], whole.embedded(picture_BCSS))
    assert rebuilt.layers[-1] is rebuilt.head


def test_a_picture_is_embedded_alike_alone_and_among_others():
    whole, picture_BCSS = tower(), from_pixels(PIXELS[3])
    alone = torch.cat([whole.embedded(picture[None]) for picture in picture_BCSS])
    assert torch.allclose(alone, whole.embedded(picture_BCSS), atol=1e-5)
