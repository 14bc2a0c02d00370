"""Results of benchmarks: one JSON file each, from which docs/benchmarks.md is made."""

import json
import platform
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SHARED = HERE.parents[1] / "shared" / "data"


def record(
    name: str, *, claim: str, figures: list[dict[str, Any]], rows: list[dict[str, Any]] | None = None,
    script: str | None = None,
) -> None:  # fmt: skip
    """Write benchmarks/results/NAME.json.

    `figures` are the claims: {"figure", "value", "must", "aim"}; `rows` the table behind them.
    """
    import sklearn
    import torch

    RESULTS.mkdir(exist_ok=True)
    result = {
        "name": name, "claim": claim, "command": f"python benchmarks/{script or name}.py",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}",
        "figures": figures, "rows": rows or [],
    }  # fmt: skip
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    for figure in figures:
        print(figure)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores, {names[0]}" if names else platform.processor()


_HEAD = """# Benchmarks

Made by `python benchmarks/record.py` from benchmarks/results/. Peers ran in the same process batch, on the same data
and machine. Ratios are what to quote; single times depend on the machine.
"""


def page() -> str:
    """docs/benchmarks.md from the results."""
    parts = [_HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        parts += [f"## {result['name']}", "", result["claim"], ""]
        parts += [f"`{result['command']}` - {result['date']}, {result['machine']}", "", *_table(result["figures"]), ""]
        if result["rows"]:
            parts += [
                "<details><summary>the table behind it</summary>",
                "",
                *_table(result["rows"]),
                "",
                "</details>",
                "",
            ]
    return "\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return lines + ["| " + " | ".join(_text(row.get(name)) for name in names) + " |" for row in rows]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


if __name__ == "__main__":
    (HERE.parent / "docs" / "benchmarks.md").write_text(page())
