"""Data sets of the hub. No network here: the library reads a folder of its own kinds of files by the same path."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from twofold.data import open_table
from twofold.data.hub import fetched
from twofold.data.pairs import open_pairs
from twofold.data.pictures import holds_pictures, open_pictures
from twofold.data.text import read_text
from twofold.errors import DataError, SettingError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def texts(tmp_path, cache):
    folder = tmp_path / "texts"
    folder.mkdir()
    rows = {"number": range(12), "text": [f"line {i}" if i != 3 else None for i in range(12)], "more": ["x"] * 12}
    pd.DataFrame(rows).to_parquet(folder / "train.parquet")
    return f"hf:{folder}"


@pytest.fixture
def pictures(tmp_path, cache):
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(3):
            pixel_HWC = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixel_HWC).save(tmp_path / "pictures" / name / f"{i}.png")
    return f"hf:{tmp_path / 'pictures'}"


def test_a_table_of_the_hub_is_read_like_a_file(texts):
    table = open_table(texts)
    assert table.column_names == ["number", "text", "more"] and table.num_rows == 12
    assert open_table(texts + "?rows=5")["number"].to_pylist() == [0, 1, 2, 3, 4]


def test_a_text_of_the_hub_is_its_first_column_of_text_or_the_one_that_is_named(texts):
    assert read_text(texts + "?rows=5") == "line 0\n\nline 1\n\nline 2\n\nline 4"
    assert read_text(texts + "?rows=2&column=more") == "x\n\nx"


def test_pictures_of_the_hub_come_with_the_names_of_their_classes(pictures):
    assert holds_pictures(pictures)
    found = open_pictures(pictures)
    assert sorted(found.labels) == ["cat"] * 3 + ["dog"] * 3
    assert found.pixels[0].shape == (8, 8, 3)
    np.testing.assert_array_equal(found.pixels[0], np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    assert open_pairs(pictures, text="label").n_captions == 6


def test_the_copy_is_made_once_and_a_failed_one_leaves_nothing(texts, cache, monkeypatch):
    first = fetched(texts)
    written = Path(first).stat().st_mtime_ns
    assert fetched(texts) == first and Path(first).stat().st_mtime_ns == written
    monkeypatch.setattr("twofold.data.hub.MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"is larger than .*rows=100000"):
        fetched(texts + "?rows=9")
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [Path(first).name]


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        ("?split=test", r"Bad split: test. Available splits: \['train'\]"),
        ("?column=number", r"no column 'number' of text. Columns of text: text, more"),
        ("-not-there", "cannot be had"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(texts, behind, said):
    with pytest.raises(DataError, match=said):
        read_text(texts + behind)


@pytest.mark.parametrize("name", ["hf:", "hf:a/b?row=3", "hf:a/b?rows=0", "hf:a/b?rows=few"])
def test_a_name_that_cannot_be_understood_is_told_how_to_write_it(name):
    with pytest.raises(SettingError, match="Write hf:OWNER/NAME"):
        fetched(name)
