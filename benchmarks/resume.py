"""A fit killed with SIGKILL at 50 random points, 10 of them inside a save, resumes to bit-equal weights each time.

Command: python benchmarks/resume.py     Machine: 2 cores     Minutes: 3
Number to expect: 50 of 50 (November 2026)

Each trial begins a run, kills it, resumes it to its end in a fresh process, and compares model.safetensors, byte by
byte, with an undisturbed run. For the kills inside a save the child tells when it has written part of a checkpoint,
and waits.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from record import record

from twofold.methods import METHODS
from twofold.runs import Source, fit_run, resume_run

N_KILLS, N_INSIDE = 50, 10
SOURCE = Source("sample:digits")


def main() -> None:
    """Kill, resume, compare."""
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    rows = []
    for method in ("autoencoder", "detector"):
        whole = folder / f"{method}-whole"
        began = time.monotonic()
        in_child(lambda whole=whole, method=method: finish(fit_run(estimator(method), SOURCE, whole)))
        seconds = time.monotonic() - began
        expected = (whole / "model.safetensors").read_bytes()
        n_equal = n_inside = 0
        for trial in range(N_KILLS // 2):
            run, inside = folder / f"{method}-{trial}", trial < N_INSIDE // 2
            # on a busy machine a run may be done before it is to be killed: then another one
            while not kill_once(method, run, inside, float(rng.uniform(0.05, 0.95)) * seconds):
                shutil.rmtree(run, ignore_errors=True)
            n_inside += inside
            has_begun = (run / "config.json").exists()
            again = resume_run(run) if has_begun else fit_run(estimator(method), SOURCE, run)
            in_child(lambda again=again: finish(again))
            n_equal += (run / "model.safetensors").read_bytes() == expected
            assert not list(run.rglob("*.part")), "a part file stayed behind"
        rows.append({"method": method, "kills": N_KILLS // 2, "inside a save": n_inside, "bit-equal": n_equal})
        print(rows[-1], flush=True)
    shutil.rmtree(folder)
    n_equal, n_inside = (sum(row[name] for row in rows) for name in ("bit-equal", "inside a save"))
    record(
        "resume",
        claim=f"kill -9 at {N_KILLS} random points of a fit, {n_inside} inside a save, then resume: "
        "weights equal to an undisturbed run's, byte by byte.",
        figures=[{"figure": "bit-equal after kill -9", "value": f"{n_equal} of {N_KILLS}", "must": "50 of 50"}],
        rows=rows,
    )


def estimator(method: str):
    """A training long enough to be killed in."""
    return METHODS[method](n_steps=400, seed=1, n_threads=1)


def finish(training) -> None:
    """To the end, saving as often as there is something to save."""
    for _ in training:
        pass


def kill_once(method: str, run: Path, inside: bool, after: float) -> bool:
    """Begin a run in a child and kill it, inside a save when asked; whether it died before its end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        save_often(writer if inside else None, after)
        finish(fit_run(estimator(method), SOURCE, run))
        os._exit(0)
    os.close(writer)
    if inside:
        os.read(reader, 1)  # blocks until the child stands inside a save, or has ended
    else:
        time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reader)
    config = run / "config.json"
    return os.WIFSIGNALED(status) and not (config.exists() and '"state": "finished"' in config.read_text())


def save_often(writer: int | None, after: float) -> None:
    """Checkpoints at every interval; when asked, stop in the middle of one and tell."""
    from twofold.core import checkpoint, loop

    plan = loop.Plan.__init__

    def eager(self, **settings):
        plan(self, **settings | {"save_seconds": 0.0})

    loop.Plan.__init__ = eager
    if writer is None:
        return
    began, write = time.monotonic(), checkpoint.write_atomically

    def half(path, data):
        if time.monotonic() - began > after / 2:
            path.with_name(f".{path.name}.part").write_bytes(bytes(data[: len(data) // 2]))
            os.write(writer, b"x")
            time.sleep(60)
        write(path, data)

    checkpoint.write_atomically = half


def in_child(work) -> None:
    """Run in a child process, as a fresh start would."""
    child = os.fork()
    if child == 0:
        try:
            save_often(None, 0)
            work()
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child failed with {status}"


if __name__ == "__main__":
    main()
