"""Pictures as a GAN makes them; those of 128 pixels in the latent of an autoencoder.

Dimension key: N pictures, B of them at a time, C channels, S side, Q numbers of a coarse look, M of them known.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.estimator import seeded
from twofold.core.picture_latents import learn_patch_autoencoder
from twofold.data.pictures import open_pictures
from twofold.errors import RunError, SettingError
from twofold.nn.aside import set_aside
from twofold.nn.dcgan import CLASS_DIM, PictureDiscriminator, PictureGenerator
from twofold.nn.patch_autoencoder import PATCH, PatchAutoencoder
from twofold.nn.pixels import from_pixels, to_pixels
from twofold.nn.sketch import N_KNOWN, N_MEANT, Sketch

__all__ = ["PictureForm"]

SIZES, LARGEST_CHOSEN = (8, 16, 32, 64, 128), 32
SMALL = 16
MOVED = 1 / 8  # of the side, that augmentation moves a picture at most
LIGHTER = 0.2
AT_ONCE = 64  # pictures
IN_LATENT, DECODER_STEPS = 128, 300  # from this size on the game is played in a latent; updates of its decoder


class PictureForm:
    """Pictures in one size, on their way to the detective and back from the forger.

    Parameters
    ----------
    size : S: 8, 16, 32, 64 or 128.
    channels : 1 or 3.
    n_known : pictures whose coarse looks the forger begins with; 0: it begins with nothing.
    autoencoder : in whose latent the game is played (None: in the pixels).
    """

    name: ClassVar[str] = "pictures"
    n_chances: ClassVar[int] = 3

    def __init__(self, size: int, channels: int, n_known: int = 0, autoencoder: PatchAutoencoder | None = None):
        self.size, self.channels, self.n_known, self.autoencoder = size, channels, n_known, autoencoder
        self.side, self.n_channels = size, channels
        if autoencoder is not None:
            self.side, self.n_channels = size // PATCH, autoencoder.n_latents

    @classmethod
    def learn(cls, gan: Any, X: Any) -> tuple["PictureForm", tuple[np.ndarray, ...], np.ndarray | None]:
        """The size that suits X, its pictures in that size, uint8 (N, S, S, C), and their labels."""
        if gan.size not in (None, *SIZES):
            raise SettingError(f"size is {gan.size}. Allowed: {', '.join(map(str, SIZES))}.")
        pictures = open_pictures(X)
        size, C = gan.size or _suitable(pictures.size_N2), pictures.channels
        pixel_NSSC = pictures.resized(size)
        if cls(size, C)._game(gan) != "nonsaturating":
            return cls(size, C), (pixel_NSSC,), pictures.labels
        autoencoder = None
        if size >= IN_LATENT:
            autoencoder = learn_patch_autoencoder(
                pixel_NSSC, n_steps=min(DECODER_STEPS, gan.n_steps or DECODER_STEPS), seed=gan.seed, device=gan.device,
                n_threads=gan.n_threads,
            )  # fmt: skip
        return cls(size, C, min(len(pictures), N_KNOWN), autoencoder), (pixel_NSSC,), pictures.labels

    def arrays(self, X: Any) -> tuple[np.ndarray, ...]:
        """Pictures of any kind as uint8 (N, S, S, C)."""
        return (open_pictures(X).resized(self.size, channels=self.channels),)

    def given(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Pictures of any kind as uint8 (N, S, S, C), and their labels."""
        pictures = open_pictures(X)
        return self.arrays(pictures)[0], pictures.labels

    @property
    def loss(self) -> str:
        """The game that makes the better pictures in ten minutes (docs/LOG.md)."""
        return "relativistic" if self.size <= SMALL else "nonsaturating"

    @property
    def gamma(self) -> float:
        """What the penalty begins with: slopes are steeper the more pixels there are."""
        return 0.1 * max(1.0, self.size / 16) ** 2

    def networks(self, gan: Any, n_classes: int) -> tuple[nn.Module, nn.Module]:
        """Generator, which carries the autoencoder, and discriminator."""
        sizes: dict[str, Any] = {"n_classes": n_classes, "dim": gan.dim or 32}
        sizes["is_normed"] = self._game(gan) != "relativistic"
        sketch = Sketch(self.side, self.channels, n_known=self.n_known, n_classes=n_classes) if self.n_known else None
        generator = PictureGenerator(self.side, self.n_channels, n_noise=gan.noise_dim, sketch=sketch, **sizes)
        generator.autoencoder = self.autoencoder
        return generator, PictureDiscriminator(self.side, self.n_channels, **sizes)

    def _game(self, gan: Any) -> str:
        return self.loss if gan.loss == "auto" else gan.loss

    def begin(self, generator: nn.Module, pixel_NSSC: np.ndarray, class_N: np.ndarray) -> None:
        """Let the generator know the coarse looks of some pictures, a few of each class at least."""
        if (sketch := generator.sketch) is not None:
            chosen = _some_of_each(class_N, self.n_known)
            pixels = (
                torch.from_numpy(np.array(pixel_NSSC[part]))
                for part in np.array_split(chosen, -(-len(chosen) // AT_ONCE))
            )
            look_MQ = torch.cat([sketch.look(self.real(part)) for part in pixels])
            sketch.learn(look_MQ, torch.from_numpy(np.array(class_N[chosen])))

    def sizes_of(self, weights: Mapping[str, Tensor]) -> dict[str, int]:
        """Settings that the networks are rebuilt from: a spoilt config.json must not ask for more than there is."""
        first, known = weights["generator.first.weight"], weights.get("generator.sketch.known_MP", torch.zeros(0, 0))
        if len(known) != self.n_known:
            raise RunError(
                f"config.json tells of {self.n_known} known pictures, the weights of {len(known)}. Train again."
            )
        n_class = CLASS_DIM * ("generator.classes.weight" in weights)
        noise_dim = first.shape[1] - n_class - known.shape[1]
        return {"dim": len(weights["discriminator.layers.0.weight"]), "noise_dim": noise_dim}

    def real(self, pixel_BSSC: Tensor) -> Tensor:
        """Pictures in -1..1, (B, C, S, S), or what they are in the latent."""
        picture_BCSS = from_pixels(pixel_BSSC)
        return picture_BCSS if self.autoencoder is None else self.autoencoder.encode(picture_BCSS)

    def changed(self, picture_BCSS: Tensor, chance_B3: Tensor, strength: Tensor) -> Tensor:
        """Each picture moved and lit a little, by that share of what is allowed (Zhao et al. 2020, DiffAugment)."""
        shift_B2 = (2 * chance_B3[:, :2] - 1) * 2 * MOVED * strength
        turn_B23 = torch.eye(2, 3, device=picture_BCSS.device).repeat(len(picture_BCSS), 1, 1)
        turn_B23[:, :, 2] = (shift_B2 * self.side / 2).round() / (self.side / 2)  # whole pixels: nothing is blurred
        grid_BSS2 = functional.affine_grid(turn_B23, list(picture_BCSS.shape), align_corners=False)
        moved = functional.grid_sample(
            picture_BCSS, grid_BSS2, mode="nearest", padding_mode="border", align_corners=False
        )
        return moved * (1 + LIGHTER * strength * (2 * chance_B3[:, 2, None, None, None] - 1))

    def pixels(self, x: Tensor) -> Tensor:
        """What the forger made as uint8 pictures (N, S, S, C)."""
        return to_pixels(x if self.autoencoder is None else self.autoencoder.decode(x))

    @torch.inference_mode()
    def items(self, x: Tensor) -> np.ndarray:
        """uint8 pictures (N, S, S, C)."""
        at = x.device if self.autoencoder is None else self.autoencoder.mean_F.device
        return torch.cat([self.pixels(part.to(at)).cpu() for part in x.split(AT_ONCE)]).numpy()

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        told = {"size": self.size, "channels": self.channels, "n_known": self.n_known}
        return told if self.autoencoder is None else told | {"in_latent": True}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "PictureForm":
        """The reverse of `to_json`."""
        size, channels, n_known = int(told["size"]), int(told["channels"]), int(told.get("n_known", 0))
        if size not in SIZES or channels not in (1, 3) or not 0 <= n_known <= N_KNOWN:
            raise RunError(
                f"config.json tells of {n_known} known pictures of {size} pixels, {channels} channels. Train again."
            )
        autoencoder = None
        if told.get("in_latent"):
            with seeded(0):  # weights that are loaded over
                autoencoder = PatchAutoencoder(channels)
            set_aside(autoencoder)
        return cls(size, channels, n_known, autoencoder)


def _some_of_each(class_N: np.ndarray, n: int) -> np.ndarray:
    """The places of n items, or of all: a few of each class, then whichever chance has."""
    order = np.argsort(class_N, kind="stable")
    turn_N = np.empty(len(order), int)
    turn_N[order] = np.arange(len(order)) - np.searchsorted(class_N[order], class_N[order])
    chance_N = np.random.default_rng(0).random(len(order))
    return np.sort(np.lexsort((chance_N, turn_N >= N_MEANT))[:n])


def _suitable(size_N2: np.ndarray) -> int:
    """The side next to the median of the short ones, at most 32: larger ones are for users to ask for."""
    side = float(np.median(size_N2.min(1)))
    return min((size for size in SIZES if size <= LARGEST_CHOSEN), key=lambda size: abs(np.log(size / side)))
