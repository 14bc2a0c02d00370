"""Transfer: a classifier of your pictures from few labels, on a network that has seen many others.

A ladder that stops where a rung does not pay. First a frozen network's features and ridge regression, in closed form,
with the exact error of leaving each picture out. Then the network is tuned, beside copies that each leave a fold of the
pictures out; those tell how far the tuned network is to be trusted, and whether it is any better than the frozen one.

Kumar et al. 2022, Fine-tuning can distort pretrained features, https://arxiv.org/abs/2202.10054
Dimension key: N pictures, S side, C channels, D features, K classes. The copies are in copies.py, the judging in
verdict.py, the views of a picture in views.py, the ridge in nn/ridge.py, the networks in nn/backbones.py.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from twofold.core.device import PRECISIONS, choose_device, is_half_quicker, threads
from twofold.core.estimator import Estimator
from twofold.core.loop import Progress, train
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError, SettingError
from twofold.measure.accuracy import confusion, majority_share, wilson_interval
from twofold.measure.report import Measure, bootstrap_interval
from twofold.methods.transfer.copies import TunedCopies, TunedNetwork, deal_folds, network_of
from twofold.methods.transfer.verdict import Verdict, mixed
from twofold.methods.transfer.views import adopted, labels_of, raw_pixels, views
from twofold.nn.backbones import Backbone, open_backbone, rebuild
from twofold.nn.ridge import Ridge, best_temperature, block_scales, softmax

__all__ = ["TransferClassifier"]

MODES = ("auto", "frozen", "finetune")
MOST_FOLDS = 20
STEPS, POWER = 22, 0.4  # updates: that many for one picture, and growing as that power of their number
LEAST_ERRORS = 12  # tuning seldom mends more than half, and fewer than six mended prove nothing (McNemar)
NONE = 1e-9
# of the old head's opinions and of the stages before the last; the last one counts 1
WITH_WORDS = ((1.0, 1.0), (NONE, 1.0), (4.0, 1.0), (4.0, NONE))
WITHOUT_WORDS = ((NONE, 1.0), (NONE, NONE))
TINY = 1e-12


@dataclass(eq=False, repr=False)
class TransferClassifier(ClassifierMixin, Estimator):
    """Tells your pictures apart from few labels, on a network that has seen many others.

    Attributes
    ----------
    classes_ : the labels, sorted.
    verdict_ : what pictures that were left out say: accuracy with its interval, how far tuning helped, which share of
        the answer is the tuned network's, and a confusion table.

    Examples
    --------
    >>> pixel_NHWC = np.random.default_rng(0).integers(0, 90, (12, 32, 32, 3), np.uint8)
    >>> pixel_NHWC[6:] += 130
    >>> model = TransferClassifier("untrained:test_resnet", image_size=32)
    >>> model.fit(pixel_NHWC, ["dark"] * 6 + ["light"] * 6).predict(pixel_NHWC[5:7]).tolist()
    ['dark', 'light']
    """

    method: ClassVar[str] = "transfer"
    reads: ClassVar[tuple[str, ...]] = ("pictures",)

    backbone: str = "mobilenetv4_conv_small"
    """The network to build on: a timm name, a .safetensors file or a run; larger ones know more and take longer."""
    mode: str = "auto"
    """frozen takes seconds, finetune also tunes the network; auto tries that where there is enough to gain."""
    image_size: int | None = None
    """Side that pictures are brought to: larger shows finer detail, and takes longer (None: the network's own)."""
    is_mirrored: bool = True
    """Whether a picture and its mirror image mean the same: False for letters and the like."""
    n_folds: int = 3
    """Copies that are tuned, each without one part of the pictures: more are judged better, and take longer."""
    frozen_share: float = 0.35
    """Share of the layers, from the input on, that is never tuned: more is quicker, and adapts less."""
    precision: str = "auto"
    """Of frozen features: bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    batch_size: int = field(default=16, kw_only=True)
    """Pictures per update: more give a steadier direction and a slower step."""
    learning_rate: float = field(default=3e-4, kw_only=True)
    """Size of an update: larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from labelled pictures, one Progress a step.

        Parameters
        ----------
        X : a folder of class folders, an archive, a table of pictures, arrays or PIL images.
        y : a label for each picture (None: those that came with X).
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        pictures = open_pictures(X)
        label_N = self._learn_classes(pictures, y)
        began = time.perf_counter()
        with threads(self.n_threads or torch.get_num_threads()):
            lesson = self._freeze(pictures, label_N)
        seconds = time.perf_counter() - began
        n_wrong = round((1 - self.verdict_.accuracy) * len(label_N))
        if self.mode == "frozen" or (self.mode == "auto" and n_wrong < LEAST_ERRORS):
            self.n_iter_ = 1
            yield Progress(1, 1, seconds, {"log_loss": self.verdict_.log_loss}, self.measures_, self.verdict_.reason)
        else:
            yield from self._tune(lesson, seconds, None if folder is None else Path(folder))

    def _check(self) -> None:
        self._check_settings()
        for name, allowed in (("mode", MODES), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise SettingError(f"{name} is {getattr(self, name)!r}. Allowed: {', '.join(allowed)}.")
        if self.n_folds < 2:
            raise SettingError(f"n_folds is {self.n_folds}; it must be at least 2. Give 3, or more to judge finer.")
        if not 0 <= self.frozen_share < 1:
            raise SettingError(f"frozen_share is {self.frozen_share}; it must be from 0 to below 1. Give about .35.")

    def _learn_classes(self, pictures: Pictures, y: Any) -> np.ndarray:
        """The number of each picture's class (N); `classes_` are their names."""
        labels = labels_of(pictures, y)
        self.classes_, label_N = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"{pictures.name}: all {len(labels)} pictures are labelled {self.classes_[0]!r}; there is nothing to "
                "tell apart. Give pictures of two classes or more."
            )
        return label_N

    # ---- the first rung: frozen features, ridge regression ---------------------------------------

    def _freeze(self, pictures: Pictures, label_N: np.ndarray) -> "Lesson":
        """Fit the head on the frozen network; what the next rung needs."""
        device = choose_device(self.device)
        backbone = open_backbone(self.backbone, image_size=self.image_size, seed=self.seed)
        self.backbone_: Backbone = adopted(backbone.to(device))
        pixel_NSSC, raw_NP = self._pixels(pictures), raw_pixels(pictures)
        feature_ND = self._features(backbone.body, pixel_NSSC)
        self.backbone_ = adopted(backbone.cpu())
        scale_D, K = block_scales(feature_ND, backbone.blocks), len(self.classes_)
        # how far the old head's opinions and the earlier stages count: by the error on pictures left out
        fits = [(Ridge.fit(feature_ND / s_D, label_N, K), s_D) for s_D in _emphases(scale_D, backbone)]
        self.ridge_, self.scale_D_ = min(fits, key=lambda fit: fit[0].error)
        self.raw_ = Ridge.fit(raw_NP, label_N, K)
        # left out one by one, a rare class would always be one short; so one of each class together
        fold_N = deal_folds(label_N, int(np.clip(len(label_N) // K, 2, MOST_FOLDS)), self.seed)
        left_out_NK = self._left_out(feature_ND, label_N, fold_N)
        self.temperature_ = best_temperature(left_out_NK, label_N)
        self.tuned_: TunedNetwork | None = None
        self.share_, self.tuned_temperature_ = 0.0, 1.0
        raw = float((self.raw_.left_out_NK.argmax(1) == label_N).mean())
        self.verdict_ = Verdict.of_frozen(self.temperature_ * left_out_NK, label_N, raw)
        return Lesson(pixel_NSSC, feature_ND, scale_D, label_N, left_out_NK.argmax(1) == label_N)

    def _left_out(self, feature_ND: np.ndarray, label_N: np.ndarray, fold_N: np.ndarray) -> np.ndarray:
        """What the frozen network scores each fold by a fit without it, (N, K)."""
        scaled_ND, penalties = feature_ND / self.scale_D_, [self.ridge_.penalty]
        return Ridge.fit(scaled_ND, label_N, len(self.classes_), fold_N=fold_N, penalties=penalties).left_out_NK

    @property
    def measures_(self) -> dict[str, float]:
        """The verdict in numbers."""
        return self.verdict_.measures()

    # ---- the second rung: the network tuned ------------------------------------------------------

    def _tune(self, lesson: "Lesson", seconds: float, folder: Path | None) -> Iterator[Progress]:
        N = len(lesson.label_N)
        n_steps = int(np.clip(STEPS * N**POWER, 60, 10_000))
        plan = self._plan(n_steps, interval=max(1, (self.n_steps or n_steps) // 10))
        plan = replace(plan, n_threads=self.n_threads or torch.get_num_threads())
        fold_N = deal_folds(lesson.label_N, min(self.n_folds, N), self.seed)
        learner = self._copies(lesson, fold_N)
        note = self._foretold(seconds / N, plan.n_steps)
        try:
            with closing(train(learner, (lesson.pixel_NSSC, lesson.label_N, fold_N), plan, folder=folder)) as training:
                for progress in training:
                    yield replace(progress, note=progress.note or note) if progress.step == 1 else progress
        finally:
            with threads(plan.n_threads):
                self._judge(learner, lesson, fold_N)
            self.n_iter_ = learner.n_updates

    def _copies(self, lesson: "Lesson", fold_N: np.ndarray) -> TunedCopies:
        backbone, K = self.backbone_.bare(), len(self.classes_)
        # the head of a tuned network sees the later half of the stages: the earlier ones are hardly tuned
        n_used = sum(backbone.blocks[len(backbone.blocks) // 2 :])
        feature_ND, scale_D = lesson.feature_ND[:, -n_used:], lesson.scale_D[-n_used:]
        networks = []
        for fold in range(fold_N.max() + 2):  # no picture is of the last
            rows = fold_N != fold
            networks.append(TunedNetwork.with_ridge(backbone.body, feature_ND[rows], lesson.label_N[rows], K, scale_D))
        n_frozen = round(self.frozen_share * len(backbone.layers))
        learner = TunedCopies(networks, n_frozen, is_mirrored=self.is_mirrored)
        learner.learning_rate = self.learning_rate
        return learner.to(choose_device(self.device))

    def _foretold(self, seconds_each: float, n_steps: int | None) -> str:
        """How long the tuning will take, from what reading the features took."""
        if n_steps is None or self.minutes is not None:
            return f"tuning, for at most {self.minutes:g} minutes"
        # a step costs three passes, in full precision, where the features took one or two
        n_minutes = int(seconds_each * 4 * self.batch_size * self.n_folds * n_steps / 60)
        return f"tuning, about {n_minutes + 1} minutes" if n_minutes else "tuning, less than a minute or so"

    @torch.no_grad()
    def _judge(self, learner: TunedCopies, lesson: "Lesson", fold_N: np.ndarray) -> None:
        """Each copy on the fold it never saw, beside the frozen network without it, tell how far to trust the last."""
        label_N = lesson.label_N
        tuned_NK = np.empty((len(label_N), len(self.classes_)))
        for fold, copy in enumerate(learner.copies[:-1]):
            rows = fold_N == fold
            tuned_NK[rows] = self._log_probabilities(adopted(copy), lesson.pixel_NSSC[rows])
        self.tuned_temperature_ = best_temperature(tuned_NK, label_N)
        frozen_NK = self._left_out(lesson.feature_ND, label_N, fold_N)
        self.verdict_ = self.verdict_.beside(
            best_temperature(frozen_NK, label_N) * frozen_NK, self.tuned_temperature_ * tuned_NK, label_N,
            is_right_N=lesson.is_right_N, must_tune=self.mode == "finetune",
        )  # fmt: skip
        self.share_ = self.verdict_.share
        self.tuned_ = adopted(learner.copies[-1].cpu()) if self.share_ else None

    # ---- verbs -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, K), in the order of `classes_`."""
        check_is_fitted(self, "backbone_")
        return self._both(self._pixels(open_pictures(X)))[0]

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each picture, (N)."""
        check_is_fitted(self, "backbone_")
        return self.classes_[self.predict_proba(X).argmax(1)]

    @torch.inference_mode()
    def transform(self, X: Any) -> np.ndarray:
        """The network's features of each picture, (N, D): of the tuned network where there is one."""
        check_is_fitted(self, "backbone_")
        body = self.backbone_.body if self.tuned_ is None else self.tuned_.body
        return self._features(body, self._pixels(open_pictures(X)))

    @torch.inference_mode()
    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """Accuracy and log-loss, beside the commonest class, ridge on raw pixels and the frozen network alone.

        Give pictures that training did not see.
        """
        check_is_fitted(self, "backbone_")
        pictures = open_pictures(X)
        labels = self._known(labels_of(pictures, y), pictures)
        probability_NK, frozen_NK = self._both(self._pixels(pictures))
        label_N = np.searchsorted(self.classes_, labels)
        raw_N, ours_N, frozen_N = (
            scores.argmax(1) == label_N
            for scores in (self.raw_.scores(raw_pixels(pictures)), probability_NK, frozen_NK)
        )
        beside = [("commonest class", majority_share(label_N)), ("ridge on raw pixels", float(raw_N.mean()))]
        if self.tuned_ is not None:
            beside.append(("frozen network", float(frozen_N.mean())))
        loss_N = -np.log(probability_NK[np.arange(len(label_N)), label_N] + TINY)
        shares_K = np.bincount(label_N, minlength=len(self.classes_)) / len(label_N)
        by_shares = float(-(shares_K * np.log(shares_K + TINY)).sum())
        return [
            Measure("accuracy", float(ours_N.mean()), wilson_interval(int(ours_N.sum()), len(ours_N)), tuple(beside)),
            Measure("log-loss", float(loss_N.mean()), bootstrap_interval(np.mean, loss_N, seed=self.seed % 2**32),
                    (("shares of the classes", by_shares),), False),
        ]  # fmt: skip

    def confusion(self, X: Any, y: Any = None) -> np.ndarray:
        """(K, K): how many pictures of each class (rows) are said to be each class (columns)."""
        check_is_fitted(self, "backbone_")
        pictures = open_pictures(X)
        return confusion(self._known(labels_of(pictures, y), pictures), self.predict(pictures), self.classes_)

    def _known(self, labels: np.ndarray, pictures: Pictures) -> np.ndarray:
        strange = sorted(set(labels.tolist()) - set(self.classes_.tolist()))
        if strange:
            raise DataError(
                f"{pictures.name}: label {strange[0]!r} is none of the {len(self.classes_)} classes that were learnt "
                f"({', '.join(map(str, self.classes_[:10]))}). Leave those pictures out, or learn with them."
            )
        return labels

    # ---- pictures through networks ---------------------------------------------------------------

    def _pixels(self, pictures: Pictures) -> np.ndarray:
        return pictures.resized(self.backbone_.image_size, channels=self.backbone_.channels)

    @torch.inference_mode()
    def _features(self, body: nn.Module, pixel_NSSC: np.ndarray) -> np.ndarray:
        """The mean over the views of a body's features, (N, D)."""
        device = next(body.parameters()).device
        is_half = self.precision == "bfloat16" or (self.precision == "auto" and is_half_quicker(device))
        parts = []
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half):
            for some in views(pixel_NSSC, device, is_mirrored=self.is_mirrored):
                parts.append(torch.stack([body(view).float() for view in some]).mean(0).cpu())
        return torch.cat(parts).numpy()

    def _both(self, pixel_NSSC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (N, K), and those of the frozen network alone."""
        frozen_NK = self.temperature_ * self._frozen_scores(pixel_NSSC)
        if self.tuned_ is None:
            return softmax(frozen_NK), frozen_NK
        tuned_NK = self.tuned_temperature_ * self._log_probabilities(self.tuned_, pixel_NSSC)
        return mixed(frozen_NK, tuned_NK, self.share_), frozen_NK

    def _frozen_scores(self, pixel_NSSC: np.ndarray) -> np.ndarray:
        return self.ridge_.scores(self._features(self.backbone_.body, pixel_NSSC) / self.scale_D_)

    def _log_probabilities(self, network: TunedNetwork, pixel_NSSC: np.ndarray) -> np.ndarray:
        """The log of the mean over the views of a tuned network's probabilities, (N, K)."""
        device, parts = next(network.parameters()).device, []
        for some in views(pixel_NSSC, device, is_mirrored=self.is_mirrored, is_tuned=True):
            parts.append(torch.stack([network(view).softmax(1) for view in some]).mean(0))
        return (torch.cat(parts).double() + TINY).log().cpu().numpy()

    # ---- saving ----------------------------------------------------------------------------------

    def describe_backbone(self) -> dict[str, Any]:
        """What nn/backbones rebuilds the network from: the tuned one where there is one."""
        if self.tuned_ is None:
            return self.backbone_.about | {"prefix": "backbone."}
        return self.backbone_.bare().about | {"prefix": "tuned.body."}

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "backbone_")
        tensors = {f"backbone.{name}": value for name, value in self.backbone_.body.state_dict().items()}
        if self.tuned_ is not None:
            tensors |= {f"tuned.{name}": value for name, value in self.tuned_.state_dict().items()}
        for name, ridge in (("ridge", self.ridge_), ("raw", self.raw_)):
            tensors |= {f"{name}.weight": torch.tensor(ridge.weight_DK), f"{name}.bias": torch.tensor(ridge.bias_K)}
        told = [self.temperature_, self.tuned_temperature_, self.share_]
        tensors |= {
            "scale": torch.tensor(self.scale_D_), "mix": torch.tensor(told, dtype=torch.float64),
            "shape": torch.tensor([self.backbone_.image_size, self.backbone_.channels]),
        }  # fmt: skip
        learned = {
            "classes": self.classes_.tolist(), "about": self.backbone_.about, "verdict": self.verdict_.to_json(),
            "measures": self.measures_, "n_iter": self.n_iter_,
        }  # fmt: skip
        return tensors, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        self.ridge_, self.raw_ = (
            Ridge(tensors[f"{name}.weight"].numpy(), tensors[f"{name}.bias"].numpy()) for name in ("ridge", "raw")
        )
        self.classes_ = np.array(learned["classes"])
        if self.classes_.shape != self.ridge_.bias_K.shape or len(set(learned["classes"])) != len(self.classes_):
            raise ValueError(f"{len(self.ridge_.bias_K)} classes were learnt, {len(self.classes_)} are named")
        # sizes come from the weights' file: a spoilt config.json must not ask for more
        size, channels = tensors["shape"].tolist()
        about = learned["about"] | {"image_size": size, "channels": channels}
        self.backbone_ = adopted(rebuild(about | {"prefix": "backbone."}, tensors))
        self.scale_D_ = tensors["scale"].numpy()
        self.temperature_, self.tuned_temperature_, self.share_ = tensors["mix"].tolist()
        tuned = {name.removeprefix("tuned."): value for name, value in tensors.items() if name.startswith("tuned.")}
        bare = self.backbone_.bare().about
        body = rebuild(bare | {"prefix": "body."}, tuned).body if tuned else None
        self.tuned_ = adopted(network_of(tuned, body)) if tuned else None
        self.verdict_, self.n_iter_ = Verdict.from_json(learned["verdict"]), learned["n_iter"]


@dataclass(frozen=True)
class Lesson:
    """Pictures to learn from: pixels, frozen features and their scales, classes, and which were told when left out."""

    pixel_NSSC: np.ndarray
    feature_ND: np.ndarray
    scale_D: np.ndarray
    label_N: np.ndarray
    is_right_N: np.ndarray


def _emphases(scale_D: np.ndarray, backbone: Backbone) -> list[np.ndarray]:
    """Scales of the features (D): each weighs the old head's opinions, the earlier stages and the last differently."""
    blocks, n_words = backbone.blocks, backbone.n_words
    choices = WITH_WORDS if n_words else WITHOUT_WORDS
    return [
        scale_D / np.repeat([words] * bool(n_words) + [stages] * (len(blocks) - 1 - bool(n_words)) + [1.0], blocks)
        for words, stages in choices[: len(choices) if len(blocks) > 1 else 1]
    ]
