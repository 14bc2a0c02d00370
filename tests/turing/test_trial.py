"""A trial is balanced, fixed by its seed, and shows nothing that training saw as real."""

import json

import pytest

from twofold.data.picture_set import Pictures
from twofold.data.samples import load_pictures
from twofold.errors import DataError, SettingError
from twofold.turing.items import fingerprints
from twofold.turing.trial import Trial, draw_trial

REAL, FAKE = [f"r{i}" for i in range(100)], [f"f{i}" for i in range(80)]


def shown_rows(trial, is_fake):
    return [row for question in trial.questions for fake, row in question.rows if fake == is_fake]


def test_as_many_real_as_fake_each_once_in_mixed_order():
    trial = draw_trial(REAL, FAKE, n=30, seed=1)
    assert len(trial.questions) == 60 and sum(q.is_fake for q in trial.questions) == 30
    assert len(set(shown_rows(trial, True))) == len(set(shown_rows(trial, False))) == 30
    assert 5 < sum(q.is_fake for q in trial.questions[:30]) < 25


def test_the_same_seed_makes_the_same_trial_and_json_keeps_it():
    trial = draw_trial(REAL, FAKE, n=20, seed=3)
    assert draw_trial(REAL, FAKE, n=20, seed=3) == trial != draw_trial(REAL, FAKE, n=20, seed=4)
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial
    assert draw_trial(REAL[::-1], FAKE, n=20, seed=3).fingerprint != trial.fingerprint


def test_no_item_of_training_is_shown_as_real_and_copies_are_told():
    seen = {*REAL[:60], "f7"}
    for seed in range(20):
        trial = draw_trial(REAL, FAKE, n=35, seed=seed, seen=seen)
        assert min(shown_rows(trial, False)) >= 60
    assert trial.notes == (
        "60 real items were seen in training, and are left out",
        "1 fakes are items of training, copied",
    )


def test_a_picture_of_training_is_known_under_another_name():
    glyphs = load_pictures("glyphs").take(range(60))
    training = Pictures.of([glyphs[i] for i in range(40)], ids=[f"renamed-{i}" for i in range(40)])
    trial = draw_trial(fingerprints(glyphs), FAKE, n=20, seen=fingerprints(training))
    assert sorted(shown_rows(trial, False)) == list(range(40, 60))


def test_the_same_item_twice_is_shown_once():
    trial = draw_trial(["a", "a", "b", "c"], FAKE, n=3)
    assert sorted(shown_rows(trial, False)) == [0, 2, 3]


def test_of_pairs_the_fake_comes_first_in_half():
    trial = draw_trial(REAL, FAKE, n=40, are_pairs=True)
    assert len(trial.questions) == 40 and sum(q.is_fake for q in trial.questions) == 20
    assert all(q.rows[0][0] == q.is_fake and len(q.rows) == 2 for q in trial.questions)


def test_too_few_items_are_refused_with_their_number():
    with pytest.raises(DataError, match="40 different real items .60 others were seen in training.; 50 were asked for"):
        draw_trial(REAL, FAKE, n=50, seen=REAL[:60])
    with pytest.raises(DataError, match="80 different fakes"):
        draw_trial(REAL, FAKE, n=90)
    with pytest.raises(SettingError, match="n is 0"):
        draw_trial(REAL, FAKE, n=0)
    with pytest.raises(DataError, match="no trial"):
        Trial.from_json({"seed": 1})


def test_answers_stand_beside_the_truth():
    trial = draw_trial(REAL, FAKE, n=10)
    answers = trial.answers("ann", {q.number: q.is_fake for q in trial.questions[:5]}, {0: 1.5})
    assert len(answers) == 5 and answers.is_right_N.all() and answers.seconds_N[0] == 1.5
    with pytest.raises(DataError, match="no question 99"):
        trial.answers("ann", {99: True})
