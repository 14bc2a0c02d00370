"""The methods, and the form of each."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from twofold.studio.place import Answer, Here

__all__ = ["routes"]

routes = APIRouter(prefix="/methods", tags=["methods"])


class FieldAnswer(Answer):
    """A line of a form."""

    name: str
    kind: str
    default: Any
    help: str
    is_optional: bool
    is_shared: bool
    choices: list[str]


class MethodAnswer(Answer):
    """A method."""

    name: str
    about: str
    reads: list[str] = Field(description="table, pictures, sounds, text, texts or pairs")
    learns_labels: bool
    fields: list[FieldAnswer]


@routes.get("")
async def list_methods(here: Here) -> list[MethodAnswer]:
    """Every method, with the fields that its form shows."""
    return await here.workbench.work(_methods)


def _methods() -> list[MethodAnswer]:
    from twofold.methods import METHODS
    from twofold.studio.forms import form_of, summary_of

    return [
        MethodAnswer(
            name=name, about=summary_of(cls), reads=list(cls.reads),
            learns_labels=bool(getattr(cls, "learns_labels", False)),
            fields=[FieldAnswer(**(asdict(line) | {"choices": list(line.choices)})) for line in form_of(name)],
        )
        for name, cls in METHODS.items()
    ]  # fmt: skip
