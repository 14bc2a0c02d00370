"""Weights on disk, and one process at a time in a run folder. safetensors only: loading runs no code."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from twofold.data.atomic import write_atomically
from twofold.errors import RunError

__all__ = ["load_tensors", "locked", "save_tensors"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write tensors and a JSON object into one file, whole or not at all.

    Raises
    ------
    DiskFullError
        When there is no room; the old file is whole.
    """
    # copies: safetensors refuses tensors that share memory, and tied weights do
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, metadata={"info": json.dumps(info)}))


def load_tensors(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON object of a file that `save_tensors` wrote.

    Raises
    ------
    RunError
        When the file is absent or spoilt.
    """
    if not path.is_file():
        raise RunError(f"{path} does not exist. Give the folder of a run that was trained to its end.")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            info = json.loads((file.metadata() or {}).get("info", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, info  # noqa: SIM118 - not a dict
    except (SafetensorError, ValueError, OverflowError, RuntimeError, MemoryError) as error:
        raise RunError(
            f"{path} is not a whole safetensors file ({error}). Restore it from a copy, or train the run again."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; the lock goes with the process, however it ends.

    Raises
    ------
    RunError
        When another process holds it: the message tells its pid and host.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "an unknown process"
            raise RunError(
                f"{folder} is being written by {holder}. Wait for it, stop it, or give another folder."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
