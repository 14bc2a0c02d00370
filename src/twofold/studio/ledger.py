"""Runs as they lie on the disk, read without torch and only when they change.

A run may come from a stranger, and a disk may be torn: whatever stands in its files, what is told has the right kinds.
"""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["Ledger", "shapes"]

MAX_LINES = 2000
MAX_HEADER = 100 << 20
PARTS = ("settings", "data", "learned")


class Ledger:
    """What was read of each run's folder, kept until its files change."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str], tuple[tuple[int, int], Any]] = {}
        self._logs: dict[Path, _Log] = {}

    def config(self, run: Path) -> dict[str, Any]:
        """config.json; {} for each of `settings`, `data` and `learned` that is not there or cannot be read."""
        return self._read(run / "config.json", "config", _config) or {part: {} for part in PARTS}

    def lines(self, run: Path) -> list[dict[str, Any]]:
        """progress.jsonl line by line, torn ones left out; long ones thinned to some 2,000 lines."""
        log = self._logs.setdefault(run, _Log())
        return self._read(run / "progress.jsonl", "lines", log.read) or []

    def shapes(self, run: Path) -> dict[str, list[int]]:
        """Name -> shape of each tensor that was learned."""
        return self._read(run / "model.safetensors", "shapes", shapes) or {}

    def _read(self, path: Path, what: str, read: Any) -> Any:
        try:
            stat = os.stat(path)
            stamp = (stat.st_mtime_ns, stat.st_size)
            if self._kept.get((path, what), (None,))[0] != stamp:
                self._kept[path, what] = (stamp, read(path))
        except (OSError, ValueError, RecursionError):
            return None
        return self._kept[path, what][1]


def shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape, from the header of a safetensors file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(MAX_HEADER, path.stat().st_size):
            raise ValueError(f"{path.name} is spoilt: its header is said to be longer than the file.")
        header = _parsed(file.read(size))
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is spoilt: its header is no object.")
    told = {name: tensor.get("shape") for name, tensor in header.items() if isinstance(tensor, dict)}
    return {name: shape for name, shape in told.items() if isinstance(shape, list) and all(map(_is_whole, shape))}


def _config(path: Path) -> dict[str, Any]:
    told = _parsed(path.read_bytes())
    told = told if isinstance(told, dict) else {}
    parts = {part: told.get(part) for part in PARTS}
    config = told | {part: value if isinstance(value, dict) else {} for part, value in parts.items()}
    measures = config["learned"].get("measures")
    numbers = {name: _number(value) for name, value in measures.items()} if isinstance(measures, dict) else {}
    return config | {"learned": config["learned"] | {"measures": numbers}}


class _Log:
    """A file that grows line by line: only what is new is read, and of many lines some are kept."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.end = b""  # the bytes before that place: other ones there mean another file
        self.n_lines = 0
        self.stride = 1
        self.kept: list[dict[str, Any]] = []
        self.last: dict[str, Any] | None = None

    def read(self, path: Path) -> list[dict[str, Any]]:
        """The lines so far; the last one is always among them."""
        with path.open("rb") as file:
            file.seek(self.n_bytes - len(self.end))
            if file.read(len(self.end)) != self.end:
                self.__init__()  # type: ignore[misc]
                file.seek(0)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.n_bytes += len(whole) + len(newline)
        self.end = (self.end + whole + newline)[-64:]
        for text in whole.split(b"\n"):
            self._take(text)
        is_kept = not self.kept or self.kept[-1] is self.last
        return list(self.kept) if is_kept or self.last is None else [*self.kept, self.last]

    def _take(self, text: bytes) -> None:
        try:
            line = _parsed(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return
        if not isinstance(line, dict) or not _is_whole(line.get("step")):
            return
        self.last = _line(line)
        # measurements are rare, and all of them are kept
        if self.n_lines % self.stride == 0 or line.get("measures"):
            self.kept.append(self.last)
        self.n_lines += 1
        if len(self.kept) > 2 * MAX_LINES:
            self.stride *= 2
            self.kept = [line for place, line in enumerate(self.kept) if place % 2 == 0 or line.get("measures")]


def _line(line: dict[str, Any]) -> dict[str, Any]:
    """The same with numbers where numbers belong."""
    losses = line.get("losses")
    numbers = {name: _number(loss) for name, loss in losses.items()} if isinstance(losses, dict) else {}
    n_steps = line.get("n_steps")
    return line | {
        "losses": {name: loss for name, loss in numbers.items() if loss is not None},
        "n_steps": n_steps if _is_whole(n_steps) else None, "seconds": _number(line.get("seconds")) or 0.0,
    }  # fmt: skip


def _parsed(text: str | bytes) -> Any:
    """JSON, with null for what is no number: browsers know no NaN."""
    return json.loads(text, parse_constant=lambda _: None)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if is_number else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
