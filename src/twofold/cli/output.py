"""What commands say and how they end: text for people or one JSON object for scripts, and the exit code."""

import json
import math
import sys
import traceback
from collections.abc import Callable
from typing import Any

from twofold.data.atomic import NO_ROOM
from twofold.errors import DiskFullError, InputError, TwofoldError

__all__ = ["fail", "is_json", "run", "say", "table"]

WRONG_PATH = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

_as_json = False


def run(command: Callable[[list[str]], dict[str, Any] | None], arguments: list[str]) -> int:
    """Run a command that returns its result as a JSON-able object, or None to tell nothing; its exit code."""
    global _as_json
    _as_json = "--json" in arguments
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument not in ("--json", "--debug")]
    try:
        result = command(arguments)
    except SystemExit as end:  # the parser's: help, or flags it does not know
        code = int(end.code or 0) if not isinstance(end.code, str) else 2
        wrong = {"error": "wrong usage: what is wrong stands on stderr, what is right in --help"}
        return _end(wrong if code else {}, code)
    except KeyboardInterrupt:
        return fail("stopped by the keyboard", 130)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return fail(_message(error), _code(error))
    return 0 if result is None else _end(result, 0)


def _code(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return 3
    return 2 if isinstance(error, (InputError, *WRONG_PATH)) else 1


def _message(error: Exception) -> str:
    if isinstance(error, DiskFullError):
        return str(error.strerror)
    if isinstance(error, TwofoldError) or _code(error) == 2:
        return str(error)
    return f"{type(error).__name__}: {error}. If this is our fault, run it again with --debug and send us the trace."


def fail(message: str, code: int) -> int:
    """Tell what went wrong on stderr (and as JSON when asked); the exit code."""
    print(f"twofold: {message}", file=sys.stderr)
    return _end({"error": message}, code)


def _end(result: dict[str, Any], code: int) -> int:
    if _as_json:
        print(json.dumps(_finite({**result, "exit": code}), default=str), flush=True)
    return code


def _finite(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def is_json() -> bool:
    """Whether a script reads stdout: people are then told on stderr."""
    return _as_json


def say(text: str = "") -> None:
    """A line for people: stdout, or stderr when stdout is a script's."""
    print(text, file=sys.stderr if _as_json else sys.stdout, flush=True)


def table(rows: list[dict[str, Any]]) -> None:
    """Rows of one shape as an aligned table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(_short(value)) for value in row.values()))
    Console(file=sys.stderr if _as_json else sys.stdout, soft_wrap=False).print(grid)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
