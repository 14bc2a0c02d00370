"""Texts as bags: what resembles what, and the sums beside obvious ones."""

import math

import numpy as np
import pytest
import torch

from twofold.nn.words import MOST_PIECES, BagTower, Pieces, WordReader

TEXTS = [
    "a red balloon", "two red balloons over a lake", "a green boat on the lake", "green boats", "der rote Ballon",
    "the red boat", "赤い風船", "赤い船", "قارب أحمر", "بالون أحمر", "😀 grinning face", "😀 smile", "लाल गेंद",
    "लाल नाव",
]  # fmt: skip
PIECES = Pieces.learn(TEXTS)


def bag_of(pieces, embed_dim=256, seed=0):
    """A tower that gives each piece a direction of its own."""
    tower = BagTower(torch.from_numpy(pieces.weight_V), embed_dim, 8)
    with torch.no_grad():
        tower.meaning.copy_(torch.randn(tower.meaning.shape, generator=torch.Generator().manual_seed(seed)))
    return tower


def vectors(texts, pieces=PIECES):
    with torch.inference_mode():
        vector_ME = bag_of(pieces)(torch.from_numpy(pieces.encode(texts)))
    return torch.nn.functional.normalize(vector_ME, dim=1).numpy()


def likeness(one, other):
    first_E, second_E = vectors([one, other])
    return float(first_E @ second_E)


# ---- pieces --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unseen", "built_alike", "other"),
    [
        ("ballooning", "balloon", "boat"), ("lakes", "lake", "red"), ("redder", "red", "boat"),
        ("boating", "boats", "balloon"), ("BALLOON", "balloon", "boat"),
    ],
)  # fmt: skip
def test_unseen_words_resemble_those_that_are_built_alike(unseen, built_alike, other):
    assert f"<{unseen}>" not in PIECES.number
    assert likeness(unseen, built_alike) > 0.2 + likeness(unseen, other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("赤い犬", {"赤", "い"}), ("Ｒｅｄ boat", {"red", "boat"}), ("BOAT, lake!", {"boat", "lake"}),
        ("लाल।", {"लाल"}), ("أحمر", {"أحمر"}), ("😀😀", {"😀"}), ("green_boat", {"green", "boat"}),
        ("黒red船", {"red", "船"}), ("naïve", set()),
    ],
)  # fmt: skip
def test_words_of_all_scripts_are_found(text, words):
    known = {name[1:-1] for name in (PIECES.names[i - 1] for i in PIECES.encode_words([text])[0] if i)}
    assert known == words


def test_a_letter_with_an_accent_is_one_however_it_is_written():
    pieces = Pieces.learn(["café", "bar"])
    assert np.array_equal(pieces.encode(["cafe\u0301"]), pieces.encode(["café"]))


def test_the_order_of_the_texts_changes_nothing():
    again = Pieces.learn(TEXTS[::-1])
    assert again.names == PIECES.names and np.array_equal(again.weight_V, PIECES.weight_V)


def test_runs_of_letters_and_pairs_are_known_from_two_texts_on_and_words_from_one():
    pieces = Pieces.learn(["red hat", "red hat", "blue cap"])
    assert {"<red>", "<cap>", "red hat", "<re", "ed>"} <= set(pieces.names)
    assert not {"blue cap", "<bl", "blue"} & set(pieces.names)


def test_the_rarer_a_piece_the_more_it_counts():
    weight = dict(zip(PIECES.names, PIECES.weight_V, strict=True))
    assert weight["<over>"] > weight["<lake>"] > weight["<red>"] > 0
    assert weight["<over>"] == pytest.approx(math.log(len(TEXTS) + 1))


def test_the_matrix_holds_rows_of_length_one_of_the_weights():
    weight_MV = PIECES.matrix(PIECES.encode(["red lake", "?", "lake lake"])).toarray()
    number, expected_V = PIECES.number, np.zeros(len(PIECES.names))
    for name in ("<red>", "<lake>", "<re", "ed>", "<la", "lak", "ake", "ke>", "<lak", "lake", "ake>", "red"):
        if name in number:
            expected_V[number[name] - 1] = PIECES.weight_V[number[name] - 1]
    for run in ("<red", "red>", "<lake", "lake>"):
        if run in number:
            expected_V[number[run] - 1] = PIECES.weight_V[number[run] - 1]
    assert weight_MV[0] == pytest.approx(expected_V / np.linalg.norm(expected_V))
    assert not weight_MV[1].any() and np.linalg.norm(weight_MV[2]) == pytest.approx(1)


def test_long_texts_are_cut():
    words = [f"word{i}" for i in range(500)]
    assert Pieces.learn(words).encode([" ".join(words)]).shape[1] == MOST_PIECES
    assert PIECES.encode_words(["red lake " * 500]).shape[1] == 48


def test_what_is_said_twice_counts_once():
    once, twice = (PIECES.encode([text])[0] for text in ("red lake", "red lake red lake"))
    assert set(once[once > 0]) <= set(twice[twice > 0]) and len(set(twice[twice > 0])) == (twice > 0).sum()


def test_unknown_words_are_told_and_how_much_of_a_text_is_known():
    assert PIECES.unknown("a red tractor, redder") == ["tractor", "redder"]
    texts = ["red lake", "red xqz", "xqz", "", "redder", "over xqz", "犬"]
    share = dict(zip(texts, PIECES.known_share(texts), strict=True))
    weight = dict(zip(PIECES.names, PIECES.weight_V, strict=True))
    assert share["red lake"] == pytest.approx(1) and share["xqz"] == share[""] == share["犬"] == 0
    assert share["red xqz"] == pytest.approx(weight["<red>"] / (weight["<red>"] + PIECES.weight_V.max()))
    # of the runs of <redder> that are known: <re, red, <red
    known = [run for n in (3, 4, 5) for i in range(9 - n) if (run := "<redder>"[i : i + n]) in PIECES.number]
    assert share["redder"] == pytest.approx(len(known) / 15) and 0 < share["redder"] < 0.5
    assert share["red xqz"] < share["over xqz"] == pytest.approx(0.5)


# ---- the tower -----------------------------------------------------------------------------------


def test_the_tower_sums_the_weighted_meanings():
    tower, piece_BL = bag_of(PIECES), torch.from_numpy(PIECES.encode(["a red lake", "boat"]))
    weight_MV = torch.from_numpy(PIECES.matrix(piece_BL.numpy()).toarray()).float()
    plain = weight_MV @ tower.meaning[1:] + tower.bias
    assert torch.allclose(tower(piece_BL), plain, atol=1e-5)


def test_what_bends_and_what_reads_begin_as_nothing_and_learn():
    tower, reader = bag_of(PIECES, 6), WordReader(len(PIECES.names), 6, dim=64, depth=1)
    piece_BL = torch.from_numpy(PIECES.encode(["a red lake"]))
    assert not tower.bend(torch.ones(1, 6)).any()
    word_BT = torch.from_numpy(PIECES.encode_words(["a red lake"]))
    assert not reader(word_BT).any()
    (tower(piece_BL) + reader(word_BT)).square().sum().backward()
    assert tower.meaning.grad.any() and tower.bend[-1].weight.grad.any() and reader.out.weight.grad.any()


def test_a_text_without_a_known_piece_is_finite():
    tower = bag_of(PIECES, 6)
    torch.nn.init.ones_(tower.bias)
    vector_BE = tower(torch.from_numpy(PIECES.encode(["@", "", "xqz"])))
    assert torch.isfinite(vector_BE).all() and torch.allclose(vector_BE, tower.bias.expand(3, -1))


def test_the_reader_tells_the_order_of_words_and_not_what_is_behind():
    reader, generator = WordReader(len(PIECES.names), 6, dim=64, depth=1), torch.Generator().manual_seed(0)
    for weight in reader.parameters():  # a block begins as nothing, too
        torch.nn.init.normal_(weight, std=0.2, generator=generator)
    word_BT = torch.from_numpy(PIECES.encode_words(["red lake boat", "boat lake red", "red lake"]))
    one, turned, shorter = reader(word_BT)
    assert (one - turned).abs().max() > 1e-3
    alone = reader(torch.from_numpy(PIECES.encode_words(["red lake"])))[0]
    assert torch.allclose(shorter, alone, atol=1e-5)
    assert torch.isfinite(reader(torch.zeros(1, 1, dtype=torch.int32))).all()
