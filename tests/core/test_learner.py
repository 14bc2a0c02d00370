"""A network that owns its loss: its steps, its schedule, its random numbers."""

import pytest
import torch
from learners import Rebuilder, rows
from torch import nn

from twofold.core.learner import Learner


def test_a_step_lowers_the_sum_of_the_named_terms():
    learner = Rebuilder()
    learner.optimizers = learner.configure()
    learner.generator.manual_seed(0)
    first = learner.step(rows())
    assert set(first) == {"reconstruction", "size"}
    for _ in range(50):
        last = learner.step(rows())
    assert sum(last.values()) < 0.9 * sum(first.values())


def test_a_learner_without_a_loss_says_what_is_missing():
    class Nothing(Learner):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define loss"):
        Nothing().loss(rows())


def test_frozen_weights_stay():
    learner = Rebuilder()
    learner.net[0].requires_grad_(False)
    before = learner.net[0].weight.clone()
    learner.optimizers = learner.configure()
    learner.step(rows())
    assert torch.equal(learner.net[0].weight, before)
    assert sum(len(group["params"]) for group in learner.optimizers["weights"].param_groups) == 2


def test_gradients_are_clipped():
    learner = Rebuilder()
    learner.optimizers = {"weights": torch.optim.SGD(learner.parameters(), lr=1.0)}
    before = nn.utils.parameters_to_vector(learner.parameters()).detach().clone()
    learner.parallel_loss = lambda x: {"steep": 1e6 * sum(p.square().sum() for p in learner.parameters())}
    learner.step(rows())
    moved = nn.utils.parameters_to_vector(learner.parameters()).detach() - before
    assert float(moved.norm()) == pytest.approx(learner.clip, rel=1e-3)


def test_the_schedule_warms_up_stays_and_falls_to_nothing():
    factor = [Rebuilder().schedule(fraction / 100) for fraction in range(101)]
    assert factor[0] < 0.1 and max(factor) == 1.0 == factor[20] and 0 < factor[100] < 0.01
    assert all(a >= b for a, b in zip(factor[20:], factor[21:], strict=False))


def test_shares_of_a_batch_draw_what_the_whole_would():
    whole = Rebuilder()
    for draw in ("uniform", "normal"):
        whole.generator.manual_seed(9)
        expected = getattr(whole, draw)(6, 3)
        parts = []
        for index in range(2):
            part = Rebuilder()
            part.share = (index, 2)
            part.generator.manual_seed(9)
            parts.append(getattr(part, draw)(3, 3))
        assert torch.equal(torch.cat(parts), expected)


def test_measuring_leaves_no_gradients():
    learner = Rebuilder()
    held_out = learner.evaluate(rows())["held_out"]
    assert isinstance(held_out, float) and held_out > 0
    assert all(p.grad is None for p in learner.parameters())
