"""Weights on disk: whole, the same bytes each time, never silently spoilt; one process at a time in a folder."""

import os
import random
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from twofold.core.checkpoint import load_tensors, locked, save_tensors
from twofold.errors import RunError

TENSORS = {
    "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "double": torch.tensor([1.0, torch.nan, torch.inf], dtype=torch.float64),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "code": torch.tensor([1, -1]),
    "flag": torch.tensor(True),
    "none": torch.empty(0, 5),
}
INFO = {"step": 3, "seconds": 0.1, "best": None}


def test_tensors_of_every_type_and_shape_come_back(tmp_path):
    save_tensors(tmp_path / "a.safetensors", TENSORS, INFO)
    tensors, info = load_tensors(tmp_path / "a.safetensors")
    assert info == INFO and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and tensors[name].shape == tensor.shape
        assert torch.equal(tensors[name].nan_to_num(7.0), tensor.nan_to_num(7.0))


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    """safetensors orders the entries of its metadata anew in every call."""
    for number in range(8):
        save_tensors(tmp_path / f"{number}", TENSORS, INFO)
    assert len({(tmp_path / f"{number}").read_bytes() for number in range(8)}) == 1


def test_tensors_that_share_memory_are_saved_each_for_itself(tmp_path):
    whole = torch.arange(6.0)
    save_tensors(tmp_path / "a", {"whole": whole, "part": whole[2:4], "turned": whole.view(2, 3).T}, {})
    tensors, _ = load_tensors(tmp_path / "a")
    assert torch.equal(tensors["part"], whole[2:4]) and torch.equal(tensors["turned"], whole.view(2, 3).T)


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, INFO)
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(RunError, match="a.safetensors is .*from a copy"):
            load_tensors(path)


def test_a_cut_an_empty_and_a_foreign_file_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, INFO)
    whole = path.read_bytes()
    for length in (0, 1, 8, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RunError, match="is not a whole safetensors file of ours"):
            load_tensors(path)
    with pytest.raises(RunError, match="does not exist"):
        load_tensors(tmp_path / "nowhere")
    # its header promises 2^60 bytes
    path.write_bytes((1 << 60).to_bytes(8, "little") + whole[8:])
    with pytest.raises(RunError):
        load_tensors(path)
    save_file({"weight": TENSORS["weight"]}, path, metadata={"format": "pt"})
    with pytest.raises(RunError, match="is not a whole safetensors file of ours"):
        load_tensors(path)


HOLD = """
import sys
from pathlib import Path
from twofold.core.checkpoint import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_is_told_the_first_ones_pid_and_a_dead_ones_lock_is_taken_over(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"being written by process {process.pid} on .*another folder"):
            locked(tmp_path / "run").__enter__()
        process.kill()
    with locked(tmp_path / "run"):
        assert f"process {os.getpid()} " in (tmp_path / "run/.lock").read_text()
