"""The tour's chapter on borrowed knowledge: a body that taught itself, and a new task with five labels a letter."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from twofold.cli.report import Chapter, rows_html
from twofold.core.painting import random_mask
from twofold.data.pictures import Pictures
from twofold.data.samples import load_pictures
from twofold.measure.report import Measure
from twofold.methods.masked import MaskedAutoencoder
from twofold.methods.transfer import TransferClassifier

__all__ = ["borrowed_chapter"]

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
N_SIGNS, N_LABELS, N_SHOWN = 2500, 5, 12


def borrowed_chapter(seed: int) -> Chapter:
    """Learn from signs without labels, then from five labels a letter; beside the same network that saw nothing."""
    signs, labelled, test = _signs(seed)
    masked = MaskedAutoencoder(n_steps=60, dim=96, depth=2, n_words=256, seed=seed).fit(signs)
    with TemporaryDirectory() as folder:
        bodies = {"taught": masked, "untaught": MaskedAutoencoder(n_steps=1, dim=96, depth=2, invariance=0, seed=seed)}
        bodies["untaught"].fit(signs.take(range(50)))
        runs = {name: str(body.save(Path(folder) / name)) for name, body in bodies.items()}
        frozen, tuned = (_classifier(runs["taught"], mode, seed).fit(labelled) for mode in ("frozen", "finetune"))
        scratch = _classifier(runs["untaught"], "finetune", seed).fit(labelled)
    accuracy, of_tuned, of_scratch = (model.evaluate(test)[0] for model in (frozen, tuned, scratch))
    beside = (
        ("ridge on raw pixels", dict(accuracy.baselines)["ridge on raw pixels"]),
        ("trained from scratch", of_scratch.value),
        ("fine-tuned", of_tuned.value),
    )
    return Chapter(
        "Transfer and self-supervision",
        "Hide three quarters of a picture and paint them: what that takes, a network teaches itself without a label. "
        "Its body is then borrowed for another task: 26 letters, five labelled pictures of each.",
        f"{len(signs)} signs without labels, then five labels a letter",
        Measure("accuracy, frozen body", accuracy.value, accuracy.interval, beside),
        [
            (
                rows_html(_painted(masked, test, seed)),
                "Unseen letters: 60 % hidden, painted back, and the truth.",
            ),
            (rows_html(_mistaken(frozen, test)), "Unseen letters that the frozen body's classifier mistook."),
        ],
    )


def _classifier(run: str, mode: str, seed: int) -> TransferClassifier:
    return TransferClassifier(run, mode=mode, is_mirrored=False, n_folds=2, n_steps=40, seed=seed)


def _signs(seed: int) -> tuple[Pictures, Pictures, Pictures]:
    """Signs to learn from without labels; five of each letter with labels; all other letters, to test."""
    glyphs = load_pictures("glyphs")
    assert glyphs.table is not None
    letter_N = np.array(glyphs.table["letter"].to_pylist(), object)
    rng = np.random.default_rng(seed)
    rows = {letter: rng.permutation(np.flatnonzero(letter_N == letter)) for letter in LETTERS}
    labelled, test = (
        np.concatenate([rows[letter][part] for letter in LETTERS]) for part in (slice(N_LABELS), slice(N_LABELS, None))
    )
    pools = [_lettered(glyphs.take(part), letter_N[part]) for part in (labelled, test)]
    others = rng.permutation(np.setdiff1d(np.arange(len(glyphs)), test))[:N_SIGNS]
    return glyphs.take(np.sort(others)), *pools


def _lettered(pictures: Pictures, letter_N: np.ndarray) -> Pictures:
    pictures.labels = letter_N
    return pictures


def _painted(masked: MaskedAutoencoder, test: Pictures, seed: int) -> list[tuple[str, list[np.ndarray]]]:
    few = list(test.take(np.random.default_rng(seed).permutation(len(test))[:N_SHOWN]))
    side = masked.network_.encoder.vit.size // masked.network_.encoder.vit.patch
    masks = [
        random_mask(picture.shape[:2], 0.6, side, np.random.default_rng([seed, i])) for i, picture in enumerate(few)
    ]
    holes = [np.where(mask[..., None], np.uint8(128), picture) for picture, mask in zip(few, masks, strict=True)]
    return [("hidden", holes), ("painted", masked.inpaint(few, masks)), ("truth", few)]


def _mistaken(model: TransferClassifier, test: Pictures) -> list[tuple[str, list[np.ndarray]]]:
    assert test.labels is not None
    said = model.predict(test)
    wrong = said != test.labels
    names, counts = np.unique(said[wrong], return_counts=True)
    return [
        (f"taken for {name}", list(test.take(np.flatnonzero(wrong & (said == name))[:N_SHOWN])))
        for name in names[np.argsort(-counts)][:6]
    ]
