"""`twofold turing` as a script sees it."""

import json

import numpy as np
import pytest

from twofold.cli import main
from twofold.data.audio import write_sound


def told(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as end:
        main(["turing", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert end.value.code == code, err
    return json.loads(out.splitlines()[-1]), err


@pytest.fixture
def folders(tmp_path):
    """Real bells, fakes a little higher, and a fake that cannot be read."""
    rng = np.random.default_rng(0)
    t = np.arange(1600) / 8000
    for side, shift in (("real", 0), ("fake", 400)):
        for i in range(40):
            bell = (
                np.exp(-t * 20) * np.sin(2 * np.pi * (rng.uniform(600, 1000) + shift) * t) + rng.normal(size=1600) / 50
            )
            write_sound(tmp_path / side / f"{i}.wav", bell * 0.5, 8000)
    (tmp_path / "fake" / "bad.wav").write_bytes(b"RIFF")
    return tmp_path


def test_two_folders_of_sounds_are_judged(folders, capsys):
    found, err = told(capsys, folders / "real", folders / "fake", "--judge", "machine", "-n", 40, "--seed", 3)
    assert found["kind"] == "told apart" and found["what"] == "sounds" and found["test"]["auc"] > 0.9
    assert "left out: bad.wav" in err and len(found["real_against_real"]) == 8
    assert found["sentence"] in err


def test_items_of_training_are_no_real_items(folders, capsys):
    found, err = told(capsys, folders / "real", folders / "fake", "--seen", folders / "real" / "7.wav")
    assert found["n_real"] == 39 and "1 real items were seen in training" in err


def test_what_people_cannot_be_asked_is_refused_before_anything_is_served(folders, capsys):
    human = (folders / "real", folders / "fake", "--judge", "human", "--runs", folders / "runs")
    assert "1 to 200" in told(capsys, *human, "-n", 0, code=2)[0]["error"]
    assert "50 to 60000" in told(capsys, *human, "--view-milliseconds", 5, code=2)[0]["error"]
    assert "100 were asked for" in told(capsys, *human, "-n", 100, code=2)[0]["error"]
    assert "--seen is for" in told(capsys, *human, "--seen", folders / "real", code=2)[0]["error"]
    assert not list((folders / "runs").rglob("trial.json"))


def test_a_run_in_the_second_place_is_refused_with_what_to_do(folders, capsys):
    assert "does not exist" in told(capsys, folders / "absent.csv", folders / "fake", code=2)[0]["error"]
    (folders / "fake" / "config.json").write_text("{}")
    assert "a run stands first" in told(capsys, folders / "real", folders / "fake", code=2)[0]["error"]


def test_two_tables_are_judged_whether_a_file_writes_their_numbers_as_text_or_not(tmp_path, capsys):
    import pyarrow as pa

    from twofold.data.samples import load_sample
    from twofold.data.tables import write_table

    wine = load_sample("wine")
    rows = np.random.default_rng(0).permutation(wine.num_rows)
    one, other = (wine.take(pa.array(part)) for part in (rows[:80], rows[80:160]))
    write_table(one, tmp_path / "one.csv")
    for name in ("other.csv", "other.parquet"):
        write_table(other, tmp_path / name)
        found, _ = told(capsys, tmp_path / "one.csv", tmp_path / name)
        # halves of one table
        assert found["what"] == "rows" and 0.3 < found["test"]["auc"] < 0.7
