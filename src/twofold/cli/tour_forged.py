"""The tour's chapters on forger and detective, and on the judge: digits that nobody wrote, patients that nobody saw."""

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from twofold.cli.pictures import columns_beside, digits_of
from twofold.cli.report import Chapter, figure_html, rows_html
from twofold.data.pictures import Pictures
from twofold.data.samples import load_pictures, load_sample
from twofold.data.tables import split_label
from twofold.measure.report import Measure
from twofold.methods.gan import GAN
from twofold.turing.judge import Judgement, judge

__all__ = ["forged_chapters"]

N_SHOWN = 12
N_FORGED_FROM = 1300  # digits; the judge sees the others
SIDE, QUALITY = 32, 85


def forged_chapters(seed: int) -> Iterator[Chapter]:
    """GAN; then real or fake, on what it made."""
    digits = _digits()
    order = np.random.default_rng(seed).permutation(len(digits))
    known, unseen = digits.take(np.sort(order[:N_FORGED_FROM])), digits.take(np.sort(order[N_FORGED_FROM:]))
    forger = GAN(n_steps=300, size=16, seed=seed).fit(known)
    yield _game(forger, known, seed)
    yield _trial(forger, unseen, seed)


def _game(forger: GAN, digits: Pictures, seed: int) -> Chapter:
    """Rows of a table that trees can hardly tell from real ones, and digits by class."""
    table = load_sample("breast-cancer")
    of_rows = GAN(n_steps=100, seed=seed).fit(table)
    apart = next(measure for measure in of_rows.evaluate(table) if measure.name.startswith("two-sample AUC"))
    beside = sorted(apart.baselines, key=lambda pair: pair[0] != "independent columns")
    made = of_rows.sample(300, seed=seed)
    real = table.take(np.random.default_rng(seed).permutation(len(table))[:300])
    return Chapter(
        "GAN: forger and detective",
        "A generator makes items from noise, a discriminator tells them from real ones; each makes the other better. "
        "Rows of patients are judged by trees that learn to tell held-out real rows from made ones: .5 is a coin.",
        f"569 tumours as rows; {len(digits):,} digits as pictures",
        replace(apart, baselines=tuple(beside)),
        [
            (rows_html(_by_class(forger, digits, seed), 1.7), "Real digits, and forged ones on demand."),
            (
                figure_html(columns_beside(real, made, "mean_radius", "mean_concave_points")),
                "300 real patients and 300 that nobody saw, by two of their 31 columns.",
            ),
            (
                rows_html([(f"walk in {k}", _walk(forger, k, seed)) for k in "2358"], 1.7),
                "Walks from the noise of one forgery to that of another, class by class.",
            ),
        ],
    )


def _trial(forger: GAN, unseen: Pictures, seed: int) -> Chapter:
    """Pieces of photographs that went through JPEG, among others that did not; and those forged digits."""
    real, fake = _tiles(seed)
    found, by_pixels = judge(real, fake, seed=seed), _auc_of_pixels(real, fake, seed)
    digits = Pictures.of(unseen.resized(forger.sample(1).shape[1]))
    forged = Pictures.of(forger.sample(len(digits), seed=seed))
    return Chapter(
        "Real or fake?",
        "A judge learns on a part of the items what gives the fakes away, and judges the rest. Two controls keep him "
        "honest: real against real must not be flagged, real ones made a little worse must be seen.",
        f"{found.n_real} pieces of photographs, and {found.n_fake} that JPEG of quality {QUALITY} went over",
        Measure(
            "AUC of the machine judge", found.test.auc, found.test.auc_interval,
            (("logistic regression on pixels", by_pixels), ("chance", 0.5)),
        ),
        [
            (_controls(found, judge(digits, forged, seed=seed)), found.sentence),
            (rows_html(_mixed(digits, forged, seed), 2.5), f"For people: which are forged? {_answers(seed)}"),
        ],
    )  # fmt: skip


def _tiles(seed: int) -> tuple[Pictures, Pictures]:
    """Pieces of photographs as they are, and others spoilt as little as a good JPEG does."""
    photos = load_pictures("photos")
    pieces = [
        photo[y : y + SIDE, x : x + SIDE]
        for photo in photos
        for y in range(0, photo.shape[0] - SIDE + 1, SIDE)
        for x in range(0, photo.shape[1] - SIDE + 1, SIDE)
    ]
    order = np.random.default_rng(seed).permutation(len(pieces))
    half = len(pieces) // 2
    spoilt = [_as_jpeg(pieces[row]) for row in order[half : 2 * half]]
    return Pictures.of([pieces[row] for row in order[:half]]), Pictures.of(spoilt)


def _as_jpeg(picture_HWC: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(picture_HWC).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file))


def _auc_of_pixels(real: Pictures, fake: Pictures, seed: int) -> float:
    pixel_NX = np.array([np.ravel(picture) for picture in [*real, *fake]]) / 255
    is_fake = np.arange(len(pixel_NX)) >= len(real)
    order = np.random.default_rng(seed).permutation(len(is_fake))
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    score_N = cross_val_predict(plain, pixel_NX[order], is_fake[order], method="decision_function")
    return float(roc_auc_score(is_fake[order], score_N))


def _controls(found: Judgement, of_digits: Judgement) -> str:
    """The tests, both controls and what the judge goes by, as an HTML table."""
    low, high = found.real_against_real_auc
    lines = [
        ("as they are against after JPEG", f"{found.test.auc:.3f}"),
        *((f"by {name} alone", f"{value:.3f}") for name, value in found.tells.items()),
        (f"control: real against real, {len(found.real_against_real)} splits", f"{low:.3f} to {high:.3f}"),
        (f"control: real against {found.spoilt_by}", f"{found.sensitivity.auc:.3f}"),
        ("unseen digits against forged ones", f"{of_digits.test.auc:.3f}"),
    ]
    body = "".join(f"<tr><td>{escape(name)}</td><td class=number>{value}</td></tr>" for name, value in lines)
    return f"<table><tr><th>what is judged</th><th>AUC</th></tr>{body}</table>"


def _mixed(real: Pictures, fake: Pictures, seed: int) -> list[tuple[str, list[np.ndarray]]]:
    sides = [fake if is_fake else real for is_fake in _secret(seed)]
    shown = [side[row] for row, side in enumerate(sides)]
    return [(f"{start + 1} to {start + 8}", shown[start : start + 8]) for start in range(0, len(shown), 8)]


def _secret(seed: int) -> np.ndarray:
    """Which of the digits shown are forged."""
    return np.random.default_rng(seed).permutation(np.arange(24) % 2 == 0)


def _answers(seed: int) -> str:
    numbers = np.flatnonzero(_secret(seed)) + 1
    return f"Forged are {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}."


def _digits() -> Pictures:
    pixels, labels = split_label(load_sample("digits"), "digit")
    return Pictures.of(np.array(digits_of(pixels)), labels=[str(label) for label in labels])


def _by_class(forger: GAN, digits: Pictures, seed: int) -> list[tuple[str, list[np.ndarray]]]:
    rows = np.random.default_rng(seed).permutation(len(digits))[:N_SHOWN]
    made = [(f"forged {label}", list(forger.sample(N_SHOWN, label=label, seed=seed + int(label)))) for label in "0123"]
    return [("real", list(digits.take(rows).resized(16))), *made]


def _walk(forger: GAN, label: str, seed: int) -> list[np.ndarray]:
    return list(forger.interpolate(seed, seed + 1, n=N_SHOWN, label=label))
