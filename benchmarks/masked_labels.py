"""What learning without labels is worth with few labels: glyphs with five a letter, CIFAR-10 with 1,000.

Command: python benchmarks/masked_labels.py     Machine: 2 cores, one thread     Minutes: 15
(first python benchmarks/selfsupervised_cifar.py --only ours, whose run it takes for CIFAR-10)
Numbers to expect: docs/masked.md

Glyphs: 26 letters in all faces and with all accents, 3,000 held out to test; the body learns from 12,000 other glyphs,
letters among them, without labels; then five labels a letter. CIFAR-10: 1,000 labelled pictures of the training part,
2,000 test pictures. From scratch: the same transformer with a linear head, trained on the labelled pictures alone, its
number of epochs the better of two on seed 100; windows and (CIFAR-10) mirror images, as in the other trainings.
Frozen and fine-tuned: TransferClassifier on the run. Beside both: the same classifier's ridge on raw pixels.
Then 20 fits on 20 small sets: which end in features of hardly any directions, and whether the fit says so.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from record import HERE, SHARED, record
from torch import nn
from torch.nn import functional

from twofold.data.pictures import Pictures, open_pictures
from twofold.measure.probe import effective_rank
from twofold.methods.masked import MaskedAutoencoder
from twofold.methods.transfer import TransferClassifier
from twofold.nn.pixels import from_pixels
from twofold.nn.sparse_vit import SparseViT
from twofold.nn.view_encoder import parts_of
from twofold.nn.views import N_CHANCES, changed

RUNS = HERE.parent / "runs"
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
CHOICES = ((60, 1e-3), (120, 1e-3))  # epochs and rate
SEEDS = (0, 1)


def glyphs() -> tuple[Pictures, Pictures, Pictures, np.ndarray, np.ndarray]:
    """To learn from without labels; to label; to test; and the latter two's letters."""
    every = open_pictures("sample:glyphs-all")
    letter_N = np.array(every.table["letter"].to_pylist(), object)
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.flatnonzero(np.isin(letter_N, LETTERS)))
    test, rest = rows[:3000], rows[3000:]
    train = rng.permutation(np.setdiff1d(np.arange(len(every)), test))[:12_000]
    return every.take(train), every.take(rest), every.take(test), letter_N[rest], letter_N[test]


def cifar() -> tuple[Pictures, Pictures, np.ndarray, np.ndarray]:
    """To label; to test; and their classes."""
    train, test = (
        open_pictures(SHARED / "images" / "cifar10" / f"{split}.parquet", label="label") for split in ("train", "test")
    )
    few = np.random.default_rng(0).permutation(len(test))[:2000]
    return train, test.take(few), train.labels, test.labels[few]


def drawn(label_N: np.ndarray, n_each: int, seed: int) -> np.ndarray:
    """Rows with that many of each class."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(label_N == c))[:n_each] for c in np.unique(label_N)])


def from_scratch(
    pixel_NSSC: np.ndarray, label_N: np.ndarray, test_MSSC: np.ndarray, like: SparseViT, choice: tuple[int, float],
    *, is_mirrored: bool, seed: int,
) -> np.ndarray:  # fmt: skip
    """What the same transformer says that only ever saw the labelled pictures."""
    torch.manual_seed(seed)
    n_epochs, rate = choice
    vit = SparseViT(like.size, like.channels, like.patch, like.n_features, len(like.blocks))
    network = nn.Sequential(vit, nn.Linear(vit.n_features, label_N.max() + 1))
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.05, fused=True)
    pixels, labels = torch.from_numpy(pixel_NSSC), torch.from_numpy(label_N)
    n_steps = max(1, n_epochs * len(pixels) // 64)
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20) * 0.5 * (1 + np.cos(np.pi * step / n_steps))
        rows = torch.randint(0, len(pixels), (64,))
        view = changed(pixels[rows], torch.rand(64, N_CHANCES), jitters=0.0, is_mirrored=is_mirrored)
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.cross_entropy(network(view).float(), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        return parts_of(network.eval(), from_pixels(torch.from_numpy(test_MSSC))).argmax(1).numpy()


def beside(
    name: str, run: Path, pools: tuple[Pictures, Pictures, np.ndarray, np.ndarray], n_each: int, *, is_mirrored: bool
) -> list[dict[str, float | str]]:
    """Accuracies of each way, seed by seed."""
    pool, test, label_N, truth_M = pools
    vit = MaskedAutoencoder.load(run).network_.encoder.vit
    classes, truth = np.unique(truth_M, return_inverse=True)
    test_MSSC = test.resized(vit.size, channels=vit.channels)

    def scratch(choice: tuple[int, float], seed: int) -> float:
        rows = drawn(label_N, n_each, seed)
        pixel_NSSC = pool.take(rows).resized(vit.size, channels=vit.channels)
        number_N = np.searchsorted(classes, label_N[rows])
        said = from_scratch(pixel_NSSC, number_N, test_MSSC, vit, choice, is_mirrored=is_mirrored, seed=seed)
        return float((said == truth).mean())

    choice = CHOICES[0] if len(CHOICES) == 1 else max(CHOICES, key=lambda choice: scratch(choice, 100))
    found = []
    for seed in SEEDS:
        rows = drawn(label_N, n_each, seed)
        row = {"set": name, "seed": seed, "from scratch": scratch(choice, seed), "epochs": choice[0], "rate": choice[1]}
        for mode in ("frozen", "finetune"):
            began = time.process_time()
            model = TransferClassifier(
                str(run), mode=mode, is_mirrored=is_mirrored, seed=seed, n_threads=1,
            ).fit(pool.take(rows), label_N[rows])  # fmt: skip
            accuracy = model.evaluate(test, truth_M)[0]
            row |= {mode: accuracy.value, f"{mode} s": round(time.process_time() - began, 1)}
        row["raw pixels"] = dict(accuracy.baselines)["ridge on raw pixels"]
        print(row, flush=True)
        found.append(row)
    return found


def collapses() -> tuple[int, int]:
    """Of 20 fits on small sets: how many collapsed, and how many of these without saying so."""
    n_collapsed = n_silent = 0
    for number in range(20):
        rng = np.random.default_rng(number)
        n, kind = int(rng.integers(40, 160)), number % 5
        noise = rng.integers(0, 256, (n, 24, 24, 3)).astype(np.uint8)
        flat = np.full((n, 24, 24, 3), rng.integers(0, 256), np.uint8)
        real = open_pictures("sample:glyphs").take(rng.permutation(5000)[:n]).resized(24, channels=3)
        pictures = (real, noise, flat, noise // 255 * 255, np.where(rng.random((n, 1, 1, 1)) < 0.5, flat, 255 - flat))[
            kind
        ]
        masked = MaskedAutoencoder(
            n_steps=60, batch_size=32, n_threads=1, seed=number, learning_rate=10.0 ** rng.uniform(-4, -1.5)
        )
        notes = [progress.note for progress in masked.train(pictures)]
        vit = masked.network_.encoder.vit
        mean_ND = parts_of(vit, from_pixels(torch.from_numpy(pictures))).numpy()
        if effective_rank(mean_ND) <= 2:
            n_collapsed += 1
            n_silent += not any("collapsed" in note for note in notes)
    return n_collapsed, n_silent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=600)
    n_steps = parser.parse_args().steps
    torch.set_num_threads(1)
    train, *pools = glyphs()
    body = RUNS / "masked_glyphs"
    if not (body / "config.json").exists():
        MaskedAutoencoder(n_steps=n_steps, n_threads=1).fit(train).save(body)
    rows = beside("glyphs, 5 a letter", body, tuple(pools), 5, is_mirrored=False)
    rows += beside("CIFAR-10, 100 a class", RUNS / "selfsupervised" / "run", cifar(), 100, is_mirrored=True)
    n_collapsed, n_silent = collapses()

    def gain(name: str, way: str) -> float:
        return round(100 * float(np.mean([row[way] - row["from scratch"] for row in rows if row["set"] == name])), 1)

    letters, photos = (row["set"] for row in rows[:: len(SEEDS)])
    asked = ((letters, "frozen", 10, 20), (letters, "finetune", 10, 20), (photos, "finetune", 5, 10))
    record(
        "masked_labels",
        claim="A body that taught itself, and few labels, against the same network from scratch",
        figures=[
            *({"figure": f"{name}: points above scratch, {way}", "value": gain(name, way), "must": must, "aim": aim}
              for name, way, must, aim in asked),
            {"figure": f"of 20 fits on 20 small sets, {n_collapsed} collapsed; without saying so", "value": n_silent,
             "must": 0},
        ],
        rows=rows,
    )  # fmt: skip
    (RUNS / "masked_labels.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
