"""Real data that come with scikit-learn, matplotlib and Python: nothing to download."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from twofold.data.tables import nearest, read_table
from twofold.errors import DataError

if TYPE_CHECKING:
    from twofold.data.picture_set import Pictures

__all__ = ["PICTURES", "SAMPLES", "TEXTS", "Sample", "load_pictures", "load_sample", "load_text"]


class Sample(NamedTuple):
    """A built-in table."""

    load: Callable[[], pa.Table]
    label: str
    what: str


def load_sample(name: str) -> pa.Table:
    """The sample of this name, its label column last."""
    if name not in SAMPLES:
        hint = nearest(name, SAMPLES)
        raise DataError(f"there is no sample {name!r}; there are {', '.join(SAMPLES)}.{hint} Choose one of these.")
    return read_table(SAMPLES[name].load(), name=f"sample:{name}")


def load_text(name: str) -> str:
    """The sample text of this name."""
    if name not in TEXTS:
        hint = nearest(name, TEXTS)
        raise DataError(f"there is no sample text {name!r}; there is {', '.join(TEXTS)}.{hint} Choose one of these.")
    return TEXTS[name]()


def load_pictures(name: str) -> "Pictures":
    """The sample pictures of this name."""
    if name not in PICTURES:
        hint = nearest(name, PICTURES)
        raise DataError(
            f"there are no sample pictures {name!r}; there are {', '.join(PICTURES)}.{hint} Choose one of these."
        )
    return PICTURES[name]()


def _topics() -> str:
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def _digits() -> pa.Table:
    from sklearn.datasets import load_digits

    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    return _table(load_digits(), names, "digit")


def _breast_cancer() -> pa.Table:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return _table(bunch, [name.replace(" ", "_") for name in bunch.feature_names], "diagnosis")


def _wine() -> pa.Table:
    from sklearn.datasets import load_wine

    bunch = load_wine()
    return _table(bunch, [name.replace("/", "_") for name in bunch.feature_names], "cultivar")


def _table(bunch: Any, names: list[str], label: str) -> pa.Table:
    """scikit-learn's bunch as a table; labels by their names where they have some."""
    columns = {name: pa.array(np.ascontiguousarray(bunch.data[:, i])) for i, name in enumerate(names)}
    labels = np.asarray(bunch.target_names)[bunch.target]
    return pa.table({**columns, label: pa.array(labels.tolist())})


def _glyphs(size: int = 32, *, is_all: bool = False) -> "Pictures":
    # drawn anew each time: half a second, two for all faces
    from twofold.data.glyphs import FACES, MORE_FACES, draw_glyphs
    from twofold.data.picture_set import Pictures

    picture_NSS, table = draw_glyphs(size, MORE_FACES if is_all else FACES)
    ids, labels = (table[name].to_pylist() for name in ("id", "label"))
    name = "sample:glyphs" + "-all" * is_all + "-64" * (size == 64)
    return Pictures.of(picture_NSS, ids=ids, labels=labels, table=table.drop_columns(["id", "label"]), name=name)


def _photos() -> "Pictures":
    from sklearn.datasets import load_sample_images

    from twofold.data.picture_set import Pictures

    bunch = load_sample_images()
    return Pictures.of(bunch.images, ids=[Path(name).name for name in bunch.filenames], name="sample:photos")


SAMPLES: dict[str, Sample] = {
    "digits": Sample(_digits, "digit", "1,797 handwritten digits as 64 pixels from 0 to 16"),
    "breast-cancer": Sample(_breast_cancer, "diagnosis", "569 tumours, 30 measurements of their cells"),
    "wine": Sample(_wine, "cultivar", "178 wines of three cultivars, 13 measurements"),
}
"""Name -> how to load it, its label column, what it is."""

TEXTS: dict[str, Callable[[], str]] = {"topics": _topics}
"""Name -> how to load it: the English of Python's own help pages, some 465,000 characters."""

PICTURES: dict[str, Callable[[], "Pictures"]] = {
    "glyphs": _glyphs,
    "glyphs-64": partial(_glyphs, 64),
    "glyphs-all": partial(_glyphs, is_all=True),
    "photos": _photos,
}
"""Name -> how to load them: the some 5,200 signs of DejaVu Sans that look different, 32 pixels wide (or 64); those of
all DejaVu and STIX faces, some 40,000; two photographs."""
