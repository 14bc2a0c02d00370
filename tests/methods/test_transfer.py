"""Transfer: what is frozen stays so, what is tuned never saw its judges, and what is stated is what is found."""

from pathlib import Path

import numpy as np
import pytest
import torch

from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError, SettingError
from twofold.methods.transfer import TransferClassifier
from twofold.methods.transfer.copies import TunedCopies, TunedNetwork, deal_folds
from twofold.methods.transfer.verdict import SHARES, Verdict, mixed
from twofold.nn.backbones import open_backbone
from twofold.runs import load

DIGITS = open_pictures(Path(__file__).parents[1] / "digits.parquet")
BODY = "untrained:mobilenetv1_025"
RNG = np.random.default_rng(0)


def tiny(mode="frozen", **more):
    settings = {"image_size": 32, "precision": "float32", "n_threads": 1, "device": "cpu", "n_folds": 2}
    return TransferClassifier(BODY, mode, **settings | more)


@pytest.fixture(scope="module")
def tuned():
    return tiny("finetune", n_steps=30, batch_size=8).fit(DIGITS)


# ---- frozen --------------------------------------------------------------------------------------


def test_frozen_features_tell_three_digits_apart_and_state_how_well():
    model = tiny().fit(DIGITS)
    assert model.classes_.tolist() == ["0", "1", "4"] and model.n_iter_ == 1
    probability_NK = model.predict_proba(DIGITS)
    assert np.allclose(probability_NK.sum(1), 1) and (model.predict(DIGITS) == DIGITS.labels).mean() > 0.9
    verdict = model.verdict_
    assert verdict.interval[0] < verdict.accuracy <= verdict.interval[1] and verdict.accuracy > 0.7
    assert verdict.baselines["commonest class"] == pytest.approx(1 / 3)
    assert np.sum(verdict.table) == 48 and np.trace(verdict.table) == round(48 * verdict.accuracy)
    assert model.measures_["accuracy on pictures left out"] == verdict.accuracy


def test_auto_stays_frozen_where_too_few_are_mistaken_to_prove_a_gain():
    steps = list(tiny("auto").train(DIGITS))
    assert len(steps) == 1 and "frozen network is kept" in steps[0].note and steps[0].n_steps == 1


def test_what_cannot_be_told_apart_is_not_said_to_be():
    """Measured over 25 draws of noise: .36 right of a third, and 22 of the 25 intervals held the third."""
    verdicts = []
    for seed in range(8):
        noise = np.random.default_rng(seed).integers(0, 256, (60, 8, 8, 1), np.uint8)
        verdicts.append(tiny().fit(Pictures.of(noise, labels=["a", "b", "c"] * 20)).verdict_)
    assert np.mean([verdict.accuracy for verdict in verdicts]) < 0.43
    assert np.mean([verdict.interval[0] < 1 / 3 < verdict.interval[1] for verdict in verdicts]) >= 0.75


def test_labels_given_count_and_keep_their_type(tmp_path):
    y = np.where(DIGITS.labels == "4", 4, 7)
    model = tiny().fit(DIGITS, y)
    again = load(model.save(tmp_path))
    for fitted in (model, again):
        assert fitted.classes_.dtype == np.int64 and set(fitted.predict(DIGITS)) == {4, 7}
    assert again.verdict_ == model.verdict_
    accuracy, log_loss = again.evaluate(DIGITS, y)
    assert (
        accuracy.value == (model.predict(DIGITS) == y).mean() and log_loss.value < dict(log_loss.baselines).popitem()[1]
    )


def test_a_class_of_one_picture_and_hundreds_of_classes_are_fine():
    odd = np.array(["odd", *["rest"] * 47])
    assert tiny().fit(DIGITS, odd).predict(DIGITS).shape == (48,)
    assert tiny("finetune", n_steps=2).fit(DIGITS, odd).predict(DIGITS).shape == (48,)
    many = Pictures.of(RNG.integers(0, 256, (400, 8, 8, 1), np.uint8), labels=[str(i // 2) for i in range(400)])
    model = tiny().fit(many)
    assert model.predict_proba(many).shape == (400, 200) and len(model.verdict_.table) == 200


# ---- tuned ---------------------------------------------------------------------------------------


def test_tuning_changes_the_later_layers_and_neither_the_first_ones_nor_batch_norms_statistics(tuned):
    before, after = open_backbone(BODY, image_size=32), tuned.tuned_.body
    n_frozen = round(tuned.frozen_share * len(before.layers))
    assert 0 < n_frozen < len(before.layers)
    for number, (old, new) in enumerate(zip(before.layers, after.layers, strict=True)):
        same = [torch.equal(p, q) for p, q in zip(old.parameters(), new.parameters(), strict=True)]
        assert all(same) if number < n_frozen else not any(same)
    running = [name for name in before.body.state_dict() if "running" in name or "batches" in name]
    assert running and all(torch.equal(before.body.state_dict()[n], after.state_dict()[n]) for n in running)


def test_a_copy_learns_nothing_from_its_own_fold():
    network = TunedNetwork.with_ridge(
        open_backbone(BODY, image_size=32).body, RNG.normal(size=(9, 256)), np.arange(9) % 3, 3, np.ones(256)
    )
    learner = TunedCopies([network] * 3, n_frozen=3)
    pixel = torch.from_numpy(RNG.integers(0, 256, (5, 32, 32, 3), np.uint8))
    losses = learner.loss(pixel, torch.tensor([0, 1, 2, 0, 1]), torch.ones(5, dtype=torch.int64))
    losses["log_loss"].backward()
    slopes = [sum(float(p.grad.abs().sum()) for p in copy.parameters() if p.requires_grad) for copy in learner.copies]
    assert slopes[1] == 0 and slopes[0] > 0 and slopes[2] > 0


@pytest.mark.parametrize("is_mirrored", [True, False])
def test_letters_are_never_seen_mirrored(is_mirrored):
    """A picture that is dark on its left: its windows are too, unless they were mirrored."""
    network = TunedNetwork.with_ridge(
        open_backbone(BODY, image_size=32).body, RNG.normal(size=(9, 256)), np.arange(9) % 3, 3, np.ones(256)
    )
    learner = TunedCopies([network] * 3, n_frozen=3, is_mirrored=is_mirrored)
    pixel = torch.zeros(40, 32, 32, 3, dtype=torch.uint8)
    pixel[:, :, 16:] = 255
    window_BCSS = learner._augmented(pixel)
    is_as_it_was = window_BCSS[..., 16:].mean((1, 2, 3)) > window_BCSS[..., :16].mean((1, 2, 3))
    assert is_as_it_was.all() != is_mirrored and is_as_it_was.float().mean() > 0.2


def test_folds_are_dealt_evenly_by_class():
    label_N = np.repeat([0, 1, 2], [10, 5, 1])
    fold_N = deal_folds(label_N, 3, seed=0)
    assert np.bincount(fold_N).tolist() == [6, 5, 5]
    for label, counts in ((0, {3, 4}), (1, {1, 2})):
        assert set(np.bincount(fold_N[label_N == label], minlength=3)) == counts
    assert (deal_folds(label_N, 3, seed=1) != fold_N).any()


def test_the_share_of_the_tuned_network_is_the_one_that_foretells_best(tuned):
    assert SHARES[1] <= tuned.share_ <= 1
    assert tuned.verdict_.reason.startswith(f"the tuned network counts {tuned.share_:.0%}")
    label_N = np.arange(60) % 3
    good, useless = 4.0 * np.eye(3)[label_N], np.zeros((60, 3))
    frozen = Verdict.of_frozen(useless, label_N, 0.3)
    known = {"label_N": label_N, "is_right_N": useless.argmax(1) == label_N}
    won = frozen.beside(useless, good, must_tune=False, **known)
    assert won.share > 0.95 and won.gain["p_value"] < 1e-6 and won.gain["from"] > 0 and "not proven" not in won.reason
    lost = frozen.beside(good, useless, must_tune=False, **known)
    assert lost.share == 0 and lost.accuracy == frozen.accuracy and "kept" in lost.reason
    assert frozen.beside(good, useless, must_tune=True, **known).share < 0.3
    # where both are as good on a few pictures, neither is preferred
    few = {"label_N": label_N[:3], "is_right_N": np.ones(3, bool)}
    assert frozen.beside(good[:3], good[:3], must_tune=False, **few).share == pytest.approx(0.5)
    assert np.allclose(mixed(useless, good, 0.5).sum(1), 1)


def test_stopped_before_its_end_it_is_judged_and_usable_and_says_how_long_it_would_take():
    model = tiny("finetune", n_steps=500)
    training = model.train(DIGITS)
    first = next(training)
    assert first.note.startswith("tuning, ") and first.n_steps == 500
    training.close()
    assert model.n_iter_ == 1 and model.verdict_.gain and model.predict(DIGITS).shape == (48,)
    assert next(tiny("finetune", minutes=2.0).train(DIGITS)).note == "tuning, for at most 2 minutes"


# ---- on other pictures ---------------------------------------------------------------------------


def test_measures_stand_beside_baselines_and_the_table_adds_up(tuned):
    accuracy, log_loss = tuned.evaluate(DIGITS)
    assert set(dict(accuracy.baselines)) == {"commonest class", "ridge on raw pixels", "frozen network"}
    assert accuracy.interval[0] <= accuracy.value <= accuracy.interval[1] and not log_loss.is_higher_better
    table_KK = tuned.confusion(DIGITS)
    assert table_KK.sum() == 48 and np.trace(table_KK) == round(48 * accuracy.value)
    assert tuned.transform(DIGITS).shape == (48, tuned.backbone_.n_features)


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [(np.zeros((4, 8, 8), np.uint8), None, "have no labels. Sort them"), (DIGITS, ["x"] * 48, "all 48 pictures are"),
     (DIGITS, ["x"] * 3, "there are 48 pictures"), (DIGITS, ["", *["x"] * 47], "1 of 48 pictures have no label")],
)  # fmt: skip
def test_labels_that_cannot_be_learnt_from_are_refused(X, y, match):
    with pytest.raises(DataError, match=match):
        tiny().fit(X, y)


def test_a_label_that_was_never_learnt_is_named(tuned):
    with pytest.raises(DataError, match="label '9' is none of the 3 classes"):
        tuned.evaluate(DIGITS, ["9", *DIGITS.labels[1:]])


@pytest.mark.parametrize(
    "wrong", [{"mode": "warm"}, {"precision": "half"}, {"n_folds": 1}, {"frozen_share": 1.0}, {"image_size": 8}]
)
def test_settings_that_cannot_be_used_are_refused_by_name(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        tiny(**wrong).fit(DIGITS)


# ---- real pictures -------------------------------------------------------------------------------


@pytest.mark.shared
def test_ants_and_bees_are_told_apart_by_the_smallest_borrowed_network(shared):
    images = shared / "data/images"
    weights = images / "weights/mobilenetv1_025_imagenet_fp16.safetensors"
    model = TransferClassifier(str(weights), "frozen", image_size=128, n_threads=1, device="cpu")
    model.fit(images / "hymenoptera-224.zip")
    accuracy, _ = model.evaluate(open_pictures(images / "hymenoptera-224.zip", split="val"))
    assert accuracy.value > 0.75 and accuracy.value > dict(accuracy.baselines)["ridge on raw pixels"] + 0.1
    assert model.verdict_.interval[0] < accuracy.value < model.verdict_.interval[1] + 0.05
