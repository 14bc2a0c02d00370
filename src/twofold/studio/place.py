"""What every request may use: the shelf, the queue of trainings, the workbench, and data that are open."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict

from twofold.errors import RunError
from twofold.studio.game import Games
from twofold.studio.guard import Keys
from twofold.studio.ledger import Ledger
from twofold.studio.shelf import Shelf, Stock
from twofold.studio.trainings import Trainings
from twofold.studio.workbench import Workbench

__all__ = ["PROBLEMS", "Answer", "Here", "Problem", "Question", "Studio", "version_of"]


@dataclass
class Studio:
    """One start of the studio."""

    shelf: Shelf
    keys: Keys
    trainings: Trainings = field(default_factory=Trainings)
    workbench: Workbench = field(default_factory=Workbench)
    ledger: Ledger = field(default_factory=Ledger)
    games: Games = field(default_factory=Games)

    def items(self, stock: Stock) -> Any:
        """Pictures, sounds, a table or texts of these data, opened once; call it inside `workbench.work`."""
        from twofold.turing.items import open_items

        return self.workbench.keep(("items", *version_of(stock)), lambda: open_items(stock.source))

    def model(self, run_id: str, verb: str, method: str = "") -> Any:
        """The estimator of a run that has that verb, and is of that method; call it inside `workbench.work`."""
        from twofold.runs import with_verb

        folder = self.shelf.run(run_id)
        model = self.workbench.model(folder)
        if method and model.method != method:
            raise RunError(f"{folder.name} holds a {model.method!r} run. Give one of {method}.")
        return with_verb(model, verb, Path(folder.name))


def version_of(stock: Stock) -> tuple[str, int]:
    """What changes when the data do."""
    try:
        return stock.source, 0 if stock.kind == "sample" else os.stat(stock.source).st_mtime_ns
    except OSError:
        return stock.source, 0


async def _studio_of(request: Request) -> Studio:
    return request.app.state.studio  # type: ignore[no-any-return]


Here = Annotated[Studio, Depends(_studio_of)]


class Question(BaseModel):
    """What is sent: nothing that is not asked for, and no text where a number stands."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """What is told."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong, and what to do."""

    error: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    # as a schema: a model would be compiled anew for each status of each route, a second of the start
    status: {"description": text, "content": {"application/json": {"schema": Problem.model_json_schema()}}}
    for status, text in {
        400: "What was sent cannot be read", 401: "The key is missing", 403: "Not from here", 404: "Not there",
        405: "Not that way", 408: "Too slowly", 409: "Not now", 413: "Too large", 414: "Too long an address",
        415: "Not of a kind that is taken", 421: "Not this name", 422: "What was given cannot be used",
        431: "Too large a head", 503: "Too much at once", 507: "No room on the disk",
    }.items()
}  # fmt: skip
"""Declared by every route."""
