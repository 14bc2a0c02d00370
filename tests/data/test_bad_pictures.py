"""Pictures that break readers: refused by name with the reason and the remedy, or read right; never a crash."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from twofold.data.names import original
from twofold.data.pictures import decode_picture, open_pictures, write_picture
from twofold.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 9, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def collection(shared, tmp_path_factory):
    """The 134 entries and what is right for each."""
    path = shared / "bad-inputs" / "bad_images.py"
    spec = importlib.util.spec_from_file_location("bad_images", path)
    maker = importlib.util.module_from_spec(spec)
    sys.modules["bad_images"] = maker
    spec.loader.exec_module(maker)
    out = tmp_path_factory.mktemp("bad") / "out"
    maker.write(out)
    return out


def verdict(entry, pictures, accepted):
    """right, read, refused or absent."""
    rows = {original(name): row for row, name in enumerate(pictures.ids)}
    reasons = {original(bad.name): bad.reason for bad in pictures.bad}
    if entry["name"] not in rows:
        return "refused" if len(reasons.get(entry["name"], "")) > 20 else "absent"
    if entry["key"] not in accepted:
        return "read"
    pixels = pictures[rows[entry["name"]]].astype(float)
    fits = [np.abs(right - pixels).mean() for right in accepted[entry["key"]] if right.shape == pixels.shape]
    return "right" if fits and min(fits) <= 2 else "wrong"


@pytest.mark.shared
def test_every_one_of_134_hostile_files_is_read_right_or_refused_by_name(collection):
    record = json.loads((collection / "expected.json").read_text())
    accepted = np.load(collection / "expected.npz")
    began = time.monotonic()
    pictures = open_pictures(collection / "pictures" / "nasty")
    assert time.monotonic() - began < 20  # measured 0.1 s
    allowed = {
        "load": {"right"}, "refuse": {"refused"}, "either": {"right", "read", "refused"},
        "ignore": {"absent", "refused"},
    }  # fmt: skip
    found = {entry["key"]: (entry["expect"], verdict(entry, pictures, accepted)) for entry in record["entries"]}
    assert len(found) == 134
    assert not {key: pair for key, pair in found.items() if pair[1] not in allowed[pair[0]]}
    assert all(text.isprintable() for text in [*pictures.ids, *(part for bad in pictures.bad for part in bad)])
    assert len(set(pictures.ids)) == len(pictures)


@pytest.mark.shared
def test_a_folder_that_holds_a_link_to_itself_is_visited_once(collection):
    assert open_pictures(collection / "pictures" / "loop").ids == ["0.png", "1.png"]


@pytest.mark.shared
def test_hostile_files_take_little_memory_and_time(collection):
    code = (
        "import resource, sys, warnings; warnings.simplefilter('error')\n"
        "from twofold.data.pictures import open_pictures\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = len(open_pictures(sys.argv[1]))\n"
        "print(n, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    nasty = str(collection / "pictures" / "nasty")
    done = subprocess.run([sys.executable, "-c", code, nasty], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    n_read, extra = map(int, done.stdout.split())
    assert n_read == 85 and extra <= 100  # measured 8 MB; 300 are allowed


@pytest.mark.shared
def test_check_names_every_bad_file(collection, capsys):
    from twofold.cli import main

    with pytest.raises(SystemExit) as end:
        main(["check", str(collection / "pictures"), "--json"])
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert end.value.code == 0 and told["pictures"] == 91 and told["cannot be read"] == len(told["bad"]) == 43
    assert told["classes"] == {"good": 4, "loop": 2, "nasty": 85}
    assert all(bad["name"] in err for bad in told["bad"]) and "\x1b" not in err


def test_a_damaged_file_does_not_stop_the_others(tmp_path):
    write_picture(tmp_path / "a.png", PIXELS)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    pictures = open_pictures(tmp_path)
    assert pictures.ids == ["a.png"] and [bad.name for bad in pictures.bad] == ["b.png"]
    assert "cut short or damaged" in pictures.bad[0].reason


def test_when_nothing_can_be_read_the_first_reasons_are_told(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.jpg").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"not one picture.*0\.jpg is a text.*2\.jpg.*And 2 more"):
        open_pictures(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no pictures"):
        open_pictures(tmp_path)


def test_one_bad_file_is_refused_by_name(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    for read in (decode_picture, open_pictures):
        with pytest.raises(DataError, match=r"x\.jpg.*PostScript.*Convert"):
            read(tmp_path / "x.jpg")


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="pipe"):
        decode_picture(tmp_path / "pipe.jpg")


def test_a_webp_that_claims_a_huge_canvas_is_refused_before_memory_is_taken(tmp_path):
    head = b"RIFF" + (30).to_bytes(4, "little") + b"WEBPVP8X" + (10).to_bytes(4, "little") + bytes(4)
    data = head + (16382).to_bytes(3, "little") * 2
    with pytest.raises(DataError, match="16383 x 16383"):
        decode_picture(data, "huge.webp")


def bad_archive(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write_picture(path.parent / "good.png", PIXELS)
        good = (path.parent / "good.png").read_bytes()
        archive.writestr("good.png", good)
        archive.writestr("../up.png", good)
        archive.writestr("/root.png", good)
        archive.writestr("bomb.bmp", bytes(100_000_000))
        archive.writestr("folder/", b"")
        archive.writestr("locked.png", good)
        archive.writestr("spoilt.png", good)
    data = bytearray(path.read_bytes())
    for start in (data.rindex(b"PK\1\2", 0, data.rindex(b"locked.png")),):
        data[start + 8] |= 1  # says it is encrypted
    data[data.index(b"spoilt.png") + 60] ^= 0xFF
    path.write_bytes(data)


def test_bombs_wrong_names_and_locked_entries_of_an_archive_are_reported(tmp_path):
    bad_archive(tmp_path / "x.zip")
    pictures = open_pictures(tmp_path / "x.zip")
    reasons = dict(pictures.bad)
    assert pictures.ids == ["good.png"] and set(reasons) == {
        "../up.png", "/root.png", "bomb.bmp", "locked.png", "spoilt.png",
    }  # fmt: skip
    assert "outside" in reasons["../up.png"] and "outside" in reasons["/root.png"]
    assert "100000000 bytes" in reasons["bomb.bmp"] and "encrypted" in reasons["locked.png"]


def test_an_archive_that_is_cut_short_is_refused(tmp_path):
    bad_archive(tmp_path / "x.zip")
    (tmp_path / "x.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:300])
    with pytest.raises(DataError, match=r"x\.zip cannot be read as a ZIP archive"):
        open_pictures(tmp_path / "x.zip")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM"])
def test_bytes_changed_at_random_are_read_or_refused_and_nothing_else(kind):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    rng = np.random.default_rng(1)
    for _ in range(40):
        data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        data[rng.integers(0, min(300, len(data)), 3)] = rng.integers(0, 256, 3)
        try:
            pixels = decode_picture(data.tobytes(), "odd")
        except DataError as error:
            assert str(error).startswith("odd ") and str(error).isprintable()
        else:
            assert pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3)


def test_tables_and_archives_of_pictures_changed_at_random_are_read_or_refused_and_nothing_else(tmp_path):
    write_picture(tmp_path / "a.png", PIXELS)
    png = (tmp_path / "a.png").read_bytes()
    pq.write_table(pa.table({"image": [png] * 3, "label": [1, 2, 3]}), tmp_path / "a.parquet")
    (tmp_path / "a-images-idx3").write_bytes(b"\0\0\x08\3" + b"\0\0\0\3\0\0\0\4\0\0\0\5" + bytes(60))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a/1.png", png)
        archive.writestr("metadata.csv", "file_name,label\ntrain/a/1.png,x\n")
    rng = np.random.default_rng(2)
    for name in ("a.parquet", "a-images-idx3", "a.zip"):
        whole = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(100):
            data = whole.copy()
            data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
            (tmp_path / f"x{name}").write_bytes(data.tobytes())
            try:
                pictures = open_pictures(tmp_path / f"x{name}")
            except DataError as error:
                assert f"x{name}" in str(error)
            else:
                assert len(list(pictures)) == len(pictures.ids)
