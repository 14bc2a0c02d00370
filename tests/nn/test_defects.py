"""Forged defects: only there, and all kinds to be seen."""

import pytest
import torch

from twofold.nn.defects import LEARNT, N_CHANCES, TRIED, forge
from twofold.nn.finder import DefectNetwork

GENERATOR = torch.Generator().manual_seed(0)
PICTURE = torch.nn.functional.interpolate(torch.rand(32, 1, 16, 16, generator=GENERATOR) - 0.5, size=64)
CHANCE = torch.rand(32, N_CHANCES, generator=GENERATOR)


@pytest.mark.parametrize("kind", sorted({*LEARNT, *TRIED}))
def test_a_forgery_changes_a_part_of_the_picture_and_marks_it(kind):
    before = PICTURE.clone()
    spoilt, where = forge(PICTURE, PICTURE.roll(1, 0), CHANCE, (kind,))
    change = (spoilt - PICTURE).abs()
    assert torch.equal(PICTURE, before) and spoilt.abs().max() <= 1
    assert where.shape == (32, 1, 64, 64) and where.min() >= 0 and where.max() <= 1
    is_marked = where > 0.5
    assert is_marked.flatten(1).any(1).float().mean() > 0.6  # some are too faint to be seen
    assert change[is_marked].mean() > 5 * change[~is_marked].mean()
    assert 0.002 < is_marked.float().mean() < 0.3


def test_each_picture_gets_its_own_defect_whatever_its_company():
    together, where = forge(PICTURE, PICTURE.roll(1, 0), CHANCE)
    alone, own = forge(PICTURE[5:6], PICTURE[4:5], CHANCE[5:6])
    assert torch.allclose(together[5:6], alone, atol=1e-6) and torch.allclose(where[5:6], own, atol=1e-5)


def test_some_defects_are_scars_and_some_are_blots():
    _, where = forge(PICTURE, PICTURE, CHANCE, ("flat",))
    boxes = []
    for mask in (where[:, 0] > 0.5)[where.flatten(1).amax(1) > 0.5]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        boxes.append(float(mask.sum() / box))
    assert min(boxes) < 0.35 and max(boxes) > 0.6  # share of the box around it that is filled


def test_the_network_begins_without_an_opinion_and_answers_any_size():
    network = DefectNetwork(3, 8, 1).eval()
    mark, repaired = network(torch.randn(2, 3, 48, 48))
    assert mark.shape == (2, 1, 12, 12) and (mark == -3).all() and (repaired == 0).all()
    again, painted, (fine, coarse) = network.look(torch.randn(2, 3, 48, 48))
    assert again.shape == mark.shape and painted.shape == repaired.shape
    assert fine.shape == (2, 16, 6, 6) and coarse.shape == (2, 32, 3, 3)
