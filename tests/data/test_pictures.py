"""Folders, archives, tables and arrays of pictures: what is read, how it is called, what is guessed."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from twofold.data.names import original, shown
from twofold.data.pictures import Pictures, decode_picture, holds_pictures, open_pictures, write_picture
from twofold.errors import DataError, SettingError

RNG = np.random.default_rng(0)


def picture(height=12, width=16, channels=3, seed=None):
    rng = RNG if seed is None else np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def coded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path):
    """Writes pictures below a folder, by name; the folder."""

    def write(*names):
        for name in names:
            write_picture(tmp_path / "tree" / name, picture(seed=len(name)))
        return tmp_path / "tree"

    return write


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


# ---- layouts -------------------------------------------------------------------------------------


def test_a_plain_folder_has_no_labels_and_ids_lead_to_the_files(tree):
    folder = tree("b.png", "a.png")
    pictures = open_pictures(folder)
    assert pictures.ids == ["a.png", "b.png"] and pictures.labels is None and pictures.table is None
    assert np.array_equal(pictures[0], decode_picture(folder / pictures.ids[0]))


def test_a_folder_a_class_gives_labels(tree):
    pictures = open_pictures(tree("cat/1.png", "cat/deep/2.png", "dog/1.png"))
    assert pictures.labels.tolist() == ["cat", "cat", "dog"]
    assert pictures.notes == ["labels: the folder's name, 2 of them"]


def test_one_folder_within_another_is_no_class(tree):
    assert open_pictures(tree("all/1.png", "all/2.png")).labels is None


def test_a_picture_beside_class_folders_leaves_no_labels(tree):
    assert open_pictures(tree("cat/1.png", "dog/1.png", "sheet.png")).labels is None


def test_train_is_taken_by_default_and_what_is_left_out_is_said(tree):
    folder = tree("train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "test/cat/4.png")
    pictures = open_pictures(folder)
    assert pictures.ids == ["train/cat/1.png", "train/dog/2.png"] and pictures.labels.tolist() == ["cat", "dog"]
    assert pictures.notes[0] == "split train: 2 pictures; test, val left out"
    assert open_pictures(folder, split="validation").ids == ["val/cat/3.png"]
    assert len(open_pictures(folder, split="all")) == 4


def test_a_split_may_carry_a_number_and_others_are_reached_by_name(tree):
    folder = tree("train400/1.png", "bsd68/2.png")
    assert open_pictures(folder).ids == ["train400/1.png"]
    assert open_pictures(folder, split="bsd68").ids == ["bsd68/2.png"]


def test_a_split_that_is_not_there_is_refused_with_those_that_are(tree):
    with pytest.raises(DataError, match="no split 'tset'; there are: train, val"):
        open_pictures(tree("train/1.png", "val/2.png"), split="tset")


def test_trains_among_other_vehicles_are_a_class(tree):
    pictures = open_pictures(tree("car/1.png", "train/2.png", "plane/3.png"))
    assert len(pictures) == 3 and set(pictures.labels) == {"car", "train", "plane"}


def test_masks_of_the_mvtec_layout_are_left_out(tree):
    folder = tree("train/good/1.png", "test/good/2.png", "test/scratch/3.png", "ground_truth/scratch/3.png")
    assert open_pictures(folder).labels.tolist() == ["good"]
    assert open_pictures(folder, split="test").labels.tolist() == ["good", "scratch"]
    everything = open_pictures(folder, split="all")
    assert len(everything) == 3 and "1 masks in ground_truth" in " ".join(everything.notes)


def test_side_files_and_hidden_folders_are_passed_over(tree):
    folder = tree("a.png", ".hidden/b.png")
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "desktop.ini", "._a.png"):
        (folder / name).write_bytes(b"\0\1\2\3")
    pictures = open_pictures(folder)
    assert pictures.ids == ["a.png"] and pictures.bad == []


def test_names_lie_and_contents_do_not(tree):
    folder = tree("a.png")
    (folder / "a.png").rename(folder / "a.bin")
    assert open_pictures(folder).ids == ["a.bin"]


# ---- metadata ------------------------------------------------------------------------------------


def test_metadata_csv_gives_captions_and_labels(tree):
    folder = tree("a.png", "b.png", "c.png")
    (folder / "metadata.csv").write_text("file_name,caption,kind\nb.png,two,x\na.png,one,y\ngone.png,three,x\n")
    pictures = open_pictures(folder, label="kind")
    assert pictures.ids == ["a.png", "b.png", "c.png"] and pictures.labels.tolist() == ["y", "x", ""]
    assert pictures.table.to_pydict() == {"caption": ["one", "two", None]}
    assert [bad.name for bad in pictures.bad] == ["gone.png"]
    assert "1 pictures have no label" in pictures.notes


def test_metadata_jsonl_below_each_split_is_read(tree):
    folder = tree("train/a.png", "test/b.png")
    for split, name, label in (("train", "a.png", 1), ("test", "b.png", 2)):
        (folder / split / "metadata.jsonl").write_text(json.dumps({"file_name": name, "label": label}) + "\n")
    assert open_pictures(folder).labels.tolist() == ["1"]
    assert open_pictures(folder, split="test").labels.tolist() == ["2"]


def test_a_label_column_that_is_not_there_is_refused_with_a_hint(tree):
    folder = tree("a.png")
    (folder / "metadata.csv").write_text("file_name,kind\na.png,x\n")
    with pytest.raises(DataError, match="no column 'kinds'.*Did you mean 'kind'"):
        open_pictures(folder, label="kinds")


# ---- archives, tables, idx -----------------------------------------------------------------------


def test_an_archive_reads_as_its_folder_does(tree, tmp_path):
    folder = tree("top/train/cat/1.png", "top/train/dog/2.png", "top/test/dog/3.png")
    archive = zipped(folder, tmp_path / "data.zip")
    inside, outside = open_pictures(archive), open_pictures(folder)
    assert inside.ids == outside.ids and inside.labels.tolist() == outside.labels.tolist()
    assert inside.fingerprint == outside.fingerprint and holds_pictures(archive)
    for inner in ("top/test", "test"):
        assert open_pictures(archive / inner).ids == ["top/test/dog/3.png"]
    with pytest.raises(DataError, match="no folder of pictures 'tset'"):
        open_pictures(archive / "tset")


def test_a_parquet_column_of_files_is_found_and_other_columns_are_kept(tmp_path):
    files = [coded(picture()) for _ in range(4)]
    table = pa.table({"key": [b"x"] * 4, "image": files, "label": [0, 1, 1, 0], "age": [3, 4, 5, 6],
                      "split": ["train", "train", "test", "train"]})  # fmt: skip
    table = table.replace_schema_metadata({"classes": json.dumps(["no", "yes"])})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    pictures = open_pictures(tmp_path / "a.parquet")
    assert holds_pictures(tmp_path / "a.parquet") and pictures.ids == ["0", "1", "3"]
    assert pictures.labels.tolist() == ["no", "yes", "no"]
    assert pictures.table.column("age").to_pylist() == [3, 4, 6]
    assert open_pictures(tmp_path / "a.parquet", split="test", label="age").labels.tolist() == ["5"]
    assert np.array_equal(pictures[2], decode_picture(files[3]))


def test_hugging_face_structs_are_read_and_an_empty_cell_is_reported(tmp_path):
    cells = [{"bytes": coded(picture()), "path": "a.png"}, None, {"bytes": b"junk", "path": "b.png"}]
    pq.write_table(pa.table({"image": cells}), tmp_path / "a.parquet")
    pictures = open_pictures(tmp_path / "a.parquet")
    assert len(pictures) == 1 and [bad.name for bad in pictures.bad] == ["1", "2"]


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_an_idx_file_finds_its_labels(tmp_path, pack):
    pixels = RNG.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    (tmp_path / "x-images-idx3-ubyte.gz").write_bytes(pack(struct.pack(">IIII", 0x803, 3, 5, 4) + pixels.tobytes()))
    (tmp_path / "x-labels-idx1-ubyte.gz").write_bytes(pack(struct.pack(">II", 0x801, 3) + bytes([7, 0, 9])))
    pictures = open_pictures(tmp_path / "x-images-idx3-ubyte.gz")
    assert holds_pictures(tmp_path / "x-images-idx3-ubyte.gz")
    assert np.array_equal(pictures[1][..., 0], pixels[1]) and pictures.labels.tolist() == ["7", "0", "9"]


def test_an_idx_file_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, 4_000_000_000, 5, 4) + bytes(100)))
    with pytest.raises(DataError, match="cut short"):
        open_pictures(path)


# ---- memory --------------------------------------------------------------------------------------


def test_arrays_images_bytes_and_paths_may_be_mixed(tree):
    folder, pixels = tree("a.png"), picture()
    pictures = open_pictures([folder / "a.png", Image.fromarray(pixels), pixels, pixels[..., 0], coded(pixels)])
    assert pictures.ids == [shown(str(folder / "a.png")), "1", "2", "3", "4"]
    assert np.array_equal(pictures[1], pixels) and np.array_equal(pictures[2], pixels)
    assert pictures.channels == 3 and pictures[3].shape == (12, 16, 3)


@pytest.mark.parametrize(
    "given, n",
    [(picture(), 1), (picture()[..., 0], 1), (RNG.random((2, 4, 5)), 2), (np.stack([picture()] * 3), 3),
     (np.ones((2, 4, 5), bool), 2), (np.full((2, 4, 5), 40000, np.uint16), 2), (np.full((2, 4, 5), 255), 2)],
    ids=["picture", "grey", "floats", "bytes", "bools", "uint16", "ints"],
)  # fmt: skip
def test_arrays_are_taken(given, n):
    assert len(open_pictures(given)) == n


@pytest.mark.parametrize(
    "given, reason",
    [(RNG.normal(size=(2, 4, 5)), "floats from 0 to 1"), (np.full((1, 4, 5, 3), np.nan), "floats from 0 to 1"),
     (np.zeros((2, 3, 8, 8), np.uint8), "1, 3 or 4 channels last"), (np.full((2, 4, 5), 256), "from 0 to 255")],
    ids=["negative", "nan", "channels first", "large"],
)  # fmt: skip
def test_arrays_of_another_scale_or_order_are_refused(given, reason):
    with pytest.raises(DataError, match=reason):
        open_pictures(given)


def test_what_is_a_table_or_a_text_holds_no_pictures(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    pq.write_table(pa.table({"x": [b"abc"]}), tmp_path / "a.parquet")
    for given in (tmp_path / "a.csv", tmp_path / "texts", tmp_path / "a.parquet", tmp_path / "none", np.zeros((3, 4)),
                  [[1, 2]], [], "sample:wine", "sample:topics", pa.table({"x": [1]}), None):  # fmt: skip
        assert not holds_pictures(given)


def test_what_holds_pictures_is_told(tree):
    folder = tree("a/1.png")
    for given in (folder, str(folder), folder / "a" / "1.png", [folder / "a" / "1.png"], picture()[None],
                  Image.fromarray(picture()), [picture()], "sample:photos", open_pictures(folder)):  # fmt: skip
        assert holds_pictures(given)


# ---- what can be done with them ------------------------------------------------------------------


def test_a_part_has_the_fingerprint_of_the_same_pictures_opened_alone(tree):
    pictures = open_pictures(tree("a.png", "bb.png", "ccc.png"))
    part = pictures.take(np.array([True, False, True]))
    assert part.ids == ["a.png", "ccc.png"] and np.array_equal(part[1], pictures[2])
    alone = Pictures.of([pictures[0], pictures[2]], ids=["a.png", "ccc.png"])
    assert part.fingerprint == alone.fingerprint != pictures.fingerprint


def test_grey_pictures_have_one_channel_however_they_were_stored(tmp_path):
    write_picture(tmp_path / "g" / "a.png", np.repeat(picture(channels=1), 3, 2))
    assert open_pictures(tmp_path / "g").channels == 1
    write_picture(tmp_path / "g" / "b.png", picture())
    pictures = open_pictures(tmp_path / "g")
    assert pictures.channels == 3 and pictures[0].shape == pictures[1].shape


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_resizing_keeps_a_plain_colour_and_gives_the_size(fit):
    pictures = Pictures.of([np.full((31, 17, 3), 90, np.uint8), np.full((5, 40, 1), 90, np.uint8)])
    resized = pictures.resized(8, fit=fit)
    assert resized.shape == (2, 8, 8, 3) and (resized == 90).all()
    assert pictures.resized(8, channels=1, fit=fit).shape == (2, 8, 8, 1)


def test_resizing_takes_the_middle_and_averages_what_it_shrinks():
    wide = np.zeros((64, 192, 1), np.uint8)
    wide[:, 64:128] = np.indices((64, 64)).sum(0)[..., None] % 2 * 200  # a fine board: 100 on average
    resized = Pictures.of([wide]).resized(8)
    assert abs(resized.astype(int) - 100).max() <= 10  # measured 8 at the edges, 2 elsewhere


def test_an_unknown_fit_is_refused():
    with pytest.raises(SettingError, match="crop, stretch, pad"):
        Pictures.of([picture()]).resized(8, fit="cover")


def test_patches_are_windows_of_the_pictures_drawn_by_area():
    small, large = np.full((8, 8, 1), 1, np.uint8), np.full((24, 24, 1), 2, np.uint8)
    patches = Pictures.of([small, large]).patches(8, 1000, seed=0)
    assert patches.shape == (1000, 8, 8, 1)
    assert abs((patches[:, 0, 0, 0] == 2).mean() - 0.9) < 0.03
    whole = picture(20, 20)
    windows = {whole[i : i + 6, j : j + 6].tobytes() for i in range(15) for j in range(15)}
    drawn = Pictures.of([whole]).patches(6, 500, seed=1)
    assert {patch.tobytes() for patch in drawn} <= windows
    assert np.array_equal(drawn, Pictures.of([whole]).patches(6, 500, seed=1))


def test_a_picture_smaller_than_a_patch_is_mirrored():
    assert Pictures.of([picture(3, 5)]).patches(32, 2, seed=0).shape == (2, 32, 32, 3)


def test_large_files_are_shrunk_as_they_are_decoded(tmp_path):
    ramp = np.repeat(np.linspace(0, 255, 400).astype(np.uint8)[None], 300, 0)
    (tmp_path / "a.jpg").write_bytes(coded(ramp, "JPEG", quality=95))
    pictures = open_pictures(tmp_path / "a.jpg", short_side=30)
    assert pictures.size_N2.tolist() == [[30, 40]]
    assert np.abs(pictures[0][15, :, 0] - np.linspace(3, 252, 40)).max() < 3


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_is_read_back(tmp_path, name, channels):
    pixels = picture(channels=channels)
    write_picture(tmp_path / name, pixels)
    assert np.array_equal(decode_picture(tmp_path / name), pixels)


def test_writing_to_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"\.png.*\.jpg"):
        write_picture(tmp_path / "a.xyz", picture())


def test_names_are_shown_safely_and_lead_back():
    names = ["a.png", "two\nlines", "\x1b[31mred", "back\\slash", "caf\udce9", "photo\u202egpj", "ünï", "\\x0a", "\n"]
    safe = [shown(name) for name in names]
    assert [original(name) for name in safe] == names and len(set(safe)) == len(names)
    assert all(name.isprintable() and name.encode() for name in safe) and safe[6] == names[6]
