"""Learning a map of the plane, after a method's own training and by the same loop.

Dimension key: N rows, B rows of this process's batch, D features by which rows are near, T targets to go back to.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from twofold.core.distributed import rank, world_size
from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.core.loop import Plan, Progress, counted_on, train
from twofold.nn.planar import PlanarNetwork, neighbour_loss, start_from_plane

__all__ = ["LEAST_ROWS", "MAP_ROWS", "PlanarLearner", "plan_map", "start_map", "train_in_turn"]

MAP_ROWS, LEAST_ROWS = 10_000, 12  # to learn a map from
MOST_STEPS = 1000
BATCH_SIZE = 400  # rows that are compared with each other: fewer have no near ones, more cost their square


class PlanarLearner(Learner):
    """Keeps near in the plane what is near among the features, and learns the way back to the targets."""

    learning_rate = 2e-3

    def __init__(self, network: PlanarNetwork):
        super().__init__()
        self.network = network

    def loss(self, *batch: Tensor) -> dict[str, Tensor]:
        """How unlikely true neighbours are in the plane, and the squared error of the way back over the variance.

        Of features (B, D) and targets (B, T).
        """
        # half precision would mistake neighbours
        with torch.autocast(batch[0].device.type, enabled=False):
            return self._loss(*batch)

    def _loss(self, feature_BD: Tensor, target_BT: Tensor) -> dict[str, Tensor]:
        network = self.network
        standard_BD = network.standard(feature_BD)
        point_B2 = network.encode_standard(standard_BD + network.noise * self.normal(*standard_BD.shape))
        # the way back must not bend the map
        rebuilt_BT = network.decode_standard(point_B2.detach())
        error_BT = rebuilt_BT - (target_BT - network.target_T) / network.target_spread
        return {
            "neighbours": neighbour_loss(self._of_all(standard_BD), self._of_all(point_B2)),
            "way_back": error_BT.square().mean(),
        }

    def _of_all(self, value_BX: Tensor) -> Tensor:
        """The rows of all processes, in order; only this one's carry a gradient: the mean over processes adds them."""
        if self.share[1] == 1:
            return value_BX
        parts = [torch.empty_like(value_BX) for _ in range(world_size())]
        dist.all_gather(parts, value_BX.detach().contiguous())
        # the value, with a gradient as many times as large as there are processes to take the mean over
        parts[rank()] = value_BX + (world_size() - 1) * (value_BX - value_BX.detach())
        return torch.cat(parts)


def start_map(feature_ND: Tensor, target_NT: Tensor, seed: int, device: torch.device) -> PlanarLearner:
    """A map that is the plane of the first two principal components, to be trained."""
    with seeded(seed):
        return PlanarLearner(start_from_plane(feature_ND, target_NT, seed)).to(device)


def plan_map(plan: Plan, map_steps: int | None, n_steps: int | None, n_rows: int) -> tuple[Plan, Plan]:
    """The plans of a training and of the map after it: 1,000 steps, or as few as were asked for.

    Of the minutes the map gets a third; too few rows get no training.
    """
    if map_steps is None:
        map_steps = min(MOST_STEPS, n_steps or MOST_STEPS)
    n_steps = map_steps if n_rows >= LEAST_ROWS else 0
    minutes = plan.minutes or 0.0
    third = minutes / 3 if n_steps else 0.0
    first = replace(plan, minutes=minutes - third or None)
    return first, replace(plan, n_steps=n_steps, minutes=third or None, batch_size=BATCH_SIZE, interval=100)


def train_in_turn(
    before: Learner, learner: PlanarLearner, data: tuple[Tensor, Tensor], plan: Plan, folder: Path | None
) -> Iterator[Progress]:
    """Train the map when the training before it is over; its steps and seconds are counted on from there."""
    if not plan.n_steps:
        return
    training = train(learner, data, plan, folder=None if folder is None else folder / "map")
    yield from counted_on(training, before)
