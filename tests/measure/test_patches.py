"""Maps as evidence: on one scale, weighed, and turned into a place."""

import pytest
import torch

from twofold.measure.patches import MapEvidence, evidence_names, worst_spot

GENERATOR = torch.Generator().manual_seed(0)


def maps(n, blot=0.0):
    """Two maps a picture: one with a blot, one of noise on a scale of its own."""
    found = [[torch.randn(16, 16, generator=GENERATOR), 100 * torch.randn(8, 8, generator=GENERATOR)] for _ in range(n)]
    for one in found:
        one[0][3, 12] += blot
    return found


@pytest.fixture(scope="module")
def evidence():
    return MapEvidence.learn(maps(200), GENERATOR)


def test_evidence_is_minus_log_p_of_each_map_whatever_its_scale(evidence):
    assert evidence.normal_HE.shape == (200, 4)
    assert torch.allclose(evidence.normal_HE.mean(0), torch.ones(4, dtype=torch.float64), atol=0.1)


def test_the_map_that_sees_the_forgeries_is_trusted(evidence):
    forged = torch.stack([MapEvidence.raw(one) for one in maps(50, blot=6.0)])
    assert evidence.learn_weights({"blots": forged}, [range(4)]) > 0.95
    weights = dict(zip(evidence_names(["first", "second"]), evidence.weight_E.tolist(), strict=True))
    assert weights["first, strangest spot"] > 0.95 and sum(weights.values()) == pytest.approx(1)
    evidence.learn_weights({"blots": forged}, [range(2), range(2, 4)])
    assert evidence.weight_E.view(2, 2).sum(1).tolist() == pytest.approx([0.5, 0.5])


def test_the_strangest_spot_is_named_in_pixels_of_the_picture(evidence):
    (one,) = maps(1, blot=9.0)
    heat_KSS = evidence.heat(one)
    assert heat_KSS.shape == (2, 16, 16) and heat_KSS.min() >= 0
    spot = worst_spot(heat_KSS, (160, 320), ["a blot", "noise"])
    assert (spot.x, spot.y) == (250, 35)
    assert str(spot) == "strangest at x 250, y 35 (upper right): a blot"


def test_equal_maps_give_no_evidence_and_no_error():
    flat = [[torch.zeros(4, 4), torch.ones(4, 4)] for _ in range(3)]
    evidence = MapEvidence.learn(flat, GENERATOR)
    assert torch.isfinite(evidence.on_scale(MapEvidence.raw(flat[0])[None])).all()
    assert torch.isfinite(evidence.heat(flat[0])).all()
