"""Made pictures: our game against the classic one with the same networks, after the CPU seconds in the table.

Command: python benchmarks/gan_pictures.py [--seconds 600]     Machine: 2 cores, one thread     Minutes: 130
Numbers to expect: docs/gan.md

Digits (scikit-learn's 8 x 8, enlarged to 16), fashion-MNIST (10,000 of its training pictures, at 32), sample:glyphs (at
32) and TrashNet's photographs of waste (at 128: ours in a latent, the peer in pixels). The peer is the DCGAN of Radford
et al. with its own settings: batch normalisation in both networks, rate 2e-4, momentum .5, first weights of spread .02,
no average of the weights; it is `GAN(loss="dcgan")`, so that widths and the processor time are the same. Both get as
many updates as fit into the processor time, by a probe of 140. A third run is told the labels, where classes are large
enough. The judge is a CNN trained on the training pictures' labels; the distance is taken to pictures that neither saw,
as is coverage; floor: training pictures in place of made ones.
"""

import argparse
import json
import time

import numpy as np
import torch
from record import HERE, SHARED, record
from sklearn.datasets import load_digits
from torch.nn import functional

from twofold import GAN
from twofold.core.generation import PictureJudge
from twofold.data.pictures import Pictures, open_pictures
from twofold.measure.generation import copy_ratio, frechet, likeness

RUNS = HERE.parent / "runs"
PROBES = (20, 140)  # updates
N_MADE = 2000
ARMS = {
    "ours": {"conditional": False},
    "dcgan": {"conditional": False, "loss": "dcgan", "precision": "float32"},
    "ours, told labels": {"conditional": None},
}


def digits() -> Pictures:
    """16 x 16."""
    told = load_digits()
    image_N1SS = torch.from_numpy(told.images)[:, None] * 255 / 16
    pixel_N1SS = functional.interpolate(image_N1SS, size=16, mode="bilinear").round().byte()
    return Pictures.of(pixel_N1SS.movedim(1, -1).numpy(), labels=[str(label) for label in told.target])


def fashion() -> Pictures:
    """14,000 of the training pictures."""
    every = open_pictures(SHARED / "images" / "fashion-mnist" / "train-images-idx3-ubyte.gz", split="all")
    return every.take(np.random.default_rng(0).permutation(len(every))[:14_000])


def waste() -> Pictures:
    """2,524 photographs of six kinds."""
    return open_pictures(SHARED / "images" / "trashnet-208.zip", split="all")


DATA = {"digits": digits, "fashion": fashion, "glyphs": lambda: open_pictures("sample:glyphs"), "waste": waste}
LARGER = {"waste": {"size": 128}}


def split(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """To learn from, and a third, 4,000 at most, to judge by."""
    order = np.random.default_rng(1).permutation(len(pictures))
    n_test = min(len(order) // 3, 4000)
    return pictures.take(order[n_test:]), pictures.take(order[:n_test])


def trained(train: Pictures, settings: dict, seconds: float) -> tuple[GAN, float]:
    """The fitted GAN, and the processor time of its training."""
    _seconds(train, PROBES[0], settings)  # what is done but once in a process
    # both are measured 20 times on the way: what is left is the steps' own
    short, long = (_seconds(train, n_steps, settings) for n_steps in PROBES)
    each = (long - short) / (PROBES[1] - PROBES[0])
    gan = GAN(n_steps=int(seconds / each), n_threads=1, **settings)
    began = time.process_time()
    gan.fit(train)
    return gan, time.process_time() - began


def _seconds(train: Pictures, n_steps: int, settings: dict) -> float:
    began = time.process_time()
    GAN(n_steps=n_steps, n_threads=1, **settings).fit(train)
    return time.process_time() - began


def judged(judge: PictureJudge, gan: GAN, train: Pictures, test: Pictures) -> dict:
    """Distance, coverage and the rest of pictures made by the GAN."""
    size = gan.form_.size
    made, real, known = gan.sample(N_MADE, seed=7), test.resized(size)[:N_MADE], train.resized(size)
    made_ND, real_ND, known_ND = (judge.features(x) for x in (made, real, known))
    floor = np.random.default_rng(2).permutation(len(known_ND))[: len(real_ND)]
    classes, n = np.unique(judge.recognised(made_ND), return_counts=True)
    return {
        "distance": frechet(real_ND, made_ND), "floor": frechet(real_ND, known_ND[floor]),
        "coverage": likeness(real_ND, made_ND[: len(real_ND)]).measures()["coverage"][0],
        "copy ratio": copy_ratio(known_ND, real_ND, made_ND), "classes": len(classes),
        "of classes": len(set(judge.recognised(real_ND))), "rarest made, of 2000": int(n.min()),
        "steps": gan.n_iter_, "alarms": "; ".join(gan.alarms_),
    }  # fmt: skip


def main() -> None:
    """Each set and arm once; finished ones are read from runs/."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--sets", default=",".join(DATA))
    parser.add_argument("--arms", default=",".join(ARMS))
    seconds, names = (arguments := parser.parse_args()).seconds, arguments.sets.split(",")
    torch.set_num_threads(1)
    RUNS.mkdir(exist_ok=True)
    kept = RUNS / f"gan_pictures_{seconds:g}.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for name in names:
        train, test = split(DATA[name]())
        judge = None
        for arm, settings in [(arm, ARMS[arm] | LARGER.get(name, {})) for arm in arguments.arms.split(",")]:
            if any((row["set"], row["arm"]) == (name, arm) for row in rows) or (name, arm) == (
                "glyphs",
                "ours, told labels",
            ):
                continue
            gan, used = trained(train, settings, seconds)
            judge = judge or PictureJudge.learn(train.resized(gan.form_.size), train.labels, 0)
            rows.append({"set": name, "arm": arm, "CPU s": used, **judged(judge, gan, train, test)})
            with kept.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
    # another process may have added some
    tell([json.loads(line) for line in kept.read_text().splitlines()])


def tell(rows: list[dict]) -> None:
    """The claims."""
    of = {(row["set"], row["arm"]): row for row in rows}
    pairs = [(of[name, "ours"], of[name, "dcgan"]) for name in DATA if {(name, "ours"), (name, "dcgan")} <= of.keys()]
    figures = [
        {"figure": f"{ours['set']}: distance, of the classic game's", "value": ours["distance"] / classic["distance"],
         "must": 1.0, "aim": 0.5} for ours, classic in pairs
    ] + [
        {"figure": f"{ours['set']}: coverage", "value": ours["coverage"], "must": 0.7, "aim": 0.85} for ours, _ in pairs
    ] + [
        {"figure": f"{ours['set']}: classes made, of {ours['of classes']}", "value": ours["classes"],
         "must": ours["of classes"], "aim": None} for ours, _ in pairs
    ]  # fmt: skip
    missing = [name for name in DATA if {(name, "ours"), (name, "dcgan")} - of.keys()]
    claim = __doc__.splitlines()[0] + (f" Not measured yet: {', '.join(missing)}." if missing else "")
    record("gan_pictures", claim=claim, figures=figures, rows=rows)


if __name__ == "__main__":
    main()
