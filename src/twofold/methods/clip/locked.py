"""The picture tower as it is locked: opened or solved, looked through once; and both towers before they are taught.

Dimension key: N pictures, S side, C channels, D features, R of them that are kept, U different captions, E width of the
shared space, K crops of a picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from twofold.core.estimator import seeded
from twofold.data.pictures import Pictures
from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.start import caption_directions
from twofold.methods.clip.towers import BorrowedText, PairedTowers, TextHead
from twofold.nn.augmentation import flip, resized_crop
from twofold.nn.backbones import open_backbone
from twofold.nn.openclip import OPENCLIP, OpenClipText, open_openclip
from twofold.nn.picture_tower import Bodies, PictureHead, principal_axes
from twofold.nn.plain_body import PlainBody
from twofold.nn.words import WordReader

__all__ = ["PLAIN", "Locked", "borrowed_towers", "reduced_crops", "untaught"]

PLAIN = "plain"
LARGEST_CHOSEN = 96  # side for the plain tower
CROPPED, CROPPED_AT_ONCE = (0.6, 1.0), 256  # share of the picture's area; pictures
MOST_LOOKS = 40_000  # at pictures and crops: of very many pictures there are crops enough without
N_SOLVED = 4000  # pictures that the plain tower is solved from


@dataclass(frozen=True)
class Locked:
    """What looks at pictures, and how it takes them."""

    bodies: Bodies
    size: int
    channels: int
    about: dict[str, Any] | None = None
    """What rebuilds a borrowed body; None where there is none."""
    text: OpenClipText | None = None
    """The text tower that belongs to it, where one does."""
    factor: float = 1.0
    """On the cosines of both, as they were taught."""
    is_half: bool = False
    """Whether crops are looked at in bfloat16: they serve training alone."""

    @classmethod
    def of_openclip(cls, source: str, seed: int) -> "Locked":
        """Both towers of an open_clip model."""
        visual, text, factor = open_openclip(source, seed)
        size = max(visual.network.preprocess_cfg["size"])
        about = {
            "architecture": "openclip_visual", "arguments": {"model": visual.model}, "image_size": size, "channels": 3,
        }  # fmt: skip
        return cls(Bodies([visual]).eval().requires_grad_(False), size, 3, about, text.requires_grad_(False), factor)

    @classmethod
    def of(
        cls, image_tower: str, image_size: int | None, pictures: Pictures, seed: int, *, is_half: bool = False
    ) -> "Locked":
        """The body of that name, beside one that is solved from these pictures, in bfloat16 where asked to."""
        if image_tower.startswith(OPENCLIP):
            return cls.of_openclip(image_tower, seed)
        if image_tower == PLAIN:
            side = int(np.clip(np.median(pictures.size_N2.min(1)) // 8 * 8, 16, LARGEST_CHOSEN))
            size, channels, about, bodies = image_size or side, pictures.channels, None, []
        else:
            backbone = open_backbone(image_tower, image_size=image_size, seed=seed)
            size, channels, about, bodies = backbone.image_size, backbone.channels, backbone.about, [backbone.body]
        some = pictures.take(np.random.default_rng(seed).permutation(len(pictures))[:N_SOLVED])
        pixel_MSSC = torch.from_numpy(np.array(some.resized(size, channels=channels)))
        with seeded(seed), torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            plain = PlainBody.learn(pixel_MSSC, seed=seed)
        bodies = Bodies([*bodies, plain]).eval().requires_grad_(False)
        return cls(bodies, size, channels, about, is_half=is_half)

    def features(self, pictures: Pictures, device: torch.device) -> np.ndarray:
        """What is seen of each picture, (N, D)."""
        return self.bodies.to(device).of_pixels(pictures.resized(self.size, channels=self.channels))

    def features_of_crops(
        self, pictures: Pictures, has_sides_N: np.ndarray, device: torch.device, seed: int
    ) -> np.ndarray:
        """What is seen of each picture cropped, and perhaps mirrored, in its own way, (N, D)."""
        pixel_NSSC = pictures.resized(self.size, channels=self.channels)
        chance_N5 = torch.rand(len(pixel_NSSC), 5, generator=torch.Generator().manual_seed(seed))
        # nothing is mirrored from one half on
        chance_N5[:, 4] += torch.from_numpy(has_sides_N)
        parts = []
        for rows in torch.arange(len(pixel_NSSC)).split(CROPPED_AT_ONCE):
            picture_BCSS = torch.from_numpy(np.array(pixel_NSSC[rows.numpy()])).movedim(3, 1)
            crop_BCSS = resized_crop(picture_BCSS, chance_N5[rows, :4], self.size, area=CROPPED, ratio=(1, 1))
            crop_BCSS = flip(crop_BCSS, chance_N5[rows, 4])
            pixel_BSSC = (255 * crop_BCSS).round().byte().movedim(1, 3).numpy()
            with torch.autocast(device.type, torch.bfloat16, enabled=self.is_half):
                parts.append(self.bodies.to(device).of_pixels(pixel_BSSC))
        return np.concatenate(parts)


def untaught(
    locked: Locked, feature_ND: np.ndarray, lesson: Lesson, embed_dim: int, dim: int, seed: int
) -> PairedTowers:
    """Both towers on these features, knowing nothing yet; those of open_clip know what they knew."""
    with seeded(seed):
        if locked.text is not None:
            head, text = borrowed_towers(locked, dim)
            text.remember(lesson.texts)
        else:
            learnt = np.unique(lesson.arrays(False)[0])
            axes = principal_axes(feature_ND[learnt], locked.bodies.blocks, locked.bodies.shares, seed)
            head = PictureHead(*map(torch.from_numpy, axes), embed_dim, dim)
            direction_VZ = caption_directions(lesson, seed)
            place_UZ = lesson.places(direction_VZ)
            reader = WordReader(len(direction_VZ), embed_dim) if lesson.reads_words else None
            text = TextHead(*map(torch.from_numpy, (place_UZ, direction_VZ)), embed_dim, dim, reader)
    with torch.no_grad():
        feature_NR = head.reduced(torch.from_numpy(feature_ND))
    learner = PairedTowers(head, text, feature_NR)
    if locked.text is not None:
        learner.scale.data.fill_(float(np.log(locked.factor)))
    return learner


@torch.no_grad()
def reduced_crops(
    locked: Locked, pictures: Pictures, lesson: Lesson, head: PictureHead, n_crops: int, seed: int
) -> list[torch.Tensor]:
    """What is seen of each picture's crops, along the head's axes, (1, N, R) each; fewer of many pictures."""
    device, N = head.weight.device, len(pictures)
    has_sides_N = lesson.has_sides(N)
    n_crops = min(n_crops, max(0, MOST_LOOKS // N - 1))
    crops = (locked.features_of_crops(pictures, has_sides_N, device, seed + 1 + k) for k in range(n_crops))
    return [head.reduced(torch.from_numpy(feature_ND).to(device))[None] for feature_ND in crops]


def borrowed_towers(locked: Locked, dim: int) -> tuple[PictureHead, nn.Module]:
    """Heads that leave both towers of open_clip as they are."""
    assert locked.text is not None
    E = locked.bodies.bodies[0].n_features
    head = PictureHead(torch.zeros(E), torch.eye(E), E, dim)
    head.weight.data.copy_(torch.eye(E))
    return head, BorrowedText(locked.text, E, dim)
