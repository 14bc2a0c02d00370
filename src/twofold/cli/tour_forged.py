"""The tour's chapter on forger and detective: digits that nobody wrote, patients that nobody saw."""

from dataclasses import replace

import numpy as np

from twofold.cli.pictures import side_by_side
from twofold.cli.report import Chapter, figure_html
from twofold.data.pictures import Pictures
from twofold.data.samples import load_sample
from twofold.data.tables import split_label
from twofold.methods.gan import GAN

__all__ = ["forged_chapter"]

N_SHOWN = 12


def forged_chapter(seed: int) -> Chapter:
    """Rows of a table that trees can hardly tell from real ones, and digits by class."""
    table = load_sample("breast-cancer")
    measures = GAN(n_steps=100, seed=seed).fit(table).evaluate(table)
    apart = next(measure for measure in measures if measure.name.startswith("two-sample AUC"))
    beside = sorted(apart.baselines, key=lambda pair: pair[0] != "independent columns")
    digits = _digits()
    forger = GAN(n_steps=400, size=16, seed=seed).fit(digits)
    return Chapter(
        "GAN: forger and detective",
        "A generator makes items from noise, a discriminator tells them from real ones; each makes the other better. "
        "Rows of patients are judged by trees that learn to tell held-out real rows from made ones: .5 is a coin.",
        "569 tumours as rows; 1,797 digits as pictures",
        replace(apart, baselines=tuple(beside)),
        [
            (
                figure_html(side_by_side(_by_class(forger, digits, seed), 0.4)),
                "Real digits, and forged ones on demand.",
            ),
            (
                figure_html(side_by_side([(f"walk in {k}", _walk(forger, k, seed)) for k in "2358"], 0.4)),
                "Walks from the noise of one forgery to that of another, class by class.",
            ),
        ],
    )


def _digits() -> Pictures:
    """Dark on white, 8 x 8."""
    pixels, labels = split_label(load_sample("digits"), "digit")
    value_NP = np.array([pixels[name].to_numpy() for name in pixels.column_names], float).T
    dark_NSS = np.rint(255 * (1 - value_NP / 16)).astype(np.uint8).reshape(-1, 8, 8)
    return Pictures.of(dark_NSS[..., None], labels=[str(label) for label in labels])


def _by_class(forger: GAN, digits: Pictures, seed: int) -> list[tuple[str, list[np.ndarray]]]:
    rows = np.random.default_rng(seed).permutation(len(digits))[:N_SHOWN]
    made = [(f"forged {label}", list(forger.sample(N_SHOWN, label=label, seed=seed + int(label)))) for label in "0123"]
    return [("real", list(digits.take(rows))), *made]


def _walk(forger: GAN, label: str, seed: int) -> list[np.ndarray]:
    return list(forger.interpolate(seed, seed + 1, n=N_SHOWN, label=label))
