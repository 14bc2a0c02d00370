"""A row of mixed cells, numbers and categories, on its way into a network and out of it.

What goes in: numbers (0 where missing), a flag per number (1 where missing), and each category as a one among the
zeros of its levels (all zeros where missing). What comes out: a number per number, a logit per level.

Dimension key: B rows, P numbers, Q categories, C = P + Q cells of a row, L levels of all categories together,
I inputs, O = P + L outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Cells"]


class Cells(nn.Module):
    """Rows of cells into a network and out of it, and what each cell's rebuilding cost. It has no weights.

    Parameters
    ----------
    n_numbers : P.
    cardinalities : codes of each category, code 0 (missing or never seen) included.
    flagged : which numbers have a flag among the inputs, by place; all of them by default.

    Examples
    --------
    >>> cells = Cells(2, [3])
    >>> number_BP, category_BQ = torch.tensor([[0.5, float("nan")]]), torch.tensor([[2]])
    >>> cells.inputs(number_BP, category_BQ).tolist()
    [[0.5, 0.0, 0.0, 1.0, 0.0, 1.0]]
    >>> cells.surprise(torch.zeros(1, cells.n_outputs), number_BP, category_BQ)
    tensor([[0.2500, 0.0000, 0.6931]])
    """

    def __init__(self, n_numbers: int, cardinalities: Sequence[int], flagged: Sequence[int] | None = None):
        super().__init__()
        self.n_numbers = n_numbers
        self.n_levels = [cardinality - 1 for cardinality in cardinalities]
        self.n_outputs = n_numbers + sum(self.n_levels)
        flags = list(range(n_numbers)) if flagged is None else list(flagged)
        self.n_inputs = self.n_outputs + len(flags)
        sizes = torch.tensor(self.n_levels, dtype=torch.int64)
        self.register_buffer("flagged", torch.tensor(flags, dtype=torch.int64), persistent=False)
        self.register_buffer("first_Q", sizes.cumsum(0) - sizes, persistent=False)
        self.register_buffer("owner_L", torch.arange(len(sizes)).repeat_interleave(sizes), persistent=False)
        self.all_are_flagged = flags == list(range(n_numbers))

    def owners(self) -> tuple[Tensor, Tensor]:
        """The cell, 0 to C - 1, to which each input (I) and each output (O) belongs."""
        numbers_P, levels_L = torch.arange(self.n_numbers), self.n_numbers + self.owner_L
        return torch.cat([numbers_P, self.flagged, levels_L]), torch.cat([numbers_P, levels_L])

    # ---- in --------------------------------------------------------------------------------------

    def inputs(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """What a network is given, (B, I): values and flags."""
        flag_BF = number_BP.isnan().to(number_BP.dtype)
        flag_BF = flag_BF if self.all_are_flagged else flag_BF.index_select(1, self.flagged)
        value_BO = self.values(number_BP, category_BQ)
        if not self.n_levels:
            return torch.cat([value_BO, flag_BF], 1)
        return torch.cat([value_BO[:, : self.n_numbers], flag_BF, value_BO[:, self.n_numbers :]], 1)

    def values(self, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """The row in the places of the outputs, (B, O): numbers, then ones and zeros."""
        if not self.n_levels:
            return number_BP.nan_to_num(0.0)
        # one place more than there are levels takes the missing ones
        one_BL = number_BP.new_zeros(len(category_BQ), len(self.owner_L) + 1)
        one_BL.scatter_(1, self._level(category_BQ), 1.0)
        return torch.cat([number_BP.nan_to_num(0.0), one_BL[:, :-1]], 1)

    def _level(self, category_BQ: Tensor) -> Tensor:
        """The place of each category's level among all L; L where it is missing."""
        return torch.where(category_BQ > 0, self.first_Q + category_BQ - 1, len(self.owner_L))

    # ---- out -------------------------------------------------------------------------------------

    def rebuild(self, output_BO: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Numbers (B, P), and per category the logits of its levels, code 1 first."""
        number_BP, logit_BL = output_BO.split([self.n_numbers, len(self.owner_L)], 1)
        return number_BP, logit_BL.split(self.n_levels, 1) if self.n_levels else ()

    def likeliest(self, output_BO: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers (B, P) and the likeliest code of each category (B, Q); 0 where a category has no level."""
        number_BP, logits = self.rebuild(output_BO)
        codes = [part.argmax(1) + 1 if part.shape[1] else part.new_zeros(len(part)).long() for part in logits]
        return number_BP, torch.stack(codes, 1) if codes else output_BO.new_zeros(len(output_BO), 0).long()

    def surprise(self, output_BO: Tensor, number_BP: Tensor, category_BQ: Tensor) -> Tensor:
        """What each cell cost, (B, P + Q): squared error, or cross-entropy in nats; 0 where the cell is missing."""
        # half precision would lose small errors
        output_BO = output_BO if output_BO.dtype == torch.float64 else output_BO.float()
        if not self.n_levels:
            return self._squared_error(output_BO, number_BP)
        rebuilt_BP, logit_BL = output_BO.split([self.n_numbers, len(self.owner_L)], 1)
        error_BP = self._squared_error(rebuilt_BP, number_BP)
        return torch.cat([error_BP, self._cross_entropy(logit_BL, category_BQ)], 1)

    def _squared_error(self, rebuilt_BP: Tensor, number_BP: Tensor) -> Tensor:
        # where missing, the rebuilding itself is the target: an error of 0, without a gradient
        return (rebuilt_BP - torch.where(number_BP.isnan(), rebuilt_BP.detach(), number_BP)).square()

    def _cross_entropy(self, logit_BL: Tensor, category_BQ: Tensor) -> Tensor:
        """All categories at once: sums over levels are sums by owner."""
        B, Q = category_BQ.shape
        owner_BL = self.owner_L.expand(B, -1)
        # the largest logit of each category is taken off first: exp must not overflow
        top_BQ = logit_BL.new_zeros(B, Q).scatter_reduce(1, owner_BL, logit_BL.detach(), "amax", include_self=False)
        share_BL = (logit_BL - top_BQ.gather(1, owner_BL)).exp()
        total_BQ = logit_BL.new_zeros(B, Q).scatter_add(1, owner_BL, share_BL)
        logit_BL = torch.cat([logit_BL, logit_BL.new_zeros(B, 1)], 1)
        chosen_BQ = logit_BL.gather(1, self._level(category_BQ))
        return (total_BQ.clamp_min(1e-30).log() + top_BQ - chosen_BQ).masked_fill(category_BQ == 0, 0.0)
