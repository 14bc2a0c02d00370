"""The judge of pictures: a network that marks forged defects, and patches of normal pictures kept for comparison.

One small network learns to mark defects that were forged in normal pictures, and to paint what was there before. Its
features, raw pixels and, if given, a network with borrowed weights describe patches; a bounded memory keeps those of
normal pictures. Each gives a map of where a picture is strange. How far to trust each is told, without labels, by
kinds of forgeries that were never learnt from; held-out pictures set the scale and the alarm.

Zavrtanik et al. 2021 (DRAEM), https://arxiv.org/abs/2108.07610; Roth et al. 2022 (PatchCore),
https://arxiv.org/abs/2106.08265; Vovk et al. 2005 (conformal p-values).
Dimension key: N pictures, B pictures of a batch, H held-out pictures, L lonely ones, S side, C channels, K maps,
E = 2 K kinds of evidence, M forged pictures, P patches, D features, g = S / 4 cells a side.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from twofold.core.batches import Picked
from twofold.core.device import choose_device, is_half_quicker
from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError
from twofold.measure.calibration import Calibration, EvidenceScale
from twofold.measure.forgeries import auroc
from twofold.measure.patches import MapEvidence, Spot, evidence_names, worst_spot
from twofold.methods.detector.marker import DefectMarker
from twofold.nn.borrowed import BorrowedNetwork
from twofold.nn.defects import N_CHANCES, TRIED, forge
from twofold.nn.finder import DefectNetwork
from twofold.nn.patches import PatchMemory, joined, raw_patches
from twofold.nn.pixels import from_pixels, to_pixels

__all__ = ["PictureJudge"]

N_STEPS = 6000
MAX_HELD_OUT, N_STRETCHES = 200, 40
MAX_KEPT, MAX_BANK = 4000, 1000  # pictures compared with others, and pasted from
MAX_PATCHES, N_CANDIDATES = 8000, 40_000
N_FORGED = 80  # of each kind
WHY = {
    "forged defects": "it looks like a defect",
    "repair": "not what its surroundings lead to expect",
    "patches": "unlike any training patch",
    "raw patches": "unlike any training patch, pixel by pixel",
    "borrowed patches": "unlike any training patch, by the borrowed features",
}
# folders whose pictures are normal by their name
NORMAL = {"good", "normal", "ok"}


class PictureJudge:
    """What pictures are normal, and where others are not."""

    kind = "pictures"

    # ---- learning --------------------------------------------------------------------------------

    def prepare(self, detector: Any, X: Any) -> tuple[Learner, tuple[Picked]]:
        """What is to be trained, on which pictures; `n_steps` and `batch_size` are what suits them."""
        pictures = open_pictures(X)
        if not len(pictures):
            raise DataError(f"{pictures.name} hold no pictures to learn from. Add some.")
        self.seed, self.size, self.channels = detector.seed, detector.image_size, pictures.channels
        self.n_steps, self.batch_size = N_STEPS, max(1, detector.batch_size // 8)
        self.n_patches = min(detector.n_references, MAX_PATCHES)
        self.borrowed = None if detector.features is None else BorrowedNetwork.from_file(detector.features)
        self.pixel_NSSC = self._resized(pictures)
        is_normal = detector.normal_only or _are_called_normal(pictures)
        rest = self._split(0.0 if is_normal else detector.trim)
        self.hash_N = _hashes(pictures)[self.kept]
        learnt = np.concatenate([self.kept, rest])
        learner = DefectMarker(self._network(detector), self._bank(learnt), _is_half(detector))
        learner.learning_rate = detector.learning_rate / 3
        return learner.to(memory_format=torch.channels_last), (Picked(self.pixel_NSSC, learnt),)

    def _resized(self, pictures: Pictures) -> np.ndarray:
        return pictures.resized(self.size, channels=self.channels, fit="stretch")

    def _network(self, detector: Any) -> DefectNetwork:
        with seeded(self.seed):
            return DefectNetwork(self.channels, max(4, detector.dim // 4), detector.depth)

    def _bank(self, learnt: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(self.pixel_NSSC[learnt[:MAX_BANK]]))

    def _split(self, trim: float) -> np.ndarray:
        """Which pictures are held out, kept for their patches, or too lonely; the rest, which is only learnt from."""
        n, rng = len(self.pixel_NSSC), np.random.default_rng(self.seed)
        order = rng.permutation(n) if n > MAX_KEPT else np.arange(n)
        order, rest, self.lonely = np.sort(order[:MAX_KEPT]), order[MAX_KEPT:], order[:0]
        if trim and len(order) >= 10:
            is_lonely = self._loneliest(order, trim)
            self.lonely, order = order[is_lonely], order[~is_lonely]
        # in stretches: pictures side by side are often frames of one film, and no test of each other
        stretches = np.array_split(order, min(len(order), N_STRETCHES))
        order = np.concatenate([stretches[i] for i in rng.permutation(len(stretches))])
        n_held_out = max(1, min(MAX_HELD_OUT, max(len(order) // 4, min(len(order) // 2, 30))))
        self.held_out, self.kept = order[:n_held_out], order[n_held_out:] if len(order) > 1 else order
        return rest

    @torch.inference_mode()
    def _loneliest(self, rows: np.ndarray, trim: float) -> np.ndarray:
        """The share of these pictures (booleans) whose patches are least like those of the others."""
        describe = self._raw if self.borrowed is None else self._borrowed
        generator = torch.Generator().manual_seed(self.seed)
        patch_PD, owner_P = self._candidates(describe, rows, self.n_patches, generator)
        memory = PatchMemory.keep(patch_PD, owner_P, len(patch_PD), generator)
        maps = [[memory.distances(describe(self._picture(row))[0], own)[None]] for own, row in enumerate(rows)]
        raw_NE = torch.stack([MapEvidence.raw(of_one) for of_one in maps])
        score_N = sum(EvidenceScale(raw_N.contiguous())(raw_N.contiguous()) for raw_N in raw_NE.T)
        is_lonely = np.zeros(len(rows), dtype=bool)
        is_lonely[torch.as_tensor(score_N).topk(int(trim * len(rows))).indices.numpy()] = True
        return is_lonely

    @torch.inference_mode()
    def finish(self, learner: DefectMarker) -> None:
        """From a trained network to a judge: memories, evidence, its weights, calibration."""
        generator = torch.Generator().manual_seed(self.seed)
        self._adopt(learner.network)
        self.memories = {}
        for name, describe in self._describers().items():
            patch_PD, owner_P = self._candidates(describe, self.kept, N_CANDIDATES, generator)
            self.memories[name] = PatchMemory.keep(patch_PD, owner_P, self.n_patches, generator)
        colour_NC = self.pixel_NSSC[self.kept].mean((1, 2), dtype=np.float64)
        self.colour_NC = torch.from_numpy(colour_NC)
        self.evidence = MapEvidence.learn([self.maps(self._picture(row)) for row in self.held_out], generator)
        forged = self._forged_evidence(generator)
        together = self.evidence.learn_weights(forged, self._groups())
        raw = 2 * self._names().index("raw patches")
        self.calibration = self._calibrate()
        raw_ME = self.evidence.on_scale(torch.cat(list(forged.values())))
        self.measures = {
            "AUROC on self-made anomalies": together,
            "the same by raw patches alone": auroc(self.evidence.normal_HE[:, raw], raw_ME[:, raw].contiguous()),
            "calibration pictures": float(len(self.calibration.score_N)),
        }
        del self.pixel_NSSC, self.held_out, self.kept, self.lonely

    def _adopt(self, network: DefectNetwork) -> None:
        self.network = network.cpu().float().to(memory_format=torch.contiguous_format).eval().requires_grad_(False)

    def _candidates(self, describe: Any, rows: np.ndarray, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Patches drawn alike from each picture, n at most, and whose they are."""
        patches = []
        for row in rows:
            patch_PD = describe(self._picture(row))[0]
            order_P = torch.randperm(len(patch_PD), generator=generator)
            patches.append(patch_PD[order_P[: max(1, n // len(rows))]])
        owner_P = torch.arange(len(rows)).repeat_interleave(len(patches[0]))
        return torch.cat(patches)[:n], owner_P[:n]

    def _forged_evidence(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Raw evidence (M, E) of held-out pictures spoilt on purpose, by kind of forgery."""
        found = {}
        for kind in TRIED:
            rows = self.held_out[torch.randint(len(self.held_out), (N_FORGED,), generator=generator).numpy()]
            others = self.kept[torch.randint(len(self.kept), (N_FORGED,), generator=generator).numpy()]
            pair = (from_pixels(torch.from_numpy(self.pixel_NSSC[which])) for which in (rows, others))
            spoilt_MCSS, _ = forge(*pair, torch.rand(N_FORGED, N_CHANCES, generator=generator), (kind,))
            pixels = from_pixels(to_pixels(spoilt_MCSS))
            found[kind] = torch.stack([MapEvidence.raw(self.maps(one[None])) for one in pixels])
        return found

    def _calibrate(self) -> Calibration:
        """By pictures like those to come: held-out ones, and those that were left out as too lonely."""
        score_H = self.evidence.normal_HE @ self.evidence.weight_E
        kept = (len(self.held_out) + len(self.kept)) / len(score_H) if len(self.lonely) else 1.0
        score_L = torch.tensor([self._score(self._picture(row)) for row in self.lonely], dtype=torch.float64)
        weights = torch.full_like(score_H, kept), torch.ones_like(score_L)
        return Calibration(torch.cat([score_H, score_L]), torch.cat(weights))

    # ---- one picture -----------------------------------------------------------------------------

    def _picture(self, row: int) -> Tensor:
        return from_pixels(torch.from_numpy(self.pixel_NSSC[row : row + 1]))

    def _describers(self) -> dict[str, Any]:
        """What describes the patches of each memory, picture (1, C, S, S) -> (1, P, D)."""
        found = {"patches": self._described, "raw patches": self._raw}
        return found if self.borrowed is None else found | {"borrowed patches": self._borrowed}

    def _described(self, picture_1CSS: Tensor) -> Tensor:
        return joined(self.network.look(picture_1CSS)[2])

    def _raw(self, picture_1CSS: Tensor) -> Tensor:
        return raw_patches(picture_1CSS)

    def _borrowed(self, picture_1CSS: Tensor) -> Tensor:
        return joined(self.borrowed(picture_1CSS))

    def _names(self) -> list[str]:
        return ["forged defects", "repair", *self._describers()]

    def _groups(self) -> list[list[int]]:
        """Kinds that forgeries may compare; they flatter ours, which learned from some; half is for the others."""
        names = self._names()
        n_own = 2 * (len(names) - (self.borrowed is not None))
        groups = [list(range(n_own)), list(range(n_own, 2 * len(names)))]
        return [group for group in groups if group]

    def maps(self, picture_1CSS: Tensor, own: int = -1) -> list[Tensor]:
        """Where the picture is strange, K maps (h, w). One picture at a time: its company must not matter."""
        mark_11gg, repaired_1CSS, features = self.network.look(picture_1CSS)
        miss_11SS = (repaired_1CSS - picture_1CSS).abs().mean(1, keepdim=True)
        found = [mark_11gg[0, 0], functional.avg_pool2d(miss_11SS, 4)[0, 0]]
        for name, describe in self._describers().items():
            patch_PD = (joined(features) if name == "patches" else describe(picture_1CSS))[0]
            side = round(len(patch_PD) ** 0.5)
            found.append(self.memories[name].distances(patch_PD, own).view(side, side))
        return found

    def _score(self, picture_1CSS: Tensor, own: int = -1) -> float:
        raw_1E = MapEvidence.raw(self.maps(picture_1CSS, own))[None]
        return float(self.evidence.on_scale(raw_1E)[0] @ self.evidence.weight_E)

    # ---- judging ---------------------------------------------------------------------------------

    @property
    def weights(self) -> dict[str, float]:
        """How far each kind of evidence is trusted."""
        return dict(zip(evidence_names(self._names()), self.evidence.weight_E.tolist(), strict=True))

    def read(self, detector: Any, X: Any) -> Pictures:
        """What was given, as pictures."""
        return open_pictures(X)

    def own(self, pictures: Pictures) -> Tensor | None:
        """The number of each picture among those learnt from, -1 for none; None where X is not what was learnt from."""
        place = {number: i for i, number in enumerate(self.hash_N.tolist())}
        own_N = torch.tensor([place.get(number, -1) for number in _hashes(pictures).tolist()], dtype=torch.int64)
        return own_N if (own_N >= 0).sum() >= len(place) / 2 else None

    def count(self, pictures: Pictures) -> int:
        """How many there are."""
        return len(pictures)

    def n_seen(self, pictures: Pictures) -> int:
        """How many pictures were learnt from."""
        return int(np.isin(_hashes(pictures), self.hash_N).sum())

    def _each(self, pictures: Pictures, own_N: Tensor | None = None) -> Iterator[tuple[Tensor, int]]:
        """Each picture (1, C, S, S), and its number among those learnt from."""
        pixel_NSSC = self._resized(pictures)
        for i in range(len(pixel_NSSC)):
            yield from_pixels(torch.from_numpy(pixel_NSSC[i : i + 1])), -1 if own_N is None else int(own_N[i])

    @torch.inference_mode()
    def scores(self, pictures: Pictures, own_N: Tensor | None = None) -> Tensor:
        """The weighted evidence of each picture (N), higher = stranger."""
        scores = [self._score(picture, own) for picture, own in self._each(pictures, own_N)]
        return torch.tensor(scores, dtype=torch.float64)

    @torch.inference_mode()
    def heats(self, pictures: Pictures, own_N: Tensor | None = None) -> Iterator[Tensor]:
        """What each map says of each cell, (K, S, S) a picture."""
        for picture, own in self._each(pictures, own_N):
            yield self.evidence.heat(self.maps(picture, own))

    def reasons(self, pictures: Pictures, own_N: Tensor | None, which_N: Tensor, n: int = 1) -> list[list[Spot]]:
        """The strangest spot of each of the chosen pictures."""
        chosen = pictures.take(which_N.numpy())
        why = [WHY[name] for name in self._names()]
        heats = self.heats(chosen, None if own_N is None else own_N[which_N])
        sizes = [(int(height), int(width)) for height, width in chosen.size_N2]
        return [[worst_spot(heat, size, why)] for heat, size in zip(heats, sizes, strict=True)]

    @torch.inference_mode()
    def baselines(self, pictures: Pictures, own_N: Tensor | None) -> dict[str, np.ndarray]:
        """What simpler judges say of the same pictures, higher = stranger."""
        memory, raw, colour = self.memories["raw patches"], [], []
        for picture, own in self._each(pictures, own_N):
            raw.append(float(memory.distances(self._raw(picture)[0], own).max()))
            mean_C = (picture.double().mean((0, 2, 3)) + 1) * 127.5
            far_N = (self.colour_NC - mean_C).square().sum(1).sqrt()
            colour.append(float(far_N.sort().values[int(own >= 0) :][:5].mean()))
        return {"raw-pixel patches": np.array(raw), "mean colour": np.array(colour)}

    # ---- saving ----------------------------------------------------------------------------------

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learnt, as tensors and JSON."""
        tensors = {f"network.{n}": v for n, v in self.network.state_dict().items()}
        if self.borrowed is not None:
            tensors |= {f"borrowed.{n}": v for n, v in self.borrowed.state_dict().items()}
        for name, memory in self.memories.items():
            parts = {"patch": memory.patch_MD, "owner": memory.owner_M, "scale": memory.scale_D}
            tensors |= {f"memory.{name}.{part}": value for part, value in parts.items()}
        tensors |= {
            "size": torch.tensor([self.size]), "hash": torch.from_numpy(self.hash_N), "colour": self.colour_NC,
            "evidence": self.evidence.raw_HE, "cells": self.evidence.cell_KN, "weight": self.evidence.weight_E,
            "calibration.score": self.calibration.score_N, "calibration.weight": self.calibration.weight_N,
        }  # fmt: skip
        return tensors, {"borrowed": None if self.borrowed is None else self.borrowed.about}

    @torch.inference_mode()
    def unpack(self, detector: Any, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        """The reverse of `pack`; sizes come from the tensors: a spoilt config.json must not ask for more."""
        parts = {group: {n.removeprefix(group): t for n, t in tensors.items() if n.startswith(group)}
                 for group in ("network.", "borrowed.")}  # fmt: skip
        dim, self.channels = parts["network."]["first.weight"].shape[:2]
        depth = len({name.split(".")[2] for name in parts["network."] if name.startswith("stages.1.")})
        with torch.device("meta"):
            network = DefectNetwork(self.channels, dim, depth)
            self.borrowed = None if learned["borrowed"] is None else BorrowedNetwork(learned["borrowed"])
        network.load_state_dict(parts["network."], assign=True)
        self._adopt(network)
        if self.borrowed is not None:
            self.borrowed.load_state_dict(parts["borrowed."], assign=True)
            self.borrowed.eval().requires_grad_(False)
        names = {n.split(".")[1] for n in tensors if n.startswith("memory.")}
        self.memories = {
            name: PatchMemory(*(tensors[f"memory.{name}.{part}"] for part in ("patch", "owner", "scale")))
            for name in names
        }
        self.size, self.hash_N, self.colour_NC = int(tensors["size"]), tensors["hash"].numpy(), tensors["colour"]
        self.evidence = MapEvidence(tensors["evidence"], tensors["cells"])
        self.evidence.weight_E = tensors["weight"]
        self.calibration = Calibration(tensors["calibration.score"], tensors["calibration.weight"])


def _are_called_normal(pictures: Pictures) -> bool:
    return pictures.labels is not None and {str(label).lower() for label in pictures.labels} <= NORMAL


def _is_half(detector: Any) -> bool:
    is_quicker = is_half_quicker(choose_device(detector.device))
    return detector.precision == "bfloat16" or (detector.precision == "auto" and is_quicker)


def _hashes(pictures: Pictures) -> np.ndarray:
    """Eight bytes of each picture's hash, as a number (N)."""
    return np.ascontiguousarray(pictures.pixels.digest_N16[:, :8]).view(np.int64)[:, 0]
