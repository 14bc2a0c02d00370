"""Weights on disk, and one process at a time in a run folder. safetensors only: loading runs no code."""

import hashlib
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

ABOUT = "twofold"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write tensors and a JSON object into one file, whole or not at all.

    Raises
    ------
    DiskFullError
        When there is no room; the old file is whole.
    """
    # copies: safetensors refuses tensors that share memory, and tied weights do
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # one entry: the order of several is not the same every time
    about = json.dumps({"info": info, "sha256": _digest(plain, info)})
    write_atomically(path, save(plain, metadata={ABOUT: about}))


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
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(ABOUT, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        info, expected = about["info"], about["sha256"]
    except (
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
        RuntimeError,
        MemoryError,
        OSError,
    ) as error:
        raise RunError(
            f"{path} is not a whole safetensors file of ours ({error}). Restore it from a copy, or train the run again."
        ) from error
    if expected != _digest(tensors, info):
        raise RunError(
            f"{path} is spoilt: its weights are not those that were saved (SHA-256 differs). "
            "Restore it from a copy, or train the run again."
        )
    return {name: tensor.to(device) for name, tensor in tensors.items()}, info


def _digest(tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> str:
    """SHA-256 of names, types, shapes and bytes, whatever their order in the file."""
    digest = hashlib.sha256(json.dumps(info).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{list(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; the lock goes with the process, however it ends.

    Raises
    ------
    RunError
        When another process holds it: the message tells its pid and host. When it can be no folder.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{folder} cannot be a folder: a file stands in the way. Give another --out.") from error
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
