"""Runs: begin one, watch it, stop it, go on, measure it, remove it."""

import contextlib
import os
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from pydantic import Field

from twofold.data.names import shown
from twofold.errors import RunError
from twofold.studio.api.jobs import JobAnswer, told_of
from twofold.studio.guard import Refusal
from twofold.studio.place import Answer, Here, Question, Studio

__all__ = ["RunId", "routes"]

routes = APIRouter(prefix="/runs", tags=["runs"])

RunId = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$")]


class FitQuestion(Question):
    """What to learn from what."""

    method: str = Field(max_length=40)
    data: str = Field(max_length=64, description="the id of data")
    name: str = Field(default="", max_length=60, description="of the run (empty: from method and data)")
    label: str | None = Field(default=None, max_length=200, description="the column that holds labels")
    normal: str | None = Field(default=None, max_length=200, description="the label of normal items")
    split: str | None = Field(default=None, max_length=60)
    settings: dict[str, bool | int | float | str | None] = Field(
        default_factory=dict, description="fields of the method"
    )


class EvaluateQuestion(Question):
    """What to measure on."""

    data: str = Field(max_length=64)
    label: str | None = Field(default=None, max_length=200)
    normal: str | None = Field(default=None, max_length=200)


class RunAnswer(Answer):
    """A run in a list."""

    id: str
    name: str
    method: str
    state: str
    data: str
    step: int
    n_steps: int | None
    seconds: float
    loss: float | None
    measures: dict[str, float | None]
    when: str


class RunDetail(RunAnswer):
    """A run with all that is known of it."""

    settings: dict[str, Any]
    about_data: dict[str, Any]
    classes: list[str]
    shapes: dict[str, list[int]]
    card: str
    has_preview: bool
    job: JobAnswer | None


class ProgressAnswer(Answer):
    """Measurements of a training."""

    lines: list[dict[str, Any]]


@routes.get("")
async def list_runs(here: Here, method: Annotated[str | None, Query(max_length=40)] = None) -> list[RunAnswer]:
    """All runs, newest first."""
    titles = _titles(here)
    told = [_summary(here, run_id, folder, titles) for run_id, folder in here.shelf.runs().items()]
    return [run for run in told if method in (None, run.method)]


@routes.post("", status_code=202)
async def begin_run(here: Here, question: FitQuestion) -> JobAnswer:
    """Train a method on data, in a process of its own; it waits while another one trains."""
    folder, arguments = await here.workbench.work(_command, here, question)
    return told_of(here, here.trainings.add(folder, f"{question.method} learns", arguments))


@routes.get("/{run}")
async def show_run(here: Here, run: RunId) -> RunDetail:
    """A run: settings, data, shapes of its networks, model card."""
    return _detail(here, run, here.shelf.run(run))


@routes.get("/{run}/progress")
async def show_progress(here: Here, run: RunId) -> ProgressAnswer:
    """Losses and measures so far."""
    return ProgressAnswer(lines=here.ledger.lines(here.shelf.run(run)))


@routes.get("/{run}/preview", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def show_preview(here: Here, run: RunId) -> FileResponse:
    """What the training shows on the way, at fixed seeds: a picture."""
    path = here.shelf.run(run) / "outputs" / "preview.png"
    if not path.is_file() or not path.resolve().is_relative_to(here.shelf.root):
        raise Refusal(404, "this run shows no pictures on the way.")
    return FileResponse(path, media_type="image/png")


@routes.post("/{run}/stop", status_code=202)
async def stop_run(here: Here, run: RunId) -> JobAnswer:
    """End the training now; what was learned so far is usable, and can be gone on with."""
    job = here.trainings.of(here.shelf.run(run))
    if job is None or job.is_over:
        raise Refusal(409, "no training of this run is under way here.")
    await here.trainings.stop(job)
    return told_of(here, job)


@routes.post("/{run}/resume", status_code=202)
async def resume_run(here: Here, run: RunId) -> JobAnswer:
    """Go on with a run that was stopped or killed, to the bits it would have reached."""
    folder = here.shelf.run(run)
    if here.ledger.config(folder).get("state") == "finished":
        raise Refusal(409, "this run is finished: there is nothing to go on with. Train a longer one.")
    return told_of(here, here.trainings.add(folder, "goes on", ["resume", str(folder)]))


@routes.post("/{run}/evaluate", status_code=202)
async def evaluate_run(here: Here, run: RunId, question: EvaluateQuestion) -> JobAnswer:
    """The method's measures on data, beside baselines; they stand in the job's result when it is done."""
    folder, stock = here.shelf.run(run), here.shelf.stock(question.data)
    named = [f"--{name}={value}" for name in ("label", "normal") if (value := getattr(question, name)) is not None]
    return told_of(here, here.trainings.add(folder, "is measured", ["evaluate", str(folder), stock.source, *named]))


@routes.delete("/{run}", status_code=204)
async def remove_run(here: Here, run: RunId) -> None:
    """Take a run off the disk."""
    job = here.trainings.of(here.shelf.run(run))
    if job is not None and not job.is_over:
        raise Refusal(409, "a training of this run is under way. Stop it first.")
    here.shelf.remove_run(run)


def _command(here: Studio, question: FitQuestion) -> tuple[Path, list[str]]:
    from twofold.methods import METHODS
    from twofold.studio.forms import flags_of

    if question.method not in METHODS:
        raise RunError(f"there is no method {question.method!r}. Allowed: {', '.join(METHODS)}.")
    stock = here.shelf.stock(question.data)
    title = question.name or here.shelf.free_title(f"{question.method}-{stock.title.partition(' (')[0]}")
    folder = here.shelf.new_run(title)
    named = [f"--{name}={value}" for name in ("label", "normal", "split") if (value := getattr(question, name))]
    flags = flags_of(question.method, question.settings, here.shelf)
    return folder, ["fit", question.method, stock.source, f"--out={folder}", *named, *flags]


def _summary(here: Studio, run_id: str, folder: Path, titles: dict[str, str]) -> RunAnswer:
    config, lines = here.ledger.config(folder), here.ledger.lines(folder)
    last = lines[-1] if lines else {}
    losses = last.get("losses", {}).values()
    return RunAnswer(
        id=run_id, name=shown(str(folder.relative_to(here.shelf.root))), method=str(config.get("method", "?")),
        state=_state(here, folder, config), data=_data_title(config, titles), step=last.get("step", 0),
        n_steps=last.get("n_steps"), seconds=last.get("seconds", 0.0), loss=sum(losses) if losses else None,
        measures=config["learned"].get("measures", {}), when=_when(folder),
    )  # fmt: skip


def _state(here: Studio, folder: Path, config: dict[str, Any]) -> str:
    job = here.trainings.of(folder)
    return job.state if job is not None and not job.is_over else str(config.get("state", "?"))


def _titles(here: Studio) -> dict[str, str]:
    return {stock.source: stock.title for stock in here.shelf.stocks()}


def _data_title(config: dict[str, Any], titles: dict[str, str]) -> str:
    source = str(config["data"].get("data") or "")
    return titles.get(source, shown(os.path.basename(source)) or "data in memory")


def _when(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(os.stat(folder / "config.json").st_mtime))
    return ""  # it was removed just now


def _detail(here: Studio, run_id: str, folder: Path) -> RunDetail:
    config = here.ledger.config(folder)
    card, job = folder / "README.md", here.trainings.of(folder)
    about = {k: v for k, v in config["data"].items() if k != "data"}
    classes = config["learned"].get("classes")
    return RunDetail(
        **_summary(here, run_id, folder, _titles(here)).model_dump(), settings=config["settings"], about_data=about,
        classes=[str(name) for name in classes] if isinstance(classes, list) else [],
        shapes=here.ledger.shapes(folder), card=card.read_text(errors="replace") if card.is_file() else "",
        has_preview=(folder / "outputs" / "preview.png").is_file(), job=None if job is None else told_of(here, job),
    )  # fmt: skip
