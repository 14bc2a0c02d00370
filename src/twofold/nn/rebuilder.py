"""A network that rebuilds hidden cells of a row from the visible ones.

Dimension key: B rows, P numbers, Q categories, C = P + Q cells, D width, I inputs, O outputs.
"""

import torch
from torch import Tensor, nn

from twofold.nn.cells import Cells

__all__ = ["CellRebuilder"]


class CellRebuilder(nn.Module):
    """From visible cells a normal distribution for each hidden number, and shares of the levels for each category.

    Parameters
    ----------
    n_groups : columns are dealt into so many groups; `rebuild_each` hides one at a time.
    """

    def __init__(self, cells: Cells, dim: int, depth: int, n_groups: int):
        super().__init__()
        self.cells = cells
        C = cells.n_numbers + len(cells.n_levels)
        self.first = nn.Linear(cells.n_inputs, dim)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(depth)
        )
        # centres and logits, then the log of the spread of numbers
        self.head = nn.Linear(dim, cells.n_outputs + cells.n_numbers)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
        self.register_buffer("group_C", torch.randperm(C) % min(C, n_groups))

    def body(self, stream_BD: Tensor) -> Tensor:
        """From the first layer to before the head, (B, D)."""
        for block in self.blocks:
            stream_BD = stream_BD + block(stream_BD)
        return stream_BD

    def rebuild(self, number_BP: Tensor, category_BQ: Tensor, hidden_BC: Tensor) -> Tensor:
        """Centres, logits and log-spreads (B, O + P) while those cells are hidden."""
        P = self.cells.n_numbers
        number_BP = number_BP.masked_fill(hidden_BC[:, :P], torch.nan)
        category_BQ = category_BQ.masked_fill(hidden_BC[:, P:], 0)
        return self.head(self.body(self.first(self.cells.inputs(number_BP, category_BQ))))

    def rebuild_each(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """Each cell's own part of `rebuild` (B, O + P) while its group of columns is hidden.

        Only what a group changes is computed anew: its share of the first layer, and its own outputs.
        """
        P, cells = self.cells.n_numbers, self.cells
        owner_I, owner_O = cells.owners()
        group_I, group_O = self.group_C[owner_I], self.group_C[torch.cat([owner_O, owner_O[:P]])]
        # the inputs of a hidden cell are 0, but its flag is 1
        hidden_value_I = torch.zeros(len(owner_I), dtype=self.first.weight.dtype, device=group_I.device)
        hidden_value_I[P : P + len(cells.flagged)] = 1.0
        input_BI = cells.inputs(number_BP, category_BQ)
        whole_BD = self.first(input_BI)
        output_BO = input_BI.new_zeros(len(input_BI), len(group_O))
        for group in range(int(self.group_C.max()) + 1):
            hidden, wanted = (group_I == group).nonzero()[:, 0], (group_O == group).nonzero()[:, 0]
            change_BI = hidden_value_I[hidden] - input_BI[:, hidden]
            stream_BD = self.body(torch.addmm(whole_BD, change_BI, self.first.weight[:, hidden].T))
            output_BO[:, wanted] = nn.functional.linear(stream_BD, self.head.weight[wanted], self.head.bias[wanted])
        return output_BO

    def surprise(self, output_BO: Tensor, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """-log likelihood of each cell (B, C), up to a constant; 0 for a missing one."""
        P, n_outputs = self.cells.n_numbers, self.cells.n_outputs
        cost_BC = self.cells.surprise(output_BO[:, :n_outputs], number_BP, category_BQ)
        log_spread_BP = output_BO[:, n_outputs:].clamp(-3, 3).masked_fill(number_BP.isnan(), 0.0)
        likelihood_BP = 0.5 * cost_BC[:, :P] * torch.exp(-2 * log_spread_BP) + log_spread_BP
        return torch.cat([likelihood_BP, cost_BC[:, P:]], 1) if self.cells.n_levels else likelihood_BP

    def every_cell(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """Each cell's surprise (B, C) while its group of columns is hidden."""
        return self.surprise(self.rebuild_each(number_BP, category_BQ), number_BP, category_BQ)

    def expected(self, number_BP: Tensor, category_BQ: Tensor) -> tuple[Tensor, Tensor]:
        """Each cell as the others would have it, numbers (B, P) and categories (B, Q)."""
        return self.cells.likeliest(self.rebuild_each(number_BP, category_BQ)[:, : self.cells.n_outputs])
