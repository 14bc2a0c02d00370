"""A network that foresees the next token, and reads a text token by token.

A transformer (nn/transformer.py) beside a memory of what followed the last few tokens before (nn/memory.py): the
network says how far to trust each order of the memory here, and adds what it knows better.
Dimension key: B windows, W tokens of a window, T predicted ones, V tokens of the vocabulary, D width,
K orders that the memory tells, F = 2 K numbers that say how much it has seen, H tokens of history it needs, S streams.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.memory import Memory, Recall
from twofold.nn.transformer import Cache, Transformer

__all__ = ["HEAD_DIM", "NEW_TEXT", "LanguageNetwork", "Opinion", "Reader", "evenly", "windows"]

HEAD_DIM = 32
NEW_TEXT = -1  # the fold of a text that the memory was not made of


class LanguageNetwork(nn.Module):
    """A transformer that gives the next token's logits, beside a memory of what followed before."""

    def __init__(self, memory: Memory, n_tokens: int, dim: int, depth: int):
        super().__init__()
        self.memory, self.n_tokens = memory, n_tokens
        self.n_history = max(memory.order, 2)
        self.transformer = Transformer(n_tokens, dim, depth, dim // HEAD_DIM)
        self.head = nn.Linear(dim, n_tokens, bias=False)
        nn.init.normal_(self.head.weight, std=1e-3)
        self.recall = Recall(memory.n_told, dim)
        self.uses_bfloat16 = False

    def logits(self, x_BTD: Tensor, told_BTKV: Tensor, known_BTF: Tensor) -> Tensor:
        """(B, T, V): what the network says, and what it takes the memory to be worth here."""
        # 15: logits cannot run away
        own_BTV = 15 * torch.tanh(self.head(x_BTD).float() / 15)
        return own_BTV + self.recall(x_BTD, told_BTKV, known_BTF)

    def nats(self, window_BW: Tensor, fold_B: Tensor) -> Tensor:
        """-log likelihood of each token but the first H, (B, T): those are only history."""
        window_BW, H = window_BW.long(), self.n_history
        target_BT = window_BW[:, H:]
        with torch.no_grad():
            told = self._told(window_BW, fold_B)
        with torch.autocast(window_BW.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            x_BTD = self.transformer(window_BW[:, H - 1 : -1], window_BW[:, H - 2 : H - 1])
            logit_BTV = self.logits(x_BTD, *told)
        return functional.cross_entropy(logit_BTV.flatten(0, 1), target_BT.flatten(), reduction="none").view(
            target_BT.shape
        )

    def _told(self, window_BW: Tensor, fold_B: Tensor) -> tuple[Tensor, Tensor]:
        B, T = len(window_BW), window_BW.shape[1] - self.n_history
        history_MH = window_BW.unfold(1, self.n_history, 1)[:, :-1].reshape(B * T, -1)
        fold_M = None if int(fold_B[0]) == NEW_TEXT else fold_B.repeat_interleave(T)
        # the counts lie in the processor's memory, wherever the network computes
        told_MKV, known_MF = self.memory.ask(history_MH.cpu(), None if fold_M is None else fold_M.cpu())
        told_MKV, known_MF = told_MKV.to(window_BW.device), known_MF.to(window_BW.device)
        return told_MKV.view(B, T, *told_MKV.shape[1:]), known_MF.view(B, T, -1)


class Reader:
    """A fitted network that reads token by token and says what may come next, for several texts at once.

    Parameters
    ----------
    n_texts : how many texts are read side by side.
    """

    def __init__(self, network: LanguageNetwork, context: int, n_texts: int = 1):
        self.network = network
        self.cache = Cache(context)
        self.history_BH = torch.zeros(n_texts, network.n_history, dtype=torch.int64)
        self.read(torch.zeros(n_texts, 1, dtype=torch.int64))

    @torch.inference_mode()
    def read(self, token_BT: Tensor) -> None:
        """Go on with these tokens; many at once only as the first."""
        self.x_BD = self.network.transformer(token_BT, self.history_BH[:, -1:], self.cache)[:, -1]
        self.history_BH = torch.cat([self.history_BH, token_BT], 1)[:, -self.network.n_history :]

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Logits of the next token (B, V)."""
        told_BKV, known_BF = self.network.memory.ask(self.history_BH)
        return self.network.logits(self.x_BD[:, None], told_BKV[:, None], known_BF[:, None])[:, 0]


class Opinion:
    """The network as an expert for the coder (nn/coding.py): streams of text side by side, token by token."""

    def __init__(self, network: LanguageNetwork, context: int):
        self.network, self.context = network, context

    def start(self, n_streams: int) -> None:
        """Begin: nothing has been read."""
        self.reader = Reader(self.network, self.context, n_streams)

    def probabilities(self) -> np.ndarray:
        """(S, V), float64, for the next token of each stream."""
        return torch.softmax(self.reader.logits().double(), 1).numpy()

    def read(self, token_S: np.ndarray) -> None:
        """Take in the tokens that came."""
        self.reader.read(torch.from_numpy(token_S)[:, None])


def windows(before_N: np.ndarray, token_N: np.ndarray, H: int, span: int) -> Tensor:
    """Windows (n, H + span) side by side that cover the tokens; a last, shorter part is left out."""
    history = np.concatenate([np.zeros(H, np.int32), before_N])[-H:]
    return torch.from_numpy(np.concatenate([history, token_N])).unfold(0, H + span, span) if len(token_N) >= span else (
        torch.zeros(0, H + span, dtype=torch.int32)
    )  # fmt: skip


def evenly(window_NW: Tensor, n: int) -> Tensor:
    """About n of the windows, evenly chosen."""
    return window_NW[:: max(1, len(window_NW) // n)][:n].clone()
