"""twofold sample, and turing and evaluate on a generator's run, for every kind of item."""

import json
from functools import cache

import numpy as np
import pyarrow.parquet as pq
import pytest

from twofold.cli import main
from twofold.data import open_table
from twofold.data.audio import open_sounds, write_sound
from twofold.data.pictures import open_pictures, write_picture
from twofold.data.sheets import contact_sheet
from twofold.data.tables import read_table
from twofold.data.writing import write_table

STEPS = ["--steps", "5", "--n-threads", "1", "--precision", "float32"]


@pytest.fixture
def run_command(capsys):
    """Runs a command; its JSON object and what it said to people."""

    def command(*arguments, code=0):
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert end.value.code == code, err
        return json.loads(out.splitlines()[-1]), err

    return command


def made(kind, place):
    """Data of that kind, and more of the same that no training sees."""
    rng = np.random.default_rng(0)
    if kind == "pictures":
        for side, n in (("data", 60), ("more", 30)):
            for i in range(n):
                name = ("dark", "light")[i % 2]
                pixels = rng.integers(0, 90, (8, 8), np.uint8) + 150 * (i % 2)
                write_picture(place / side / name / f"{i}.png", pixels.astype(np.uint8))
        return place / "data", place / "more", []
    if kind == "sounds":
        time = np.arange(1600) / 8000
        for side, n in (("data", 50), ("more", 20)):
            for i in range(n):
                tone = np.sin(2 * np.pi * (300 + 900 * (i % 2)) * rng.uniform(0.9, 1.1) * time)
                write_sound(place / side / f"{i % 2}_ann_{i}.wav", 0.4 * tone + rng.normal(0, 0.02, 1600), 8000)
        return place / "data", place / "more", ["--label", "digit"]
    if kind == "rows":
        table = open_table("sample:wine")
        write_table(table.slice(0, 120), place / "data.parquet")
        write_table(table.slice(120), place / "more.parquet")
        return place / "data.parquet", place / "more.parquet", []
    words = sorted(a + b for a in ("an", "ber", "car", "do", "em", "fri") for b in ("na", "ta", "la", "ra", "da", "ma"))
    words += [word + "e" for word in words]
    rng.shuffle(words)
    (place / "data.txt").write_text("\n".join(words[:52]))
    (place / "more.txt").write_text("\n".join(words[52:]))
    return place / "data.txt", place / "more.txt", []


KINDS = ("pictures", "rows", "sounds", "texts")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Kind -> a run, its data and further ones; trained when first asked for."""
    place = tmp_path_factory.mktemp("generators")

    @cache
    def run_of(kind):
        (place / kind).mkdir()
        data, more, flags = made(kind, place / kind)
        with pytest.raises(SystemExit) as end:
            main(["fit", "gan", str(data), "--out", str(place / kind / "run"), *flags, *STEPS])
        assert end.value.code == 0
        return place / kind / "run", data, more

    return run_of


def test_pictures_are_written_as_a_sheet_or_one_by_one_with_their_class(runs, run_command, tmp_path):
    run, _, _ = runs("pictures")
    told, err = run_command("sample", run, "-n", 7, "-o", tmp_path / "sheet.png")
    sheet = open_pictures(tmp_path / "sheet.png")[0]
    assert told["n"] == 7 and told["what"] == "pictures" and sheet.shape == (152, 152, 1)
    told, _ = run_command("sample", run, "-n", 7, "-o", tmp_path / "all")
    pictures = open_pictures(tmp_path / "all")
    assert pictures.ids == told["files"] and pictures[0].shape == (8, 8, 1)
    assert {name.split("-")[1] for name in told["files"]} <= {"dark.png", "light.png"} and "00001-" in told["files"][0]
    told, _ = run_command("sample", run, "-n", 3, "-o", tmp_path / "dark", "--class", "dark")
    assert told["files"] == ["00001-dark.png", "00002-dark.png", "00003-dark.png"]
    error = run_command("sample", run, "-o", tmp_path / "x.png", "--class", "grey", code=2)[0]["error"]
    assert "dark, light" in error


def test_the_same_seed_writes_the_same_items_and_another_seed_others(runs, run_command, tmp_path):
    run, _, _ = runs("pictures")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_command("sample", run, "-n", 5, "-o", tmp_path / f"{name}.png", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b and a != c


def test_rows_are_written_with_the_columns_of_training(runs, run_command, tmp_path):
    run, data, _ = runs("rows")
    for suffix in ("csv", "tsv", "parquet"):
        run_command("sample", run, "-n", 9, "-o", tmp_path / f"rows.{suffix}")
        table = read_table(tmp_path / f"rows.{suffix}")
        assert table.column_names == pq.read_table(data).column_names and table.num_rows == 9


def test_sounds_are_written_as_files_of_their_rate(runs, run_command, tmp_path):
    run, _, _ = runs("sounds")
    told, _ = run_command("sample", run, "-n", 4, "-o", tmp_path / "sounds", "--class", "1")
    sounds = open_sounds(tmp_path / "sounds")
    assert told["files"] == [f"{i:05d}-1.wav" for i in range(1, 5)] and len(sounds) == 4 and sounds.rate == 8000


def test_texts_are_written_one_a_line(runs, run_command, tmp_path):
    run, _, _ = runs("texts")
    run_command("sample", run, "-n", 12, "-o", tmp_path / "names.txt")
    assert len((tmp_path / "names.txt").read_text().split("\n")) == 13


@pytest.mark.parametrize(("kind", "name", "allowed"), [
    ("pictures", "x.csv", "a folder or .png"), ("rows", "x.png", ".csv or .tsv or .parquet"),
    ("sounds", "x.wav", "a folder"), ("texts", "x.md", ".txt"),
])  # fmt: skip
def test_a_wrong_ending_is_refused_with_what_is_allowed(runs, run_command, tmp_path, kind, name, allowed):
    error = run_command("sample", runs(kind)[0], "-o", tmp_path / name, code=2)[0]["error"]
    assert allowed in error and not (tmp_path / name).exists()


def test_a_folder_with_something_in_it_and_a_run_that_makes_nothing_are_refused(runs, run_command, tmp_path):
    run, data, _ = runs("pictures")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    assert "not empty" in run_command("sample", run, "-o", tmp_path / "full", code=2)[0]["error"]
    run_command("fit", "detector", runs("rows")[1], "--out", tmp_path / "run", "--steps", "5", "--n-threads", "1")
    error = run_command("sample", tmp_path / "run", "-o", tmp_path / "x.png", code=2)[0]["error"]
    assert "has no sample" in error


def test_a_sheet_holds_every_picture_once():
    pictures = [np.full((8, 8, 3), shade, np.uint8) for shade in range(0, 250, 50)]
    sheet = contact_sheet(pictures)
    assert sheet.shape == (2 * 50 + 2, 3 * 50 + 2, 3)
    assert sheet[10, 10].tolist() == [0, 0, 0] and sheet[60, 60].tolist() == [200, 200, 200]
    assert (sheet[60:, 110:] == 255).all()


@pytest.mark.parametrize("kind", KINDS)
def test_real_items_of_training_never_stand_on_the_real_side(runs, run_command, kind):
    from twofold.runs import load
    from twofold.runs.fakes import real_side
    from twofold.turing.items import fingerprints, kind_of

    run, data, more = runs(kind)
    generator = load(run)
    own, _ = real_side(generator, run, str(data), None)
    assert len(own) == len(generator.held_out_) > 0 and kind_of(own) == kind
    others, _ = real_side(generator, run, str(more), None)
    assert not set(fingerprints(own)) & set(fingerprints(others)) or kind == "rows"


@pytest.mark.parametrize("kind", ["pictures", "rows", "texts"])
def test_a_run_is_judged_against_data_that_it_has_not_seen(runs, run_command, kind):
    run, _, more = runs(kind)
    told, err = run_command("turing", run, more, "-n", 12)
    assert told["what"] == kind and told["n_real"] >= 12 and "Traceback" not in err


def test_its_own_data_are_refused_when_too_few_were_held_out_and_other_kinds_always(runs, run_command):
    run, data, _ = runs("pictures")
    told, err = run_command("turing", run, data, code=2)
    assert "only the 10 items held out" in err and "at least" in told["error"]
    assert "makes pictures" in run_command("turing", run, runs("rows")[1], code=2)[0]["error"]


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_tells_of_fakes_beside_the_floor(runs, run_command, kind):
    run, data, more = runs(kind)
    told, _ = run_command("evaluate", run, data)
    assert len(told["measures"]) >= 4 and all(measure["baselines"] for measure in told["measures"].values())
    assert next(iter(told["measures"])) in (run / "README.md").read_text()
    if kind in ("pictures", "texts"):
        _, err = run_command("evaluate", run, more)
        assert "not the data that were learned from" in err


def test_rows_that_were_learned_with_labels_get_them_back_as_a_column(run_command, tmp_path):
    labelled = tmp_path / "run"
    run_command("fit", "gan", "sample:wine", "--label", "cultivar", "--out", labelled, "--steps", 3)
    for wanted, names in (([], {"class_0", "class_1", "class_2"}), (["--class", "class_1"], {"class_1"})):
        run_command("sample", labelled, "-n", 40, "-o", tmp_path / "rows.parquet", *wanted)
        rows = open_table(tmp_path / "rows.parquet")
        assert set(rows["cultivar"].to_pylist()) == names and rows.num_rows == 40
        assert set(rows.column_names) == set(open_table("sample:wine").column_names)
