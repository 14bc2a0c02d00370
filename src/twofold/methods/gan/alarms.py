"""What goes wrong in the game of forger and detective: seen, named, and with what to do about it.

Items are compared along the directions in which real ones differ most (PCA): elsewhere there is mostly noise.
Naeem et al. 2020 (coverage), https://arxiv.org/abs/2002.09797; Meehan et al. 2020 (copies),
https://arxiv.org/abs/2004.05675.
Dimension key: N items, M others, F numbers an item is made of, P directions.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Sight", "alarm"]

N_DIRECTIONS = 16
N_NEIGHBOURS = 5
LEAST_COVERAGE = 0.3
LEAST_DISTANCE = 0.6
MOST_GAP, LEAST_BALANCE = 0.8, 0.02

CAUSES = {
    "collapse": "little variety (mode collapse, or too short a game): {coverage:.0%} of the real items are covered. "
    "Train longer; if that does not help, give a larger --gamma or a smaller --learning-rate.",
    "strong": "the detective is too strong: it loses {balance:.2g} nats (guessing: 0.69), and teaches little. "
    "Give a larger --gamma, or a wider forger (--dim).",
    "copies": "memorising: what is made lies {distance:.0%} as far from training items as unseen real ones do. "
    "Give more data or fewer steps.",
    "gap": "memorising begins: of what the detective knows, {gap:.0%} it knows of the training items alone. "
    "Give more data or fewer steps.",
}


class Sight:
    """Items by the directions in which real ones differ most, each direction by its own spread.

    Parameters
    ----------
    real : items (N, ...).
    """

    def __init__(self, real: Tensor):
        x_NF = real.flatten(1).double()
        self.mean_F = x_NF.mean(0)
        off_NF = x_NF - self.mean_F
        value_N, own_NN = torch.linalg.eigh(off_NF @ off_NF.T)
        is_used_N = value_N > 1e-8 * value_N[-1].clamp_min(1e-12)
        value_P, own_NP = value_N[is_used_N][-N_DIRECTIONS:], own_NN[:, is_used_N][:, -N_DIRECTIONS:]
        # so that the real items have variance 1 along the first; the others count by their spread
        self.axis_FP = off_NF.T @ own_NP / value_P.sqrt() / (value_P[-1:] / len(x_NF)).sqrt()

    def __call__(self, x: Tensor) -> Tensor:
        """(N, P)."""
        return (x.flatten(1).double() - self.mean_F) @ self.axis_FP

    def coverage(self, made: Tensor, real: Tensor) -> float:
        """The share of real items that have a made one as near as their fifth neighbour; 1 where all real are one."""
        real_NP, made_MP = self(real), self(made)
        if not real_NP.shape[1] or len(real_NP) <= 1:
            return 1.0
        k = min(N_NEIGHBOURS, len(real_NP) - 1)
        radius_N = torch.cdist(real_NP, real_NP).kthvalue(k + 1, dim=1)[0]
        return float((torch.cdist(real_NP, made_MP).amin(1) <= radius_N * (1 + 1e-6) + 1e-9).double().mean())

    def distance(self, made: Tensor, unseen: Tensor, taught: Tensor) -> float:
        """How far made items are from the nearest training item, over how far unseen real ones are; 0: copies."""
        taught_NP = self(taught)
        near_made, near_unseen = (torch.cdist(self(x), taught_NP).amin(1) for x in (made, unseen))
        middle = float(near_unseen.median()) if taught_NP.shape[1] else 0.0
        return float(near_made.median()) / middle if middle > 0 else 1.0


def alarm(measures: Mapping[str, float]) -> str:
    """The gravest thing wrong by these measures, with its remedy; nothing where all is well."""
    signs = {
        "collapse": measures["coverage"] < LEAST_COVERAGE,
        "strong": measures["balance"] < LEAST_BALANCE,
        "copies": measures.get("distance", 1.0) < LEAST_DISTANCE,
        "gap": measures["gap"] > MOST_GAP,
    }
    return next((CAUSES[name].format(**measures) for name, is_there in signs.items() if is_there), "")
