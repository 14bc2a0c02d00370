"""Flags from dataclasses: a command's own, and the fields of the method it trains."""

from collections.abc import Mapping
from dataclasses import field, fields, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import tyro

if TYPE_CHECKING:
    from twofold.core.estimator import Estimator

__all__ = ["parse", "parse_with_settings"]

Flags = TypeVar("Flags")

# names on the command line that differ from the field's
FLAG_NAMES = {"n_steps": "steps"}


def parse(command: type[Flags], name: str, arguments: list[str]) -> Flags:
    """The command's flags."""
    arguments = _spelt_out({f.name: f.type for f in fields(command)}, arguments)  # type: ignore[arg-type]
    return tyro.cli(command, prog=f"twofold {name}", args=arguments, config=(tyro.conf.FlagConversionOff,))


def parse_with_settings(
    command: type[Flags], method: "type[Estimator]", name: str, arguments: list[str]
) -> "tuple[Flags, Estimator]":
    """The command's flags, and the method with the fields that were given."""
    from twofold.core.estimator import settings  # imports torch, which twofold check can do without

    own = [
        (s.name, Annotated[s.type, tyro.conf.arg(name=FLAG_NAMES.get(s.name, s.name), help=s.help)], _field(s.default))
        for s in settings(method)
    ]
    both = make_dataclass("Flags", own, bases=(command,), kw_only=True)
    both.__doc__ = (method.__doc__ or "").strip().splitlines()[0]
    arguments = _spelt_out({f.name: f.type for f in fields(both)}, arguments)
    values = tyro.cli(both, prog=f"twofold {name}", args=arguments, config=(tyro.conf.FlagConversionOff,))
    mine = {f.name: getattr(values, f.name) for f in fields(command)}  # type: ignore[arg-type]
    return command(**mine), method(**{s.name: getattr(values, s.name) for s in settings(method)})


def _spelt_out(types: Mapping[str, Any], arguments: list[str]) -> list[str]:
    """A flag that is true or false means true where it stands alone."""
    truths = {f"--{name.replace('_', '-')}" for name, type_ in types.items() if _is_truth(type_)}
    spelt = []
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        spelt += [word, "True"] if word in truths and following not in ("True", "False", "None") else [word]
    return spelt


def _is_truth(type_: Any) -> bool:
    """bool, or bool and None; also where it is annotated."""
    kinds = get_args(type_)
    return (
        type_ is bool
        or (bool in kinds and set(kinds) <= {bool, type(None)})
        or (hasattr(type_, "__metadata__") and _is_truth(kinds[0]))
    )


def _field(default: Any) -> Any:
    return field(default_factory=lambda: default) if isinstance(default, Mapping | list) else field(default=default)
