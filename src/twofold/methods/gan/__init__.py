"""GAN: a forger and a detective in competition, until new items pass for real: pictures, rows, texts, sounds.

The generator makes items from noise; the discriminator scores how real an item looks, and is asked of a real and a made
one side by side which is which (relativistic pairing). Penalties on the slope of its score, at real and at made items,
keep it from running away. What is answered with is a moving average of the generator's weights. The classic game of
Goodfellow et al. without all this is `loss="dcgan"`.

Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661; Jolicoeur-Martineau 2018 (relativistic),
https://arxiv.org/abs/1807.00734; Huang et al. 2024 (both penalties), https://arxiv.org/abs/2501.05441; Karras et al.
2020 (augmentation steered by what is held out), https://arxiv.org/abs/2006.06676.
Dimension key: N items, B of them at a time, Z noise numbers, K classes; `x` an item as the discriminator sees it,
(B, ...). The game is in game.py, what can be made in pictures.py, rows.py, texts.py and sounds.py, the networks in
nn/dcgan.py, nn/row_game.py, nn/text_game.py and nn/vocoder.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.device import PRECISIONS, choose_device, is_half_quicker
from twofold.core.estimator import Estimator, seeded
from twofold.core.generation import Maker, measure_fakes
from twofold.core.loop import Progress, train
from twofold.core.splits import hold_out
from twofold.errors import DataError, SettingError
from twofold.measure.report import Measure
from twofold.methods.gan.alarms import alarm
from twofold.methods.gan.forms import FORMS, Form, form_for
from twofold.methods.gan.game import WATCHED, Game, Rivals

__all__ = ["GAN", "Game", "Match"]

LOSSES = ("auto", "relativistic", "nonsaturating", "dcgan")
AT_ONCE = 256  # items
LEAST_OF_A_CLASS = 10
CLASSIC_SPREAD = 0.02  # of the first weights of Radford et al.
SLOWER = {"relativistic": 1.0, "nonsaturating": 1.2, "dcgan": 0.2}  # of the learning rate
COMPARED = 5000  # training items among which a copy is looked for


class Match(NamedTuple):
    """A game that is begun, and its turns."""

    game: Game
    turns: Any
    """A generator: one Progress a turn of both players."""
    kept: tuple[np.ndarray, ...]
    """Arrays of the items that are learned from."""
    held_out: tuple[np.ndarray, ...]


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class GAN(Estimator):
    """Makes new pictures, rows of a table, sounds or short texts like those it learned from.

    Attributes
    ----------
    network_ : generator and discriminator.
    form_ : what the items are; `form_.name` is pictures, rows, sounds or texts.
    classes_ : the labels that can be asked for, sorted; None where the game was played without labels.
    held_out_ : numbers of the items that were not learned from.
    fingerprint_ : of the items, by which they are known again.
    alarms_ : what went wrong, with remedies; empty when nothing did.
    measures_ : the state of the game at the end, on held-out items.

    Examples
    --------
    >>> pictures = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 1), np.uint8)
    >>> gan = GAN(n_steps=2, dim=4).fit(pictures)
    >>> gan.sample(3).shape, gan.discriminate(pictures[:2]).shape
    ((3, 16, 16, 1), (2,))
    """

    method: ClassVar[str] = "gan"
    reads: ClassVar[tuple[str, ...]] = ("table", "pictures", "sounds", "texts")
    learns_labels: ClassVar[bool] = True

    loss: str = "auto"
    """relativistic is steadiest, nonsaturating quicker on larger pictures, dcgan the classic; auto: one of the two."""
    gamma: float | None = None
    """Weight of the penalties on slopes, if relativistic: more is steadier, blurs longer (None: chosen, steered)."""
    noise_dim: int = 64
    """Random numbers an item is made from: more allow more variety."""
    dim: int | None = None
    """Width of the networks: wider makes finer items, and takes longer (None: chosen from the items)."""
    ema: float = 0.998
    """How much of the generator's moving average each step keeps: more is smoother, and lags longer; 0: no average."""
    conditional: bool | None = None
    """Whether classes can be asked for (None: where labels come with at least 10 items of each)."""
    size: int | None = None
    """Side that pictures are brought to: 8, 16, 32, 64 or 128 (None: 32 at most); larger takes longer."""
    kinds: dict[str, str] | None = None
    """Column name to number, category, date or ignore, where the guess would be wrong."""
    missing: tuple[str, ...] = ()
    """Words that mean a missing cell, besides the usual ones: the more are named, the fewer pass for values."""
    precision: str = "auto"
    """bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    batch_size: int = 64
    """Items per turn: more give a steadier direction and a slower step."""
    learning_rate: float = 1e-3
    """Size of an update (nonsaturating: 1.2 of it, dcgan: .2): larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from items, one Progress a step; at measurements `preview` holds made items of the same noise.

        Parameters
        ----------
        X : pictures, rows of a table, sounds, or a list of short texts; or a path of such.
        y : labels (N), by which items can be asked for; those that come with pictures and sounds need not be given.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        match = self.begin(X, y, folder=folder)
        try:
            with closing(match.turns):
                yield from map(match.game.shown, match.turns)
        finally:
            self._finish(match.game.network, match.game.form)
            self._judge(match.game, match.kept, match.held_out)
            self.n_iter_ = match.game.n_updates

    def begin(
        self, X: Any, y: Any = None, *, folder: str | Path | None = None, form: Form | None = None,
        is_blank: bool = False,
    ) -> Match:  # fmt: skip
        """The game and its turns, for who wants to look at both players in between; `train` plays it to the end.

        Parameters
        ----------
        X, y, folder : as in `train`.
        form : how items are coded, as it was learned from others (None: from these).
        is_blank : the forger begins knowing nothing, also of rows, whose clusters it is told otherwise.
        """
        self._check()
        form, arrays, labels = form_for(X).learn(self, X) if form is None else (form, form.arrays(X), None)
        class_N = self._learn_classes(labels if y is None else y, len(arrays[0]))
        N = len(class_N)
        self.fingerprint_ = _fingerprint(arrays)
        kept, held_out = _held_out((*arrays, class_N, np.arange(N)), self.seed)
        self.held_out_ = np.array([], int) if held_out is None else held_out[-1]
        game = self._start(form, kept[:-1], is_blank)
        n_steps = int(np.clip(40 * N**0.5, 200, 4000))
        plan = self._plan(n_steps, ema=self._ema, interval=max(1, (self.n_steps or n_steps) // 20))
        watched = (held_out or kept)[:-1]
        turns = train(game, kept[:-1], plan, held_out=watched, folder=None if folder is None else Path(folder))
        return Match(game, turns, kept[:-1], watched)

    def _loss(self, form: Form) -> str:
        return form.loss if self.loss == "auto" else self.loss

    @property
    def _ema(self) -> float:
        return 0.0 if self.loss == "dcgan" else self.ema

    def _check(self) -> None:
        self._check_settings(noise_dim=1, dim=1, size=1)
        for name, allowed in (("loss", LOSSES), ("precision", PRECISIONS)):
            if (value := getattr(self, name)) not in allowed:
                raise SettingError(f"{name} is {value!r}. Allowed: {', '.join(allowed)}.")
        if self.gamma is not None and not self.gamma > 0:
            raise SettingError(f"gamma is {self.gamma}; it must be greater than 0. Give about 0.1.")
        if not 0 <= self.ema < 1:
            raise SettingError(f"ema is {self.ema}; it must be at least 0 and below 1. Give about 0.998.")

    def _learn_classes(self, labels: Any, n_items: int) -> np.ndarray:
        """The number of each item's class, (N); all 0 where the game is played without."""
        if labels is not None and len(labels) != n_items:
            raise DataError(f"there are {n_items} items and {len(labels)} labels. Give one label for each item.")
        if labels is None and self.conditional:
            raise DataError("conditional needs labels; the data have none. Name them with --label, or give y.")
        self.classes_, self.shares_, self._unused = None, np.ones(1), ""
        if labels is None or self.conditional is False:
            return np.zeros(n_items, np.int64)
        classes, class_N, count_K = np.unique(np.array([str(label) for label in labels], object), return_inverse=True,
                                              return_counts=True)  # fmt: skip
        if len(classes) < 2:
            return np.zeros(n_items, np.int64)
        if self.conditional is None and count_K.min() < LEAST_OF_A_CLASS:
            self._unused = (
                f"labels are not used: there are {count_K.min()} items of {classes[count_K.argmin()]!r}, "
                f"{LEAST_OF_A_CLASS} of each are needed. Give --conditional to use them all the same."
            )
            return np.zeros(n_items, np.int64)
        self.classes_, self.shares_ = classes, count_K / n_items
        return class_N.astype(np.int64)

    def _start(self, form: Form, kept: tuple[np.ndarray, ...], is_blank: bool) -> Game:
        device, loss = choose_device(self.device), self._loss(form)
        with seeded(self.seed):
            network = Rivals(*form.networks(self, len(self.shares_)))
            if loss == "dcgan":
                network.apply(_drawn_small)
            elif not is_blank:
                form.begin(network.generator, *kept)
        is_half = self.precision == "bfloat16" or (self.precision == "auto" and is_half_quicker(device))
        learner = Game(network, form, loss=loss, gamma=self.gamma or form.gamma, is_half=is_half).to(device)
        learner.learning_rate = self.learning_rate * SLOWER[loss]
        learner.watch(*(torch.from_numpy(np.array(part[:WATCHED])).to(device) for part in kept))
        return learner

    def _finish(self, network: Rivals, form: Form) -> None:
        self.network_, self.form_ = network.cpu().eval().requires_grad_(False), form

    def _judge(self, game: Game, kept: tuple[np.ndarray, ...], held_out: tuple[np.ndarray, ...]) -> None:
        """The state of the game at the end, what went wrong, and how far to trust the detective's score."""
        *unseen, class_N = (torch.from_numpy(np.array(part[:WATCHED])) for part in held_out)
        *taught, known_N = (torch.from_numpy(np.array(part[:COMPARED])) for part in kept)
        game = game.cpu()
        # the same noise in every process
        game.generator, game.share = torch.Generator().manual_seed(self.seed), (0, 1)
        game.watch(*(part[:WATCHED] for part in (*taught, known_N)))
        measures = game.evaluate(*unseen, class_N)
        with torch.inference_mode():
            real, made = self.form_.real(*unseen), self._made(class_N, self.seed)
            measures["distance"] = game.sight.distance(made, real, self.form_.real(*taught))
        self._trust(real, made, class_N)
        self.measures_, self.alarms_ = measures, [text for text in (alarm(measures), self._unused) if text]

    @torch.inference_mode()
    def _trust(self, real: Tensor, made: Tensor, class_N: Tensor) -> None:
        """Slope and offset that make the score a probability (Platt 1999)."""
        judge = self.network_.discriminator
        score_N = torch.cat([judge(real, class_N), judge(made, class_N)]).numpy().astype(np.float64)
        spread = score_N.std() or 1.0
        model = LogisticRegression().fit(score_N[:, None] / spread, np.arange(len(score_N)) < len(real))
        self.network_.trust_2.copy_(torch.tensor([model.coef_[0, 0] / spread, model.intercept_[0]]))

    # ---- verbs -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def sample(self, n: int = 16, *, label: str | None = None, seed: int = 0) -> Any:
        """New items: uint8 pictures (n, S, S, C), a table as was learned from, sounds, or texts.

        Parameters
        ----------
        label : of all of them, one of `classes_` (None: as often as in training).
        seed : the same gives the same items.
        """
        check_is_fitted(self, "network_")
        if not n >= 1:
            raise SettingError(f"n is {n}; it must be at least 1. Give the number of items to make.")
        return self.form_.items(self._made(self._wanted(n, label, seed), seed))

    @torch.inference_mode()
    def interpolate(self, seed: int = 0, other_seed: int = 1, n: int = 8, *, label: str | None = None) -> Any:
        """Items on the way from the item of one seed to that of another, along the sphere that noise lies near."""
        check_is_fitted(self, "network_")
        ends = [self._noise(1, at) for at in (seed, other_seed)]
        angle = torch.arccos(functional.cosine_similarity(*ends).clamp(-1, 1))
        share_n1 = torch.linspace(0, 1, n)[:, None]
        weights = [torch.sin((1 - share_n1) * angle), torch.sin(share_n1 * angle)]
        is_same = float(angle) < 1e-3
        noise_nZ = ends[0].expand(n, -1) if is_same else sum(w * e for w, e in zip(weights, ends, strict=True)) \
            / torch.sin(angle)  # fmt: skip
        class_n, generator = self._wanted(1, label, seed).expand(n), self.network_.generator
        told = []
        if (sketch := getattr(generator, "sketch", None)) is not None:
            first_1P, last_1P = (sketch.draw(end[:, : sketch.n_noise], class_n[:1]) for end in ends)
            told.append(torch.lerp(first_1P, last_1P, share_n1))
        return self.form_.items(generator(noise_nZ, class_n, *told))

    @torch.inference_mode()
    def discriminate(self, X: Any, y: Any = None) -> np.ndarray:
        """The probability that each item is real rather than made by this generator, (N).

        It is the detective's word, who learned on such items; an independent judge is twofold.turing.

        Parameters
        ----------
        y : the items' labels, where classes were learned and none come with X: the detective judges a 3 as a 3.
        """
        check_is_fitted(self, "network_")
        arrays = [torch.from_numpy(np.array(part)) for part in self.form_.arrays(X)]
        class_N = self._told(X, y, len(arrays[0]))
        parts = zip(class_N.split(AT_ONCE), *(part.split(AT_ONCE) for part in arrays), strict=True)
        return torch.cat([self.network_.probability(self.form_.real(*part), c_B) for c_B, *part in parts]).numpy()

    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """How near what is made comes to X, each measure beside real held-out items and trivial fakes.

        Given the very data of the training, the held-out part of it is what is compared with; of other data a quarter.
        """
        check_is_fitted(self, "network_")
        items, labels = self.form_.given(X)
        is_known = _fingerprint(self.form_.arrays(X)) == self.fingerprint_
        classes = () if self.classes_ is None else tuple(self.classes_)
        maker = Maker(
            lambda n: self.sample(n, seed=self.seed + 1),
            (lambda n, label: self.sample(n, label=label, seed=self.seed + 2)) if classes else None, classes,
        )  # fmt: skip
        return measure_fakes(
            items, maker, label_N=labels if y is None else y, unseen=self.held_out_ if is_known else None,
            seed=self.seed % 2**32,
        )  # fmt: skip

    def _made(self, class_N: Tensor, seed: int) -> Tensor:
        """What the generator makes of fresh noise, (N, ...)."""
        parts = zip(self._noise(len(class_N), seed).split(AT_ONCE), class_N.split(AT_ONCE), strict=True)
        return torch.cat([self.network_.generator(*part) for part in parts])

    def _noise(self, n: int, seed: int) -> Tensor:
        return torch.randn(n, self.network_.generator.n_noise, generator=torch.Generator().manual_seed(seed))

    def _wanted(self, n: int, label: str | None, seed: int) -> Tensor:
        """The classes of n items to make."""
        if label is not None:
            return self._numbers([label]).expand(n)
        return torch.from_numpy(np.random.default_rng(seed).choice(len(self.shares_), n, p=self.shares_))

    def _told(self, X: Any, y: Any, n_items: int) -> Tensor:
        """The classes' numbers of items to judge; all 0 where none were learned."""
        if self.classes_ is None and y is None:
            return torch.zeros(n_items, dtype=torch.int64)
        labels = self.form_.given(X)[1] if y is None else y
        if labels is None or len(labels) != n_items:
            n_labels = 0 if labels is None else len(labels)
            raise DataError(
                f"there are {n_items} items and {n_labels} labels. Give y, one of the classes for each item."
            )
        return self._numbers(labels)

    def _numbers(self, labels: Any) -> Tensor:
        """The classes' numbers of labels."""
        if self.classes_ is None:
            raise SettingError("a label was given, but this GAN knows no classes. Leave it out, or fit with labels.")
        place = {name: number for number, name in enumerate(self.classes_)}
        for label in labels:
            if str(label) not in place:
                raise SettingError(f"label is {label!r}. Allowed: {', '.join(self.classes_)}.")
        return torch.tensor([place[str(label)] for label in labels])

    # ---- saving ----------------------------------------------------------------------------------

    def describe_backbone(self) -> dict[str, Any] | None:
        """What the detective of pixels is rebuilt from (nn/encoders.py); nothing for other items, and latents."""
        if self.form_.name != "pictures" or self.form_.autoencoder is not None:
            return None
        told = {"size": self.form_.size, "channels": self.form_.channels}
        return {"architecture": "detective", "arguments": told, "image_size": told["size"], **told}

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "network_")
        learned = {
            "form": self.form_.name, "items": self.form_.to_json(), "n_iter": self.n_iter_, "measures": self.measures_,
            "alarms": self.alarms_,
            "fingerprint": self.fingerprint_, "held_out": self.held_out_.tolist(), "shares": self.shares_.tolist(),
            "classes": None if self.classes_ is None else list(self.classes_),
        }  # fmt: skip
        return dict(self.network_.state_dict()), learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        form = FORMS[learned["form"]].from_json(learned["items"])
        shape = replace(self, **form.sizes_of(tensors))
        network = Rivals(*form.networks(shape, len(learned["shares"])))
        network.load_state_dict(dict(tensors))
        self._finish(network, form)
        self.shares_, self.held_out_ = np.array(learned["shares"]), np.array(learned["held_out"], int)
        self.classes_ = None if learned["classes"] is None else np.array(learned["classes"], object)
        self.fingerprint_ = learned["fingerprint"]
        self.n_iter_, self.measures_, self.alarms_ = learned["n_iter"], learned["measures"], learned["alarms"]


def _held_out(data: tuple[np.ndarray, ...], seed: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...] | None]:
    """A tenth of the items, 1,000 at most, whatever their size: they set the floor of the measures."""
    if isinstance(data[0], np.memmap):
        return hold_out(data, 1, seed)
    kept, held_out = hold_out((data[-1], *data), 1, seed)
    return kept[1:], held_out and held_out[1:]


def _fingerprint(arrays: tuple[np.ndarray, ...]) -> str:
    """By which data are known again."""
    digest = sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _drawn_small(layer: nn.Module) -> None:
    """The first weights of the classic game."""
    # a vocoder's weights are set aside as buffers: they were learned before
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and isinstance(layer.weight, nn.Parameter):
        nn.init.normal_(layer.weight, 0.0, CLASSIC_SPREAD)
