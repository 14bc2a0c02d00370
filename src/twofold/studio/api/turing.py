"""Real or fake? Trials for people, their answers, and the verdict."""

import math
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import FileResponse
from pydantic import Field

from twofold.errors import SettingError
from twofold.studio.guard import Refusal
from twofold.studio.place import Answer, Here, Question, Studio

__all__ = ["routes"]

routes = APIRouter(prefix="/trials", tags=["turing"])

TrialId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
ItemName = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$")]
KINDS = {".png": "image/png", ".wav": "audio/wav", ".json": "application/json"}
MOST_MADE = {"language": 20, "compressor": 100, "masked": 100}  # while others wait
N_NOTED = 24  # items that fooled or were doubted


class TrialQuestion(Question):
    """What to ask people."""

    run: str | None = Field(default=None, max_length=16, description="id of a run that forges; or give fake_data")
    data: str = Field(max_length=64, description="id of the real data")
    fake_data: str | None = Field(default=None, max_length=64, description="id of data that are fakes; instead of run")
    n: int = Field(default=20, ge=1, le=200, description="items of each side; of pairs, how many")
    seed: int = Field(default=0, ge=0, lt=2**31)
    are_pairs: bool = Field(default=False, description="a real one and a fake side by side")
    view_milliseconds: int | None = Field(default=None, ge=50, le=60_000, description="how long each is seen")
    is_training: bool = Field(default=False, description="the truth after each answer")
    break_every: int = Field(default=0, ge=0, le=1000, description="answers between two breaks; 0: none")


class NameQuestion(Question):
    """Who judges."""

    nickname: str = Field(min_length=1, max_length=80)


class SaidQuestion(Question):
    """What was said to a question."""

    judge: str = Field(max_length=16)
    question: int = Field(ge=0, lt=2**31)
    said_fake: bool = Field(description="that it is the fake; of pairs: that the first one is")
    milliseconds: float | None = Field(default=None, ge=0, le=86_400_000, description="from sight to answer")


class JudgeAnswer(Answer):
    """A person in a trial."""

    judge: str
    nickname: str
    n_answers: int
    n_questions: int


class PersonAnswer(Answer):
    """How far somebody is."""

    nickname: str
    n_answers: int


class TrialAnswer(Answer):
    """A trial; nothing of the truth."""

    id: str
    title: str
    data: str
    what: str = Field(description="pictures, sounds, rows or texts")
    n_questions: int
    are_pairs: bool
    view_milliseconds: int | None
    is_training: bool
    break_every: int
    seed: int
    begun: float
    judges: list[PersonAnswer]
    is_ended: bool
    may_tell: bool = Field(description="whether the verdict can be seen now")
    notes: list[str]


class AskedAnswer(Answer):
    """A question: one item, or two side by side."""

    number: int
    place: int
    items: list[str]
    """Addresses, from first to last."""


class TakenAnswer(Answer):
    """An answer was taken."""

    is_new: bool = Field(description="false: there was one before, and that counts")
    n_answers: int
    is_right: bool | None = Field(description="in training only")


class NotedAnswer(Answer):
    """An item, and how people took it."""

    item: str
    n_answers: int
    n_wrong: int


class VerdictAnswer(Answer):
    """What people's answers say, and which items misled them."""

    what: str
    are_pairs: bool
    verdict: dict[str, Any]
    fooled: list[NotedAnswer] = Field(description="fakes taken for real, the best first")
    doubted: list[NotedAnswer] = Field(description="real ones taken for fakes")
    notes: list[str]


class MachineAnswer(Answer):
    """What the machine judge says of the same items."""

    judgement: dict[str, Any]


@routes.post("", status_code=201)
async def begin_trial(here: Here, question: TrialQuestion) -> TrialAnswer:
    """Make a trial: its items are drawn by the seed, made, and frozen as files of one form under random names."""
    return await here.workbench.work(_begin, here, question)


@routes.get("")
def list_trials(here: Here) -> list[TrialAnswer]:
    """All trials, the latest first."""
    from twofold.turing.records import find_studies

    return [_told(study) for study in find_studies(here.shelf.root)[:200]]


@routes.get("/{trial}")
def show_trial(here: Here, trial: TrialId) -> TrialAnswer:
    """A trial: how it is shown, and who has answered how much."""
    return _told(_study(here, trial))


@routes.delete("/{trial}", status_code=204)
def remove_trial(here: Here, trial: TrialId) -> None:
    """Take a trial off the disk, answers and all."""
    _study(here, trial).remove()


@routes.post("/{trial}/end")
def end_trial(here: Here, trial: TrialId) -> TrialAnswer:
    """No more answers; the verdict may be seen."""
    study = _study(here, trial)
    study.end()
    return _told(study)


@routes.post("/{trial}/judges")
def join_trial(here: Here, trial: TrialId, question: NameQuestion) -> JudgeAnswer:
    """Begin to judge; who comes back under the same nickname goes on where they stopped."""
    study = _study(here, trial)
    judge = study.join(question.nickname)
    return JudgeAnswer(
        judge=judge.id, nickname=judge.name, n_answers=judge.n_answers, n_questions=len(study.trial.questions)
    )


@routes.get("/{trial}/questions")
def list_questions(
    here: Here, trial: TrialId, judge: Annotated[str, Query(max_length=16)], n: Annotated[int, Query(ge=1, le=20)] = 3
) -> list[AskedAnswer]:
    """The next questions of a judge, so that what they show can be fetched before it is asked."""
    study = _study(here, trial)
    place = {question.number: place for place, question in enumerate(study.trial.questions)}
    return [
        AskedAnswer(number=asked.number, place=place[asked.number],
                    items=[_address(trial, name) for name in study.items_of(asked)])
        for asked in study.left(study.judge(judge))[:n]
    ]  # fmt: skip


@routes.post("/{trial}/answers")
def take_answer(here: Here, trial: TrialId, question: SaidQuestion) -> TakenAnswer:
    """Take an answer; it is on the disk when this returns, and counts once."""
    study = _study(here, trial)
    judge = study.judge(question.judge)
    if study.is_ended:
        raise Refusal(409, "this trial was ended: it takes no more answers.")
    seconds = None if question.milliseconds is None else question.milliseconds / 1000
    is_new = study.answer(judge, question.question, said_fake=question.said_fake, seconds=seconds)
    is_right = question.said_fake == study.is_fake(question.question)
    return TakenAnswer(
        is_new=is_new, n_answers=judge.n_answers + is_new, is_right=is_right if study.rules.is_training else None
    )


@routes.get(
    "/{trial}/items/{item}", response_class=Response,
    responses={200: {"content": {kind: {} for kind in KINDS.values()}}},
)  # fmt: skip
def fetch_item(here: Here, trial: TrialId, item: ItemName) -> FileResponse:
    """What is shown: a picture, a sound, or a row or text as JSON."""
    path = _study(here, trial).item(item)
    return FileResponse(path, media_type=KINDS[path.suffix])


@routes.get("/{trial}/verdict")
def tell_verdict(here: Here, trial: TrialId) -> VerdictAnswer:
    """What people's answers say; refused while anybody is in the middle of them, unless it is training or ended."""
    study = _open_study(here, trial)
    fooled, doubted = _noted(study)
    return VerdictAnswer(what=study.what, are_pairs=study.trial.are_pairs, verdict=_finite(study.verdict().to_json()),
                         fooled=fooled, doubted=doubted, notes=study.notes)  # fmt: skip


@routes.get("/{trial}/machine")
async def tell_machine(here: Here, trial: TrialId) -> MachineAnswer:
    """What the machine judge says of the same items: asked once, and kept; refused as the verdict is."""
    study = _open_study(here, trial)
    return MachineAnswer(judgement=_finite(study.machine(is_asked=False) or await here.workbench.work(study.machine)))


@routes.get("/{trial}/csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def export_answers(here: Here, trial: TrialId) -> Response:
    """Every answer beside the truth as CSV; refused as the verdict is."""
    study = _open_study(here, trial)
    name = {"Content-Disposition": f'attachment; filename="answers-{trial}.csv"'}
    return Response(study.csv(), media_type="text/csv; charset=utf-8", headers=name)


# ---- what is behind them -------------------------------------------------------------------------


def _study(here: Studio, trial: str) -> Any:
    from twofold.turing.records import Study

    return Study.open(here.shelf.root, trial)


def _open_study(here: Studio, trial: str) -> Any:
    study = _study(here, trial)
    if not study.may_tell:
        reason = "somebody is in the middle of it" if study.judges() else "nobody has answered yet"
        raise Refusal(409, f"the verdict is not told yet: {reason}. Wait for the end, or end the trial.")
    return study


def _begin(here: Studio, question: TrialQuestion) -> TrialAnswer:
    from twofold.runs.forgeries import begin_study
    from twofold.turing.records import Rules

    if (question.run is None) == (question.fake_data is None):
        raise SettingError("give either run, whose fakes are judged, or fake_data, the fakes themselves.")
    sides, title = _of_run(here, question) if question.run is not None else _of_data(here, question)
    rules = Rules(question.view_milliseconds, question.is_training, question.break_every)
    return _told(begin_study(
        here.shelf.root, sides, n=question.n, seed=question.seed, are_pairs=question.are_pairs, rules=rules,
        title=title, data=here.shelf.stock(question.data).title,
    ))  # fmt: skip


def _of_run(here: Studio, question: TrialQuestion) -> tuple[Any, str]:
    from twofold.runs.forgeries import sides_of_run

    folder, stock = here.shelf.run(str(question.run)), here.shelf.stock(question.data)
    model = here.workbench.model(folder)
    if question.n > (most := MOST_MADE.get(model.method, question.n)):
        raise SettingError(f"n is {question.n}; by a {model.method} run at most {most} are made here. Give {most}.")
    return sides_of_run(folder, stock.source, question.n, seed=question.seed, estimator=model), folder.name


def _of_data(here: Studio, question: TrialQuestion) -> tuple[Any, str]:
    from twofold.runs.forgeries import sides_of_data

    real, fake = here.shelf.stock(question.data), here.shelf.stock(str(question.fake_data))
    return sides_of_data(here.items(real), here.items(fake)), f"{real.title} or {fake.title}"


def _told(study: Any) -> TrialAnswer:
    people = [PersonAnswer(nickname=judge.name, n_answers=judge.n_answers) for judge in study.judges()]
    return TrialAnswer(
        id=study.id, title=study.title, data=FilePath(study.data).name, what=study.what,
        n_questions=len(study.trial.questions), are_pairs=study.trial.are_pairs,
        view_milliseconds=study.rules.view_milliseconds, is_training=study.rules.is_training,
        break_every=study.rules.break_every, seed=study.trial.seed, begun=study.begun, judges=people,
        is_ended=study.is_ended, may_tell=study.may_tell, notes=study.notes,
    )  # fmt: skip


def _address(trial: str, name: str) -> str:
    return f"/api/v1/trials/{trial}/items/{name}"


def _noted(study: Any) -> tuple[list[NotedAnswer], list[NotedAnswer]]:
    """Fakes and real ones that people were wrong about, the most misleading first; of a pair both were."""
    n_by_number: dict[int, list[int]] = {}
    for row in study.rows():
        counts = n_by_number.setdefault(int(row["item"]), [0, 0])
        counts[0] += 1
        counts[1] += row["is_fake"] != row["said_fake"]
    sides: tuple[list[NotedAnswer], list[NotedAnswer]] = ([], [])
    for asked in study.trial.questions:
        n, n_wrong = n_by_number.get(asked.number, (0, 0))
        for (is_fake, _), name in zip(asked.rows, study.items_of(asked), strict=True):
            if n_wrong:
                noted = NotedAnswer(item=_address(study.id, name), n_answers=n, n_wrong=n_wrong)
                sides[not is_fake].append(noted)
    fooled, doubted = (sorted(side, key=lambda noted: -noted.n_wrong / noted.n_answers) for side in sides)
    return fooled[:N_NOTED], doubted[:N_NOTED]


def _finite(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
