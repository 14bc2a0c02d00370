"""A share of benchmarks/studio_schema.py: questions made up for every operation of the REST."""

import runpy
import shutil
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "studio_schema.py"
N_CASES = 700


@pytest.mark.filterwarnings("ignore")  # the tool's own
def test_every_operation_answers_as_its_schema_says_and_never_with_a_fault_of_ours(tmp_path, small_run, runs_folder):
    for name in ("autoencoder", "detector", "gan-rows"):
        small_run(name)
        shutil.copytree(runs_folder / name, tmp_path / name)
    n_cases, asker, rows = runpy.run_path(str(BENCHMARK))["run"](tmp_path, N_CASES, n_round=8)
    assert n_cases >= N_CASES and {row["operation"] for row in rows} >= {"GET /api/v1/runs", "POST /api/v1/runs"}
    assert asker.faults == {}
    assert not [status for status in asker.statuses if status >= 500]
