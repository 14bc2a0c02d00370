"""A run is a folder: config.json, model.safetensors, README.md, progress.jsonl, checkpoint/, outputs/."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import Any

from twofold import __version__
from twofold.core.checkpoint import locked
from twofold.core.distributed import is_main
from twofold.core.estimator import CONFIG, FORMAT, Estimator, read_config
from twofold.core.loop import CHECKPOINT, Progress
from twofold.core.material import Material, Source, label_text, text_fingerprint
from twofold.data.atomic import append_line, write_atomically
from twofold.errors import RunError, TwofoldError
from twofold.measure.report import Measure
from twofold.methods import METHODS

__all__ = [
    "Material", "Source", "find_runs", "fit_run", "label_text", "load", "read_progress", "resume_run",
    "text_fingerprint", "training_material", "with_verb", "write_card",
]  # fmt: skip


def load(folder: str | Path) -> Estimator:
    """The fitted estimator of any run folder.

    Raises
    ------
    RunError
        When the folder is no run, is unfinished, is spoilt, or was made by a method that this version lacks.
    """
    folder = Path(folder)
    config = _known_config(folder)
    if config.get("state") == "training":
        raise RunError(f"{folder} is unfinished. Finish it with: twofold resume {folder}")
    return METHODS[config["method"]].load(folder)


def with_verb(estimator: Estimator, verb: str, run: Path) -> Any:
    """The estimator, if it has that verb; else the error names the run."""
    if not hasattr(estimator, verb):
        raise RunError(f"{run} holds a {estimator.method!r} run, which has no {verb}. Give a run of a method that has.")
    return estimator


def training_material(estimator: Estimator, folder: str | Path) -> Material | None:
    """What a run learned from, where it still lies there unchanged; else None."""
    data = read_config(Path(folder)).get("data") or {}
    if data.get("data") is None:
        return None
    try:
        material = Material.of(estimator, Source.of(data))
    except (TwofoldError, OSError):
        return None
    return material if material.fingerprint == data.get("fingerprint") else None


def fit_run(estimator: Estimator, source: Source, folder: str | Path) -> Iterator[Progress]:
    """Train in a new run folder, one Progress a step; a generator that is closed early leaves a usable run too."""
    folder = Path(folder)
    if (folder / CONFIG).exists():
        state = read_config(folder).get("state")
        if state == "training":
            with locked(folder):  # refused with its pid when a process is at it
                pass
        remedy = "Give another --out, or remove it." if state == "finished" else f"Go on with: twofold resume {folder}"
        raise RunError(f"{folder} already holds a run ({state}). {remedy}")
    yield from _train_in(estimator, source, Material.of(estimator, source), folder)


def resume_run(folder: str | Path) -> Iterator[Progress]:
    """Go on with a run that was stopped or killed, to the bits it would have reached."""
    folder = Path(folder)
    config = _known_config(folder)
    if config.get("state") == "finished":
        raise RunError(f"{folder} is finished; there is nothing to resume. Train a longer one into another folder.")
    data = config.get("data", {})
    source = Source.of(data)
    estimator = METHODS[config["method"]].from_settings(config["settings"])
    material = Material.of(estimator, source)
    if material.fingerprint != data.get("fingerprint"):
        raise RunError(
            f"{source.data} has changed since {folder} began. "
            "Put the old data back, or begin a new run with: twofold fit"
        )
    yield from _train_in(estimator, source, material, folder)


def _train_in(estimator: Estimator, source: Source, material: "Material", folder: Path) -> Iterator[Progress]:
    data = {**asdict(source), "fingerprint": material.fingerprint, material.unit: material.size}
    data["normal"] = source.normal or material.only_label
    with locked(folder) if is_main() else nullcontext():
        if is_main() and not (folder / CONFIG).exists():
            # of a run that was killed before it had a name
            (folder / "checkpoint" / CHECKPOINT).unlink(missing_ok=True)
        journal = _Journal(folder / "progress.jsonl")
        # labels only to those that learn from them; others read them off the pictures, or do without
        y = material.y if getattr(estimator, "learns_labels", False) else None
        training = estimator.train(material.X, y, folder=folder / "checkpoint")
        state = "stopped"
        try:
            for progress in training:
                if not journal.is_open:
                    _write_begun(estimator, data, folder)
                journal.write(progress)
                yield progress
            state = "finished"
        finally:
            # an early close still ends in a usable, saved model
            training.close()  # type: ignore[attr-defined]
            if is_main() and hasattr(estimator, "n_iter_"):
                # config.json is the last: it says that all is there
                write_card(estimator, folder, data)
                estimator.save(folder, data=data, state=state)


def _write_begun(estimator: Estimator, data: dict[str, Any], folder: Path) -> None:
    if not is_main():
        return
    config = {
        "method": estimator.method, "twofold": __version__, "format": FORMAT, "state": "training",
        "settings": estimator.get_params(deep=False), "data": data,
    }  # fmt: skip
    write_atomically(folder / CONFIG, json.dumps(config, indent=1, default=str).encode())


class _Journal:
    """progress.jsonl: a line for some steps, the same lines whether a run was killed in between or not."""

    def __init__(self, path: Path):
        self.path = path
        self.is_open = False

    def write(self, progress: Progress) -> None:
        if not self.is_open:
            self.is_open = True
            self.drop_from(progress.step)
        stride = max(1, (progress.n_steps or 10_000) // 1000)
        if is_main() and (progress.measures or progress.note or progress.step % stride == 0):
            line = {k: getattr(progress, k) for k in ("step", "n_steps", "seconds", "losses", "measures", "note")}
            append_line(self.path, json.dumps(_with_nulls(line)))

    def drop_from(self, step: int) -> None:
        """Forget lines that a killed session wrote after its last checkpoint, and a torn last one."""
        if not is_main():
            return
        # up to the first later one: behind it an earlier step may stand, gone back to
        kept = list(takewhile(lambda line: line["step"] < step, read_progress(self.path)))
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def read_progress(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a progress.jsonl; none when there is no file."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # torn by a kill
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def find_runs(folder: str | Path) -> list[dict[str, Any]]:
    """What each run below `folder` is: name, method, state, data, steps and loss so far, measures; newest first."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder. Give the one that holds your runs.")
    # what lies in a hidden folder is no run of the user's, whatever it is called
    paths = [p for p in folder.rglob(CONFIG) if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    found = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    return [summary for path in found if (summary := _summary(path.parent, folder))]


def _summary(run: Path, root: Path) -> dict[str, Any] | None:
    try:
        config = read_config(run)
    except RunError:
        return None
    lines = read_progress(run / "progress.jsonl")
    last = lines[-1] if lines else {}
    learned = config.get("learned") or {}
    return {
        "run": str(run.relative_to(root)) if run != root else str(run),
        "method": config["method"],
        "state": config.get("state", "?"),
        "data": (config.get("data") or {}).get("data"),
        "steps": last.get("step", 0),
        "loss": sum(loss or 0.0 for loss in last["losses"].values()) if last.get("losses") else None,
        "measures": learned.get("measures", {}),
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime((run / CONFIG).stat().st_mtime)),
    }


def _with_nulls(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, dict):
        return {name: _with_nulls(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _known_config(folder: Path) -> dict[str, Any]:
    config = read_config(folder)
    if config["method"] not in METHODS:
        raise RunError(
            f"{folder} was made by {config['method']!r}, which this version lacks. It has: {', '.join(METHODS)}."
        )
    return config


# ---- the model card ------------------------------------------------------------------------------


def write_card(estimator: Estimator, folder: Path, data: dict[str, Any], measures: list[Measure] | None = None) -> None:
    """README.md: what was learned from what, how well beside baselines, how to use it."""
    rows = [f"- {name}: {value:.4g}" for name, value in getattr(estimator, "measures_", {}).items()]
    rows += [f"- {measure}" for measure in measures or []]
    defaults = type(estimator)().get_params()
    changed = {k: v for k, v in estimator.get_params().items() if v != defaults[k]}
    name = type(estimator).__name__
    write_atomically(folder / "README.md", _CARD.format(
        name=name, method=estimator.method, version=__version__, folder=folder.name, data=data.get("data"),
        size=_size_sentence(data), fingerprint=str(data.get("fingerprint"))[:16],
        changed=changed or "all defaults", about=(type(estimator).__doc__ or name).strip().splitlines()[0],
        measures="\n".join(rows) or "- none were taken",
    ).encode())  # fmt: skip


def _size_sentence(data: dict[str, Any]) -> str:
    if "n_characters" in data:
        return f"a text of {data['n_characters']} characters"
    if "n_pairs" in data:
        return f"{data['n_pairs']} captions of pictures"
    if "n_lines" in data:
        return f"{data['n_lines']} texts, one a line"
    if "n_sounds" in data:
        return f"{data['n_sounds']} sounds"
    if "n_pictures" in data:
        normal = data.get("normal")
        return f"{data['n_pictures']} pictures" + (f", only those labelled {normal}" if normal is not None else "")
    if data.get("label") is None:
        return f"{data.get('n_rows')} rows, no label column"
    normal = data.get("normal")
    chosen = f", only rows where it is {normal}" if normal is not None else ""
    return f"{data.get('n_rows')} rows, label column `{data['label']}` left out{chosen}"


_CARD = """---
library_name: twofold
tags: [twofold, {method}]
---
# {folder}

{about}

**Data.** {data}: {size} (fingerprint {fingerprint}).
**Settings.** {changed}. twofold {version}.

## Measures
{measures}

## Use
```python
import twofold

model = twofold.load("{folder}")  # {name}
```
`config.json` holds every setting, `model.safetensors` the weights. Loading runs no code.
"""
