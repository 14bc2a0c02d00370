"""What a classifier mixes up: a table of classes, and a sheet of its worst mistakes.

Dimension key: N pictures, K classes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from twofold.cli.output import say, table
from twofold.data.pictures import Pictures
from twofold.data.tables import write_table
from twofold.measure.accuracy import confusion

__all__ = ["tell_mistakes"]

MOST_CLASSES = 12  # of a table that is shown; a larger one is only written
N_WORST = 24


def tell_mistakes(
    pictures: Pictures, probability_NK: np.ndarray, classes_K: np.ndarray, folder: Path
) -> dict[str, Any]:
    """Show and write which classes are taken for which (confusion.csv), and the worst mistakes (worst.png)."""
    true_N, said_N = np.array(pictures.labels.tolist()), classes_K[probability_NK.argmax(1)]
    names = [str(name) for name in classes_K]
    table_KK = confusion(true_N, said_N, classes_K)
    if len(names) <= MOST_CLASSES:
        say("which class (rows) is said to be which (columns):")
        table(
            [
                {"": name, **dict(zip(names, map(int, row), strict=True))}
                for name, row in zip(names, table_KK, strict=True)
            ]
        )
    folder.mkdir(exist_ok=True)
    columns = {"true class": names, **{f"said {name}": table_KK[:, i] for i, name in enumerate(names)}}
    write_table(pa.table(columns), folder / "confusion.csv")
    told = {"confusion": table_KK.tolist(), "classes": names, "confusion_file": str(folder / "confusion.csv")}
    wrong = np.flatnonzero(true_N != said_N)
    if not len(wrong):
        say(f"no mistakes; the table is in {folder / 'confusion.csv'}")
        return told
    worst = wrong[np.argsort(-probability_NK[wrong].max(1), kind="stable")][:N_WORST]
    titles = [f"{true_N[i]}, said {said_N[i]}\n{probability_NK[i].max():.0%} sure" for i in worst]
    _sheet(pictures.take(worst), titles).savefig(folder / "worst.png", dpi=110)
    say(f"the {len(worst)} surest of {len(wrong)} mistakes are in {folder / 'worst.png'}")
    return told | {"worst_file": str(folder / "worst.png"), "mistakes": len(wrong)}


def _sheet(pictures: Pictures, titles: list[str], n_columns: int = 6) -> Figure:
    """Pictures in rows, each below its title."""
    n_rows = -(-len(titles) // n_columns)
    figure = Figure(figsize=(1.6 * n_columns, 1.9 * n_rows), layout="constrained")
    for place, (picture_HWC, title) in enumerate(zip(pictures, titles, strict=True)):
        axes = figure.add_subplot(n_rows, n_columns, place + 1)
        axes.imshow(picture_HWC.squeeze(), cmap="gray", vmin=0, vmax=255)
        # a name with dollar signs is no formula
        axes.set_title(title.replace("$", r"\$"), fontsize=7)
        axes.set(xticks=[], yticks=[])
    return figure
