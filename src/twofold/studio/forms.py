"""Forms and flags from one declaration: the fields of a method's dataclass."""

import re
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from twofold.core.estimator import Estimator, Setting, settings
from twofold.errors import SettingError
from twofold.methods import METHODS
from twofold.studio.shelf import Shelf

__all__ = ["Field", "flags_of", "form_of", "summary_of"]

# what the studio decides itself, or what no page needs
HIDDEN = {"device", "shard_above", "kinds", "missing", "image", "encoding"}
# fields that may name another run, whose encoder is then lent
LENDERS = {"transfer": "backbone", "clip": "image_tower", "detector": "features"}
CHOICES = {
    ("transfer", "mode"): ("auto", "frozen", "finetune"),
    ("clip", "text_tower"): ("auto", "bag", "transformer"),
    ("gan", "loss"): ("auto", "relativistic", "nonsaturating", "dcgan"),
    ("language", "tokenizer"): ("auto", "byte", "character", "bpe"),
    **{(method, "precision"): ("auto", "float32", "bfloat16") for method in METHODS},
}
FLAGS = {"n_steps": "steps"}
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,: -]{0,200}")


@dataclass(frozen=True)
class Field:
    """One line of a form."""

    name: str
    kind: str
    """whole, number, text, yes_no, choice or run."""
    default: Any
    help: str
    is_optional: bool
    is_shared: bool
    """Whether all methods have it."""
    choices: tuple[str, ...] = ()


def form_of(method: str) -> list[Field]:
    """The lines of a method's form, its own fields first."""
    return [_field(method, setting) for setting in settings(METHODS[method]) if setting.name not in HIDDEN]


def flags_of(method: str, values: dict[str, Any], shelf: Shelf) -> list[str]:
    """What was filled in, as flags of `twofold fit`; what cannot be is refused by name.

    Raises
    ------
    SettingError
        For a field that is not in the form, or a value that is not of its kind.
    """
    lines = {line.name: line for line in form_of(method)}
    flags = []
    for name, value in values.items():
        if name not in lines:
            raise SettingError(f"{method} has no field {name[:60]!r} here. Allowed: {', '.join(lines)}.")
        if value is not None and value != "":
            # one argument, so that no value can be taken for a flag
            flags.append(f"--{FLAGS.get(name, name).replace('_', '-')}={_text(lines[name], value, shelf)}")
    return flags


def _field(method: str, setting: Setting) -> Field:
    options = [kind for kind in get_args(setting.type) if kind is not type(None)]
    is_union = get_origin(setting.type) in (Union, types.UnionType)
    kind = options[0] if is_union else setting.type
    is_shared = setting.name in Estimator.__dataclass_fields__
    choices = CHOICES.get((method, setting.name), ())
    name = {int: "whole", float: "number", bool: "yes_no"}.get(kind, "text")
    if choices:
        name = "choice"
    if LENDERS.get(method) == setting.name:
        name = "run"
    is_optional = is_union and type(None) in get_args(setting.type)
    return Field(setting.name, name, setting.default, setting.help, is_optional, is_shared, choices)


def _text(line: Field, value: Any, shelf: Shelf) -> str:
    """A value as a flag says it."""
    if line.kind == "yes_no" and isinstance(value, bool):
        return str(value)
    if line.kind == "whole" and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if line.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    if line.kind == "choice" and value in line.choices:
        return str(value)
    if line.kind == "run" and isinstance(value, str):
        return str(shelf.run(value.removeprefix("run:"))) if value.startswith("run:") else _name(line, value)
    if line.kind == "text" and isinstance(value, str):
        return _plain(line, value)
    allowed = {"yes_no": "true or false", "whole": "a whole number", "number": "a number",
               "choice": ", ".join(line.choices), "run": "run:NAME, or a name"}.get(line.kind, "text")  # fmt: skip
    raise SettingError(f"{line.name} is {str(value)[:60]!r}. Allowed: {allowed}.")


def _name(line: Field, value: str) -> str:
    """A network's name; a file that lies where the studio was started is none."""
    if Path(value).exists():
        raise SettingError(f"{line.name} is {value[:60]!r}, a file. Files can be given on the command line.")
    return _plain(line, value)


def _plain(line: Field, value: str) -> str:
    # a path would reach outside of the runs folder
    if not PLAIN.fullmatch(value) or "://" in value or ".." in value:
        raise SettingError(
            f"{line.name} is {value[:60]!r}. Allowed here: letters, digits and . , : _ - and spaces; "
            "a path can be given on the command line."
        )
    return value


def summary_of(cls: type[Estimator]) -> str:
    """A method in one line."""
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0]
