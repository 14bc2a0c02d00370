"""All nasty tables of ../shared/bad-inputs through fit and score: finite scores, or an error that names the cell."""

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from twofold.cli import main
from twofold.errors import InputError
from twofold.methods.autoencoder import Autoencoder
from twofold.methods.detector import AnomalyDetector

pytestmark = pytest.mark.shared

SLOW = "columns_10000"  # 15 s a fit of the detector: once is enough
FITS = {
    "detector, normal only": lambda: AnomalyDetector(n_steps=5, normal_only=True),
    "detector": lambda: AnomalyDetector(n_steps=5),
    "autoencoder": lambda: Autoencoder(n_steps=5, dim=16),
}
SAMPLE = (
    "good", "constant_and_missing", "one_column", "formulas", "single", "new_gap", "cell_inf", "new_word", "lost",
    "rows_0", "pickle_csv", "cut_parquet", "half_words", "no_rows",
)  # fmt: skip


@cache
def bad_tables(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bad_tables", shared / "bad-inputs" / "bad_tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bad_tables"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    out = tmp_path_factory.mktemp("bad") / "out"
    return {case.key: (case, out / "tables") for case in bad_tables(shared).write(out)}


def scores(name: str, case: Any, folder: Path) -> np.ndarray:
    """One line of numbers a row: whatever the method says of it."""
    model, X = FITS[name]().fit(folder / case.train), folder / (case.predict or case.train)
    if isinstance(model, AnomalyDetector):
        assert len(model.predict(X)) == case.rows
        return np.column_stack([model.score_samples(X), model.p_values(X)])
    return np.column_stack([model.transform(X), model.reconstruction_error(X)])


def faults(name: str, case: Any, folder: Path, good: np.ndarray) -> list[str]:
    """What is wrong with how the case was answered; nothing when all is well."""
    try:
        found = scores(name, case, folder)
    except InputError as error:
        return refusal_faults(case, str(error))
    wrong = ["was accepted"] if case.expect == "refuse" else []
    if len(found) != case.rows:
        wrong.append(f"{len(found)} scores instead of {case.rows}")
    if not np.isfinite(found).all():
        wrong.append("not finite")
    if case.same_as == "good" and not np.array_equal(found, good):
        wrong.append("other scores than good")
    return wrong


def refusal_faults(case: Any, message: str) -> list[str]:
    wrong = [f"was refused: {message}"] if case.expect == "fit" else []
    wrong += [f"does not name {word!r}: {message}" for word in case.names if word not in message]
    if case.row is not None and f"row {case.row}:" not in message:
        wrong.append(f"does not name row {case.row}: {message}")
    return wrong


@pytest.mark.parametrize("name", FITS)
def test_every_nasty_table_is_scored_or_refused_by_column_and_row(name, cases):
    good = scores(name, *cases["good"])
    tried = {key: value for key, value in cases.items() if key != SLOW or name != "detector"}
    assert {case.same_as for case, _ in cases.values()} == {None, "good"}
    found = {key: faults(name, case, folder, good) for key, (case, folder) in tried.items()}
    assert {key: wrong for key, wrong in found.items() if wrong} == {}
    assert len(cases) == 131


@pytest.mark.parametrize("key", SAMPLE)
def test_the_command_line_ends_with_one_json_object_and_no_traceback(key, cases, tmp_path, capsys):
    case, folder = cases[key]
    data, run, out = folder / case.train, tmp_path / "run", tmp_path / "found.csv"
    told, code = command(capsys, "fit", "detector", data, "--out", run, "--steps", 5)
    if code == 0:
        told, code = command(capsys, "detect", run, folder / (case.predict or case.train), "-o", out)
    if code == 0:
        assert case.expect != "refuse"
        lines = out.read_text().splitlines()
        assert len(lines) == case.rows + 1 and told["rows"] == case.rows
    else:
        assert code == 2 and case.expect != "fit"
        assert all(word in told["error"] for word in case.names) and not out.exists()


def command(capsys, *arguments: Any) -> tuple[dict[str, Any], int]:
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert len(out.splitlines()) == 1
    told = json.loads(out)
    assert told["exit"] == end.value.code
    return told, told["exit"]
