"""The figures of the tour.

Dimension key: N pictures or rows, Q qualities, H, W height and width of the canvas.
"""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from twofold.cli.report import INK, image_html
from twofold.data.pictures import Pictures
from twofold.measure.report import Measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "alarms", "bytes_and_error", "columns_beside", "digits_of", "error_by_k", "picture_map", "passages",
    "score_histogram",
]  # fmt: skip

BLUE, ORANGE, GREY = "#3f85cc", "#d9822b", "#8f9bb0"
CANVAS = 640  # pixels of the map


def error_by_k(measures: dict[str, Measure]) -> "Figure":
    """Rebuilding error against the number of latent numbers kept, beside PCA."""
    by_k = {int(name.split("=")[1]): m for name, m in measures.items() if name.startswith("error at k")}
    figure, axes = _axes()
    k = sorted(by_k)
    axes.plot(k, [by_k[i].baselines[0][1] for i in k], color=GREY, marker="o", ms=3, label="PCA")
    axes.plot(k, [by_k[i].value for i in k], color=BLUE, marker="o", ms=3, label="autoencoder")
    axes.set(xlabel="numbers kept", ylabel="squared error (standard deviations)", xscale="log", yscale="log")
    axes.set_xticks(k, [str(i) for i in k])
    axes.set_yticks([0.1, 0.2, 0.5], ["0.1", "0.2", "0.5"])
    axes.minorticks_off()
    _legend(axes)
    return figure


def digits_of(cells: pa.Table) -> list[np.ndarray]:
    """Rows of 64 cells from 0 to 16 as pictures (8, 8, 1), dark on white."""
    value_NP = np.array([cells[name].to_numpy() for name in cells.column_names], float).T
    dark_NP = 255 * (1 - value_NP.clip(0, 16) / 16)
    return list(np.rint(dark_NP).astype(np.uint8).reshape(-1, 8, 8, 1))


def score_histogram(score_N: np.ndarray, is_anomaly_N: np.ndarray) -> "Figure":
    """Anomaly scores of normal rows and of anomalies."""
    figure, axes = _axes()
    # scores of anomalies run over orders of magnitude
    edges = np.geomspace(max(0.05, score_N.min()), score_N.max(), 40)
    for name, rows, colour in (("normal", ~is_anomaly_N, BLUE), ("anomalies", is_anomaly_N, ORANGE)):
        axes.hist(score_N[rows].clip(edges[0], edges[-1]), edges, color=colour, alpha=0.75, label=name)
    axes.set(xlabel="anomaly score (higher = stranger)", ylabel="rows", xscale="log")
    ticks = [tick for tick in (0.1, 1, 10, 100, 1000) if edges[0] <= tick <= edges[-1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    _legend(axes)
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


def picture_map(place_N2: np.ndarray, pictures: Pictures) -> str:
    """Small grey pictures at their places on a plane; where they overlap the darker is seen."""
    side = pictures[0].shape[0]
    low_2, high_2 = place_N2.min(0), place_N2.max(0)
    corner_N2 = np.rint((place_N2 - low_2) / (high_2 - low_2).max() * (CANVAS - side)).astype(int)
    height = corner_N2[:, 1].max() + side
    canvas_HW1 = np.full((height, corner_N2[:, 0].max() + side, 1), 255, np.uint8)
    for (x, y), picture in zip(corner_N2, pictures, strict=True):
        part = canvas_HW1[height - side - y : height - y, x : x + side]
        np.minimum(part, picture, out=part)
    return image_html(canvas_HW1, "pictures at their places on a plane")


def columns_beside(real: pa.Table, made: pa.Table, x: str, y: str) -> "Figure":
    """Two columns against each other, of real rows and of made ones."""
    figure, axes = _axes()
    for name, rows, colour in (("real", real, GREY), ("made", made, BLUE)):
        axes.scatter(rows[x].to_numpy(), rows[y].to_numpy(), s=9, alpha=0.6, color=colour, lw=0, label=name)
    axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
    _legend(axes)
    return figure


def bytes_and_error(curve_Q2: np.ndarray, jpeg_Q2: np.ndarray) -> "Figure":
    """Bits a pixel and PSNR at each quality, beside JPEG."""
    figure, axes = _axes()
    axes.plot(*np.transpose(jpeg_Q2), color=GREY, marker="o", ms=3, label="JPEG 4:2:0")
    axes.plot(*np.transpose(curve_Q2), color=BLUE, marker="o", ms=3, label="compressor")
    axes.set(xlabel="bits a pixel", ylabel="PSNR in dB", xscale="log")
    axes.set_xticks([0.2, 0.5, 1, 2, 4], ["0.2", "0.5", "1", "2", "4"])
    axes.minorticks_off()
    _legend(axes)
    return figure


def passages(costs: list[tuple[float, str]]) -> str:
    """Passages with what a byte of them cost, as an HTML table."""
    lines = "".join(f"<tr><td class=number>{cost:.1f}</td><td>{escape(text)}</td></tr>" for cost, text in costs)
    return f"<table><tr><th>bits per byte</th><th>passage</th></tr>{lines}</table>"


def _axes() -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.3))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
    axes.grid(alpha=0.2, color=GREY)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, labelcolor=INK)
