"""What followed the last few tokens before: counts, smoothed from short contexts to long ones.

Absolute discounting, each order falling back on the one below (Ney, Essen, Kneser 1994). Counting a million tokens takes
a fifth of a second, and says at once what a network would need minutes to learn.
Dimension key: N tokens of the text, B places asked about, K orders, V tokens of the vocabulary, R entries of a table,
F folds.
"""

import numpy as np
import torch
from torch import Tensor

__all__ = ["Memory"]

DISCOUNT = 0.75  # taken off each count, for tokens never seen after that context
MAX_KEY = 2**62


class Memory:
    """Counts of the tokens that follow contexts of 1 to `order` tokens.

    Parameters
    ----------
    token_N : the text.
    n_tokens : V.
    order : longest context.
    n_folds : contiguous parts of the text; `fold_B` asks for what the *other* parts say. A network that learns beside this
        memory must see it as it will be on new text, not as it is on the text it was made of.
    """

    def __init__(self, token_N: np.ndarray, n_tokens: int, order: int, n_folds: int = 1):
        self.n_tokens, self.n_folds = n_tokens, n_folds
        # a longer context would not fit into a number
        longest = int(np.log(MAX_KEY) / np.log(max(n_tokens, 2))) - 1
        self.order = max(1, min(order, longest))
        fold_N = np.arange(len(token_N)) * n_folds // max(len(token_N), 1)
        token_N = np.asarray(token_N, np.int64)
        self.tables = [Table(token_N, fold_N, k, n_tokens, n_folds) for k in range(self.order + 1)]

    def log_probabilities(self, history_BK: Tensor, fold_B: Tensor | None = None) -> Tensor:
        """(B, order, V): what each order says, order 1 first, all smoothed by the orders below.

        Parameters
        ----------
        history_BK : the last `order` tokens before each place, the nearest last.
        fold_B : the part of the text that each place lies in, not to be asked; None for a new text.
        """
        B, V = len(history_BK), self.n_tokens
        probability_BV = torch.full((B, V), 1 / V)
        key_B, power, answers = torch.zeros(B, dtype=torch.int64), 1, []
        for k, table in enumerate(self.tables):
            if k:
                key_B = key_B + history_BK[:, -k].long() * power
                power *= V
            probability_BV = table.smoothed(key_B, probability_BV, fold_B)
            answers.append(probability_BV)
        return torch.stack(answers[1:], 1).clamp_min(1e-9).log()


class Table:
    """One order: for each context that occurred, which tokens followed, how often, in which fold."""

    def __init__(self, token_N: np.ndarray, fold_N: np.ndarray, k: int, n_tokens: int, n_folds: int):
        self.n_tokens = n_tokens
        key_N = np.zeros(max(len(token_N) - k, 0), np.int64)
        for back in range(1, k + 1):
            # the nearest token counts least: entries of one context lie side by side
            key_N += token_N[k - back : len(token_N) - back] * n_tokens ** (back - 1)
        entry_N = (key_N * n_tokens + token_N[k:]) * 1
        entry_R, place_N = np.unique(entry_N, return_inverse=True)
        count_RF = np.zeros((len(entry_R), n_folds), np.int32)
        np.add.at(count_RF, (place_N, fold_N[k:]), 1)
        self.entry_R = torch.from_numpy(entry_R)
        self.count_RF = torch.from_numpy(count_RF)
        self.total_R = self.count_RF.sum(1)

    def smoothed(self, key_B: Tensor, below_BV: Tensor, fold_B: Tensor | None) -> Tensor:
        """The distribution (B, V) after each context, smoothed by that of the order below."""
        first_B = torch.searchsorted(self.entry_R, key_B * self.n_tokens)
        n_B = torch.searchsorted(self.entry_R, (key_B + 1) * self.n_tokens) - first_B
        who_M = torch.arange(len(key_B)).repeat_interleave(n_B)
        entry_M = torch.arange(len(who_M)) - (n_B.cumsum(0) - n_B)[who_M] + first_B[who_M]
        count_M = self.total_R[entry_M]
        if fold_B is not None and self.count_RF.shape[1] > 1:
            count_M = count_M - self.count_RF[entry_M, fold_B[who_M]]
        token_M = self.entry_R[entry_M] - key_B[who_M] * self.n_tokens
        count_M = count_M.float()
        kept_M = (count_M - DISCOUNT).clamp_min(0)
        total_B = torch.zeros(len(key_B)).index_add_(0, who_M, count_M)
        left_B = total_B - torch.zeros(len(key_B)).index_add_(0, who_M, kept_M)
        seen_BV = torch.zeros_like(below_BV).index_put_((who_M, token_M), kept_M)
        is_known_B1 = (total_B > 0)[:, None]
        total_B1 = total_B.clamp_min(1)[:, None]
        return torch.where(is_known_B1, (seen_BV + left_B[:, None] * below_BV) / total_B1, below_BV)
