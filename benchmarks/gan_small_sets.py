"""Thirty small sets with all defaults: nothing non-finite, no collapse unreported, and how often alarms are right.

Command: python benchmarks/gan_small_sets.py     Machine: 2 cores, one thread     Minutes: 15
Numbers to expect: docs/gan.md

Tables (12): rows drawn from scikit-learn's wine, breast-cancer and diabetes, 40 to 170 of them, plain, of two values,
with gaps. Pictures (12): digits of 16 x 16, 60 to 400, plain, of one class, one picture over and over, two pictures,
flat, noise, colour. Texts (6): words of Python's help pages, one word over and over, two words, random letters. Then
three of them again with a learning rate a hundred times too large. The truth is asked of another measure than the
alarm's: what is made has collapsed where fewer than a fifth of 100 real items have a made one of 100 within the reach
of their fifth neighbour, and fewer than half as many as by real items drawn again. An alarm is right when it is there
just where that is so. A set of one item over and over has no variety to lose.
"""

import json

import numpy as np
import torch
from record import HERE, record
from sklearn import datasets

from twofold import GAN
from twofold.core.generation import PictureJudge
from twofold.data.text import read_text
from twofold.errors import DivergedError
from twofold.measure.generation import likeness

RUNS = HERE.parent / "runs"
N_COMPARED = 100
COLLAPSED, OF_REAL = 0.2, 0.5


def tables(rng: np.random.Generator) -> dict:
    """Rows, (N, P)."""
    found = {}
    for name in ("wine", "breast_cancer", "diabetes"):
        X = getattr(datasets, f"load_{name}")().data
        rows = X[rng.permutation(len(X))]
        gaps = np.where(rng.random(rows[:150].shape) < 0.2, np.nan, rows[:150])
        found |= {f"{name} {n}": rows[:n] for n in (40, 170)}
        found |= {f"{name} with gaps": gaps, f"{name} in two values": (rows[:150] > np.median(rows, 0)).astype(float)}
    return found


def pictures(rng: np.random.Generator) -> dict:
    """uint8 (N, 16, 16, C)."""
    told = datasets.load_digits()
    order = rng.permutation(len(told.images))
    digit_NSS1 = np.kron(np.rint(told.images * 255 / 16), np.ones((1, 2, 2))).astype(np.uint8)[order][..., None]
    found = {f"digits {n}": digit_NSS1[:n] for n in (60, 120, 200, 400)}
    found |= {f"digit {k}": digit_NSS1[told.target[order] == k] for k in (0, 8)}
    found["one picture"] = np.repeat(digit_NSS1[:1], 80, 0)
    found["two pictures"] = np.tile(digit_NSS1[:2], (40, 1, 1, 1))
    found["flat grey"] = np.full((60, 16, 16, 1), 128, np.uint8)
    found["noise"] = rng.integers(0, 256, (120, 16, 16, 1), np.uint8)
    found["coloured"] = (digit_NSS1[:200] * rng.uniform(0.3, 1, (200, 1, 1, 3))).astype(np.uint8)
    found["black or white"] = np.where(digit_NSS1[:200] > 127, 255, 0).astype(np.uint8)
    return found


def texts(rng: np.random.Generator) -> dict:
    """Lists of words."""
    words = sorted({word for word in read_text("sample:topics").split() if word.isalpha() and len(word) > 3})
    found = {f"words {n}": [words[i] for i in rng.permutation(len(words))[:n]] for n in (50, 200, 600)}
    found |= {"one word": ["parrot"] * 80, "two words": ["parrot", "spam"] * 40}
    found["random letters"] = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(200)]
    return found


def points(kind: str, real, made, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Real and made items as points, not by what the alarms go by."""
    if kind == "pictures":
        judge = PictureJudge.learn(real, None, seed)
        return judge.features(real), judge.features(made)
    if kind == "texts":
        both = [*real, *made]
        grams = sorted({text[i : i + 2] for text in real for i in range(len(text))})
        count_NG = np.array([[text.count(gram) for gram in grams] for text in both], float)
        return count_NG[: len(real)], count_NG[len(real) :]
    spread_P = np.nanstd(real, 0) + 1e-9
    return tuple(np.nan_to_num((np.asarray(x, float) - np.nanmean(real, 0)) / spread_P, nan=-3.0) for x in (real, made))


def has_collapsed(real_ND: np.ndarray, made_MD: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether made items cover fewer than a fifth of real ones, and half of what real ones cover."""
    if not np.ptp(real_ND, axis=0).any():
        return False
    order = rng.permutation(len(real_ND))
    one, other = real_ND[order[: len(order) // 2]][:N_COMPARED], real_ND[order[len(order) // 2 :]][:N_COMPARED]
    of_made, of_real = (likeness(one, x[:N_COMPARED]).measures()["coverage"][0] for x in (made_MD, other))
    return bool(of_made < min(COLLAPSED, OF_REAL * of_real))


def one(name: str, kind: str, X, **settings) -> dict:
    """A fit, what it says of itself, and the truth."""
    rng = np.random.default_rng(1)
    try:
        gan = GAN(n_threads=1, **settings).fit(X)
    except DivergedError as error:
        return {"set": name, "kind": kind, "alarm": str(error)[:80], "collapsed": True, "finite": True}
    made = gan.sample(200, seed=3)
    real_ND, made_ND = points(kind, X, made, 0)
    is_finite = all(bool(torch.isfinite(value).all()) for value in gan.network_.state_dict().values())
    return {
        "set": name, "kind": kind, "alarm": "; ".join(gan.alarms_), "collapsed": has_collapsed(real_ND, made_ND, rng),
        "finite": is_finite, "coverage it states": gan.measures_["coverage"], "steps": gan.n_iter_,
    }  # fmt: skip


def main() -> None:
    """All sets; finished ones are read from runs/."""
    torch.set_num_threads(1)
    RUNS.mkdir(exist_ok=True)
    kept = RUNS / "gan_small_sets.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    rng = np.random.default_rng(0)
    kinds = {"rows": tables(rng), "pictures": pictures(rng), "texts": texts(rng)}
    sets = [(kind, name, X, {}) for kind, made in kinds.items() for name, X in made.items()]
    sets += [(kind, f"{name}, rate x 100", X, {"learning_rate": 0.1}) for kind, name, X, _ in sets
             if name in ("wine 170", "digits 200", "words 200")]  # fmt: skip
    for kind, name, X, settings in sets:
        if any(row["set"] == name for row in rows):
            continue
        rows.append(one(name, kind, X, **settings))
        with kept.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], flush=True)
    tell(rows)


def tell(rows: list[dict]) -> None:
    """The claims."""
    is_told = np.array([any(sign in row["alarm"] for sign in ("little variety", "not finite")) for row in rows])
    has_collapsed_N = np.array([row["collapsed"] for row in rows])
    figures = {
        "non-finite": (sum(not row["finite"] for row in rows), 0, 0),
        "collapses unreported": (int((has_collapsed_N & ~is_told).sum()), 0, 0),
        "collapses": (int(has_collapsed_N.sum()), None, None),
        "alarms of variety that are right, %": (100 * float((has_collapsed_N == is_told).mean()), None, 95.0),
    }
    told = [{"figure": name, "value": value, "must": must, "aim": aim} for name, (value, must, aim) in figures.items()]
    record("gan_small_sets", claim=__doc__.splitlines()[0], figures=told, rows=rows)


if __name__ == "__main__":
    main()
