"""A network of timm with weights learnt elsewhere, from a local safetensors file: features of patches.

timm: Wightman 2019, https://github.com/huggingface/pytorch-image-models
Dimension key: B pictures, C channels (1 or 3), S side, D features; lower-case h, w: of a coarser grid.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from twofold.errors import SettingError

__all__ = ["BorrowedNetwork"]

STRIDES = (8, 16)  # of the features that are used
OPTIONS = ("pad_type", "act_layer", "img_size")  # others of timm's could make it read further files
PLAIN = "(x/255-0.5)/0.5"  # how pictures in -1..1 are written in a file's notes


class BorrowedNetwork(nn.Module):
    """Features at an eighth and a sixteenth of the side; nothing is learnt.

    Parameters
    ----------
    about : what rebuilds it: `name` and `options` for timm, `mean` and `std` (of pixels in 0..1).
    """

    def __init__(self, about: Mapping[str, Any]):
        super().__init__()
        self.about = dict(about)
        self.body = _body(about["name"], about["options"])
        # from pixels in -1..1
        shape = 1, -1, 1, 1
        mean, std = (torch.tensor(about[key], device="cpu").view(shape) for key in ("mean", "std"))
        self.shift, self.scale = 2 * mean - 1, 2 * std

    @classmethod
    def from_file(cls, path: str | Path) -> "BorrowedNetwork":
        """The network of this safetensors file.

        The file's notes tell its name (`arch`), else a config.json beside it (as on the hub), else its own name.

        Raises
        ------
        SettingError
            When the file is absent, is no safetensors file, or does not hold a network that timm knows.
        """
        tensors, notes = _read(Path(path))
        network = cls(_about(Path(path), notes))
        plain = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
        missing, _ = network.body.load_state_dict(plain, strict=False)
        if missing:
            raise SettingError(
                f"{path} lacks {len(missing)} weights of timm's {network.about['name']!r}, {missing[0]} for one. "
                "Give a file that timm wrote for that network."
            )
        return network.eval().requires_grad_(False)

    def forward(self, picture_BCSS: Tensor) -> list[Tensor]:
        """Features (B, D, h, w) of pictures in -1..1, the finer first; each sees its neighbours' too."""
        found = self.body((picture_BCSS.expand(-1, 3, -1, -1) - self.shift) / self.scale)
        return [functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) for x in found]


def _body(name: str, options: Mapping[str, Any]) -> nn.Module:
    # timm costs a second to import
    import timm

    if not timm.is_model(name) or set(options) - set(OPTIONS):
        raise SettingError(
            f"a network of timm named {name!r} with {dict(options)} was asked for. Allowed are the names of "
            f"timm.list_models() and the options {', '.join(OPTIONS)}."
        )
    probe = timm.create_model(name, pretrained=False, features_only=True, **options)
    strides = probe.feature_info.reduction()
    wanted = tuple(strides.index(stride) for stride in STRIDES)
    return timm.create_model(name, pretrained=False, features_only=True, out_indices=wanted, **options)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise SettingError(
            f"features is {str(path)!r}, which cannot be read ({error}). Give a safetensors file of a timm network."
        ) from error


def _about(path: Path, notes: Mapping[str, str]) -> dict[str, Any]:
    import timm

    beside = path.with_name("config.json")
    hub = json.loads(beside.read_text()) if beside.is_file() else {}
    known = [name for name in timm.list_models() if path.stem.startswith(name)]
    name = notes.get("arch") or hub.get("architecture") or max(known, key=len, default=path.stem)
    if not timm.is_model(name):
        raise SettingError(
            f"features is {str(path)!r}, whose network {name!r} timm does not know. Name the file after one that it "
            "does (timm.list_models()), or put the hub's config.json beside it."
        )
    options = json.loads(notes.get("timm_kwargs", "{}"))
    options.pop("num_classes", None)
    stats = hub.get("pretrained_cfg", {})
    given = (0.5,) * 3 if PLAIN in notes.get("input", "") else None
    own = timm.get_pretrained_cfg(name)
    mean, std = (list(given or stats.get(key) or getattr(own, key, None) or (0.5,) * 3) for key in ("mean", "std"))
    return {"name": name, "options": options, "mean": mean, "std": std}
