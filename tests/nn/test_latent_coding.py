"""Latents as bytes, foreseen in whole numbers."""

import numpy as np
import pytest
import torch

from twofold.errors import DataError, RunError
from twofold.nn.codec import N_COEFFICIENTS, N_LEVELS, anchor_weights
from twofold.nn.contexts import Contexts, bits
from twofold.nn.fixed_point import FixedContexts, FixedLayer
from twofold.nn.latent_coding import LatentCoder
from twofold.nn.tables import SPREADS, Tables

ALL = np.ones(N_COEFFICIENTS, bool)
SCALE_C = torch.logspace(1.5, -1.5, N_COEFFICIENTS)


@pytest.fixture(scope="module")
def contexts():
    torch.manual_seed(0)
    contexts = Contexts(dim=16)
    contexts.start(torch.log2(0.55 * SCALE_C).expand(5, -1))
    return contexts.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def coder(contexts):
    return LatentCoder(FixedContexts.of(contexts), Tables.of())


def some_latents(H: int, W: int, seed: int = 0) -> torch.Tensor:
    """Like a picture's: large first ones, ever smaller later ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N_COEFFICIENTS, H, W, generator=generator) * SCALE_C[:, None, None]


def test_every_latent_is_told_once_and_only_from_those_told_before(contexts):
    latent_1CHW = some_latents(19, 22)[None].round()
    weight_1A, is_told_CHW = anchor_weights(torch.tensor([20])), torch.zeros(N_COEFFICIENTS, 19, 22)
    hidden_1CHW = torch.zeros_like(latent_1CHW)
    for told in contexts(hidden_1CHW, weight_1A):
        rows, columns = told.place_HW.nonzero(as_tuple=True)
        hidden_1CHW[:, told.channels, rows, columns] = latent_1CHW[:, told.channels, rows, columns]
        is_told_CHW[told.channels, rows, columns] += 1
    assert (is_told_CHW == 1).all()
    step_by_step, at_once = contexts(hidden_1CHW, weight_1A), contexts(latent_1CHW, weight_1A)
    for a, b in zip(step_by_step, at_once, strict=True):
        assert torch.equal(a.centre_BGS, b.centre_BGS) and torch.equal(a.spread_BGS, b.spread_BGS)


def test_whole_numbers_foresee_what_the_trained_networks_foresee(contexts, coder):
    latent_1CHW, weight_1A = some_latents(12, 15)[None].round(), anchor_weights(torch.tensor([37]))
    pairs = zip(contexts(latent_1CHW, weight_1A), coder.contexts(latent_1CHW.double(), weight_1A.double()), strict=True)
    for ours, whole in pairs:
        for a, b in ((ours.centre_BGS, whole.centre_BGS), (ours.spread_BGS, whole.spread_BGS)):
            assert torch.equal(b * 128, (b * 128).round())
            assert (a - b / 256).abs().max() < 0.08  # measured .03


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (16, 16), (17, 33)])
@pytest.mark.parametrize("level", [0, 31, N_LEVELS])
def test_latents_come_back(coder, shape, level):
    wanted_CHW = some_latents(*shape)
    data, latent_CHW = coder.encode(wanted_CHW, level, ALL)
    assert torch.equal(latent_CHW, wanted_CHW.round().double())
    assert torch.equal(coder.decode(data, shape, level, ALL), latent_CHW)


def test_latents_beyond_all_tables_come_back(coder):
    wanted_CHW = some_latents(4, 4) + torch.tensor([4095.0, -4095.0, 1e9, 3000.0]).repeat(N_COEFFICIENTS, 4, 1)
    data, latent_CHW = coder.encode(wanted_CHW, 9, ALL, price=0.06)
    assert latent_CHW.abs().max() == 4095
    assert torch.equal(coder.decode(data, (4, 4), 9, ALL), latent_CHW)


def test_latents_left_out_are_nought_and_cost_nothing(coder):
    is_coded_C = np.arange(N_COEFFICIENTS) % 3 == 0
    data, latent_CHW = coder.encode(some_latents(8, 8), 20, is_coded_C)
    assert not latent_CHW[torch.from_numpy(~is_coded_C)].any()
    assert torch.equal(coder.decode(data, (8, 8), 20, is_coded_C), latent_CHW)
    assert len(data) < len(coder.encode(some_latents(8, 8), 20, ALL)[0])


def test_the_file_is_as_long_as_foreseen(contexts, coder):
    wanted_CHW = some_latents(24, 24)
    data, latent_CHW = coder.encode(wanted_CHW, 40, ALL)
    latent_1CHW = latent_CHW[None].float()
    foreseen = sum(
        bits(latent_1CHW[:, told.channels][:, :, told.place_HW], told.centre_BGS, told.spread_BGS).sum().item()
        for told in contexts(latent_1CHW, anchor_weights(torch.tensor([40])))
    )
    assert 8 * len(data) == pytest.approx(foreseen, rel=0.02)


def test_the_choice_of_whole_numbers_saves_more_bits_than_it_costs_in_error(coder):
    wanted_CHW, price = some_latents(24, 24), 0.1
    plain, chosen = (coder.encode(wanted_CHW, 40, ALL, price=p) for p in (0.0, price))
    cost = [(latent - wanted_CHW).square().sum() + price * 8 * len(data) for data, latent in (plain, chosen)]
    assert len(chosen[0]) < len(plain[0]) and cost[1] < cost[0]


def test_tables_shaped_by_latents_of_their_kind_save_bits(coder):
    rng = np.random.default_rng(0)
    place_K = rng.integers(8, 28, 100_000)
    off_K = (rng.laplace(size=100_000) * 2.0 ** SPREADS[place_K]).round()
    plain, fitted = Tables.of(), Tables.fitted(off_K, place_K)
    index_K = place_K * 16
    cost = [
        tables.bits[tables.start_T[index_K] + off_K.astype(int) + tables.reach_T[index_K]].mean()
        for tables in (plain, fitted)
    ]
    assert cost[1] < cost[0]


def test_the_number_of_threads_does_not_change_a_bit(coder):
    wanted_CHW = some_latents(12, 12)
    one = coder.encode(wanted_CHW, 50, ALL, price=0.06)
    torch.set_num_threads(2)
    two = coder.encode(wanted_CHW, 50, ALL, price=0.06)
    assert one[0] == two[0] and torch.equal(coder.decode(one[0], (12, 12), 50, ALL), one[1])


def test_weights_too_large_for_exact_sums_are_refused(contexts):
    fixed = FixedContexts.of(contexts)
    layer = next(part for part in fixed.modules() if isinstance(part, FixedLayer))
    layer.weight.fill_(2**30)
    with pytest.raises(RunError, match="too large to be exact"):
        fixed.checked()


def test_bytes_that_are_no_latents_are_refused_or_decode_to_something(coder):
    with pytest.raises(DataError, match="cannot hold latents"):
        coder.decode(b"123", (4, 4), 0, ALL)
    for seed in range(10):
        data = np.random.default_rng(seed).bytes(40)
        try:
            assert coder.decode(data, (4, 4), 0, ALL).shape == (N_COEFFICIENTS, 4, 4)
        except DataError as error:
            assert "damaged" in str(error)


def test_tables_that_do_not_fit_together_are_refused():
    count, reach_T = Tables.of().count, Tables.of().reach_T
    for wrong in ((count[1:], reach_T), (count, reach_T[1:]), (count * 0, reach_T)):
        with pytest.raises(RunError, match="do not fit together"):
            Tables(*wrong)
