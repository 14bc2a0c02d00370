"""One declaration is parameter, flag and help; a fit that is stopped is a fit."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from learners import Rebuilder, rows, weights
from sklearn.base import clone

from twofold.core.estimator import Estimator, read_config, seeded, settings
from twofold.core.loop import Progress, train
from twofold.errors import RunError, SettingError


@dataclass(eq=False, repr=False)
class Rebuilding(Estimator):
    """Rebuilds rows."""

    method: ClassVar[str] = "rebuilding"

    depth: int = 2
    """Blocks: more
    can bend further."""
    names: tuple[str, ...] = ()
    batch_size: int = 16
    """Rows, fewer here."""

    def train(self, X: Any, y: Any = None, *, folder: Any = None) -> Iterator[Progress]:
        plan = self._plan(30)
        self.learner_ = Rebuilder()
        try:
            yield from train(self.learner_, (X,), plan, folder=folder)
        finally:
            self.n_iter_ = self.learner_.n_updates

    def _pack(self):
        return self.learner_.state_dict(), {"n_iter": self.n_iter_}

    def _unpack(self, tensors, learned):
        self.learner_ = Rebuilder()
        self.learner_.load_state_dict(tensors)
        self.n_iter_ = learned["n_iter"]


def test_settings_are_the_fields_own_ones_first_with_the_line_under_each():
    found = {setting.name: setting for setting in settings(Rebuilding)}
    assert list(found)[:2] == ["depth", "names"] and "seed" in found
    assert found["depth"].default == 2 and found["depth"].help.split() == "Blocks: more can bend further.".split()
    assert found["names"].help == "names"  # none is written under it
    assert found["batch_size"].default == 16 and found["batch_size"].help == "Rows, fewer here."


def test_it_is_a_scikit_learn_estimator():
    estimator = Rebuilding(depth=3, seed=5)
    assert clone(estimator).get_params() == estimator.get_params() and repr(estimator) == "Rebuilding(depth=3, seed=5)"
    assert estimator.set_params(seed=6).seed == 6 and estimator != clone(estimator)
    with pytest.raises(TypeError):
        Rebuilding(deepth=3)


@pytest.mark.parametrize(("given", "n_steps", "minutes"), [
    ({}, 30, None), ({"n_steps": 7}, 7, None), ({"minutes": 2.0}, None, 2.0), ({"minutes": 2.0, "n_steps": 7}, 7, 2.0),
])  # fmt: skip
def test_the_plan_has_the_steps_that_were_asked_for_or_none_when_only_minutes_were(given, n_steps, minutes):
    plan = Rebuilding(**given)._plan(30)
    assert (plan.n_steps, plan.minutes, plan.batch_size) == (n_steps, minutes, 16)


def test_settings_that_make_no_sense_are_refused_by_name():
    for given in ({"n_steps": 0}, {"minutes": -1.0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"seed": 2**63}):
        with pytest.raises(SettingError, match=f"^{next(iter(given))} is "):
            Rebuilding(**given).fit(rows())


def test_settings_from_a_file_become_tuples_again_and_strange_ones_are_refused():
    estimator = Rebuilding.from_settings({"depth": 3, "names": ["a", "b"]})
    assert estimator.names == ("a", "b") and estimator.depth == 3
    with pytest.raises(RunError, match="unknown setting 'width'.*depth"):
        Rebuilding.from_settings({"width": 3})


def test_what_was_saved_is_loaded_and_a_spoilt_config_refused(tmp_path):
    estimator = Rebuilding(names=("a",)).fit(rows())
    again = Rebuilding.load(estimator.save(tmp_path, data={"data": "here"}))
    assert (weights(again.learner_) == weights(estimator.learner_)).all()
    assert again.n_iter_ == 30 and again.names == ("a",)
    config = read_config(tmp_path)
    assert config["data"] == {"data": "here"} and config["state"] == "finished"
    wrong_types = ({"method": 1}, {"settings": []}, {"format": "1"}, {"data": 5}, {"learned": []})
    texts = [
        "",
        "{",
        "[]",
        "7",
        "null",
        '"text"',
        "[" * 100_000,
        *(json.dumps(config | wrong) for wrong in wrong_types),
    ]
    for text in texts:
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(RunError, match="config.json is spoilt"):
            Rebuilding.load(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="config.json is spoilt"):
        Rebuilding.load(tmp_path)


def test_updates_are_counted_over_sessions(tmp_path):
    for stop_at, expected in (12, 12), (None, 30), (None, 30):
        estimator = Rebuilding()
        training = estimator.train(rows(), folder=tmp_path)
        for progress in training:
            if progress.step == stop_at:
                break
        training.close()
        assert estimator.n_iter_ == expected


def test_weights_drawn_under_a_seed_leave_the_global_state_alone():
    import torch

    before = torch.get_rng_state()
    with seeded(3):
        first = torch.randn(4)
    with seeded(3):
        second = torch.randn(4)
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), before)
