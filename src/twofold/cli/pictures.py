"""The figures of the tour."""

from html import escape
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from twofold.data.pictures import Pictures
from twofold.measure.report import Measure

__all__ = [
    "alarms", "bytes_and_error", "digits_rebuilt", "error_by_k", "glyph_map", "passages", "score_histogram",
    "side_by_side",
]  # fmt: skip

BLUE, ORANGE, GREY = "#2f6fb2", "#d9822b", "#9aa5b8"


def error_by_k(measures: dict[str, Measure]) -> Figure:
    """Rebuilding error against the number of latent numbers kept, beside PCA."""
    by_k = {int(name.split("=")[1]): m for name, m in measures.items() if name.startswith("error at k")}
    figure, axes = _axes()
    k = sorted(by_k)
    axes.plot(k, [by_k[i].baselines[0][1] for i in k], color=GREY, marker="o", ms=3, label="PCA")
    axes.plot(k, [by_k[i].value for i in k], color=BLUE, marker="o", ms=3, label="autoencoder")
    axes.set(xlabel="numbers kept", ylabel="squared error (standard deviations)", xscale="log", yscale="log")
    axes.set_xticks(k, [str(i) for i in k])
    axes.legend(frameon=False)
    return figure


def digits_rebuilt(autoencoder: Any, pixels: pa.Table) -> Figure:
    """A row of digits, and below it the same from fewer or more numbers."""
    cuts = [k for k in (2, 4, 8, 16, 32) if k <= len(autoencoder.error_ratio_)]
    sheets = [("original", pixels)] + [(f"{k} numbers", autoencoder.reconstruct(pixels, k=k)) for k in cuts]
    figure = Figure(figsize=(5.6, 0.6 * len(sheets)))
    for line, (name, table) in enumerate(sheets):
        digits = np.array([table[column].to_numpy() for column in pixels.column_names], dtype=float).T
        axes = figure.add_subplot(len(sheets), 1, line + 1)
        axes.imshow(np.hstack([np.pad(d.reshape(8, 8), 1) for d in digits]), cmap="gray_r", vmin=0, vmax=16)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def score_histogram(score_N: np.ndarray, is_anomaly_N: np.ndarray) -> Figure:
    """Anomaly scores of normal rows and of anomalies."""
    figure, axes = _axes()
    # scores of anomalies run over orders of magnitude
    edges = np.geomspace(max(0.05, score_N.min()), score_N.max(), 40)
    for name, rows, colour in (("normal", ~is_anomaly_N, BLUE), ("anomalies", is_anomaly_N, ORANGE)):
        axes.hist(score_N[rows].clip(edges[0], edges[-1]), edges, color=colour, alpha=0.7, label=name)
    axes.set(xlabel="anomaly score (higher = stranger)", ylabel="rows", xscale="log")
    axes.legend(frameon=False)
    return figure


def alarms(detector: Any, rows: pa.Table, is_anomaly_N: np.ndarray, n_shown: int = 6) -> str:
    """The strangest rows with their reasons, as an HTML table."""
    found = detector.detect(rows)
    strangest = np.argsort(-np.asarray(found["anomaly_score"]))[:n_shown]
    lines = "".join(
        f"<tr><td>{'anomaly' if is_anomaly_N[i] else 'normal'}</td>"
        f"<td class=number>{found['anomaly_score'][i]:.3g}</td>"
        f"<td class=number>{found['p_value'][i]:.3g}</td><td>{escape(str(found['reason'][i]))}</td></tr>"
        for i in strangest
    )
    return f"<table><tr><th>truth</th><th>score</th><th>p-value</th><th>reason</th></tr>{lines}</table>"


def side_by_side(rows: list[tuple[str, list[np.ndarray]]], scale: float = 0.6) -> Figure:
    """Pictures in rows, each row with its name; `scale` inches a picture."""
    n_columns = max(len(pictures) for _, pictures in rows)
    figure = Figure(figsize=(scale * n_columns + 1, scale * len(rows)))
    for line, (name, pictures) in enumerate(rows):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(len(rows), n_columns, line * n_columns + column + 1)
            axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    figure.subplots_adjust(wspace=0.05, hspace=0.05)
    return figure


def glyph_map(place_N2: np.ndarray, pictures: Pictures) -> Figure:
    """Small pictures at their places on a plane."""
    figure = Figure(figsize=(6.4, 6.4))
    axes = figure.add_subplot()
    side = np.ptp(place_N2, axis=0).max() / 40
    for (x, y), picture in zip(place_N2, pictures, strict=True):
        axes.imshow(picture.squeeze(), cmap="gray", extent=(x - side, x + side, y - side, y + side), alpha=0.75)
    axes.set(xticks=[], yticks=[])
    axes.set_xlim(place_N2[:, 0].min() - side, place_N2[:, 0].max() + side)
    axes.set_ylim(place_N2[:, 1].min() - side, place_N2[:, 1].max() + side)
    axes.set_aspect("equal")
    return figure


def bytes_and_error(curve_Q2: np.ndarray, jpeg_Q2: np.ndarray) -> Figure:
    """Bits a pixel and PSNR at each quality, beside JPEG."""
    figure, axes = _axes()
    axes.plot(*np.transpose(jpeg_Q2), color=GREY, marker="o", ms=3, label="JPEG 4:2:0")
    axes.plot(*np.transpose(curve_Q2), color=BLUE, marker="o", ms=3, label="compressor")
    axes.set(xlabel="bits a pixel", ylabel="PSNR in dB", xscale="log")
    axes.legend(frameon=False)
    return figure


def passages(costs: list[tuple[float, str]]) -> str:
    """Passages with what a byte of them cost, as an HTML table."""
    lines = "".join(f"<tr><td class=number>{cost:.1f}</td><td>{escape(text)}</td></tr>" for cost, text in costs)
    return f"<table><tr><th>bits per byte</th><th>passage</th></tr>{lines}</table>"


def _axes() -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.6, 3.4))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes
