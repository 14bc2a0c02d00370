"""Measures of fakes against slow, obvious ways to compute them."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

from twofold.measure.generation import copies, copy_ratio, frechet, frechet_interval, likeness, nearest_distances


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    points = load_digits().data
    return points[np.random.default_rng(0).permutation(len(points))]


def test_the_frechet_distance_is_that_of_the_matrix_root(digits):
    real_ND, fake_MD = digits[:500, 9:15], digits[500:800, 9:15] * 1.2 + 1
    covariances = [np.cov(points.T) for points in (real_ND, fake_MD)]
    away = np.square(real_ND.mean(0) - fake_MD.mean(0)).sum()
    slow = away + np.trace(sum(covariances) - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert frechet(real_ND, fake_MD) == pytest.approx(slow, rel=1e-6)


def test_the_frechet_distance_of_a_cloud_to_itself_is_nothing_and_to_a_moved_one_the_way(digits):
    assert frechet(digits, digits) < 1e-6
    assert frechet(digits, digits + 3) == pytest.approx(9 * 64, rel=1e-6)


def test_fewer_points_make_the_frechet_distance_larger_and_its_interval_does_not_grow_by_itself(digits):
    few, many = frechet(digits[:800], digits[800:900]), frechet(digits[:800], digits[800:])
    assert few > 2 * many
    low, high = frechet_interval(digits[:800], digits[800:900])
    assert low < few < high < 1.5 * few


def test_a_lone_fake_has_a_distance(digits):
    assert np.isfinite(frechet(digits, digits[:1]))
    assert likeness(digits, digits[:1]).is_real_M.all()


def test_nearest_distances_are_those_of_all_pairs_and_of_a_copy_nothing(digits):
    query_BD, point_ND = digits[:600], digits[590:1500]
    slow_BN = np.sqrt(np.square(query_BD[:, None] - point_ND).sum(2))
    np.testing.assert_allclose(nearest_distances(query_BD, point_ND, 3), np.sort(slow_BN, 1)[:, :3], rtol=1e-12)
    assert (nearest_distances(query_BD, point_ND)[590:, 0] == 0).all()


def test_likeness_is_what_a_loop_over_all_pairs_says(digits):
    real_ND, fake_MD, k = digits[:300], digits[300:540] + np.random.default_rng(1).normal(0, 2, (240, 64)), 5
    between_NM = np.sqrt(np.square(real_ND[:, None] - fake_MD).sum(2))
    reaches = [np.sort(np.sqrt(np.square(x[:, None] - x).sum(2)), 1)[:, k] for x in (real_ND, fake_MD)]
    found = {name: value for name, (value, _) in likeness(real_ND, fake_MD, k).measures().items()}
    assert found["precision"] == pytest.approx((between_NM <= reaches[0][:, None]).any(0).mean())
    assert found["recall"] == pytest.approx((between_NM <= reaches[1]).any(1).mean())
    assert found["density"] == pytest.approx((between_NM <= reaches[0][:, None]).sum() / (k * 240))
    assert found["coverage"] == pytest.approx((between_NM <= reaches[0][:, None]).any(1).mean())


def test_real_points_are_like_real_ones_and_covered_as_foretold(digits):
    found = likeness(digits[:800], digits[800:1600]).measures()
    assert found["coverage"][0] == pytest.approx(1 - 0.5**5, abs=0.03)
    assert found["density"][0] == pytest.approx(1, abs=0.1)
    assert found["coverage"][1][0] < found["coverage"][0] < found["coverage"][1][1]


def test_a_lost_half_is_seen_by_recall_and_coverage_and_noise_by_precision(digits):
    half = digits[800:1600][digits[800:1600, 20] > 8]
    found = {name: value for name, (value, _) in likeness(digits[:800], half).measures().items()}
    assert found["precision"] > 0.9 and found["coverage"] < 0.75
    noise = np.random.default_rng(0).uniform(0, 16, (800, 64))
    found = {name: value for name, (value, _) in likeness(digits[:800], noise).measures().items()}
    assert found["precision"] == 0 and found["coverage"] == 0


def test_copies_are_seen_and_fresh_rows_are_none(digits):
    train, held_out, fresh = digits[:800], digits[800:1200], digits[1200:1700]
    assert copy_ratio(train, held_out, fresh) == pytest.approx(1, abs=0.05)
    assert copy_ratio(train, held_out, train[:300]) == 0
    found = copies(train, held_out, fresh)
    assert found.share_nearer == pytest.approx(0.5, abs=0.05)
    low, high = found.interval(lambda drawn: drawn.ratio)
    assert low < found.ratio < high
    assert copies(train, held_out, train[:300]).share_nearer == 1
    slow = np.mean(np.sign(found.held_out_H[:, None] - found.fake_M) / 2 + 0.5)
    assert found.share_nearer == pytest.approx(slow)


def test_rows_that_come_again_and_again_have_a_copy_ratio_too():
    train = np.repeat(np.arange(20.0), 10)[:, None]
    assert copy_ratio(train, train[::3], train[::2]) == 1
    assert copy_ratio(train, np.r_[train[::3], [[30.0]]], train[::2]) == 0
