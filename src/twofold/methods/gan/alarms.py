"""What goes wrong in the game of forger and detective: seen, named, and with what to do about it.

Dimension key: N items, M others, ... what an item is made of.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["alarm", "copying", "variety"]

LEAST_VARIETY = 0.4
LEAST_DISTANCE = 0.6
MOST_GAP, MOST_BALANCE = 0.8, 0.97

CAUSES = {
    "collapse": "mode collapse: what is made is {variety:.0%} as varied as the real items. "
    "Train longer, or give more noise (--noise-dim) or a smaller --learning-rate.",
    "strong": "the detective is too strong: it tells {balance:.0%} of the pairs apart, and teaches nothing. "
    "Give a larger --gamma, or a wider forger (--dim).",
    "copies": "memorising: what is made lies {distance:.0%} as far from training items as unseen real ones do. "
    "Give more data or fewer steps.",
    "gap": "memorising begins: the detective knows the training items by heart ({gap:.0%} of what it knows of "
    "forgeries). Give more data or fewer steps.",
}


def variety(made: Tensor, real: Tensor) -> float:
    """How far made items are from their nearest other, over how far real ones are; 1: as varied; 1 for no spread."""
    nearest_made, nearest_real = (_nearest_other(x.flatten(1).double()) for x in (made, real))
    middle = float(nearest_real.median())
    return float(nearest_made.median()) / middle if middle > 0 else 1.0


def copying(made: Tensor, unseen: Tensor, taught: Tensor) -> float:
    """How far made items are from the nearest training item, over how far unseen real ones are; 0: copies."""
    taught = taught.flatten(1).double()
    near_made, near_unseen = (torch.cdist(x.flatten(1).double(), taught).amin(1) for x in (made, unseen))
    middle = float(near_unseen.median())
    return float(near_made.median()) / middle if middle > 0 else 1.0


def _nearest_other(x_NF: Tensor) -> Tensor:
    return torch.cdist(x_NF, x_NF).fill_diagonal_(torch.inf).amin(1)


def alarm(measures: Mapping[str, float]) -> str:
    """The gravest thing wrong by these measures, with its remedy; nothing where all is well."""
    signs = {
        "collapse": measures["variety"] < LEAST_VARIETY,
        "strong": measures["balance"] > MOST_BALANCE,
        "copies": measures.get("distance", 1.0) < LEAST_DISTANCE,
        "gap": measures["gap"] > MOST_GAP,
    }
    return next((CAUSES[name].format(**measures) for name, is_there in signs.items() if is_there), "")
