"""The sample pictures: signs drawn from matplotlib's font files, and two photographs."""

import numpy as np
import pyarrow.compute as pc
import pytest

from twofold.data.glyphs import MORE_FACES, draw_glyphs
from twofold.data.samples import PICTURES, load_pictures
from twofold.errors import DataError, SettingError


@pytest.fixture(scope="module")
def drawn():
    return draw_glyphs()


def row_of(table, caption):
    return table.filter(pc.equal(table["caption"], caption)).to_pylist()[0]


def test_every_sign_is_whole_in_the_middle_and_shows_something(drawn):
    picture_NSS, table = drawn
    assert picture_NSS.shape == (len(table), 32, 32) and picture_NSS.dtype == np.uint8
    assert 5000 < len(table) < 5900  # 5,208 with matplotlib 3.11
    assert (picture_NSS < 128).any((1, 2)).mean() > 0.99 and (picture_NSS < 255).any((1, 2)).all()
    # a sign may fill the picture but for one pixel at each edge
    assert (picture_NSS[:, [0, -1]] == 255).all() and (picture_NSS[:, :, [0, -1]] == 255).all()
    ink = picture_NSS < 255
    for axis in (1, 2):
        shown = ink.any(axis)
        before, after = shown.argmax(1), shown[:, ::-1].argmax(1)
        assert (after - before).min() >= 0 and (after - before).max() <= 1


def test_no_two_signs_look_the_same(drawn):
    picture_NSS, table = drawn
    assert len(np.unique(picture_NSS.reshape(len(table), -1), axis=0)) == len(table)
    captions = table["caption"].to_pylist()
    assert "latin capital letter a" in captions and "greek capital letter alpha" not in captions
    assert "space" not in captions


def test_a_sign_is_told_by_name_category_script_and_letter(drawn):
    _, table = drawn
    queen = row_of(table, "black chess queen")
    assert (queen["id"], queen["label"], queen["letter"]) == ("U+265B", "other symbol", None)
    letter = row_of(table, "cyrillic small letter i with grave")
    assert (letter["script"], letter["letter"], letter["category"]) == ("cyrillic", "i", "Ll")
    assert letter["label"] == "lowercase letter"
    assert row_of(table, "arabic letter beh initial form")["letter"] == "beh"
    assert row_of(table, "latin letter small capital g")["letter"] == "g"
    assert set(table.filter(pc.equal(table["script"], "latin"))["letter"].to_pylist()) >= set(
        "abcdefghijklmnopqrstuvwxyz"
    )


def test_the_same_signs_are_drawn_each_time_and_larger_ones_finer(drawn):
    np.testing.assert_array_equal(draw_glyphs()[0], drawn[0])
    large_NSS, table = draw_glyphs(64)
    assert large_NSS.shape[1:] == (64, 64)
    # where both sizes show a sign, the large one shrunk is much like the small one
    shared = sorted(set(table["id"].to_pylist()) & set(drawn[1]["id"].to_pylist()))[::50]
    small, large = (
        (
            1
            - pictures[[ids.index(i) for i in shared]]
            .reshape(len(shared), 32, -1, 32, pictures.shape[1] // 32)
            .mean((2, 4))
            / 255
        )
        for pictures, ids in ((drawn[0], drawn[1]["id"].to_pylist()), (large_NSS, table["id"].to_pylist()))
    )
    assert np.abs(small.sum((1, 2)) / large.sum((1, 2)) - 1).mean() < 0.1


def test_other_faces_show_the_same_signs_in_other_shapes():
    picture_NSS, table = draw_glyphs(32, MORE_FACES)
    assert 35_000 < len(table) < 55_000  # 40,474 with matplotlib 3.11
    assert len(set(table["id"].to_pylist())) == len(table)
    # a sign without a shape of its own would be one picture for many names, and is drawn once
    assert sum(caption == "latin capital letter a" for caption in table["caption"].to_pylist()) > 10


def test_sizes_that_cannot_be_drawn_are_refused():
    with pytest.raises(SettingError, match="size is 8"):
        draw_glyphs(8)


def test_sample_pictures_have_ids_labels_and_facts():
    glyphs = load_pictures("glyphs")
    assert glyphs[0].shape == (32, 32, 1) and glyphs.channels == 1
    assert glyphs.ids[0] == "U+0021" and glyphs.labels[0] == "other punctuation"
    assert glyphs.table.column_names == ["caption", "category", "script", "letter", "face"]
    assert len(glyphs.table) == len(glyphs) == len(set(glyphs.ids))


def test_the_photographs_are_two_in_colour():
    photos = load_pictures("photos")
    assert photos.ids == ["china.jpg", "flower.jpg"]
    assert photos[0].shape == (427, 640, 3)


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(DataError, match="did you mean.*glyphs|glyphs"):
        load_pictures("glyph")
    assert set(PICTURES) == {"glyphs", "glyphs-64", "glyphs-all", "photos"}
