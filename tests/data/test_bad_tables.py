"""All nasty tables of ../shared/bad-inputs, up to the arrays that a network would learn from."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from twofold.data.columns import Columns
from twofold.data.tables import read_table
from twofold.errors import DataError

SCRIPT = Path(__file__).parents[3] / "shared" / "bad-inputs" / "bad_tables.py"
REMEDY_WORDS = (". ", "; ")

pytestmark = pytest.mark.shared


@cache
def bad_tables() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip(f"{SCRIPT} is absent: the nasty tables are not tried")
    spec = importlib.util.spec_from_file_location("bad_tables", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bad_tables"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    out = tmp_path_factory.mktemp("bad") / "out"
    return {case.key: (case, out / "tables") for case in bad_tables().write(out)}


def arrays_of(case: Any, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    columns = Columns.learn(read_table(folder / case.train))
    return columns.encode(read_table(folder / (case.predict or case.train)))


def faults(case: Any, folder: Path, good: np.ndarray) -> list[str]:
    """What is wrong with how the case was answered; nothing when all is well."""
    try:
        number_NP, category_NQ = arrays_of(case, folder)
    except DataError as error:
        return refusal_faults(case, str(error))
    found = ["was accepted"] if case.expect == "refuse" else []
    if len(number_NP) != case.rows or len(category_NQ) != case.rows:
        found.append(f"{len(number_NP)} rows instead of {case.rows}")
    if np.isinf(number_NP).any() or not np.isfinite(np.nansum(number_NP.astype(np.float32) ** 2)):
        found.append("not finite")
    if case.same_as and not np.array_equal(number_NP, good):
        found.append(f"other numbers than {case.same_as}")
    return found


def refusal_faults(case: Any, message: str) -> list[str]:
    found = [f"was refused: {message}"] if case.expect == "fit" else []
    found += [f"does not name {name!r}: {message}" for name in case.names if name not in message]
    if case.row is not None and f"row {case.row}:" not in message:
        found.append(f"does not name row {case.row}: {message}")
    if not any(word in message for word in REMEDY_WORDS):
        found.append(f"holds no remedy: {message}")
    return found


def test_every_nasty_table_becomes_finite_arrays_or_an_error_that_names_the_cell(
    cases: dict[str, tuple[Any, Path]],
) -> None:
    good, _ = arrays_of(*cases["good"])
    found = {key: faults(case, folder, good) for key, (case, folder) in cases.items()}
    assert {key: wrong for key, wrong in found.items() if wrong} == {}
    assert len(found) == 131


def test_columns_in_another_order_give_the_same_arrays(cases: dict[str, tuple[Any, Path]]) -> None:
    for key in ("reordered", "extra"):
        number_NP, _ = arrays_of(*cases[key])
        assert np.array_equal(number_NP, arrays_of(*cases["good"])[0])


def test_a_column_constant_in_training_shows_when_it_varies(cases: dict[str, tuple[Any, Path]]) -> None:
    number_NP, _ = arrays_of(*cases["no_longer_constant"])
    assert np.abs(number_NP[:, 2]).min() > 10
