"""Words find pictures: our two towers beside open_clip's loss and training loop, and beside chance.

Command: python benchmarks/clip_training.py [--parts emoji,speed,...]     Machine: 2 cores, one thread     Minutes: 60
Numbers to expect: docs/clip.md

Data: ../shared/data/imagetext and sample:glyphs; settings were chosen on `val` splits, figures are of `test` splits.
emoji: OpenMoji's names and keywords are learned, the names of pictures held out find them, and Noto's drawings of the
same things. The peer is open_clip's ClipLoss in its training loop (peer_clip.py), 20 CPU minutes of updates alone, with
one of a picture's captions drawn each time, and crops of 64 of its 72 pixels; ours sees all 72. Arm `scratch` learns a
small convolutional tower; arm `our features` has our frozen features, computed anew each step, and our kind of head and
text tower from a random start. Of each minute's towers the best on `val` are kept, which favours the peer. Its text
tower was the better of two on `val`; its
rate, 1e-3, was not searched for. Arms can be given other --minutes: the table tells their CPU seconds. Ours learns to
describe, too, in its own.
speed: pairs a CPU second with MobileNetV2 locked, 96 px; ours looks at each picture once, the peer at each step. In the
parts from here on ours does not learn to describe. zero_shot: the 12 groups of emoji as labels. glyphs: signs whose
names were held out. fashion: MobileNetV2 locked, 96 px. flickr: the same at 160 px.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from peer_clip import WIDTH, Bag, Draw, Locked, Peer, Scratch, Transformer, our_head, updates
from record import HERE, SHARED, record
from torch import nn

from twofold import CLIP
from twofold.data.pairs import Pairs, open_pairs
from twofold.data.pictures import Pictures, open_pictures
from twofold.measure.report import bootstrap_interval
from twofold.measure.retrieval import Ranks, chance_of
from twofold.nn.backbones import open_backbone
from twofold.nn.pixels import from_pixels

RUNS = HERE.parent / "runs" / "clip_training"
OPENMOJI, NOTO, FASHION, FLICKR = (
    SHARED / "imagetext" / f"{name}.parquet"
    for name in ("emoji_openmoji", "emoji_noto", "fashion_products", "flickr8k_1000")
)
MOBILENET = str(SHARED / "images" / "weights" / "mobilenetv2_100_imagenet_fp16.safetensors")
SIDE = 64  # of pictures
PHOTO_SIDE, AT_ONCE = 96, 32  # of MobileNetV2
N_SEEDS = 3  # of glyphs
MINUTES = 2.5  # of fashion's towers
MUST_AIM = {  # of the issue
    "emoji": (1.2, 1.5), "speed": (10, 30), "glyphs": (50, None), "fashion": (5, None), "zero_shot": (3, None),
}  # fmt: skip
ARMS = {"scratch": "small towers from scratch", "our features": "our features and kind of text tower"}
COLUMNS = (
    "part", "set", "arm", "measure", "recall", "interval", "chance", "of chance", "queries", "CPU s", "updates",
    "batch", "rate", "val", "pairs a CPU s", "accuracy", "majority", "recall@10", "pictures",
)  # fmt: skip


def peer_of(arm: str, train: Pairs) -> tuple[Peer, Draw, dict]:
    """An arm's towers from a random start, its batches, its batch size and rate."""
    torch.manual_seed(0)
    texts = [text for own in train.captions for text in own]
    if arm.startswith("scratch"):
        # after 90 CPU s of each, recall@10 on `val` was .394 with the transformer and .494 (at best .498) with the bag
        text = Transformer(texts) if arm.endswith("transformer") else Bag(texts)
        peer, settings = Peer(Scratch(), text), {"batch": 256, "rate": 1e-3}
    else:
        towers = CLIP.load(RUNS / "emoji").towers_
        R = towers.tower.head.axis_DR.shape[1]
        peer, settings = Peer(Locked(towers.features, our_head(R)), Bag(texts)), {"batch": 512, "rate": 1e-3}
    return peer, Draw(train, peer.texts.encode, SIDE, 72, seed=0), settings


def trained_peer(arm: str, seconds: float, rate: float | None = None) -> tuple[Peer, dict]:
    """The towers that were best on `val` at the end of a minute; a stopped run goes on, with Adam's means anew."""
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


def names_of(path: Path, split: str, column: str = "name") -> list[str]:
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


def ours(pairs: Pairs, folder: str, **settings: Any) -> tuple[CLIP, float]:
    """A fitted CLIP, and all CPU seconds from the open pairs on; read from runs/ where it was kept."""
    seconds = RUNS / folder / "seconds.json"
    if seconds.exists():
        return CLIP.load(RUNS / folder), json.loads(seconds.read_text())
    model, began = CLIP(n_threads=1, **settings), time.process_time()
    model.fit(pairs)
    used = time.process_time() - began
    model.save(RUNS / folder)
    seconds.write_text(json.dumps(used))
    return model, used


def scores(model: CLIP, pictures: Pictures, texts: list[str]) -> np.ndarray:
    return model.transform_text(texts) @ model.transform(pictures).T


# ---- parts: each gives rows ----------------------------------------------------------------------

EMOJI_SETS = {"OpenMoji": OPENMOJI, "Noto": NOTO}


def emoji(minutes: float) -> Iterator[dict]:
    """Ours, then open_clip's towers from scratch; the hits of each query, so that ratios have intervals."""
    model, used = ours(open_pairs(OPENMOJI, text="name,keywords"), "emoji")
    yield from _emoji_rows("ours", partial(scores, model), {"CPU s": used})
    yield from _of_peer("scratch", minutes)


def emoji_features(minutes: float) -> Iterator[dict]:
    """open_clip's loop on our features; after `emoji`."""
    yield from _of_peer("our features", minutes)


def _of_peer(arm: str, minutes: float) -> Iterator[dict]:
    peer, about = trained_peer(arm, 60 * minutes)
    yield from _emoji_rows(arm, partial(_peer_scores, peer), about)


def _peer_scores(peer: Peer, pictures: Pictures, texts: list[str]) -> np.ndarray:
    return peer.scores(pictures.resized(SIDE, channels=3), texts)


def _emoji_rows(arm: str, score: Callable[[Pictures, list[str]], np.ndarray], about: dict) -> Iterator[dict]:
    for name, path in EMOJI_SETS.items():
        names, pictures = names_of(path, "test"), open_pictures(path, split="test")
        score_QN = score(pictures, names)
        hits = (ranks_of(score_QN, names).first_Q <= 10).astype(int).tolist()
        yield {"set": name, "arm": arm, "measure": "recall@10", **found(score_QN, equal(names)), **about, "hits": hits}


# ---- the other parts -----------------------------------------------------------------------------


def speed(_: float) -> Iterator[dict]:
    """Pairs a CPU second with MobileNetV2 locked: our whole training, looking at all pictures counted."""
    pairs = open_pairs(OPENMOJI, text="name,keywords")
    model, used = ours(pairs, "emoji_mobilenet", image_tower=MOBILENET, image_size=PHOTO_SIDE, describes=False)
    n_updates, batch = model.n_iter_, model.batch_size
    yield {
        "arm": "ours",
        "pairs a CPU s": n_updates * batch / used,
        "CPU s": used,
        "updates": n_updates,
        "batch": batch,
    }
    for precision in (torch.float32, torch.bfloat16):
        yield {"arm": f"open_clip's loop, locked tower in {precision}", **_speed_of_peer(pairs, precision)}


def _speed_of_peer(pairs: Pairs, precision: torch.dtype, *, batch: int = 256, seconds: float = 30.0) -> dict:
    body = open_backbone(MOBILENET, image_size=PHOTO_SIDE, seed=0).body.requires_grad_(False)

    @torch.inference_mode()
    def features(pixel_BSSC: np.ndarray) -> np.ndarray:
        picture_BCSS = from_pixels(torch.from_numpy(pixel_BSSC)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            return torch.cat([body(some).float() for some in picture_BCSS.split(AT_ONCE)]).numpy()

    torch.manual_seed(0)
    bag = Bag([text for own in pairs.captions for text in own])
    peer = Peer(Locked(features, nn.Linear(body.n_features, WIDTH)), bag)
    draw = Draw(pairs, bag.encode, PHOTO_SIDE, PHOTO_SIDE, seed=0)
    course = list(updates(peer, draw, batch=batch, rate=1e-3, seconds=seconds))
    # without the first update, in which memory is found
    used, n = course[-1] - course[0], len(course) - 1
    return {"pairs a CPU s": n * batch / used, "CPU s": used, "updates": n, "batch": batch}


def zero_shot(_: float) -> Iterator[dict]:
    """The 12 groups of emoji as labels.

    Their words are rare in what was learned: food is said of 36 of 92, people of 29 of 1,285, travel of 17 of 125,
    emotion of 12 of 101, drink of 11, body of 10, animals of 5, nature of 4, flags and symbols of 1; objects,
    activities, smileys, component, extras of none.
    """
    groups, pictures = np.array(names_of(OPENMOJI, "test", "group")), open_pictures(OPENMOJI, split="test")
    every = sorted({*names_of(OPENMOJI, "train", "group"), *groups.tolist()})
    labels = [group.replace("-", " ") for group in every]
    borrowed = {"image_tower": MOBILENET, "image_size": PHOTO_SIDE, "describes": False}
    for folder, settings in (("emoji", {}), ("emoji_mobilenet", borrowed)):
        model, _ = ours(open_pairs(OPENMOJI, text="name,keywords"), folder, **settings)
        is_right_N = np.array(every)[model.classify(pictures, labels).argmax(1)] == groups
        low, high = bootstrap_interval(_balanced, is_right_N, groups, n_draws=1000)
        majority = float(np.unique(groups, return_counts=True)[1].max() / len(groups))
        yield {
            "arm": f"ours ({folder})", "measure": "balanced accuracy", "recall": _balanced(is_right_N, groups),
            "interval": f"{low:.3f}-{high:.3f}", "chance": 1 / len(every), "queries": len(groups),
            "of chance": _balanced(is_right_N, groups) * len(every), "accuracy": float(is_right_N.mean()),
            "majority": majority,
        }  # fmt: skip


def _balanced(is_right_N: np.ndarray, groups: np.ndarray) -> float:
    return float(np.mean([is_right_N[groups == group].mean() for group in np.unique(groups)]))


def glyphs(_: float) -> Iterator[dict]:
    """A tenth of the signs' names held out with all their pictures; asked are those whose words are all known."""
    pictures = open_pictures("sample:glyphs")
    captions = np.array(pictures.table.column("caption").to_pylist())
    for seed in range(N_SEEDS):
        different = np.unique(captions)
        held = np.random.default_rng(seed).permutation(different)[: len(different) // 10]
        is_held = np.isin(captions, held)
        known = {word for caption in captions[~is_held] for word in caption.split()}
        asked = sorted(name for name in held if known.issuperset(name.split()))
        learnt = open_pairs(pictures.take(~is_held), captions[~is_held].tolist())
        model, used = ours(learnt, f"glyphs_{seed}", describes=False, seed=seed)
        score_QN = scores(model, pictures.take(is_held), asked)
        is_right_QN = np.array(asked)[:, None] == captions[is_held]
        yield {"arm": f"ours, seed {seed}", "measure": "recall@1", "CPU s": used, **found(score_QN, is_right_QN, 1),
               "recall@10": Ranks(score_QN, is_right_QN).recall(10), "pictures": int(is_held.sum())}  # fmt: skip


def fashion(_: float) -> Iterator[dict]:
    """Captions of the test split find its pictures, equal captions as one query; after MINUTES of learning."""
    pairs, test = (open_pairs(FASHION, text="captions", split=split) for split in ("train", "test"))
    model, used = ours(pairs, "fashion", image_tower=MOBILENET, image_size=PHOTO_SIDE, describes=False, minutes=MINUTES)
    texts, is_right_UN = test.told()
    titles = {(title or "").lower() for title in names_of(FASHION, "test", "title")}
    is_title_U = np.array([text.lower() in titles for text in texts])
    score_UN = scores(model, test.pictures, texts)
    kinds = {"all captions": np.ones(len(texts), bool), "titles": is_title_U, "other captions": ~is_title_U}
    for kind, rows in kinds.items():
        yield {
            "set": kind,
            "arm": "ours",
            "measure": "recall@10",
            "CPU s": used,
            **found(score_UN[rows], is_right_UN[rows]),
        }


def flickr(_: float) -> Iterator[dict]:
    """641 photographs to learn from: both ways on the test split."""
    pairs, test = (open_pairs(FLICKR, text="captions", split=split) for split in ("train", "test"))
    model, used = ours(pairs, "flickr", image_tower=MOBILENET, image_size=160, describes=False)
    texts, is_right_UN = test.told()
    score_UN = scores(model, test.pictures, texts)
    ways = {"words find pictures": (score_UN, is_right_UN), "pictures find words": (score_UN.T, is_right_UN.T)}
    for way, arrays in ways.items():
        for k in (1, 5, 10):
            yield {"set": way, "arm": "ours", "measure": f"recall@{k}", "CPU s": used, **found(*arrays, k)}


PARTS = {
    "emoji": emoji, "emoji_features": emoji_features, "speed": speed, "zero_shot": zero_shot, "glyphs": glyphs,
    "fashion": fashion, "flickr": flickr,
}  # fmt: skip

# ---- the claims ----------------------------------------------------------------------------------


def figures_of(rows: list[dict]) -> Iterator[dict]:
    """What the issue asks for, of the parts that were measured."""
    hits = {(row["set"], row["arm"]): np.array(row["hits"]) for row in rows if "hits" in row}
    for (name, arm), theirs in hits.items():
        if arm != "ours":
            mine = hits[name, "ours"]
            must, aim = MUST_AIM["emoji"] if (name, arm) == ("OpenMoji", "scratch") else (None, None)
            low, high = bootstrap_interval(_ratio, mine, theirs, n_draws=1000)
            yield {"figure": f"emoji, {name}: recall@10 over open_clip's, {ARMS[arm]}", "value": _ratio(mine, theirs),
                   "interval": f"{low:.2f}-{high:.2f}", "must": must, "aim": aim}  # fmt: skip
    if speeds := [row["pairs a CPU s"] for row in rows if row["part"] == "speed"]:
        yield _figure("speed", "pairs a CPU second over open_clip's loop at its faster", speeds[0] / max(speeds[1:]))
    names = {
        "zero_shot": "zero-shot on emoji groups: balanced accuracy over chance",
        "fashion": "fashion: recall@10 over chance",
        "glyphs": "glyphs, unseen names: recall@1 over chance",
    }  # fmt: skip
    for part, text in names.items():
        values = [row["of chance"] for row in rows if row["part"] == part and row.get("set") in (None, "all captions")]
        if part == "zero_shot":
            yield from (_figure(part, f"{text}, {row['arm']}", row["of chance"]) for row in rows if row["part"] == part)
        elif values:
            of_many = f", mean of seeds: {len(values)}" if part == "glyphs" else ""
            yield _figure(part, text + of_many, float(np.mean(values)))


def _figure(part: str, text: str, value: float) -> dict:
    must, aim = MUST_AIM[part]
    return {"figure": text, "value": value, "interval": None, "must": must, "aim": aim}


def _ratio(mine: np.ndarray, theirs: np.ndarray) -> float:
    return float(mine.mean() / max(theirs.mean(), 1e-9))


def tell() -> None:
    """The claims, of all parts that were measured."""
    files = {part: RUNS / f"{part}.json" for part in PARTS}
    rows = [row for path in files.values() if path.exists() for row in json.loads(path.read_text())]
    missing = [part for part, path in files.items() if not path.exists()]
    claim = __doc__.splitlines()[0] + (f" Not measured yet: {', '.join(missing)}." if missing else "")
    shown = [{name: row.get(name) for name in COLUMNS} for row in rows]
    record("clip_training", claim=claim, figures=list(figures_of(rows)), rows=shown)


def main() -> None:
    """Each part once; finished ones are read from runs/."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, for each arm of the peer")
    parser.add_argument("--look", help="ARM:RATE: only train this arm of the peer, and print `val`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RUNS.mkdir(parents=True, exist_ok=True)
    if arguments.look:
        arm, rate = arguments.look.split(":")
        print(trained_peer(arm, 60 * arguments.minutes, float(rate))[1])
        return
    for part in arguments.parts.split(","):
        kept = RUNS / f"{part}.json"
        if not kept.exists():
            rows = []
            for row in PARTS[part](arguments.minutes):
                rows.append({"part": part, **row})
                print({name: value for name, value in rows[-1].items() if name != "hits"}, flush=True)
            kept.write_text(json.dumps(rows))
    tell()


if __name__ == "__main__":
    main()
