"""Both sides of a judgement on a generator's run: fakes made now, and real items that its training never saw."""

from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from twofold.core.estimator import read_config
from twofold.data.audio import Sounds
from twofold.data.pictures import Pictures, open_pictures
from twofold.data.tables import read_table
from twofold.errors import DataError
from twofold.runs import Material, Source, training_material
from twofold.turing.items import Items, fingerprints, kind_of, open_items, take

__all__ = ["fakes_of", "real_side", "reference"]


def fakes_of(generator: Any, n: int, seed: int) -> Items:
    """Items that the run makes now."""
    made = generator.sample(n, seed=seed)
    if isinstance(made, np.ndarray) and made.ndim == 4:
        return open_pictures(made)
    if isinstance(made, Sounds | list):
        return made
    return read_table(nw.from_native(made).to_arrow())


def reference(generator: Any, run: Path, data: str, label: str | None = None, split: str | None = None) -> Material:
    """The data as the run would have learned from them: by default with its own label and split."""
    told = read_config(run).get("data") or {}
    source = Source(data, label or told.get("label"), told.get("normal"), split or told.get("split"))
    return Material.of(generator, source)


def real_side(generator: Any, run: Path, data: str, split: str | None) -> tuple[Items, list[str]]:
    """Real items that training did not see (of the training data only what was held out), and what is to be told."""
    own = training_material(generator, run)
    if own is not None and split is None and reference(generator, run, data).fingerprint == own.fingerprint:
        return _held_out(generator, own.X, data)
    real, notes = open_items(data, split or "all"), []
    if kind_of(real) != generator.form_.name:
        raise DataError(f"{data} holds {kind_of(real)}; {run} makes {generator.form_.name}. Give data of that kind.")
    if own is None:
        notes.append("what the run learned from is not there any more: items of training may stand on the real side")
    elif isinstance(real, Pictures | Sounds):
        seen = set(fingerprints(own.X)) - set(fingerprints(take(own.X, generator.held_out_)))
        is_new_N = np.array([name not in seen for name in fingerprints(real)])
        if not is_new_N.all():
            notes.append(f"training saw {int((~is_new_N).sum())} of the {len(real)} real items; they are left out")
        # before pictures are brought to the run's size, and are other pictures
        real = take(real, np.flatnonzero(is_new_N))
    return _as_made(generator, real), notes


def _held_out(generator: Any, X: Items, data: str) -> tuple[Items, list[str]]:
    n = len(generator.held_out_)
    if not n:
        raise DataError(f"the run learned from all of {data}: it held nothing out. Give data that it has not seen.")
    note = f"these are the data that were learned from: only the {n} items held out stand on the real side"
    return _as_made(generator, take(X, generator.held_out_)), [note]


def _as_made(generator: Any, real: Items) -> Items:
    """Pictures in the size that the run makes them; rows without columns that it does not make."""
    if isinstance(real, Pictures):
        return open_pictures(generator.form_.arrays(real)[0])
    if isinstance(real, pa.Table):
        made = fakes_of(generator, 1, 0)
        assert isinstance(made, pa.Table)
        return real.select([name for name in real.column_names if name in made.column_names])
    return real
