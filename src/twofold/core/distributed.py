"""Several processes, started by torchrun, that train one model: who am I, and how do we agree?

torch.distributed is the engine. A run on one process needs none of it: every function here is then the identity.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

__all__ = ["agree", "average", "dealt", "is_main", "joined", "parallel_loss", "rank", "whole", "world_size"]


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, 0 to world_size - 1."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Meet the other processes, if torchrun started any, for the length of the block."""
    if world_size() == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def average(value_T: Tensor) -> Tensor:
    """The mean over processes: one bad number anywhere is seen everywhere."""
    if world_size() > 1:
        dist.all_reduce(value_T)
        value_T /= world_size()
    return value_T


def agree(decision: bool, device: torch.device) -> bool:
    """What the main process decided, told to all: clocks differ, weights must not."""
    if world_size() == 1:
        return decision
    flag = torch.tensor([int(decision)], device=device)
    dist.broadcast(flag, 0)
    return bool(flag.item())


class _Loss(nn.Module):
    """A learner whose forward is its loss, the form in which DDP can watch it."""

    def __init__(self, learner: nn.Module):
        super().__init__()
        self.learner = learner

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        return self.learner.loss(*batch)  # type: ignore[operator]


def parallel_loss(learner: nn.Module, shard_above: float) -> Callable[..., dict[str, Tensor]]:
    """The learner's loss, with gradients averaged over processes: DDP, or weights cut up when they are many."""
    loss: Callable[..., dict[str, Tensor]] = learner.loss  # type: ignore[assignment]
    if world_size() == 1:
        return loss
    if sum(p.numel() for p in learner.parameters()) > shard_above:
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        fully_shard(learner)
        register_fsdp_forward_method(learner, "loss")
        return lambda *batch: learner.loss(*batch)  # type: ignore[operator]
    return nn.parallel.DistributedDataParallel(_Loss(learner))


def whole(value: Tensor) -> Tensor:
    """A sharded tensor made whole (every process must ask); any other as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def dealt(value: Tensor, like: Tensor) -> Tensor:
    """The reverse: a whole tensor cut up the way `like` is, if it is."""
    if isinstance(like, DTensor) and value.shape == like.shape:
        return distribute_tensor(value, like.device_mesh, like.placements)
    return value
