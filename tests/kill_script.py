"""Kill a resumed run of each method at each of its writes, half written, and resume it once more: run by test_contract.

This process only forks; the children train. It prints, for each method, how many kills there were and how many of the
resumed runs ended in the bits, and the journal, of an undisturbed one.
"""

import json
import os
import shutil
import signal
import stat
import sys
from pathlib import Path

import sklearn.datasets  # noqa: F401 - imported once here instead of in every child
import torch
import torch._dynamo  # noqa: F401 - as optimizers do at their first step
from test_contract import finish, journal, quick, source

from twofold.methods import METHODS
from twofold.runs import fit_run, resume_run

torch.set_num_threads(1)
N_STEPS, STOP = 120, 110  # the first state worth going back to is that of step 100 at the latest


def child(work) -> int:
    """Do it in a process of its own; how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr)
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def die_in_write(number: int) -> None:
    """Be killed at the number-th sync of a file, of which only half is there."""
    sync, n_left = os.fsync, number

    def fsync(handle):
        nonlocal n_left
        if stat.S_ISREG(os.fstat(handle).st_mode):
            n_left -= 1
            if n_left == 0:
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        sync(handle)

    os.fsync = fsync


def resume_and_die(run: Path, number: int) -> None:
    die_in_write(number)
    finish(resume_run(run))


def was_killed(run: Path, number: int) -> bool:
    """Resume a stopped run and be killed, resume it again; False where it had fewer writes."""
    if not os.WIFSIGNALED(child(lambda: resume_and_die(run, number))):
        return False
    assert child(lambda: finish(resume_run(run))) == 0
    return True


def train(method: str, run: Path, stop_at: int | None = None) -> None:
    assert child(lambda: finish(fit_run(quick(method, n_steps=N_STEPS), source(method), run), stop_at)) == 0


result = {}
for method in METHODS:
    folder = Path(sys.argv[1]) / method
    train(method, folder / "whole")
    train(method, folder / "stopped", STOP)
    whole = (folder / "whole/model.safetensors").read_bytes(), journal(folder / "whole")
    n_kills = n_equal = 0
    while was_killed(run := shutil.copytree(folder / "stopped", folder / f"killed{n_kills}"), n_kills + 1):
        n_kills += 1
        is_equal = ((run / "model.safetensors").read_bytes(), journal(run)) == whole
        n_equal += is_equal and not list(run.rglob("*.part"))
    result[method] = n_kills, n_equal
print(json.dumps(result))
