import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from learners import Rebuilder, rows, weights

from twofold.core.batches import Batches
from twofold.core.loop import Plan, train
from twofold.errors import DivergedError, RunError

HERE = Path(__file__).parent


def trained(n_steps=60, stop_at=None, folder=None, **plan):
    """A learner after a training, cut short at a step when asked."""
    learner = Rebuilder()
    settings = dict(n_steps=n_steps, batch_size=32, interval=10, ema=0.9, save_seconds=0, seed=3) | plan
    training = train(learner, (rows(),), Plan(**settings), held_out=(rows(50, seed=2),), folder=folder)
    for progress in training:
        if progress.step == stop_at:
            break
    training.close()
    return learner


def test_training_lowers_the_held_out_loss():
    losses = [p.measures["held_out"] for p in train(
        Rebuilder(), (rows(),), Plan(n_steps=300, batch_size=32, interval=100), held_out=(rows(50, seed=2),)
    ) if p.measures]  # fmt: skip
    assert losses[-1] < 0.7 * losses[0]


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    assert torch.equal(weights(trained()), weights(trained()))
    assert not torch.equal(weights(trained()), weights(trained(seed=4)))


@pytest.mark.parametrize("stop_at", [1, 10, 19, 30, 59])
def test_a_stopped_run_resumes_to_the_bits_of_an_undisturbed_one(tmp_path, stop_at):
    trained(stop_at=stop_at, folder=tmp_path)
    assert torch.equal(weights(trained(folder=tmp_path)), weights(trained()))


def test_gradients_left_by_what_made_the_learner_are_not_learned_from(tmp_path):
    """A learner that clears its gradients after each step would find them in the first step of each session."""

    class ClearsAfter(Rebuilder):
        def step(self, *batch):
            losses = self.loss(*batch)
            torch.stack(list(losses.values())).sum().backward()
            self.optimizers["weights"].step()
            self.optimizers["weights"].zero_grad()
            return losses

    def last(has_gradients):
        learner = ClearsAfter()
        if has_gradients:
            learner.loss(rows())["size"].backward()
        for _ in train(learner, (rows(),), Plan(n_steps=5, batch_size=32)):
            pass
        return weights(learner)

    assert torch.equal(last(True), last(False))


def test_resuming_goes_on_from_the_checkpoint_and_not_from_the_start(tmp_path):
    trained(stop_at=45, folder=tmp_path)
    plan = Plan(n_steps=60, batch_size=32, interval=10, ema=0.9, seed=3)
    first = next(train(Rebuilder(), (rows(),), plan, held_out=(rows(50, seed=2),), folder=tmp_path))
    assert first.step == 41


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    trained(stop_at=20, folder=tmp_path)
    with pytest.raises(RunError, match="another network"):
        next(train(Rebuilder(dim=4), (rows(dim=4),), Plan(n_steps=5), folder=tmp_path))


def test_a_training_that_is_closed_early_leaves_a_usable_model():
    learner = trained(stop_at=5)
    assert not learner.training
    assert torch.isfinite(learner.loss(rows())["reconstruction"])


def test_the_time_budget_ends_a_training_that_has_no_steps():
    began = time.perf_counter()
    all_progress = list(train(Rebuilder(), (rows(),), Plan(n_steps=None, minutes=0.01, batch_size=32)))
    assert time.perf_counter() - began < 5
    assert all_progress[-1].step > 10 and all_progress[-1].n_steps is None


def test_training_stops_when_the_held_out_loss_no_longer_falls():
    steps = [p.step for p in train(
        Rebuilder(), (rows(20),), Plan(n_steps=5000, batch_size=32, interval=10, patience=3),
        held_out=(rows(50, seed=9),),
    )]  # fmt: skip
    assert steps[-1] < 5000


class Exploding(Rebuilder):
    """Not finite at the given steps, as long as the learning rate is the first one."""

    def __init__(self, bad_steps, always=False):
        super().__init__()
        self.bad_steps, self.always, self.n_seen = set(bad_steps), always, 0

    def step(self, *batch):
        self.n_seen += 1
        rate = self.optimizers["weights"].param_groups[0]["lr"]
        losses = super().step(*batch)
        if self.n_seen in self.bad_steps and (self.always or rate > 0):
            with torch.no_grad():
                self.net[0].weight.fill_(math.nan)
            losses["reconstruction"] = losses["reconstruction"] * math.nan
        return losses


def test_a_loss_that_is_not_finite_is_undone_within_a_step_at_half_the_rate():
    learner = Exploding({25})
    notes = [p.note for p in train(learner, (rows(),), Plan(n_steps=60, batch_size=32, interval=10)) if p.note]
    assert len(notes) == 1 and "step 24" in notes[0] and "back to step 20" in notes[0] and "halved" in notes[0]
    assert torch.isfinite(weights(learner)).all()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class Silent(Exploding):
        def step(self, *batch):
            super().step(*batch)
            return {"reconstruction": torch.tensor(1.0)}

    from safetensors.torch import load_file

    learner = Silent({15})
    plan = Plan(n_steps=30, batch_size=32, interval=10, save_seconds=0)
    for _ in train(learner, (rows(),), plan, folder=tmp_path):
        pass
    assert all(torch.isfinite(t).all() for t in load_file(tmp_path / "state.safetensors").values())
    assert torch.isfinite(weights(learner)).all()


def test_a_training_that_never_gets_finite_stops_and_says_why():
    learner = Exploding(range(5, 500), always=True)
    with pytest.raises(DivergedError, match=r"learning rate was halved 3 times.*--learning-rate"):
        for _ in train(learner, (rows(),), Plan(n_steps=100, batch_size=32)):
            pass
    assert torch.isfinite(weights(learner)).all()


def test_batches_visit_every_row_once_an_epoch_and_shares_make_up_the_whole():
    data = (torch.arange(37),)
    whole = Batches(data, 10, seed=5)
    seen = torch.cat([whole[step][0] for step in range(37)])  # 370 rows: ten epochs
    assert all(sorted(epoch.tolist()) == list(range(37)) for epoch in seen.split(37))
    halves = [Batches(data, 10, seed=5, share=(r, 2)) for r in range(2)]
    for step in range(9):
        assert torch.equal(torch.cat([h[step][0] for h in halves]), whole[step][0])


def test_batches_from_a_memory_map_equal_those_from_memory(tmp_path):
    array = rows(60).numpy()
    array.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", dtype=np.float32, mode="r", shape=array.shape)
    for step in range(5):
        assert torch.equal(Batches((mapped,), 16, 0)[step][0], Batches((array,), 16, 0)[step][0])


def test_threads_are_put_back():
    torch.set_num_threads(2)
    for _ in train(Rebuilder(), (rows(),), Plan(n_steps=3, batch_size=32, n_threads=1)):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2


def test_global_randomness_is_left_alone():
    learner = Rebuilder()
    before = torch.get_rng_state()
    for _ in train(learner, (rows(),), Plan(n_steps=5, batch_size=32)):
        pass
    assert torch.equal(torch.get_rng_state(), before)


def run_script(*arguments, **environment):
    # OMP threads as in the tests; the script prints nothing
    return subprocess.Popen(
        [sys.executable, str(HERE / "train_script.py"), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def test_a_run_killed_again_and_again_also_inside_saves_ends_in_the_same_bits(tmp_path):
    """The benchmark kills 50 times; here a few, at random points, with slow saves so that some fall inside one."""
    rng = np.random.default_rng(0)
    n_kills = 0
    for _ in range(4):
        process = run_script(tmp_path / "run", tmp_path / "out.pt", SLOW_SAVES="0.03")
        deadline = time.monotonic() + 60
        while not (tmp_path / "run" / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        n_kills += process.wait() == -signal.SIGKILL
        (tmp_path / "run" / "started").unlink(missing_ok=True)
    assert run_script(tmp_path / "run", tmp_path / "out.pt").wait() == 0
    assert n_kills >= 2
    undisturbed = run_script(tmp_path / "other", tmp_path / "other.pt")
    assert undisturbed.wait() == 0
    killed, whole = (torch.load(tmp_path / name, weights_only=True) for name in ("out.pt", "other.pt"))
    assert torch.equal(killed, whole)
    assert len(list((tmp_path / "run").glob(".*.part"))) == 0


@pytest.mark.parametrize("sharded", [False, True], ids=["copied weights", "sharded weights"])
def test_two_processes_give_the_weights_of_one_with_the_same_whole_batch(tmp_path, sharded):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
               str(HERE / "train_script.py"), str(tmp_path / "two"), str(tmp_path / "two.pt")]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SHARD_ABOVE": "0" if sharded else "1e9"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert run_script(tmp_path / "one", tmp_path / "one.pt").wait() == 0
    two, one = (torch.load(tmp_path / name, weights_only=True) for name in ("two.pt", "one.pt"))
    assert (two - one).abs().max() < 1e-5


def test_what_is_shown_on_the_way_is_of_the_same_held_out_rows_and_changes_no_weight():
    class Showing(Rebuilder):
        def preview(self, *held_out):
            assert not self.training
            return held_out[0].clone()

    plan, held_out = Plan(n_steps=6, interval=3, batch_size=8), (rows(20),)
    torch.manual_seed(0)
    showing = Showing()
    silent = Rebuilder()
    silent.load_state_dict(showing.state_dict())
    shown = [progress.preview for progress in train(showing, (rows(),), plan, held_out=held_out)]
    assert [preview is None for preview in shown] == [True, True, False] * 2
    assert len(shown[2]) == 8 and torch.equal(shown[2], shown[5])
    assert all(progress.preview is None for progress in train(silent, (rows(),), plan, held_out=held_out))
    assert all(torch.equal(one, other) for one, other in zip(showing.parameters(), silent.parameters(), strict=True))
