"""twofold write, score: a language model at work."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from twofold.cli.flags import parse
from twofold.cli.output import is_json, say, table
from twofold.cli.use import tell_of_training_text
from twofold.core.estimator import Estimator
from twofold.errors import RunError
from twofold.runs import load

__all__ = ["score", "write"]


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


def _language_model(run: Path) -> Any:
    estimator: Estimator = load(run)
    if not hasattr(estimator, "stream"):
        raise RunError(
            f"{run} holds a {estimator.method!r} run, which cannot do this. Give the run of a language model."
        )
    return estimator
