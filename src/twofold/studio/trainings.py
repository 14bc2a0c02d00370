"""One training at a time, each in a process of its own: the very command that a user would type.

So a crash of a training leaves the pages alive, what the pages do can be done by a script, and a run begun here goes on
with `twofold resume` anywhere. What happens in it is read from its run folder.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twofold.studio.guard import Refusal

__all__ = ["Job", "Trainings"]

MAX_WAITING = 32
KEPT_JOBS = 200
PATIENCE = 30.0  # seconds that a training has to end by itself when the studio ends


@dataclass
class Job:
    """One command that was asked for."""

    id: str
    run: Path
    title: str
    arguments: list[str]
    state: str = "waiting"
    """waiting, running, stopping, finished, stopped or failed."""
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    begun_at: float | None = None
    process: asyncio.subprocess.Process | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("finished", "stopped", "failed")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        seconds = None if self.begun_at is None else time.time() - self.begun_at
        return {"id": self.id, "title": self.title, "run": self.run.name, "state": self.state, "error": self.error,
                "result": self.result, "seconds": None if self.is_over else seconds}  # fmt: skip


class Trainings:
    """The queue, and the worker that empties it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._news = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    # ---- from the pages --------------------------------------------------------------------------

    def add(self, run: Path, title: str, arguments: list[str]) -> Job:
        """Put a command at the end of the queue."""
        if len(self._waiting) >= MAX_WAITING:
            raise Refusal(503, f"{MAX_WAITING} trainings wait already. Try again when some are done.")
        if any(job.run == run and not job.is_over for job in self.jobs.values()):
            raise Refusal(409, f"a training of {run.name} runs or waits already.")
        job = Job(secrets.token_hex(8), run, title, arguments)
        self.jobs[job.id] = job
        for old in [name for name, job in self.jobs.items() if job.is_over][: max(0, len(self.jobs) - KEPT_JOBS)]:
            del self.jobs[old]
        self._waiting.append(job)
        self._news.set()
        return job

    def job(self, job_id: str) -> Job:
        """The job of that name."""
        if job_id not in self.jobs:
            raise Refusal(404, f"there is no job {job_id[:40]!r}.")
        return self.jobs[job_id]

    def of(self, run: Path) -> Job | None:
        """The latest job of a run."""
        return next((job for job in reversed(self.jobs.values()) if job.run == run), None)

    async def stop(self, job: Job) -> None:
        """End a training with a usable model, or take it out of the queue."""
        if job in self._waiting:
            self._waiting.remove(job)
            job.state = "stopped"
        elif job.state == "running":
            # once: a second signal would end it at once, and lose what was learned since the last checkpoint
            job.state = "stopping"
            _interrupt(job)

    # ---- the worker ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to work off the queue."""
        self._worker = asyncio.create_task(self._work())

    async def end(self) -> None:
        """Stop the training that runs, keeping its model, and forget those that wait."""
        self._waiting.clear()
        running = [job for job in self.jobs.values() if job.process is not None and not job.is_over]
        for job in running:
            await self.stop(job)
        deadline = time.monotonic() + PATIENCE
        while any(not job.is_over for job in running) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def _work(self) -> None:
        while True:
            while self._waiting:
                await self._run(self._waiting.popleft())
            self._news.clear()
            await self._news.wait()

    async def _run(self, job: Job) -> None:
        job.state, job.begun_at = "running", time.time()
        try:
            job.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "twofold", *job.arguments, "--json",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                # a group of its own: Ctrl-C in the terminal reaches the studio, which then ends it in order
                start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}, limit=1 << 24,
            )  # fmt: skip
            if job.state == "stopping":
                _interrupt(job)  # it was stopped while it was being started
            out, err = await job.process.communicate()
            _end(job, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        except Exception as error:  # whatever it is, the next in the queue must have its turn
            job.state, job.error = "failed", f"the training could not be begun ({type(error).__name__})."


def _end(job: Job, out: str, err: str) -> None:
    told = _last_object(out)
    code = job.process.returncode if job.process is not None else 1
    if code == 0:
        job.state = "stopped" if job.state == "stopping" else "finished"
        # paths of this machine are nobody's business
        job.result = {name: told[name] for name in told if name not in ("run", "exit") and not name.endswith("_file")}
        return
    job.state = "stopped" if job.state == "stopping" and code in (130, -signal.SIGINT, -signal.SIGTERM) else "failed"
    lines = [line for line in err.splitlines() if line.strip()]
    job.error = told.get("error") or (lines[-1] if lines else f"the training ended with code {code}.")
    if job.error.startswith("wrong usage"):
        # the parser's box: what is wrong stands inside it
        job.error = " ".join(line.strip(" │╭╰─╮╯") for line in lines if "│" in line) or job.error


def _last_object(out: str) -> dict[str, Any]:
    for line in reversed(out.splitlines()):
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            return told
    return {}


def _interrupt(job: Job) -> None:
    """As Ctrl-C, which keeps what was learned; a command that has not begun to learn is ended, for it keeps nothing.

    While it still imports, the first signal can be lost: what is imported may catch it.
    """
    if job.process is not None:
        with contextlib.suppress(ProcessLookupError):
            job.process.send_signal(signal.SIGINT if _has_begun(job) else signal.SIGTERM)


def _has_begun(job: Job) -> bool:
    """Whether this command has taken its first step: then the journal was written since."""
    journal = job.run / "progress.jsonl"
    return job.begun_at is not None and journal.is_file() and journal.stat().st_mtime >= job.begun_at
