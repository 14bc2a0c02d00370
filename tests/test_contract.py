"""What every method promises. A new one needs a line in FACTS only where the defaults there do not fit it."""

import contextlib
import dataclasses
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from sklearn.datasets import load_wine
from sklearn.utils.estimator_checks import check_estimator

import twofold
from twofold.cli import main
from twofold.core.estimator import Estimator, settings
from twofold.data.pairs import Pairs, open_pairs
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DiskFullError, InputError, RunError, SettingError
from twofold.methods import METHODS
from twofold.runs import Source, fit_run, load, read_progress, resume_run

HERE = Path(__file__).parent
N_STEPS = 120
RNG = np.random.default_rng(0)
ARRAY = load_wine().data
FRAME = pd.DataFrame({
    "amount": np.where(np.arange(90) % 11 == 3, np.nan, RNG.gamma(2.0, 40.0, 90)),
    "city": pd.Series(RNG.choice(["Rome", "Oslo", "Lima"], 90)).where(np.arange(90) % 9 != 1),
    "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 400, 90), "D"),
    "visits": RNG.poisson(4, 90),
})  # fmt: skip
VERBS = (
    "transform", "reconstruct", "reconstruction_error", "score_samples", "decision_function", "predict", "p_values",
    "detect", "explain",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the tests must know of a method."""

    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """For a quick training."""
    inputs: tuple[Any, ...] = (ARRAY, FRAME)
    """Small data to learn from and to answer about."""
    source: str = "sample:wine"
    """The same for a run folder."""
    verbs: tuple[str, ...] = VERBS
    """What is asked about the inputs, where the method has it."""
    is_for_arrays: bool = True
    """Whether scikit-learn's own checks, which pass 2-D arrays, apply."""


GREY = RNG.integers(0, 256, (12, 20, 24, 1), np.uint8)
COLOUR = RNG.integers(0, 256, (3, 17, 19, 3), np.uint8)
LABELLED = open_pictures(HERE / "digits.parquet")
CAPTIONED = open_pairs(COLOUR, ["a wood", ["a lake", "water"], "a town"])
PLACES, THINGS = ("wood", "lake", "town"), ("fox", "ship", "tree")
STORY = " ".join(
    f"{who} went to the {place} and saw a {thing}.\n"
    for who in ("Anna", "Ben", "Cara", "Dora") for place in PLACES for thing in THINGS
)  # fmt: skip
FACTS = {
    "autoencoder": Facts({"dim": 16}, (ARRAY, FRAME, GREY)),
    "clip": Facts(
        {"dim": 16, "embed_dim": 8, "batch_size": 16, "precision": "float32"},
        (CAPTIONED, Pairs(LABELLED, [["a digit", str(d)] for d in LABELLED.labels], [])), str(HERE / "digits.parquet"),
        ("transform", "describe"), is_for_arrays=False,
    ),
    "compressor": Facts(
        {"dim": 8, "depth": 1, "context_dim": 8, "patch": 32, "batch_size": 4, "precision": "float32"},
        (COLOUR, GREY), "sample:photos", is_for_arrays=False,
    ),
    "denoiser": Facts(
        {"dim": 8, "depth": 1, "patch_size": 16, "batch_size": 4, "precision": "float32"}, (GREY, COLOUR),
        "sample:photos", ("denoise", "estimate_gain"), is_for_arrays=False,
    ),
    "gan": Facts(
        {"dim": 4, "noise_dim": 8, "batch_size": 8, "precision": "float32"}, (GREY, COLOUR),
        str(HERE / "digits.parquet"),
        ("discriminate",), is_for_arrays=False,
    ),
    "masked": Facts(
        {"dim": 32, "depth": 1, "n_words": 16, "batch_size": 8, "precision": "float32"}, (GREY, COLOUR),
        str(HERE / "digits.parquet"), ("transform",), is_for_arrays=False,
    ),
    "transfer": Facts(
        {"backbone": "untrained:mobilenetv1_025", "mode": "finetune", "image_size": 32, "n_folds": 2, "batch_size": 8,
         "precision": "float32"},
        (LABELLED, Pictures.of(COLOUR, labels=["wood", "lake", "wood"])), str(HERE / "digits.parquet"),
        ("transform", "predict_proba", "predict"), is_for_arrays=False,
    ),
    "language": Facts(
        {"depth": 1, "context": 16, "batch_size": 8, "memory": 3, "precision": "float32"},
        ([STORY], [STORY[::-1], STORY]),
        str(HERE.parent / "CONTRIBUTING.md"), ("bits_per_byte", "score", "surprises"), is_for_arrays=False,
    ),
}  # fmt: skip

methods = pytest.mark.parametrize("method", METHODS)


def facts(method: str) -> Facts:
    return FACTS.get(method, Facts())


def quick(method: str, **more: Any) -> Estimator:
    return METHODS[method](**{"n_steps": 20, "device": "cpu", "n_threads": 1, **facts(method).settings, **more})


def few(X: Any) -> Any:
    return X.take(range(min(5, len(X)))) if isinstance(X, Pictures | Pairs) else X[:5]


def source(method: str) -> Source:
    return Source(facts(method).source)


def answers(model: Estimator, X: Any) -> dict[str, Any]:
    """What the method says to X, verb by verb, as values that == compares bit for bit."""
    if model.method == "compressor":  # of single pictures
        files = [model.compress(picture) for picture in X]
        return {"files": [file.hex() for file in files], "back": plain([model.decompress(file) for file in files])}
    told = {verb: plain(getattr(model, verb)(X)) for verb in facts(model.method).verbs if hasattr(model, verb)}
    if hasattr(model, "sample"):
        told |= {"sample": plain(model.sample(5, seed=1))}
    return told | ({"inpaint": plain(model.inpaint(X, ratio=0.5))} if hasattr(model, "inpaint") else {})


def plain(answer: Any) -> Any:
    if isinstance(answer, np.ndarray) and answer.dtype != object:
        return str(answer.dtype), answer.shape, answer.tobytes()
    if isinstance(answer, list):
        return [plain(part) for part in answer]
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items()}
    return repr(answer.to_dict("list") if hasattr(answer, "to_dict") else answer)


def finish(training: Any, stop_at: int | None = None) -> None:
    """Ask for progress to the end, or until that step."""
    for progress in training:
        if progress.step == stop_at:
            break
    training.close()


def journal(run: Path) -> list[dict[str, Any]]:
    """progress.jsonl without what the clock says, which no two runs share: seconds, and the minutes foretold."""
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in read_progress(run / "progress.jsonl")]
    return [line | {"note": line["note"].partition(", ")[0] if line["note"].startswith("tuning, ") else line["note"]}
            for line in lines]  # fmt: skip


@contextlib.contextmanager
def files_of_at_most(n_bytes: int):
    """A disk on which no file can grow beyond that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    # Python would cut byte code off there without a word, and every later import of it would fail
    writes_no_code, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_no_code
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---- scikit-learn and the declaration ------------------------------------------------------------


@methods
def test_scikit_learns_own_checks_pass(method):
    if not facts(method).is_for_arrays:
        pytest.skip(f"{method} does not learn from 2-D arrays")
    results = check_estimator(quick(method), on_fail=None, on_skip=None)
    assert len(results) > 40
    assert not [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]


@methods
def test_every_field_has_a_default_a_line_of_help_and_a_flag(method, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit", method, "--help"])
    assert end.value.code == 0
    help_text = capsys.readouterr().out
    for setting in settings(METHODS[method]):
        flag = {"n_steps": "steps"}.get(setting.name, setting.name).replace("_", "-")
        assert f"--{flag} " in help_text
        assert setting.help != setting.name and setting.help.endswith(".") and len(setting.help) > 20
    assert METHODS[method]().get_params() == {s.name: s.default for s in settings(METHODS[method])}
    assert METHODS[method].method == method


@methods
@pytest.mark.parametrize(
    "wrong", [{"n_steps": 0}, {"batch_size": -1}, {"minutes": 0.0}, {"learning_rate": 0.0}, {"seed": -1},
              {"device": "abacus"}, {"n_threads": 0}]
)  # fmt: skip
def test_a_setting_that_no_training_can_use_is_refused_by_name(method, wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        quick(method, **wrong).fit(facts(method).inputs[0])


# ---- the same again ------------------------------------------------------------------------------


@methods
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(method):
    X = facts(method).inputs[0]
    first, second, other = (answers(quick(method, seed=seed).fit(X), X) for seed in (3, 3, 4))
    assert first == second
    assert first != other


@methods
def test_fit_prints_nothing_and_leaves_global_state_alone(method, capfd):
    X = facts(method).inputs[0]
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate(), torch.get_num_threads()
    model = quick(method).fit(X)
    answers(model, X)
    after = torch.get_rng_state(), repr(np.random.get_state()), random.getstate(), torch.get_num_threads()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    assert capfd.readouterr() == ("", "")


@methods
def test_fitting_again_forgets_the_first_fit(method):
    if len(facts(method).inputs) < 2:
        pytest.skip("one kind of data only")
    first, second = facts(method).inputs[:2]
    model = quick(method).fit(second).fit(first)
    assert answers(model, first) == answers(quick(method).fit(first), first)


# ---- saving --------------------------------------------------------------------------------------


@methods
def test_what_is_saved_and_loaded_answers_the_same_bit_for_bit(method, tmp_path):
    for number, X in enumerate(facts(method).inputs):
        model = quick(method).fit(X)
        expected = answers(model, X)
        assert expected
        folder = model.save(tmp_path / f"run{number}")
        again = METHODS[method].load(folder)
        assert answers(again, X) == expected
        assert answers(load(folder), X) == expected
        assert again.get_params() == model.get_params() and again.n_iter_ == model.n_iter_ == 20
        # and once more: nothing is lost on the way
        other = METHODS[method].from_pretrained(again.save_pretrained(tmp_path / f"copy{number}"))
        assert answers(other, X) == expected
        assert (tmp_path / f"copy{number}/model.safetensors").read_bytes() == (
            folder / "model.safetensors"
        ).read_bytes()


@methods
def test_a_model_trained_on_a_device_that_is_not_here_can_be_loaded(method, tmp_path):
    X = facts(method).inputs[0]
    model = quick(method).fit(X)
    expected = answers(model, X)
    model.set_params(device="cuda:77").save(tmp_path)
    assert answers(load(tmp_path), X) == expected


@methods
def test_a_run_of_another_method_another_format_or_none_is_refused(method, tmp_path, monkeypatch):
    folder = quick(method).fit(facts(method).inputs[0]).save(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    for change, match in (
        ({"method": "alchemy"}, "alchemy"), ({"format": 99}, "newer twofold"), ({"settings": {"lead": 1}}, "'lead'"),
        ({"settings": []}, "spoilt"), ({"learned": {}}, "do not belong together"), ({"format": None}, "spoilt"),
    ):  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config | change))
        for open_run in (METHODS[method].load, load):
            with pytest.raises(RunError, match=match):
                open_run(folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for absent in ("nobody/nothing", tmp_path / "nowhere"):
        with pytest.raises(RunError, match="no folder here"):
            METHODS[method].from_pretrained(absent)
    with pytest.raises(RunError, match="no run folder"):
        METHODS[method].load(tmp_path)


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one mischance: cut, a flipped bit, lost, doubled or foreign bytes."""
    at, length = rng.randrange(len(data)), rng.randrange(1, 40)
    foreign = rng.choice([b"9", b"null", b"-", b'"', b"1e99", b"[]", b"\x00", b"9" * 12])
    return rng.choice([
        lambda: data[:at],
        lambda: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        lambda: data[:at] + data[at + length :],
        lambda: data[:at] + data[at : at + length] + data[at:],
        lambda: data[:at] + foreign + data[at + 1 :],
    ])()  # fmt: skip


@methods
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_spoilt_files_give_our_error_or_the_same_answers(method, name, tmp_path):
    X = few(facts(method).inputs[-1])
    folder = quick(method).fit(facts(method).inputs[-1]).save(tmp_path / "run")
    whole, expected = (folder / name).read_bytes(), answers(load(folder), X)
    # the file's beginning, where its structure is, is hit as often as the rest of it
    rng, head = random.Random(0), len(whole) if name == "config.json" else 3000
    n_refused = 0
    for trial in range(200):
        cut = head if trial % 2 else len(whole)
        data = spoilt(whole[:cut], rng) + whole[cut:]
        (folder / name).write_bytes(data)
        try:
            found = answers(load(folder), X)
        except RunError:
            n_refused += 1
        except InputError:
            # a column's name in config.json, say: it can be loaded, and X does not fit it
            assert name == "config.json"
        else:
            assert name == "config.json" or found == expected
    assert n_refused >= (80 if name == "config.json" else 190)


@methods
def test_a_full_disk_leaves_the_old_files_whole(method, tmp_path):
    X = facts(method).inputs[0]
    folder = quick(method).fit(X).save(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    new = quick(method, seed=1).fit(X)
    with files_of_at_most(500), pytest.raises(DiskFullError, match=r"model.safetensors needs .* MB.*untouched"):
        new.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@methods
@pytest.mark.parametrize("n_bytes", [50, 1200, 12_000])
def test_a_disk_that_fills_during_a_fit_ends_with_code_3_and_a_run_to_resume(method, n_bytes, tmp_path, capsys):
    run = tmp_path / "run"
    quickly = [f"--{name}={value}" for name, value in facts(method).settings.items()]
    with files_of_at_most(n_bytes), pytest.raises(SystemExit) as end:
        main(["fit", method, facts(method).source, "--out", str(run), "--steps", str(N_STEPS), "--json", *quickly])
    assert end.value.code == 3
    assert "no room" in json.loads(capsys.readouterr().out)["error"]
    assert not list(run.rglob("*.part"))
    began = (run / "config.json").exists()
    finish(resume_run(run) if began else fit_run(quick(method, n_steps=N_STEPS), source(method), run))
    assert load(run).n_iter_ == N_STEPS


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Callable[[str], Path]:
    """An undisturbed run of each method."""
    runs: dict[str, Path] = {}

    def give(method: str) -> Path:
        if method not in runs:
            runs[method] = tmp_path_factory.mktemp("whole") / method
            finish(fit_run(quick(method, n_steps=N_STEPS), source(method), runs[method]))
        return runs[method]

    return give


@methods
@pytest.mark.parametrize("stops", [[1], [60, 90], [100, 101], [119], [120]])
def test_a_run_that_was_stopped_resumes_to_the_same_weights_and_the_same_journal(method, stops, whole_run, tmp_path):
    run, whole = tmp_path / "run", whole_run(method)
    finish(fit_run(quick(method, n_steps=N_STEPS), source(method), run), stops[0])
    for stop in [*stops[1:], None]:
        assert json.loads((run / "config.json").read_text())["state"] == "stopped"
        assert load(run).n_iter_ == (stops[0] if stop == stops[-1] or len(stops) == 1 else stops[-1])
        finish(resume_run(run), stop)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert journal(run) == journal(whole)
    assert (run / "config.json").read_bytes() == (whole / "config.json").read_bytes()


@methods
def test_a_training_that_is_closed_early_leaves_a_saved_and_usable_model(method, tmp_path):
    model, X = quick(method, n_steps=10_000), facts(method).inputs[0]
    training = model.train(X)
    for _ in range(3):
        next(training)
    training.close()
    assert model.n_iter_ == 3 and answers(model, X)
    assert answers(load(model.save(tmp_path / "run")), X) == answers(model, X)


@methods
def test_the_minutes_are_kept(method):
    began = time.monotonic()
    model = quick(method, n_steps=None, minutes=0.005).fit(facts(method).inputs[0])
    assert 0.3 < time.monotonic() - began < 10
    assert model.n_iter_ >= 2  # of the slowest, on a busy machine


@methods
def test_a_second_process_in_the_same_folder_is_told_the_pid_of_the_first(method, tmp_path):
    first = fit_run(quick(method), source(method), tmp_path / "run")
    next(first)
    for second in (fit_run(quick(method), source(method), tmp_path / "run"), resume_run(tmp_path / "run")):
        with pytest.raises(RunError, match=f"is being written by process {os.getpid()} on "):
            next(second)
    finish(first)
    assert load(tmp_path / "run").n_iter_ == 20


def test_a_run_killed_at_any_of_its_writes_resumes_to_the_same_bits(tmp_path):
    """Every write of a resumed run is cut in half and the process killed there (kill_script.py)."""
    done = run_script("kill_script.py", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result) == set(METHODS)
    for method, (n_kills, n_equal) in result.items():
        assert n_kills >= 6 and n_equal == n_kills, method


def test_two_processes_give_the_weights_of_one_with_the_same_whole_batch(tmp_path):
    done = run_script("torchrun_script.py", tmp_path / "two", launcher=(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
    ))  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for method in METHODS:
        quick(method, n_steps=30, batch_size=32).fit(facts(method).inputs[0]).save(tmp_path / "one" / method)
        one, two = (load_file(tmp_path / which / method / "model.safetensors") for which in ("one", "two"))
        assert one.keys() == two.keys()
        for name in one:
            # whole numbers count 2**-20 at the finest: the same 1e-5, and one for rounding
            atol = 1e-5 if one[name].is_floating_point() else 1e-5 * 2**20 + 1
            assert torch.allclose(one[name].double(), two[name].double(), rtol=0, atol=atol, equal_nan=True), name


def run_script(name: str, *arguments: Any, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, str(HERE / name), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def test_the_package_offers_every_method_by_name():
    for cls in METHODS.values():
        assert getattr(twofold, cls.__name__) is cls and cls.__name__ in dir(twofold)
    assert shutil.which("twofold", path=str(Path(sys.executable).parent))
