"""twofold export: a run's network for programs without Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say
from twofold.data.atomic import write_atomically
from twofold.errors import SettingError
from twofold.runs import load
from twofold.runs.graphs import graph_of, write_onnx

__all__ = ["export"]


@dataclass(kw_only=True)
class ExportFlags:
    """Write a run's network as an ONNX file, and try it."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write: .onnx."""


def export(arguments: list[str]) -> dict[str, Any]:
    """Trace, write, and compare the file's answers with the run's."""
    flags = parse(ExportFlags, "export", arguments)
    if flags.out.suffix.lower() != ".onnx":
        raise SettingError(f"{flags.out} ends in {flags.out.suffix!r}; it must end in .onnx. Give such a name.")
    graph = graph_of(flags.run)
    error = write_onnx(graph, flags.out)
    say(f"{graph.about}, in {flags.out}; its answers differ from the run's by {error:.1g} at most")
    for note in graph.notes:
        say(f"note: {note}")
    return {"out": str(flags.out), "about": graph.about, "difference": error, **_tokenizer(flags)}


def _tokenizer(flags: ExportFlags) -> dict[str, str]:
    """Of a model of sub-words its tokenizer.json, as the tokenizers library reads it."""
    vocabulary = getattr(load(flags.run), "vocabulary_", None)
    if getattr(vocabulary, "kind", None) != "bpe":
        return {}
    path = flags.out.with_name("tokenizer.json")
    write_atomically(path, vocabulary.model.encode())  # type: ignore[union-attr]
    say(f"its sub-words in {path}")
    return {"tokenizer": str(path)}
