"""A transformer block as it is built today: RMSNorm, rotary positions, normed queries and keys, squared ReLU.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Su et al. 2021 (rotary), https://arxiv.org/abs/2104.09864;
Henry et al. 2020 (query-key norm), https://arxiv.org/abs/2010.04245; So et al. 2021 (squared ReLU),
https://arxiv.org/abs/2109.08668
Dimension key: B sequences, T tokens, D width, H heads, E width of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Block", "Cache", "Transformer", "normed", "turns"]

PLACES_AT_ONCE = 256
N_PAIRS = 1 << 17  # rows of the table of token pairs; larger vocabularies share rows


def normed(x: Tensor) -> Tensor:
    """RMSNorm without weights: the next matrix can scale as well."""
    return functional.rms_norm(x, (x.shape[-1],))


class Cache:
    """Keys and values of the tokens read so far, so that a new token costs one token's work.

    Parameters
    ----------
    context : tokens to keep; older ones are forgotten.
    """

    def __init__(self, context: int):
        self.context = context
        self.n_read = 0
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._turns: tuple[int, Tensor, Tensor] | None = None

    def extended(self, layer: int, key_BHTE: Tensor, value_BHTE: Tensor) -> tuple[Tensor, Tensor]:
        """The kept keys and values with the new ones: in any order, for each knows its place."""
        B, H, T, E = key_BHTE.shape
        if layer not in self.kept:
            self.kept[layer] = key_BHTE.new_empty(B, H, self.context, E), value_BHTE.new_empty(B, H, self.context, E)
        slot_T = torch.arange(self.n_read, self.n_read + T)[-self.context :] % self.context
        n_kept = min(self.n_read + T, self.context)
        for kept, new in zip(self.kept[layer], (key_BHTE, value_BHTE), strict=True):
            kept.index_copy_(2, slot_T, new[:, :, -self.context :])
        if T > 1:
            return key_BHTE, value_BHTE
        key_BHCE, value_BHCE = self.kept[layer]
        return key_BHCE[:, :, :n_kept], value_BHCE[:, :, :n_kept]

    def turns(self, n_places: int, half: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The next places' turns; for single places they are made for many at once."""
        if n_places > 1:
            return turns(self.n_read, n_places, half, like)
        first, last = divmod(self.n_read, PLACES_AT_ONCE)
        if self._turns is None or self._turns[0] != first:
            self._turns = first, *turns(first * PLACES_AT_ONCE, PLACES_AT_ONCE, half, like)
        return self._turns[1][last : last + 1], self._turns[2][last : last + 1]


def turns(first: int, n_places: int, half: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, E / 2) of the angles by which each place turns each pair of coordinates."""
    place_T = torch.arange(first, first + n_places, device=like.device)
    angle_TE = place_T[:, None] * 10_000.0 ** (-torch.arange(half, device=like.device) / half)
    return angle_TE.cos().to(like.dtype), angle_TE.sin().to(like.dtype)


class Attention(nn.Module):
    """Causal attention with rotary positions."""

    def __init__(self, dim: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def forward(self, x_BTD: Tensor, turn: tuple[Tensor, Tensor], cache: Cache | None = None, layer: int = 0) -> Tensor:
        """What each token takes from those before it and itself, (B, T, D)."""
        B, T, D = x_BTD.shape
        heads = (
            project(x_BTD).view(B, T, self.n_heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        query_BHTE, key_BHTE, value_BHTE = heads
        query_BHTE, key_BHTE = _turned(normed(torch.stack([query_BHTE, key_BHTE])), *turn).unbind()
        if cache is not None:
            key_BHTE, value_BHTE = cache.extended(layer, key_BHTE, value_BHTE)
        # a whole sequence sees what stands before each token; one new token sees all that is kept
        mixed_BHTE = functional.scaled_dot_product_attention(
            query_BHTE, key_BHTE, value_BHTE.to(query_BHTE.dtype), is_causal=bool(T > 1)
        )
        return self.out(mixed_BHTE.transpose(1, 2).reshape(B, T, D))


def _turned(x_BHTE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Each pair of coordinates turned by its place's angle."""
    left, right = x_BHTE.chunk(2, -1)
    return torch.cat([left * cos_TE - right * sin_TE, left * sin_TE + right * cos_TE], -1)


class Block(nn.Module):
    """Attention, then a feed-forward net four times as wide; both add to the stream."""

    def __init__(self, dim: int, n_heads: int):
        super().__init__()
        self.attention = Attention(dim, n_heads)
        self.up, self.down = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        bound = 0.8 * (3 / dim) ** 0.5
        for layer in (self.attention.query, self.attention.key, self.attention.value, self.up):
            nn.init.uniform_(layer.weight, -bound, bound)
        # what a block adds is nothing at the start
        for layer in (self.attention.out, self.down):
            nn.init.zeros_(layer.weight)

    def forward(self, x_BTD: Tensor, turn: tuple[Tensor, Tensor], cache: Cache | None = None, layer: int = 0) -> Tensor:
        """The stream with what this block adds."""
        x_BTD = x_BTD + self.attention(normed(x_BTD), turn, cache, layer)
        return x_BTD + self.down(functional.relu(self.up(normed(x_BTD))).square())


class Transformer(nn.Module):
    """Tokens to a stream of vectors, each knowing what stands before it."""

    def __init__(self, n_tokens: int, dim: int, depth: int, n_heads: int):
        super().__init__()
        self.n_tokens, self.n_heads = n_tokens, n_heads
        self.embedding = nn.Embedding(n_tokens, dim)
        # what the pair of the last two tokens says, so that the blocks need not learn it
        self.pairs = nn.Embedding(min(n_tokens**2, N_PAIRS), dim)
        self.blocks = nn.ModuleList(Block(dim, n_heads) for _ in range(depth))
        # how much of the stream and of the first embedding each block begins with
        self.mix_L2 = nn.Parameter(torch.tensor([[1.0, 0.0]] * depth))
        nn.init.normal_(self.embedding.weight, std=0.7)
        nn.init.zeros_(self.pairs.weight)

    def forward(self, token_BT: Tensor, before_B1: Tensor, cache: Cache | None = None) -> Tensor:
        """The stream (B, T, D) after the last block; `before` is the token before the first."""
        before_BT = torch.cat([before_B1, token_BT[:, :-1]], 1)
        pair_BT = (before_BT * self.n_tokens + token_BT) % self.pairs.num_embeddings
        x_BTD = start_BTD = normed(self.embedding(token_BT) + self.pairs(pair_BT))
        T, half = x_BTD.shape[1], x_BTD.shape[2] // self.n_heads // 2
        turn = turns(0, T, half, x_BTD) if cache is None else cache.turns(T, half, x_BTD)
        for layer, block in enumerate(self.blocks):
            mixed_BTD = self.mix_L2[layer, 0] * x_BTD + self.mix_L2[layer, 1] * start_BTD
            x_BTD = block(mixed_BTD, turn, cache, layer)
        if cache is not None:
            cache.n_read += token_BT.shape[1]
        return normed(x_BTD)
