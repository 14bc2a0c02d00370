"""The peer of clip_training.py: small towers, and open_clip's loss and training loop for them.

As open_clip's train.py: ClipLoss, AdamW (.9, .98, 1e-6; decay .2, none of gains, biases and the scale), warm-up and
cosine, scale up to 100, random crops of .9 to 1, amp_bf16. Pictures lie in memory, captions as tokens.
Dimension key: B pairs at a time, N pictures, M texts, S side, R features, T tokens, L pieces of a text,
E width of the shared space.
"""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn import functional

from twofold.data.pairs import Pairs
from twofold.nn.picture_tower import PictureHead
from twofold.nn.words import BagTower, Pieces

WIDTH = 512  # of the shared space
N_TOKENS = 32  # the longest list of keywords has about as many
WARM_UP = 0.05  # of the time


class Mixer(nn.Module):
    """Places, then channels, beside what came in."""

    def __init__(self, dim: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim, 5, padding=2, groups=dim), nn.BatchNorm2d(dim),
            nn.Conv2d(dim, 2 * dim, 1), nn.GELU(), nn.Conv2d(2 * dim, dim, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Scratch(nn.Module):
    """A small convolutional tower on pixels (B, S, S, 3), 2.1 million weights."""

    def __init__(self) -> None:
        super().__init__()
        dims = (96, 192, 384)
        layers: list[nn.Module] = [nn.Conv2d(3, dims[0], 4, stride=4), nn.BatchNorm2d(dims[0]), Mixer(dims[0])]
        for before, dim in zip(dims, dims[1:], strict=False):
            layers += [nn.Conv2d(before, dim, 2, stride=2), nn.BatchNorm2d(dim), Mixer(dim), Mixer(dim)]
        self.body, self.out = nn.Sequential(*layers), nn.Linear(dims[-1], WIDTH)

    def forward(self, pixel_BSSC: Tensor) -> Tensor:
        picture = (pixel_BSSC.float() / 127.5 - 1).permute(0, 3, 1, 2)
        return self.out(self.body(picture).mean((2, 3)))


class Locked(nn.Module):
    """Features that stay, computed each time, and a head that is learned."""

    def __init__(self, features: Callable[[np.ndarray], np.ndarray], head: nn.Module):
        super().__init__()
        self.features, self.head = features, head

    def forward(self, pixel_BSSC: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            feature_BR = torch.from_numpy(self.features(pixel_BSSC.numpy()))
        return self.head(feature_BR)


def our_head(R: int) -> nn.Module:
    """Ours, from a random start, on features that are reduced already."""
    head = PictureHead(torch.zeros(R), torch.eye(R), WIDTH, WIDTH)
    nn.init.normal_(head.weight, std=R**-0.5)
    head.bend[-1].reset_parameters()
    return head


class Transformer(nn.Module):
    """open_clip's, with its tokens; those that training never saw are one."""

    def __init__(self, texts: list[str]):
        super().__init__()
        # plain BPE, as every CLIP
        self.tokens = open_clip.SimpleTokenizer(context_length=N_TOKENS)
        known = self.tokens(texts).unique()
        self.number = torch.zeros(49408, dtype=torch.long).index_put_((known,), torch.arange(1, len(known) + 1))
        # the end has the highest number, by which its place is found
        self.tower = TextTransformer(
            context_length=N_TOKENS, vocab_size=len(known) + 1, width=192, heads=3, layers=4, output_dim=WIDTH
        )

    def encode(self, texts: list[str]) -> Tensor:
        return self.number[self.tokens(texts)]

    def forward(self, token_BT: Tensor) -> Tensor:
        return self.tower(token_BT)


class Bag(nn.Module):
    """Ours, from a random start."""

    def __init__(self, texts: list[str]):
        super().__init__()
        self.pieces = Pieces.learn(texts)
        self.tower = BagTower(torch.from_numpy(self.pieces.weight_V), WIDTH, WIDTH)
        nn.init.normal_(self.tower.meaning, std=WIDTH**-0.5)
        self.tower.bend[-1].reset_parameters()

    def encode(self, texts: list[str]) -> Tensor:
        return torch.from_numpy(self.pieces.encode(texts))

    def forward(self, piece_BL: Tensor) -> Tensor:
        return self.tower(piece_BL)


class Peer(nn.Module):
    """Both towers and the scale, as open_clip has them."""

    def __init__(self, pictures: nn.Module, texts: nn.Module):
        super().__init__()
        self.pictures, self.texts = pictures, texts
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, pixel_BSSC: Tensor, text_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # open_clip's --precision amp_bf16: half as long here
        with torch.autocast("cpu", torch.bfloat16):
            sides = self.pictures(pixel_BSSC), self.texts(text_BT)
        picture_BE, text_BE = (functional.normalize(side.float(), dim=1) for side in sides)
        return picture_BE, text_BE, self.scale.exp()

    @torch.inference_mode()
    def scores(self, pixel_NSSC: np.ndarray, texts: list[str]) -> np.ndarray:
        """Cosines of texts and pictures."""
        self.eval()
        parts = [self.pictures(some) for some in torch.from_numpy(np.array(pixel_NSSC)).split(64)]
        text_ME = functional.normalize(self.texts(self.texts.encode(texts)), dim=1)
        self.train()
        return (text_ME @ functional.normalize(torch.cat(parts), dim=1).T).numpy()


# ---- the loop --------------------------------------------------------------------------------------


class Draw:
    """Batches of pictures, cropped at random, with one caption each."""

    def __init__(self, pairs: Pairs, encode: Callable[[list[str]], Tensor], size: int, side: int, seed: int):
        self.pixel_NSSC = torch.from_numpy(np.array(pairs.pictures.resized(side, channels=3)))
        self.captions = pairs.captions
        self.encode, self.size = encode, size
        self.rng = np.random.default_rng(seed)
        # encoded once: a text costs nothing in the loop
        flat = [text for own in self.captions for text in own]
        self.text_MT, self.first_N = encode(flat), np.cumsum([0, *map(len, self.captions)])

    def batches(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch after the other; the last batch of each, which is short, is left out."""
        while True:
            order = self.rng.permutation(len(self.captions))
            for first in range(0, len(order) - batch + 1, batch):
                rows = order[first : first + batch]
                which = self.first_N[rows] + self.rng.integers(0, np.diff(self.first_N)[rows])
                yield self._cropped(self.pixel_NSSC[rows]), self.text_MT[which]

    def _cropped(self, pixel_BSSC: Tensor) -> Tensor:
        """Random crops of .9 to 1 of the area and of 3:4 to 4:3, as far as they fit, brought to the side."""
        B = len(pixel_BSSC)
        area, ratio = self.rng.uniform(0.9, 1, B), np.exp(self.rng.uniform(math.log(3 / 4), math.log(4 / 3), B))
        share_B2 = np.minimum(np.sqrt(np.stack([area * ratio, area / ratio], 1)), 1)
        shift_B2 = (1 - share_B2) * self.rng.uniform(-1, 1, (B, 2))
        turn_B23 = torch.zeros(B, 2, 3)
        turn_B23[:, 0, 0], turn_B23[:, 1, 1] = torch.from_numpy(share_B2).float().T
        turn_B23[:, :, 2] = torch.from_numpy(shift_B2).float()
        picture = pixel_BSSC.permute(0, 3, 1, 2).float()
        grid = functional.affine_grid(turn_B23, [B, 3, self.size, self.size], align_corners=False)
        cropped = functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
        return cropped.permute(0, 2, 3, 1).round().byte().contiguous()


def updates(peer: Peer, draw: Draw, *, batch: int, rate: float, seconds: float, used: float = 0.0) -> Iterator[float]:
    """open_clip's loop; the CPU seconds of training after each update."""
    # as there: gains, biases and the scale do not decay
    plain = [p for p in peer.parameters() if p.requires_grad and p.ndim < 2]
    others = [p for p in peer.parameters() if p.requires_grad and p.ndim >= 2]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": others, "weight_decay": 0.2}]
    optimiser, loss = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-6), ClipLoss()
    batches = draw.batches(batch)
    peer.train()
    while used < seconds:
        began, share = time.process_time(), used / seconds
        warm, cosine = min(1, share / WARM_UP + 1e-3), 0.5 * (1 + math.cos(math.pi * max(0, share - WARM_UP)))
        for group in optimiser.param_groups:
            group["lr"] = rate * warm * cosine
        optimiser.zero_grad()
        loss(*peer(*next(batches))).backward()
        optimiser.step()
        with torch.no_grad():
            peer.scale.clamp_(0, math.log(100))
        used += time.process_time() - began
        yield used
