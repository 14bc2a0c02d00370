"""index and search from the command line: counts, what fits, what does not, sheets and reasons."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twofold.cli import main
from twofold.data.pictures import decode_picture, write_picture
from twofold.methods import METHODS

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))  # the small towers that several tests share
from colours import WORDS, Colours  # noqa: E402


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A run, pictures of three colours, and one that is broken."""
    monkeypatch.setitem(METHODS, "colours", Colours)
    Colours().save(tmp_path / "run")
    for number, colour in enumerate(("red", "green", "blue", "red")):
        pixels = (np.array(WORDS[colour]) + 1) * 120 + np.random.default_rng(number).integers(0, 15, (40, 60, 3))
        write_picture(_made(tmp_path / "pictures" / colour) / f"{number}.png", pixels.astype(np.uint8))
    (tmp_path / "pictures" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


@pytest.fixture
def indexed(place, run_command):
    run_command("index", "run", "pictures", "-o", "photos.index")
    return run_command


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_index_tells_counts_and_the_broken_and_again_only_what_is_new(place, run_command):
    told, err = run_command("index", "run", "pictures", "-o", "photos.index", "--n-threads", "1")
    assert (told["pictures"], told["embedded"], told["forgotten"]) == (4, 4, 0) and told["seconds"] > 0
    assert [bad["name"] for bad in told["broken"]] == ["torn.png"] and "left out: torn.png: " in err
    (place / "pictures" / "green" / "1.png").unlink()
    again, err = run_command("index", "run", "pictures", "-o", "photos.index", "--n-threads", "2")
    assert (again["pictures"], again["embedded"], again["forgotten"]) == (3, 0, 1)
    assert "3 pictures in photos.index: 0 embedded" in err


def test_search_lists_what_fits_and_writes_a_sheet_and_the_reasons(place, indexed):
    told, err = indexed("search", "photos.index", "red", "-k", 5, "--sheet", "found.png", "--why", "why")
    assert {match["id"] for match in told["matches"]} == {"red/0.png", "red/3.png"} and "red/0.png" in err
    assert Path(told["matches"][0]["path"]).is_file() and len(told["nearest"]) == 4
    sheet = decode_picture("found.png")
    assert sheet.shape == (196, 390, 3) and sheet.std() > 10
    assert sorted(os.listdir("why/red")) == ["0.png", "3.png"]
    assert decode_picture("why/red/0.png").shape == (40, 60, 3)


def test_nothing_fits_is_said_with_the_nearest_score_and_the_cut_off(indexed):
    told, err = indexed("search", "photos.index", "yellow", "--sheet", "none.png")
    assert told["matches"] == [] and len(told["nearest"]) == 4 and not Path("none.png").exists()
    nearest = told["nearest"][0]
    assert f"nothing fits: the nearest, {nearest['id']}, scores {nearest['score']:.3f}; 0.800 is needed" in err
    told, err = indexed("search", "photos.index", "yellow", "--all", "-k", "2")
    assert told["matches"] == [] and len(told["nearest"]) == 2 and err.count(" no ") == 2


def test_pictures_words_and_dates_can_be_mixed(place, indexed):
    for number, name in ((0, "red/0.png"), (9, "red/3.png")):
        os.utime(place / "pictures" / name, (number * 365 * 86400.0, number * 365 * 86400.0))
    indexed("index", "run", "pictures", "-o", "photos.index")
    told, _ = indexed("search", "photos.index", "red", "--sort", "date")
    assert [match["id"] for match in told["matches"]] == ["red/3.png", "red/0.png"]
    told, _ = indexed("search", "photos.index", "red", "--until", "1975")
    assert [match["id"] for match in told["matches"]] == ["red/0.png"]
    told, _ = indexed(
        "search", "photos.index", "--like", "pictures/blue/2.png", "--plus", "0.5:blue", "--minus", "0.1:red"
    )
    assert [match["id"] for match in told["matches"]] == ["blue/2.png"]


def test_a_run_that_moved_is_said_and_can_be_given(place, indexed):
    (place / "run").rename(place / "moved")
    told, _ = indexed("search", "photos.index", "red", code=2)
    assert "which is not there any more" in told["error"] and "--run" in told["error"]
    told, _ = indexed("search", "photos.index", "red", "--run", "moved")
    assert len(told["matches"]) == 2
    Colours(n_cells=4).save(place / "other")
    told, _ = indexed("search", "photos.index", "red", "--run", "other", code=2)
    assert "cannot be compared" in told["error"]
    told, _ = indexed("search", "photos.index", "--like", "pictures/red/0.png", "--why", "w", "--run", "moved", code=2)
    assert "--why shows where a picture fits a text" in told["error"]


def test_wrong_input_is_told_in_one_message(place, indexed):
    told, _ = indexed("search", "nowhere", "red", code=2)
    assert "holds no index. Make one with: twofold index" in told["error"]
    told, _ = indexed("index", "run", "no-folder", "-o", "other.index", code=2)
    assert "is not there" in told["error"] and not Path("other.index").exists()
    told, _ = indexed("search", "photos.index", "purple", code=2)
    assert "'purple' is no colour" in told["error"]
    Image.new("RGB", (9, 9)).save("fine.png")
    told, _ = indexed("search", "photos.index", "--like", "pictures/torn.png", code=2)
    assert "torn.png" in told["error"]
