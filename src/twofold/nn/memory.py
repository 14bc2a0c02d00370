"""What followed the last few tokens before: counts, smoothed from short contexts to long ones.

Absolute discounting, each order falling back on the one below (Ney, Essen, Kneser 1994). Counting a million tokens
takes a second, and says at once what a network would need minutes to learn.
Dimension key: N tokens of the text, B places asked about, K orders, V tokens of the vocabulary, R entries of a table,
F folds.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Memory", "Recall"]

DISCOUNT = 0.75  # taken off each count, for tokens never seen after that context
MAX_KEY = 2**62
MANY_TOKENS = 512


class Memory:
    """Counts of the tokens that follow contexts of 1 to `order` tokens.

    Parameters
    ----------
    token_N : the text.
    n_tokens : V.
    order : longest context.
    n_folds : contiguous parts of the text; `fold_B` asks for what the *other* parts say. A network that learns beside
        this memory must see it as it will be on new text, not as it is on the text it was made of.
    """

    def __init__(self, token_N: np.ndarray, n_tokens: int, order: int, n_folds: int = 1):
        self.n_tokens, self.n_folds = n_tokens, n_folds
        # a longer context would not fit into a number
        self.order = min(order, int(np.log(MAX_KEY) / np.log(max(n_tokens, 2))) - 1)
        # of large vocabularies only the longest context is told: all of them would cost more than the network
        self.n_told = min(self.order, self.order if n_tokens <= MANY_TOKENS else 1)
        fold_N = np.arange(len(token_N)) * n_folds // max(len(token_N), 1)
        token_N = np.asarray(token_N, np.int64)
        self.tables = [Table(token_N, fold_N, k, n_tokens, n_folds) for k in range(self.order + 1)]

    def ask(self, history_BH: Tensor, fold_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the longest contexts say, and how much they have seen.

        Parameters
        ----------
        history_BH : the last tokens before each place, the nearest last; at least `order` of them.
        fold_B : the part of the text that each place lies in, not to be asked; None for a new text.

        Returns
        -------
        log probabilities (B, K, V), shorter contexts first, each smoothed by those below; and known (B, 2 K): the log
        of how often each context occurred, and of how many different tokens followed it.
        """
        B, V = len(history_BH), self.n_tokens
        probability_BV = torch.full((B, V), 1 / V)
        key_B, power, answers, known = torch.zeros(B, dtype=torch.int64), 1, [], []
        for k, table in enumerate(self.tables):
            if k:
                key_B = key_B + history_BH[:, -k].long() * power
                power *= V
            probability_BV, total_B, distinct_B = table.smoothed(key_B, probability_BV, fold_B)
            answers.append(probability_BV)
            known.append(torch.stack([total_B, distinct_B], 1))
        if not self.n_told:
            return torch.zeros(B, 0, V), torch.zeros(B, 0)
        told_BKV = torch.stack(answers[-self.n_told :], 1).clamp_min(1e-9).log()
        return told_BKV, torch.cat(known[-self.n_told :], 1).log1p()


class Table:
    """One order: for each context that occurred, which tokens followed, how often, in which fold."""

    def __init__(self, token_N: np.ndarray, fold_N: np.ndarray, k: int, n_tokens: int, n_folds: int):
        self.n_tokens = n_tokens
        key_N = np.zeros(max(len(token_N) - k, 0), np.int64)
        for back in range(1, k + 1):
            # the nearest token counts least: entries of one context lie side by side
            key_N += token_N[k - back : len(token_N) - back] * n_tokens ** (back - 1)
        entry_R, place_N = np.unique(key_N * n_tokens + token_N[k:], return_inverse=True)
        count_RF = np.bincount(place_N * n_folds + fold_N[k:], minlength=len(entry_R) * n_folds)
        self.entry_R = torch.from_numpy(entry_R)
        self.count_RF = torch.from_numpy(count_RF.astype(np.int32).reshape(-1, n_folds))
        self.total_R = self.count_RF.sum(1)

    def smoothed(self, key_B: Tensor, below_BV: Tensor, fold_B: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The distribution (B, V) after each context, smoothed by the order below; occurrences; distinct tokens."""
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
        share_BV = torch.where(is_known_B1, (seen_BV + left_B[:, None] * below_BV) / total_B1, below_BV)
        return share_BV, total_B, torch.zeros(len(key_B)).index_add_(0, who_M, (count_M > 0).float())


class Recall(nn.Module):
    """What the memory adds to the logits: its orders' log probabilities, each with a weight.

    The weight goes by how much an order has seen, and by what a network reads. Products of experts: Hinton 2002.
    """

    def __init__(self, n_told: int, dim: int):
        super().__init__()
        self.n_told = n_told
        if n_told:
            self.faith = nn.Linear(2 * n_told, n_told)
            self.trust = nn.Linear(dim, n_told, bias=False)
            for weight in (self.faith.weight, self.trust.weight):
                nn.init.zeros_(weight)
            nn.init.constant_(self.faith.bias, 1 / n_told)

    def forward(self, x_BTD: Tensor, told_BTKV: Tensor, known_BTF: Tensor) -> Tensor:
        """(B, T, V)."""
        if not self.n_told:
            return x_BTD.new_zeros(())
        weight_BTK = self.faith(known_BTF).float() + self.trust(x_BTD).float()
        return (weight_BTK.unsqueeze(2) @ told_BTKV).squeeze(2)

    def fit(self, memory: Memory, token_N: Tensor, generator: torch.Generator, n_places: int = 10_000) -> None:
        """Set the weights for the memory alone: a convex problem, seconds long, and most of what there is to gain."""
        H, N = memory.order, len(token_N)
        if not self.n_told or N <= H + 1:
            return
        place_M = torch.randint(H, N, (min(n_places, N),), generator=generator)
        history_MH = torch.stack([token_N[place_M - H + i] for i in range(H)], 1)
        told_MKV, known_MF = memory.ask(history_MH, place_M * memory.n_folds // N)
        target_M = token_N[place_M].long()
        optimizer = torch.optim.LBFGS(self.faith.parameters(), max_iter=40, line_search_fn="strong_wolfe")

        def nats() -> Tensor:
            optimizer.zero_grad()
            loss = functional.cross_entropy((self.faith(known_MF)[:, None] @ told_MKV)[:, 0], target_M)
            loss.backward()
            return loss

        optimizer.step(nats)
