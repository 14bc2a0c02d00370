"""Runs as they lie on the disk, read without torch and only when they change."""

import json
import struct
from pathlib import Path
from typing import Any

__all__ = ["Ledger", "shapes"]

MAX_LINES = 2000
MAX_HEADER = 100 << 20


class Ledger:
    """What was read of each run's folder, kept until its files change."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str], tuple[tuple[int, int], Any]] = {}

    def config(self, run: Path) -> dict[str, Any]:
        """config.json, or {} where it cannot be read."""
        told = self._read(run / "config.json", "config", _parsed)
        return told if isinstance(told, dict) else {}

    def lines(self, run: Path) -> list[dict[str, Any]]:
        """progress.jsonl line by line, torn ones left out; long ones thinned to 2,000 lines."""
        return self._read(run / "progress.jsonl", "lines", _lines) or []

    def shapes(self, run: Path) -> dict[str, list[int]]:
        """Name -> shape of each tensor that was learned."""
        return self._read(run / "model.safetensors", "shapes", shapes) or {}

    def _read(self, path: Path, what: str, read: Any) -> Any:
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if self._kept.get((path, what), (None,))[0] != stamp:
                self._kept[path, what] = (stamp, read(path))
        except (OSError, ValueError, RecursionError):
            return None
        return self._kept[path, what][1]


def _parsed(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    stride = -(-len(lines) // MAX_LINES)
    # measurements are rare, and all of them are kept
    return [line for place, line in enumerate(lines) if place % max(1, stride) == 0 or line.get("measures")]


def shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape, from the header of a safetensors file."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > min(MAX_HEADER, path.stat().st_size):
            raise ValueError(f"{path.name} is spoilt: its header is said to be longer than the file.")
        header = json.loads(file.read(size))
    return {name: told["shape"] for name, told in header.items() if name != "__metadata__"}
