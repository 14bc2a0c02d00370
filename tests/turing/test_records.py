"""A study: frozen items, answers that are never lost, and a verdict that the CSV gives too."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from twofold.data.audio import Sounds
from twofold.data.pictures import Pictures
from twofold.errors import DataError, RunError, SettingError
from twofold.turing.exhibits import bring_together, open_exhibits
from twofold.turing.items import fingerprints
from twofold.turing.records import Rules, Study, find_studies, read_answers
from twofold.turing.trial import draw_trial
from twofold.turing.verdict import decide


def pictures(n, seed, side=12, darkest=0):
    return Pictures.of(np.random.default_rng(seed).integers(darkest, 255, (n, side, side, 1), np.uint8))


def begun(root, real=None, fake=None, *, n=12, are_pairs=False, **more):
    real, fake = real or pictures(20, 1), fake or pictures(20, 2, darkest=60)
    trial = draw_trial(fingerprints(real), fingerprints(fake), n=n, seed=7, are_pairs=are_pairs)
    return Study.begin(root, trial, (real, fake), title="a test", data="noise", **more)


def say(study, judge, n=None, skill=0.7, seed=0):
    """Answer some of what is left, right with that chance."""
    rng = np.random.default_rng(seed)
    for asked in study.left(judge)[:n]:
        is_right = rng.random() < skill
        assert study.answer(judge, asked.number, said_fake=asked.is_fake == is_right, seconds=float(rng.gamma(3, 0.31)))


# ---- the verdict ---------------------------------------------------------------------------------


@pytest.mark.parametrize("are_pairs", [False, True])
def test_the_verdict_of_three_sessions_one_of_them_interrupted_is_that_of_their_csv(tmp_path, are_pairs):
    study = begun(tmp_path, n=14, are_pairs=are_pairs)
    ann, ben = study.join("ann"), study.join("ben")
    say(study, ann, n=5, skill=0.9, seed=1)
    say(study, ben, skill=0.5, seed=2)
    again = Study.open(tmp_path, study.id)  # another start: ann comes back by nickname
    assert again.join("ann").id == ann.id and again.join(" ann ").n_answers == 5
    say(again, again.join("ann"), skill=0.9, seed=3)
    say(again, again.join("Çağla 3"), skill=0.6, seed=4)
    for is_planned in (True, False):
        asked = {"are_pairs": are_pairs, "is_planned": is_planned}
        from_csv = decide(read_answers(again.csv()), **asked)
        assert from_csv == decide(type(read_answers(again.csv())).of(again.rows()), **asked)
    assert again.is_planned and again.verdict() == decide(read_answers(again.csv()), are_pairs=are_pairs)
    assert again.verdict().n_people == 3 and not any("seen before" in note for note in again.verdict().notes)
    assert [row["place"] for row in again.rows()] == sorted(row["place"] for row in again.rows())


def test_who_stopped_in_the_middle_makes_the_verdict_one_of_an_open_end(tmp_path):
    study = begun(tmp_path)
    say(study, study.join("ann"), n=10)
    assert not study.is_planned and not study.may_tell
    study.end()
    assert study.may_tell and any("not fixed beforehand" in note for note in study.verdict().notes)


# ---- answers -------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from twofold.turing.records import Study
study = Study.open(Path(sys.argv[1]), sys.argv[2])
judge = study.join("ann")
for asked in study.left(judge):
    study.answer(judge, asked.number, said_fake=True, seconds=0.5)
    print(asked.number, flush=True)
"""


def test_a_killed_process_loses_no_answer_that_was_taken(tmp_path):
    study = begun(tmp_path, pictures(100, 1, side=4), pictures(100, 2, side=4), n=100)
    taken = []
    for n_before_kill in (5, 23, 41):
        command = [sys.executable, "-c", WRITER, str(tmp_path), study.id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            taken += [int(process.stdout.readline()) for _ in range(n_before_kill)]
            process.send_signal(signal.SIGKILL)
            taken += [int(line) for line in process.stdout.read().split()]
    kept = [int(row["item"]) for row in study.rows()]
    assert set(taken) <= set(kept) and len(kept) == len(set(kept))
    assert len(kept) - len(taken) <= 3  # one a kill may have been taken and not told
    assert [asked.number for asked in study.left(study.join("ann"))] == [
        asked.number for asked in study.trial.questions if asked.number not in kept
    ]


def test_an_answer_given_twice_counts_once_and_the_first_one_stands(tmp_path):
    study = begun(tmp_path)
    ann = study.join("ann")
    assert study.answer(ann, 3, said_fake=True, seconds=1.0)
    assert not study.answer(ann, 3, said_fake=False, seconds=2.0)
    assert [(row["said_fake"], row["seconds"]) for row in study.rows()] == [(True, 1.0)]
    with pytest.raises(DataError, match="there is no question 99"):
        study.answer(ann, 99, said_fake=True, seconds=None)


def test_several_people_answer_at_once(tmp_path):
    study = begun(tmp_path)
    people = [study.join(f"judge {number}") for number in range(6)]
    threads = [threading.Thread(target=say, args=(study, person)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(study.rows()) == 6 * 24 and study.may_tell


def test_an_ended_trial_takes_no_answers_and_no_people(tmp_path):
    study = begun(tmp_path)
    ann = study.join("ann")
    study.end()
    study.end()
    with pytest.raises(SettingError, match="was ended"):
        study.answer(ann, 1, said_fake=True, seconds=1.0)
    with pytest.raises(SettingError, match="was ended"):
        study.join("ben")
    assert study.join("ann").id == ann.id


@pytest.mark.parametrize("nickname", ["", "  ", "a" * 41, "=1+1", "\x1b[31m", "a\x00b"])
def test_a_nickname_that_is_none_is_refused(tmp_path, nickname):
    with pytest.raises(SettingError, match="cannot be a nickname"):
        begun(tmp_path).join(nickname)


# ---- items ---------------------------------------------------------------------------------------


def test_frozen_pictures_tell_nothing_but_what_they_show(tmp_path):
    real = Pictures.of(np.random.default_rng(0).integers(0, 255, (12, 20, 16, 3), np.uint8))
    study = begun(tmp_path, real, Pictures.of([np.full((16, 16), i, np.uint8) for i in range(12)]))
    files = list((study.folder / "items").iterdir())
    assert len(files) == 24 and len({path.stat().st_size for path in files}) == 1
    for path in files:
        with Image.open(path) as picture:
            assert (picture.size, picture.mode, picture.info) == ((16, 16), "RGB", {})
    shown, fake = study.sides()
    assert len(shown) == len(fake) == 12 and int(np.ptp(fake[3])) == 0


def test_what_is_shown_is_what_was_drawn(tmp_path):
    real, fake = pictures(9, 1), pictures(9, 2)
    trial = draw_trial(fingerprints(real), fingerprints(fake), n=5, seed=3)
    study = Study.begin(tmp_path, trial, (real, fake), title="", data="")
    for asked, shown in zip(trial.questions, study.trial.questions, strict=True):
        (is_fake, row), (name,) = asked.rows[0], study.items_of(shown)
        pixels = np.asarray(Image.open(study.item(name)))
        assert np.array_equal(pixels, (fake if is_fake else real)[row][..., 0])
    assert [asked.is_fake for asked in trial.questions] == [asked.is_fake for asked in study.trial.questions]


def test_sounds_rows_and_texts_come_back_from_their_files(tmp_path):
    bells = [np.sin(np.arange(800) / (5 + i)).astype(np.float32) * 0.5 for i in range(12)]
    study = begun(tmp_path, Sounds.of(bells, 8000), Sounds.of([bell[::-1] for bell in bells], 8000), n=4)
    real, _ = study.sides()
    assert real.rate == 8000 and len(real) == 4 and len(real[0]) == 800
    table = pa.table({"size": [1.0, 2.5, None, 4.0], "kind": ["a", "b", "a", None], "own": [1, 2, 3, 4]})
    made = pa.table({"kind": ["b", "b", "a", "a"], "size": [2, 3, 4, 5]})
    study = begun(tmp_path, table, made, n=3)
    real, fake = study.sides()
    assert real.column_names == fake.column_names == ["size", "kind"] and fake.schema == real.schema
    study = begun(tmp_path, ["to be", "or not"], ["be to", "not or"], n=2)
    assert set(study.sides()[0]) == {"to be", "or not"} and study.machine()["kind"] == "not asked"
    assert len(find_studies(tmp_path)) == 3


def test_large_pictures_of_like_size_are_cut_and_others_shrunk():
    real, fake = pictures(3, 0, side=700), pictures(3, 1, side=690)
    cut = bring_together(real, fake)
    assert {tuple(size) for side in cut for size in side.size_N2.tolist()} == {(512, 512)}
    assert np.array_equal(cut[0][0], real[0][94:606, 94:606])
    shrunk = bring_together(real, pictures(3, 1, side=32))
    assert {tuple(size) for side in shrunk for size in side.size_N2.tolist()} == {(32, 32)}


def test_the_machine_judges_the_same_items_once(tmp_path):
    study = begun(tmp_path, pictures(20, 1), pictures(20, 2, darkest=120), n=16)
    assert study.machine(is_asked=False) is None
    told = study.machine()
    assert (told["n_real"], told["n_fake"], told["kind"]) == (16, 16, "told apart")
    (study.folder / "items").rename(study.folder / "elsewhere")
    assert Study.open(tmp_path, study.id).machine() == told


# ---- the folder ----------------------------------------------------------------------------------


def test_the_same_seed_asks_the_same_questions_under_other_names(tmp_path):
    one, two = begun(tmp_path), begun(tmp_path)
    assert one.trial == two.trial and one.rules == Rules()
    assert not set(one.items_of(one.trial.questions[0])) & set(two.items_of(two.trial.questions[0]))


def test_matched_sides_show_both_of_a_pair_and_never_both_one_at_a_time():
    real, fake = [f"r{i}" for i in range(10)], [f"f{i}" for i in range(10)]
    pairs = draw_trial(real, fake, n=6, seed=1, are_pairs=True, are_matched=True)
    assert all(asked.real == asked.fake for asked in pairs.questions)
    ones = draw_trial(real, fake, n=5, seed=1, are_matched=True)
    rows = [asked.rows[0] for asked in ones.questions]
    assert sorted(row for _, row in rows) == list(range(10)) and sum(is_fake for is_fake, _ in rows) == 5
    with pytest.raises(DataError, match="12 were asked for"):
        draw_trial(real, fake, n=6, seed=1, are_matched=True)


def test_what_is_no_trial_is_refused_and_a_removed_one_is_gone(tmp_path):
    study = begun(tmp_path)
    for wrong in ("../../etc", "0" * 16, "x" * 16):
        with pytest.raises(RunError, match="there is no trial"):
            Study.open(tmp_path, wrong)
    outside = Path(tmp_path, "outside")
    study.folder.rename(outside)
    study.folder.symlink_to(outside)
    with pytest.raises(RunError, match="there is no trial"):
        Study.open(tmp_path, study.id)
    study.folder.unlink()
    outside.rename(study.folder)
    with pytest.raises(RunError, match="there is no item"):
        study.item("0" * 24)
    study.remove()
    assert find_studies(tmp_path) == []
    assert open_exhibits("texts", []) == []
