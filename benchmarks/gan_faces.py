"""Faces made after an hour: our game beside the classic one, and beside real faces.

Command: python benchmarks/gan_faces.py [--seconds 3600]     Machine: 2 cores, one thread     Minutes: 125
Numbers to expect: docs/gan.md

Data: ../shared/data/images/utkfaces-64.parquet at 32 pixels; a third, 2,824 faces, is held out to judge by. Both games
are those of gan_pictures.py, without labels, for the same processor time. The judge is a CNN taught sex and age group
(under 18, 35, 60, over) by the faces that were learned from; floor: those faces in place of made ones. Models are kept
under runs/, and the sheet is drawn: real faces never seen, ours, the classic game's, 6 x 8 each.
"""

import argparse
import json

import numpy as np
import torch
from gan_pictures import ARMS, RUNS, judged, split, trained
from PIL import Image
from record import HERE, SHARED, record

from twofold import load
from twofold.core.generation import PictureJudge
from twofold.data.pictures import Pictures, open_pictures

AGES = (18, 35, 60)
SIZE, ROWS, COLUMNS, GAP = 32, 8, 6, 16
GROWN = 3  # times, of the sheet


def faces() -> Pictures:
    """At 32 pixels, labelled by sex and age group."""
    path = SHARED / "images" / "utkfaces-64.parquet"
    sex = open_pictures(path, label="gender", split="all")
    group_N = np.digitize(np.array(open_pictures(path, label="age", split="all").labels, int), AGES)
    labels = [f"{one}, {group}" for one, group in zip(sex.labels, group_N, strict=True)]
    return Pictures.of(sex.resized(SIZE), labels=labels)


def sheet(*sides: np.ndarray) -> Image.Image:
    """Pictures (N, S, S, 3) of each side in a block of their own."""
    blocks = []
    for pixel_NSSC in sides:
        pixel_RCSSC = pixel_NSSC[: ROWS * COLUMNS].reshape(ROWS, COLUMNS, *pixel_NSSC.shape[1:])
        blocks += [np.concatenate([np.concatenate(row_CSSC, 1) for row_CSSC in pixel_RCSSC]),
                   np.full((ROWS * SIZE, GAP, 3), 255, np.uint8)]  # fmt: skip
    drawn = Image.fromarray(np.concatenate(blocks[:-1], 1))
    return drawn.resize((drawn.width * GROWN, drawn.height * GROWN), Image.Resampling.NEAREST)


def main() -> None:
    """Each arm once; finished ones are read from runs/."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--arms", default="ours,dcgan")
    seconds, arms = (arguments := parser.parse_args()).seconds, arguments.arms.split(",")
    torch.set_num_threads(1)
    train, test = split(faces())
    judge = PictureJudge.learn(train.resized(SIZE), train.labels, 0)
    for arm in arms:
        folder = RUNS / f"gan_faces_{arm}_{seconds:g}"
        if not (kept := folder / "row.json").exists():
            gan, used = trained(train, ARMS[arm], seconds)
            gan.save(folder)
            kept.write_text(json.dumps({"arm": arm, "CPU s": used, **judged(judge, gan, train, test)}))
        print(kept.read_text(), flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(RUNS.glob(f"gan_faces_*_{seconds:g}/row.json"))]
    of = {row["arm"]: row for row in rows}
    if {"ours", "dcgan"} <= of.keys():
        tell(of, rows)
        made = [load(RUNS / f"gan_faces_{arm}_{seconds:g}").sample(ROWS * COLUMNS, seed=1) for arm in ("ours", "dcgan")]
        sheet(test.resized(SIZE), *made).save(HERE.parent / "docs" / "faces.png")


def tell(of: dict[str, dict], rows: list[dict]) -> None:
    """The claims."""
    figures = [
        {"figure": "distance, of the classic game's", "value": of["ours"]["distance"] / of["dcgan"]["distance"],
         "must": 1.0, "aim": 0.5},
        {"figure": "coverage of faces never seen", "value": of["ours"]["coverage"], "must": 0.7, "aim": 0.85},
    ]  # fmt: skip
    record("gan_faces", claim=__doc__.splitlines()[0], figures=figures, rows=rows)


if __name__ == "__main__":
    main()
