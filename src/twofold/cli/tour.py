"""twofold tour: every chapter on the built-in samples, beside baselines, and a report.html that stands alone."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from twofold.cli.flags import parse
from twofold.cli.output import say, table
from twofold.cli.report import Chapter, figure_html, page, rows_html
from twofold.data.atomic import write_atomically
from twofold.data.samples import load_sample
from twofold.data.tables import split_label
from twofold.data.text import read_text
from twofold.methods.autoencoder import Autoencoder
from twofold.methods.detector import AnomalyDetector
from twofold.methods.language import LanguageModel

__all__ = ["tour"]


@dataclass(kw_only=True)
class TourFlags:
    """Every chapter on the built-in samples."""

    out: Path = Path("tour")
    """The folder for report.html."""
    seed: int = 0
    """Start of all randomness."""


def tour(arguments: list[str]) -> dict[str, Any]:
    """Train, measure, draw."""
    flags = parse(TourFlags, "tour", arguments)
    began, chapters = time.perf_counter(), []
    for chapter in _chapters(flags.seed):
        chapters.append(chapter)
        say(f"{chapter.title}: {chapter.measure}")
    seconds = time.perf_counter() - began
    rows = [_row(chapter) for chapter in chapters]
    say()
    table([_told(chapter) for chapter in chapters])
    report = flags.out / "report.html"
    write_atomically(report, page(chapters, rows, seconds).encode())
    say(f"\n{seconds:.0f} s; pictures and figures in {report}")
    return {"report": str(report), "seconds": seconds, "chapters": rows}


def _told(chapter: Chapter) -> dict[str, Any]:
    """The same for people: five columns fit a terminal."""
    name, value = chapter.beside
    return {
        "chapter": chapter.title,
        "what was learned": chapter.learned,
        "measure": f"{chapter.measure.name}: {chapter.measure.value:.4g}",
        "baseline": f"{name}: {value:.4g}",
        "verdict": chapter.verdict,
    }


def _row(chapter: Chapter) -> dict[str, Any]:
    interval = chapter.measure.interval
    return {
        "chapter": chapter.title,
        "what was learned": chapter.learned,
        "measure": chapter.measure.name,
        "value": chapter.measure.value,
        "95 %": f"{interval[0]:.3f} - {interval[1]:.3f}" if interval else "",
        "baseline": f"{chapter.beside[0]} {chapter.beside[1]:.4g}",
        "verdict": chapter.verdict,
    }


def _chapters(seed: int) -> Iterator[Chapter]:
    from twofold.cli import tour_borrowed, tour_forged, tour_named, tour_pictures

    yield _autoencoder(seed)
    yield tour_pictures.map_chapter(seed)
    yield tour_pictures.denoiser_chapter(seed)
    yield tour_pictures.compressor_chapter(seed)
    yield _detector(seed)
    yield tour_pictures.defect_chapter(seed)
    yield tour_borrowed.borrowed_chapter(seed)
    yield from tour_forged.forged_chapters(seed)
    yield tour_named.named_chapter(seed)
    yield _language(seed)


# ---- the chapters --------------------------------------------------------------------------------


def _autoencoder(seed: int) -> Chapter:
    """Digits: 64 pixels in 8 numbers."""
    from twofold.cli.pictures import digits_of, error_by_k

    pixels, _ = split_label(load_sample("digits"), "digit")
    train, test = _halves(pixels.num_rows, seed, share=0.8)
    autoencoder = Autoencoder(n_steps=500, map_steps=0, seed=seed).fit(pixels.take(train))
    measures = {measure.name: measure for measure in autoencoder.evaluate(pixels.take(test))}
    few = pixels.take(test[:10])
    rebuilt = [(f"{k} numbers", digits_of(autoencoder.reconstruct(few, k=k))) for k in (2, 4, 8, 16, 32)]
    return Chapter(
        "Autoencoder",
        "An encoder squeezes each row through a bottleneck of a few numbers, a decoder rebuilds the row from them. "
        "The numbers are ordered: the first k are the best k, for every k, with one model.",
        "8 x 8 digits in 8 ordered numbers",
        measures["error at k = 8"],
        [
            (figure_html(error_by_k(measures)), "Error of rebuilding held-out digits from the first k numbers."),
            (
                rows_html([("original", digits_of(few)), *rebuilt], 4),
                "Held-out digits, and the same rebuilt from 2, 4, 8, 16 and 32 numbers.",
            ),
        ],
    )


def _detector(seed: int) -> Chapter:
    """Breast cancer: learn the benign, find the malignant."""
    from twofold.cli.pictures import alarms, score_histogram

    cells, labels = split_label(load_sample("breast-cancer"), "diagnosis")
    is_anomaly = np.array([str(label) for label in labels]) == "malignant"
    train, test = _halves(cells.num_rows, seed, share=0.5)
    normal, test = train[~is_anomaly[train]], np.concatenate([test, train[is_anomaly[train]]])
    detector = AnomalyDetector(normal_only=True, seed=seed).fit(cells.take(normal))
    rows, truth = cells.take(test), is_anomaly[test]
    measures = detector.evaluate(rows, truth)
    return Chapter(
        "Anomaly detection",
        "Learn what normal rows look like by rebuilding hidden cells from the others; flag what is rebuilt badly "
        "or lies far from all normal rows. The p-value says how rare such a score is among normal rows.",
        "benign tumours; malignant ones are strangers",
        measures[0],
        [
            (figure_html(score_histogram(-detector.score_samples(rows), truth)), "Anomaly scores of unseen rows."),
            (alarms(detector, rows, truth), "The strangest rows, and the columns that gave them away."),
        ],
    )


def _language(seed: int) -> Chapter:
    """Python's help pages: the next character."""
    from twofold.cli.pictures import passages

    text = read_text("sample:topics")
    known, unseen = text[: -len(text) // 10], text[-len(text) // 10 :]
    model = LanguageModel(n_steps=30, depth=2, seed=seed).fit([known])
    measure = min(model.evaluate([unseen]), key=lambda m: m.value)
    strongest = sorted(measure.baselines, key=lambda baseline: baseline[1])
    written = model.write("The following ", 400, seed=seed)
    copies = model.longest_copies(written, n_passages=1)
    by_heart = f"Longest passage that stands so in the training text: {len(copies[0]) if copies else 0} characters."
    return Chapter(
        "Language model",
        "Predict the next character of a text that nobody labelled. Whoever predicts well can write on, tell what is "
        "surprising, and compress: bits per byte are what a byte of an unseen text costs.",
        "Python's help pages, next character",
        replace(measure, baselines=tuple(strongest)),
        [
            (f"<pre>{escape(written)}</pre>", f"Written from the prompt 'The following'. {by_heart}"),
            (passages(model.surprises([unseen], 6)), "Passages of the unseen tenth that surprised it most."),
        ],
    )


def _halves(n_rows: int, seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(n_rows)
    n_first = int(share * n_rows)
    return np.sort(order[:n_first]), np.sort(order[n_first:])
