"""Held-out photographs (Kodak's 24) in half of JPEG's bits at the same error, after 45 minutes of training on a core.

Command: python benchmarks/compression.py RUN --train    once, 45 minutes; a training that was stopped is gone on with
         python benchmarks/compression.py RUN            9 minutes
Machine: 1 core     Number to expect: BD-rate -50.7 % against JPEG 4:2:0; WebP -36.6, AVIF -46.2 (November 2026)

Whole files count, headers and all. Peers are Pillow's codecs in the same process: JPEG with optimised Huffman tables
(the reference) and without, WebP (method 6), AVIF (its defaults: speed 6, 4:2:0). PSNR is over red, green and blue.
BD-rate: PCHIP of log rate over PSNR for each picture, then the mean over pictures. Kodak's pictures served no choice:
settings were picked on the right halves of scikit-learn's two photographs (the left ones trained) and on six others.
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from record import SHARED, record
from sklearn.datasets import load_sample_images

from twofold.data.pictures import Pictures
from twofold.errors import DataError
from twofold.measure.rates import bd_rate, pillow_curve
from twofold.methods.compressor import Compressor

MINUTES = 45
PEERS = {
    "JPEG": {"qualities": (5, 8, 12, 18, 26, 36, 48, 60, 72, 82, 90, 95)},
    "JPEG, tables as they come": {"qualities": (5, 8, 12, 18, 26, 36, 48, 60, 72, 82, 90, 95), "optimize": False},
    "WebP": {"qualities": (2, 10, 25, 40, 55, 70, 80, 88, 94, 98), "method": 6},
    "AVIF": {"qualities": (10, 20, 30, 40, 50, 60, 70, 80, 90)},
}
QUALITIES = (2, 15, 28, 41, 54, 67, 80, 93)
N_FILES, N_CHANGES = 200, 2000
# run in another process: the latents of each file, as one hash a line
READ = """
import hashlib, sys
from pathlib import Path
from twofold.methods.compressor import Compressor
compressor = Compressor.load(sys.argv[1])
for path in sorted(Path(sys.argv[2]).iterdir()):
    print(hashlib.sha256(compressor.read_latents(path.read_bytes())[0].numpy().tobytes()).hexdigest())
"""


def zipped(name: str, inside: str) -> Iterator[Image.Image]:
    """The pictures of a folder of an archive, in order of their names."""
    with zipfile.ZipFile(SHARED / "images" / f"{name}.zip") as archive:
        for entry in sorted(archive.namelist()):
            if entry.startswith(inside) and not entry.endswith("/"):
                yield Image.open(archive.open(entry)).convert("RGB")


def captioned() -> list[Image.Image]:
    column = pq.read_table(SHARED / "imagetext" / "flickr8k_1000.parquet").column("image").to_pylist()
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in column]


def shrunk(image: Image.Image, factor: float) -> np.ndarray:
    """By up to that factor, but to no less than 128 pixels on the short side."""
    factor = max(1.0, min(factor, min(image.size) / 128))
    size = round(image.width / factor), round(image.height / factor)
    return np.asarray(image if factor == 1 else image.resize(size, Image.Resampling.LANCZOS))


def training_pictures(seed: int = 0) -> Pictures:
    """Photographs shrunk by random factors, which removes the traces of their JPEGs; none of Kodak's."""
    rng = np.random.default_rng(seed)
    left = [Image.fromarray(photo[:, : photo.shape[1] // 2]) for photo in load_sample_images().images]
    sources = [
        (list(zipped("hymenoptera-224", "hymenoptera/train")), 3, 1.75),
        (captioned()[::2], 1, 1.0),
        (list(zipped("denoise-bsd", "denoise-bsd/train400"))[::2], 1, 1.4),
        (list(zipped("denoise-bsd", "denoise-bsd/bsd68")), 1, 2.0),
        (list(zipped("trashnet-208", "trashnet/train"))[::18], 1, 1.2),
        (left, 16, 2.0),
    ]
    factors = [
        (image, rng.uniform(1, most)) for images, times, most in sources for _ in range(times) for image in images
    ]
    return Pictures.of([shrunk(image, factor) for image, factor in factors], name="photographs")


def train_run(run: Path) -> None:
    """Train, or go on training, with a checkpoint in the run's folder."""
    compressor = Compressor(shrink=1.0, minutes=MINUTES)
    for progress in compressor.train(training_pictures(), folder=run / "checkpoint"):
        if progress.step % 20 == 0 or progress.measures:
            print(progress.step, round(progress.seconds), progress.losses, progress.measures, flush=True)
    compressor.save(run)
    print(compressor.measures_)


def kodak() -> list[np.ndarray]:
    """The 24 pictures, 768 x 512 or turned."""
    return [np.asarray(image) for image in zipped("kodak24", "")]


def measure_rates(compressor: Compressor, pictures: list[np.ndarray]) -> list[dict]:
    """For each picture: BD-rate of ours and of the peers against JPEG, and our CPU seconds."""
    rows = []
    for number, picture in enumerate(pictures, 1):
        curves = {name: pillow_curve(picture, name.split(",")[0], **settings) for name, settings in PEERS.items()}
        began = time.process_time()
        curves["twofold"] = compressor.curve(picture, QUALITIES)
        row = {"picture": number} | {name: round(bd_rate(curve, curves["JPEG"]), 2) for name, curve in curves.items()}
        row["twofold against WebP"] = round(bd_rate(curves["twofold"], curves["WebP"]), 2)
        row["twofold against AVIF"] = round(bd_rate(curves["twofold"], curves["AVIF"]), 2)
        row["CPU s of a file, there and back"] = round((time.process_time() - began) / len(QUALITIES), 2)
        row["twofold's curve"] = " ".join(f"{rate:.3f}:{error:.2f}" for rate, error in curves["twofold"])
        rows.append(row)
        print(row, flush=True)
    return rows


def opening_seconds(compressor: Compressor, picture: np.ndarray) -> float:
    """CPU seconds to open a file, the median of five."""
    file, seconds = compressor.compress(picture, 50), []
    for _ in range(5):
        began = time.process_time()
        compressor.decompress(file)
        seconds.append(time.process_time() - began)
    return round(float(np.median(seconds)), 2)


def hashed(compressor: Compressor, files: list[bytes]) -> list[str]:
    return [hashlib.sha256(compressor.read_latents(file)[0].numpy().tobytes()).hexdigest() for file in files]


def same_everywhere(compressor: Compressor, run: Path, pictures: list[np.ndarray]) -> int:
    """How many of the files give the same latents on 1 and 2 threads, loaded anew, and in another process."""
    rng, files = np.random.default_rng(0), []
    for number in range(N_FILES):
        picture, (height, width) = pictures[number % len(pictures)], rng.integers(1, 120, 2)
        files.append(compressor.compress(picture[:height, :width].copy(), float(rng.uniform(0, 100))))
    found = [hashed(compressor, files), hashed(Compressor.load(run), files)]
    torch.set_num_threads(2)
    found.append(hashed(compressor, files))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            (Path(folder) / f"{number:03}.tfz").write_bytes(file)
        done = subprocess.run([sys.executable, "-c", READ, run, folder], capture_output=True, text=True, check=True)
    found.append(done.stdout.split())
    return sum(len(set(hashes)) == 1 for hashes in zip(*found, strict=True))


def changes_noticed(compressor: Compressor, picture: np.ndarray) -> int:
    """How many changed bytes of a file are noticed."""
    file, rng, n_noticed = compressor.compress(picture, 30), np.random.default_rng(0), 0
    for _ in range(N_CHANGES):
        changed = bytearray(file)
        changed[rng.integers(len(file))] ^= int(rng.integers(1, 256))
        try:
            compressor.decompress(bytes(changed))
        except DataError:
            n_noticed += 1
    return n_noticed


def figures(rows: list[dict], compressor: Compressor, run: Path, pictures: list[np.ndarray]) -> list[dict]:
    mean = {
        name: round(float(np.mean([row[name] for row in rows])), 2) for name in rows[0] if name.startswith("twofold a")
    }
    mean |= {name: round(float(np.mean([row[name] for row in rows])), 2) for name in (*PEERS, "twofold")}
    same, noticed = same_everywhere(compressor, run, pictures), changes_noticed(compressor, pictures[0])
    against = "BD-rate against JPEG 4:2:0, %"
    return [
        {"figure": f"{against}: twofold", "value": mean["twofold"], "must": "<= -15", "aim": "<= -45"},
        {"figure": f"{against}: WebP, method 6", "value": mean["WebP"]},
        {"figure": f"{against}: AVIF", "value": mean["AVIF"]},
        {"figure": f"{against}: JPEG, tables not optimised", "value": mean["JPEG, tables as they come"]},
        {"figure": "BD-rate against WebP, %", "value": mean["twofold against WebP"], "aim": "< 0"},
        {"figure": "BD-rate against AVIF, %", "value": mean["twofold against AVIF"]},
        {"figure": "opening 768 x 512, CPU s", "value": opening_seconds(compressor, pictures[0]), "must": "<= 1"},
        {"figure": "files of the same latents: 1 and 2 threads, loaded anew, another process",
         "value": f"{same} of {N_FILES}", "must": f"{N_FILES} of {N_FILES}"},
        {"figure": "changed bytes noticed", "value": f"{noticed} of {N_CHANGES}",
         "must": f"{N_CHANGES} of {N_CHANGES}"},
    ]  # fmt: skip


def main() -> None:
    """Train, or measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--train", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.train:
        return train_run(arguments.run)
    compressor, pictures = Compressor.load(arguments.run), kodak()
    rows = measure_rates(compressor, pictures)
    claim = __doc__.split("\n")[0]
    record("compression", claim=claim, figures=figures(rows, compressor, arguments.run, pictures), rows=rows)


if __name__ == "__main__":
    main()
