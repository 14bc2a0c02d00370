"""Pairs: captions from wherever they come with pictures, none lost, none invented."""

import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from twofold.data.pairs import Pairs, holds_pairs, open_pairs
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError

BLANK = np.zeros((3, 8, 8, 3), np.uint8)


def paint(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three pictures, 0.png to 2.png."""
    for i in range(3):
        paint(tmp_path / "pictures" / f"{i}.png", 40 * i)
    return tmp_path / "pictures"


def write_rows(path, rows):
    """A table of dicts, as its name says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path


def packed(folder, path):
    """The folder as an archive, with one folder at its top."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"top/{file.relative_to(folder).as_posix()}")
    return path


# ---- metadata beside the pictures ----------------------------------------------------------------


def test_metadata_tells_one_caption_a_picture(folder):
    write_rows(
        folder / "metadata.csv",
        [{"file_name": f"{i}.png", "caption": f"number {i}", "other": "x y"} for i in (2, 0, 1)],
    )
    pairs = open_pairs(folder)
    assert pairs.captions == [["number 0"], ["number 1"], ["number 2"]] and pairs.notes == ["captions: caption"]
    assert len(pairs) == 3 and pairs.n_captions == 3


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("is_packed", [False, True], ids=["folder", "archive"])
def test_a_picture_with_several_rows_of_metadata_keeps_all_its_captions(folder, tmp_path, ending, is_packed):
    told = [("1.png", "a dog"), ("0.png", "one"), ("0.png", "uno"), ("0.png", "one"), ("2.png", None)]
    write_rows(folder / f"metadata{ending}", [{"file_name": name, "caption": text} for name, text in told])
    pairs = open_pairs(packed(folder, tmp_path / "all.zip") if is_packed else folder)
    assert pairs.captions == [["one", "uno"], ["a dog"], []]
    assert pairs.notes[-1] == "1 of 3 pictures have no caption"


def test_metadata_in_folders_below_are_read_each_for_its_own(tmp_path):
    for place in ("a", "b"):
        paint(tmp_path / place / "x.png")
        write_rows(tmp_path / place / "metadata.csv", [{"file_name": "x.png", "text": f"in {place} {n}"} for n in "12"])
    assert open_pairs(tmp_path).captions == [["in a 1", "in a 2"], ["in b 1", "in b 2"]]


def test_columns_that_are_named_are_read_in_that_order_and_equal_texts_once(folder):
    rows = [{"file_name": f"{i}.png", "title": "a thing", "more": "a thing" if i else "red"} for i in range(3)]
    write_rows(folder / "metadata.csv", rows)
    pairs = open_pairs(folder, text="more, title")
    assert pairs.captions == [["red", "a thing"], ["a thing"], ["a thing"]]
    assert pairs.notes[-1] == "captions: more, title"


def test_a_column_that_is_not_there_is_told_with_those_that_are(folder):
    write_rows(folder / "metadata.csv", [{"file_name": "0.png", "caption": "a", "title": "b"}])
    with pytest.raises(
        DataError, match=r"no column 'captoin'\. Its columns: caption, title\. Did you mean 'caption'\?"
    ):
        open_pairs(folder, text="captoin")
    with pytest.raises(DataError, match="no column 'words'. There is no table beside its pictures"):
        open_pairs(BLANK, text="words")


def test_a_split_of_the_metadata_is_chosen_with_its_captions(folder):
    rows = [{"file_name": f"{i}.png", "caption": f"no {i}", "split": ("train", "test", "train")[i]} for i in range(3)]
    write_rows(folder / "metadata.csv", [*rows, rows[1] | {"caption": "again"}])
    assert open_pairs(folder).captions == [["no 0"], ["no 2"]]
    assert open_pairs(folder, split="test").captions == [["no 1", "again"]]


# ---- tables that hold the pictures ---------------------------------------------------------------


@pytest.fixture
def table(tmp_path, folder):
    """A Parquet table of pictures with captions, keywords and a label."""
    data = [(folder / f"{i}.png").read_bytes() for i in range(3)]
    columns = {
        "image": data, "captions": [["a cat", "one cat"], [], None], "label": ["cat", "dog", "cat"],
        "keywords": [["fur", "paws", "pet"], ["bark", "a good dog"], ["fur"]],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "pictures.parquet")
    return tmp_path / "pictures.parquet"


def test_a_list_is_as_many_captions_and_keywords_are_one_together(table):
    assert open_pairs(table).captions == [["a cat", "one cat"], [], []]
    pairs = open_pairs(table, text="captions,keywords")
    assert pairs.captions == [["a cat", "one cat", "fur, paws, pet"], ["bark", "a good dog"], ["fur"]]


def test_labels_can_be_asked_for_as_captions(table):
    assert open_pairs(table, text="label").captions == [["cat"], ["dog"], ["cat"]]
    assert open_pairs("sample:glyphs", text="label").captions[0] == ["other punctuation"]


def test_the_sample_of_signs_has_its_names():
    pairs = open_pairs("sample:glyphs")
    assert pairs.captions[0] == ["exclamation mark"] and pairs.n_captions == len(pairs)


# ---- texts beside the pictures, folders of classes -----------------------------------------------


@pytest.mark.parametrize("is_packed", [False, True], ids=["folder", "archive"])
def test_a_text_of_the_same_name_is_a_caption_a_line(folder, tmp_path, is_packed):
    paint(folder / "deep" / "a.b.png")
    (folder / "0.txt").write_bytes("\ufeffa  red\tdoor\r\n\r\n门是红的\r\na red door\r\n".encode())
    (folder / "deep" / "a.b.txt").write_bytes(b"caf\xe9 at night")
    (folder / "deep" / "notes.txt").write_text("of no picture")
    pairs = open_pairs(packed(folder, tmp_path / "all.zip") if is_packed else folder)
    assert dict(zip((own.removeprefix("top/") for own in pairs.pictures.ids), pairs.captions, strict=True)) == {
        "0.png": ["a red door", "门是红的"], "1.png": [], "2.png": [], "deep/a.b.png": ["caf\ufffd at night"],
    }  # fmt: skip
    assert pairs.notes[-2:] == ["captions: texts of the same names", "2 of 4 pictures have no caption"]


def test_texts_in_a_folder_of_an_archive_are_found(folder, tmp_path):
    (folder / "1.txt").write_text("the second")
    assert open_pairs(packed(folder, tmp_path / "all.zip") / "top").captions == [[], ["the second"], []]


def test_a_folder_below_the_home_folder_is_found(folder, monkeypatch):
    (folder / "1.txt").write_text("the second")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_pairs("~/pictures").captions == [[], ["the second"], []]


def test_names_with_odd_letters_have_their_texts(tmp_path):
    for name in ("a\\b", "two\nlines", "naïve 犬"):
        paint(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(f"of {name}")
    assert sorted(text for own in open_pairs(tmp_path).captions for text in own) == [
        "lines", "of a\\b", "of naïve 犬", "of two"
    ]  # fmt: skip


def test_for_want_of_other_words_the_folders_name_is_the_caption(tmp_path):
    for name in ("cats/1", "dogs/2"):
        paint(tmp_path / f"{name}.png")
    pairs = open_pairs(tmp_path)
    assert pairs.captions == [["cats"], ["dogs"]]
    assert pairs.notes[-1] == "captions: the labels, for want of any others"


# ---- tables of paths -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.csv.gz", "list.jsonl", "list.parquet"])
def test_a_table_of_paths_is_read_as_open_clip_takes_it(folder, name):
    places = ("pictures/1.png", "pictures/0.png", "./pictures/1.png", str(folder / "2.png"))
    rows = [{"filepath": place, "title": f"text {i}"} for i, place in enumerate(places)]
    path = write_rows(folder.parent / name, rows)
    assert holds_pairs(path)
    pairs = open_pairs(path)
    assert pairs.captions == [["text 0", "text 2"], ["text 1"], ["text 3"]]
    assert [int(picture[0, 0, 0]) for picture in pairs.pictures] == [40, 0, 80]
    assert pairs.notes[-2:] == ["pictures: filepath", "captions: title"]


def test_paths_may_be_from_here(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    path = write_rows(tmp_path / "lists" / "a.csv", [{"image": "pictures/0.png", "caption": "black"}])
    assert open_pairs(path).captions == [["black"]]


def test_files_that_are_missing_or_broken_are_named_and_the_others_read(folder):
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    rows = [("0.png", "a"), ("gone.png", "b"), ("torn.png", "c"), (None, "d"), ("0.png", "e")]
    path = write_rows(folder / "list.csv", [{"path": place, "text": text} for place, text in rows])
    pairs = open_pairs(path)
    assert pairs.captions == [["a", "e"]]
    assert [bad.name.rpartition("/")[2] for bad in pairs.pictures.bad] == ["gone.png", "torn.png"]
    assert pairs.notes[0] == "1 rows name no picture"
    assert "2 of 3 pictures cannot be read" in pairs.notes[1] and "gone.png does not exist" in pairs.notes[1]
    with pytest.raises(DataError, match=r"not one picture can be read\. .*gone\.png does not exist"):
        open_pairs(write_rows(folder / "gone.csv", [{"path": "gone.png", "text": "b"}]))


def test_a_path_with_odd_letters_finds_its_captions(folder):
    paint(folder / "a\\b.png", 9)
    assert open_pairs(write_rows(folder / "l.csv", [{"path": "a\\b.png", "text": "odd"}])).captions == [["odd"]]


def test_a_split_of_a_table_of_paths_is_chosen(folder):
    rows = [{"path": f"{i}.png", "text": f"no {i}", "split": "test" if i else "train"} for i in range(3)]
    path = write_rows(folder / "l.csv", rows)
    assert open_pairs(path).captions == [["no 0"]]
    assert open_pairs(path, split="test").captions == [["no 1"], ["no 2"]]
    assert len(open_pairs(path, split="all")) == 3
    with pytest.raises(DataError, match="no split 'val'; there are: test, train"):
        open_pairs(path, split="val")


@pytest.mark.parametrize(
    ("row", "named", "message"),
    [
        ({"bar": "0.png", "title": "s"}, {}, r"no column of paths \(filepath, .*it has bar, title\. Name it: --image"),
        ({"path": "0.png", "foo": "s"}, {}, r"no column of captions; it has path, foo\. Name it: --text"),
        ({"path": "0.png", "text": "s"}, {"image": "pth"}, r"no column 'pth'.*Did you mean 'path'\?"),
        ({"path": "0.png", "text": "s"}, {"text": "txt"}, r"no column 'txt'. Its columns: text\. Did you mean 'text'"),
        ({"path": "0.png", "text": None}, {}, "every one is empty. Give a column with words: --text NAME"),
        ({"path": None, "text": "s"}, {}, "column 'path' names no pictures"),
    ],
)
def test_a_table_of_paths_without_what_is_needed_is_refused_with_the_remedy(folder, row, named, message):
    with pytest.raises(DataError, match=message):
        open_pairs(write_rows(folder / "l.csv", [row, row]), **named)
    assert open_pairs(write_rows(folder / "m.csv", [{"bar": "0.png", "foo": "s"}]), image="bar", text="foo").captions


def test_lines_that_are_no_json_are_refused(folder):
    (folder / "l.jsonl").write_text('{"path": "0.png", \n')
    with pytest.raises(DataError, match="is not one JSON object a line"):
        open_pairs(folder / "l.jsonl")
    for name in ("gone.jsonl", "gone.csv"):
        with pytest.raises(DataError, match=rf"{name} does not exist"):
            open_pairs(folder / name)


# ---- captions that are given ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("", []), ("  \n ", []), (None, []), (float("nan"), []), (np.float32("nan"), []), (pd.NA, []), ("nan", ["nan"]),
        ([], []), ([None, "", "a", "a"], ["a"]), (("a b", "c"), ["a b", "c"]), (np.array(["x", "y"]), ["x", "y"]),
        (7, ["7"]), (["red", "round", "big"], ["red, round, big"]), (["a cat", "a dog", "f"], ["a cat", "a dog", "f"]),
        (["犬が走る", "猫が寝る", "鳥が飛ぶ"], ["犬が走る", "猫が寝る", "鳥が飛ぶ"]), ("كلب أحمر", ["كلب أحمر"]),
        ("👩‍🚀 🚀", ["👩‍🚀 🚀"]), ("a\x00b\ud83d", ["a\x00b?"]), ("a \n  b\tc", ["a b c"]),
    ],
)  # fmt: skip
def test_a_cell_is_as_many_captions_as_it_says(cell, texts):
    assert open_pairs(BLANK[:1], [cell]).captions == [texts]


def test_very_long_captions_are_cut():
    assert len(open_pairs(BLANK[:1], ["word " * 9000]).captions[0][0]) <= 2000
    keywords = [f"keyword{i}" for i in range(9000)]
    assert len(open_pairs(BLANK[:1], [keywords]).captions[0][0]) == 2000


@pytest.mark.parametrize(
    "captions", [pd.Series(["a", None, "c"]), pa.array([["a"], None, ["c"]]), np.array(["a", "", "c"], object)]
)
def test_captions_come_from_any_column(captions):
    assert open_pairs(BLANK, captions).captions == [["a"], [], ["c"]]


def test_another_number_of_captions_than_of_pictures_is_refused(folder):
    with pytest.raises(DataError, match="2 captions were given for 3 pictures. Give one, or a list of some, for each"):
        open_pairs(BLANK, ["a", "b"])
    with pytest.raises(DataError, match="1 captions were given for 3 pictures"):
        open_pairs(BLANK, "cat")
    (folder / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(DataError, match=r"4 captions .* for 3 pictures\. 1 files could not be read, first 3\.png"):
        open_pairs(folder, list("abcd"))


def test_pictures_without_any_words_are_refused_with_the_remedy(folder):
    for source in (BLANK, folder, "sample:photos"):
        with pytest.raises(DataError, match="has no captions. Put a metadata.csv with file_name and caption beside"):
            open_pairs(source)


# ---- pairs ---------------------------------------------------------------------------------------


def test_equal_captions_count_once_whatever_their_case():
    pairs = open_pairs(BLANK, [["A cat", "fur"], ["a CAT"], []])
    texts, is_told_UN = pairs.told()
    assert texts == ["A cat", "fur"]
    assert is_told_UN.tolist() == [[True, True, False], [True, False, False]]


def test_some_of_the_pairs_are_taken_with_their_captions():
    pairs = open_pairs(BLANK + np.arange(3, dtype=np.uint8)[:, None, None, None], ["a", "b", "c"])
    for rows in (np.array([2, 0]), [2, 0]):
        some = pairs.take(rows)
        assert some.captions == [["c"], ["a"]] and int(some.pictures[0][0, 0, 0]) == 2
    assert pairs.take(np.array([False, True, False])).captions == [["b"]]


def test_the_fingerprint_tells_pictures_and_captions_apart():
    given = open_pairs(BLANK, ["a", "b", "c"])
    assert given.fingerprint == open_pairs(BLANK, ["a", "b", "c"]).fingerprint
    assert given.fingerprint != open_pairs(BLANK, ["a", "b", "d"]).fingerprint
    assert given.fingerprint != open_pairs(BLANK + 1, ["a", "b", "c"]).fingerprint


def test_what_pairs_can_be_opened_from_is_told_without_opening(folder, table):
    pairs = open_pairs(BLANK, ["a", "b", "c"])
    assert open_pairs(pairs) is pairs
    assert open_pairs(pairs, ["x", "y", "z"]).captions == [["x"], ["y"], ["z"]]
    pictures = open_pictures(table)
    assert isinstance(pictures, Pictures) and open_pairs(pictures).captions[0] == ["a cat", "one cat"]
    assert all(map(holds_pairs, (pairs, BLANK, folder, table, "sample:glyphs", "any.csv", "any.TSV", pictures)))
    assert not holds_pairs("sample:wine") and not holds_pairs(3) and isinstance(pairs, Pairs)
