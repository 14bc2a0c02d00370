"""The two towers as one learner: what belongs together comes close, what does not is pushed apart.

Zhai, Mustafa, Kolesnikov, Beyer 2023 (pairwise sigmoid loss), https://arxiv.org/abs/2303.15343; Radford et al. 2021
(CLIP), https://arxiv.org/abs/2103.00020; Zhai et al. 2022 (a locked picture tower), https://arxiv.org/abs/2111.07991
Dimension key: B pairs of a picture and a caption, A pairs of all processes, N pictures, R features of one, L pieces of
a caption, T words, U different captions, V pieces, Z directions of captions, E width of the shared space.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.measure.retrieval import Ranks
from twofold.nn.bend import Bend
from twofold.nn.openclip import OpenClipText
from twofold.nn.picture_tower import Bodies, PictureHead
from twofold.nn.pixels import from_pixels
from twofold.nn.words import BagTower, WordReader

__all__ = [
    "BorrowedText", "PairedTowers", "TextHead", "TextTower", "UnlockedTowers", "misses", "pairwise_loss", "right_pairs",
]  # fmt: skip

SCALE_INIT, SHIFT_INIT = math.log(10.0), -6.0  # as the sigmoid loss's paper, for thousands of pairs that do not fit
AT_ONCE = 32
LEFT_OUT = 0.2  # of a picture's features, in training


class TextTower(nn.Module):
    """A caption as a bag, and where there are many pairs also as a sequence, in the shared space."""

    def __init__(self, bag: BagTower, reader: WordReader | None):
        super().__init__()
        self.bag, self.reader = bag, reader

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor]) -> "TextTower":
        """The tower that these weights are of."""
        bag = BagTower(tensors["bag.weight_V"][1:], len(tensors["bag.bias"]), len(tensors["bag.bend.0.bias"]))
        reader = None
        if "reader.embedding.weight" in tensors:
            n_words, dim = tensors["reader.embedding.weight"].shape
            depth = len({name.split(".")[2] for name in tensors if name.startswith("reader.blocks.")})
            reader = WordReader(n_words - 1, len(tensors["bag.bias"]), dim, depth)
        tower = cls(bag, reader)
        tower.load_state_dict(dict(tensors))
        return tower.eval()

    def forward(self, piece_BL: Tensor, word_BT: Tensor) -> Tensor:
        """(B, E), of length 1."""
        text_BE = self.bag(piece_BL)
        if self.reader is not None:
            text_BE = text_BE + self.reader(word_BT)
        return functional.normalize(text_BE.float(), dim=1)

    def settled(self, weight_V: Tensor) -> "TextTower":
        """As it is: it takes any text."""
        return self


class TextHead(nn.Module):
    """Captions that were looked at once, as pictures are, and two ways from there into the shared space.

    A caption is known by its place along the directions that captions differ in most; what bends the way begins as
    nothing.

    Parameters
    ----------
    place_UZ : of every different caption; batches name them by number.
    direction_VZ : of the pieces.
    """

    def __init__(self, place_UZ: Tensor, direction_VZ: Tensor, embed_dim: int, dim: int, reader: WordReader | None):
        super().__init__()
        # data, and not to be saved
        self.register_buffer("place_UZ", place_UZ, persistent=False)
        self.direction_VZ = direction_VZ
        self.weight = nn.Parameter(torch.zeros(place_UZ.shape[1], embed_dim))
        self.bias = nn.Parameter(torch.zeros(embed_dim))
        self.bend = Bend(embed_dim, dim, embed_dim)
        self.reader = reader

    def forward(self, number_B1: Tensor, word_BT: Tensor) -> Tensor:
        """(B, E), of length 1."""
        plain_BE = self.place_UZ[number_B1[:, 0]] @ self.weight + self.bias
        text_BE = plain_BE + self.bend(plain_BE)
        if self.reader is not None:
            text_BE = text_BE + self.reader(word_BT)
        return functional.normalize(text_BE.float(), dim=1)

    @torch.no_grad()
    def settled(self, weight_V: Tensor) -> TextTower:
        """The same for any text, told by its pieces."""
        with seeded(0):  # weights are drawn before it is given its own
            bag = BagTower(weight_V, len(self.bias), self.bend[0].out_features)
        bag.meaning[1:] = self.direction_VZ @ self.weight.cpu()
        bag.bias.copy_(self.bias)
        bag.bend.load_state_dict(self.bend.state_dict())
        return TextTower(bag, self.reader)


class BorrowedText(nn.Module):
    """Texts through a tower that was taught elsewhere; what bends the way begins as nothing.

    Parameters
    ----------
    encoder : tokens (B, L) to vectors of length 1, (B, E). It is locked, unless its last layers are tuned too.
    """

    def __init__(self, encoder: OpenClipText, embed_dim: int, dim: int):
        super().__init__()
        self.encoder = encoder
        self.bend = Bend(embed_dim, dim, embed_dim)
        self.known_UE: Tensor | None = None

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], model: str) -> "BorrowedText":
        """The tower that these weights are of."""
        own = {name.removeprefix("encoder."): t for name, t in tensors.items() if name.startswith("encoder.")}
        encoder = OpenClipText.with_weights(own, model)
        tower = cls(encoder, len(tensors["bend.2.bias"]), len(tensors["bend.0.bias"]))
        tower.load_state_dict(dict(tensors))
        return tower.eval()

    @torch.inference_mode()
    def remember(self, texts: Sequence[str]) -> None:
        """From now on texts come as numbers of these."""
        parts = [
            self.encoder(torch.from_numpy(self.encoder.tokens(texts[i : i + 64]))) for i in range(0, len(texts), 64)
        ]
        # a tensor that gradients may pass by
        self.known_UE = torch.cat(parts).clone()

    def settled(self, weight_V: Tensor) -> "BorrowedText":
        """The same for any text, told by its tokens."""
        self.known_UE = None
        return self

    def forward(self, piece_BL: Tensor, word_BT: Tensor) -> Tensor:
        """(B, E), of length 1; pieces are tokens, or, of texts that are remembered, their numbers."""
        if self.known_UE is None:
            text_BE = self.encoder(piece_BL)
        else:
            text_BE = self.known_UE.to(piece_BL.device)[piece_BL[:, 0]]
        return functional.normalize((text_BE + self.bend(text_BE)).float(), dim=1)


def pairwise_loss(score_BA: Tensor, is_pair_BA: Tensor) -> Tensor:
    """-log sigmoid of +score where picture and caption belong together and of -score where not, summed a row.

    Parameters
    ----------
    is_pair_BA : any number of them may be true in a row: a caption of several pictures, a picture of several captions.
    """
    signed_BA = torch.where(is_pair_BA, -score_BA, score_BA)
    return functional.softplus(signed_BA).sum(1).mean()


class PairedTowers(Learner):
    """A head on the pictures' features and a tower of texts, with the scale and shift of their scores.

    Parameters
    ----------
    feature_NR : what the picture tower sees of every picture; batches name them by number. `view_KNR` holds this first,
        and then what it sees of their crops.
    """

    def __init__(self, head: PictureHead, text: TextHead | TextTower | BorrowedText, feature_NR: Tensor):
        super().__init__()
        self.head, self.text, self.is_half = head, text, False
        self.scale = nn.Parameter(torch.tensor(SCALE_INIT))
        self.shift = nn.Parameter(torch.tensor(SHIFT_INIT))
        # no buffer: it is data, and not to be saved
        self.view_KNR = feature_NR[None]

    @property
    def feature_NR(self) -> Tensor:
        """Of the whole pictures."""
        return self.view_KNR[0]

    def loss(self, picture_B: Tensor, text_B: Tensor, piece_BL: Tensor, word_BT: Tensor) -> dict[str, Tensor]:
        """The pairwise loss; `text` numbers the captions, the same words by the same number."""
        with torch.autocast(self.scale.device.type, torch.bfloat16, enabled=self.is_half):
            feature_BR = self.seen(picture_B)
            if self.training:
                is_kept_BR = self.uniform(len(feature_BR), feature_BR.shape[1]) > LEFT_OUT
                feature_BR = feature_BR * is_kept_BR / (1 - LEFT_OUT)
            picture_BE = functional.normalize(self.head(feature_BR).float(), dim=1)
            caption_AE = self.whole_batch(self.text(piece_BL, word_BT))
            cosine_BA = (picture_BE @ caption_AE.T).float()
        score_BA = cosine_BA * self.scale.exp() + self.shift
        return {"pairwise": pairwise_loss(score_BA, self._pairs(picture_B, text_B))}

    def seen(self, picture_B: Tensor) -> Tensor:
        """What the picture tower sees of these, (B, R); in training, of the whole or of one of the crops."""
        if not self.training or len(self.view_KNR) == 1:
            return self.feature_NR[picture_B]
        which_B = (self.uniform(len(picture_B)) * len(self.view_KNR)).long()
        return self.view_KNR[which_B, picture_B]

    def _pairs(self, picture_B: Tensor, text_B: Tensor) -> Tensor:
        """(B, A): the same picture, or the same caption."""
        both_B2 = torch.stack([picture_B, text_B], 1).float()
        both_A2 = self.whole_batch(both_B2)
        return (both_B2[:, :1] == both_A2[:, 0]) | (both_B2[:, 1:] == both_A2[:, 1])

    @torch.inference_mode()
    def evaluate(self, picture_M: Tensor, text_M: Tensor, piece_ML: Tensor, word_MT: Tensor) -> dict[str, float]:
        """How far captions and pictures are from finding each other at once: 1 - mean of 1 / place, both ways."""
        device = self.scale.device
        picture_M, piece_ML, word_MT = (part.to(device) for part in (picture_M, piece_ML, word_MT))
        text_ME = self.text(piece_ML, word_MT)
        numbers_N, row_M = picture_M.unique(return_inverse=True)
        picture_NE = functional.normalize(self.head(self.seen(numbers_N)), dim=1)
        score_MN = (text_ME @ picture_NE.T).float().cpu().numpy()
        is_right_MN = right_pairs(row_M.cpu().numpy(), text_M.cpu().numpy(), len(numbers_N))
        return {"held_out": misses(score_MN, is_right_MN)}


class UnlockedTowers(PairedTowers):
    """The same with the last layers of a borrowed tower tuned too, far more slowly than the heads.

    Kumar et al. 2022 (first the head, then the rest), https://arxiv.org/abs/2202.10054

    Parameters
    ----------
    taught : the towers with their heads taught; `weight_V` of the pieces of captions.
    bodies, pixel_NSSC : what looks at the pictures, and these.
    n_layers : how many of the last layers of a borrowed body are tuned, and of a borrowed text tower.
    """

    def __init__(
        self, taught: PairedTowers, weight_V: Tensor, bodies: Bodies, pixel_NSSC: np.ndarray, n_layers: int
    ):  # fmt: skip
        super().__init__(taught.head, taught.text.settled(weight_V), taught.feature_NR)
        self.scale, self.shift, self.is_half = taught.scale, taught.shift, taught.is_half
        self.bodies, self.pixel_NSSC = bodies, pixel_NSSC
        self.learning_rate = taught.learning_rate / 10
        borrowed = [self.bodies.bodies[0], *([self.text.encoder] if isinstance(self.text, BorrowedText) else [])]
        for tower in borrowed:
            for layer in tower.layers[-n_layers:]:
                layer.requires_grad_(True)

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """A third of the heads' rate for what was taught elsewhere."""
        own = {id(p) for part in (self.head, self.text) for name, p in part.named_parameters() if "encoder" not in name}
        weights = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in weights if id(p) in own or p.ndim == 0], "lr": self.learning_rate},
            {"params": [p for p in weights if id(p) not in own and p.ndim > 0], "lr": self.learning_rate / 3},
        ]
        # eps: vanishing gradients must not follow rounding
        return {"weights": torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-6, weight_decay=1e-4, fused=True)}

    def train(self, mode: bool = True) -> "UnlockedTowers":
        """The bodies stay as they answer: statistics of batches are not learned anew."""
        super().train(mode)
        self.bodies.eval()
        if isinstance(self.text, BorrowedText):
            self.text.encoder.eval()
        return self

    def seen(self, picture_B: Tensor) -> Tensor:
        """Looked at anew each time."""
        parts = []
        for some_B in picture_B.split(AT_ONCE):
            pixels = torch.from_numpy(np.asarray(self.pixel_NSSC[some_B.cpu().numpy()]))
            picture_BCSS = from_pixels(pixels.to(picture_B.device)).contiguous(memory_format=torch.channels_last)
            parts.append(self.head.reduced(self.bodies(picture_BCSS)))
        return torch.cat(parts)


def misses(score_MN: np.ndarray, is_right_MN: np.ndarray) -> float:
    """How far captions and pictures are from finding each other at once: 1 - mean of 1 / place, both ways."""
    found = [Ranks(score_MN, is_right_MN), Ranks(score_MN.T, is_right_MN.T)]
    return 1 - float(np.mean([ranks.mean_reciprocal for ranks in found]))


def right_pairs(row_M: np.ndarray, text_M: np.ndarray, N: int) -> np.ndarray:
    """(M, N): which pictures each caption was given to, by itself or in the same words."""
    of_text = np.zeros((int(text_M.max(initial=0)) + 1, N), bool)
    of_text[text_M, row_M] = True
    return of_text[text_M]
