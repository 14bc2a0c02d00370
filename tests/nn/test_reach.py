import torch

from twofold.nn.reach import Reach

GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(*shape, generator=GENERATOR)


def test_the_nearest_of_the_same_class_among_the_latest_is_found_as_by_a_slow_search():
    reach, made = Reach(3, 4, n_kept=10), []
    for _ in range(4):
        noise_BZ, coarse_BQ, class_B = drawn(6, 3), drawn(6, 4), torch.randint(2, (6,), generator=GENERATOR)
        reach.remember(noise_BZ, coarse_BQ, class_B)
        made += zip(noise_BZ, coarse_BQ, class_B.tolist(), strict=True)
    coarse_BQ, class_B = drawn(5, 4), torch.tensor([0, 1, 0, 1, 0])
    found_BZ = reach.nearest(coarse_BQ, class_B, torch.zeros(5, 3))
    for found_Z, coarse_Q, own in zip(found_BZ, coarse_BQ, class_B.tolist(), strict=True):
        slow = min((m for m in made[-10:] if m[2] == own), key=lambda m: float((m[1] - coarse_Q).norm()))
        torch.testing.assert_close(found_Z, slow[0])


def test_where_nothing_of_the_class_was_made_the_other_noise_is_kept():
    reach = Reach(2, 1, n_kept=8)
    otherwise_BZ = drawn(2, 2)
    torch.testing.assert_close(reach.nearest(torch.zeros(2, 1), torch.tensor([0, 1]), otherwise_BZ), otherwise_BZ)
    reach.remember(torch.ones(1, 2), torch.zeros(1, 1), torch.tensor([1]))
    found_BZ = reach.nearest(torch.zeros(2, 1), torch.tensor([0, 1]), otherwise_BZ)
    torch.testing.assert_close(found_BZ, torch.stack([otherwise_BZ[0], torch.ones(2)]))
