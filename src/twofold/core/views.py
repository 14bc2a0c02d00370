"""An encoder judged and finished without labels, by changed views of the pictures it learned from.

Dimension key: N pictures, V views of each, C channels, S side, F what the encoder's parts say, E features.
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from twofold.measure.probe import found_again, nearest_label
from twofold.measure.report import Measure, bootstrap_interval
from twofold.nn.patch_code import PatchCode
from twofold.nn.pixels import from_pixels, to_pixels
from twofold.nn.sparse_vit import SparseViT
from twofold.nn.view_encoder import ViewEncoder, parts_of, solve_directions
from twofold.nn.views import N_CHANCES, changed

__all__ = ["ViewJudge", "probes", "untrained", "views_found_again"]

N_TURNED, N_VIEWS = 4000, 2  # pictures, and changed views of each, from which the directions are solved
N_PROBED = 1000
JITTERS = 0.4


class ViewJudge:
    """Fixed views of some pictures.

    Parameters
    ----------
    pixel_NSSC : uint8, those learnt from.
    is_mirrored : whether views may be mirrored.
    """

    def __init__(self, encoder: ViewEncoder, pixel_NSSC: np.ndarray, *, is_mirrored: bool, seed: int):
        few_N = np.sort(np.random.default_rng(seed).permutation(len(pixel_NSSC))[:N_TURNED])
        few_NSSC = torch.from_numpy(np.asarray(pixel_NSSC[few_N]))
        self.view_VNSSC = [few_NSSC]
        self.view_VNSSC += [to_pixels(_changed(few_NSSC, seed + i, is_mirrored)) for i in range(N_VIEWS)]
        self.code_VNF: Tensor | None = None
        if encoder.code is not None:
            code = deepcopy(encoder.code).cpu()
            self.code_VNF = torch.stack([_said(code, view_NSSC) for view_NSSC in self.view_VNSSC])

    def solve(self, encoder: ViewEncoder) -> np.ndarray:
        """Set the encoder's directions; the share (E) of each feature that survives a changed view."""
        if self.code_VNF is None:
            return np.ones(encoder.n_features, np.float32)
        vit_VNF = torch.stack([_said(encoder.vit, view_NSSC) for view_NSSC in self.view_VNSSC])
        return solve_directions(encoder, torch.cat([vit_VNF, self.code_VNF], 2)).numpy()


def views_found_again(
    features: Callable[[Tensor], Tensor], pixel_NSSC: np.ndarray, *, is_mirrored: bool, seed: int
) -> np.ndarray:
    """Of which of these pictures a changed view lies nearest to the picture itself, (N,) booleans."""
    pixels = torch.from_numpy(np.array(pixel_NSSC))
    with torch.inference_mode():
        view_NCSS = _changed(pixels, seed + N_VIEWS, is_mirrored)
        return found_again(features(from_pixels(pixels)).numpy(), features(view_NCSS).numpy())


def probes(
    encoder: ViewEncoder, pixel_NSSC: np.ndarray, label_N: np.ndarray | None, *, is_mirrored: bool, seed: int
) -> list[Measure]:
    """What the features are worth beside raw pixels and the encoder as it was drawn; with labels, by those too."""
    drawn = untrained(encoder, seed)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "": lambda x: parts_of(encoder, x), "raw pixels": lambda x: x.flatten(1),
        "untrained network": lambda x: parts_of(drawn, x),
    }  # fmt: skip
    few_NSSC = pixel_NSSC[:N_PROBED]
    found = {
        name: views_found_again(features, few_NSSC, is_mirrored=is_mirrored, seed=seed)
        for name, features in ways.items()
    }
    measures = [_share(f"views found again, of {len(few_NSSC)}", found, seed)]
    if label_N is None or len(set(label_N)) < 2:
        return measures
    picture_NCSS = from_pixels(torch.from_numpy(np.array(pixel_NSSC)))
    agreed = {
        name: nearest_label(features(picture_NCSS).numpy(), label_N) == label_N for name, features in ways.items()
    }
    return [_share("nearest others agree", agreed, seed), *measures]


def _share(name: str, right: dict[str, np.ndarray], seed: int) -> Measure:
    """The share that is right, beside the others' shares."""
    shares = {way: float(is_right_N.mean()) for way, is_right_N in right.items()}
    interval = bootstrap_interval(np.mean, right[""], seed=seed % 2**32)
    return Measure(name, shares.pop(""), interval, tuple(shares.items()))


def _changed(pixel_NSSC: Tensor, seed: int, is_mirrored: bool) -> Tensor:
    """Views (N, C, S, S) in -1..1, always the same ones for this seed."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    chance_NR = torch.rand(len(pixel_NSSC), N_CHANCES, generator=generator)
    return changed(pixel_NSSC, chance_NR, jitters=JITTERS, is_mirrored=is_mirrored)


def _said(part: nn.Module, pixel_NSSC: Tensor) -> Tensor:
    return torch.cat([parts_of(part, from_pixels(some_BSSC)) for some_BSSC in pixel_NSSC.split(256)])


def untrained(encoder: ViewEncoder, seed: int) -> ViewEncoder:
    """The same encoder with weights as they are drawn, and nothing solved."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        vit = SparseViT(
            encoder.vit.size, encoder.vit.channels, encoder.vit.patch, encoder.vit.n_features, len(encoder.vit.blocks)
        )
        code = None
        if encoder.code is not None:
            code = PatchCode(encoder.code.channels, encoder.code.n_words, encoder.code.n_meanings)
        n_parts = vit.n_features + (0 if code is None else code.n_features)
        return ViewEncoder(vit, code, n_parts).eval()
