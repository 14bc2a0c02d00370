"""MaskedAutoencoder: a network that teaches itself by painting the hidden part of pictures; no labels.

Three of four patches are hidden; a transformer encodes those that are left, a light one paints the others. What is good
for painting is not yet good for telling things apart, so a second objective draws together what two changed views of
one picture become, and keeps the numbers spread and unlike each other (VICReg). Where that has a closed form - words
for small patches - it is solved, not trained (nn/patch_code.py), and at the end both parts are joined along the
directions that survive changed views (nn/view_encoder.py).

He et al. 2022, https://arxiv.org/abs/2111.06377; Bardes, Ponce, LeCun 2022 (VICReg), https://arxiv.org/abs/2105.04906
Dimension key: N pictures, B of them at a time, V views, C channels, S side, T patches of a picture, M visible ones,
X numbers of a patch, D width, E features, H, W height and width as given.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.device import PRECISIONS, choose_device, is_half_quicker, threads
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.painting import each_painted, painting_measure
from twofold.core.pictures import side_by_side
from twofold.core.splits import hold_out
from twofold.core.views import ViewJudge, probes
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import SettingError
from twofold.measure.probe import effective_rank
from twofold.measure.report import Measure
from twofold.measure.symmetry import may_be_mirrored
from twofold.nn.fill import filled
from twofold.nn.muon import Muon
from twofold.nn.patch_code import learn_patch_code
from twofold.nn.pixels import from_pixels, to_pixels
from twofold.nn.sparse_vit import PatchPainter, SparseViT, as_patches, as_picture, visible
from twofold.nn.view_encoder import ViewEncoder, parts_of
from twofold.nn.views import N_CHANCES, changed

__all__ = ["MaskedAutoencoder", "MaskedLearner", "spread_and_alike"]

CONTRAST = 0.05  # variance of a patch, in -1..1, below which its errors count no more
OF_VISIBLE = 0.1  # how much painting what was visible counts
N_PROJECTED, N_FEATURES = 256, 512
N_RANKED, JITTERS = 256, 0.4
LARGEST_CHOSEN, LARGEST = 64, 512  # side; larger ones than 64 are for users to ask for
LEAST_CODED = 10  # pictures, for a patch code
COLLAPSED = 2.0  # effective rank of the transformer's features, at or below which they say nothing


# ---- networks ------------------------------------------------------------------------------------


class MaskedNetwork(nn.Module):
    """Encoder, painter, and what the second objective looks at (projector)."""

    def __init__(self, encoder: ViewEncoder):
        super().__init__()
        vit, D = encoder.vit, encoder.vit.n_features
        self.encoder = encoder
        self.painter = PatchPainter(D, vit.n_patches, vit.channels * vit.patch**2, D // 2, 1 + (D >= 192))
        self.projector = nn.Sequential(
            nn.Linear(D, N_PROJECTED), nn.LayerNorm(N_PROJECTED), nn.GELU(),
            nn.Linear(N_PROJECTED, N_PROJECTED, bias=False),
        )  # fmt: skip

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> "MaskedNetwork":
        """The network that these weights are of."""
        prefix = "encoder."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        network = cls(ViewEncoder.with_weights(own, about))
        network.load_state_dict(dict(tensors))
        return network

    def paint(self, picture_BCSS: Tensor, place_BM: Tensor) -> tuple[Tensor, Tensor]:
        """The pixels (B, T, X) of all patches from those at these places; and the mean of their vectors (B, D).

        A smooth filling, which costs nothing to learn, and what the painter adds to it.
        """
        vit = self.encoder.vit
        token_BMD = vit.tokens(picture_BCSS, place_BM)
        smooth_BTX = as_patches(filled(picture_BCSS, vit.is_visible(place_BM)), vit.patch)
        return smooth_BTX + self.painter(token_BMD, place_BM).float(), token_BMD.mean(1)


# ---- loss ----------------------------------------------------------------------------------------


class MaskedLearner(Learner):
    """Learns to paint what is hidden, and to see one picture in two views of it; pictures are uint8 (B, S, S, C)."""

    weight_decay = 0.01

    def __init__(self, network: MaskedNetwork, hidden: float, invariance: float, *, is_mirrored: bool, is_half: bool):
        super().__init__()
        self.network, self.invariance = network, invariance
        self.is_mirrored, self.is_half = is_mirrored, is_half
        self.n_visible = max(1, round((1 - hidden) * network.encoder.vit.n_patches))

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """Muon for the matrices of the blocks, AdamW for the rest."""
        blocks = (self.network.encoder.vit.blocks, self.network.painter.blocks)
        inner = [p for part in blocks for p in part.parameters() if p.ndim == 2 and min(p.shape) > 2]
        known = {id(p) for p in inner}
        rest = [p for p in self.parameters() if id(p) not in known]
        return {
            "blocks": Muon(inner, lr=10 * self.learning_rate, weight_decay=0.05, is_half=self.is_half),
            "rest": torch.optim.AdamW(
                rest, lr=self.learning_rate, betas=(0.9, 0.95), weight_decay=self.weight_decay, fused=True
            ),
        }

    def loss(self, pixel_BSSC: Tensor) -> dict[str, Tensor]:
        """The error of the painted pixels, and how far apart two views are."""
        picture_BCSS = self.view(pixel_BSSC, 0.0)
        with self.precision(pixel_BSSC):
            painted_BTX, mean_BD = self.network.paint(picture_BCSS, place_BM := self.visible(picture_BCSS))
        losses = {"pixels": self.painting_error(painted_BTX, picture_BCSS, place_BM)}
        if not self.invariance:
            return losses
        other_BCSS = self.view(pixel_BSSC, JITTERS)
        with self.precision(pixel_BSSC):
            other_BD = self.network.encoder.vit.tokens(other_BCSS, self.visible(other_BCSS)).mean(1)
            both = [self.whole_batch(self.network.projector(mean).float()) for mean in (mean_BD, other_BD)]
        return losses | {name: self.invariance * term for name, term in spread_and_alike(*both).items()}

    @torch.inference_mode()
    def evaluate(self, pixel_NSSC: Tensor) -> dict[str, float]:
        """The loss on held-out pictures, and how many directions the transformer's features use."""
        mean_ND = parts_of(self.network.encoder.vit, from_pixels(pixel_NSSC[:N_RANKED])).cpu()
        return super().evaluate(pixel_NSSC) | {"rank": effective_rank(mean_ND.numpy())}

    def preview(self, pixel_NSSC: Tensor) -> np.ndarray:
        """Pictures with most patches hidden (grey), each beside itself painted."""
        picture_NCSS, vit = from_pixels(pixel_NSSC), self.network.encoder.vit
        painted_NTX, _ = self.network.paint(picture_NCSS, place_NM := self.visible(picture_NCSS))
        hidden_NCSS = vit.is_visible(place_NM) * picture_NCSS
        return side_by_side(to_pixels(hidden_NCSS), to_pixels(as_picture(painted_NTX, vit.patch)))

    def view(self, pixel_BSSC: Tensor, jitters: float) -> Tensor:
        """A view of each picture, (B, C, S, S) in -1..1."""
        chance_BR = self.uniform(len(pixel_BSSC), N_CHANCES)
        return changed(pixel_BSSC, chance_BR, jitters=jitters, is_mirrored=self.is_mirrored)

    def visible(self, picture_BCSS: Tensor) -> Tensor:
        """Which patches of each picture are left visible, (B, M)."""
        return visible(self.uniform(len(picture_BCSS), self.network.encoder.vit.n_patches), self.n_visible)

    def precision(self, like: Tensor) -> torch.autocast:
        """Half precision where it is quicker."""
        return torch.autocast(like.device.type, torch.bfloat16, enabled=self.is_half)

    def painting_error(self, painted_BTX: Tensor, picture_BCSS: Tensor, place_BM: Tensor) -> Tensor:
        """Squared error in units of each patch's own contrast: faint texture counts as much as a black edge."""
        target_BTX = as_patches(picture_BCSS, self.network.encoder.vit.patch)
        error_BT = ((painted_BTX - target_BTX).square().mean(2)) / (target_BTX.var(2, correction=0) + CONTRAST)
        weight_BT = torch.ones_like(error_BT).scatter(1, place_BM, OF_VISIBLE)
        return (weight_BT * error_BT).sum() / weight_BT.sum()


def spread_and_alike(one_BD: Tensor, other_BD: Tensor) -> dict[str, Tensor]:
    """VICReg's terms: two views alike; every number spread by 1 at least; no two numbers telling the same.

    The paper's weights 25, 25 and 1, divided by 25.
    """
    spread, told_twice = [], []
    for away_BD in (one_BD - one_BD.mean(0), other_BD - other_BD.mean(0)):
        B, D = away_BD.shape
        spread.append(functional.relu(1 - (away_BD.square().sum(0) / max(B - 1, 1) + 1e-4).sqrt()).mean() / 2)
        covariance_DD = away_BD.T @ away_BD / max(B - 1, 1)
        told_twice.append((covariance_DD.square().sum() - covariance_DD.diagonal().square().sum()) / D / 25)
    return {"alike": (one_BD - other_BD).square().mean(), "spread": sum(spread), "told_twice": sum(told_twice)}


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class MaskedAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Teaches itself from pictures without labels by painting what is hidden: features for other tasks, and painting.

    Attributes
    ----------
    network_ : the fitted networks.
    mirror_ : whether mirrored pictures count as the same.
    survives_ : (E,) of each feature, the share of it that survives a changed view.
    measures_ : on held-out pictures: views found again, beside raw pixels and an untrained network; rank; painting.

    Examples
    --------
    >>> pictures = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 1), np.uint8)
    >>> masked = MaskedAutoencoder(n_steps=2, dim=32, depth=1).fit(pictures)
    >>> masked.transform(pictures).shape[0], masked.inpaint(pictures[0], ratio=0.5).shape
    (60, (16, 16, 1))
    """

    method: ClassVar[str] = "masked"
    reads: ClassVar[tuple[str, ...]] = ("pictures",)

    hidden: float = 0.75
    """Share of each picture that is hidden: more makes a step quicker and the task harder."""
    invariance: float = 1.0
    """Weight of seeing one picture in two views: more tells things apart better and paints worse; 0: pixels only."""
    dim: int | None = None
    """Width of the encoder: wider learns more, and takes longer (None: chosen from the pictures and the minutes)."""
    depth: int | None = None
    """Blocks of the encoder: more learn more, and take longer (None: chosen likewise)."""
    n_words: int = 1024
    """Words for small patches: more tell finer, and take longer; 0, or invariance 0, leaves the patch code out."""
    image_size: int | None = None
    """Side that pictures are brought to: larger shows finer detail, and takes longer (None: 64 at most)."""
    mirror: bool | None = None
    """Whether a mirrored picture is the same thing (None: unless they can be told from mirrored ones, as writing)."""
    precision: str = "auto"
    """bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    batch_size: int = 128
    """Pictures per update: more give a steadier direction and a slower step."""
    learning_rate: float = 1e-3
    """Size of an update: larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from pictures without labels, one Progress a step.

        Parameters
        ----------
        X : a folder, an archive, arrays or PIL images.
        y : not used.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        pictures = open_pictures(X)
        size, patch = _suitable_sizes(pictures, self.image_size)
        (kept_NSSC,), held_out = hold_out((pictures.resized(size),), 1, self.seed)
        self.mirror_ = may_be_mirrored(kept_NSSC, self.seed % 2**32) if self.mirror is None else self.mirror
        n_steps = int(np.clip(10 * len(kept_NSSC) ** 0.5, 100, 5000))
        plan = self._plan(n_steps, ema=0.998, interval=max(1, (self.n_steps or n_steps) // 10))
        with threads(self.n_threads or torch.get_num_threads()):
            learner = self._start(kept_NSSC, patch)
            judge = ViewJudge(learner.network.encoder, kept_NSSC, is_mirrored=self.mirror_, seed=self.seed)
        try:
            place = None if folder is None else Path(folder)
            with closing(train(learner, (kept_NSSC,), plan, held_out=held_out, folder=place)) as steps:
                yield from map(_warned, steps)
        finally:
            self._finish(learner.network)
            self.survives_ = judge.solve(self.network_.encoder)
            self.measures_ = {} if held_out is None else self._judge(held_out[0])
            self.n_iter_ = learner.n_updates

    def _check(self) -> None:
        self._check_settings(dim=8, depth=1, n_words=0, image_size=8)
        if not 0 <= self.hidden < 1:
            raise SettingError(f"hidden is {self.hidden}; it must be at least 0 and below 1. Give about 0.75.")
        if not self.invariance >= 0:
            raise SettingError(f"invariance is {self.invariance}; it must be at least 0. Give 1, or 0 for pixels only.")
        if self.image_size is not None and self.image_size > LARGEST:
            raise SettingError(f"image_size is {self.image_size}; it must be at most {LARGEST}. Give a smaller one.")
        if self.precision not in PRECISIONS:
            raise SettingError(f"precision is {self.precision!r}. Allowed: {', '.join(PRECISIONS)}.")

    def _start(self, pixel_NSSC: np.ndarray, patch: int) -> MaskedLearner:
        """The transformer as it is drawn, and the patch code solved."""
        device, (S, C) = choose_device(self.device), pixel_NSSC.shape[2:]
        is_half = self.precision == "bfloat16" or (self.precision == "auto" and is_half_quicker(device))
        dim, depth = _suitable_net(self, len(pixel_NSSC), device)
        order = np.random.default_rng(self.seed).permutation(len(pixel_NSSC))
        with seeded(self.seed):
            vit, code = SparseViT(S, C, patch, dim, depth), None
            if self.n_words and self.invariance and len(order) >= LEAST_CODED:
                shuffled_NSSC = torch.from_numpy(pixel_NSSC[order])
                code = learn_patch_code(shuffled_NSSC, self.seed, n_words=self.n_words, is_half=is_half)
            n_parts = dim + (0 if code is None else code.n_features)
            encoder = ViewEncoder(vit, code, dim if code is None else min(N_FEATURES, n_parts, max(2, len(order) - 1)))
            network = MaskedNetwork(encoder)
        learner = MaskedLearner(network, self.hidden, self.invariance, is_mirrored=self.mirror_, is_half=is_half)
        learner.learning_rate = self.learning_rate
        return learner.to(device)

    def _finish(self, network: MaskedNetwork) -> None:
        self.network_ = network.cpu().eval().requires_grad_(False)
        self._n_features_out = network.encoder.n_features

    # ---- verbs -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def transform(self, X: Any) -> np.ndarray:
        """Features (N, E) of pictures, those that survive changed views best first; of both mirror images, if alike."""
        check_is_fitted(self, "network_")
        picture_NCSS = from_pixels(torch.tensor(self._pixels(X)))
        feature_NE = parts_of(self.network_.encoder, picture_NCSS)
        if self.mirror_:
            feature_NE = (feature_NE + parts_of(self.network_.encoder, picture_NCSS.flip(3))) / 2
        return feature_NE.numpy()

    def _pixels(self, X: Any) -> np.ndarray:
        """Pictures as the network takes them, uint8 (N, S, S, C)."""
        return open_pictures(X).resized(self.network_.encoder.vit.size, channels=self.network_.encoder.vit.channels)

    @torch.inference_mode()
    def inpaint(self, X: Any, mask: Any = None, *, ratio: float | None = None, seed: int = 0) -> Any:
        """The pictures with what is hidden painted: an array (H, W, C) for one picture, a list of them for many.

        Parameters
        ----------
        X : paths, PIL images or arrays, one or many, of any size; uint8, or floats in 0..1.
        mask : what to paint: a picture, an array or a path, white (True) there; one for all, or a list of them.
        ratio : instead of a mask, the share of each picture to hide at random and paint.
        """
        check_is_fitted(self, "network_")
        vit = self.network_.encoder.vit
        sizes = (vit.size, vit.channels, vit.patch)
        return each_painted(X, mask, ratio, self._paint, sizes=sizes, seed=seed)

    def _paint(self, picture_1CSS: Tensor, place_1M: Tensor) -> Tensor:
        return as_picture(self.network_.paint(picture_1CSS, place_1M)[0], self.network_.encoder.vit.patch)

    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """With labels, how often the nearest others have a picture's own; views found again; and painting.

        Beside raw pixels and an untrained network, and a smooth filling. Where `y` is None, the pictures' own labels.
        """
        check_is_fitted(self, "network_")
        pictures, encoder = open_pictures(X), self.network_.encoder
        labels = pictures.labels if y is None else np.asarray(y)
        pixel_NSSC, side = self._pixels(pictures), encoder.vit.size // encoder.vit.patch
        return [
            *probes(encoder, pixel_NSSC, labels, is_mirrored=self.mirror_, seed=self.seed),
            painting_measure(self.inpaint, pixel_NSSC, side, self.seed),
        ]

    def _judge(self, pixel_NSSC: np.ndarray) -> dict[str, float]:
        """On held-out pictures: each measure and what stands beside it; and the rank of the features."""
        told = {}
        for measure in self.evaluate(pixel_NSSC):
            told |= {measure.name: measure.value} | {f"{measure.name}, {n}": value for n, value in measure.baselines}
        return told | {"effective rank": effective_rank(self.transform(pixel_NSSC))}

    # ---- saving ----------------------------------------------------------------------------------

    def describe_backbone(self) -> dict[str, Any]:
        """What the encoder is rebuilt from (nn/view_encoder.py)."""
        vit, code = self.network_.encoder.vit, self.network_.encoder.code
        is_half = code is not None and code.dtype == torch.bfloat16
        told = {"size": vit.size, "channels": vit.channels, "is_half": is_half}
        return {"architecture": "view_encoder", "arguments": told, "prefix": "encoder.", "image_size": vit.size, **told}

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "network_")
        weights = {name: value.contiguous() for name, value in self.network_.state_dict().items()}
        weights["survives_E"] = torch.from_numpy(self.survives_)
        told = {name: getattr(self, f"{name}_") for name in ("mirror", "n_iter", "measures")}
        return weights, {"about": self.describe_backbone()["arguments"], **told}

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        weights = dict(tensors)
        self.survives_ = weights.pop("survives_E").numpy()
        self._finish(MaskedNetwork.with_weights(weights, learned["about"]))
        for name in ("mirror", "n_iter", "measures"):
            setattr(self, f"{name}_", learned[name])


def _warned(progress: Progress) -> Progress:
    """With a note where the features have collapsed."""
    rank = progress.measures.get("rank")
    if rank is None or rank > COLLAPSED or progress.note:
        return progress
    note = f"the features have collapsed to {rank:.1f} directions: pictures all alike, or too large a learning rate"
    return replace(progress, note=note)


def _suitable_sizes(pictures: Pictures, asked: int | None) -> tuple[int, int]:
    """Side of the pictures and of their patches: about 8 patches a side."""
    side = asked or int(np.clip(np.median(pictures.size_N2.min(1)), 8, LARGEST_CHOSEN))
    patch = next(patch for patch in (2, 4, 8, 16, 32, 64) if side / patch < 13)
    if asked is not None and asked % patch:
        raise SettingError(f"image_size is {asked}; it must be a multiple of {patch}. Give {asked // patch * patch}.")
    return side // patch * patch, patch


def _suitable_net(masked: MaskedAutoencoder, n_pictures: int, device: torch.device) -> tuple[int, int]:
    """Width and depth: larger where there are the pictures, and the time or the accelerator, to teach them."""
    is_long = device.type != "cpu" or (masked.minutes or 0) >= 60
    dim, depth = (256, 8) if is_long and n_pictures >= 20_000 else (192, 6) if is_long else (128, 4)
    return masked.dim or dim, masked.depth or depth
