"""The one training loop: a generator of measurements.

`for progress in train(...)` trains for as long as somebody asks: `fit` exhausts it, a command line prints it, a page
streams it, a stop button or a test just stops asking - and is left with a usable model.

The promises, kept here and tested for every method: the same seed gives the same weights; a killed run resumes to the
very bits it would have reached; non-finite numbers are caught within a step and undone; several processes give the
weights of one.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twofold.core.batches import NOISE, Array, Batches, mix
from twofold.core.checkpoint import load_tensors, save_tensors
from twofold.core.device import choose_threads, threads
from twofold.core.distributed import (
    agree,
    average,
    dealt,
    is_main,
    is_sharded,
    join,
    parallel_loss,
    rank,
    sharded,
    whole,
    world_size,
)
from twofold.core.learner import Learner
from twofold.errors import DivergedError, RunError

__all__ = ["CHECKPOINT", "Plan", "Progress", "counted_on", "train"]

CHECKPOINT = "state.safetensors"
MAX_RESTORES = 3
N_SHOWN = 8  # rows that a preview shows, held-out ones where there are any


@dataclass(frozen=True, slots=True)
class Progress:
    """One measurement of a training under way."""

    step: int
    n_steps: int | None  # None: until the minutes are over
    seconds: float  # of training, earlier sessions included
    losses: dict[str, float]
    measures: dict[str, float] = field(default_factory=dict)  # on held-out rows, at the steps where they are taken
    note: str = ""
    preview: Any = None

    @property
    def loss(self) -> float:
        """The sum of the loss terms."""
        return sum(self.losses.values())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how to train."""

    n_steps: int | None
    minutes: float | None = None
    batch_size: int = 256
    seed: int = 0
    interval: int = 100
    """Steps between measurements on held-out rows; the state worth going back to is kept as often."""
    patience: int | None = None
    """Measurements without a better one before training stops (None: never)."""
    ema: float = 0.0
    """How much of the moving average of the weights each step keeps (0: no average)."""
    save_seconds: float = 20.0
    n_threads: int | None = None
    shard_above: float = 1e9


def train(
    learner: Learner,
    data: Sequence[Array],
    plan: Plan,
    *,
    held_out: Sequence[Array] | None = None,
    folder: Path | None = None,
) -> Iterator[Progress]:
    """Train `learner` on row-aligned arrays, one Progress a step.

    Parameters
    ----------
    learner : on the device to train on.
    data : row-aligned arrays (N, ...), tensors or NumPy, memory-mapped when large.
    held_out : the same for rows to measure on; the best weights by `evaluate()["held_out"]` are the ones kept.
    folder : where the checkpoint lives; a checkpoint found there is gone on from.

    Raises
    ------
    DivergedError
        When the loss was not finite again after three returns to a good state at half the learning rate.
    """
    device = next(learner.parameters()).device
    join(device)
    training = _Training(learner, plan, folder)
    batches = Batches(data, plan.batch_size, plan.seed, share=(rank(), world_size()), device=device)
    ruler = None if held_out is None else Batches(held_out, len(held_out[0]), 0, device=device)
    shown = Batches(data if held_out is None else held_out, N_SHOWN, 0, device=device)
    training.resume()
    try:
        while not training.is_over():
            yield training.advance(batches, ruler, shown)
    finally:
        training.finish()


def counted_on(training: Iterator[Progress], before: Learner) -> Iterator[Progress]:
    """Progress of a later stage: its steps and seconds behind those of the stage before."""
    with closing(training) as steps:  # type: ignore[type-var]
        for own in steps:
            total = own.n_steps and before.n_updates + own.n_steps
            yield replace(own, step=before.n_updates + own.step, n_steps=total, seconds=before.seconds + own.seconds)


class _Training:
    """The state of one training: weights, their average, optimizers and position."""

    def __init__(self, learner: Learner, plan: Plan, folder: Path | None):
        self.given, self.plan = learner, plan
        self.learner = learner = sharded(learner, plan.shard_above)
        self.path = None if folder is None else Path(folder) / CHECKPOINT
        learner.share = (rank(), world_size())
        # left by what made the learner: they would be in each session's first step, and so not in a resumed run's once
        learner.zero_grad(set_to_none=True)
        learner.generator = torch.Generator(next(learner.parameters()).device)
        n_parameters = sum(p.numel() for p in learner.parameters())
        self.n_threads = plan.n_threads or choose_threads(n_parameters, plan.batch_size)
        learner.parallel_loss = parallel_loss(learner)
        learner.optimizers = learner.configure()
        self.rates = {name: [g["lr"] for g in o.param_groups] for name, o in learner.optimizers.items()}
        self.average = {n: p.detach().clone() for n, p in learner.named_parameters()} if plan.ema else {}
        self.position: dict[str, Any] = {
            "step": 0, "seconds": 0.0, "rate": 1.0, "n_restores": 0, "best": None, "best_step": 0,
            "n_worse": 0, "last": None,
        }  # fmt: skip
        self.best: dict[str, Tensor] = {}
        self.preview: Any = None
        # weights that are cut up are put together for the loss alone
        self.shows = type(self.given).preview is not Learner.preview and not is_sharded(learner)
        self.saved_at = time.monotonic()
        self.good = self.capture()
        self.good_is_saved = False

    # ---- the position ----------------------------------------------------------------------------

    @property
    def step(self) -> int:
        return int(self.position["step"])

    def fraction(self) -> float:
        """How much of the training is done, by steps or by the clock, whichever is further."""
        by_steps = self.step / self.plan.n_steps if self.plan.n_steps else 0.0
        by_clock = self.position["seconds"] / (60 * self.plan.minutes) if self.plan.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))

    def is_over(self) -> bool:
        is_hopeless = self.plan.patience is not None and self.position["n_worse"] >= self.plan.patience
        return agree(self.fraction() >= 1.0 or is_hopeless, self.learner.generator.device)

    # ---- one step --------------------------------------------------------------------------------

    def advance(self, batches: Batches, ruler: Batches | None, shown: Batches) -> Progress:
        began = time.perf_counter()
        with threads(self.n_threads):
            losses = self.update(batches[self.step])
            if not all(map(math.isfinite, losses.values())):
                note, measures = self.go_back(losses), {}
            else:
                self.position["step"] += 1
                self.update_average()
                measures = self.pause(ruler, shown) if self.is_interval() else {}
                note = self.rising() if measures else ""
        self.position["seconds"] += time.perf_counter() - began
        preview, self.preview = self.preview, None
        return Progress(self.step, self.plan.n_steps, self.position["seconds"], losses, measures, note, preview)

    def update(self, batch: tuple[Tensor, ...]) -> dict[str, float]:
        factor = self.learner.schedule(self.fraction()) * self.position["rate"]
        for name, optimizer in self.learner.optimizers.items():
            for group, rate in zip(optimizer.param_groups, self.rates[name], strict=True):
                group["lr"] = rate * factor
        self.learner.generator.manual_seed(mix(self.plan.seed, NOISE, self.step))
        terms = self.learner.step(*batch)
        values = average(torch.stack([term.detach().float() for term in terms.values()])).tolist()
        return dict(zip(terms, values, strict=True))

    def update_average(self) -> None:
        if not self.average:
            return
        # the first steps hardly remember: the average must not be full of the untrained start
        keep = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        weights = [p.detach() for p in self.learner.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - keep)

    def is_interval(self) -> bool:
        return self.step % self.plan.interval == 0 or self.step == self.plan.n_steps

    # ---- every interval: measure, remember, save -------------------------------------------------

    def pause(self, ruler: Batches | None, shown: Batches) -> dict[str, float]:
        """Measure on held-out rows, keep the state to go back to, and save it when the last save is a while ago."""
        if not self.is_finite():
            return {}
        measures = self.measure(ruler, shown) if self.shows or ruler is not None else {}
        self.good, self.good_is_saved = self.capture(), False
        if agree(time.monotonic() - self.saved_at > self.plan.save_seconds, self.learner.generator.device):
            self.save()
        return measures

    def measure(self, ruler: Batches | None, shown: Batches) -> dict[str, float]:
        live = self.swap_in(self.average)
        self.learner.eval()
        self.learner.share = (0, 1)
        # the same hidden cells, noise and order each time: only the weights differ
        self.learner.generator.manual_seed(mix(self.plan.seed, NOISE, 2**31))
        measures = {} if ruler is None else self.learner.evaluate(*ruler[0])
        with torch.inference_mode():
            self.preview = self.learner.preview(*shown[0]) if self.shows else None
        self.learner.share = (rank(), world_size())
        self.remember_best(measures.get("held_out"))
        self.learner.train()
        self.swap_in(live)
        return measures

    def remember_best(self, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            return
        self.position["last"] = value
        if self.position["best"] is None or value < self.position["best"]:
            self.position.update(best=value, best_step=self.step, n_worse=0)
            self.best = {name: p.detach().clone() for name, p in self.learner.state_dict().items()}
        else:
            self.position["n_worse"] += 1

    def rising(self) -> str:
        """A note, once, when held-out rows are done worse and worse: the data are being learned by heart."""
        best, last = self.position["best"], self.position["last"]
        if self.position["n_worse"] != 3 or last < best + 0.01 * abs(best):
            return ""
        step = self.position["best_step"]
        return f"held-out loss rises since step {step}: learning by heart begins; the best weights are kept"

    def swap_in(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put these weights into the learner; the ones that were there."""
        if not weights:
            return {}
        before = {name: p.detach().clone() for name, p in self.learner.named_parameters()}
        with torch.no_grad():
            for name, parameter in self.learner.named_parameters():
                parameter.copy_(weights[name])
        return before

    # ---- never silently wrong --------------------------------------------------------------------

    def is_finite(self) -> bool:
        # a weight that is not finite makes the sum so
        total = sum((whole(p.detach()).double().sum() for p in self.learner.parameters()), torch.zeros(()))
        return bool(torch.isfinite(torch.as_tensor(total)))

    def go_back(self, losses: dict[str, float]) -> str:
        """Undo: the last good state, at half the learning rate."""
        step, rate = self.step, self.position["rate"]
        n_restores = self.position["n_restores"] + 1
        self.put_back(*self.good)
        terms = ", ".join(f"{name} = {value}" for name, value in losses.items())
        if n_restores > MAX_RESTORES:
            raise DivergedError(
                f"The loss was not finite at step {step} ({terms}), for the {n_restores}th time, though the learning "
                f"rate was halved {MAX_RESTORES} times. The weights are those of step {self.step}. "
                "Give a smaller learning rate (--learning-rate), or look for extreme values with: twofold check DATA."
            )
        self.position.update(rate=rate / 2, n_restores=n_restores)
        self.good[1].update(rate=rate / 2, n_restores=n_restores)
        return f"not finite at step {step} ({terms}): back to step {self.step}, learning rate halved"

    # ---- the whole state, in memory and on disk --------------------------------------------------

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Copies of all tensors, by name, and the position."""
        tensors = {f"model/{name}": value for name, value in self.learner.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        names: dict[Any, str] = {parameter: name for name, parameter in self.learner.named_parameters()}
        for key, optimizer in self.learner.optimizers.items():
            for parameter, state in optimizer.state.items():
                tensors |= {f"optimizer/{key}/{names[parameter]}/{part}": value for part, value in state.items()}
        return {name: whole(value.detach()).clone() for name, value in tensors.items()}, dict(self.position)

    def put_back(self, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
        """The reverse of `capture`."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = value
        parameters = dict(self.learner.named_parameters())
        live = self.learner.state_dict()
        with torch.no_grad():
            for name, value in parts["model"].items():
                live[name].copy_(dealt(value, live[name]))
        # in the order of the parameters: a file has an order of its own
        self.average = {n: dealt(parts["average"][n], p).clone() for n, p in parameters.items() if self.average}
        self.best = {n: dealt(v, live[n]).clone() for n, v in parts["best"].items()}
        for optimizer in self.learner.optimizers.values():
            optimizer.state.clear()
        for name, value in parts["optimizer"].items():
            key, parameter_name, part = name.split("/")
            parameter = parameters[parameter_name]
            self.learner.optimizers[key].state[parameter][part] = _laid_out_like(parameter, dealt(value, parameter))
        self.position = dict(position)

    def save(self) -> None:
        if self.path is not None and is_main():
            save_tensors(self.path, *self.good)
        self.saved_at, self.good_is_saved = time.monotonic(), True

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        self.learner.train()
        if self.path is None or not self.path.exists():
            return
        device = self.learner.generator.device
        tensors, position = load_tensors(self.path, device)
        expected = {name: tuple(value.shape) for name, value in self.good[0].items() if name.startswith("model/")}
        found = {name: tuple(value.shape) for name, value in tensors.items() if name.startswith("model/")}
        if expected != found or set(position) != set(self.position):
            raise RunError(
                f"{self.path} holds the state of another network or another version. "
                "Give the settings and the data that the run began with, or a new folder."
            )
        self.put_back(tensors, position)
        self.good, self.good_is_saved = self.capture(), True

    def finish(self) -> None:
        """Leave a usable model: the best weights on held-out rows, else the average, else the last."""
        if not self.good_is_saved and self.good[1]["step"] > 0:
            self.save()
        if not self.is_finite():
            self.put_back(*self.good)
        if self.best:
            self.learner.load_state_dict(self.best)
        else:
            self.swap_in(self.average)
        if self.given is not self.learner:
            self.given.load_state_dict({name: whole(value) for name, value in self.learner.state_dict().items()})
        self.given.eval()
        self.given.n_updates, self.given.best_step = self.step, self.position["best_step"]
        self.given.seconds = self.position["seconds"]
        self.given.optimizers = {}
        self.given.parallel_loss = self.given.loss


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy in the parameter's own order in memory: fused optimizers walk through both side by side."""
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
