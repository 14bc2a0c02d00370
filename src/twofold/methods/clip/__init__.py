"""CLIP: pictures and words in one space, from your own pairs.

A locked picture tower is looked through once; on what it sees, and on the pieces of the captions, two light towers are
brought together: first in closed form, then by training, of which only what helps pictures held out is kept.

Radford et al. 2021, https://arxiv.org/abs/2103.00020; Zhai et al. 2022, https://arxiv.org/abs/2111.07991
Dimension key: N pictures, M captions, Q queries, S side, C channels, E width of the shared space, W width of vectors
(fitted.py), K labels; the rest as in towers.py.
The towers are in towers.py and locked.py, their start in start.py, how they answer in fitted.py, captions in
describer.py, the pairs as arrays in lesson.py.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from twofold.core.device import PRECISIONS, all_threads, choose_device, is_half_quicker
from twofold.core.estimator import Estimator, seeded
from twofold.core.loop import Plan, Progress, counted_on, train
from twofold.data.pairs import Pairs, open_pairs
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import SettingError
from twofold.measure.captions import split_words
from twofold.measure.relevance import Relevance
from twofold.measure.report import Measure
from twofold.measure.retrieval import retrieval_measures
from twofold.methods.clip.describer import Describer
from twofold.methods.clip.fitted import FittedTowers, Hit, judge
from twofold.methods.clip.keeping import judged, keep_best
from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.locked import PLAIN, Locked, borrowed_towers, reduced_crops, untaught
from twofold.methods.clip.start import align
from twofold.methods.clip.towers import BorrowedText, PairedTowers, TextTower, UnlockedTowers
from twofold.nn.picture_tower import PictureHead, PictureTower
from twofold.nn.ridge import softmax
from twofold.nn.words import Pieces

__all__ = ["CLIP", "Hit"]

TEXT_TOWERS = ("auto", "bag", "transformer")
MANY_PAIRS = 50_000  # from which on the order of words is read
SMALLEST = 8  # side of a picture
MOST_KNOWN = 4000  # captions that labels lean on
MOST_UNLOCKED = 64  # pairs per update where the tower itself is tuned
TOWERS_SHARE = 0.6  # of the steps and minutes that were asked for


@dataclass(eq=False, repr=False)
class CLIP(Estimator):
    """Learns which words fit which pictures: finds pictures by words, names and describes them.

    Attributes
    ----------
    towers_ : the fitted towers.
    measures_ : how near pictures held out come to their words, beside the start; and captions beside the nearest one.

    Examples
    --------
    >>> pixel_NHWC = np.zeros((6, 16, 16, 3), np.uint8)
    >>> pixel_NHWC[::2, ..., 0] = 255
    >>> model = CLIP(n_steps=5).fit(pixel_NHWC, ["a red square", "a black square"] * 3)
    >>> model.classify(pixel_NHWC[:2], ["red", "black"]).argmax(1).tolist()
    [0, 1]
    """

    method: ClassVar[str] = "clip"
    reads: ClassVar[tuple[str, ...]] = ("pairs",)

    image: str | None = None
    """The column that holds the pictures' paths, in a table of paths (None: the first that is called like one)."""
    text: str | None = None
    """The columns that hold captions, with commas between them (None: the first that is called like one)."""
    image_tower: str = PLAIN
    """plain needs no weights; of photographs know more: a timm name, a file, a run, openclip:MODEL/WEIGHTS."""
    image_size: int | None = None
    """Side that pictures are brought to: larger shows finer detail, and takes longer (None: the tower's own)."""
    text_tower: str = "auto"
    """bag reads words without their order, transformer with it; auto does that from 50,000 pairs on."""
    embed_dim: int = 512
    """Width of the shared space: wider tells finer, and makes an index larger."""
    dim: int = 512
    """Width of what bends the way into the shared space: wider can learn more, and more by heart."""
    unlock: int = 0
    """How many of the last layers of a borrowed tower are tuned too: more adapt better, and take much longer."""
    n_crops: int = 2
    """Crops of each picture, mirrored unless captions speak of sides, that are seen too: more learn better, longer."""
    describes: bool = True
    """Whether to learn to write captions too; without it training is shorter."""
    precision: str = "auto"
    """bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    batch_size: int = field(default=512, kw_only=True)
    """Pairs per update, each against all others: more tell finer apart, and take longer."""
    learning_rate: float = field(default=3e-4, kw_only=True)
    """Size of an update: larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from pictures and their captions, one Progress a step.

        Parameters
        ----------
        X : what `open_pairs` takes: a table of pictures and words, a folder with captions, arrays.
        y : captions for each picture, a text or a list of texts (None: those that came with X).
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        pairs = open_pairs(X, y, image=self.image, text=self.text)
        reads_words = self.text_tower == "transformer" or (self.text_tower == "auto" and pairs.n_captions > MANY_PAIRS)
        lesson = Lesson.of(pairs, reads_words=reads_words, seed=self.seed)
        with all_threads(self.n_threads or torch.get_num_threads()):
            learner, locked = self._learner(pairs.pictures, lesson)
            told = lesson.by_number()
            self.start_ = align(learner, told, self.seed) if locked.text is None else judged(learner, told)
        start = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        plan, place = self._plan_towers(lesson), None if folder is None else Path(folder)
        training = train(learner, told.arrays(False), plan, held_out=told.held_out(), folder=place)
        try:
            yield from training
        finally:
            training.close()  # type: ignore[attr-defined]
            self.share_, self.trained_ = keep_best(learner, start, told)
            self._finish(learner, locked, pairs, lesson)
            self.n_iter_ = learner.n_updates
        if self.unlock:
            learner = yield from self._unlock(learner, locked, pairs, lesson, place)
        if self.describer_ is not None:
            yield from self._learn_to_describe(learner, pairs, lesson, place)

    def _unlock(
        self, taught: PairedTowers, locked: Locked, pairs: Pairs, lesson: Lesson, folder: Path | None
    ) -> Generator[Progress, None, PairedTowers]:
        """Tune the borrowed tower's last layers too; of that way as well only the share is kept that helps."""
        pixel_NSSC = pairs.pictures.resized(locked.size, channels=locked.channels)
        if locked.text is not None:
            lesson = lesson.by_tokens(locked.text.tokens(lesson.texts))
        weight_V = torch.from_numpy(lesson.pieces.weight_V)
        learner = UnlockedTowers(taught, weight_V, locked.bodies, pixel_NSSC, self.unlock)
        learner = learner.to(choose_device(self.device))
        start = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        plan = replace(self._plan_towers(lesson), batch_size=min(self.batch_size, MOST_UNLOCKED), patience=4)
        place = None if folder is None else folder / "unlocked"
        training = train(learner, lesson.arrays(False), plan, held_out=lesson.held_out(), folder=place)
        try:
            yield from counted_on(training, taught)
        finally:
            self.start_ = self.trained_
            self.share_, self.trained_ = keep_best(learner, start, lesson)
            learner.cpu().bodies.requires_grad_(False)
            with torch.no_grad():
                learner.view_KNR = learner.head.reduced(torch.from_numpy(learner.bodies.of_pixels(pixel_NSSC)))[None]
            learner.n_updates += taught.n_updates
            learner.seconds += taught.seconds
            self._finish(learner, locked, pairs, lesson)
            self.n_iter_ = learner.n_updates
        return learner

    def _plan_towers(self, lesson: Lesson) -> Plan:
        """Most of the steps and minutes; the rest is for learning to describe."""
        n_captions = int((~lesson.is_held_M).sum())
        share = (TOWERS_SHARE if self.describes else 1.0) / (2 if self.unlock else 1)
        n_steps = int(np.clip(75 * n_captions / self.batch_size, 200, 20_000))
        plan = self._plan(n_steps, interval=max(5, (self.n_steps or n_steps) // 30), patience=15)
        return replace(
            plan, minutes=plan.minutes and share * plan.minutes,
            n_steps=max(1, round(share * self.n_steps)) if self.n_steps else plan.n_steps,
        )  # fmt: skip

    def _learn_to_describe(
        self, learner: PairedTowers, pairs: Pairs, lesson: Lesson, folder: Path | None
    ) -> Iterator[Progress]:
        """Captions on what the picture tower sees; pictures held out tell which way of writing is best."""
        assert self.describer_ is not None
        budget: dict[str, Any] = {"minutes": self.minutes and (1 - TOWERS_SHARE) * self.minutes}
        if self.n_steps:
            budget["n_steps"] = max(1, self.n_steps - learner.n_updates)
        place = None if folder is None else folder / "captions"
        training = self.describer_.train(folder=place, device=self.device, n_threads=self.n_threads, **budget)
        try:
            yield from counted_on(training, learner)
        finally:
            self.n_iter_ = learner.n_updates + self.describer_.n_updates
            held_out = np.unique(lesson.picture_M[lesson.is_held_M])
            feature_HR = learner.feature_NR.cpu().numpy()[held_out]
            found = self.describer_.settle(feature_HR, [pairs.captions[i] for i in held_out])
            if found:
                self.measures_ |= {"captions, CIDEr-D, held out": max(found.values()),
                                   "of the nearest picture's caption": found["nearest"]}  # fmt: skip

    def _check(self) -> None:
        self._check_settings(embed_dim=2, dim=2, n_crops=0)
        for name, allowed in (("text_tower", TEXT_TOWERS), ("precision", PRECISIONS)):
            if (value := getattr(self, name)) not in allowed:
                raise SettingError(f"{name} is {value!r}. Allowed: {', '.join(allowed)}.")
        if self.image_size is not None and self.image_size < SMALLEST:
            raise SettingError(f"image_size is {self.image_size}; it must be at least {SMALLEST}. Give a larger one.")
        if self.unlock < 0 or (self.unlock and self.image_tower == PLAIN):
            raise SettingError(
                f"unlock is {self.unlock} with image_tower {self.image_tower!r}; it must be 0 or more, and the plain "
                "tower has no layers to tune. Leave it out, or borrow a tower."
            )

    def _learner(self, pictures: Pictures, lesson: Lesson) -> tuple[PairedTowers, Locked]:
        """Both towers before they are taught, on what the locked one sees; captions come to them by number."""
        device = choose_device(self.device)
        is_half = self.precision == "bfloat16" or (self.precision == "auto" and is_half_quicker(device))
        locked = Locked.of(self.image_tower, self.image_size, pictures, self.seed, is_half=is_half)
        feature_ND = locked.features(pictures, device)
        learner = untaught(locked, feature_ND, lesson, self.embed_dim, self.dim, self.seed)
        learner.learning_rate, learner.is_half = self.learning_rate, is_half
        crops = reduced_crops(locked, pictures, lesson, learner.head.to(device), self.n_crops, self.seed)
        learner.view_KNR = torch.cat([learner.view_KNR.to(device), *crops])
        locked.bodies.cpu()
        return learner.to(device), locked

    def _finish(self, learner: PairedTowers, locked: Locked, pairs: Pairs, lesson: Lesson) -> None:
        learner.cpu()
        text = learner.text.settled(torch.from_numpy(lesson.pieces.weight_V))
        self._adopt(locked, learner.head, text, lesson.pieces)
        known = np.random.default_rng(self.seed).permutation(np.unique(lesson.arrays(False)[1]))[:MOST_KNOWN]
        learnt, held_out = (np.unique(lesson.arrays(is_held)[0]) for is_held in (False, True))
        new = held_out if len(held_out) else learnt
        with torch.no_grad():
            picture_NE = functional.normalize(learner.head(learner.feature_NR[new].cpu()), dim=1).numpy()
        self.towers_ = self.towers_.leaning_on([lesson.texts[i] for i in known], picture_NE)
        self.relevance_, self.temperature_ = judge(self.towers_, pairs, lesson, self.seed)
        self.measures_ = {}
        if self.start_ is not None and self.trained_ is not None:
            self.measures_ = {"mean of 1 / place, held out": 1 - self.trained_, "of the start": 1 - self.start_,
                              "share of the training that is kept": self.share_}  # fmt: skip
        self.describer_ = None
        if self.describes and any(split_words(caption) for i in learnt for caption in pairs.captions[i]):
            feature_NR = learner.feature_NR.cpu().numpy()[learnt]
            self.describer_ = Describer(feature_NR, [pairs.captions[i] for i in learnt], seed=self.seed)

    def _adopt(self, locked: Locked, head: PictureHead, text: TextTower | BorrowedText, pieces: Pieces) -> None:
        # one layout after fit and after load, since another one rounds otherwise
        tower = PictureTower(locked.bodies, head).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.borrowed_, self.image_size_, self.channels_ = locked.about, locked.size, locked.channels
        known_KE = np.zeros((0, len(head.bias)), np.float32)
        text = text.eval().requires_grad_(False)
        self.towers_ = FittedTowers(tower, text, pieces, locked.size, locked.channels, known_KE)

    @classmethod
    def from_openclip(cls, source: str, seed: int = 0) -> "CLIP":
        """A pre-trained model as it is: `openclip:MODEL/WEIGHTS`, fetched from the hub once, or with a local file."""
        model, locked = cls(image_tower=source, describes=False, seed=seed), Locked.of_openclip(source, seed)
        with seeded(seed):
            model._adopt(locked, *borrowed_towers(locked, model.dim), Pieces([], np.zeros(0)))
        model.relevance_, model.temperature_ = Relevance.unlearned(), locked.factor
        model.describer_, model.measures_, model.n_iter_ = None, {}, 0
        return model

    # ---- verbs -----------------------------------------------------------------------------------

    @property
    def channels(self) -> int:
        """C: 1 or 3."""
        check_is_fitted(self, "towers_")
        return self.channels_

    @property
    def identity(self) -> str:
        """SHA-256 of both towers: what other towers embedded cannot be compared with theirs."""
        check_is_fitted(self, "towers_")
        return self.towers_.identity

    def embed_pixels(self, pixel_BSSC: np.ndarray) -> np.ndarray:
        """Pictures that have the towers' size already, uint8, as vectors of length 1, float32 (B, W)."""
        check_is_fitted(self, "towers_")
        return self.towers_.embed_pixels(pixel_BSSC)

    def transform(self, X: Any) -> np.ndarray:
        """Pictures in the shared space: float32 (N, W), of length 1."""
        check_is_fitted(self, "towers_")
        return self.towers_.embed_pixels(self._pixels(X))

    def transform_text(self, texts: str | Sequence[str]) -> np.ndarray:
        """Texts in the shared space: float32 (M, W), of length 1."""
        check_is_fitted(self, "towers_")
        return self.towers_.embed_texts([texts] if isinstance(texts, str) else list(texts))

    def _pixels(self, X: Any) -> np.ndarray:
        pictures = X.pictures if isinstance(X, Pairs) else open_pictures(X)
        return pictures.resized(self.image_size_, channels=self.channels_)

    def unknown_words(self, text: str) -> list[str]:
        """Words of the text that no caption had: what is built alike stands in for them."""
        check_is_fitted(self, "towers_")
        return self.towers_.unknown(text)

    def known_share(self, texts: Sequence[str]) -> np.ndarray:
        """How much of each text is known, (M,) in 0..1: a search counts its scores so far only."""
        check_is_fitted(self, "towers_")
        return self.towers_.known_share(texts)

    def least_scores(self, score_QN: np.ndarray) -> np.ndarray:
        """What a picture must score to fit each query (Q), told from all scores of that query."""
        check_is_fitted(self, "towers_")
        return self.relevance_.least_scores(score_QN)

    def search(self, X: Any, texts: str | Sequence[str], k: int = 10) -> list[list[Hit]]:
        """For each text the k pictures that fit best, the best first; none where none fits.

        For more pictures than memory holds, or for asking again: `twofold.core.gallery.Gallery`.
        """
        if k < 1:
            raise SettingError(f"k is {k}; it must be at least 1. Give 10, or leave it out.")
        texts = [texts] if isinstance(texts, str) else list(texts)
        score_QN = (self.transform_text(texts) @ self.transform(X).T) * self.known_share(texts)[:, None]
        least_Q = self.least_scores(score_QN)
        best_QK = np.argsort(-score_QN, 1, kind="stable")[:, :k]
        return [
            [Hit(int(i), float(score_N[i])) for i in best_K if score_N[i] >= least]
            for score_N, best_K, least in zip(score_QN, best_QK, least_Q, strict=True)
        ]

    def classify(self, X: Any, labels: Sequence[str], templates: Sequence[str] = ("{}",)) -> np.ndarray:
        """The probability of each label, (N, K), for labels that training need not have named.

        Parameters
        ----------
        templates : each label is put in place of {} in all of these, and their directions are averaged.
        """
        check_is_fitted(self, "towers_")
        labels = [labels] if isinstance(labels, str) else list(labels)
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise SettingError(f"labels are {labels}; at least two different ones are needed. Give some, as cat,dog.")
        if not templates or any("{}" not in template for template in templates):
            raise SettingError(f"templates are {list(templates)}; each needs {{}} where the label goes.")
        label_KW = self.towers_.embed_labels(labels, templates)
        return softmax(self.temperature_ * (self.transform(X) @ label_KW.T).astype(np.float64))

    def describe(
        self, X: Any, n: int = 1, *, temperature: float | None = None, seed: int = 0
    ) -> list[list[tuple[str, float]]]:
        """Captions of each picture, n at most, the best first, each with its score.

        Parameters
        ----------
        temperature : given, captions are drawn from the seed instead: higher is bolder.
        """
        check_is_fitted(self, "towers_")
        if self.describer_ is None:
            raise SettingError("this model did not learn to describe. Train one without --describes False.")
        return self.describer_.describe(self.towers_.features(self._pixels(X)), n, temperature=temperature, seed=seed)

    def explain(self, X: Any, text: str) -> np.ndarray:
        """Where a picture fits a text: heat (H, W), zero beside the middle square that the towers see."""
        check_is_fitted(self, "towers_")
        return self.towers_.heat(open_pictures(X)[0], self.transform_text(text)[0])

    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """How well words find pictures and pictures words, beside chance; equal captions count once."""
        check_is_fitted(self, "towers_")
        pairs = open_pairs(X, y, image=self.image, text=self.text)
        texts, is_right_UN = pairs.told()
        score_UN = self.transform_text(texts) @ self.transform(pairs).T
        has_some_N, seed = is_right_UN.any(0), self.seed % 2**32
        return [
            *retrieval_measures(score_UN, is_right_UN, "words find pictures", seed),
            *retrieval_measures(score_UN.T[has_some_N], is_right_UN.T[has_some_N], "pictures find words", seed),
        ]

    # ---- saving ----------------------------------------------------------------------------------

    def describe_backbone(self) -> dict[str, Any]:
        """What nn/backbones rebuilds the picture tower from."""
        return {
            "architecture": "picture_tower", "arguments": {"borrowed": self.borrowed_}, "image_size": self.image_size_,
            "channels": self.channels_, "prefix": "tower.",
        }  # fmt: skip

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "towers_")
        learned = {"borrowed": self.borrowed_, "measures": self.measures_, "n_iter": self.n_iter_}
        judged = [*astuple(self.relevance_), self.temperature_]
        tensors = self.towers_.to_tensors() | {"judged": torch.tensor(judged, dtype=torch.float64)}
        if self.describer_ is not None:
            tensors |= {f"describer.{name}": value for name, value in self.describer_.to_tensors().items()}
        return tensors, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        self.borrowed_, self.measures_, self.n_iter_ = (learned[name] for name in ("borrowed", "measures", "n_iter"))
        with seeded(0):  # modules draw weights before they are given theirs
            self.towers_ = FittedTowers.from_tensors(tensors, self.borrowed_)
        self.image_size_, self.channels_ = self.towers_.size, self.towers_.channels
        *relevance, self.temperature_ = tensors["judged"].tolist()
        self.relevance_ = Relevance(*relevance)
        own = {n.removeprefix("describer."): t for n, t in tensors.items() if n.startswith("describer.")}
        self.describer_ = Describer.from_tensors(own) if own else None
