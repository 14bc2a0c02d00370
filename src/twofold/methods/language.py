"""LanguageModel: predict the next token of your own text; so write, score and compress.

A decoder-only transformer (nn/transformer.py) whose matrices are trained by Muon and all else by AdamW. A table of
token pairs adds what the pair alone says, so that the blocks need not learn it; every block sees the first embedding again.

Radford et al. 2019 (next-token models); Jordan et al. 2024 (Muon, and the speed runs that found what pays),
https://github.com/KellerJordan/modded-nanogpt; Deletang et al. 2023, Language modeling is compression,
https://arxiv.org/abs/2309.10668
Dimension key: B windows, T tokens of a window, V tokens of the vocabulary, D width, N tokens of a text.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.learner import Learner
from twofold.nn.memory import Memory
from twofold.nn.muon import Muon
from twofold.nn.transformer import Block, Cache, normed

N_PAIRS = 1 << 17  # rows of the table of token pairs; larger vocabularies share rows


class NextToken(Learner):
    """A transformer that gives the next token's logits, beside a memory of what followed before."""

    def __init__(self, memory: Memory, n_tokens: int, dim: int, depth: int, n_heads: int):
        super().__init__()
        self.memory, self.n_tokens = memory, n_tokens
        self.embedding = nn.Embedding(n_tokens, dim)
        self.pairs = nn.Embedding(min(n_tokens**2, N_PAIRS), dim)
        self.blocks = nn.ModuleList(Block(dim, n_heads) for _ in range(depth))
        # how much of the stream and of the first embedding each block begins with
        self.mix_L2 = nn.Parameter(torch.tensor([[1.0, 0.0]] * depth))
        self.head = nn.Linear(dim, n_tokens, bias=False)
        self.trust = nn.Linear(dim, memory.order)
        nn.init.normal_(self.embedding.weight, std=0.7)
        for layer in (self.pairs, self.trust):
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.head.weight, std=1e-3)
        with torch.no_grad():
            self.trust.bias.fill_(0.0)
            self.trust.bias[-2:] = 0.5

    def forward(self, token_BT: Tensor, cache: Cache | None = None, previous_B1: Tensor | None = None) -> Tensor:
        """The stream (B, T, D) after the last block."""
        if previous_B1 is None:
            previous_B1 = torch.zeros_like(token_BT[:, :1])
        before_BT = torch.cat([previous_B1, token_BT[:, :-1]], 1)
        pair_BT = (before_BT * self.n_tokens + token_BT) % self.pairs.num_embeddings
        x_BTD = start_BTD = normed(self.embedding(token_BT) + self.pairs(pair_BT))
        for layer, block in enumerate(self.blocks):
            x_BTD = block(self.mix_L2[layer, 0] * x_BTD + self.mix_L2[layer, 1] * start_BTD, cache, layer)
        if cache is not None:
            cache.n_read += token_BT.shape[1]
        return normed(x_BTD)

    def logits(self, x_BTD: Tensor, memory_BTKV: Tensor) -> Tensor:
        """(B, T, V): what the network says, and what it thinks the memory is worth here."""
        # 15: logits cannot run away
        own_BTV = 15 * torch.tanh(self.head(x_BTD).float() / 15)
        return own_BTV + (self.trust(x_BTD).float().unsqueeze(2) @ memory_BTKV).squeeze(2)

    def loss(self, window_BW: Tensor, fold_B: Tensor) -> dict[str, Tensor]:
        """Nats per token. The first `order` tokens of a window are only there to be remembered from."""
        window_BW, K = window_BW.long(), self.memory.order
        token_BT, target_BT = window_BW[:, K - 1 : -1], window_BW[:, K:]
        B, T = target_BT.shape
        with torch.no_grad():
            history_MK = window_BW.unfold(1, K, 1)[:, :-1].reshape(B * T, K)
            fold_M = fold_B.repeat_interleave(T) if int(fold_B[0]) >= 0 else None
            memory_BTKV = self.memory.log_probabilities(history_MK, fold_M).view(B, T, K, -1)
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            x_BTD = self(token_BT, None, window_BW[:, K - 2 : K - 1])
            logit_BTV = self.logits(x_BTD, memory_BTKV)
        return {"nats": functional.cross_entropy(logit_BTV.flatten(0, 1), target_BT.flatten())}

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        matrices = [p for block in self.blocks for p in block.parameters() if p.ndim == 2]
        rest = [
            {"params": [self.embedding.weight, self.pairs.weight], "lr": 0.03},
            {"params": [self.head.weight], "lr": 0.005},
            {"params": [self.mix_L2, *self.trust.parameters()], "lr": 0.01},
        ]
        adam = torch.optim.AdamW(rest, lr=0.01, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0, fused=True)
        return {"matrices": Muon(matrices), "rest": adam}

    def schedule(self, fraction: float) -> float:
        """Warm-up, flat, then over the last 70 % down to 0."""
        return min(1.0, (fraction + 1e-3) / 0.02, max((1 - fraction) / 0.7, 0.0))

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        """One update of both optimizers; no clipping: Muon's steps have one size whatever the gradient's."""
        losses = self.parallel_loss(*batch)
        losses["nats"].backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses

    @torch.inference_mode()
    def evaluate(self, window_NW: Tensor, fold_N: Tensor) -> dict[str, float]:
        parts = zip(window_NW.split(64), fold_N.split(64), strict=True)
        losses = [float(self.loss(*part)["nats"]) * len(part[0]) for part in parts]
        return {"held_out": sum(losses) / len(window_NW)}


BF16 = True
