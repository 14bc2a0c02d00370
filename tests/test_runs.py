"""A run is a folder: what is learnt from, the journal, the card, and what else may lie in such folders."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from twofold.data.writing import write_table
from twofold.errors import DataError, DivergedError, RunError
from twofold.measure.report import Measure
from twofold.methods.autoencoder import Autoencoder
from twofold.methods.detector import AnomalyDetector
from twofold.runs import Source, find_runs, fit_run, load, read_progress, resume_run, write_card

RNG = np.random.default_rng(0)
TABLE = pa.table({"a": RNG.normal(size=60), "b": RNG.normal(size=60), "kind": np.repeat([0, 1, 2], 20)})


@pytest.fixture
def data(tmp_path):
    write_table(TABLE, tmp_path / "data.csv")
    return tmp_path / "data.csv"


def detector(**settings):
    return AnomalyDetector(**{"n_steps": 5, "n_threads": 1, **settings})


def finished(source, folder, estimator=None):
    for _ in fit_run(estimator or detector(), source, folder):
        pass
    return folder


# ---- what is learnt from -------------------------------------------------------------------------


def test_the_label_is_no_feature_and_only_normal_rows_are_learnt_from(data, tmp_path):
    source = Source(str(data), "kind", "1")
    assert source.training_rows().column_names == ["a", "b"]
    assert [float(text) for text in source.training_rows()["a"].to_pylist()] == TABLE["a"].to_pylist()[20:40]
    config = json.loads((finished(source, tmp_path / "run") / "config.json").read_text())
    assert (
        config["data"]["n_rows"] == 20 and config["data"]["normal"] == "1" and len(config["data"]["fingerprint"]) == 64
    )


@pytest.mark.parametrize("normal", ["1", "1.0", " 1", "01"])
def test_a_label_is_found_however_its_number_is_written(data, normal):
    assert Source(str(data), "kind", normal).training_rows().num_rows == 20


def test_an_absent_normal_value_or_label_is_refused_with_those_that_are_there(data):
    with pytest.raises(DataError, match=r"no row has kind = good\. Values there: 0, 1, 2\."):
        Source(str(data), "kind", "good").training_rows()
    with pytest.raises(DataError, match="Did you mean 'kind'"):
        Source(str(data), "kinds").read()
    with pytest.raises(DataError, match="--normal 1 needs --label"):
        Source(str(data), None, "1").read()
    with pytest.raises(DataError, match="no row has cultivar = 9.*class_0, class_1, class_2"):
        Source("sample:wine", None, "9").training_rows()


def test_sounds_and_short_texts_are_material_for_those_that_read_them(tmp_path):
    from twofold.core.material import Material
    from twofold.data.audio import write_sound
    from twofold.methods.gan import GAN

    for i in range(6):
        write_sound(tmp_path / "sounds" / f"{i % 2}_{'ab'[i // 3]}_{i}.wav", np.sin(np.arange(400) / (3 + i)), 8000)
    material = Material.of(GAN(), Source(str(tmp_path / "sounds"), "digit"))
    assert (material.unit, material.size, material.y.tolist()) == ("n_sounds", 6, list("000111"))
    by_speaker = Material.of(GAN(), Source(str(tmp_path / "sounds"), "speaker", "a"))
    assert by_speaker.size == 3 and set(by_speaker.y) == {"a"}
    with pytest.raises(DataError, match="holds sounds; 'detector' learns from: table, pictures"):
        Material.of(detector(), Source(str(tmp_path / "sounds")))
    (tmp_path / "names.txt").write_text(" anna\n\nbert \ncarl\n")
    texts = Material.of(GAN(), Source(str(tmp_path / "names.txt")))
    assert texts.X == ["anna", "bert", "carl"] and (texts.unit, texts.size, texts.y) == ("n_lines", 3, None)
    with pytest.raises(DataError, match="short texts have none"):
        Material.of(GAN(), Source(str(tmp_path / "names.txt"), "first"))
    with pytest.raises(DataError, match="has no labels"):
        Material.of(GAN(), Source(str(tmp_path / "sounds" / "0_a_0.wav"), "digit"))


def test_labels_go_to_those_that_learn_from_them_only(data, tmp_path):
    class Listener(Autoencoder):
        def train(self, X, y=None, *, folder=None):
            heard.append(y)
            return super().train(X, y, folder=folder)

    class Learner(Listener):
        learns_labels = True

    heard = []
    for number, estimator in enumerate((Listener, Learner)):
        finished(Source(str(data), "kind"), tmp_path / str(number), estimator(n_steps=2, map_steps=0, n_threads=1))
    assert heard[0] is None and heard[1].tolist() == ["0"] * 20 + ["1"] * 20 + ["2"] * 20


# ---- beginning and going on ----------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_not_written_over(data, tmp_path):
    folder = finished(Source(str(data)), tmp_path / "run")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"already holds a run \(finished\).*another --out"):
        next(fit_run(detector(), Source(str(data)), folder))
    with pytest.raises(RunError, match="finished; there is nothing to resume"):
        next(resume_run(folder))
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_file_where_the_folder_should_be_is_refused(data, tmp_path):
    for place in (data, data / "run"):
        with pytest.raises(RunError, match="a file stands in the way"):
            next(fit_run(detector(), Source(str(data)), place))


def test_data_that_changed_since_the_run_began_are_refused(data, tmp_path):
    training = fit_run(detector(n_steps=50), Source(str(data)), tmp_path / "run")
    next(training)
    training.close()
    write_table(TABLE.slice(1), data)
    with pytest.raises(RunError, match="has changed since .* began"):
        next(resume_run(tmp_path / "run"))
    write_table(TABLE, data)
    for _ in resume_run(tmp_path / "run"):
        pass
    assert load(tmp_path / "run").n_iter_ == 50


def test_a_run_that_was_killed_before_its_end_is_not_loaded_but_named(data, tmp_path):
    training = fit_run(detector(), Source(str(data)), tmp_path / "run")
    next(training)
    with pytest.raises(RunError, match="unfinished. Finish it with: twofold resume"):
        load(tmp_path / "run")
    training.close()
    assert load(tmp_path / "run").n_iter_ == 1


def test_a_checkpoint_without_a_run_is_not_gone_on_from(data, tmp_path):
    """Left by a run that was killed before its config.json: whose settings it had is not known."""
    folder = finished(Source(str(data)), tmp_path / "run", detector(n_steps=120, seed=1))
    assert (folder / "checkpoint/state.safetensors").exists()
    (folder / "config.json").unlink()
    finished(Source(str(data)), folder, detector(n_steps=120, seed=2))
    other = finished(Source(str(data)), tmp_path / "other", detector(n_steps=120, seed=2))
    assert (folder / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_data_that_cannot_be_learnt_from_leave_no_run(tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,inf\n")
    with pytest.raises(DataError, match="column 'b', row 2"):
        next(fit_run(detector(), Source(str(tmp_path / "bad.csv")), tmp_path / "run"))
    assert find_runs(tmp_path) == []
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,4\n")
    finished(Source(str(tmp_path / "bad.csv")), tmp_path / "run")


# ---- the journal ---------------------------------------------------------------------------------


def test_the_journal_is_json_without_nan_and_a_torn_line_is_passed_over(data, tmp_path):
    table = pa.table({"a": np.where(np.arange(60) == 3, 1e30, RNG.normal(size=60)), "b": RNG.normal(size=60)})
    write_table(table, data)
    folder = finished(
        Source(str(data)), tmp_path / "run", Autoencoder(n_steps=20, map_steps=0, dim=8, learning_rate=1e3, n_threads=1)
    )
    path = folder / "progress.jsonl"
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    lines = read_progress(path)
    assert [line["step"] for line in lines if not line["note"]][-1] == 20
    with open(path, "a") as file:
        file.write('{"step": 21, "los')
    assert read_progress(path) == lines
    assert read_progress(tmp_path / "absent") == []


def test_lines_that_a_killed_session_wrote_after_its_checkpoint_are_written_anew(data, tmp_path):
    def train(folder, stop_at=None):
        begin = resume_run(folder) if (folder / "config.json").exists() else fit_run(
            detector(n_steps=130), Source(str(data)), folder
        )  # fmt: skip
        for progress in begin:
            if progress.step == stop_at:
                break
        begin.close()
        return [line["step"] for line in read_progress(folder / "progress.jsonl")]

    assert train(tmp_path / "run", stop_at=115) == list(range(1, 116))
    assert train(tmp_path / "run") == train(tmp_path / "whole") == list(range(1, 131))


def test_what_was_gone_back_over_is_not_told_twice(data, tmp_path):
    """A loss that was not finite: the journal's steps fall back, and a resumed run must cut it at the right place."""
    training = fit_run(detector(n_steps=130), Source(str(data)), tmp_path / "run")
    for progress in training:
        if progress.step == 105:
            break
    training.close()
    path = tmp_path / "run/progress.jsonl"
    lines = path.read_text().splitlines()
    note = json.dumps(json.loads(lines[99]) | {"note": "not finite at step 104: back to step 100"})
    path.write_text("\n".join([*lines, note, *lines[100:103]]) + "\n")
    for _ in resume_run(tmp_path / "run"):
        pass
    assert [line["step"] for line in read_progress(path)] == list(range(1, 131))


def test_a_training_that_diverges_says_so_and_leaves_finite_weights(data, tmp_path):
    with pytest.raises(DivergedError, match="Give a smaller learning rate"):
        finished(Source(str(data)), tmp_path / "run", detector(n_steps=50, learning_rate=1e35))
    assert np.isfinite(load(tmp_path / "run").score_samples(data)).all()


# ---- looking -------------------------------------------------------------------------------------


def test_runs_are_found_newest_first_and_what_is_no_run_is_passed_over(data, tmp_path):
    for name in ("first", "deep/second"):
        finished(Source(str(data)), tmp_path / "runs" / name)
    for name, text in {"other": '{"name": "a package"}', "torn": '{"meth', "list": "[1]"}.items():
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "config.json").write_text(text)
    found = find_runs(tmp_path / "runs")
    assert [run["run"] for run in found] == ["deep/second", "first"]
    assert found[0]["method"] == "detector" and found[0]["state"] == "finished" and found[0]["steps"] == 5
    assert math.isfinite(found[0]["loss"]) and found[0]["measures"]
    with pytest.raises(RunError, match="is no folder"):
        find_runs(tmp_path / "nowhere")


def test_the_card_tells_data_settings_measures_and_use(data, tmp_path):
    folder = finished(Source(str(data), "kind", "1"), tmp_path / "run", detector(trim=0.1))
    text = (folder / "README.md").read_text()
    for part in (
        "# run",
        f"{data}: 20 rows",
        "`kind` left out, only rows where it is 1",
        "'trim': 0.1",
        "twofold.load",
    ):
        assert part in text
    measure = Measure("AUROC", 0.9, (0.8, 1.0), (("chance", 0.5),))
    write_card(load(folder), folder, json.loads((folder / "config.json").read_text())["data"], [measure])
    text = (folder / "README.md").read_text()
    assert "AUROC" in text and "chance" in text and "20 rows" in text
