"""Networks of timm with weights learnt elsewhere, from local safetensors files; of one, the features of patches.

timm: Wightman 2019, https://github.com/huggingface/pytorch-image-models
Dimension key: B pictures, C channels (1 or 3), S side, D features; lower-case h, w: of a coarser grid.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from twofold.errors import SettingError

__all__ = ["BorrowedNetwork", "build_timm", "describe_file", "fill_timm", "read_weights", "timm_facts"]

STRIDES = (8, 16)  # of the features that are used
OPTIONS = ("pad_type", "act_layer", "img_size")  # others of timm's could make it read further files
PLAIN = "(x/255-0.5)/0.5"  # how pictures in -1..1 are written in a file's notes
QUARTER = "mobilenetv1_025"  # a network that timm can build, and has no name for


class BorrowedNetwork(nn.Module):
    """Features at an eighth and a sixteenth of the side; nothing is learnt.

    Parameters
    ----------
    about : what rebuilds it: `name` and `options` for timm, `mean` and `std` (of pixels in 0..1).
    """

    def __init__(self, about: Mapping[str, Any]):
        super().__init__()
        self.about = {key: about[key] for key in ("name", "options", "mean", "std")}
        probe = build_timm(about["name"], about["options"], features_only=True)
        strides = probe.feature_info.reduction()
        wanted = tuple(strides.index(stride) for stride in STRIDES)
        self.body = build_timm(about["name"], about["options"], features_only=True, out_indices=wanted)
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
        tensors, notes = read_weights(Path(path), "features")
        network = cls(describe_file(Path(path), notes))
        fill_timm(network.body, tensors, f"{path} as timm's {network.about['name']!r}")
        return network.eval().requires_grad_(False)

    def forward(self, picture_BCSS: Tensor) -> list[Tensor]:
        """Features (B, D, h, w) of pictures in -1..1, the finer first; each sees its neighbours' too."""
        found = self.body((picture_BCSS.expand(-1, 3, -1, -1) - self.shift) / self.scale)
        return [functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) for x in found]


def read_weights(path: Path, setting: str = "backbone") -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the notes of a safetensors file that a setting names; reading one runs no code."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise SettingError(
            f"{setting} is {str(path)!r}, which cannot be read ({error}). Give a safetensors file of a timm network."
        ) from error


def describe_file(path: Path, notes: Mapping[str, str]) -> dict[str, Any]:
    """What a file of weights holds: `name` and `options` for timm, `mean`, `std`, and `image_size` it was learnt at."""
    import timm

    beside = path.with_name("config.json")
    hub = json.loads(beside.read_text()) if beside.is_file() else {}
    stem = max((name for name in [*timm.list_models(), QUARTER] if path.stem.startswith(name)), key=len, default="")
    told = [notes.get("arch", ""), hub.get("architecture", ""), stem]
    name = next((name for name in told if timm.is_model(name) or name == QUARTER), None)
    if name is None:
        raise SettingError(
            f"weights are {str(path)!r}, whose network {next(filter(None, told), path.stem)!r} timm does not know. "
            "Name the file after one that it does (timm.list_models()), or put the hub's config.json beside it."
        )
    options = json.loads(notes.get("timm_kwargs", "{}"))
    options.pop("num_classes", None)
    own, stats = timm_facts(name), hub.get("pretrained_cfg", {})
    given = (0.5,) * 3 if PLAIN in notes.get("input", "") else None
    mean, std = (list(given or stats.get(key) or getattr(own, key, None) or (0.5,) * 3) for key in ("mean", "std"))
    size = (stats.get("input_size") or getattr(own, "input_size", None) or (3, 224, 224))[-1]
    return {"name": name, "options": options, "mean": mean, "std": std, "image_size": int(size)}


def timm_facts(name: str) -> Any:
    """What timm knows of the weights that it has for a network; None where it has none."""
    import timm

    return timm.get_pretrained_cfg(_base(name))


def build_timm(name: str, options: Mapping[str, Any], **shape: Any) -> nn.Module:
    """A network of timm by that name, its weights not yet filled in.

    Raises
    ------
    SettingError
        When timm has no such network, or an option is none of the few that are let through.
    """
    # timm costs a second to import
    import timm

    if not (timm.is_model(_base(name)) and set(options) <= set(OPTIONS)):
        raise SettingError(
            f"a network of timm named {name!r} with {dict(options)} was asked for. Allowed are the names of "
            f"timm.list_models() and the options {', '.join(OPTIONS)}.{_nearest(name, timm.list_models())}"
        )
    # what it draws at random leaves the global state alone
    with torch.random.fork_rng(devices=[]):
        if name == QUARTER:
            from timm.models.efficientnet import _gen_mobilenet_v1

            return _gen_mobilenet_v1(_base(name), channel_multiplier=0.25, **options, **shape)
        return timm.create_model(name, pretrained=False, **options, **shape)


def fill_timm(network: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Put weights into a network, in full precision; more of them than it has, such as a head's, are left out.

    Raises
    ------
    SettingError
        When some are missing, or have another shape.
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    wrong = [name for name, shape in own.items() if name not in tensors or tuple(tensors[name].shape) != shape]
    if wrong:
        raise SettingError(
            f"{what} lacks {len(wrong)} weights, {wrong[0]} for one. Give a file that timm wrote for that network."
        )
    network.load_state_dict({name: _full(tensors[name]) for name in own}, assign=True)


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _base(name: str) -> str:
    return "mobilenetv1_100" if name == QUARTER else name


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 3)
    return f" Did you mean {' or '.join(near)}?" if near else ""
