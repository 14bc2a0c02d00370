"""Rate and distortion of codecs."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from twofold.measure.rates import bd_rate, bits_per_pixel, pillow_curve, psnr

CURVE = [(0.25, 28.0), (0.5, 31.0), (1.0, 34.5), (2.0, 38.0)]


def test_half_the_bits_everywhere_are_minus_fifty_percent():
    assert bd_rate([(rate / 2, quality) for rate, quality in CURVE], CURVE) == pytest.approx(-50)
    assert bd_rate(CURVE, [(rate / 2, quality) for rate, quality in CURVE]) == pytest.approx(100)


def test_points_that_cost_more_and_are_no_better_do_not_count():
    assert bd_rate([*CURVE, (1.5, 33.0)], CURVE) == pytest.approx(0, abs=1e-9)


def test_curves_that_do_not_overlap_have_no_difference():
    assert np.isnan(bd_rate(CURVE, [(rate, quality + 20) for rate, quality in CURVE]))


def test_psnr_of_an_error_of_one_grey_value_is_48_decibels():
    picture_YXC = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(picture_YXC + 1, picture_YXC) == pytest.approx(48.13, abs=0.01)
    assert psnr(picture_YXC, picture_YXC) == np.inf


def test_a_curve_of_jpeg_rises():
    curve = pillow_curve(load_sample_image("china.jpg")[100:300, :200], qualities=(10, 30, 60, 90))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in zip(curve, curve[1:], strict=False))
    assert bits_per_pixel(b"12345678", np.zeros((8, 8, 3))) == 1
