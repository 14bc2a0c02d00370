"""The command line. Top-level help comes from the names below, so that it costs no import of torch or scikit-learn."""

import sys
from contextlib import suppress
from importlib import import_module

from twofold import __version__
from twofold.errors import SettingError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "tour": ("tour", "[--out DIR]", "every chapter on the built-in samples, beside baselines; writes report.html"),
    "check": ("look", "DATA", "what the data are; every bad column or row by name, with the remedy"),
    "fit": ("fit", "METHOD DATA --out RUN", "train a method; which there are: twofold fit --help"),
    "resume": ("fit", "RUN", "go on after a stop or a crash, bit-exact"),
    "evaluate": ("use", "RUN DATA [--label COL]", "the method's measures, with baselines and intervals"),
    "embed": ("use", "RUN DATA -o OUT.parquet", "the latent of each row"),
    "predict": ("predict", "RUN DATA -o OUT.csv", "the class of each picture, and a probability for each class"),
    "detect": ("use", "RUN DATA -o OUT.csv", "an anomaly score, p-value, verdict and reason for each row"),
    "sample": ("sample", "RUN -n 64 -o OUT", "new pictures, rows, sounds or texts by a generator; --class of one kind"),
    "inpaint": ("inpaint", "RUN IN -o OUT --mask M", "what is hidden painted; or --ratio 0.5"),
    "denoise": ("denoise", "RUN|--self IN -o OUT", "pictures without their noise; --self: by themselves"),
    "write": ("text", "RUN PROMPT", "go on from a prompt, as a language model believes"),
    "score": ("text", "RUN TEXT", "bits per byte beside gzip, bz2, xz; the most surprising passages"),
    "compress": ("pack", "RUN|- IN -o FILE.tfz", "a picture or any file smaller; - for no model"),
    "decompress": ("pack", "FILE.tfz -o OUT", "the file back"),
    "index": ("search", "RUN DIR -o INDEX", "make a folder of pictures searchable; again: bring it up to date"),
    "search": ("search", 'INDEX "TEXT" -k 10', "pictures by words, --like PICTURE, --plus, --minus; or: nothing fits"),
    "turing": ("turing", "RUN|REAL DATA|FAKE", "real or fake? what a machine can tell, and what it goes by"),
    "describe": ("describe", "RUN PICTURE...", "a caption for each picture, as a clip run learned to write them"),
    "classify": ("describe", "RUN PICTURE... --labels A,B", "which of these labels fits, without training on them"),
    "export": ("export", "RUN -o MODEL.onnx", "a run's network for programs without Python"),
    "studio": ("twofold.studio.command", "[--runs DIR]", "pages for all of this, on this machine alone"),
    "runs": ("look", "[DIR]", "the runs in a folder"),
    "show": ("look", "RUN", "one run: settings, data, measures, progress"),
}
"""Name -> (module in this folder, or the dotted name of one elsewhere, arguments, what it does)."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code: 0, 1 for a fault of ours, 2 for wrong input, 3 for a full disk."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # flags of all commands may stand in front of the name, too
    first = next((place for place, word in enumerate(arguments) if word not in ("--json", "--debug")), None)
    name = "--help" if first is None else arguments[first]
    arguments = [name, *arguments[: first or 0], *arguments[(first or 0) + 1 :]]
    if name in ("-h", "--help", "help"):
        # who has read enough closes the pipe, as head does
        with suppress(BrokenPipeError):
            print(_help(), flush=True)
        return
    if name in ("-V", "--version"):
        print(f"twofold {__version__}")
        return
    from twofold.cli.output import run

    if name not in COMMANDS:
        raise SystemExit(run(_refuse, arguments))
    place = COMMANDS[name][0]
    module = import_module(place if "." in place else f"twofold.cli.{place}")
    raise SystemExit(run(getattr(module, name), arguments[1:]))


def _help() -> str:
    width = max(len(f"{name} {arguments}") for name, (_, arguments, _) in COMMANDS.items())
    lines = [f"  {f'{name} {arguments}':<{width}}  {text}" for name, (_, arguments, text) in COMMANDS.items()]
    return "\n".join(
        [
            "twofold: deep learning beyond plain classification, on your own data.",
            "",
            *lines,
            "",
            "DATA is a path (.csv, .tsv, .parquet, .txt; pictures in a folder, a zip, Parquet or idx; sounds in a",
            "folder or a zip), or sample:NAME:",
            "digits, breast-cancer, wine (tables), topics (text), glyphs, photos (pictures).",
            "Every command takes --help, --json (one JSON object as the last line) and --debug (a traceback).",
            "First steps: twofold tour",
        ]
    )


def _refuse(arguments: list[str]) -> None:
    raise SettingError(f"there is no command {arguments[0]!r}. {_nearest(arguments[0])}See: twofold --help")


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    return f"Did you mean {near[0]}? " if near else ""
