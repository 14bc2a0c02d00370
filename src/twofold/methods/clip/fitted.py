"""Both towers as they answer: pictures and texts to vectors of length 1, and where in a picture a text fits.

Some pictures lie near texts of any kind, and would turn up in every search. How near a picture lies to the known
captions next to it is taken off its scores: as one more number of its vector, so that a score stays a cosine.

Conneau et al. 2018 (local scaling of what many are near to), https://arxiv.org/abs/1710.04087
Dimension key: N pictures, M texts, L labels, K known captions, B pictures at a time, S side, C channels, E width of the
towers' space, W width of the vectors: E, or E + 1 with that number; P places that are covered, H height, s side of the
middle square.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from twofold.data.pairs import Pairs
from twofold.data.pictures import Pictures
from twofold.measure.relevance import Relevance
from twofold.methods.clip.lesson import Lesson, text_arrays
from twofold.methods.clip.towers import BorrowedText, TextTower
from twofold.nn.picture_tower import PictureTower
from twofold.nn.pixels import from_pixels
from twofold.nn.ridge import best_temperature
from twofold.nn.words import Pieces

__all__ = ["FittedTowers", "Hit", "judge"]

AT_ONCE = 32
MOST_NEAR, ONE_NEAR_IN = 30, 50  # captions that are near to a picture; of so many known ones, one
MOST_LEANT_ON, ONE_LEANT_ON_IN = 100, 40  # captions that a label leans on
LEANING = 2.0  # how far it does; its own words count 1
NEARNESS = 0.4  # of how near a picture is to them, taken off its scores
SPLIT = 0.5  # the number that a text has for it; the smaller, the less of a score is lost to it
N_PLACES = 8  # covered, along each side of a picture
MOST_JUDGED = 500  # pictures
RELATED = 0.2  # cosine of the words of two captions from which on they speak of related things
COMMON = 0.3  # share of the pictures
N_CHOICES = 10  # labels of a task by which probabilities are calibrated


class Hit(NamedTuple):
    """A picture that was found."""

    index: int
    """Its number among those searched."""
    score: float
    """Cosine in the shared space, times the share of the text that is known."""


@dataclass(frozen=True)
class FittedTowers:
    """The towers of pictures and of texts, with what they need to be asked."""

    tower: PictureTower
    text: TextTower | BorrowedText
    pieces: Pieces
    size: int
    """S, the side that pictures are brought to."""
    channels: int
    """C: 1 or 3."""
    known_KE: np.ndarray
    """Captions that were learned from; there may be none."""
    usual: float = 0.0
    """How near a picture lies to the known captions next to it, on average."""

    def leaning_on(self, texts: Sequence[str], picture_NE: np.ndarray) -> "FittedTowers":
        """The same, with these captions known, and how near these pictures, better new ones, lie to them."""
        known_KE = replace(self, known_KE=self.known_KE[:0]).embed_texts(texts)
        leaning = replace(self, known_KE=known_KE)
        return replace(leaning, usual=float(leaning.nearness(picture_NE).mean()) if leaning.n_near else 0.0)

    @property
    def n_near(self) -> int:
        """How many known captions count as next to a picture; 0 where too few are known."""
        return min(MOST_NEAR, len(self.known_KE) // ONE_NEAR_IN)

    def nearness(self, picture_NE: np.ndarray) -> np.ndarray:
        """The mean cosine of pictures to the known captions next to each, (N)."""
        cosine_NK = picture_NE @ self.known_KE.T
        return np.partition(cosine_NK, -self.n_near, 1)[:, -self.n_near :].mean(1)

    def embed_pixels(self, pixel_NSSC: np.ndarray) -> np.ndarray:
        """Pictures of side S, uint8, as float32 (N, W)."""
        picture_NE = self._looked_at(pixel_NSSC)
        if not self.n_near or not len(picture_NE):
            return picture_NE if len(picture_NE) else np.empty((0, self.width), np.float32)
        off_N = NEARNESS / SPLIT * (self.nearness(picture_NE) - self.usual)
        return _unit(np.column_stack([picture_NE, -off_N]).astype(np.float32))

    @torch.inference_mode()
    def _looked_at(self, pixel_NSSC: np.ndarray) -> np.ndarray:
        device, parts = next(self.tower.parameters()).device, []
        for first in range(0, len(pixel_NSSC), AT_ONCE):
            picture_BCSS = from_pixels(torch.tensor(np.asarray(pixel_NSSC[first : first + AT_ONCE])).to(device))
            parts.append(self.tower.embedded(picture_BCSS.contiguous(memory_format=torch.channels_last)).cpu())
        return torch.cat(parts).numpy() if parts else np.empty((0, len(self.tower.head.bias)), np.float32)

    @torch.inference_mode()
    def features(self, pixel_NSSC: np.ndarray) -> np.ndarray:
        """What the picture tower sees, along its principal axes, float32 (N, R)."""
        return self.tower.head.reduced(torch.from_numpy(self.tower.bodies.of_pixels(pixel_NSSC))).numpy()

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 (M, W); a text without a known word or run of letters is like any other such."""
        if isinstance(self.text, BorrowedText):
            tokens = self.text.encoder.tokens(texts)
            arrays = tokens, np.zeros((len(tokens), 1), np.int32)
        else:
            arrays = text_arrays(self.pieces, texts, reads_words=self.text.reader is not None)
        return self._widened(self.text(*map(torch.from_numpy, arrays)).numpy())

    def _widened(self, text_ME: np.ndarray) -> np.ndarray:
        """Texts with the number by which a picture's nearness counts, (M, W)."""
        if not self.n_near:
            return text_ME
        return _unit(np.column_stack([text_ME, np.full(len(text_ME), SPLIT, np.float32)]))

    def embed_labels(self, labels: Sequence[str], templates: Sequence[str]) -> np.ndarray:
        """Labels as directions, float32 (L, W): the mean over the templates, leaning on known captions near it.

        A label such as "animals" is seldom a caption itself; those that speak of animals tell where they lie.
        """
        E = self.known_KE.shape[1]
        label_LE = sum(_unit(self.embed_texts([t.replace("{}", label) for label in labels])[:, :E]) for t in templates)
        label_LE = _unit(np.asarray(label_LE))
        n_near = min(MOST_LEANT_ON, len(self.known_KE) // ONE_LEANT_ON_IN)
        if n_near:
            near_LK = np.argsort(-(label_LE @ self.known_KE.T), 1, kind="stable")[:, :n_near]
            label_LE = _unit(label_LE + LEANING * self.known_KE[near_LK].mean(1))
        return self._widened(label_LE)

    def known_share(self, texts: Sequence[str]) -> np.ndarray:
        """How much of each text is known, (M,): what is not known must not be trusted to fit."""
        return np.ones(len(texts)) if isinstance(self.text, BorrowedText) else self.pieces.known_share(texts)

    def unknown(self, text: str) -> list[str]:
        """Words that no caption had; a borrowed tower knows them all its own way."""
        return [] if isinstance(self.text, BorrowedText) else self.pieces.unknown(text)

    @property
    def width(self) -> int:
        """W."""
        return len(self.tower.head.bias) + bool(self.n_near)

    def heat(self, picture_HWC: np.ndarray, text_W: np.ndarray) -> np.ndarray:
        """How much of the score each part of the middle square carries, (H, W): it is covered, and the score falls.

        Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901
        """
        pixel_SSC = Pictures.of([picture_HWC]).resized(self.size, channels=self.channels)[0]
        box_P4 = _boxes(self.size)
        covered_PSSC = np.repeat(pixel_SSC[None], len(box_P4) + 1, 0)
        for place, (top, down, left, right) in enumerate(box_P4):
            covered_PSSC[place, top:down, left:right] = pixel_SSC.mean((0, 1))
        score_P = self.embed_pixels(covered_PSSC) @ text_W
        heat_SS, n_SS = np.zeros((self.size, self.size)), np.full((self.size, self.size), 1e-9)
        for (top, down, left, right), score in zip(box_P4, score_P[:-1], strict=True):
            heat_SS[top:down, left:right] += max(0.0, float(score_P[-1] - score))
            n_SS[top:down, left:right] += 1
        return _over_the_middle(heat_SS / n_SS, picture_HWC.shape[:2])

    # ---- saving ----------------------------------------------------------------------------------

    def to_tensors(self) -> dict[str, Tensor]:
        """Weights and the names of the pieces."""
        tensors = {f"tower.{name}": value for name, value in self.tower.state_dict().items()}
        tensors |= {f"text.{name}": value for name, value in self.text.state_dict().items()}
        tensors["shape"] = torch.tensor([self.size, self.channels])
        if len(self.known_KE):
            tensors |= {"known": torch.tensor(self.known_KE), "usual": torch.tensor([self.usual], dtype=torch.float64)}
        if self.pieces.names:
            names = np.frombuffer("\n".join(self.pieces.names).encode(), np.uint8)
            tensors |= {"pieces": torch.tensor(names), "piece_weights": torch.tensor(self.pieces.weight_V)}
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], borrowed: Mapping[str, Any] | None) -> "FittedTowers":
        """The reverse; `borrowed` tells of the body that was not our own."""
        of_tower, of_text = (
            {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
            for part in ("tower.", "text.")
        )
        tower = PictureTower.with_weights(of_tower, {"borrowed": borrowed}).requires_grad_(False)
        tower = tower.to(memory_format=torch.channels_last)
        names = tensors["pieces"].numpy().tobytes().decode().split("\n") if "pieces" in tensors else []
        pieces = Pieces(names, tensors["piece_weights"].numpy() if names else np.zeros(0))
        if len(names) != len(pieces.weight_V):
            raise ValueError(f"{len(names)} pieces are named, {len(pieces.weight_V)} have weights")
        is_borrowed = borrowed is not None and borrowed["architecture"] == "openclip_visual"
        text: TextTower | BorrowedText
        if is_borrowed:
            text = BorrowedText.with_weights(of_text, borrowed["arguments"]["model"])
        else:
            text = TextTower.with_weights(of_text)
        known_KE, usual, E = np.zeros((0, len(tower.head.bias)), np.float32), 0.0, len(tower.head.bias)
        # models from before nearness was taken off answer as they did
        if "usual" in tensors:
            known_KE, usual = tensors["known"].numpy(), float(tensors["usual"][0])
        if known_KE.shape[1] != E:
            raise ValueError(f"known captions have {known_KE.shape[1]} numbers, the towers {E}")
        return cls(tower, text.requires_grad_(False), pieces, *tensors["shape"].tolist(), known_KE, usual)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that is learned."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.to_tensors().items()):
            found.update(name.encode())
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()


def _unit(vector_NW: np.ndarray) -> np.ndarray:
    return vector_NW / np.maximum(np.linalg.norm(vector_NW, axis=1, keepdims=True), 1e-9)


def _boxes(S: int) -> list[tuple[int, int, int, int]]:
    """Squares of a quarter of the side that overlap by half: top, down, left, right."""
    starts = np.linspace(0, S - max(1, S // 4), N_PLACES).round().astype(int)
    side = max(1, S // 4)
    return [(top, top + side, left, left + side) for top in starts for left in starts]


def _over_the_middle(heat_SS: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """As large as the picture; nothing beside the square that the towers saw."""
    s = min(shape)
    heat_ss = np.asarray(Image.fromarray(heat_SS.astype(np.float32)).resize((s, s), Image.Resampling.BILINEAR))
    heat_HW = np.zeros(shape, np.float32)
    top, left = (shape[0] - s) // 2, (shape[1] - s) // 2
    heat_HW[top : top + s, left : left + s] = heat_ss
    return heat_HW


# ---- judging by pictures that were held out ------------------------------------------------------


def judge(towers: FittedTowers, pairs: Pairs, lesson: Lesson, seed: int) -> tuple[Relevance, float]:
    """When nothing fits, and how sharp probabilities are to be; of few pictures by those that were learned from."""
    held_out = np.unique(lesson.picture_M[lesson.is_held_M])
    some = pairs.take(held_out if len(held_out) else np.arange(min(len(pairs), MOST_JUDGED)))
    texts, is_right_UN = some.told()
    picture_NW = towers.embed_pixels(some.pictures.resized(towers.size, channels=towers.channels))
    score_UN = towers.embed_texts(texts) @ picture_NW.T
    # people ask in fewer words than captions have
    asked, is_asked_QN = _shortened(texts, is_right_UN, np.random.default_rng(seed))
    all_QN = np.concatenate([score_UN, towers.embed_texts(asked) @ picture_NW.T]) if asked else score_UN
    all_QN = all_QN * towers.known_share([*texts, *asked])[:, None]
    is_right_QN = np.concatenate([is_right_UN, is_asked_QN])
    word_QV, word_UV = (lesson.pieces.matrix(lesson.pieces.encode(own)) for own in ([*texts, *asked], texts))
    is_related_QU = np.asarray((word_QV @ word_UV.T).todense()) >= RELATED
    relevance = Relevance.learn(all_QN, is_right_QN, is_related_QU @ is_right_UN, seed % 2**32)
    return relevance, _sharpness(score_UN, is_right_UN, seed)


def _shortened(texts: Sequence[str], is_right_UN: np.ndarray, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """A word or two of each longer caption, and which pictures have a caption with all of these."""
    words_U = [set(text.lower().split()) for text in texts]
    asked: dict[str, np.ndarray] = {}
    for words in (text.lower().split() for text in texts):
        n = int(rng.integers(1, 3))
        if len(words) <= n:
            continue
        first = int(rng.integers(len(words) - n + 1))
        chosen = words[first : first + n]
        has_all_U = np.array([own.issuperset(chosen) for own in words_U])
        is_right_N = is_right_UN[has_all_U].any(0)
        # what nearly all pictures show is no question
        if is_right_N.mean() <= COMMON:
            asked[" ".join(chosen)] = is_right_N
    return list(asked), np.array(list(asked.values()), bool).reshape(-1, is_right_UN.shape[1])


def _sharpness(score_UN: np.ndarray, is_right_UN: np.ndarray, seed: int) -> float:
    """The factor on cosines whose softmax over a right caption and some wrong ones is calibrated."""
    rng, task_TK = np.random.default_rng(seed), []
    for picture in np.flatnonzero(is_right_UN.any(0) & ~is_right_UN.all(0)):
        right, wrong = (np.flatnonzero(is_right_UN[:, picture] == is_true) for is_true in (True, False))
        chosen_K = [rng.choice(right), *rng.choice(wrong, N_CHOICES - 1)]
        task_TK.append(score_UN[chosen_K, picture])
    if not task_TK:
        return 1.0
    return float(best_temperature(np.array(task_TK, np.float64), np.zeros(len(task_TK), np.int64)))
