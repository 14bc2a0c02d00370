"""The network that rebuilds hidden cells: what is hidden is hidden, and the quick way equals the slow one."""

import pytest
import torch

from twofold.nn.cells import Cells
from twofold.nn.rebuilder import CellRebuilder

NAN = float("nan")


def some_rows(n_numbers, cardinalities, n_rows=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    number_BP = torch.randn(n_rows, n_numbers, generator=generator, dtype=torch.float64)
    number_BP[torch.rand(number_BP.shape, generator=generator) < 0.1] = NAN
    codes = [torch.randint(c, (n_rows,), generator=generator) for c in cardinalities]
    return number_BP, torch.stack(codes, 1) if codes else torch.zeros(n_rows, 0, dtype=torch.int64)


def a_network(n_numbers, cardinalities, n_groups=3):
    torch.manual_seed(0)
    return CellRebuilder(Cells(n_numbers, cardinalities), 16, 2, n_groups).double().requires_grad_(False)


SHAPES = [(5, [3, 4]), (7, []), (0, [3, 2, 5]), (1, [])]


@pytest.mark.parametrize(("n_numbers", "cardinalities"), SHAPES)
def test_every_cell_is_as_surprising_as_when_its_group_is_hidden_by_itself(n_numbers, cardinalities):
    network, rows = a_network(n_numbers, cardinalities), some_rows(n_numbers, cardinalities)
    slow_BC = torch.empty(30, len(network.group_C), dtype=torch.float64)
    for group in network.group_C.unique():
        hidden_C = network.group_C == group
        output_BO = network.rebuild(*rows, hidden_C.expand(30, -1))
        slow_BC[:, hidden_C] = network.surprise(output_BO, *rows)[:, hidden_C]
    torch.testing.assert_close(network.every_cell(*rows), slow_BC)


def test_what_a_hidden_cell_holds_does_not_change_its_rebuilding():
    network, (number_BP, category_BQ) = a_network(4, [3, 4]), some_rows(4, [3, 4])
    hidden_BC = torch.zeros(30, 6, dtype=torch.bool)
    hidden_BC[:, [1, 4]] = True
    before_BO = network.rebuild(number_BP, category_BQ, hidden_BC)
    number_BP, category_BQ = number_BP.clone(), category_BQ.clone()
    number_BP[:, 1] = 1e6
    category_BQ[:, 0] = 2
    assert torch.equal(network.rebuild(number_BP, category_BQ, hidden_BC), before_BO)


def test_what_a_cell_holds_does_not_change_what_is_expected_of_it():
    network, (number_BP, category_BQ) = a_network(4, [3, 4]), some_rows(4, [3, 4])
    expected_BP, expected_BQ = network.expected(number_BP, category_BQ)
    changed_BP, changed_BQ = number_BP.clone(), category_BQ.clone()
    changed_BP[:, 2], changed_BQ[:, 1] = 77.0, 1
    torch.testing.assert_close(network.expected(changed_BP, category_BQ)[0][:, 2], expected_BP[:, 2])
    assert torch.equal(network.expected(number_BP, changed_BQ)[1][:, 1], expected_BQ[:, 1])


def test_surprise_is_the_likelihood_of_a_normal_distribution():
    network, rows = a_network(3, []), some_rows(3, [])
    output_BO = 0.5 * torch.randn(30, 6, dtype=torch.float64)
    density = torch.distributions.Normal(output_BO[:, :3], output_BO[:, 3:].exp())
    half_log_2pi = 0.9189385332046727
    slow_BP = -density.log_prob(rows[0].nan_to_num(0.0)) - half_log_2pi
    found_BP = network.surprise(output_BO, *rows)
    is_there = ~rows[0].isnan()
    torch.testing.assert_close(found_BP[is_there], slow_BP[is_there])
    assert (found_BP[~is_there] == 0).all()
