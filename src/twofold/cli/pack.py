"""twofold compress, decompress: any file smaller, by prediction; pictures by a compressor's run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say, table
from twofold.core.estimator import Estimator
from twofold.core.packing import compress_alone, decompress_alone, run_of
from twofold.data.atomic import write_atomically
from twofold.data.pictures import decode_picture, write_picture
from twofold.data.text import read_bytes
from twofold.errors import RunError
from twofold.measure.sizes import general_compressors
from twofold.runs import load

__all__ = ["compress", "decompress"]


@dataclass(kw_only=True)
class CompressFlags:
    """Make a file smaller, by prediction."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run folder of a language model or, for pictures, of a compressor; - for none: for bytes of any kind."""
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """The file to compress."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The .tfz file to write."""
    quality: float = 50.0
    """Of pictures, 0 to 100: more keeps more, and takes more bytes."""


@dataclass(kw_only=True)
class DecompressFlags:
    """The file back: text byte by byte, a picture nearly."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.tfz")]
    """The compressed file."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write."""
    run: Path | None = None
    """The run it was compressed with (None: as the file remembers)."""


def compress(arguments: list[str]) -> dict[str, Any]:
    """Write a .tfz; its size beside other compressors."""
    flags = parse(CompressFlags, "compress", arguments)
    model = None if flags.run == "-" else _with_verb(Path(flags.run), "compress")
    if model is not None and model.method == "compressor":
        return _compress_picture(model, flags)
    data = read_bytes(flags.file)
    packed = compress_alone(data) if model is None else model.compress(data, run=flags.run)
    write_atomically(flags.out, packed)
    bits = {"twofold": 8 * len(packed) / max(1, len(data)), **general_compressors(data)}
    if model is not None:
        n_model = sum(path.stat().st_size for path in Path(flags.run).glob("*.safetensors"))
        bits["twofold, model counted"] = 8 * (len(packed) + n_model) / max(1, len(data))
    table([{"by": name, "bits per byte": value} for name, value in bits.items()])
    say(f"{len(data)} bytes as {len(packed)} in {flags.out}")
    return {"out": str(flags.out), "original": len(data), "bytes": len(packed), "bits_per_byte": bits}


def _compress_picture(model: Any, flags: CompressFlags) -> dict[str, Any]:
    picture_HWC = decode_picture(flags.file)
    packed = model.compress(picture_HWC, flags.quality, run=flags.run)
    write_atomically(flags.out, packed)
    height, width = picture_HWC.shape[:2]
    bits = 8 * len(packed) / (height * width)
    say(f"{width} x {height} pixels as {len(packed)} bytes in {flags.out}: {bits:.3f} bits a pixel")
    return {
        "out": str(flags.out), "original": flags.file.stat().st_size, "bytes": len(packed), "bits_per_pixel": bits,
    }  # fmt: skip


def decompress(arguments: list[str]) -> dict[str, Any]:
    """The file back; one that was changed since is refused."""
    flags = parse(DecompressFlags, "decompress", arguments)
    packed = read_bytes(flags.file)
    run = run_of(packed)
    if run is None:
        return _written(decompress_alone(packed), flags.out)
    folder = flags.run or Path(run)
    if not folder.is_dir():
        raise RunError(
            f"{flags.file} was compressed with the run {run}, which is not at {folder}. Give its folder with --run."
        )
    model = _with_verb(folder, "decompress")
    if model.method != "compressor":
        return _written(model.decompress(packed), flags.out)
    picture_HWC = model.decompress(packed)
    write_picture(flags.out, picture_HWC)
    say(f"{picture_HWC.shape[1]} x {picture_HWC.shape[0]} pixels in {flags.out}")
    return {"out": str(flags.out), "height": picture_HWC.shape[0], "width": picture_HWC.shape[1]}


def _written(data: bytes, out: Path) -> dict[str, Any]:
    write_atomically(out, data)
    say(f"{len(data)} bytes in {out}")
    return {"out": str(out), "bytes": len(data)}


def _with_verb(run: Path, verb: str) -> Any:
    estimator: Estimator = load(run)
    if not hasattr(estimator, verb):
        raise RunError(
            f"{run} holds a {estimator.method!r} run, which cannot {verb}. "
            "Give the run of a language model or, for pictures, of a compressor."
        )
    return estimator
