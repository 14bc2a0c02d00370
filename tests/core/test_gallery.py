"""A gallery: what is embedded, kept, found, and what is never listed."""

import contextlib
import importlib
import os
import resource
import shutil
import sqlite3
import sys
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from colours import WORDS, Colours
from gallery_rounds import Rounds
from PIL import Image

from twofold.core.gallery import Gallery
from twofold.core.gallery.codes import Codes, widened
from twofold.errors import DataError, DiskFullError, RunError, SettingError

refreshing = importlib.import_module("twofold.core.gallery.refresh")
TOWERS = Colours()


def paint(path, colour, when=None, noise=0, side=(30, 20)):
    """A picture of one colour; when: what the camera notes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (np.array(WORDS[colour]) + 1) * 127 + np.random.default_rng(noise).integers(-9, 9, (*side, 3))
    notes = Image.Exif()
    if when:
        notes.get_ifd(0x8769)[0x9003] = when
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, exif=notes)
    return path


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for place, colour in enumerate(("red", "green", "blue", "red", "green", "blue", "red")):
        paint(folder / colour / f"{place}.jpg", colour, f"20{10 + place}:05:17 12:30:00", place)
    return folder


@pytest.fixture
def index(tmp_path, pictures):
    refreshed(tmp_path / "photos.index", pictures)
    return tmp_path / "photos.index"


def refreshed(index, pictures, **more):
    """The last state of a whole refresh."""
    *_, last = Gallery.open(index).refresh(more.pop("towers", TOWERS), pictures, **more)
    return last


def names(found):
    return [match.id for match in found]


# ---- what is found -------------------------------------------------------------------------------


def test_words_find_the_pictures_that_fit_and_no_others(index, pictures):
    found = Gallery.open(index).search(TOWERS, "red")
    assert sorted(names(found)) == ["red/0.jpg", "red/3.jpg", "red/6.jpg"]
    assert [match.path for match in found] == [pictures / match.id for match in found]
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)
    assert len(found.nearest) == 7 and sum(match.fits for match in found.nearest) == 3


def test_nothing_fits_what_is_not_there_and_the_nearest_can_still_be_seen(index):
    found = Gallery.open(index).search(TOWERS, "yellow", k=3)
    assert found == [] and len(found.nearest) == 3
    assert all(match.score < found.least_score and not match.fits for match in found.nearest)


def test_scores_are_those_of_the_towers_themselves(index, pictures):
    found = Gallery.open(index).search(TOWERS, "blue", k=7).nearest
    for match in found:
        with Image.open(pictures / match.id) as image:
            pixel_SSC = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC, box=(0, 5, 20, 25)))
        right = TOWERS.embed_pixels(pixel_SSC[None])[0] @ TOWERS.transform_text(["blue"])[0]
        assert match.score == pytest.approx(right, abs=0.01)


def test_queries_can_be_added_and_taken_away(index, pictures, tmp_path):
    for place, colour in enumerate(("yellow", "magenta")):
        paint(pictures / f"{colour}.png", colour, noise=place)
    refreshed(index, pictures)
    gallery = Gallery.open(index)
    assert names(gallery.search(TOWERS, "red", plus=["green", "yellow"], k=1).nearest) == ["yellow.png"]
    assert names(gallery.search(TOWERS, "yellow", minus=["green", ("cyan", 0.5)], k=1).nearest)[0].startswith("red/")
    like = paint(tmp_path / "like.png", "red", noise=9)
    assert set(names(gallery.search(TOWERS, like=[like]))) == {"red/0.jpg", "red/3.jpg", "red/6.jpg"}
    assert names(gallery.search(TOWERS, like=[like], plus=[("blue", 0.6), ("magenta", 0.5)], k=1).nearest) == [
        "magenta.png"
    ]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({}, "nothing is searched for"), ({"minus": ["red"]}, "nothing is searched for"), ({"text": " "}, "empty"),
        ({"text": "red", "minus": ["red"]}, "are the same"), ({"text": "red", "sort": "size"}, "'size'"),
        ({"text": "red", "k": 0}, "k is 0"), ({"text": "red", "plus": [("blue", -1)]}, "weight -1"),
        ({"text": "red", "since": "May"}, "2024-05-17"),
    ],
)  # fmt: skip
def test_a_query_that_asks_for_nothing_is_refused_with_the_remedy(index, query, word):
    with pytest.raises(SettingError, match=word):
        Gallery.open(index).search(TOWERS, **query)


def test_dates_are_the_cameras_and_sort_and_filter_only_what_fits(index):
    gallery = Gallery.open(index)
    found = gallery.search(TOWERS, "red", sort="date", k=2)
    assert names(found) == ["red/6.jpg", "red/3.jpg"] and found[0].date == datetime(2016, 5, 17, 12, 30)
    assert names(gallery.search(TOWERS, "red", since="2013", until="2013-05")) == ["red/3.jpg"]
    assert names(gallery.search(TOWERS, "red", until="2013-05-16")) == ["red/0.jpg"]
    assert gallery.search(TOWERS, "red", since="2017").nearest == []


def test_without_a_camera_s_date_the_file_s_counts(index, pictures):
    os.utime(paint(pictures / "plain.png", "cyan"), (0, datetime(2001, 2, 3).timestamp()))
    refreshed(index, pictures)
    assert Gallery.open(index).search(TOWERS, "cyan")[0].date == datetime(2001, 2, 3)


def test_a_picture_that_is_gone_from_disk_is_not_listed_before_any_refresh(index, pictures):
    gallery = Gallery.open(index)
    (pictures / "red" / "3.jpg").unlink()
    (pictures / "red" / "0.jpg").rename(pictures / "red" / "x.jpg")
    assert names(gallery.search(TOWERS, "red")) == ["red/6.jpg"]
    assert names(gallery.search(TOWERS, "red", sort="date")) == ["red/6.jpg"]
    assert len(gallery.search(TOWERS, "red").nearest) == 5
    shutil.rmtree(pictures)
    with pytest.raises(DataError, match="is not there. Put it back"):
        gallery.search(TOWERS, "red")


def test_of_many_that_are_gone_the_next_ones_are_found(tmp_path, monkeypatch):
    searching = importlib.import_module("twofold.core.gallery.search")
    monkeypatch.setattr(searching, "N_EXACT", 2)
    for place in range(40):
        paint(tmp_path / "pictures" / f"{place}.png", "red", noise=place)
    refreshed(tmp_path / "index", tmp_path / "pictures")
    gallery = Gallery.open(tmp_path / "index")
    for match in gallery.search(TOWERS, "red", k=37):
        match.path.unlink()
    assert len(gallery.search(TOWERS, "red", k=5)) == 3


# ---- what is refreshed ---------------------------------------------------------------------------


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once."""
    monkeypatch.setattr(importlib.import_module("twofold.core.gallery.sources"), "SETTLED", -(10**12))


def test_only_what_is_new_or_changed_is_embedded(tmp_path, pictures, settled):
    index = tmp_path / "index"
    assert refreshed(index, pictures).n_embedded == 7
    last = refreshed(index, pictures)
    assert (last.total, last.n_embedded, last.n_unchanged) == (0, 0, 7)
    paint(pictures / "new.png", "white")
    paint(pictures / "red" / "0.jpg", "black")
    (pictures / "blue" / "2.jpg").unlink()
    (pictures / "blue" / "5.jpg").rename(pictures / "blue.jpg")
    shutil.copy(pictures / "green" / "1.jpg", pictures / "copy.jpg")
    last = refreshed(index, pictures)
    assert (last.n_embedded, last.n_recognised, last.n_unchanged, last.n_forgotten) == (2, 2, 4, 2)
    gallery = Gallery.open(index)
    assert len(gallery) == 8 and names(gallery.search(TOWERS, "black")) == ["red/0.jpg"]
    assert names(gallery.search(TOWERS, "blue")) == ["blue.jpg"]
    assert sorted(names(gallery.search(TOWERS, "green"))) == ["copy.jpg", "green/1.jpg", "green/4.jpg"]


def test_a_file_changed_a_moment_ago_is_looked_into_again_and_recognised(index, pictures):
    last = refreshed(index, pictures)
    assert (last.n_embedded, last.n_recognised) == (0, 7)


def test_two_files_that_change_places_have_each_the_other_s_embedding(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(refreshing, "BATCH", 1)
    monkeypatch.setattr(refreshing, "KEPT_EVERY", 0.0)
    index, red, blue = tmp_path / "index", pictures / "red" / "0.jpg", pictures / "blue" / "2.jpg"
    refreshed(index, pictures)
    red.rename(tmp_path / "spare"), blue.rename(red), (tmp_path / "spare").rename(blue)
    refreshed(index, pictures)
    assert "red/0.jpg" in names(Gallery.open(index).search(TOWERS, "blue"))
    assert "blue/2.jpg" in names(Gallery.open(index).search(TOWERS, "red"))


def test_broken_files_are_told_by_name_and_not_tried_again_until_they_change(tmp_path, pictures, settled):
    index = tmp_path / "index"
    torn = pictures / "torn.jpg"
    torn.write_bytes((pictures / "red" / "0.jpg").read_bytes()[:300])
    (pictures / "leads nowhere.jpg").symlink_to("nothing")
    assert refreshed(index, pictures).n_broken == 2
    broken = {bad.name: bad.reason for bad in Gallery.open(index).broken}
    assert set(broken) == {"torn.jpg", "leads nowhere.jpg"} and "cut short" in broken["torn.jpg"]
    assert refreshed(index, pictures).total == 1  # the link: it has no time that could change
    paint(torn, "white")
    last = refreshed(index, pictures)
    assert last.n_embedded == 1 and [bad.name for bad in Gallery.open(index).broken] == ["leads nowhere.jpg"]


def test_closed_early_it_keeps_what_was_embedded_and_the_next_goes_on(tmp_path, pictures, monkeypatch, settled):
    monkeypatch.setattr(refreshing, "BATCH", 2)
    running = Gallery.open(tmp_path / "index").refresh(TOWERS, pictures)
    assert [next(running).done for _ in range(3)] == [0, 2, 4]
    running.close()
    gallery = Gallery.open(tmp_path / "index")
    assert len(gallery) == 4 and len(gallery.search(TOWERS, "red").nearest) == 4
    last = refreshed(tmp_path / "index", pictures)
    assert (last.n_unchanged, last.n_embedded) == (4, 3)


def test_decoding_in_a_thread_beside_gives_the_same(tmp_path, pictures, index, monkeypatch):
    monkeypatch.setattr(refreshing, "AHEAD", 3)
    (pictures / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0torn")
    refreshed(tmp_path / "other", pictures, n_threads=2)
    one, two = (Gallery.open(path).search(TOWERS, "red", k=9).nearest for path in (index, tmp_path / "other"))
    assert [(m.id, m.score) for m in one] == [(m.id, m.score) for m in two]
    assert len(Gallery.open(tmp_path / "other").broken) == 1


def test_names_with_odd_letters_are_found_and_shown(tmp_path):
    folder = tmp_path / "p"
    odd = [
        "n\u00e9 \u96ea\u2603.png",
        "two\nlines.png",
        "back\\slash.png",
        os.fsdecode(b"half\xe9.png"),
        "'; DROP--.png",
    ]
    for name in odd:
        paint(folder / name, "red")
    for _ in range(2):
        refreshed(tmp_path / "index", folder)
    found = Gallery.open(tmp_path / "index").search(TOWERS, "red")
    assert {match.name for match in found} == set(odd) and all(match.path.is_file() for match in found)
    assert all(match.id.isprintable() for match in found)


def test_an_empty_folder_is_an_empty_gallery(tmp_path):
    (tmp_path / "p").mkdir()
    refreshed(tmp_path / "index", tmp_path / "p")
    found = Gallery.open(tmp_path / "index").search(TOWERS, "red")
    assert (found, found.nearest, found.least_score) == ([], [], None)


def test_a_gallery_can_be_of_an_archive_or_of_a_folder_in_it(tmp_path, pictures, index):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(pictures.rglob("*.jpg")):
            packed.write(path, path.relative_to(pictures))
        packed.writestr(
            zipfile.ZipInfo("white.png", (1999, 12, 31, 23, 0, 0)), paint(tmp_path / "w.png", "white").read_bytes()
        )
    assert refreshed(tmp_path / "a", archive).n_embedded == 8
    gallery = Gallery.open(tmp_path / "a")
    assert names(gallery.search(TOWERS, "red")) == names(Gallery.open(index).search(TOWERS, "red"))
    white = gallery.search(TOWERS, "white")[0]
    assert white.date == datetime(1999, 12, 31, 23) and gallery.pixels(white).shape == (30, 20, 3)
    assert refreshed(tmp_path / "b", archive / "blue").n_embedded == 2
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(pictures / "blue" / "2.jpg", "blue/2.jpg")
    assert gallery.search(TOWERS, "red") == [] and names(gallery.search(TOWERS, "blue")) == ["blue/2.jpg"]
    assert refreshed(tmp_path / "a", archive).n_forgotten == 7


def test_what_lies_in_a_folder_that_cannot_be_listed_is_not_forgotten(tmp_path, pictures, index, monkeypatch):
    listing, real = importlib.import_module("twofold.data.listing"), os.listdir

    def listdir(folder):
        if Path(folder).name == "red":
            raise OSError(5, "Input/output error")
        return real(folder)

    monkeypatch.setattr(listing.os, "listdir", listdir)
    assert refreshed(index, pictures).n_forgotten == 0 and "cannot be listed" in Gallery.open(index).broken[0].reason
    monkeypatch.undo()
    refreshed(index, pictures)
    assert len(Gallery.open(index)) == 7 and not Gallery.open(index).broken


@pytest.mark.shared
def test_hostile_files_do_not_stop_a_refresh_and_are_told_by_name(shared, tmp_path):
    path = shared / "bad-inputs" / "bad_images.py"
    spec = importlib.util.spec_from_file_location("bad_images", path)
    maker = importlib.util.module_from_spec(spec)
    sys.modules["bad_images"] = maker
    spec.loader.exec_module(maker)
    maker.write(tmp_path / "out")
    nasty = tmp_path / "out" / "pictures" / "nasty"
    last = refreshed(tmp_path / "index", nasty)
    broken = Gallery.open(tmp_path / "index").broken
    assert last.n_embedded + last.n_recognised > 60 and last.n_broken == len(broken) > 20
    assert all(len(bad.reason) > 20 for bad in broken)
    assert len(Gallery.open(tmp_path / "index").search(TOWERS, "red", k=500).nearest) == len(
        Gallery.open(tmp_path / "index")
    )


# ---- what is on disk -----------------------------------------------------------------------------


def test_thirty_kills_and_as_many_changes_leave_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(refreshing, "KEPT_EVERY", 0.0)
    monkeypatch.setattr(refreshing, "BATCH", 4)
    rounds = Rounds(tmp_path, 40, seed=1)
    while rounds.kills < 30:
        rounds.kill(longest=0.12)
        rounds.look()
        for _ in range(2):
            rounds.harm()
        if rounds.kills % 6 == 0:
            rounds.check()
    rounds.check()
    assert rounds.changes >= 30 and rounds.faults == []


@pytest.mark.parametrize("spoil", [
    lambda data: data[:-7], lambda data: b"", lambda data: data[:200] + b"\x07" + data[201:], lambda data: data + b"x",
])  # fmt: skip
def test_a_spoilt_file_of_bytes_is_made_again(index, spoil):
    right = names(Gallery.open(index).search(TOWERS, "red"))
    path = index / "codes.bin"
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    assert names(Gallery.open(index).search(TOWERS, "red")) == right and path.read_bytes() == whole
    path.unlink()
    assert names(Gallery.open(index).search(TOWERS, "red")) == right and path.read_bytes() == whole


@pytest.mark.parametrize("n_bytes", [17, 1000, 5000, 20000])
def test_a_truncated_database_is_refused_with_what_to_do(index, n_bytes):
    path = index / "pictures.sqlite"
    os.truncate(path, n_bytes)
    with pytest.raises(RunError, match="is spoilt .* make it anew with: twofold index"):
        Gallery.open(index).search(TOWERS, "red")


def test_a_database_of_another_version_is_refused(index):
    with contextlib.closing(sqlite3.connect(index / "pictures.sqlite")) as base:
        base.execute("UPDATE fact SET value = '99' WHERE name = 'format'")
        base.commit()
    with pytest.raises(RunError, match="another version"):
        Gallery.open(index)


def test_pictures_embedded_by_other_towers_are_refused_and_both_are_named(index, pictures):
    other = Colours(n_cells=4)
    for use in (lambda: Gallery.open(index).search(other, "red"), lambda: refreshed(index, pictures, towers=other)):
        with pytest.raises(RunError) as refused:
            use()
        assert other.identity[:16] in str(refused.value) and TOWERS.identity[:16] in str(refused.value)
    assert len(Gallery.open(index)) == 7


def test_another_folder_does_not_take_the_place_of_one_that_is_still_there(index, pictures, tmp_path):
    paint(tmp_path / "others" / "a.png", "red")
    with pytest.raises(RunError, match="would take its place"):
        refreshed(index, tmp_path / "others")
    moved = pictures.rename(tmp_path / "moved")
    last = refreshed(index, moved)
    assert (last.n_embedded, last.n_recognised) == (0, 7)


def test_a_second_writer_is_told_who_is_at_it_and_readers_are_not_kept_out(index, pictures):
    running = Gallery.open(index).refresh(TOWERS, pictures)
    next(running)
    with pytest.raises(RunError, match=f"being written by process {os.getpid()}"):
        refreshed(index, pictures)
    assert len(Gallery.open(index).search(TOWERS, "red")) == 3
    running.close()


def test_an_open_gallery_sees_what_another_process_added(index, pictures):
    gallery = Gallery.open(index)
    assert gallery.search(TOWERS, "white") == []
    paint(pictures / "new.png", "white")
    if (pid := os.fork()) == 0:
        refreshed(index, pictures)
        os._exit(0)
    os.waitpid(pid, 0)
    assert names(gallery.search(TOWERS, "white")) == ["new.png"]


def test_a_full_disk_is_told_and_the_old_index_is_whole(index, pictures, monkeypatch):
    monkeypatch.setattr(refreshing, "BATCH", 4)
    for place in range(400):
        paint(pictures / f"new{place}.png", "white", noise=place, side=(8, 8))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(DiskFullError, match="untouched"):
            refreshed(index, pictures)
        assert len(Gallery.open(index).search(TOWERS, "red")) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refreshed(index, pictures).n_embedded + len(Gallery.open(index)) >= 400


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("has_codes", [True, False])
def test_an_index_that_may_only_be_read_can_be_searched(index, pictures, has_codes):
    place = Path(tempfile.mkdtemp(prefix="twofold-gallery-"))
    try:
        shutil.copytree(pictures, place / "p")
        refreshed(place / "index", place / "p")
        if not has_codes:
            (place / "index" / "codes.bin").unlink()
        place.chmod(0o755)
        if (pid := os.fork()) == 0:
            os.setuid(65534)
            os._exit(len(Gallery.open(place / "index").search(TOWERS, "red")))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    finally:
        shutil.rmtree(place)


def test_without_an_index_one_is_told_how_to_make_it(tmp_path):
    gallery = Gallery.open(tmp_path / "none")
    assert len(gallery) == 0 and not gallery.broken and not (tmp_path / "none").exists()
    with pytest.raises(RunError, match="twofold index RUN DIR"):
        gallery.search(TOWERS, "red")
    with pytest.raises(DataError, match="is not there"):
        refreshed(tmp_path / "index", tmp_path / "no pictures")
    assert not (tmp_path / "index").exists()


# ---- the first look ------------------------------------------------------------------------------


def test_scores_by_bytes_are_right_to_a_thousandth_by_either_way_of_multiplying():
    rng = np.random.default_rng(0)
    vector_NE = rng.standard_normal((3000, 512)).astype(np.float32)
    vector_NE /= np.linalg.norm(vector_NE, axis=1, keepdims=True)
    scale_N = np.abs(vector_NE).max(1) / 127
    code_NE = np.rint(vector_NE / scale_N[:, None]).astype(np.int8)
    codes = Codes("", 0, np.arange(3000), np.zeros(3000), scale_N, code_NE)
    query_E = vector_NE[7]
    right_N = vector_NE @ query_E
    assert np.abs(codes.scores(query_E) - right_N).std() < 8e-4
    slow_N = widened(torch.from_numpy(code_NE), torch.from_numpy(query_E)).numpy() * scale_N
    assert np.abs(slow_N - right_N).std() < 5e-4 and np.abs(slow_N - codes.scores(query_E)).max() < 5e-3
    assert codes.scores(query_E).dtype == np.float32


def test_beyond_a_million_a_graph_finds_the_same_and_follows_changes(tmp_path, pictures, index, monkeypatch):
    pytest.importorskip("usearch")
    graphs = importlib.import_module("twofold.core.gallery.graph")
    monkeypatch.setattr(graphs, "LARGE", 5)
    gallery = Gallery.open(index)
    right = [(match.id, match.score) for match in gallery.search(TOWERS, "red")]
    gallery.connect()
    looked = []
    monkeypatch.setattr(graphs.Graph, "nearest", lambda *args, own=graphs.Graph.nearest: looked.append(1) or own(*args))
    assert [(match.id, match.score) for match in Gallery.open(index).search(TOWERS, "red")] == right and looked
    (pictures / "red" / "0.jpg").unlink()
    paint(pictures / "new.jpg", "red", noise=8)
    refreshed(index, pictures)
    gallery = Gallery.open(index)
    assert len(names(gallery.search(TOWERS, "red"))) == 3 and len(looked) == 1  # out of date: not used
    gallery.connect()
    assert "new.jpg" in names(gallery.search(TOWERS, "red")) and len(looked) == 2
    assert len(list(index.glob("graph*"))) == 1


def test_a_graph_without_usearch_is_refused_by_the_name_of_the_extra(index, monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(SettingError, match=r"twofold\[index\]"):
        Gallery.open(index).connect()
