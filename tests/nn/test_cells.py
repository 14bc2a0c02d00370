"""Cells: against a slow reference that takes one cell at a time."""

import pytest
import torch
from torch.nn import functional

from twofold.nn.cells import Cells

NAN = float("nan")


def slow_surprise(n_levels, output_O, number_P, category_Q):
    costs, at = [], len(number_P)
    for p, number in enumerate(number_P):
        costs.append(torch.zeros(()) if number.isnan() else (output_O[p] - number) ** 2)
    for n, code in zip(n_levels, category_Q, strict=True):
        logit = output_O[at : at + n]
        costs.append(torch.zeros(()) if code == 0 else functional.cross_entropy(logit, code - 1))
        at += n
    return torch.stack(costs) if costs else torch.zeros(0)


def some_rows(n_numbers, cardinalities, n_rows=40):
    generator = torch.Generator().manual_seed(0)
    number_BP = torch.randn(n_rows, n_numbers, generator=generator)
    number_BP[torch.rand(number_BP.shape, generator=generator) < 0.2] = NAN
    codes = [torch.randint(c, (n_rows,), generator=generator) for c in cardinalities]
    return number_BP, torch.stack(codes, 1) if codes else torch.zeros(n_rows, 0, dtype=torch.int64)


@pytest.mark.parametrize(("n_numbers", "cardinalities"), [(3, [4, 2, 1, 7]), (5, []), (0, [3, 3]), (1, [1])])
def test_surprise_is_that_of_one_cell_at_a_time(n_numbers, cardinalities):
    cells = Cells(n_numbers, cardinalities)
    number_BP, category_BQ = some_rows(n_numbers, cardinalities)
    output_BO = (5 * torch.randn(40, cells.n_outputs)).requires_grad_()
    found_BC = cells.surprise(output_BO, number_BP, category_BQ)
    rows = zip(output_BO, number_BP, category_BQ, strict=True)
    slow_BC = torch.stack([slow_surprise(cells.n_levels, *row) for row in rows])
    torch.testing.assert_close(found_BC, slow_BC)
    slow, found = (torch.autograd.grad(x.sum(), output_BO, retain_graph=True)[0] for x in (slow_BC, found_BC))
    torch.testing.assert_close(found, slow)


def test_surprise_stays_finite_for_enormous_logits():
    cells = Cells(0, [3])
    output_BO = torch.tensor([[1e4, -1e4]], requires_grad=True)
    surprise_BC = cells.surprise(output_BO, torch.zeros(1, 0), torch.tensor([[2]]))
    surprise_BC.sum().backward()
    assert surprise_BC.item() == pytest.approx(2e4)
    assert output_BO.grad.isfinite().all()


def test_inputs_are_numbers_flags_and_ones():
    cells = Cells(2, [3, 2])
    inputs_BI = cells.inputs(torch.tensor([[1.5, NAN]]), torch.tensor([[2, 0]]))
    assert inputs_BI.tolist() == [[1.5, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]]
    assert cells.n_inputs == inputs_BI.shape[1]


def test_only_the_columns_asked_for_have_a_flag():
    cells = Cells(3, [], flagged=[2])
    inputs_BI = cells.inputs(torch.tensor([[NAN, 2.0, NAN]]), torch.zeros(1, 0, dtype=torch.int64))
    assert inputs_BI.tolist() == [[0.0, 2.0, 0.0, 1.0]]


def test_a_row_is_rebuilt_from_its_own_values():
    cells = Cells(2, [4, 1, 3])
    number_BP, category_BQ = some_rows(2, [4, 1, 3])
    category_BQ = category_BQ.clamp_min(1)
    category_BQ[:, 1] = 0
    rebuilt_BP, codes_BQ = cells.likeliest(cells.values(number_BP, category_BQ))
    assert torch.equal(codes_BQ, category_BQ)
    assert torch.equal(rebuilt_BP, number_BP.nan_to_num(0.0))
    assert [part.shape[1] for part in cells.rebuild(torch.zeros(1, cells.n_outputs))[1]] == [3, 0, 2]
