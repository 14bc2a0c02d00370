"""The machine judge: it keeps quiet where there is nothing to see, sees what must be seen, and says what it goes by."""

import json

import numpy as np
import pyarrow as pa
import pytest

from twofold.data.audio import Sounds
from twofold.data.picture_set import Pictures
from twofold.data.samples import load_pictures, load_sample, load_text
from twofold.errors import DataError, SettingError
from twofold.turing.controls import spoil
from twofold.turing.features import picture_features, sound_features
from twofold.turing.items import fingerprints, kind_of, open_items, open_sides, take
from twofold.turing.judge import compare, judge, learner_for
from twofold.turing.learners import Groups, auc

RATE = 8000


def clicks(n, seed):
    """Bells of random pitch: sounds whose spectrum is known."""
    rng = np.random.default_rng(seed)
    t = np.arange(2000) / RATE
    made = [np.exp(-t * 20) * np.sin(2 * np.pi * rng.uniform(300, 3500) * t) * rng.uniform(0.2, 0.9) for _ in range(n)]
    return Sounds.of([sound + 0.01 * rng.normal(size=2000) for sound in made], RATE)


@pytest.fixture(scope="module")
def sides():
    """A pair of halves of each kind, of real items only."""
    rng = np.random.default_rng(0)
    glyphs = load_pictures("glyphs")
    tumours = load_sample("breast-cancer").drop_columns(["diagnosis"])
    lines = sorted({line for line in load_text("topics").splitlines() if len(line) > 40})
    found = {}
    for items in (glyphs, tumours, lines, clicks(300, 0)):
        rows = rng.permutation(len(items) if kind_of(items) != "rows" else items.num_rows)
        n = min(120, len(rows) // 2)
        found[kind_of(items)] = take(items, rows[:n]), take(items, rows[n : 2 * n])
    return found


@pytest.mark.parametrize("kind", ["pictures", "rows", "texts", "sounds"])
def test_real_items_look_like_others_and_unlike_spoilt_ones(sides, kind):
    real, other = sides[kind]
    same = judge(real, other, seed=1)
    # one in forty is flagged by chance, one in four hundred as clearly as that
    assert same.test.p > 0.005 and same.test.auc < 0.65
    worse = judge(real, spoil(other, 0)[0], seed=1)
    assert worse.kind == "told apart" and worse.test.auc > 0.7 and worse.tells
    assert worse.test.auc_interval[0] > 0.5 and worse.what == kind and "tells real and fake apart" in str(worse)
    assert json.loads(json.dumps(worse.to_json()))["test"]["p"] <= 0.05


def test_the_test_keeps_its_level_where_there_is_nothing_to_see():
    rng = np.random.default_rng(0)
    is_fake, found = np.arange(120) >= 60, []
    for seed in range(300):
        learner = Groups({"noise": rng.normal(size=(120, 12)), "words": rng.integers(0, 2, (120, 5))})
        found.append(compare(learner, np.arange(120), is_fake, np.arange(120), seed))
    assert np.mean([test.is_flagged for test in found]) <= 0.05  # 2.5 % in the long run
    assert 0.02 <= np.mean([test.p <= 0.05 for test in found]) <= 0.09
    assert np.mean([test.auc for test in found]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([low <= 0.5 <= high for low, high in (test.auc_interval for test in found)]) > 0.91


def test_a_shift_in_one_column_is_named():
    table = load_sample("wine").drop_columns(["cultivar"])
    rng = np.random.default_rng(0)
    rows = rng.permutation(table.num_rows)
    real, fake = table.take(rows[:89]), table.take(rows[89:])
    hue = pa.array(fake["hue"].to_numpy() + 0.3)
    fake = fake.set_column(fake.column_names.index("hue"), "hue", hue)
    found = judge(real, fake)
    assert found.kind == "told apart" and list(found.tells)[0] == "hue"


def test_rows_whose_columns_are_right_but_independent_are_told_apart():
    table = load_sample("breast-cancer").drop_columns(["diagnosis"])
    rng = np.random.default_rng(0)
    shuffled = pa.table({name: column.take(pa.array(rng.permutation(569))) for name, column in
                         zip(table.column_names, table.columns, strict=True)})  # fmt: skip
    found = judge(table.slice(0, 280), shuffled.slice(0, 280))
    assert found.kind == "told apart" and found.test.auc > 0.95


def test_words_that_fakes_use_are_named():
    real = [f"the cat number {i} sat on the mat" for i in range(80)]
    fake = [f"the cat number {i} sat on the hat" for i in range(80, 160)]
    found = judge(real, fake)
    assert found.kind == "told apart" and "h" in "".join(list(found.tells)[:3])


def test_copies_and_items_of_training_are_told_and_training_is_left_out(sides):
    real, other = sides["texts"]
    found = judge(real, [*other[:-10], *real[:10]], seen=fingerprints(real[:40]))
    assert found.n_real == 80
    assert found.notes[:2] == [
        "40 real items were seen in training, and are left out",
        "10 fakes are copies of real items",
    ]


def test_copies_of_a_picture_count_once():
    """Twenty pictures six times over are no hundred and twenty: two sides of noise would look unlike."""
    kinds = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        both = Pictures.of(np.repeat(rng.integers(0, 256, (40, 16, 16, 1), dtype=np.uint8), 6, 0))
        found = judge(both.take(range(120)), both.take(range(120, 240)))
        assert found.n_real == 20 and "100 of 120 fakes are the same as another, and count once" in found.notes
        kinds.append(found.kind)
    assert kinds.count("told apart") <= 1


def test_the_same_text_on_both_sides_stays_in_one_block():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefgh"), 12)) for _ in range(60)]
    assert judge(texts, texts).test.auc == pytest.approx(0.5, abs=0.12)


def test_sides_of_two_sizes_are_shrunk_to_one_and_it_is_said():
    glyphs, large = load_pictures("glyphs"), load_pictures("glyphs-64")
    rows = np.random.default_rng(0).permutation(len(glyphs))[:160]
    found = judge(large.take(rows[:80]), glyphs.take(rows[80:]))
    assert any("64 x 64 pixels, the fakes 32 x 32" in note for note in found.notes)


def test_given_features_are_one_more_group(sides):
    real, other = sides["pictures"]
    rng = np.random.default_rng(0)
    more = rng.normal(size=(120, 4)), rng.normal(size=(120, 4)) + 1.0
    found = judge(real, other, features=more)
    assert found.kind == "told apart" and list(found.tells)[0] == "given features"


def test_too_few_or_unlike_sides_are_refused(sides):
    with pytest.raises(DataError, match="at least 12"):
        judge(sides["texts"][0][:5], sides["texts"][1])
    with pytest.raises(SettingError, match="n is 5"):
        judge(*sides["texts"], n=5)
    with pytest.raises(DataError, match="Give a row an item"):
        judge(*sides["pictures"], features=(np.ones((3, 2)), np.ones((120, 2))))
    with pytest.raises(SettingError, match="pictures and sounds only"):
        judge(*sides["texts"], features=(np.ones((120, 2)), np.ones((120, 2))))
    with pytest.raises(DataError, match="the real side holds texts, the fake side rows"):
        judge(sides["texts"][0], sides["rows"][1])
    with pytest.raises(DataError, match="differ in columns"):
        judge(sides["rows"][0], sides["rows"][1].drop_columns(["mean_radius"]))


def test_features_are_finite_for_odd_pictures_and_sounds():
    shapes = [(1, 1, 1), (3, 200, 3), (16, 16, 3), (9, 9, 1)]
    pictures = Pictures.of([np.full(shape, 255, np.uint8) for shape in shapes])
    for is_cut in (True, False):
        groups = picture_features(pictures, 16, is_cut=is_cut, channels=3)
        assert all(group.shape[0] == 4 and np.isfinite(group).all() for group in groups.values())
    sounds = Sounds.of([np.zeros(1), np.zeros(5000), np.ones(300)], RATE)
    groups = sound_features(sounds)
    assert all(group.shape[0] == 3 and np.isfinite(group).all() for group in groups.values())


def test_every_kind_is_opened_known_and_fingerprinted(tmp_path):
    assert kind_of(open_items("sample:photos")) == "pictures" and kind_of(open_items("sample:wine")) == "rows"
    (tmp_path / "a.txt").write_text("\n".join(f"line {i % 25}" for i in range(50)))
    texts = open_items(tmp_path / "a.txt")
    assert len(texts) == 50 and len(set(fingerprints(texts))) == 25
    assert fingerprints(load_sample("wine"))[0] == fingerprints(load_sample("wine").slice(0, 1))[0]
    low = Sounds.of([np.zeros(100)], 4000)
    assert open_sides(clicks(2, 0), low)[0].rate == 4000
    learner = learner_for(texts[:25], texts[25:])
    assert learner.scores(np.arange(0, 50, 2), np.arange(0, 50, 2) >= 25, np.arange(1, 50, 2)).shape == (25,)
    assert auc(np.array([1.0, 2, 3, 3]), np.array([False, False, True, True])) == 1
