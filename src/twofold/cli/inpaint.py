"""twofold inpaint: the hidden part of pictures painted by a masked autoencoder's run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from twofold.cli.flags import parse
from twofold.cli.output import say
from twofold.data.names import shown
from twofold.data.pictures import Pictures, open_pictures, write_picture
from twofold.data.sheets import targets
from twofold.errors import DataError, SettingError
from twofold.runs import load, with_verb

__all__ = ["inpaint"]


@dataclass(kw_only=True)
class InpaintFlags:
    """Paint the hidden part of pictures: white in a mask, or a share of each drawn at random."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder of a masked autoencoder."""
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """A picture, or a folder or archive of them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The picture to write; for many a folder."""
    mask: Path | None = None
    """A picture of the same size, white where to paint; or a folder of as many as there are pictures."""
    ratio: float | None = None
    """Without a mask: the share of each picture to hide at random and paint."""
    seed: int = 0
    """Start of the randomness of --ratio."""


def inpaint(arguments: list[str]) -> dict[str, Any]:
    """Write the painted pictures."""
    flags = parse(InpaintFlags, "inpaint", arguments)
    painter = with_verb(load(flags.run), "inpaint", flags.run)
    pictures = open_pictures(flags.data, split="all")
    if (flags.mask is None) == (flags.ratio is None):
        raise SettingError("Give either --mask MASK, a picture that is white where to paint, or --ratio 0.5.")
    paths = targets(pictures.ids, flags.out, flags.data.is_file() and len(pictures) == 1)
    for path, answer_HWC in zip(paths, _painted(painter, pictures, flags), strict=True):
        write_picture(path, np.asarray(answer_HWC))
    for bad in pictures.bad:
        say(f"left out: {shown(bad.name)}: {bad.reason}")
    say(f"{len(paths)} painted: {paths[0] if len(paths) == 1 else flags.out}")
    return {"out": str(flags.out), "pictures": len(paths), "bad": [bad._asdict() for bad in pictures.bad]}


def _painted(painter: Any, pictures: Pictures, flags: InpaintFlags) -> Iterator[np.ndarray]:
    masks = None if flags.mask is None else open_pictures(flags.mask, split="all")
    if masks is not None and len(masks) not in (1, len(pictures)):
        raise DataError(
            f"{flags.mask} holds {len(masks)} masks for {len(pictures)} pictures. Give one for all, or one for each."
        )
    for i, picture_HWC in enumerate(pictures):
        mask_HWC = None if masks is None else masks[min(i, len(masks) - 1)]
        yield painter.inpaint(picture_HWC, mask_HWC, ratio=flags.ratio, seed=flags.seed + i)
