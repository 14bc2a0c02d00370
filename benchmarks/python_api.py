"""docs/python-api.md from the docstrings, so that it cannot rot: tests/test_docs.py compares the two.

Command: python benchmarks/python_api.py (--print: to stdout). Takes seconds.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from twofold.core.estimator import Estimator, settings
from twofold.methods import METHODS

__all__ = ["page"]

PAGE = Path(__file__).parents[1] / "docs" / "python-api.md"
ORDER = ("autoencoder", "denoiser", "compressor", "detector", "masked", "transfer", "gan", "language", "clip")
BESIDE = {
    "Runs": ("twofold.runs", ("load", "fit_run", "resume_run", "find_runs", "read_progress", "Source")),
    "Training": ("twofold.core.loop", ("Progress", "Plan", "train")),
    "A network that owns its loss": ("twofold.core.learner", ("Learner",)),
    "Real or fake?": ("twofold.turing.judge", ("judge", "Judgement", "compare")),
    "Trials": ("twofold.turing.trial", ("draw_trial", "Trial")),
    "Verdicts": ("twofold.turing.verdict", ("decide", "Answers", "Verdict")),
    "Search": ("twofold.core.gallery", ("Gallery",)),
    "Pictures": ("twofold.data.pictures", ("open_pictures", "Pictures", "decode_picture", "write_picture")),
    "Sounds": ("twofold.data.audio", ("open_sounds", "Sounds", "write_sound")),
    "Pictures with captions": ("twofold.data.pairs", ("open_pairs", "Pairs")),
    "Errors": ("twofold.errors", ("TwofoldError", "InputError", "DataError", "SettingError", "RunError")),
}
INTRO = """# Python

> Written from the docstrings by `python benchmarks/python_api.py`; a test compares the two.

Every method is a scikit-learn estimator, with `get_params`, `set_params` and the verbs below. All have these:

| | |
|---|---|
"""


def page() -> str:
    """The whole page."""
    shared = "\n".join(_verb(name, getattr(Estimator, name)) for name in _verbs(Estimator))
    fields = _fields([s for s in settings(Estimator)])
    chapters = "\n".join(_method(METHODS[name]) for name in [*ORDER, *(m for m in METHODS if m not in ORDER)])
    beside = "\n".join(_room(title, *where) for title, where in BESIDE.items())
    return f"{INTRO}{shared}\n\n{fields}\n{chapters}\n## Beside the methods\n\n{beside}".rstrip() + "\n"


def _method(cls: type[Estimator]) -> str:
    own = [s for s in settings(cls) if s.name not in {shared.name for shared in settings(Estimator)}]
    verbs = "\n".join(_verb(name, getattr(cls, name)) for name in _verbs(cls) if name not in _verbs(Estimator))
    return f"## {cls.__name__}\n\n{_line(cls)}\n\n| | |\n|---|---|\n{verbs}\n\n{_fields(own)}"


def _fields(own: list[Any]) -> str:
    rows = "\n".join(f"| `{s.name}` | `{s.default!r}` | {_cell(s.help)} |" for s in own)
    return f"| setting | default | |\n|---|---|---|\n{rows}\n"


def _verbs(cls: type) -> list[str]:
    """Public methods that this package defines, in the order of the file."""
    owners = [owner for owner in cls.__mro__ if owner.__module__.startswith("twofold")]
    return list(dict.fromkeys(
        name for owner in owners for name, value in vars(owner).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod))
        and name != "describe_backbone"
    ))  # fmt: skip


def _room(title: str, module: str, names: tuple[str, ...]) -> str:
    rows = "\n".join(_verb(name, getattr(import_module(module), name)) for name in names)
    return f"### {title}\n\n`from {module} import {names[0]}`\n\n| | |\n|---|---|\n{rows}\n"


def _verb(name: str, value: Any) -> str:
    try:
        given = [_shown(p) for p in inspect.signature(value).parameters.values() if p.name not in ("self", "cls")]
    except ValueError:
        given = []
    is_error = isinstance(value, type) and issubclass(value, Exception)
    return f"| `{name}{'' if is_error else '(' + ', '.join(given) + ')'}` | {_cell(_line(value))} |"


def _shown(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    has_default = parameter.default is not parameter.empty
    return f"{stars}{parameter.name}" + (f"={_value(parameter.default)}" if has_default else "")


def _value(default: Any) -> str:
    return "..." if type(default).__module__ == "dataclasses" or " at 0x" in repr(default) else repr(default)


def _line(value: Any) -> str:
    """The first sentence or line of a docstring."""
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ").strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
