"""Several processes, started by torchrun, that train one model: who am I, and how do we agree?

torch.distributed is the engine. A run on one process needs none of it: every function here is then the identity.
"""

import atexit
import gc
import os
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

__all__ = [
    "agree",
    "average",
    "dealt",
    "gathered",
    "is_main",
    "is_sharded",
    "join",
    "parallel_loss",
    "rank",
    "sharded",
    "whole",
    "world_size",
]


LearnerT = TypeVar("LearnerT", bound=nn.Module)


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, 0 to world_size - 1."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def join(device: torch.device) -> None:
    """Meet the other processes, if torchrun started any; once, until this process ends."""
    if world_size() == 1 or dist.is_initialized():
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    # left open, its threads abort the process at exit
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def average(value_T: Tensor) -> Tensor:
    """The mean over processes: one bad number anywhere is seen everywhere."""
    if world_size() > 1:
        dist.all_reduce(value_T)
        value_T /= world_size()
    return value_T


def gathered(value_BD: Tensor) -> Tensor:
    """The rows of all processes, in order, with their gradients: for losses of whole batches, such as a covariance."""
    return value_BD if world_size() == 1 else _Gathered.apply(value_BD)


class _Gathered(torch.autograd.Function):
    """Every process's rows; on the way back each gets the sum of what all processes say about its own."""

    @staticmethod
    def forward(context: Any, value_BD: Tensor) -> Tensor:
        parts = [torch.empty_like(value_BD, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, value_BD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient_ND: Tensor) -> Tensor:
        total_ND = gradient_ND.contiguous().clone()
        dist.all_reduce(total_ND)
        return total_ND.chunk(world_size())[rank()]


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


def parallel_loss(learner: nn.Module) -> Callable[..., dict[str, Tensor]]:
    """The learner's loss, with gradients averaged over processes."""
    loss: Callable[..., dict[str, Tensor]] = learner.loss  # type: ignore[assignment]
    if world_size() == 1 or is_sharded(learner):
        return loss
    watched = nn.parallel.DistributedDataParallel(_Loss(learner))
    # a function, so that the learner does not become a part of itself
    return lambda *batch: watched(*batch)


def sharded(learner: LearnerT, shard_above: float) -> LearnerT:
    """The learner itself; a copy with its weights cut up over the processes when they are more than that."""
    if world_size() == 1 or sum(p.numel() for p in learner.parameters()) <= shard_above:
        return learner
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    pieces = deepcopy(learner)
    # cut up again after every forward pass, so that measuring and averaging see the pieces
    fully_shard(pieces, reshard_after_forward=True)
    register_fsdp_forward_method(pieces, "loss")
    return pieces


def is_sharded(learner: nn.Module) -> bool:
    """Whether its weights are cut up over the processes."""
    return any(isinstance(p, DTensor) for p in learner.parameters())


def whole(value: Tensor) -> Tensor:
    """A sharded tensor made whole (every process must ask); any other as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def dealt(value: Tensor, like: Tensor) -> Tensor:
    """The reverse: a whole tensor cut up the way `like` is, if it is."""
    if isinstance(like, DTensor) and value.shape == like.shape:
        return distribute_tensor(value, like.device_mesh, like.placements)
    return value
