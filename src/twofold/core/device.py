"""Where to compute: device, threads, precision."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from threadpoolctl import threadpool_limits

from twofold.errors import SettingError

__all__ = [
    "PRECISIONS", "all_threads", "autocast", "choose_device", "choose_threads", "has_fast_bfloat16", "is_half_quicker",
    "threads",
]  # fmt: skip

PRECISIONS = ("auto", "float32", "bfloat16")

# Multiply-adds of one forward pass below which a second thread costs more than it brings (2-core EPYC, docs/LOG.md).
SMALL_WORK = 2e8


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes an accelerator when there is one.

    Raises
    ------
    SettingError
        When the name is unknown or the machine lacks it.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingError(
            f"device {name!r} cannot be used here. Allowed: auto, cpu, or an accelerator of this machine "
            f"such as cuda or cuda:0. Pass device='auto'. ({str(error).splitlines()[0]})"
        ) from error
    return device


def choose_threads(n_parameters: int, batch_size: int) -> int:
    """One thread for small steps, where waking others costs more than it brings; else as many as torch has."""
    return 1 if n_parameters * batch_size < SMALL_WORK else min(torch.get_num_threads(), os.cpu_count() or 1)


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Compute with that many threads, and put the old number back after."""
    before = torch.get_num_threads()
    if n_threads == before:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def all_threads(n_threads: int) -> Iterator[None]:
    """The same, for NumPy and SciPy too; finding their libraries takes 3 ms, so this is not for single steps."""
    with threads(n_threads), threadpool_limits(n_threads, user_api="blas"):
        yield


def autocast(device: torch.device) -> AbstractContextManager:
    """bfloat16 where the accelerator has it; float32 elsewhere, which small nets on a CPU prefer."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def is_half_quicker(device: torch.device) -> bool:
    """Whether convolutions on that device are quicker in bfloat16."""
    return has_fast_bfloat16() if device.type == "cpu" else device.type == "cuda"
