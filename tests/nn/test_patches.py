"""Kept patches: which ones, and exact distances to the nearest."""

import torch

from twofold.nn.patches import PatchMemory, core_set, joined, raw_patches

PATCH_ND = torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
OWNER_N = torch.arange(500) // 50


def test_distances_are_those_to_the_nearest_kept_patch():
    memory = PatchMemory(PATCH_ND.half(), OWNER_N, torch.full((12,), 2.0))
    query_QD = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    expected = torch.cdist(query_QD.half().double() / 2, PATCH_ND.half().double() / 2).amin(1)
    assert torch.allclose(memory.distances(query_QD).double(), expected, atol=1e-5)
    assert memory.distances(PATCH_ND).max() == 0


def test_a_picture_does_not_see_its_own_patches():
    memory = PatchMemory(PATCH_ND.half(), OWNER_N, torch.ones(12))
    rest = PatchMemory(PATCH_ND[50:].half(), OWNER_N[50:], torch.ones(12))
    assert torch.equal(memory.distances(PATCH_ND[:50], own=0), rest.distances(PATCH_ND[:50]))
    alone = PatchMemory(PATCH_ND[:50].half(), OWNER_N[:50], torch.ones(12))
    assert torch.isfinite(alone.distances(PATCH_ND[:50], own=0)).all()


def test_a_core_set_leaves_no_patch_as_far_away_as_a_random_choice_does():
    # 480 in a heap and 20 far out, which a random choice mostly misses
    place_ND = torch.cat([PATCH_ND[:480] / 10, 20 * PATCH_ND[480:]])
    generator = torch.Generator().manual_seed(2)
    farthest = [
        torch.cdist(place_ND, place_ND[rows]).amin(1).max()
        for rows in (core_set(place_ND, 60, generator), torch.randperm(500, generator=generator)[:60])
    ]
    assert farthest[0] < 0.2 * farthest[1]
    assert len(core_set(place_ND, 60, generator).unique()) == 60
    assert torch.equal(core_set(place_ND, 500, generator), torch.arange(500))


def test_a_feature_that_never_changes_counts_nothing():
    constant = torch.cat([PATCH_ND, torch.full((500, 1), 3.0)], 1)
    memory = PatchMemory.keep(constant, OWNER_N, 100, torch.Generator().manual_seed(0))
    assert torch.isfinite(memory.distances(constant)).all() and memory.patch_MD.shape == (100, 13)


def test_raw_patches_lie_on_a_grid_of_a_quarter_of_the_side():
    picture = torch.arange(32.0 * 32).view(1, 1, 32, 32)
    patch_1PD = raw_patches(picture)
    assert patch_1PD.shape == (1, 64, 64)
    # the patch of row 3, column 5 begins two pixels up and left of its cell
    assert torch.equal(patch_1PD[0, 3 * 8 + 5].view(8, 8), picture[0, 0, 10:18, 18:26])


def test_features_of_two_grids_stand_side_by_side():
    fine, coarse = torch.randn(2, 3, 8, 8), torch.ones(2, 5, 4, 4)
    patch_BPD = joined([fine, coarse])
    assert patch_BPD.shape == (2, 64, 8)
    assert torch.equal(patch_BPD[..., :3], fine.flatten(2).transpose(1, 2)) and (patch_BPD[..., 3:] == 1).all()
