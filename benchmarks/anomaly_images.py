"""AnomalyDetector on pictures: surface defects of magnetic tiles, learnt from good tiles alone.

Command: python benchmarks/anomaly_images.py [--peer PYTHON]     Machine: 2 cores, one thread     Minutes: 20
Number to expect: NUMBERS

Protocol: the good tiles of train/ to learn from, with the defaults; test/ holds good tiles (by runs of frames apart
from those of train/) and five kinds of defects. Image AUROC of each kind against the good ones of test/, then the mean
over the five. All see the same 128 x 128 pixels. Settings were chosen on good tiles held out of train/ and two of the
kinds (blowhole, break); the mean over the other three, at which nobody had looked before, stands beside.

Baselines: nearest neighbour of raw 8 x 8 patches, mean colour, shape of the file (the kinds differ in height and width,
which stretching to a square shows to whoever looks), and nearest neighbour of patches of a pre-trained MobileNetV2.
Peer: PatchCore of anomalib on that network, from an environment of its own (--peer names its Python). With --folder a
training that is done is not done again; the minutes are then those of 60 fresh steps, times as many as there were.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from record import SHARED, record
from sklearn.metrics import roc_auc_score

from twofold import AnomalyDetector
from twofold.data.pictures import Pictures, open_pictures
from twofold.nn.borrowed import BorrowedNetwork
from twofold.nn.patches import PatchMemory, joined
from twofold.nn.pixels import from_pixels

DATA = SHARED / "images" / "magnetic-tile-224.zip"
WEIGHTS = SHARED / "images" / "weights" / "mobilenetv2_100_imagenet_fp16.safetensors"
CHOSEN_ON = ("blowhole", "break")
N_KEPT = 8000


def areas(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Image AUROC of each kind of defect against the good tiles, and means."""
    kinds = sorted(set(labels) - {"good"})
    found = {}
    for kind in kinds:
        rows = np.isin(labels, ["good", kind])
        found[kind] = float(roc_auc_score(labels[rows] == kind, scores[rows]))
    unseen = [found[kind] for kind in kinds if kind not in CHOSEN_ON]
    return found | {
        "mean of five": float(np.mean(list(found.values()))),
        "mean of three unseen": float(np.mean(unseen)),
    }


@torch.inference_mode()
def plain_neighbours(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The largest distance of a patch of the pre-trained network to the nearest of 8,000 kept ones."""
    network, generator = BorrowedNetwork.from_file(WEIGHTS), torch.Generator().manual_seed(0)

    def patches(pixel_HWC: np.ndarray) -> torch.Tensor:
        return joined(network(from_pixels(torch.from_numpy(pixel_HWC[None]))))[0]

    patch_ND = torch.cat([patches(pixel) for pixel in train])
    few_N = torch.randperm(len(patch_ND), generator=generator)[:40_000]
    memory = PatchMemory.keep(patch_ND[few_N], few_N, N_KEPT, generator)
    return np.array([float(memory.distances(patches(pixel)).max()) for pixel in test])


def patchcore(python: str, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The peer's scores, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder, "in.npz"), Path(folder, "out.npy")
        np.savez(given, train=train, test=test)
        script = Path(__file__).with_name("peer_patchcore.py")
        subprocess.run([python, str(script), str(given), str(WEIGHTS), str(answer), str(N_KEPT)], check=True)
        return np.load(answer)


def strangest_shape(train: Pictures, test: Pictures) -> np.ndarray:
    """Distance of height and width to the nearest ones of training."""
    near = np.abs(np.log(test.size_N2)[:, None] - np.log(train.size_N2)[None]).sum(2)
    return np.sort(near, 1)[:, :3].mean(1)


def ours(train: Pictures, test: Pictures, folder: Path, **settings: object) -> tuple[dict, dict[str, float]]:
    """Scores of the detector and of its baselines; CPU time, alarms."""
    detector = AnomalyDetector(**settings)
    training, times = detector.train(train, folder=folder), [time.process_time()]
    for progress in training:
        times.append(time.process_time())
        if progress.step % 500 == 0:
            print(progress.step, {k: round(v, 3) for k, v in progress.losses.items()}, flush=True)
    fitted = time.process_time()
    scores = -detector.score_samples(test)
    judged = time.process_time()
    good = test.labels == "good"
    print(detector.measures_, {k: round(v, 2) for k, v in detector.weights_.items()}, flush=True)
    n_missing = detector.n_iter_ + 1 - len(times)
    facts = {
        "CPU minutes to fit": (fitted - times[0] + (n_missing * seconds_a_step(train) if n_missing else 0)) / 60,
        "CPU ms a picture": 1000 * (judged - fitted) / len(test),
        "alarm rate on good tiles, 1 % asked": float((detector.p_values(test.take(good)) <= 0.01).mean()),
        "AUROC on self-made anomalies": detector.measures_["AUROC on self-made anomalies"],
    }  # fmt: skip
    return {"scores": scores} | detector.judge_.baselines(test, None), facts


def seconds_a_step(train: Pictures) -> float:
    """CPU seconds, over 60 steps of a fresh training."""
    training, times = AnomalyDetector(n_steps=6000).train(train), []
    for progress in training:
        times.append(time.process_time())
        if progress.step == 61:
            break
    return (times[-1] - times[0]) / 60


def main() -> None:
    """Run all, print, write the result."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--peer", help="a Python that has anomalib")
    arguments.add_argument("--folder", help="where the checkpoint lives, to go on from")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    train, test = open_pictures(DATA), open_pictures(DATA, split="test")
    small = [pictures.resized(128, channels=1, fit="stretch") for pictures in (train, test)]
    labels = np.array(test.labels, dtype=str)
    with tempfile.TemporaryDirectory() as temporary:
        # the second one finds the network of the first, trained alike, and adds the borrowed features to it
        folder = Path(options.folder or temporary)
        own, facts = ours(train, test, folder)
        borrowed, borrowed_facts = ours(train, test, folder, features=str(WEIGHTS))
    found = {
        "AnomalyDetector": own["scores"], "AnomalyDetector(features=MobileNetV2)": borrowed["scores"],
        "raw-pixel patches": own["raw-pixel patches"], "mean colour": own["mean colour"],
        "shape of the file": strangest_shape(train, test), "MobileNetV2 patches": plain_neighbours(*small),
    }  # fmt: skip
    if options.peer:
        found["PatchCore of anomalib, MobileNetV2"] = patchcore(options.peer, *small)
    rows = [
        {"method": name, **{k: round(v, 4) for k, v in areas(scores, labels).items()}} for name, scores in found.items()
    ]
    by_name = {row["method"]: row for row in rows}
    for row in rows:
        print(row)
    print(facts, borrowed_facts)
    write(by_name, facts, borrowed_facts, rows)


def write(by_name: dict, facts: dict, borrowed_facts: dict, rows: list) -> None:
    """The figures that are claimed."""
    mean, rest = ({name: row[key] for name, row in by_name.items()} for key in ("mean of five", "mean of three unseen"))
    own, borrowed = mean["AnomalyDetector"], mean["AnomalyDetector(features=MobileNetV2)"]
    peer = max(v for name, v in mean.items() if "MobileNetV2" in name and "Detector" not in name)
    record(
        "anomaly_images",
        claim="Magnetic tiles: image AUROC, mean over five kinds of defects, learnt from good tiles only. "
        "All see 128 x 128 pixels; settings were chosen on two of the kinds.",
        figures=[
            {"figure": "without weights, above raw-pixel patches", "must": ">= .05", "aim": "",
             "value": f"{own:.3f} - {mean['raw-pixel patches']:.3f} = {own - mean['raw-pixel patches']:+.3f}"},
            {"figure": "without weights, above the better pre-trained peer", "must": "", "aim": ">= 0",
             "value": f"{own:.3f} - {peer:.3f} = {own - peer:+.3f}"},
            {"figure": "with the peer's weights, above the better pre-trained peer", "must": "", "aim": ">= 0",
             "value": f"{borrowed:.3f} - {peer:.3f} = {borrowed - peer:+.3f}"},
            {"figure": "mean over the three kinds never looked at: without weights, with weights",
             "value": f"{rest['AnomalyDetector']:.3f}, {rest['AnomalyDetector(features=MobileNetV2)']:.3f}"},
            {"figure": "CPU minutes to fit, without weights", "must": "<= 10", "aim": "",
             "value": f"{facts['CPU minutes to fit']:.1f}"},
            *({"figure": name, "value": f"{facts[name]:.3g}; with weights {borrowed_facts[name]:.3g}"}
              for name in facts if name != "CPU minutes to fit"),
        ],
        rows=rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
