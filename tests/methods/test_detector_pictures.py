"""AnomalyDetector on pictures: spoilt ones score lower, the spoilt place is found, and what is kept is kept exactly."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

import twofold
from twofold.data.pictures import Pictures
from twofold.errors import DataError, InputError, RunError, SettingError
from twofold.methods.detector import AnomalyDetector, DefectMarker
from twofold.nn.finder import DefectNetwork
from twofold.runs import Source, fit_run, resume_run

FLOWER = load_sample_images().images[1]
SIDE = 48
# petals of one photograph, cut in places that do not overlap, on two sides
CUTS = [FLOWER[y : y + SIDE, x : x + SIDE] for y in range(100, 340, SIDE) for x in range(150, 470, SIDE)]
PETALS, OTHERS = CUTS[::2], CUTS[1::2]
TINY = {"n_steps": 20, "dim": 16, "depth": 1, "image_size": 32, "n_references": 300, "batch_size": 32, "device": "cpu",
        "n_threads": 1, "precision": "float32", "normal_only": True}  # fmt: skip


def tiny(**settings):
    return AnomalyDetector(**(TINY | settings))


def with_blot(picture, top=30, left=6, size=9):
    spoilt = picture.copy()
    spoilt[top : top + size, left : left + size] = [20, 40, 220]
    return spoilt


def answers(detector, X):
    found = detector.detect(X)
    numbers = [found["anomaly_score"], found["p_value"], detector.score_samples(X), *detector.heat_maps(X)]
    return [part.tobytes() for part in numbers] + found["reason"].tolist() + list(map(str, detector.explain(X)))


@pytest.fixture(scope="module")
def detector():
    return tiny(n_steps=60, alarm_rate=0.1).fit(PETALS)


# ---- scores and places ---------------------------------------------------------------------------


def test_spoilt_pictures_score_lower_than_whole_ones_that_training_did_not_see(detector):
    normal, spoilt = detector.score_samples(OTHERS), detector.score_samples([with_blot(p) for p in OTHERS])
    assert roc_auc_score(np.r_[np.zeros(len(normal)), np.ones(len(spoilt))], -np.r_[normal, spoilt]) > 0.9


def test_the_heat_is_greatest_on_the_blot_and_the_reason_says_where(detector):
    spoilt = with_blot(OTHERS[3])
    (heat,) = detector.heat_maps([spoilt])
    assert heat.shape == (SIDE, SIDE) and heat.dtype == np.float32 and heat.min() >= 0
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 26 <= y <= 43 and 2 <= x <= 19
    found = detector.detect([spoilt, *OTHERS[:3]])
    assert list(found) == ["anomaly_score", "p_value", "is_anomaly", "reason"]
    assert found["is_anomaly"][0] and "(lower left): " in found["reason"][0]
    assert [bool(text) for text in found["reason"]] == found["is_anomaly"].tolist()
    ((spot,),) = detector.explain([spoilt])
    assert str(spot) == found["reason"][0] and spot.strength > 1


def test_heat_maps_and_places_are_in_pixels_of_the_picture_as_it_came(detector):
    large = np.asarray(Image.fromarray(with_blot(OTHERS[3])).resize((144, 96)))
    (heat,) = detector.heat_maps([large])
    ((spot,),) = detector.explain([large])
    assert heat.shape == (96, 144)
    assert 0 <= spot.x <= 60 and 48 <= spot.y <= 92


def test_a_score_does_not_depend_on_the_pictures_beside_it(detector):
    alone = [detector.score_samples(picture[None])[0] for picture in OTHERS[:4]]
    assert np.array_equal(detector.score_samples(OTHERS[:4]), alone)


def test_predict_p_values_and_decisions_agree(detector):
    X = [*OTHERS[:4], *(with_blot(p) for p in OTHERS[:4])]
    is_flagged = detector.predict(X) == -1
    assert np.array_equal(is_flagged, detector.decision_function(X) < 0)
    assert np.array_equal(is_flagged, detector.p_values(X) <= 0.1 + 1e-12)


def test_weights_are_shares_of_named_evidence(detector):
    assert sum(detector.weights_.values()) == pytest.approx(1)
    assert "forged defects, strangest spot" in detector.weights_ and "raw patches, as a whole" in detector.weights_
    assert 0.4 < detector.measures_["AUROC on self-made anomalies"] <= 1


def test_evaluate_is_beside_raw_patches_and_mean_colour(detector):
    X, truth = [*OTHERS, *(with_blot(p) for p in OTHERS)], np.arange(2 * len(OTHERS)) >= len(OTHERS)
    area, precision, alarms = detector.evaluate(X, truth)
    assert [name for name, _ in area.baselines] == ["raw-pixel patches", "mean colour", "chance"]
    assert area.value > 0.9 and precision.value > 0.8 and alarms.name == "alarm rate on normal pictures"
    (share,) = detector.evaluate(X)
    assert share.name == "share flagged"


# ---- what is given -------------------------------------------------------------------------------


def test_paths_pil_images_and_arrays_are_the_same_pictures(detector, tmp_path):
    for i, picture in enumerate(OTHERS[:3]):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    expected = detector.score_samples(OTHERS[:3])
    for given in (tmp_path, [Image.fromarray(p) for p in OTHERS[:3]], np.stack(OTHERS[:3]), Pictures.of(OTHERS[:3])):
        assert np.array_equal(detector.score_samples(given), expected)


def test_grey_pictures_of_many_sizes_are_learnt_from():
    grey = [picture[: 20 + i, :, 1] for i, picture in enumerate(PETALS)]
    detector = tiny().fit(grey)
    assert np.isfinite(detector.score_samples(OTHERS[:2])).all()  # colour ones are seen as grey
    assert [heat.shape for heat in detector.heat_maps(grey[:3])] == [(20, 48), (21, 48), (22, 48)]


def test_one_picture_alone_can_be_learnt_from():
    assert np.isfinite(tiny(n_steps=2).fit(PETALS[0][None]).score_samples(OTHERS[:2])).all()


def test_the_same_detector_learns_tables_after_pictures_and_pictures_after_tables():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    detector = tiny(n_steps=2)
    table = detector.fit(PETALS).fit(rows).score_samples(rows)
    assert np.array_equal(table, tiny(n_steps=2).fit(rows).score_samples(rows))
    pictures = detector.fit(PETALS).score_samples(OTHERS)
    assert np.array_equal(pictures, tiny(n_steps=2).fit(PETALS).score_samples(OTHERS))
    assert not hasattr(detector, "n_features_in_")


def test_heat_maps_of_a_table_are_refused():
    with pytest.raises(DataError, match="learned from a table"):
        tiny(n_steps=2).fit(np.eye(12)).heat_maps(OTHERS)


@pytest.mark.parametrize(
    "wrong", [{"image_size": 40}, {"image_size": 16}, {"precision": "half"}, {"features": "nowhere.safetensors"}]
)
def test_settings_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        tiny(**wrong).fit(PETALS)


# ---- normal only, or anything --------------------------------------------------------------------


def test_anomalies_among_the_training_pictures_are_found():
    spoilt = [with_blot(p, 4 * i, 3 * i) for i, p in enumerate(OTHERS[:4])]
    X, truth = [*PETALS, *OTHERS[4:], *spoilt], np.arange(len(CUTS)) >= len(CUTS) - 4
    found = tiny(n_steps=60, normal_only=False, alarm_rate=0.2).fit(X).detect(X)
    assert roc_auc_score(truth, found["anomaly_score"]) > 0.9


def test_of_pictures_that_are_all_labelled_good_none_is_left_out():
    good, unknown = (tiny(n_steps=2, normal_only=False).fit(Pictures.of(PETALS, labels=labels * len(PETALS)))
                     for labels in (["good"], ["tile"]))  # fmt: skip
    assert good.measures_["calibration pictures"] < unknown.measures_["calibration pictures"]
    assert np.array_equal(good.score_samples(OTHERS), tiny(n_steps=2).fit(PETALS).score_samples(OTHERS))


def test_on_the_training_pictures_none_is_its_own_neighbour(detector):
    found = detector.detect(PETALS)
    assert detector.n_seen(PETALS) == len(PETALS) - detector.measures_["calibration pictures"]
    assert found["anomaly_score"].mean() > -detector.score_samples(PETALS).mean()
    assert detector.n_seen(OTHERS) == 0


# ---- the same again ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    first, second, other = (answers(tiny(seed=seed).fit(PETALS), OTHERS[:3]) for seed in (3, 3, 4))
    assert first == second
    assert first != other


def test_what_is_saved_and_loaded_answers_the_same_bit_for_bit(detector, tmp_path):
    expected = answers(detector, OTHERS)
    again = twofold.load(detector.save(tmp_path / "run"))
    assert answers(again, OTHERS) == expected
    assert again.weights_ == detector.weights_ and again.n_iter_ == 60
    again.save(tmp_path / "copy")
    both = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "copy")]
    assert both[0] == both[1]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_spoilt_files_give_our_error_or_the_same_answers(detector, name, tmp_path):
    folder = detector.save(tmp_path / "run")
    whole, expected = (folder / name).read_bytes(), answers(detector, OTHERS[:1])
    rng, head = random.Random(0), len(whole) if name == "config.json" else 4000
    for trial in range(60):
        data, at = bytearray(whole), rng.randrange(head if trial % 2 else len(whole))
        data[at : at + rng.randrange(3)] = rng.choice([b"9", b"null", b"", b'"', b"1e99", b"\x00", b"9" * 12])
        (folder / name).write_bytes(data)
        try:
            found = answers(twofold.load(folder), OTHERS[:1])
        except (RunError, InputError):
            continue
        assert name == "config.json" or found == expected


def test_a_training_that_is_closed_early_leaves_a_usable_detector():
    detector = tiny(n_steps=1000)
    training = detector.train(PETALS)
    for _ in range(3):
        next(training)
    training.close()
    assert detector.n_iter_ == 3 and np.isfinite(detector.score_samples(OTHERS)).all()


def test_a_run_that_was_stopped_resumes_to_the_same_bits(tmp_path):
    (tmp_path / "good").mkdir()
    for i, picture in enumerate(PETALS):
        Image.fromarray(picture).save(tmp_path / "good" / f"{i:02}.png")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    source = Source(str(tmp_path / "good"))
    list(fit_run(tiny(), source, whole))
    training = fit_run(tiny(), source, stopped)
    for progress in training:
        if progress.step == 7:
            break
    training.close()
    assert json.loads((stopped / "config.json").read_text())["state"] == "stopped"
    list(resume_run(stopped))
    for name in ("model.safetensors", "config.json"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


SCRIPT = """
import sys
import numpy as np, torch
from twofold.core.distributed import is_main
from twofold.methods.detector import AnomalyDetector
torch.set_num_threads(1)
detector = AnomalyDetector(**{settings!r}).fit(np.load({path!r}, allow_pickle=False))
if is_main():
    detector.save(sys.argv[1])
"""


def test_two_processes_give_the_weights_of_one_with_the_same_whole_batch(tmp_path):
    np.save(tmp_path / "petals.npy", np.stack(PETALS))
    (tmp_path / "fit.py").write_text(SCRIPT.format(settings=TINY, path=str(tmp_path / "petals.npy")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(tmp_path / "fit.py"), str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    tiny().fit(np.stack(PETALS)).save(tmp_path / "one")
    one, two = (load_file(tmp_path / which / "model.safetensors") for which in ("one", "two"))
    weights = [name for name in one if name.startswith("network.")]
    assert one.keys() == two.keys() and len(weights) > 20
    for name in weights:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-5), name


# ---- borrowed features ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", pretrained=False, num_classes=7)
    path = tmp_path_factory.mktemp("weights") / "test_efficientnet.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return path


def test_borrowed_features_are_one_more_witness_and_are_kept_in_the_run(weights_file, tmp_path):
    detector = tiny(features=str(weights_file)).fit(PETALS)
    assert "borrowed patches, strangest spot" in detector.weights_
    expected, folder = answers(detector, OTHERS[:2]), detector.save(tmp_path / "run")
    moved = weights_file.rename(tmp_path / "moved.safetensors")
    assert answers(twofold.load(folder), OTHERS[:2]) == expected
    moved.rename(weights_file)


def test_a_file_that_holds_no_network_of_timm_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "abacus.safetensors")
    with pytest.raises(SettingError, match="'abacus' timm does not know"):
        tiny(features=str(tmp_path / "abacus.safetensors")).fit(PETALS)
    save_file({"weight": torch.zeros(3)}, tmp_path / "test_resnet.safetensors")
    with pytest.raises(SettingError, match="lacks .* weights"):
        tiny(features=str(tmp_path / "test_resnet.safetensors")).fit(PETALS)


# ---- the loss ------------------------------------------------------------------------------------


def test_a_perfect_marker_has_hardly_any_loss_and_marks_alone_cost_it():
    pixel = torch.from_numpy(np.stack(PETALS[:4])[:, :32, :32].copy())
    learner = DefectMarker(DefectNetwork(3, 8, 1), pixel)
    learner.generator.manual_seed(2)
    clean, spoilt, where = learner._spoil(pixel)
    assert clean.shape == spoilt.shape == (4, 3, 32, 32) and where.shape == (4, 1, 32, 32)
    changed = (spoilt - clean).abs().amax(1, keepdim=True)
    assert changed[where > 0.5].min() > 0 and changed.max() > 0.1
    marks = 40 * (torch.nn.functional.avg_pool2d(where, 4) - 0.5)
    learner.network.forward = lambda picture: (marks, clean)
    learner.generator.manual_seed(2)
    good = {name: float(value) for name, value in learner.loss(pixel).items()}
    marks.neg_()
    learner.generator.manual_seed(2)
    bad = {name: float(value) for name, value in learner.loss(pixel).items()}
    assert good["repair"] == bad["repair"] == 0
    assert good["marks"] < 0.1 * bad["marks"] and good["overlap"] < bad["overlap"]


# ---- real tiles ----------------------------------------------------------------------------------


@pytest.mark.shared
def test_blowholes_of_magnetic_tiles_score_lower_with_borrowed_features(shared):
    from twofold.data.pictures import open_pictures

    images = shared / "data/images"
    good, test = (open_pictures(images / "magnetic-tile-224.zip", split=split) for split in ("train", "test"))
    weights = images / "weights/mobilenetv2_100_imagenet_fp16.safetensors"
    detector = AnomalyDetector(n_steps=30, features=str(weights), n_references=2000, device="cpu", n_threads=1)
    detector.fit(good.take(np.arange(0, len(good), 8)))
    few = test.take(np.flatnonzero(np.isin(test.labels, ["good", "blowhole"]))[::6])
    truth = few.labels != "good"
    assert roc_auc_score(truth, -detector.score_samples(few)) > 0.75
