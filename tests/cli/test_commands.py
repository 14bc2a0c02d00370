"""Every command as a script sees it: exit code, one JSON object, messages that say what to do, columns of files."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twofold import GAN
from twofold.cli import COMMANDS, main
from twofold.cli.fit import FitFlags
from twofold.cli.flags import parse, parse_with_settings
from twofold.cli.turing import TuringFlags
from twofold.data.writing import write_table
from twofold.runs import load, resume_run

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(80, 3))


@pytest.fixture
def run_command(capsys):
    """Runs a command; its JSON object and what it said to people."""

    def command(*arguments, code=0):
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert end.value.code == code, err
        assert "Traceback" not in err
        last = json.loads(out.splitlines()[-1])
        assert last["exit"] == code and len(out.splitlines()) == 1
        return last, err

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table with a label and a formula, and a run of each method on it."""
    folder = tmp_path_factory.mktemp("cli")
    rows = np.vstack([NORMAL, NORMAL[:4] + 30])
    words = ["plain", "=1+1"] * 40 + ["@SUM(A1)"] * 4
    table = pa.table({"amount": rows[:, 0], "age": rows[:, 1], "size": rows[:, 2], "=word": words,
                      "kind": ["good"] * 80 + ["bad"] * 4})  # fmt: skip
    write_table(table.drop_columns(["kind"]), folder / "plain.csv")
    pq.write_table(table, folder / "data.parquet")
    for method in ("detector", "autoencoder"):
        fit = ["fit", method, folder / "data.parquet", "--out", folder / method, "--label", "kind", "--normal", "good"]
        with pytest.raises(SystemExit) as end:
            main([*map(str, fit), "--steps", "30", "--n-threads", "1"])
        assert end.value.code == 0
    return folder


# ---- usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_refuses_a_wrong_flag(name, run_command, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code in (0, None)
    assert "usage" in capsys.readouterr().out
    required = re.sub(r"\[.*?\]", "", COMMANDS[name][1]).replace("METHOD", "detector").split()
    _, err = run_command(name, *required, "--wrong-flag", "1", code=2)
    assert "--wrong-flag" in err
    if required:
        run_command(name, code=2)


def test_top_level_help_and_version(capsys):
    for arguments in (["--help"], []):
        main(arguments)
        out = capsys.readouterr().out
        assert all(name in out for name in COMMANDS)
    main(["--version"])
    assert capsys.readouterr().out.startswith("twofold 0.")


def test_a_reader_who_has_read_enough_is_no_fault():
    reading, writing = os.pipe()
    os.close(reading)  # as head does
    command = [sys.executable, "-c", "from twofold.cli import main; main()"]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("given, value", [(["--pairs"], True), (["--pairs", "False"], False), (["--pairs=True"], True)])
def test_a_flag_that_is_true_or_false_means_true_where_it_stands_alone(given, value):
    flags = parse(TuringFlags, "turing", ["run", "data", *given, "-n", "3"])
    assert (flags.pairs, flags.training, flags.n) == (value, False, 3)


def test_so_do_the_flags_of_a_method():
    _, gan = parse_with_settings(FitFlags, GAN, "fit gan", ["data", "--out", "run", "--conditional", "--dim", "8"])
    assert (gan.conditional, gan.dim) == (True, 8)
    _, gan = parse_with_settings(FitFlags, GAN, "fit gan", ["data", "--out", "run", "--conditional", "None"])
    assert gan.conditional is None


def test_unknown_names_are_refused_with_the_nearest(run_command, folder):
    assert "Did you mean detect?" in run_command("detct", code=2)[0]["error"]
    told, _ = run_command("fit", "autoencodr", "sample:wine", "--out", folder / "x", code=2)
    assert "Did you mean 'autoencoder'?" in told["error"] and "detector" in told["error"]
    assert "Allowed" in run_command("fit", code=2)[0]["error"]
    assert "Did you mean 'wine'?" in run_command("check", "sample:wien", code=2)[0]["error"]
    _, err = run_command("fit", "detector", "sample:wine", "--out", folder / "x", "--alarm-rat", "0.1", code=2)
    assert "--alarm-rate" in err
    run_command("fit", "detector", "sample:wine", "--out", folder / "x", "--alarm-rate", "much", code=2)
    assert not (folder / "x").exists()


def test_a_fault_of_ours_has_code_1_and_a_traceback_only_with_debug(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: "no number")
    fit = ["fit", "detector", "sample:wine", "--steps", "5", "--out"]
    for more, has_traceback in ([], False), (["--debug"], True):
        with pytest.raises(SystemExit) as end:
            main([*fit, str(tmp_path / f"run{len(more)}"), *more])
        err = capsys.readouterr().err
        assert end.value.code == 1 and ("Traceback" in err) == has_traceback
        assert "TypeError" in err and "--debug" in err


def test_a_training_that_diverges_ends_with_code_1_and_what_to_do(run_command, tmp_path):
    fit = ["fit", "detector", "sample:wine", "--out", tmp_path / "run", "--steps", 50, "--learning-rate", 1e35]
    told, _ = run_command(*fit, code=1)
    assert told["error"].startswith("The loss was not finite at step") and "--learning-rate" in told["error"]


# ---- data ----------------------------------------------------------------------------------------


def test_check_tells_kinds_and_what_was_guessed(run_command, tmp_path):
    (tmp_path / "a.csv").write_text("age;city;age\n" + "31;Rome;1\n;Oslo;2\n40;Rome;3\n" * 9)
    told, err = run_command("check", tmp_path / "a.csv")
    assert [(c["name"], c["kind"], c["n_missing"]) for c in told["columns"]][:2] == [
        ("age", "number", 9), ("city", "category", 0),
    ]  # fmt: skip
    assert told["rows"] == 27 and told["notes"] and all(f"note: {note}" in err for note in told["notes"])


def test_check_names_every_wrong_column_with_row_and_remedy(run_command, tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\n" + "".join(f"{i},{i},3\n" for i in range(30)) + "30,inf,3\nx,2,3\n")
    told, _ = run_command("check", tmp_path / "a.csv", code=2)
    assert "column 'a', row 32: 'x'" in told["error"] and "column 'b', row 31: 'inf'" in told["error"]
    assert told["error"].count("Mend") == 2


def test_missing_files_and_columns_are_named(run_command, folder):
    told, _ = run_command("fit", "detector", folder / "nope.csv", "--out", folder / "x", code=2)
    assert "nope.csv does not exist" in told["error"]
    data = folder / "data.parquet"
    told, _ = run_command("fit", "detector", data, "--out", folder / "x", "--label", "knd", code=2)
    assert "no column 'knd'" in told["error"] and "Did you mean 'kind'?" in told["error"]
    for command in (["fit", "detector", data, "--out", folder / "x"], ["evaluate", folder / "detector", data]):
        told, _ = run_command(*command, "--label", "kind", "--normal", "fine", code=2)
        assert "no row has kind = fine" in told["error"] and "bad, good" in told["error"]
    told, _ = run_command("evaluate", folder / "detector", folder / "plain.csv", "--normal", "good", code=2)
    assert "needs --label" in told["error"]
    assert not (folder / "x").exists()


# ---- runs ----------------------------------------------------------------------------------------


def test_fit_refuses_a_folder_with_a_run_and_resume_a_finished_one(run_command, folder):
    told, _ = run_command("fit", "detector", "sample:wine", "--out", folder / "detector", code=2)
    assert "already holds a run (finished)" in told["error"]
    assert "nothing to resume" in run_command("resume", folder / "detector", code=2)[0]["error"]
    assert "no run folder" in run_command("resume", folder, code=2)[0]["error"]
    assert "a file stands in the way" in run_command(
        "fit", "detector", "sample:wine", "--out", folder / "plain.csv", code=2
    )[0]["error"]  # fmt: skip


def test_runs_and_show(run_command, folder):
    told, err = run_command("runs", folder)
    assert {run["run"] for run in told["runs"]} == {"detector", "autoencoder"} and "finished" in err
    assert run_command("runs", folder / "empty", code=2)[0]["error"].endswith("Give the one that holds your runs.")
    told, err = run_command("show", folder / "detector")
    assert told["config"]["method"] == "detector" and told["progress"]["step"] == 30 and told["measures"]
    assert told["config"]["settings"]["normal_only"] is True and "alarm_rate" in err
    (folder / "detector/progress.jsonl").rename(folder / "away")
    assert run_command("show", folder / "detector")[0]["progress"] is None
    (folder / "away").rename(folder / "detector/progress.jsonl")


# ---- verbs ---------------------------------------------------------------------------------------


def test_detect_writes_five_columns_whose_formulas_are_harmless(run_command, folder, tmp_path):
    told, _ = run_command("detect", folder / "detector", folder / "plain.csv", "-o", tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "anomaly_score", "p_value", "is_anomaly", "reason"]
    assert [row["id"] for row in rows] == [str(i) for i in range(1, 85)]
    assert told["rows"] == 84 and told["alarms"] == sum(row["is_anomaly"] == "true" for row in rows) >= 4
    assert all(row["is_anomaly"] == "true" and row["reason"] for row in rows[-4:])
    assert all(0 < float(row["p_value"]) <= 1 for row in rows)
    assert not any(row["reason"].startswith(("=", "+", "-", "@")) for row in rows)
    told, _ = run_command("detect", folder / "detector", folder / "data.parquet", "--out", tmp_path / "out.parquet")
    assert told["measures"]["AUROC"]["value"] > 0.9
    assert pq.read_table(tmp_path / "out.parquet").column_names == list(rows[0])


def test_embed_writes_the_latent_as_parquet(run_command, folder, tmp_path):
    out = tmp_path / "latent.parquet"
    told, _ = run_command("embed", folder / "autoencoder", folder / "plain.csv", "-o", out)
    table = pq.read_table(out)
    assert table.column_names == ["id", *(f"e{i}" for i in range(told["latent_dim"])), "map_x", "map_y"]
    assert table["id"].to_pylist() == list(range(1, 85))
    np.testing.assert_array_equal(
        np.column_stack(table.columns[1:-2]), load(folder / "autoencoder").transform(folder / "plain.csv")
    )


def test_verbs_a_method_lacks_and_places_that_cannot_be_written_are_refused(run_command, folder, tmp_path):
    told, _ = run_command("embed", folder / "detector", "sample:wine", "-o", tmp_path / "a.csv", code=2)
    assert "'detector' run, which has no transform" in told["error"]
    detect = ["detect", folder / "detector", folder / "plain.csv", "-o"]
    assert "written as .csv" in run_command(*detect, tmp_path / "a.xlsx", code=2)[0]["error"]
    assert "does not exist" in run_command(*detect, tmp_path / "no/a.csv", code=2)[0]["error"]
    told, _ = run_command("detect", folder / "detector", "sample:wine", "-o", tmp_path / "a.csv", code=2)
    assert "lacks 'amount'" in told["error"]


def test_evaluate_tells_measures_beside_baselines_and_writes_them_into_the_card(run_command, folder):
    told, _ = run_command("evaluate", folder / "detector", folder / "data.parquet")
    auroc = told["measures"]["AUROC"]
    assert auroc["value"] > 0.9 and auroc["baselines"] and auroc["interval"][0] <= auroc["value"]
    assert "AUROC" in (folder / "detector/README.md").read_text()
    assert load(folder / "detector").n_iter_ == 30
    assert run_command("evaluate", folder / "autoencoder", folder / "plain.csv")[0]["measures"]
    # 0 is not among these labels, so there is no truth to compare with
    run_command("evaluate", folder / "detector", folder / "data.parquet", "--label", "kind", "--normal", "good")


# ---- stopping ------------------------------------------------------------------------------------


def test_ctrl_c_leaves_a_usable_run_that_can_be_gone_on_with(run_command, tmp_path):
    run = tmp_path / "run"

    def interrupt():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (run / "progress.jsonl").exists() and (run / "progress.jsonl").read_text().count("\n") > 3:
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.01)

    threading.Thread(target=interrupt, daemon=True).start()
    told, err = run_command("fit", "detector", "sample:wine", "--out", run, "--steps", 100_000, "--n-threads", 1)
    assert "the model so far is kept" in err
    assert json.loads((run / "config.json").read_text())["state"] == "stopped"
    assert 0 < told["steps"] < 100_000 and load(run).n_iter_ == told["steps"]
    run_command("detect", run, "sample:wine", "-o", tmp_path / "out.csv")
    training = resume_run(run)
    assert next(training).step == told["steps"] // 100 * 100 + 1
    training.close()


def test_the_installed_command_ends_with_its_code(tmp_path):
    command = Path(sys.executable).parent / "twofold"
    for arguments, code in (["check", "sample:wine"], 0), (["check", tmp_path / "nope.csv"], 2):
        done = subprocess.run([command, *arguments, "--json"], capture_output=True, text=True)
        assert done.returncode == code == json.loads(done.stdout.splitlines()[-1])["exit"]
        assert "Traceback" not in done.stderr


def test_a_normal_value_means_the_same_however_its_number_is_written(tmp_path, run_command):
    rows = np.random.default_rng(0).normal(size=(120, 2))
    write_table(pa.table({"a": rows[:, 0], "b": rows[:, 1], "kind": [0] * 110 + [1] * 10}), tmp_path / "t.csv")
    fit = ["fit", "detector", tmp_path / "t.csv", "--label", "kind", "--normal", "0.0", "--out", tmp_path / "run"]
    run_command(*fit, "--steps", "5")
    result, _ = run_command("detect", tmp_path / "run", tmp_path / "t.csv", "-o", tmp_path / "s.csv")
    assert "AUROC" in result["measures"]


def test_flags_of_all_commands_may_stand_in_front_too(tmp_path, capsys):
    for arguments in (["--json", "--debug", "runs", str(tmp_path)], ["runs", "--json", str(tmp_path)]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0 and json.loads(capsys.readouterr().out.splitlines()[-1])["runs"] == []
    main(["--json"])
    assert "twofold tour" in capsys.readouterr().out
