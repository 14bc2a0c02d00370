"""Denoiser: a picture without its noise, learnt from clean pictures, from noisy ones alone, or from one noisy picture.

From clean pictures: noise of every strength is added, and a residual U-Net learns to find it (blind: the level is an
input, and is estimated where it is not given). From noisy pictures: of each 2 x 2 pixels two neighbours are drawn; the
one must foretell the other, and since their noise is unrelated, what can be foretold is the clean picture. From one
picture: see nn/alike.py.

Zhang et al. 2018 (FFDNet), https://arxiv.org/abs/1710.04026; Huang et al. 2021 (Neighbor2Neighbor),
https://arxiv.org/abs/2101.02824
Dimension key: B pictures, C channels, P side of a square window, H, W height and width, h = P/2 cells.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from twofold.core.device import PRECISIONS, choose_device, is_half_quicker
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.pictures import as_given, each_picture, side_by_side
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError, SettingError
from twofold.measure.noise import noise_level, predicted_gain, psnr
from twofold.measure.report import Measure, bootstrap_interval
from twofold.nn.alike import denoise_alike
from twofold.nn.muon import Muon
from twofold.nn.pixels import HALF, from_pixels, to_pixels, turned
from twofold.nn.tiles import in_tiles
from twofold.nn.unet import NoiseUNet

__all__ = ["Denoiser", "NoiseFinder", "denoise_alone", "neighbours"]

LEVELS = (15.0, 25.0, 50.0)  # at which held-out pictures are measured, of 255
TILE = 512

# The eight ordered pairs of neighbours in a cell of 2 x 2 pixels, numbered row by row.
NEIGHBOURS = torch.tensor([(0, 1), (1, 0), (0, 2), (2, 0), (1, 3), (3, 1), (2, 3), (3, 2)])


class NoiseFinder(Learner):
    """Learns to tell noise from picture; windows are uint8 (B, P, P, C), each with its noise level, 0 when clean."""

    weight_decay = 1e-4

    def __init__(self, network: NoiseUNet, max_level: float, *, are_noisy: bool, is_half: bool):
        super().__init__()
        self.network, self.max_level, self.are_noisy, self.is_half = network, max_level, are_noisy, is_half
        self.gap_weight = 0.0

    def schedule(self, fraction: float) -> float:
        """The usual one. The gap counts more and more: before the network can denoise, it would teach to do nothing."""
        self.gap_weight = 2 * fraction
        return super().schedule(fraction)

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """Muon for the convolutions inside, AdamW for the first, the last and those that change the size."""
        inner = [p for part in (self.network.downs, self.network.middle, self.network.ups) for p in part.parameters()]
        known = {id(p) for p in inner}
        rest = [p for p in self.parameters() if id(p) not in known]
        return {
            "blocks": Muon(inner, lr=10 * self.learning_rate, weight_decay=0.05),
            "rest": torch.optim.AdamW(
                rest, lr=self.learning_rate, betas=(0.9, 0.99), weight_decay=self.weight_decay, fused=True
            ),
        }

    def loss(self, pixel_BPPC: Tensor, level_B: Tensor) -> dict[str, Tensor]:
        """What the network's answer still lacks."""
        B = len(pixel_BPPC)
        window_BCPP = turned(from_pixels(pixel_BPPC), (8 * self.uniform(B)).long())
        return self._from_noisy(window_BCPP, level_B) if self.are_noisy else self._from_clean(window_BCPP)

    @torch.inference_mode()
    def evaluate(self, pixel_NPPC: Tensor, level_N: Tensor) -> dict[str, float]:
        """The error on held-out windows; of noisy ones that of the neighbour, since the gap moves with the network."""
        losses = self.loss(pixel_NPPC, level_N)
        return {"held_out": float(losses["neighbour" if self.are_noisy else "log_error"])}

    def preview(self, pixel_NPPC: Tensor, level_N: Tensor) -> np.ndarray:
        """Noisy windows, each beside itself cleaned: half the strongest noise is put on those that are clean."""
        window_NCPP = from_pixels(pixel_NPPC)
        if not self.are_noisy:
            level_N = torch.full_like(level_N, self.max_level / 2)
            window_NCPP = window_NCPP + level_N.view(-1, 1, 1, 1) * self.normal(*window_NCPP.shape)
        return side_by_side(to_pixels(window_NCPP), to_pixels(window_NCPP - self.find(window_NCPP, level_N)))

    def _from_clean(self, clean_BCPP: Tensor) -> dict[str, Tensor]:
        """Half the logarithm of the squared error: a dB counts the same at every level (PSNR is this logarithm)."""
        B = len(clean_BCPP)
        level_B = self.max_level * self.uniform(B)
        noisy_BCPP = clean_BCPP + level_B.view(-1, 1, 1, 1) * self.normal(B, *clean_BCPP.shape[1:])
        # one in four is cut off at black and white, as a camera does
        is_cut_B111 = (self.uniform(B) < 0.25).view(-1, 1, 1, 1)
        noisy_BCPP = torch.where(is_cut_B111, noisy_BCPP.clamp(-1, 1), noisy_BCPP)
        error_B = (noisy_BCPP - self.find(noisy_BCPP, level_B) - clean_BCPP).square().mean((1, 2, 3))
        return {"log_error": 0.5 * (error_B + 1e-5).log().mean()}

    def _from_noisy(self, noisy_BCPP: Tensor, level_B: Tensor) -> dict[str, Tensor]:
        """One of two neighbours foretells the other; the gap between them is not mistaken for noise."""
        which_Bhh = (8 * self.uniform(len(noisy_BCPP), *(side // 2 for side in noisy_BCPP.shape[2:]))).long()
        one_BChh, other_BChh = neighbours(noisy_BCPP, which_Bhh)
        answer_BChh = one_BChh - self.find(one_BChh, level_B)
        with torch.no_grad():
            whole_BCPP = noisy_BCPP - self.find(noisy_BCPP, level_B)
            gap_BChh = torch.sub(*neighbours(whole_BCPP, which_Bhh))
        weight_B111 = 1 / (level_B.view(-1, 1, 1, 1).square() + 1e-4)
        miss_BChh = answer_BChh - other_BChh
        return {
            "neighbour": (weight_B111 * miss_BChh.square()).mean(),
            "gap": self.gap_weight * (weight_B111 * (miss_BChh - gap_BChh).square()).mean(),
        }

    def find(self, noisy_BCHW: Tensor, level_B: Tensor) -> Tensor:
        """The noise, computed in half precision where that is quicker."""
        with torch.autocast(noisy_BCHW.device.type, torch.bfloat16, enabled=self.is_half):
            return self.network(noisy_BCHW.contiguous(memory_format=torch.channels_last), level_B).float()


def neighbours(picture_BCHW: Tensor, which_Bhw: Tensor) -> tuple[Tensor, Tensor]:
    """Two neighbouring pixels of each 2 x 2 cell, as two pictures of half the size; `which` 0 to 7 names the pair."""
    B, C = picture_BCHW.shape[:2]
    cell_BC4hw = functional.pixel_unshuffle(picture_BCHW, 2).unflatten(1, (C, 4))
    pair_Bhw2 = NEIGHBOURS.to(which_Bhw.device)[which_Bhw]
    index_BC1hw2 = pair_Bhw2[:, None, None].expand(B, C, -1, -1, -1, -1)
    one, other = (cell_BC4hw.gather(2, index_BC1hw2[..., i]).squeeze(2) for i in (0, 1))
    return one, other


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Denoiser(Estimator):
    """Takes the noise out of pictures, grey or colour, of any size; says by how much without having seen a clean one.

    Attributes
    ----------
    network_ : the fitted network.
    channels_ : 1 when it was learnt from grey pictures alone, else 3.
    measures_ : PSNR of held-out pictures, noised, before and after; learnt from noisy ones, the gain that is foreseen.

    Examples
    --------
    >>> pictures = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 1), np.uint8)
    >>> denoiser = Denoiser(n_steps=2, dim=8, depth=1, patch_size=16).fit(pictures)
    >>> denoiser.denoise(pictures[0]).shape
    (32, 32, 1)
    """

    method: ClassVar[str] = "denoiser"
    reads: ClassVar[tuple[str, ...]] = ("pictures",)

    are_noisy: bool = False
    """Whether the pictures given are noisy themselves: True learns from noisy ones alone, and less finely."""
    max_noise: float = 55.0
    """Strongest noise to learn, of 255: more widens the range, and costs a little finesse."""
    dim: int = 64
    """Width of the network's widest pictures: wider sees finer texture, and takes longer."""
    depth: int = 2
    """Blocks at each size: more see further, and take longer."""
    patch_size: int = 64
    """Side of the windows that are learnt from: larger show more of a pattern, and take longer."""
    precision: str = "auto"
    """bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    batch_size: int = 16
    """Windows per update: more give a steadier direction and a slower step."""
    learning_rate: float = 1e-3
    """Size of an update: larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from pictures, one Progress a step.

        Parameters
        ----------
        X : a folder, an archive, arrays or PIL images; clean pictures, unless `are_noisy`.
        y : not used.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        pictures = open_pictures(X)
        learnt, held_out = _split(pictures, self.seed)
        plan = self._plan(4000, ema=0.999, interval=max(1, (self.n_steps or 4000) // 20))
        device = choose_device(self.device)
        learner = NoiseFinder(
            self._network(pictures.channels), self.max_noise / HALF, are_noisy=self.are_noisy,
            is_half=self.precision == "bfloat16" or (self.precision == "auto" and is_half_quicker(device)),
        )  # fmt: skip
        learner.learning_rate = self.learning_rate
        learner.to(device, memory_format=torch.channels_last)
        rows = self._windows(learnt, max(256, 4 * int(learnt.size_N2.prod(1).sum()) // self.patch_size**2))
        ruler = None if held_out is None else self._windows(held_out, 64)
        try:
            yield from train(learner, rows, plan, held_out=ruler, folder=None if folder is None else Path(folder))
        finally:
            self._finish(learner.network)
            self.measures_ = {} if held_out is None else self._judge(held_out)
            self.n_iter_ = learner.n_updates

    def _check(self) -> None:
        self._check_settings(dim=1, depth=1, patch_size=16)
        if not 0 < self.max_noise <= 255:
            raise SettingError(f"max_noise is {self.max_noise}; it must lie between 0 and 255. Give about 55.")
        if self.precision not in PRECISIONS:
            raise SettingError(f"precision is {self.precision!r}. Allowed: {', '.join(PRECISIONS)}.")
        if self.patch_size % 2:
            raise SettingError(f"patch_size is {self.patch_size}; it must be even. Give {self.patch_size + 1}.")

    def _network(self, channels: int) -> NoiseUNet:
        with seeded(self.seed):
            dims = (self.dim, self.dim * 3 // 2, self.dim * 2)
            return NoiseUNet(channels, dims, (self.depth, self.depth, self.depth + 1))

    def _windows(self, pictures: Pictures, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows (n, P, P, C) and the noise level of each, estimated where the pictures are noisy."""
        window_NPPC = pictures.patches(self.patch_size, n, seed=self.seed)
        if not self.are_noisy:
            return window_NPPC, np.zeros(n, np.float32)
        level = np.median([noise_level(pictures[i]) for i in range(min(len(pictures), 50))])
        return window_NPPC, np.full(n, level / HALF, np.float32)

    def _finish(self, network: NoiseUNet) -> None:
        # one layout after fit and after load: another one rounds otherwise
        network = network.cpu().float().to(memory_format=torch.channels_last)
        self.network_ = network.eval().requires_grad_(False)
        self.channels_ = network.channels

    def _judge(self, held_out: Pictures) -> dict[str, float]:
        """Before and after, on at most 10 held-out pictures."""
        few = held_out.take(np.arange(min(len(held_out), 10)))
        if self.are_noisy:
            return {"predicted gain in dB": float(np.mean(self.estimate_gain(few)))}
        return {measure.name: measure.value for measure in self.evaluate(few)}

    # ---- verbs -----------------------------------------------------------------------------------

    def denoise(self, X: Any, noise: float | None = None, *, n_turns: int = 1) -> Any:
        """The clean pictures: an array (H, W, C) for one picture, a list of them for many.

        Parameters
        ----------
        X : paths, PIL images or arrays, one or many; uint8, or floats in 0..1, which come back as floats, not cut off.
        noise : standard deviation of the noise, of 255 (None: estimated for each picture).
        n_turns : 1, or up to 8 turned and mirrored copies whose answers are averaged: about .1 dB for 8 x the time.
        """
        check_is_fitted(self, "network_")
        pictures, is_one = each_picture(X)
        answers = [self._denoise_one(picture, noise, n_turns) for picture in pictures]
        return as_given(answers[0], X) if is_one else answers

    def _denoise_one(self, given_HWC: np.ndarray, noise: float | None, n_turns: int) -> np.ndarray:
        noisy_HWC = _of_255(given_HWC)
        level = noise_level(noisy_HWC) if noise is None else noise
        return _like(self._clean(noisy_HWC, level, n_turns), given_HWC)

    @torch.inference_mode()
    def _clean(self, noisy_HWC: np.ndarray, level: float, n_turns: int = 1) -> np.ndarray:
        """Pixels 0..255 in floats, not cut off: a grey model cleans colour by channels, a colour model grey too."""
        if noisy_HWC.shape[2] not in (1, 3):
            raise DataError(f"a picture has {noisy_HWC.shape[2]} channels. Allowed: 1 (grey) or 3 (colour).")
        network, n_given = self.network_, noisy_HWC.shape[2]
        if n_given == 1 and self.channels_ == 3:
            noisy_HWC = np.repeat(noisy_HWC, 3, 2)
        noisy_BCHW = from_pixels(torch.from_numpy(noisy_HWC)[None])
        if self.channels_ == 1:
            noisy_BCHW = noisy_BCHW.transpose(0, 1)
        level_1 = torch.tensor([level / HALF])
        clean = torch.zeros_like(noisy_BCHW)
        for turn in range(n_turns):
            part = _turn(noisy_BCHW, turn)
            noise = in_tiles(lambda x: network(x, level_1.expand(len(x))), part, TILE, network.reach)
            clean += _turn(part - noise, turn, back=True) / n_turns
        if self.channels_ == 1:
            clean = clean.transpose(0, 1)
        clean_HWC = ((clean[0] + 1) * HALF).movedim(0, -1).numpy()
        return clean_HWC.mean(2, keepdims=True) if n_given < clean_HWC.shape[2] else clean_HWC

    def estimate_gain(self, X: Any, noise: float | None = None) -> Any:
        """How much nearer to the unseen clean pictures the answers will be, in dB: one number, or a list of them.

        By Stein's unbiased risk estimate: the noise is taken to be normal, alike everywhere, and unrelated.
        """
        check_is_fitted(self, "network_")
        pictures, is_one = each_picture(X)
        gains = [self._gain_of_one(_of_255(picture), noise) for picture in pictures]
        return gains[0] if is_one else gains

    def _gain_of_one(self, noisy_HWC: np.ndarray, noise: float | None) -> float:
        level = noise_level(noisy_HWC) if noise is None else noise

        def answer(picture_HWC: np.ndarray) -> np.ndarray:
            return self._clean(picture_HWC, level)

        return predicted_gain(answer, noisy_HWC, answer(noisy_HWC), level, seed=self.seed)

    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """PSNR of clean pictures, noised at 15, 25 and 50 of 255 and cleaned at a level estimated, and before."""
        check_is_fitted(self, "network_")
        pictures, _ = each_picture(X)
        return [self._measure_at(level, pictures) for level in LEVELS if level <= self.max_noise]

    def _measure_at(self, level: float, pictures: Any) -> Measure:
        before, after = [], []
        for i, picture_HWC in enumerate(pictures):
            clean_HWC = _of_255(picture_HWC)
            normal_HWC = np.random.default_rng([self.seed, i]).standard_normal(clean_HWC.shape, np.float32)
            noisy_HWC = clean_HWC + level * normal_HWC
            before.append(psnr(noisy_HWC, clean_HWC))
            after.append(psnr(self._clean(noisy_HWC, noise_level(noisy_HWC)).clip(0, 255), clean_HWC))
        interval = bootstrap_interval(np.mean, np.array(after), seed=self.seed % 2**32)
        baselines = (("noisy", float(np.mean(before))),)
        return Measure(f"PSNR at noise {level:g}", float(np.mean(after)), interval, baselines)

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "network_")
        weights = {name: value.contiguous() for name, value in self.network_.state_dict().items()}
        return weights, {"n_iter": self.n_iter_, "measures": self.measures_}

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        self._finish(NoiseUNet.with_weights(tensors))
        self.n_iter_, self.measures_ = learned["n_iter"], learned["measures"]


def denoise_alone(X: Any, noise: float | None = None) -> tuple[Any, Any]:
    """Clean pictures, each learnt from its own noisy one alone, and the gain in dB that is foreseen for each."""
    pictures, is_one = each_picture(X)
    answers, gains = [], []
    for given_HWC in pictures:
        noisy_HWC = _of_255(given_HWC)
        level = noise_level(noisy_HWC) if noise is None else noise
        clean_HWC = denoise_alike(noisy_HWC, level)
        gains.append(predicted_gain(lambda x, s=level: denoise_alike(x, s), noisy_HWC, clean_HWC, level))
        answers.append(_like(clean_HWC, given_HWC))
    return (as_given(answers[0], X), gains[0]) if is_one else (answers, gains)


def _split(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures | None]:
    """A twentieth of the pictures, 20 at most, held out to judge by; none of fewer than 10."""
    if len(pictures) < 10:
        return pictures, None
    order = np.random.default_rng(seed).permutation(len(pictures))
    n_held = int(np.clip(len(pictures) // 20, 1, 20))
    return pictures.take(np.sort(order[n_held:])), pictures.take(np.sort(order[:n_held]))


def _of_255(picture_HWC: np.ndarray) -> np.ndarray:
    """Floats on the scale of 0..255, whether the picture came as uint8 or as floats in 0..1."""
    return picture_HWC * np.float32(255) if picture_HWC.dtype.kind == "f" else picture_HWC.astype(np.float32)


def _like(answer_HWC: np.ndarray, given_HWC: np.ndarray) -> np.ndarray:
    """The answer on the scale and in the type of what was given."""
    if given_HWC.dtype.kind == "f":
        return (answer_HWC / 255).astype(np.float32)
    return answer_HWC.round().clip(0, 255).astype(np.uint8)


def _turn(picture_BCHW: Tensor, which: int, *, back: bool = False) -> Tensor:
    """One of the eight turns and mirrorings of a picture, or its reverse."""
    steps = [
        lambda x: x.flip(2) if which & 1 else x,
        lambda x: x.flip(3) if which & 2 else x,
        lambda x: x.transpose(2, 3) if which & 4 else x,
    ]
    for step in reversed(steps) if back else steps:
        picture_BCHW = step(picture_BCHW)
    return picture_BCHW
