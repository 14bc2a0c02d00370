"""Words find pictures: our two towers beside open_clip's loss and training loop, and beside chance.

Command: python benchmarks/clip_training.py [--parts emoji,speed,...]     Machine: 2 cores, one thread     Minutes: 60
Numbers to expect: docs/clip.md

Data: ../shared/data/imagetext and sample:glyphs; settings were chosen on `val` splits, figures are of `test` splits.
emoji: OpenMoji's names and keywords are learned; the names of pictures held out find them, and Noto's drawings of the
same things. The peer is `open_clip.loss.ClipLoss` in open_clip's loop (AdamW .9/.98, 1e-6, decay .2, warm-up and
cosine, scale up to 100, random crops of .9 to 1, one caption drawn at a time), 20 CPU minutes of training alone. Arm
`towers from scratch` learns a small convolutional tower; arm `our features` has our frozen features, computed anew each
step, and our kind of text tower from a random start. Of each minute's towers the best on `val` are kept, which favours
the peer; its text tower was the better of two after a look at `val`, its largest rate likewise.
speed: pairs a CPU second with MobileNetV2 locked. glyphs: signs of unseen names. fashion, flickr: MobileNetV2 locked.
zero_shot: the groups of emoji as labels.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import open_clip
import pyarrow.parquet as pq
import torch
from open_clip.loss import ClipLoss
from open_clip.transformer import TextTransformer
from record import HERE, SHARED, record
from torch import Tensor, nn
from torch.nn import functional

from twofold import CLIP
from twofold.data.pairs import Pairs, open_pairs
from twofold.data.pictures import Pictures, open_pictures
from twofold.measure.report import bootstrap_interval
from twofold.measure.retrieval import Ranks, chance_of
from twofold.nn.backbones import open_backbone
from twofold.nn.picture_tower import PictureHead
from twofold.nn.words import BagTower, Pieces

RUNS = HERE.parent / "runs" / "clip_training"
OPENMOJI, NOTO, FASHION, FLICKR = (
    SHARED / "imagetext" / f"{name}.parquet"
    for name in ("emoji_openmoji", "emoji_noto", "fashion_products", "flickr8k_1000")
)
MOBILENET = str(SHARED / "images" / "weights" / "mobilenetv2_100_imagenet_fp16.safetensors")
SIDE, WIDTH = 64, 512  # of pictures, of the shared space
N_TOKENS = 32  # the longest list of keywords has about as many
WARM_UP = 0.05  # of the time
MUST_AIM = {  # of the issue
    "emoji": (1.2, 1.5), "speed": (10, 30), "glyphs": (50, None), "fashion": (5, None), "zero_shot": (3, None),
}  # fmt: skip


# ---- the peer's towers ---------------------------------------------------------------------------


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
    """A small convolutional tower on pixels (B, S, S, 3), 1.8 million weights."""

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


# ---- the peer's loop -----------------------------------------------------------------------------


class Draw:
    """Batches of pictures, cropped at random, with one caption each."""

    def __init__(self, pairs: Pairs, encode: Callable[[list[str]], Tensor], size: int, side: int, seed: int):
        self.pixel_NSSC = torch.from_numpy(np.array(pairs.pictures.resized(side, channels=3)))
        self.captions = [own for own in pairs.captions]
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


def peer_of(arm: str, train: Pairs) -> tuple[Peer, Draw, dict]:
    """An arm's towers from a random start, its batches, its batch size and rate."""
    torch.manual_seed(0)
    texts = [text for own in train.captions for text in own]
    if arm.startswith("scratch"):
        text = Bag(texts) if arm.endswith("bag") else Transformer(texts)
        peer, settings = Peer(Scratch(), text), {"batch": 256, "rate": 1e-3}
    else:
        towers = CLIP.load(RUNS / "emoji").towers_
        R = towers.tower.head.axis_DR.shape[1]
        peer, settings = Peer(Locked(towers.features, our_head(R)), Bag(texts)), {"batch": 512, "rate": 1e-3}
    return peer, Draw(train, peer.texts.encode, SIDE, 72, seed=0), settings


def trained_peer(arm: str, seconds: float, rate: float | None = None) -> tuple[Peer, dict]:
    """The towers that were best on `val` at the end of a minute; a stopped run goes on where it was kept."""
    train, val = (open_pairs(OPENMOJI, text="name,keywords", split=split) for split in ("train", "val"))
    names, pixel_NSSC = names_of(OPENMOJI, "val"), val.pictures.resized(SIDE, channels=3)
    peer, draw, settings = peer_of(arm, train)
    settings |= {"rate": rate or settings["rate"]}
    kept = RUNS / f"peer_{arm.replace(' ', '_')}_{settings['rate']:g}_{seconds:g}.pt"
    state = torch.load(kept, weights_only=True) if kept.exists() else None
    state = state or {"used": 0.0, "n": 0, "best": -1.0, "of": None, "now": None, "course": []}
    if state["now"] is not None:
        peer.load_state_dict(state["now"])
    every = min(60.0, seconds / 5)
    for used in updates(peer, draw, seconds=seconds, used=state["used"], **settings):
        state["n"] += 1
        if used // every > state["used"] // every or used >= seconds:
            recall = ranks_of(peer.scores(pixel_NSSC, names), names).recall(10)
            now = {name: value.clone() for name, value in peer.state_dict().items()}
            if recall > state["best"]:
                state |= {"best": recall, "of": now}
            state["course"].append([round(used, 1), recall])
            torch.save(state | {"now": now, "used": used}, kept)
            print(arm, f"{used:.0f} CPU s, {state['n']} updates, recall@10 on val {recall:.3f}", flush=True)
        state["used"] = used
    peer.load_state_dict(state["of"])
    return peer, {"CPU s": state["used"], "updates": state["n"], "val": state["best"], **settings}


# ---- what is measured ----------------------------------------------------------------------------


def names_of(path, split: str, column: str = "name") -> list[str]:
    return pq.read_table(path, columns=[column, "split"], filters=[("split", "=", split)])[column].to_pylist()


def ranks_of(score_QN: np.ndarray, names: list[str]) -> Ranks:
    return Ranks(score_QN, equal(names))


def equal(names: list[str]) -> np.ndarray:
    """Which of them are the same."""
    return np.array(names)[:, None] == np.array(names)


def found(score_QN: np.ndarray, is_right_QN: np.ndarray, k: int = 10) -> dict:
    """Recall, its interval and chance."""
    hit_Q = (Ranks(score_QN, is_right_QN).first_Q <= k).astype(float)
    low, high = bootstrap_interval(np.mean, hit_Q, n_draws=1000)
    chance = chance_of(is_right_QN, k)
    return {"recall": float(hit_Q.mean()), "interval": f"{low:.3f}-{high:.3f}", "chance": chance,
            "of chance": float(hit_Q.mean()) / chance, "queries": len(hit_Q)}  # fmt: skip


def ours(source, folder: str | None = None, **settings) -> tuple[CLIP, float]:
    """A fitted CLIP, and all CPU seconds from the open pairs on."""
    if folder and (RUNS / folder).exists() and (RUNS / folder / "seconds.json").exists():
        return CLIP.load(RUNS / folder), json.loads((RUNS / folder / "seconds.json").read_text())
    model, began = CLIP(n_threads=1, **settings), time.process_time()
    model.fit(source)
    used = time.process_time() - began
    if folder:
        model.save(RUNS / folder)
        (RUNS / folder / "seconds.json").write_text(json.dumps(used))
    return model, used


def scores(model: CLIP, pictures: Pictures, texts: list[str]) -> np.ndarray:
    return model.transform_text(texts) @ model.transform(pictures).T


# ---- parts: each gives rows ----------------------------------------------------------------------

EMOJI_SETS = {"OpenMoji": OPENMOJI, "Noto": NOTO}


def emoji(minutes: float) -> Iterator[dict]:
    """Ours, then each arm of the peer; the hits of each query, so that ratios have intervals."""
    model, used = ours(open_pairs(OPENMOJI, text="name,keywords"), "emoji", text="name,keywords")
    yield from _emoji_rows("ours", lambda pictures, names: scores(model, pictures, names), {"CPU s": used})
    for arm in ("scratch", "our features"):
        peer, about = trained_peer(arm, 60 * minutes)
        yield from _emoji_rows(arm, lambda p, names: peer.scores(p.resized(SIDE, channels=3), names), about)


def _emoji_rows(arm: str, score: Callable[[Pictures, list[str]], np.ndarray], about: dict) -> Iterator[dict]:
    for name, path in EMOJI_SETS.items():
        names, pictures = names_of(path, "test"), open_pictures(path, split="test")
        score_QN = score(pictures, names)
        hits = (ranks_of(score_QN, names).first_Q <= 10).astype(int).tolist()
        yield {"set": name, "arm": arm, **found(score_QN, equal(names)), **about, "hits": hits}


PARTS = {"emoji": emoji}


def main() -> None:
    """Each part once; finished ones are read from runs/."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--look", help="ARM:RATE: only train this arm and print `val`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RUNS.mkdir(parents=True, exist_ok=True)
    if arguments.look:
        arm, rate = arguments.look.split(":")
        print(trained_peer(arm, 60 * arguments.minutes, float(rate))[1])
        return
    for part in arguments.parts.split(","):
        kept = RUNS / f"{part}_{arguments.minutes:g}.json"
        if not kept.exists():
            rows = []
            for row in PARTS[part](arguments.minutes):
                rows.append({"part": part, **row})
                print({name: value for name, value in rows[-1].items() if name != "hits"}, flush=True)
            kept.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
