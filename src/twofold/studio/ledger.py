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

    def config(self, run: Path) -> dict[str, Any]:
        """config.json; {} for each of `settings`, `data` and `learned` that is not there or cannot be read."""
        return self._read(run / "config.json", "config", _config) or {part: {} for part in PARTS}

    def lines(self, run: Path) -> list[dict[str, Any]]:
        """progress.jsonl line by line, torn ones left out; long ones thinned to 2,000 lines."""
        return self._read(run / "progress.jsonl", "lines", _lines) or []

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


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_bytes().decode("utf-8", "replace").splitlines():
        try:
            line = _parsed(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and _is_whole(line.get("step")):
            lines.append(_line(line))
    stride = -(-len(lines) // MAX_LINES)
    # measurements are rare, and all of them are kept
    return [line for place, line in enumerate(lines) if place % max(1, stride) == 0 or line.get("measures")]


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
