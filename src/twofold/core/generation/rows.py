"""How good made rows of a table are.

Dimension key: N rows, P numbers, Q categories, D numbers of a row's place.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from twofold.core.generation.pictures import FLOOR, cloud_measures, copy_measures
from twofold.data.columns import Columns
from twofold.data.fingerprints import row_hashes
from twofold.data.tables import nearest, read_table
from twofold.errors import DataError
from twofold.measure.generation import copies
from twofold.measure.report import Measure
from twofold.measure.synthetic import Rows, rows_told_apart, train_on_synthetic
from twofold.nn.neighbours import Neighbourhood

__all__ = ["row_measures"]

MOST, MOST_TRAINING = 4000, 20_000  # rows, drawn; more take long
RESAMPLED, INDEPENDENT = "training rows drawn again", "independent columns"


def row_measures(train: Any, held_out: Any, fake: Any, *, target: str | None = None, seed: int = 0) -> list[Measure]:
    """Can trees tell them, do they teach as well, are they real, varied, and no copies.

    Parameters
    ----------
    train : the table that the fakes' maker learned from; frames, arrays or paths.
    held_out : real rows that it has not seen.
    fake : made rows with the same columns.
    target : the column to predict after learning from made rows (by default the last that is used).
    """
    rng = np.random.default_rng(seed)
    tables = [_some(read_table(part), most, rng) for part, most in
              ((train, MOST_TRAINING), (held_out, MOST), (fake, MOST_TRAINING))]  # fmt: skip
    columns = Columns.learn(tables[0])
    if not columns.names:
        raise DataError("no column of the training table says anything. Give one with numbers or categories.")
    real, unseen, made = (Rows(*columns.encode(table)) for table in tables)
    again = real.take(rng.integers(0, len(real), len(real)))
    mixed = Rows(*(rng.permuted(part, axis=0) for part in (real.number_NP, real.category_NQ)))
    others = {RESAMPLED: again, INDEPENDENT: mixed}
    return [
        _told_apart(real, unseen, made, others, seed),
        _taught(columns, (real, unseen, made), others, target, seed),
        *_places(columns, (real, unseen, made, mixed), seed),
        _exact_copies(*tables),
    ]


def _some(table: pa.Table, most: int, rng: np.random.Generator) -> pa.Table:
    if not table.num_rows:
        raise DataError("a table without rows was given. Give at least one row of each kind.")
    return table if table.num_rows <= most else table.take(np.sort(rng.permutation(table.num_rows)[:most]))


def _told_apart(real: Rows, unseen: Rows, made: Rows, others: dict[str, Rows], seed: int) -> Measure:
    """Held-out rows against as many fakes, training rows, and trivial fakes."""
    n = min(len(unseen), len(made), len(real))
    rng = np.random.default_rng(seed)
    judged = unseen.take(rng.permutation(len(unseen))[:n])
    told = {
        name: rows_told_apart(judged, rows.take(rng.permutation(len(rows))[:n]), seed)
        for name, rows in {"": made, "training rows": real, **others}.items()
    }
    beside = tuple((name, one.auc) for name, one in told.items() if name)
    return Measure(
        f"two-sample AUC by boosted trees, {n} of each", told[""].auc, told[""].interval(seed), beside, False
    )


def _taught(
    columns: Columns, rows: tuple[Rows, Rows, Rows], others: dict[str, Rows], target: str | None, seed: int
) -> Measure:
    """The share of the score that learning from as many real rows gives."""
    real, unseen, made = rows
    name, place = _target(columns, target)
    n = min(len(real), len(made))
    equal, fakes, mixed = (part.take(slice(n)) for part in (real, made, others[INDEPENDENT]))
    taught = train_on_synthetic(fakes, equal, unseen, place, seed)
    without = train_on_synthetic(mixed, equal, unseen, place, seed)
    beside = (
        (f"{taught.name} so", taught.fake), (f"{taught.name} after real rows", taught.real),
        (INDEPENDENT, without.share),
    )  # fmt: skip
    return Measure(f"train on fakes, predict {name} of real rows: share of the real score", taught.share, None, beside)


def _target(columns: Columns, target: str | None) -> tuple[str, int]:
    """The column to predict, and its place among numbers and then categories."""
    ordered = columns.numbers + columns.categories
    name = columns.names[-1] if target is None else target
    if name not in ordered:
        there = ", ".join(map(repr, ordered))
        raise DataError(f"there is no column {name!r} to predict.{nearest(name, ordered)} Columns: {there}.")
    return name, ordered.index(name)


def _places(columns: Columns, rows: tuple[Rows, ...], seed: int) -> list[Measure]:
    """Rows as points: numbers by their quantile among training rows, categories 1 apart."""
    real = rows[0]
    number_NP, category_NQ = torch.from_numpy(real.number_NP), torch.from_numpy(real.category_NQ)
    ground = Neighbourhood(number_NP, category_NQ, columns.cardinalities)
    places = [
        ground.place_by_quantile(torch.from_numpy(part.number_NP), torch.from_numpy(part.category_NQ)).numpy()
        for part in rows
    ]
    real_ND, unseen_ND, made_ND, mixed_ND = places
    measures = cloud_measures(real_ND, unseen_ND, {"": made_ND, INDEPENDENT: mixed_ND}, seed=seed)
    return [*measures, *copy_measures(copies(real_ND, unseen_ND, made_ND[:MOST]), seed)]


def _exact_copies(train: pa.Table, unseen: pa.Table, made: pa.Table) -> Measure:
    """Rows that stand so, cell for cell, among the training rows."""
    names = [name for name in train.column_names if name in made.column_names and name in unseen.column_names]
    own = np.unique(row_hashes(train.select(names)))
    shares = [float(np.isin(row_hashes(part.select(names)), own).mean()) for part in (made, unseen)]
    return Measure("share that stands so in training", shares[0], None, ((FLOOR, shares[1]),), False)
