"""twofold write, score, compress, decompress: a language model at work."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from twofold.cli.flags import parse
from twofold.cli.output import is_json, say, table
from twofold.cli.use import tell_of_training_text
from twofold.core.estimator import Estimator
from twofold.data.atomic import write_atomically
from twofold.data.text import read_bytes
from twofold.errors import RunError
from twofold.measure.sizes import general_compressors
from twofold.runs import load

__all__ = ["compress", "decompress", "score", "write"]


@dataclass(kw_only=True)
class PromptFlags:
    """Write on from a prompt."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder of a language model."""
    prompt: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PROMPT")]
    """How the text begins."""
    tokens: int = 200
    """Tokens to write."""
    temperature: float = 0.8
    """0 takes the likeliest token each time; 1 draws as the model believes; more is wilder."""
    top_p: float = 1.0
    """Only the likeliest tokens that make up this share are drawn from."""
    stop: str | None = None
    """The text ends before this one."""
    seed: int = 0
    """Start of all randomness."""


@dataclass(kw_only=True)
class TextFlags:
    """How well a language model foresees a text."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder of a language model."""
    text: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="TEXT")]
    """A text file, or a folder of them."""


@dataclass(kw_only=True)
class CompressFlags:
    """Make a file smaller, by prediction."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run folder of a language model, or - for none: the file then carries all that it needs."""
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """The file to compress."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The .tfz file to write."""


@dataclass(kw_only=True)
class DecompressFlags:
    """The file back, byte by byte."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.tfz")]
    """The compressed file."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write."""
    run: Path | None = None
    """The run it was compressed with (None: as the file remembers)."""


def write(arguments: list[str]) -> dict[str, Any]:
    """Stream a text that goes on from the prompt."""
    flags = parse(PromptFlags, "write", arguments)
    model = _language_model(flags.run)
    pieces = [flags.prompt]
    stream = sys.stderr if is_json() else sys.stdout
    print(flags.prompt, end="", file=stream, flush=True)
    how = {"temperature": flags.temperature, "top_p": flags.top_p, "stop": flags.stop, "seed": flags.seed}
    for piece in model.stream(flags.prompt, flags.tokens, **how):
        pieces.append(piece)
        print(piece, end="", file=stream, flush=True)
    print(file=stream)
    text = "".join(pieces)
    copies = model.longest_copies(text, n_passages=1)
    if copies and len(copies[0]) >= 60:
        say(f"note: {len(copies[0])} characters stand so in the training text: {copies[0][:60]!r}...")
    return {"text": text, "longest_copy": copies[0] if copies else ""}


def score(arguments: list[str]) -> dict[str, Any]:
    """Bits per byte beside general compressors, and the passages that surprised most."""
    flags = parse(TextFlags, "score", arguments)
    model = _language_model(flags.run)
    tell_of_training_text(flags.run, flags.text, model.encoding)
    measures = model.evaluate(flags.text)
    for measure in measures:
        say(str(measure))
    passages = model.surprises(flags.text)
    say("the most surprising passages:")
    table([{"bits per byte": cost, "passage": passage.replace("\n", " / ")} for cost, passage in passages])
    return {
        "measures": {measure.name: measure.to_json() for measure in measures},
        "surprises": [{"bits_per_byte": cost, "passage": passage} for cost, passage in passages],
    }


def compress(arguments: list[str]) -> dict[str, Any]:
    """Write a .tfz; its size beside gzip, bz2 and xz, with and without the model."""
    from twofold.core.packing import compress_alone

    flags = parse(CompressFlags, "compress", arguments)
    data = read_bytes(flags.file)
    if flags.run == "-":
        packed, n_model = compress_alone(data), 0
    else:
        packed = _language_model(Path(flags.run)).compress(data, run=flags.run)
        n_model = sum(path.stat().st_size for path in Path(flags.run).glob("*.safetensors"))
    write_atomically(flags.out, packed)
    bits = {"twofold": 8 * len(packed) / max(1, len(data)), **general_compressors(data)}
    if n_model:
        bits["twofold, model counted"] = 8 * (len(packed) + n_model) / max(1, len(data))
    table([{"by": name, "bits per byte": value} for name, value in bits.items()])
    say(f"{len(data)} bytes as {len(packed)} in {flags.out}")
    return {"out": str(flags.out), "original": len(data), "bytes": len(packed), "bits_per_byte": bits}


def decompress(arguments: list[str]) -> dict[str, Any]:
    """The file back; a file that was changed since is refused."""
    from twofold.core.packing import decompress_alone, run_of

    flags = parse(DecompressFlags, "decompress", arguments)
    packed = read_bytes(flags.file)
    run = run_of(packed)
    if run is None:
        data = decompress_alone(packed)
    else:
        folder = flags.run or Path(run)
        if not folder.is_dir():
            raise RunError(
                f"{flags.file} was compressed with the run {run}, which is not at {folder}. Give its folder with --run."
            )
        data = _language_model(folder).decompress(packed)
    write_atomically(flags.out, data)
    say(f"{len(data)} bytes in {flags.out}")
    return {"out": str(flags.out), "bytes": len(data)}


def _language_model(run: Path) -> Any:
    estimator: Estimator = load(run)
    if not hasattr(estimator, "stream"):
        raise RunError(
            f"{run} holds a {estimator.method!r} run, which cannot do this. Give the run of a language model."
        )
    return estimator
