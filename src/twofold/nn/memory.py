"""What followed the last few tokens before: counts, smoothed from short contexts to long ones.

Absolute discounting, each order falling back on the one below (Ney, Essen, Kneser 1994). Counting a million tokens
takes a second, and says at once what a network would need minutes to learn.
Dimension key: N tokens of the text, B places asked about, K orders, V tokens of the vocabulary, R entries counted,
M entries that answer, Q = K B, F folds.
"""

from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Memory", "Recall", "fold_of_each"]

DISCOUNT = 0.75  # taken off each count, for tokens never seen after that context
MAX_KEY = 2**62
MANY_TOKENS = 512
MOST_NUMBERS = 1 << 24  # float32 a question may take for all orders


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
        self.power_K = torch.tensor([n_tokens**k for k in range(self.order)], dtype=torch.int64)
        # the entries of each order lie behind those of the one below
        self.start_K1 = torch.tensor([[sum(n_tokens ** (j + 1) for j in range(k))] for k in range(self.order + 1)])
        fold_N = fold_of_each(len(token_N), n_folds)
        counted = [_counted(np.asarray(token_N, np.int64), fold_N, k, n_tokens, n_folds) for k in range(self.order + 1)]
        self.entry_R = torch.cat([entry + start for (entry, _), start in zip(counted, self.start_K1, strict=True)])
        self.count_RF = torch.cat([count for _, count in counted])
        self.total_R = self.count_RF.sum(1)

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
        if not self.n_told:
            return torch.zeros(B, 0, V), torch.zeros(B, 0)
        n_at_once = max(1, MOST_NUMBERS // ((self.order + 1) * V))
        folds = cycle([None]) if fold_B is None else fold_B.split(n_at_once)
        asked = zip(history_BH.split(n_at_once), folds, strict=False)
        parts = [self._told(*self._followers(history_BH, fold_B)) for history_BH, fold_B in asked]
        told, known = zip(*parts, strict=True)
        return torch.cat(told), torch.cat(known)

    def _followers(self, history_BH: Tensor, fold_B: Tensor | None) -> tuple[Tensor, Tensor]:
        """What followed each context: counts less the discount (K, B, V); occurrences, kept and distinct (K, B, 3)."""
        K, B, V = self.order + 1, len(history_BH), self.n_tokens
        # the nearest token counts least: entries of one context lie side by side
        key_BK = (history_BH.long().flip(1)[:, : self.order] * self.power_K).cumsum(1)
        first_KB = functional.pad(key_BK.T, (0, 0, 1, 0)) * V + self.start_K1
        edge_2KB = torch.searchsorted(self.entry_R, torch.stack([first_KB, first_KB + V]))
        n_Q = (edge_2KB[1] - edge_2KB[0]).flatten()
        place_M = torch.arange(K * B).repeat_interleave(n_Q)
        entry_M = torch.arange(len(place_M)) + (edge_2KB[0].flatten() - n_Q.cumsum(0) + n_Q)[place_M]
        count_M = self.total_R[entry_M]
        if fold_B is not None and self.count_RF.shape[1] > 1:
            count_M = count_M - self.count_RF[entry_M, fold_B[place_M % B].long()]
        token_M = self.entry_R[entry_M] - first_KB.flatten()[place_M]
        count_M = count_M.float()
        kept_M = (count_M - DISCOUNT).clamp_min(0)
        kept_QV = torch.zeros(K * B, V).index_put_((place_M, token_M), kept_M)
        seen_M3 = torch.stack([count_M, kept_M, (count_M > 0).float()], 1)
        return kept_QV.view(K, B, V), torch.zeros(K * B, 3).index_add_(0, place_M, seen_M3).view(K, B, 3)

    def _told(self, kept_KBV: Tensor, seen_KB3: Tensor) -> tuple[Tensor, Tensor]:
        """Each order smoothed by the one below; what the longest say, and how much they have seen."""
        total_KB, sum_KB, distinct_KB = seen_KB3.unbind(2)
        # a context that never occurred leaves all to those below
        left_KB = torch.where(total_KB > 0, total_KB - sum_KB, 1.0)
        share_KBV = kept_KBV / total_KB.clamp_min(1)[..., None]
        left_KB1 = (left_KB / total_KB.clamp_min(1))[..., None]
        below_BV = torch.full(kept_KBV.shape[1:], 1 / self.n_tokens)
        for k in range(self.order + 1):
            below_BV = share_KBV[k].addcmul_(left_KB1[k], below_BV)
        told_BKV = share_KBV[-self.n_told :].clamp_min(1e-9).log().transpose(0, 1)
        known_KB2 = torch.stack([total_KB, distinct_KB], 2)[-self.n_told :].log1p()
        return told_BKV, known_KB2.transpose(0, 1).flatten(1)


def fold_of_each(n_tokens: int, n_folds: int) -> np.ndarray:
    """Which of so many contiguous parts each token lies in (N), int8."""
    edges = [-(-fold * n_tokens // n_folds) for fold in range(n_folds + 1)]
    return np.repeat(np.arange(n_folds, dtype=np.int8), np.diff(edges))


def _counted(token_N: np.ndarray, fold_N: np.ndarray, k: int, n_tokens: int, n_folds: int) -> tuple[Tensor, Tensor]:
    """Contexts of k tokens with their follower as one number (R), and how often each occurred in each fold (R, F)."""
    key_N = np.zeros(max(len(token_N) - k, 0), np.int64)
    for back in range(1, k + 1):
        key_N += token_N[k - back : len(token_N) - back] * n_tokens ** (back - 1)
    entry_R, place_N = np.unique(key_N * n_tokens + token_N[k:], return_inverse=True)
    count_RF = np.bincount(place_N * n_folds + fold_N[k:], minlength=len(entry_R) * n_folds)
    return torch.from_numpy(entry_R), torch.from_numpy(count_RF.astype(np.int32).reshape(-1, n_folds))


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
