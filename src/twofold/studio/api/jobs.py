"""Jobs: what is asked of the one training process, in order; and what happens in it, as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import StreamingResponse

from twofold.studio.place import Answer, Here, Studio
from twofold.studio.trainings import Job

__all__ = ["JobAnswer", "routes", "told_of"]

routes = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
INTERVAL = 0.4  # seconds between looks at a run's folder


class JobAnswer(Answer):
    """A job."""

    id: str
    run: str
    """The run's id."""
    name: str
    title: str
    state: str
    error: str
    result: dict[str, Any]
    seconds: float | None


def told_of(here: Studio, job: Job) -> JobAnswer:
    """The job, as it is told."""
    told = job.to_json() | {"run": here.shelf.run_id(job.run), "name": job.run.name}
    return JobAnswer(**told)


@routes.get("")
async def list_jobs(here: Here) -> list[JobAnswer]:
    """Jobs of this start, the latest first."""
    return [told_of(here, job) for job in reversed(here.trainings.jobs.values())]


@routes.get("/{job}")
async def show_job(here: Here, job: JobId) -> JobAnswer:
    """A job: waiting, running, stopping, finished, stopped or failed."""
    return told_of(here, here.trainings.job(job))


@routes.post("/{job}/stop", status_code=202)
async def stop_job(here: Here, job: JobId) -> JobAnswer:
    """End it, keeping what was learned; or take it out of the queue."""
    await here.trainings.stop(here.trainings.job(job))
    return told_of(here, here.trainings.job(job))


@routes.get("/{job}/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def follow_job(here: Here, job: JobId, request: Request) -> StreamingResponse:
    """Server-sent events until it is over: `state` (a job), `lines` (progress), `preview` (a new picture)."""
    return StreamingResponse(_events(here, here.trainings.job(job), request), media_type="text/event-stream")


async def _events(here: Studio, job: Job, request: Request) -> AsyncIterator[str]:
    state, n_lines, shown = "", 0, 0
    while not await request.is_disconnected():
        is_over = job.is_over  # asked before the last look, so that nothing of the end is missed
        lines = here.ledger.lines(job.run)
        if len(lines) < n_lines or is_over:
            n_lines = 0  # begun anew from a checkpoint, or thinned: all are sent again
        if len(lines) > n_lines:
            yield _event("lines", {"is_whole": n_lines == 0, "lines": lines[n_lines:]})
            n_lines = len(lines)
        changed = _changed(job.run / "outputs" / "preview.png")
        if changed > shown:
            shown = changed
            yield _event("preview", {"changed": changed})
        if job.state != state:
            state = job.state
            yield _event("state", told_of(here, job).model_dump())
        if is_over:
            return
        await asyncio.sleep(INTERVAL)


def _event(name: str, told: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(told)}\n\n"


def _changed(path: FilePath) -> int:
    return path.stat().st_mtime_ns // 1_000_000 if path.is_file() else 0
