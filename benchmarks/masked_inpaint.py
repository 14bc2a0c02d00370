"""Painting what is hidden, learnt without labels, beside OpenCV's Telea inpainting; and what hiding saves.

Command: python benchmarks/masked_inpaint.py     Machine: 2 cores, one thread     Minutes: 6
Needs opencv-python-headless beside the `bench` group.
Numbers to expect: docs/masked.md

Fashion-MNIST (28 x 28; learnt from 55,000 of the training pictures) and faces (UTKFace, 64 x 64; learnt from all but
400), pixels only. Of 200 pictures that were held out, 60 % of the patches are hidden, the same ones for all; PSNR of
the hidden pixels, mean over pictures. Then processor seconds of a step with 75 % hidden and of one with nothing hidden,
same network and batch, in turns.
"""

import argparse
import time

import cv2
import numpy as np
import torch
from record import SHARED, record

from twofold.core.painting import random_mask
from twofold.data.pictures import open_pictures
from twofold.measure.noise import psnr
from twofold.methods.masked import MaskedAutoencoder, MaskedLearner, MaskedNetwork
from twofold.nn.sparse_vit import SparseViT
from twofold.nn.view_encoder import ViewEncoder

IMAGES = SHARED / "images"
SETS = {
    "fashion": (IMAGES / "fashion-mnist" / "train-images-idx3-ubyte.gz", 28, 5000, 1000),
    "faces": (IMAGES / "utkfaces-64.parquet", 64, 400, 800),
}
RATIO, N_MEASURED = 0.6, 200


def telea(picture_HWC: np.ndarray, hidden_HW: np.ndarray) -> np.ndarray:
    """OpenCV's, with the radius of its own example."""
    picture = picture_HWC[..., 0] if picture_HWC.shape[2] == 1 else picture_HWC
    return cv2.inpaint(picture, hidden_HW.astype(np.uint8) * 255, 3, cv2.INPAINT_TELEA).reshape(picture_HWC.shape)


def painted(name: str) -> dict[str, float | str]:
    """PSNR of the hidden pixels."""
    path, size, n_held, n_steps = SETS[name]
    pixel_NSSC = open_pictures(path).resized(size)
    began = time.process_time()
    masked = MaskedAutoencoder(invariance=0, n_steps=n_steps, n_threads=1).fit(pixel_NSSC[:-n_held])
    seconds = time.process_time() - began
    vit = masked.network_.encoder.vit
    ours, theirs = [], []
    for i, picture in enumerate(pixel_NSSC[-N_MEASURED:]):
        hidden = random_mask(picture.shape[:2], RATIO, vit.size // vit.patch, np.random.default_rng([1, i]))
        ours.append(psnr(masked.inpaint(picture, hidden)[hidden], picture[hidden]))
        theirs.append(psnr(telea(picture, hidden)[hidden], picture[hidden]))
    row = {"set": name, "ours": np.mean(ours), "telea": np.mean(theirs), "steps": n_steps, "CPU s": seconds}
    print(row, flush=True)
    return {key: value if isinstance(value, str) else round(float(value), 2) for key, value in row.items()}


def step_ratio(dim: int, depth: int, *, is_half: bool, n_rounds: int = 7) -> float:
    """Processor seconds of a step with nothing hidden over one with 75 % hidden, median of rounds in turns."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (128, 32, 32, 3), dtype=torch.uint8)
    learners = []
    for hidden in (0.0, 0.75):
        network = MaskedNetwork(ViewEncoder(SparseViT(32, 3, 4, dim, depth), None, dim))
        learner = MaskedLearner(network, hidden, 0.0, is_mirrored=True, is_half=is_half)
        learner.optimizers = learner.configure()
        learner.step(pixels)
        learners.append(learner)
    ratios = []
    for _ in range(n_rounds):
        spent = []
        for learner in learners:
            began = time.process_time()
            learner.step(pixels)
            spent.append(time.process_time() - began)
        ratios.append(spent[0] / spent[1])
    return float(np.median(ratios))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS))
    torch.set_num_threads(1)
    rows = [painted(name) for name in parser.parse_args().sets]
    ratios = [
        {"network": f"{dim} x {depth}", "precision": "bfloat16" if is_half else "float32",
         "times quicker": round(step_ratio(dim, depth, is_half=is_half), 2)}
        for dim, depth in ((128, 4), (192, 6)) for is_half in (True, False)
    ]  # fmt: skip
    gains = {row["set"]: round(row["ours"] - row["telea"], 2) for row in rows}
    record(
        "masked_inpaint",
        claim="Painting 60 % hidden patches of held-out pictures, after minutes of learning on one thread",
        figures=[
            *({"figure": f"dB above OpenCV's Telea, {name}", "value": gain, "must": 2, "aim": 4}
              for name, gain in gains.items()),
            *({"figure": f"masked step against the full one, {row['network']}, {row['precision']}, times quicker",
               "value": row["times quicker"], "must": 2.5, "aim": 3.2} for row in ratios),
        ],
        rows=rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
