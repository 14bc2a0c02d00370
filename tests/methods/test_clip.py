"""CLIP: words and pictures brought together on small scenes and signs, and what must hold whatever they are."""

import dataclasses

import numpy as np
import pytest
import torch

from twofold import CLIP, TransferClassifier
from twofold.core.estimator import Estimator
from twofold.core.gallery import Gallery
from twofold.data.pairs import open_pairs
from twofold.data.pictures import open_pictures, write_picture
from twofold.errors import DataError, SettingError, TwofoldError
from twofold.methods.clip.fitted import FittedTowers
from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.start import align
from twofold.methods.clip.towers import pairwise_loss, right_pairs

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 50, 220), "yellow": (230, 220, 40)}
SMALL = {"n_steps": 40, "batch_size": 64, "embed_dim": 32, "dim": 32, "describes": False, "n_threads": 1}
N = 120


def scenes(n, seed, side=32):
    """Pictures of two things, left and right, with a caption each; where each lies: picture, caption, top, left."""
    rng, pixel_NSSC = np.random.default_rng(seed), np.full((n, side, side, 3), 235, np.uint8)
    y, x = np.mgrid[0:10, 0:10]
    is_ball = (y - 4.5) ** 2 + (x - 4.5) ** 2 <= 25
    captions, things = [[] for _ in range(n)], []
    for i in range(n):
        for left, colour in zip((4, 20), rng.permutation(list(COLOURS))[:2], strict=True):
            top, kind = int(rng.integers(2, 20)), ("square", "ball")[rng.integers(2)]
            shape = is_ball if kind == "ball" else np.ones_like(is_ball)
            pixel_NSSC[i, top : top + 10, left : left + 10][shape] = COLOURS[colour]
            captions[i].append(f"a {colour} {kind}")
            things.append((i, captions[i][-1], top, left))
    return pixel_NSSC, captions, things


PIXELS, CAPTIONS, _ = scenes(N, 0)
NEW_PIXELS, NEW_CAPTIONS, NEW_THINGS = scenes(60, 1)


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return CLIP(**SMALL).fit(PIXELS, CAPTIONS)


@pytest.fixture(scope="module")
def signs():
    """Some of the sample's signs: chess, arrows, Greek and box drawings."""
    pairs = open_pairs("sample:glyphs")
    words = ("chess", "arrow", "greek", "box drawings")
    return pairs.take(np.flatnonzero([any(word in own[0] for word in words) for own in pairs.captions])[::2])


@pytest.fixture(scope="module")
def of_signs(signs):
    torch.set_num_threads(1)
    return CLIP(**SMALL | {"embed_dim": 128}).fit(signs)


# ---- the loss, what is right, what is held out ---------------------------------------------------


def test_the_pairwise_loss_is_what_two_loops_sum():
    generator = torch.Generator().manual_seed(0)
    score_BA, is_pair_BA = torch.randn(5, 7, generator=generator), torch.rand(5, 7, generator=generator) > 0.7
    total = 0.0
    for score_A, is_pair_A in zip(score_BA.tolist(), is_pair_BA.tolist(), strict=True):
        for score, is_pair in zip(score_A, is_pair_A, strict=True):
            total -= np.log(1 / (1 + np.exp(-score if is_pair else score)))
    assert float(pairwise_loss(score_BA, is_pair_BA)) == pytest.approx(total / 5, rel=1e-6)
    assert torch.isfinite(pairwise_loss(torch.tensor([[1e4, -1e4]]), torch.tensor([[False, True]])))


def test_a_caption_is_right_for_all_pictures_that_were_told_it():
    row_M, text_M = np.array([0, 0, 1, 2, 2]), np.array([4, 1, 4, 0, 1])
    slowly = [[any(row_M[j] == n and text_M[j] == text_M[m] for j in range(5)) for n in range(3)] for m in range(5)]
    assert right_pairs(row_M, text_M, 3).tolist() == slowly


def test_whole_pictures_are_held_out_and_their_words_are_not_looked_at():
    captions = [[f"thing{i}", f"the word{i}"] for i in range(N)]
    lesson = Lesson.of(open_pairs(PIXELS, captions), reads_words=False, seed=0)
    held, learned = (set(lesson.picture_M[lesson.is_held_M == is_held]) for is_held in (True, False))
    assert len(held) == 12 and not held & learned and len(held | learned) == N
    known = set(lesson.pieces.names)
    assert not any(f"<thing{i}>" in known for i in held) and all(f"<word{i}>" in known for i in learned)
    few = Lesson.of(open_pairs(PIXELS[:39], captions[:39]), reads_words=False, seed=0)
    assert not few.is_held_M.any() and few.held_out() is None


def test_equal_captions_have_one_number_whatever_their_case():
    lesson = Lesson.of(open_pairs(PIXELS[:3], ["A ball", "a BALL", "a hat"]), reads_words=True, seed=0)
    assert lesson.text_M.tolist() == [0, 0, 1] and lesson.word_MT.shape[1] == 2


# ---- what is learned -----------------------------------------------------------------------------


def test_new_pictures_and_words_find_each_other(model):
    told = {measure.name: measure for measure in model.evaluate(NEW_PIXELS, NEW_CAPTIONS)}
    for way in ("words find pictures", "pictures find words"):
        first = told[f"{way}, recall@1"]
        assert first.value > 0.9 and dict(first.baselines)["chance"] < 0.3  # measured 1 and 1 beside .25
        assert told[f"{way}, mean average precision"].value > 0.9


def test_what_is_kept_is_never_worse_than_the_start(model, of_signs):
    for one in (model, of_signs, CLIP(**SMALL | {"learning_rate": 0.5}).fit(PIXELS, CAPTIONS)):
        assert one.measures_["mean of 1 / place, held out"] >= one.measures_["of the start"]
        assert 0 <= one.measures_["share of the training that is kept"] <= 1


def test_a_training_that_does_harm_is_taken_back():
    harmed = CLIP(**SMALL | {"learning_rate": 5.0}).fit(PIXELS, CAPTIONS)
    told = {measure.name: measure.value for measure in harmed.evaluate(NEW_PIXELS, NEW_CAPTIONS)}
    assert told["words find pictures, mean average precision"] > 0.9


def test_vectors_have_length_one_and_equal_texts_are_equal(model):
    for vector_NE in (model.transform(NEW_PIXELS), model.transform_text(["a red ball", "a hat"])):
        assert vector_NE.dtype == np.float32 and vector_NE.shape[1] == 32
        assert np.linalg.norm(vector_NE, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(model.transform_text("A RED  ball"), model.transform_text(["a red ball"]))
    assert np.isfinite(model.transform_text(["", "@", "zzz", "犬", "a " * 5000])).all()
    assert model.transform_text([]).shape == (0, 32) and model.unknown_words("a red zebra") == ["zebra"]


def test_the_same_seed_gives_the_same_weights_and_another_one_others(model):
    same, other = CLIP(**SMALL).fit(PIXELS, CAPTIONS), CLIP(**SMALL, seed=1).fit(PIXELS, CAPTIONS)
    assert same.identity == model.identity != other.identity
    for name, tensor in model.towers_.to_tensors().items():
        assert torch.equal(tensor, same.towers_.to_tensors()[name]), name
    assert same.relevance_ == model.relevance_ and same.temperature_ == model.temperature_


def test_what_is_saved_answers_alike_and_is_the_same_towers(model, tmp_path):
    loaded = CLIP.load(model.save(tmp_path / "run"))
    assert loaded.identity == model.identity and loaded.measures_ == model.measures_
    assert np.array_equal(loaded.transform(NEW_PIXELS), model.transform(NEW_PIXELS))
    assert np.array_equal(loaded.transform_text(["a red ball"]), model.transform_text(["a red ball"]))
    assert loaded.search(NEW_PIXELS, "a red ball") == model.search(NEW_PIXELS, "a red ball")
    assert np.array_equal(loaded.classify(NEW_PIXELS, ["red", "blue"]), model.classify(NEW_PIXELS, ["red", "blue"]))
    assert np.array_equal(loaded.explain(NEW_PIXELS[:1], "red"), model.explain(NEW_PIXELS[:1], "red"))
    assert isinstance(loaded, Estimator) and loaded.embed_dim == 32


def test_an_index_of_other_towers_is_refused(model, tmp_path):
    for i, pixel_SSC in enumerate(NEW_PIXELS[:8]):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        write_picture(tmp_path / "pictures" / f"{i}.png", pixel_SSC)
    gallery = Gallery.open(tmp_path / "photos.index")
    *_, state = gallery.refresh(model, tmp_path / "pictures")
    assert state.n_embedded == 8
    right = {f"{i}.png" for i, own in enumerate(NEW_CAPTIONS[:8]) if "a red ball" in own}
    found = gallery.search(model, "a red ball", k=8).nearest
    assert {match.id for match in found[: len(right)]} == right
    with pytest.raises(TwofoldError, match="cannot be compared"):
        gallery.search(CLIP(**SMALL, seed=1).fit(PIXELS[:20], CAPTIONS[:20]), "a red ball")


# ---- verbs ---------------------------------------------------------------------------------------


def test_classify_gives_probabilities_and_knows_red_from_black():
    squares = np.zeros((40, 16, 16, 3), np.uint8)
    squares[::2, ..., 0] = 255
    squares += np.random.default_rng(0).integers(0, 9, squares.shape, np.uint8) * (squares == 0)
    model = CLIP(**SMALL).fit(squares, ["a red square", "a black square"] * 20)
    share_NK = model.classify(squares[:6], ["red", "black"])
    assert share_NK.sum(1) == pytest.approx(1) and share_NK.argmax(1).tolist() == [0, 1] * 3
    said_NK = model.classify(squares[:6], ["red", "black"], ["a {} square", "{}"])
    assert said_NK.argmax(1).tolist() == [0, 1] * 3


def test_classify_tells_new_pictures_by_names_it_was_never_given_alone(model):
    only = [i for i, own in enumerate(NEW_CAPTIONS) if ("red" in " ".join(own)) != ("blue" in " ".join(own))]
    share_NK = model.classify(NEW_PIXELS[only], ["red", "blue"])
    is_blue = np.array(["blue" in " ".join(NEW_CAPTIONS[i]) for i in only])
    assert (share_NK.argmax(1) == is_blue).mean() > 0.95
    assert share_NK.max(1).mean() > 0.7 and share_NK.sum(1) == pytest.approx(1)


def test_labels_that_no_picture_fits_are_still_probabilities(model):
    share_NK = model.classify(NEW_PIXELS[:3], ["zzz", "@@", "red"])
    assert np.isfinite(share_NK).all() and share_NK.sum(1) == pytest.approx(1)


def test_search_gives_the_best_first_and_only_what_fits(model):
    for hits, caption in zip(model.search(NEW_PIXELS, ["a red ball", "a blue square"], k=4),
                             ("a red ball", "a blue square"), strict=True):  # fmt: skip
        assert 0 < len(hits) <= 4
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert caption in NEW_CAPTIONS[hits[0].index]
    score_QN = model.transform_text(["a red ball"]) @ model.transform(NEW_PIXELS).T
    everything = model.search(NEW_PIXELS, "a red ball", k=60)[0]
    assert len(everything) == (score_QN >= model.least_scores(score_QN)[:, None]).sum()


def test_signs_are_found_by_their_names(of_signs, signs):
    names = [own[0] for own in signs.captions]
    asked = np.random.default_rng(0).permutation(len(names))[:60]
    found = of_signs.search(signs, [names[i] for i in asked], k=10)
    assert np.mean([i in {hit.index for hit in hits} for i, hits in zip(asked, found, strict=True)]) > 0.6
    chess = [name for name in names if "chess" in name]
    first = [names[hits[0].index] for hits in of_signs.search(signs, chess, k=1)]
    assert len(chess) == 6 and np.mean([own == name for own, name in zip(first, chess, strict=True)]) > 0.6
    assert all("chess" in own for own in first)


def test_names_that_share_no_word_with_any_caption_are_answered_by_nothing(of_signs, signs):
    every = [own[0] for own in open_pairs("sample:glyphs").captions]
    strange = [name for name in every if len(of_signs.unknown_words(name)) == len(set(name.split()))]
    assert len(strange) > 300
    assert np.mean([not hits for hits in of_signs.search(signs, strange[::5])]) > 0.8


@pytest.mark.parametrize("text", ["zzz", "@@ qqq", "犬"])
def test_a_text_of_which_nothing_is_known_is_answered_by_nothing(model, text):
    assert model.search(NEW_PIXELS, text) == [[]]


def test_the_heat_is_highest_where_the_named_thing_is(model):
    n_right = 0
    for place, (i, caption, top, left) in enumerate(NEW_THINGS[:40]):
        _, _, other_top, other_left = NEW_THINGS[place ^ 1]
        heat_HW = model.explain([NEW_PIXELS[i]], caption)
        here, there = (
            heat_HW[top : top + 10, left : left + 10],
            heat_HW[other_top : other_top + 10, other_left:][:, :10],
        )
        n_right += here.mean() > there.mean()
    assert n_right >= 36  # measured 40 of 40


def test_the_heat_is_as_large_as_the_picture_and_zero_beside_the_middle(model):
    wide = np.full((32, 96, 3), 235, np.uint8)
    wide[:, 32:64] = NEW_PIXELS[0]
    heat_HW = model.explain([wide], NEW_CAPTIONS[0][0])
    assert heat_HW.shape == (32, 96) and heat_HW.dtype == np.float32
    assert not heat_HW[:, :32].any() and not heat_HW[:, 64:].any() and heat_HW.max() > 0 and heat_HW.min() >= 0


def test_captions_are_written_and_saved_too(tmp_path):
    model = CLIP(**SMALL | {"describes": True, "n_steps": 150}).fit(PIXELS, CAPTIONS)
    told = model.describe(NEW_PIXELS[:20], 2)
    is_right = [own[0][0] in captions for own, captions in zip(told, NEW_CAPTIONS, strict=False)]
    assert np.mean(is_right) > 0.5 and all(len(own) == 2 for own in told)
    assert CLIP.load(model.save(tmp_path / "run")).describe(NEW_PIXELS[:5]) == model.describe(NEW_PIXELS[:5])
    assert model.n_iter_ == 150


# ---- kinds of towers and of pictures -------------------------------------------------------------


def test_a_run_lends_its_picture_tower_to_a_classifier_and_to_another_clip(model, tmp_path):
    run = model.save(tmp_path / "run")
    has_red = np.array(["red" if "red" in " ".join(own) else "none" for own in CAPTIONS])
    taught = TransferClassifier(str(run), mode="frozen", n_threads=1).fit(PIXELS, has_red)
    is_red = np.array(["red" if "red" in " ".join(own) else "none" for own in NEW_CAPTIONS])
    assert (taught.predict(NEW_PIXELS) == is_red).mean() > 0.9
    upon = CLIP(**SMALL | {"image_tower": str(run), "n_steps": 5}).fit(PIXELS[:60], CAPTIONS[:60])
    loaded = CLIP.load(upon.save(tmp_path / "upon"))
    assert np.array_equal(loaded.transform(NEW_PIXELS[:3]), upon.transform(NEW_PIXELS[:3]))


def test_a_network_of_timm_can_be_the_picture_tower(tmp_path):
    model = CLIP(**SMALL | {"image_tower": "untrained:test_resnet", "image_size": 32}).fit(PIXELS[:60], CAPTIONS[:60])
    loaded = CLIP.load(model.save(tmp_path / "run"))
    assert loaded.identity == model.identity
    assert np.array_equal(loaded.transform(NEW_PIXELS[:3]), model.transform(NEW_PIXELS[:3]))
    told = {measure.name: measure.value for measure in loaded.evaluate(NEW_PIXELS, NEW_CAPTIONS)}
    assert told["words find pictures, recall@1"] > 0.5


def test_texts_can_be_read_in_their_order(tmp_path):
    sides = [[f"a {one.split()[1]} thing left of a {two.split()[1]} thing"] for one, two in CAPTIONS]
    model = CLIP(**SMALL | {"text_tower": "transformer", "n_steps": 8}).fit(PIXELS, sides)
    texts = ["a red thing left of a blue thing", "a blue thing left of a red thing"]
    loaded = CLIP.load(model.save(tmp_path / "run"))
    assert loaded.towers_.text.reader is not None and loaded.identity == model.identity
    assert np.array_equal(loaded.transform_text(texts), model.transform_text(texts))
    assert np.linalg.norm(model.transform_text(["", "zzz"]), axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [(24, 24, 1), (40, 17, 3), (8, 8, 3), (1, 1, 3)])
def test_grey_and_coloured_pictures_of_all_sizes_are_learned_from(shape):
    dark, light = (np.full((20, *shape), level, np.uint8) for level in (20, 220))
    pixel_NHWC = np.concatenate([dark, light]) + np.random.default_rng(0).integers(0, 20, (40, *shape), np.uint8)
    model = CLIP(**SMALL | {"n_steps": 5}).fit(pixel_NHWC, ["a dark day"] * 20 + ["a light night"] * 20)
    assert model.channels == shape[2]
    assert model.classify(pixel_NHWC[[0, -1]], ["dark", "light"]).argmax(1).tolist() == [0, 1]
    other = np.repeat(pixel_NHWC[:2], 3, 3) if shape[2] == 1 else pixel_NHWC[:2, ..., :1]
    assert model.transform(other).shape == (2, 32)


@pytest.mark.parametrize(
    ("n", "captions"),
    [
        (2, ["one", "two"]), (2, [["one", "uno"], ["two"]]), (3, ["a", "b", None]), (12, ["cat", "dog", "cat"] * 4),
        (12, [f"number {i}" for i in range(12)]), (12, ["猫", "犬", "😀"] * 4),
    ],
)  # fmt: skip
def test_tiny_sets_are_learned_from(n, captions, tmp_path):
    model = CLIP(**SMALL | {"n_steps": 4, "describes": True}).fit(PIXELS[:n], captions)
    assert np.isfinite(model.transform(PIXELS[:n])).all() and np.isfinite(model.transform_text(["one", "x"])).all()
    assert len(model.search(PIXELS[:n], ["one"], k=3)) == 1
    assert all(np.isfinite(measure.value) for measure in model.evaluate(PIXELS[:n], captions))
    loaded = CLIP.load(model.save(tmp_path / "run"))
    assert loaded.identity == model.identity and loaded.describe(PIXELS[:1]) == model.describe(PIXELS[:1])


def test_captions_without_a_word_teach_the_towers_and_no_writing():
    model = CLIP(**SMALL | {"n_steps": 4, "describes": True}).fit(PIXELS[:4], [".", "!", "?", "-"])
    assert np.isfinite(model.transform_text(["?"])).all()
    with pytest.raises(SettingError, match="did not learn to describe"):
        model.describe(PIXELS[:1])


def test_a_training_that_is_stopped_at_once_leaves_a_model():
    training = CLIP(**SMALL)
    steps = training.train(PIXELS, CAPTIONS)
    next(steps)
    steps.close()
    told = {measure.name: measure.value for measure in training.evaluate(NEW_PIXELS, NEW_CAPTIONS)}
    assert told["words find pictures, recall@1"] > 0.9 and training.n_iter_ >= 1


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_tower": "lstm"}, "text_tower is 'lstm'. Allowed: auto, bag, transformer"),
        ({"embed_dim": 1}, "embed_dim is 1"), ({"dim": 0}, "dim is 0; it must be at least 2"),
        ({"n_steps": 0}, "n_steps is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        CLIP(**SMALL | settings).fit(PIXELS[:4], CAPTIONS[:4])


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        (["a ball"] * 4, "1 different captions of 4 pictures; at least two of both are needed"),
        ([["a ball", "a hat"], None, None, None], "2 different captions of 1 pictures"),
        ([None] * 4, "0 different captions"), (["a ball"], "1 captions were given for 4 pictures"),
    ],
)  # fmt: skip
def test_pairs_that_teach_nothing_are_refused(captions, message):
    with pytest.raises(DataError, match=message):
        CLIP(**SMALL).fit(PIXELS[:4], captions)


def test_questions_that_make_no_sense_are_refused_with_the_remedy(model):
    with pytest.raises(SettingError, match="at least two different ones are needed. Give some, as cat,dog"):
        model.classify(NEW_PIXELS[:1], ["red"])
    with pytest.raises(SettingError, match="each needs {} where the label goes"):
        model.classify(NEW_PIXELS[:1], ["red", "blue"], ["a photo"])
    with pytest.raises(SettingError, match="did not learn to describe. Train one without --describes False"):
        model.describe(NEW_PIXELS[:1])
    with pytest.raises(DataError, match="there is nothing to search for. Give pictures with captions"):
        model.evaluate(NEW_PIXELS[:2], [None, ""])
    with pytest.raises(Exception, match="not fitted yet"):
        CLIP().transform(PIXELS[:1])


# ---- crops ---------------------------------------------------------------------------------------


def test_pictures_whose_captions_speak_of_sides_or_letters_are_known():
    pixels = np.zeros((5, 8, 8, 3), np.uint8)
    captions = ["an arrow to the Left", "a cat", ["a dog", "letter b"], "leftover soup", "turned anticlockwise"]
    lesson = Lesson.of(open_pairs(pixels, captions), reads_words=False, seed=0)
    assert lesson.has_sides(5).tolist() == [True, False, True, False, True]


def test_crops_are_seen_in_training_alone_and_mirrored_where_no_side_is_spoken_of(monkeypatch):
    monkeypatch.setattr("twofold.methods.clip.locked.CROPPED", (1.0, 1.0))
    pixel_NSSC, captions, *_ = scenes(60, 0)
    pairs = open_pairs(pixel_NSSC, captions)
    # half precision would tell crops from the whole by rounding
    model = CLIP(**SMALL, n_crops=2, precision="float32")
    lesson = Lesson.of(pairs, reads_words=False, seed=0)
    learner, locked = model._learner(pairs.pictures, lesson)
    assert learner.view_KNR.shape == (3, 60, learner.feature_NR.shape[1])
    # uncropped, only the mirror changes a picture
    has_sides_N = np.arange(60) < 30
    seen_ND = locked.features_of_crops(pairs.pictures, has_sides_N, torch.device("cpu"), 1)
    whole_ND = locked.features(pairs.pictures, torch.device("cpu"))
    is_same_N = np.abs(seen_ND - whole_ND).max(1) < 1e-4
    assert is_same_N[:30].all() and 5 < is_same_N[30:].sum() < 25
    picture_B = torch.arange(60)
    assert torch.equal(learner.eval().seen(picture_B), learner.feature_NR)
    learner.view_KNR[1:] += 100
    learner.generator.manual_seed(0)
    is_crop_B = (learner.train().seen(picture_B) > 50).all(1)
    assert 30 < is_crop_B.sum() < 50


def test_of_very_many_pictures_no_crops_are_looked_at(monkeypatch):
    monkeypatch.setattr("twofold.methods.clip.locked.MOST_LOOKS", 119)
    pixel_NSSC, captions, *_ = scenes(60, 0)
    pairs = open_pairs(pixel_NSSC, captions)
    learner, *_ = CLIP(**SMALL)._learner(pairs.pictures, Lesson.of(pairs, reads_words=False, seed=0))
    assert len(learner.view_KNR) == 1 and learner.train().seen(torch.arange(3)).shape[0] == 3


@pytest.mark.parametrize("reads_words", [False, True])
def test_captions_lie_where_their_pieces_say_and_the_settled_tower_takes_any_text(reads_words):
    pixel_NSSC, captions, *_ = scenes(60, 0)
    pairs = open_pairs(pixel_NSSC, [[f"{own[0]} {own[0]}", own[0].upper()] for own in captions])
    lesson = Lesson.of(pairs, reads_words=reads_words, seed=0)
    learner, _ = CLIP(**SMALL, n_crops=0)._learner(pairs.pictures, lesson)
    told = lesson.by_number()
    align(learner, told, 0)
    with torch.no_grad():
        for weight in learner.text.parameters():
            weight += 0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    tower = learner.text.settled(torch.from_numpy(lesson.pieces.weight_V))
    known_ME = learner.text(*map(torch.from_numpy, told.arrays(False)[2:]))
    assert torch.allclose(known_ME, tower(*map(torch.from_numpy, lesson.arrays(False)[2:])), atol=1e-5)
    assert (known_ME.norm(dim=1) - 1).abs().max() < 1e-5 and known_ME.std(0).mean() > 1e-3
    # data, and no weights
    assert not any("place" in name for name in learner.state_dict())


def test_how_near_a_picture_lies_to_known_captions_is_taken_off_its_scores(of_signs):
    towers, words = of_signs.towers_, ["a", "black queen", "circled digit seven"]
    pixel_NSSC = of_signs._pixels(open_pictures("sample:glyphs").take(range(40)))
    bare = dataclasses.replace(towers, known_KE=towers.known_KE[:0])
    picture_NE, text_QE = bare.embed_pixels(pixel_NSSC), bare.embed_texts(words)
    n_near = len(towers.known_KE) // 50
    assert towers.n_near == n_near > 1 and towers.width == bare.width + 1 == picture_NE.shape[1] + 1
    near_N = [np.mean(sorted(known_K)[-n_near:]) for known_K in picture_NE @ towers.known_KE.T]
    score_QN = towers.embed_texts(words) @ towers.embed_pixels(pixel_NSSC).T
    off_N = np.array(near_N) - towers.usual
    slow_QN = (text_QE @ picture_NE.T - 0.4 * off_N) / np.sqrt(1 + 0.5**2) / np.sqrt(1 + (0.4 / 0.5 * off_N) ** 2)
    assert score_QN == pytest.approx(slow_QN, abs=1e-5) and abs(off_N.mean()) < 0.1
    for vector in (*towers.embed_pixels(pixel_NSSC), *towers.embed_texts(words), *towers.embed_labels(words, ["{}"])):
        assert len(vector) == towers.width and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    # a model that was saved before this answers as it did
    tensors = {name: value for name, value in towers.to_tensors().items() if name != "usual"}
    old = FittedTowers.from_tensors(tensors, None)
    assert old.identity == bare.identity and np.array_equal(old.embed_texts(words), text_QE)


def test_a_label_of_no_known_word_is_judged_by_its_cosine_as_others_are(of_signs):
    labels, pictures = ["latin letter", "arrow", "qxzqv"], open_pictures("sample:glyphs").take(range(100))
    assert of_signs.known_share(labels)[2] < 0.5
    # a score brought nearer to nothing would beat all that lie below it
    score_NL = of_signs.transform(pictures) @ of_signs.towers_.embed_labels(labels, ["{}"]).T
    assert np.array_equal(of_signs.classify(pictures, labels).argmax(1), score_NL.argmax(1))
    assert not np.array_equal((score_NL * of_signs.known_share(labels)).argmax(1), score_NL.argmax(1))
