"""twofold check, runs, show: what is there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say, table

__all__ = ["check", "runs", "show"]


@dataclass(kw_only=True)
class CheckFlags:
    """What the data are, and what is wrong with them."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """A path, or sample:NAME."""


@dataclass(kw_only=True)
class RunsFlags:
    """The runs in a folder, newest first."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """The folder that holds run folders."""


@dataclass(kw_only=True)
class ShowFlags:
    """One run: settings, data, measures, progress."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""


def check(arguments: list[str]) -> dict[str, Any]:
    """What each column is taken for, with remarks; every picture or sound that cannot be read."""
    from twofold.data import open_table
    from twofold.data.audio import holds_sounds
    from twofold.data.columns import Columns
    from twofold.data.pictures import holds_pictures
    from twofold.data.tables import table_notes
    from twofold.data.text import is_text

    flags = parse(CheckFlags, "check", arguments)
    if holds_pictures(flags.data):
        return _check_pictures(flags.data)
    if holds_sounds(flags.data):
        return _check_sounds(flags.data)
    if is_text(flags.data):
        return _check_text(flags.data)
    rows = open_table(flags.data)
    say(f"{flags.data}: {rows.num_rows} rows, {rows.num_columns} columns")
    for note in table_notes(rows):
        say(f"note: {note}")
    description = Columns.learn(rows).describe()
    table(description)
    return {"data": flags.data, "rows": rows.num_rows, "notes": table_notes(rows), "columns": description}


def _check_sounds(data: str) -> dict[str, Any]:
    from twofold.data.audio import open_sounds
    from twofold.data.names import shown

    sounds = open_sounds(data, split="all")
    seconds_N = sounds.seconds_N
    facts = {
        "sounds": len(sounds), "samples a second": sounds.rate,
        "seconds each": f"{seconds_N.min():.3g} to {seconds_N.max():.3g}",
        "minutes together": float(seconds_N.sum()) / 60,
        "duplicates": len(sounds) - len({digest.tobytes() for digest in sounds.digest_N16}),
        "columns beside": None if sounds.table is None else ", ".join(sounds.table.column_names),
        "cannot be read": len(sounds.bad),
    }  # fmt: skip
    say(f"{shown(data)}: sounds")
    return {"data": data, **_told(sounds, facts, "sounds")}


def _told(items: Any, facts: dict[str, Any], what: str) -> dict[str, Any]:
    """Say the notes, the facts, how many there are of each class, and every bad file."""
    from collections import Counter

    for note in items.notes:
        say(f"note: {note}")
    table([{"what": name, "value": value} for name, value in facts.items() if value is not None])
    classes = Counter([] if items.labels is None else items.labels.tolist())
    if classes:
        table([{"class": name, what: n} for name, n in classes.items()])
    for name, reason in items.bad:
        say(f"bad: {name} {reason}")
    bad = [{"name": name, "reason": reason} for name, reason in items.bad]
    return {
        "notes": items.notes, **facts, "classes": dict(classes), "bad": bad, "fingerprint": items.fingerprint,
    }  # fmt: skip


def _check_pictures(data: str) -> dict[str, Any]:
    from twofold.data.names import shown
    from twofold.data.pictures import open_pictures

    pictures = open_pictures(data, split="all")
    height_N, width_N = pictures.size_N2.T
    facts = {
        "pictures": len(pictures), "channels": "3 (colour)" if pictures.channels == 3 else "1 (grey)",
        "height": _span(height_N), "width": _span(width_N), "duplicates": pictures.n_duplicates,
        "columns beside": None if pictures.table is None else ", ".join(pictures.table.column_names),
        "cannot be read": len(pictures.bad),
    }  # fmt: skip
    say(f"{shown(data)}: pictures")
    return {"data": data, **_told(pictures, facts, "pictures"), "channels": pictures.channels}


def _span(n_N: Any) -> str:
    """From the least to the most."""
    low, high = int(n_N.min()), int(n_N.max())
    return str(low) if low == high else f"{low} to {high}"


def _check_text(data: str) -> dict[str, Any]:
    from twofold.data.text import Vocabulary, read_text

    text = read_text(data)
    vocabulary = Vocabulary.learn(text)
    facts = {
        "characters": len(text), "distinct characters": len(set(text)), "lines": text.count("\n") + 1,
        "words": len(text.split()), "tokens would be": f"{vocabulary.kind}, {vocabulary.size} of them",
    }  # fmt: skip
    say(f"{data}: a text")
    table([{"what": name, "value": value} for name, value in facts.items()])
    return {"data": data, **facts}


def runs(arguments: list[str]) -> dict[str, Any]:
    """The runs in a folder."""
    from twofold.runs import find_runs

    flags = parse(RunsFlags, "runs", arguments)
    found = find_runs(flags.folder)
    if not found:
        say(f"no runs in {flags.folder}. Make one with: twofold fit METHOD DATA --out {flags.folder}/NAME")
    else:
        table([{k: v for k, v in run.items() if k != "measures"} for run in found])
    return {"runs": found}


def show(arguments: list[str]) -> dict[str, Any]:
    """One run."""
    from twofold.core.estimator import read_config
    from twofold.runs import read_progress

    flags = parse(ShowFlags, "show", arguments)
    config = read_config(flags.run)
    lines = read_progress(flags.run / "progress.jsonl")
    learned = config.get("learned") or {}
    say(f"{flags.run}: {config['method']}, {config.get('state')}, twofold {config.get('twofold')}")
    say(f"data: {json.dumps(config.get('data'))}")
    table([{"setting": name, "value": value} for name, value in config["settings"].items()])
    for name, value in learned.get("measures", {}).items():
        say(f"{name}: {value:.4g}")
    if lines:
        say("")
        table([{"step": line["step"], "seconds": line["seconds"], **line["losses"]} for line in _some(lines)])
    return {
        "run": str(flags.run),
        "config": {key: value for key, value in config.items() if key != "learned"},
        "measures": learned.get("measures", {}),
        "progress": lines[-1] if lines else None,
    }


def _some(lines: list[dict[str, Any]], n_shown: int = 10) -> list[dict[str, Any]]:
    """About ten lines, evenly chosen, with the last."""
    return lines[:: max(1, len(lines) // n_shown)][:-1] + lines[-1:]
