"""Several maps that say where a picture is strange, as evidence on one scale, and how far to trust each.

Dimension key: H held-out normal pictures, M forged ones, K maps, E = 2 K kinds of evidence, h, w: cells of a map,
N cells kept of each map, S side of the finest map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from twofold.measure.calibration import EvidenceScale
from twofold.measure.forgeries import auroc

__all__ = ["MapEvidence", "Spot", "evidence_names", "worst_spot"]

TOP = 0.002  # share of the cells that make the strangest spot
N_CELLS = 4000
SHARPNESS = 2.0  # how strongly better evidence is preferred
LEAST_WEIGHT = 0.03


@dataclass(frozen=True)
class Spot:
    """Where a picture is strangest, and why.

    Examples
    --------
    >>> print(Spot(120, 44, "lower right", "unlike any training patch", 6.2))
    strangest at x 120, y 44 (lower right): unlike any training patch
    """

    x: int
    y: int
    where: str
    why: str
    strength: float  # -log of the share of normal cells that are as strange

    def __str__(self) -> str:
        return f"strangest at x {self.x}, y {self.y} ({self.where}): {self.why}"


def evidence_names(maps: Sequence[str]) -> list[str]:
    """What the kinds of evidence are called: two of each map."""
    return [f"{name}, {part}" for name in maps for part in ("strangest spot", "as a whole")]


class MapEvidence:
    """Maps as -log p among those of normal pictures: of a whole picture, and of each cell.

    Parameters
    ----------
    normal_HE : raw evidence of held-out normal pictures.
    cell_KN : values of cells of theirs.
    """

    def __init__(self, normal_HE: Tensor, cell_KN: Tensor):
        self.raw_HE, self.cell_KN = normal_HE, cell_KN
        self.scales = [EvidenceScale(raw_H.contiguous()) for raw_H in normal_HE.T]
        self.cell_scales = [EvidenceScale(cell_N) for cell_N in cell_KN]
        self.normal_HE = self.on_scale(normal_HE)
        self.weight_E = torch.full((normal_HE.shape[1],), 1 / normal_HE.shape[1], dtype=torch.float64)

    @classmethod
    def learn(cls, maps: Sequence[Sequence[Tensor]], generator: torch.Generator) -> "MapEvidence":
        """From the maps of held-out normal pictures, K maps (h, w) of each."""
        cells = []
        for same in zip(*maps, strict=True):
            cell_N = torch.cat([one.flatten() for one in same]).double()
            cells.append(cell_N[torch.randint(len(cell_N), (N_CELLS,), generator=generator)])
        return cls(torch.stack([cls.raw(of_one) for of_one in maps]), torch.stack(cells))

    @staticmethod
    def raw(maps: Sequence[Tensor]) -> Tensor:
        """The evidence of one picture (E): the mean of the strangest cells of each map, and of all."""
        parts = []
        for map_hw in maps:
            cell_N = map_hw.flatten().double()
            parts += [cell_N.topk(max(1, round(TOP * len(cell_N)))).values.mean(), cell_N.mean()]
        return torch.stack(parts)

    def on_scale(self, raw_BE: Tensor) -> Tensor:
        """-log p of each kind (B, E)."""
        return torch.stack([scale(raw_B.contiguous()) for scale, raw_B in zip(self.scales, raw_BE.T, strict=True)], 1)

    def learn_weights(self, forged: Mapping[str, Tensor], groups: Sequence[Sequence[int]]) -> float:
        """Trust each kind as it tells held-out pictures from forged ones, raw evidence (M, E) by what was forged.

        Parameters
        ----------
        groups : kinds that are compared with each other; all groups together are trusted alike.

        Returns
        -------
        The AUROC of all kinds together.
        """
        forged_FME = [self.on_scale(raw_ME) for raw_ME in forged.values()]
        auroc_FE = torch.tensor([
            [auroc(n, f.contiguous()) for n, f in zip(self.normal_HE.T, forged_ME.T, strict=True)]
            for forged_ME in forged_FME
        ], dtype=torch.float64)  # fmt: skip
        odds_E = torch.log((auroc_FE + 0.01) / (1.01 - auroc_FE)).mean(0)
        self.weight_E = torch.zeros_like(odds_E)
        for group in groups:
            share_G = torch.softmax(SHARPNESS * odds_E[list(group)], 0)
            share_G[share_G < LEAST_WEIGHT] = 0.0
            self.weight_E[list(group)] = share_G / share_G.sum() / len(groups)
        return auroc(self.normal_HE @ self.weight_E, torch.cat(forged_FME) @ self.weight_E)

    def heat(self, maps: Sequence[Tensor]) -> Tensor:
        """What each map says of each cell (K, S, S), 0 and up; their sum is the heat map."""
        size = max(map_hw.shape[0] for map_hw in maps)
        weight_K = self.weight_E.view(-1, 2).sum(1)
        parts = []
        for map_hw, scale, weight in zip(maps, self.cell_scales, weight_K, strict=True):
            evidence_hw = weight * scale(map_hw.flatten().double()).view(map_hw.shape)
            parts.append(_resized(evidence_hw, (size, size)))
        return torch.stack(parts)


def worst_spot(heat_KSS: Tensor, size: tuple[int, int], reasons: Sequence[str]) -> Spot:
    """The hottest cell, as a place in a picture of this height and width."""
    total_SS = heat_KSS.sum(0)
    row, column = divmod(int(total_SS.argmax()), total_SS.shape[1])
    down, right = (row + 0.5) / total_SS.shape[0], (column + 0.5) / total_SS.shape[1]
    why = reasons[int(heat_KSS[:, row, column].argmax())]
    return Spot(int(right * size[1]), int(down * size[0]), _where(down, right), why, float(total_SS[row, column]))


def _where(down: float, right: float) -> str:
    lines, columns = ("upper", "middle", "lower"), ("left", "middle", "right")
    line, column = lines[min(2, int(3 * down))], columns[min(2, int(3 * right))]
    return line if line == column else f"{line} {column}"


def _resized(map_hw: Tensor, size: tuple[int, int]) -> Tensor:
    if map_hw.shape == size:
        return map_hw
    return functional.interpolate(map_hw[None, None], size, mode="bilinear")[0, 0]
