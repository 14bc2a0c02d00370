"""The Autoencoder's map of the plane: near rows stay near, points lead back, training goes on where it stopped."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError

from twofold.errors import DataError, SettingError
from twofold.measure.latents import trustworthiness
from twofold.methods.autoencoder import Autoencoder

X = load_wine().data
MIXED = pd.DataFrame({
    "age": [31.0, None, 40.0, 22.0, 35.0, 61.0] * 10,
    "city": ["Rome", "Oslo", None, "Rome", "Lima", "Oslo"] * 10,
})  # fmt: skip


def quick(**settings):
    return Autoencoder(**{"n_steps": 20, "dim": 16, "device": "cpu", **settings})


def test_held_out_digits_lie_beside_their_neighbours():
    digits = load_digits().data
    order = np.random.default_rng(100).permutation(len(digits))
    train, test = digits[order[:1437]], digits[order[1437:]]
    autoencoder = quick(map_steps=300).fit(train)
    measures = {measure.name: measure for measure in autoencoder.evaluate(test)}
    # .976 measured
    assert trustworthiness(test, autoencoder.map(test)) > 0.95
    for name in ("trustworthiness of the map", "continuity of the map", "neighbours kept of the map"):
        assert measures[name].value > measures[name].baselines[0][1]
    rebuilt = autoencoder.inverse_map(autoencoder.map(test))
    assert rebuilt.shape == test.shape
    assert ((rebuilt - test) ** 2).mean() < 0.75 * ((test.mean(0) - test) ** 2).mean()


def test_a_point_leads_back_to_the_kind_of_rows_that_were_learnt():
    autoencoder = quick().fit(MIXED)
    points = autoencoder.map(MIXED)
    assert points.shape == (60, 2) and points.dtype == np.float64 and np.isfinite(points).all()
    rows = autoencoder.inverse_map(points)
    assert list(rows.columns) == ["age", "city"] and set(rows["city"]) <= {"Rome", "Oslo", "Lima"}


def test_saved_and_loaded_maps_are_the_same(tmp_path):
    autoencoder = quick().fit(X)
    again = Autoencoder.load(autoencoder.save(tmp_path / "run"))
    points = autoencoder.map(X)
    np.testing.assert_array_equal(again.map(X), points)
    np.testing.assert_array_equal(again.inverse_map(points), autoencoder.inverse_map(points))


def test_no_steps_leave_the_plane_of_principal_components():
    plane = quick(map_steps=0).fit(X).map(X)
    assert np.abs(np.corrcoef(plane.T)[0, 1]) < 1e-4
    assert plane[:, 0].std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("stop_at", [10, 20, 21, 33])
def test_a_run_that_was_stopped_before_or_within_its_map_goes_on_to_the_same_map(tmp_path, stop_at):
    whole = quick(map_steps=25)
    steps = [(progress.step, set(progress.losses)) for progress in whole.train(X)]
    assert [step for step, _ in steps] == list(range(1, 46))
    assert steps[19][1] == {"relative_error"} and steps[20][1] == {"neighbours", "way_back"}
    part = quick(map_steps=25)
    training = part.train(X, folder=tmp_path)
    for progress in training:
        if progress.step == stop_at:
            break
    training.close()
    assert part.map(X).shape == (178, 2)
    seconds = progress.seconds
    progress = list(part.train(X, folder=tmp_path))[-1]
    assert progress.step == progress.n_steps == 45 and progress.seconds > seconds
    np.testing.assert_array_equal(part.map(X), whole.map(X))
    np.testing.assert_array_equal(part.transform(X), whole.transform(X))


def test_few_rows_get_the_plane_and_none_too_few_a_map():
    for table in ([[3.0]], [[1.0, 2.0], [1.0, 3.0]], np.ones((60, 3))):
        points = quick().fit(table).map(table)
        assert points.shape == (len(table), 2) and np.isfinite(points).all()


def test_errors_name_what_is_wrong():
    with pytest.raises(NotFittedError):
        quick().map(X)
    with pytest.raises(NotFittedError):
        quick().inverse_map([[0.0, 0.0]])
    with pytest.raises(SettingError, match="map_steps is -1"):
        quick(map_steps=-1).fit(X)
    with pytest.raises(DataError, match="3 columns; the map has 2"):
        quick().fit(X).inverse_map(np.zeros((4, 3)))
