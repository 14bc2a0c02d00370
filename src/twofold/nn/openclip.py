"""The two towers of an open_clip model, taken apart: pictures and texts to one space, as it was pre-trained.

Ilharco et al. 2021, https://github.com/mlfoundations/open_clip
Dimension key: B pictures or texts, M texts, C channels, S side, L tokens of a text, E width of the shared space.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.errors import SettingError

__all__ = ["OPENCLIP", "OpenClipText", "OpenClipVisual", "open_openclip"]

OPENCLIP = "openclip:"
UNTRAINED = "untrained"


class OpenClipVisual(nn.Module):
    """Pictures (B, 3, S, S) in -1..1 to vectors of length 1, (B, E).

    Parameters
    ----------
    model : the name of the whole, as open_clip knows it.
    network : its picture tower.
    """

    def __init__(self, model: str, network: nn.Module):
        super().__init__()
        self.model, self.network = model, network
        told = network.preprocess_cfg
        mean_1C11, std_1C11 = (torch.tensor(told[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
        # of pixels in -1..1
        self.register_buffer("mean_1C11", 2 * mean_1C11 - 1)
        self.register_buffer("std_1C11", 2 * std_1C11)

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> "OpenClipVisual":
        """The tower that these weights are of."""
        body = cls(arguments["model"], _built(arguments["model"]).visual)
        body.load_state_dict(dict(tensors))
        return body.eval()

    @property
    def n_features(self) -> int:
        """E."""
        return int(self.network.output_dim)

    @property
    def layers(self) -> list[nn.Module]:
        """Parts with weights, from input to output; a transformer's blocks one by one."""
        return _layers(self.network)

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """(B, E)."""
        scaled_B3SS = (picture_BCSS.expand(-1, 3, -1, -1) - self.mean_1C11) / self.std_1C11
        return functional.normalize(self.network(scaled_B3SS).float(), dim=1)


class OpenClipText(nn.Module):
    """Tokens of texts (B, L) to vectors of length 1, (B, E).

    Parameters
    ----------
    model : the name of the whole.
    network : the whole model; its picture tower is taken off.
    """

    def __init__(self, model: str, network: nn.Module):
        super().__init__()
        self.model, self.network = model, network
        network.visual = nn.Identity()

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], model: str) -> "OpenClipText":
        """The tower that these weights are of."""
        tower = cls(model, _built(model))
        tower.load_state_dict(dict(tensors))
        return tower.eval()

    @property
    def layers(self) -> list[nn.Module]:
        """Parts with weights, from input to output."""
        return _layers(getattr(self.network, "text", self.network))

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """Tokens of each text, int64 (M, L); what is too long is cut off."""
        import open_clip

        return open_clip.get_tokenizer(self.model)(list(texts)).numpy()

    def forward(self, token_BL: Tensor) -> Tensor:
        """(B, E)."""
        return functional.normalize(self.network.encode_text(token_BL.long()).float(), dim=1)


def open_openclip(source: str, seed: int) -> tuple[OpenClipVisual, OpenClipText, float]:
    """Both towers, and the factor on their cosines.

    Parameters
    ----------
    source : openclip:MODEL/WEIGHTS, WEIGHTS being a name of open_clip's, whose file is fetched from the hub once; the
        path of a file; or `untrained`, for weights drawn from the seed.

    Raises
    ------
    SettingError
        When there is no such model or file, or the hub cannot be reached.
    """
    import open_clip

    name, _, weights = source.removeprefix(OPENCLIP).partition("/")
    if name not in open_clip.list_models():
        raise SettingError(f"open_clip has no model {name!r}. Some that it has: ViT-B-32, MobileCLIP-S1, RN50.")
    known = open_clip.list_pretrained_tags_by_model(name)
    if not weights or (weights not in (*known, UNTRAINED) and not Path(weights).is_file()):
        raise SettingError(
            f"{source!r} names no weights. Give openclip:{name}/WEIGHTS with one of {', '.join(known[:6])}, or a file."
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _built(name, None if weights == UNTRAINED else weights)
    factor = float(network.logit_scale.detach().exp())
    visual = OpenClipVisual(name, network.visual)
    return visual.eval(), OpenClipText(name, network).eval(), factor


def _built(name: str, weights: str | None = None) -> nn.Module:
    """The model, with weights from a name or a file; a file is read as tensors only, and runs no code."""
    import open_clip

    try:
        with _hushed():
            return open_clip.create_model(name, pretrained=weights, load_weights=weights is not None).eval()
    except Exception as error:  # no network, a spoilt file, another model's weights
        reason = str(error).splitlines()[0] if str(error) else ""
        raise SettingError(
            f"the weights {weights!r} of {name} could not be had ({type(error).__name__}: {reason[:200]}). Check the "
            "name and the network, or give the path of a file."
        ) from error


@contextmanager
def _hushed() -> Iterator[None]:
    """What open_clip and the hub log on the way is said by our error, or is meant, as weights that are not loaded."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _layers(network: nn.Module) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for child in network.children():
        blocks = getattr(child, "resblocks", None)
        parts += list(blocks) if blocks is not None else [child]
    return [part for part in parts if any(True for _ in part.parameters())]
