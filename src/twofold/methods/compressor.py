"""Compressor: pictures as small files, by networks that learned what pictures are like.

Pixels become block cosines, which are rounded, foreseen by context networks from those already told, and written by a
range coder; networks make pixels of them again, without blocks. All of it learns by one loss: bits plus error. What
decides the bytes is computed in whole numbers (nn/fixed_point.py), so a file decodes to the same latents on every
machine; and one model writes all qualities.

Balle et al. 2018, Variational image compression with a scale hyperprior, https://arxiv.org/abs/1802.01436; the
networks, and what else they stand on, are in nn/codec.py and nn/contexts.py.
Dimension key: N pictures, B patches, Y and X pixels down and across, C latents of a block, H and W blocks down and
across, G latents of a group, S blocks of a pass.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from twofold.core.device import choose_device, choose_threads, has_fast_bfloat16
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.pictures import side_by_side
from twofold.data.container import pack, unpack
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError, SettingError
from twofold.measure.rates import bd_rate, beside_jpeg, bits_per_pixel, pillow_curve, psnr
from twofold.measure.report import Measure
from twofold.nn.codec import BLOCK, N_COEFFICIENTS, N_LEVELS, Codec, anchor_weights, rounded, step_size
from twofold.nn.contexts import Contexts, bits
from twofold.nn.fixed_point import FixedContexts
from twofold.nn.latent_coding import LatentCoder
from twofold.nn.layout import Layout, Place, centred, in_pixels, turned, with_margin
from twofold.nn.muon import Muon
from twofold.nn.tables import Tables

__all__ = ["Compressor", "RateDistortion"]

PRICE = 0.1  # of a bit, in squared rounding steps; at fine steps theory says ln(2) / 6
CHOICE_PRICE = 0.07  # the same for the choice of whole numbers when a file is written
N_EXAMPLES = 12  # windows by which the tables are shaped
QUALITIES = (5, 20, 35, 50, 65, 80, 95)  # of a curve
REPORTED = (1, 3, 5)  # of those


# ---- loss ----------------------------------------------------------------------------------------


class RateDistortion(Learner):
    """Bits and error, at a quality drawn for each patch."""

    def __init__(self, codec: Codec, contexts: Contexts):
        super().__init__()
        self.codec, self.contexts = codec, contexts
        self.uses_bfloat16 = False

    def loss(self, patch_BYXC: Tensor) -> dict[str, Tensor]:
        """Both per pixel and in bits: a squared error of `PRICE` steps counts as one."""
        B, draw_B3 = len(patch_BYXC), self.uniform(len(patch_BYXC), 3)
        # one from each part of the range: a batch of coarse qualities only would pull all weights their way
        part, n_parts = self.share
        level_B = (part * B + torch.arange(B, device=draw_B3.device) + draw_B3[:, 0]) / (B * n_parts) * N_LEVELS
        pixel_B3YX = turned(patch_BYXC, draw_B3[:, 1:] < 0.5)
        bits_B, error_B = self.costs(pixel_B3YX, level_B)
        # else the finest qualities, which take the most bits, would be all that matters
        weight_B = torch.exp2(-3 * level_B / N_LEVELS)
        return {
            "bits": (weight_B * bits_B).mean(),
            "error": (weight_B * error_B / (PRICE * step_size(level_B) ** 2)).mean(),
        }

    def costs(self, pixel_B3YX: Tensor, level_B: Tensor) -> tuple[Tensor, Tensor]:
        """Bits, and squared error summed over colours, of a pixel (B)."""
        n_pixels = pixel_B3YX.shape[2] * pixel_B3YX.shape[3]
        latent_BCHW = rounded(self.codec.analyse(pixel_B3YX, level_B))
        bits_B = torch.zeros_like(level_B)
        for told in self.contexts(latent_BCHW, anchor_weights(level_B)):
            value_BGS = latent_BCHW[:, told.channels][:, :, told.place_HW]
            bits_B = bits_B + bits(value_BGS, told.centre_BGS, told.spread_BGS).sum((1, 2))
        with torch.autocast(pixel_B3YX.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            back_B3YX = self.codec.synthesise(latent_BCHW, level_B)
        return bits_B / n_pixels, (back_B3YX - pixel_B3YX).square().sum((1, 2, 3)) / n_pixels

    def preview(self, patch_BYXC: Tensor) -> np.ndarray:
        """Pictures, each beside itself rebuilt at a middling quality."""
        pixel_B3YX = turned(patch_BYXC, torch.zeros(len(patch_BYXC), 2, dtype=torch.bool, device=patch_BYXC.device))
        level_B = torch.full((len(patch_BYXC),), N_LEVELS / 2, device=patch_BYXC.device)
        latent_BCHW = rounded(self.codec.analyse(pixel_B3YX, level_B))
        back_B3YX = self.codec.synthesise(latent_BCHW, level_B) + 128
        return side_by_side(patch_BYXC, back_B3YX.round().clamp(0, 255).byte().movedim(1, -1))

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """Muon for the convolutions of the way back, AdamW for all else; the context networks learn fastest."""
        rate = self.learning_rate
        convolutions = [p for p in self.codec.parameters() if p.ndim == 4]
        groups = [
            {"params": [p for p in self.codec.parameters() if p.ndim < 4], "lr": rate / 10},
            {"params": list(self.contexts.parameters()), "lr": rate / 2.5},
        ]
        return {
            "convolutions": Muon(convolutions, lr=rate, weight_decay=0.0, is_half=self.uses_bfloat16),
            "rest": torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=1e-4, fused=True),
        }


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Compressor(Estimator):
    """Writes pictures as small files, at any quality from 0 to 100, after learning from pictures of their kind.

    Attributes
    ----------
    codec_ : the networks between pixels and latents.
    coder_ : what writes latents as bytes, in whole numbers.
    measures_ : bits per pixel beside JPEG's at the same error, on pictures held out in training.

    Examples
    --------
    >>> pictures = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    >>> compressor = Compressor(n_steps=1, dim=8, batch_size=2, patch=64).fit(pictures)
    >>> compressor.decompress(compressor.compress(pictures[0], quality=30)).shape
    (64, 64, 3)
    """

    method: ClassVar[str] = "compressor"
    reads: ClassVar[tuple[str, ...]] = ("pictures",)

    dim: int = 128
    """Width of the networks: wider write smaller files, and take longer to learn and to open them."""
    depth: int = 2
    """Blocks in each network: more see further around each place, and take longer."""
    context_dim: int = 96
    """Width of the networks that foresee: wider foresee better, and take longer to write and read files."""
    patch: int = 128
    """Side of the windows to learn from, in pixels: larger show more of a picture, and take longer."""
    shrink: float = 1.5
    """Pictures are shrunk by up to this before learning, which removes the traces of their JPEGs; 1 leaves them."""
    precision: str = "auto"
    """bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    batch_size: int = 8
    """Windows per update: more give a steadier direction and a slower step."""
    learning_rate: float = 0.005
    """Size of an update: larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from pictures, one Progress a step.

        Parameters
        ----------
        X : what `twofold.data.pictures.open_pictures` takes: a folder, a ZIP archive, arrays, ...
        y : not used.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        kept, held_out = _split(open_pictures(X), self.seed)
        patch_NYXC = self._patches(kept)
        learner = self._learner(patch_NYXC)
        n_steps = self.n_steps or int(np.clip(100 * len(patch_NYXC) ** 0.5, 500, 10_000))
        plan = self._plan(n_steps, interval=max(1, min(100, n_steps // 8)), ema=0.998)
        # every weight is used on each of the blocks
        n_uses = sum(p.numel() for p in learner.parameters()) * (self.patch // BLOCK) ** 2
        plan = replace(plan, n_threads=self.n_threads or choose_threads(n_uses, self.batch_size))
        watched = None if held_out is None else (held_out.patches(self.patch, 16, seed=0, channels=3),)
        place = None if folder is None else Path(folder)
        training = train(learner, (patch_NYXC,), plan, held_out=watched, folder=place)
        try:
            yield from training
        finally:
            training.close()  # type: ignore[attr-defined]
            self._finish(learner.codec, FixedContexts.of(learner.contexts.cpu()), Tables.of())
            self._fit_tables(patch_NYXC)
            self._measure(held_out)
            self.n_iter_ = learner.n_updates

    def _check(self) -> None:
        self._check_settings(dim=8, depth=1, context_dim=8, patch=32, shrink=1)
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise SettingError(f"precision is {self.precision!r}. Allowed: auto, float32, bfloat16.")
        if self.patch % BLOCK:
            raise SettingError(f"patch is {self.patch}; it must be a multiple of {BLOCK}, such as 128.")

    def _patches(self, pictures: Pictures) -> np.ndarray:
        """Windows (N, patch, patch, 3), cut at four scales."""
        n = int(np.clip(3 * pictures.size_N2.prod(1).sum() / self.patch**2, 64, 10_000)) // 4
        parts = []
        for k, factor in enumerate(np.linspace(1, self.shrink, 4)):
            cut = pictures.patches(round(self.patch * factor), n, seed=self.seed + k, channels=3)
            parts.append(cut if cut.shape[1] == self.patch else Pictures.of(cut).resized(self.patch))
        return np.concatenate(parts)

    def _learner(self, patch_NYXC: np.ndarray) -> RateDistortion:
        rows = np.random.default_rng(self.seed).permutation(len(patch_NYXC))[:200]
        pixel_B3YX = torch.from_numpy(np.ascontiguousarray(patch_NYXC[rows])).permute(0, 3, 1, 2).float() - 128
        with seeded(self.seed):
            codec, contexts = Codec(self.dim, self.depth), Contexts(self.context_dim)
        contexts.start(codec.start(pixel_B3YX))
        learner = RateDistortion(codec, contexts).to(choose_device(self.device))
        is_quick = has_fast_bfloat16() or next(learner.parameters()).is_cuda
        learner.uses_bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and is_quick)
        learner.learning_rate = self.learning_rate
        return learner

    def _finish(self, codec: Codec, contexts: FixedContexts, tables: Tables) -> None:
        self.codec_ = codec.cpu().float().eval().requires_grad_(False)
        self.coder_ = LatentCoder(contexts.eval().requires_grad_(False), tables)
        self.__dict__.pop("_name", None)

    @torch.inference_mode()
    def _fit_tables(self, patch_NYXC: np.ndarray) -> None:
        """Shape the tables by some of the windows, each at four qualities."""
        examples = []
        for row in np.linspace(0, len(patch_NYXC) - 1, min(N_EXAMPLES, len(patch_NYXC) // 4)).astype(int):
            for level in range(0, N_LEVELS, 16):
                latent_1CHW = self.codec_.analyse(centred(patch_NYXC[row]), torch.tensor([level]))
                examples.append((latent_1CHW[0], level))
        self.coder_.fit_tables(examples, price=CHOICE_PRICE)

    def _measure(self, held_out: Pictures | None) -> None:
        self.measures_: dict[str, float] = {}
        if held_out is None:
            return
        rates = [bd_rate(self.curve(picture), pillow_curve(picture)) for picture in list(held_out)[:4]]
        if np.isfinite(rates).any():
            self.measures_ = {"bits against JPEG's at the same error, %, held out": float(np.nanmean(rates))}

    # ---- verbs -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def compress(self, picture: Any, quality: float = 50.0, run: str | None = None) -> bytes:
        """The picture as a .tfz file.

        Parameters
        ----------
        picture : path, PIL image, or array (H, W, C) of bytes; grey or colour, any size.
        quality : 0 (smallest file) to 100 (least error).
        run : where the model is kept; written into the file for whoever opens it.
        """
        check_is_fitted(self, "codec_")
        if not 0 <= quality <= 100:
            raise SettingError(f"quality is {quality}; it goes from 0, the smallest file, to 100, the least error.")
        picture_YXC = one_picture(picture)
        layout = Layout(picture_YXC.shape, round(quality / 100 * N_LEVELS))
        pixel_13YX = centred(picture_YXC)
        chunks = [self._encoded(pixel_13YX, place, layout) for place in layout.tiles()]
        return pack({"kind": "picture", "run": run or "", "model": self.name(), **layout.header()}, chunks)

    def _encoded(self, pixel_13YX: Tensor, place: Place, layout: Layout) -> bytes:
        part_13YX = pixel_13YX[(slice(None), slice(None), *in_pixels(place))]
        wanted_CHW = self.codec_.analyse(part_13YX, torch.tensor([layout.level]))[0]
        return self.coder_.encode(wanted_CHW, layout.level, self._has(layout), price=CHOICE_PRICE)[0]

    @torch.inference_mode()
    def decompress(self, data: bytes) -> np.ndarray:
        """The picture (H, W, C), bytes, as the file holds it.

        Raises
        ------
        DataError
            When the file was damaged, or was written by another model: the message says which it needs.
        """
        latent_CHW, layout = self.read_latents(data)
        height, width, n_channels = layout.size
        picture_YXC = np.empty((layout.shape[0] * BLOCK, layout.shape[1] * BLOCK, n_channels), np.uint8)
        for place in layout.tiles():
            wide, inner = with_margin(place, layout.shape, self.codec_.margin)
            seen_1CHW = latent_CHW[(slice(None), *wide)][None].float()
            pixel_13YX = self.codec_.synthesise(seen_1CHW, torch.tensor([layout.level]))
            part_3YX = pixel_13YX[0][(slice(None), *in_pixels(inner))] + 128
            part_CYX = part_3YX.mean(0, keepdim=True) if n_channels == 1 else part_3YX
            picture_YXC[in_pixels(place)] = part_CYX.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        return picture_YXC[:height, :width]

    @torch.inference_mode()
    def read_latents(self, data: bytes) -> tuple[Tensor, Layout]:
        """The latents of a file (C, H, W), int16, and how its picture lies in it.

        They are the same on every machine, to the last bit.
        """
        check_is_fitted(self, "codec_")
        header, chunks = unpack(data)
        layout = self._checked(header)
        if layout.n_tiles != len(chunks):
            raise DataError(f"the file has {len(chunks)} parts; its picture has {layout.n_tiles}. Compress it again.")
        latent_CHW = torch.empty(N_COEFFICIENTS, *layout.shape, dtype=torch.int16)
        for chunk, (rows, columns) in zip(chunks, layout.tiles(), strict=True):
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            latent_CHW[:, rows, columns] = self.coder_.decode(chunk, shape, layout.level, self._has(layout)).short()
        return latent_CHW, layout

    def _checked(self, header: Mapping[str, Any]) -> Layout:
        if header.get("kind") != "picture":
            raise DataError(f"the file holds {header.get('kind')!r}, not a picture. Use the method that wrote it.")
        if header.get("model") != self.name():
            raise DataError(
                f"the file was compressed by another model ({header.get('model')}, of {header.get('run') or '?'}); "
                f"this one is {self.name()}. Give the run that it was compressed with."
            )
        return Layout.of(header)

    def _has(self, layout: Layout) -> np.ndarray:
        """Which latents a picture has: a grey one has none of colours."""
        is_luma_C = self.codec_.blocks.is_luma_C.numpy()
        return is_luma_C if layout.size[2] == 1 else np.ones_like(is_luma_C)

    def curve(self, picture: Any, qualities: tuple[float, ...] = QUALITIES) -> list[tuple[float, float]]:
        """Bits per pixel of whole files, and PSNR in dB, of a picture at some qualities."""
        picture_YXC = one_picture(picture)
        files = [self.compress(picture_YXC, quality) for quality in qualities]
        return [(bits_per_pixel(file, picture_YXC), psnr(self.decompress(file), picture_YXC)) for file in files]

    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """Bits and error at three qualities, bits beside JPEG's at the same error. Give pictures not learnt from."""
        pictures = list(open_pictures(X))
        ours, jpeg = [self.curve(picture) for picture in pictures], [pillow_curve(picture) for picture in pictures]
        return beside_jpeg(ours, jpeg, {place: f"quality {QUALITIES[place]}" for place in REPORTED})

    def name(self) -> str:
        """A short name for exactly these weights."""
        if "_name" not in self.__dict__:
            digest = hashlib.sha256()
            for key, value in sorted(self._tensors().items()):
                digest.update(key.encode() + value.numpy().tobytes())
            self._name = digest.hexdigest()[:16]
        return self._name

    # ---- saving ----------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, Tensor]:
        parts = {"codec": self.codec_.state_dict(), "contexts": self.coder_.contexts.state_dict()}
        tables = {"count": self.coder_.tables.count, "reach": self.coder_.tables.reach_T}
        parts["tables"] = {name: torch.from_numpy(array) for name, array in tables.items()}
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "codec_")
        return self._tensors(), {"measures": self.measures_, "n_iter": self.n_iter_}

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"codec": {}, "contexts": {}, "tables": {}}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        # sizes from the weights: a spoilt config.json must not ask for more
        depth = sum(name.startswith("synthesis.") and name.endswith("inner.bias") for name in parts["codec"])
        codec = Codec(len(parts["codec"]["synthesis.first.bias"]), depth)
        contexts = FixedContexts(len(parts["contexts"]["priors.0.layers.0.weight"]))
        codec.load_state_dict(parts["codec"])
        contexts.load_state_dict(parts["contexts"])
        tables = Tables(parts["tables"]["count"].numpy(), parts["tables"]["reach"].numpy())
        self._finish(codec, contexts.checked(), tables)
        self.measures_, self.n_iter_ = learned["measures"], learned["n_iter"]


def one_picture(picture: Any) -> np.ndarray:
    """The one picture that was given, (H, W, C) bytes."""
    is_bytes = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    if is_bytes and picture.ndim == 3 and picture.shape[2] in (1, 3):
        return picture
    pictures = open_pictures(picture)
    if len(pictures) != 1:
        raise DataError(f"{pictures.name} holds {len(pictures)} pictures; one file takes one. Give them one by one.")
    return pictures[0]


def _split(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures | None]:
    """A twentieth of the pictures, 40 at most, held out to judge by; none of fewer than 8."""
    N = len(pictures)
    if N < 8:
        return pictures, None
    order = np.random.default_rng(seed).permutation(N)
    n_held = int(np.clip(N // 20, 1, 40))
    return pictures.take(np.sort(order[n_held:])), pictures.take(np.sort(order[:n_held]))
