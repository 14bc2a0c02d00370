"""Networks that turn a picture into features, from anywhere: the one door for bodies that are handed over.

A network of timm (by its name, from the hub; from a safetensors file; or with weights drawn at random), or the encoder
in a run folder of ours, which config.json describes under `backbone`. Loading reads safetensors only, and runs no code.

timm: Wightman 2019, https://github.com/huggingface/pytorch-image-models
Dimension key: B pictures, C channels, S side, D features; K features of a stage, h, w its height and width.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from twofold.errors import SettingError
from twofold.nn.borrowed import build_timm, describe_file, fill_timm, read_weights, timm_facts
from twofold.nn.encoders import pooled

__all__ = ["ARCHITECTURES", "Backbone", "TimmBody", "open_backbone", "rebuild"]

ARCHITECTURES = {
    "timm": "twofold.nn.backbones:TimmBody",
    "ordered": "twofold.nn.encoders:OrderedBody",
    "view_encoder": "twofold.nn.view_encoder:ViewEncoder",
    "detective": "twofold.nn.encoders:DetectiveBody",
    "openclip_visual": "twofold.nn.openclip:OpenClipVisual",
    "picture_tower": "twofold.nn.picture_tower:PictureTower",
}
"""Name in config.json -> where the class is. Its `with_weights(tensors, arguments)` makes a module whose forward turns
pictures in -1..1 (B, C, S, S) into features (B, D); `n_features` is D, `layers` its parts from input to output."""

UNTRAINED = "untrained:"
HUB = "hf-hub:"
SMALLEST = 32  # side that networks of timm can take
N_STAGES = 5  # the last of them: a transformer has one for each block
MIDDLE = (0.5, 0.5, 0.5)


class Backbone(nn.Module):
    """A body, and what is to be known of it.

    Parameters
    ----------
    body : pictures in -1..1 (B, C, S, S) to features (B, D).
    about : JSON: `architecture` and `arguments` that rebuild it with its weights, `image_size`, `channels`.

    Examples
    --------
    >>> backbone = open_backbone("untrained:test_resnet", image_size=32)
    >>> backbone(torch.zeros(2, 3, 32, 32)).shape == (2, backbone.n_features)
    True
    """

    def __init__(self, body: nn.Module, about: Mapping[str, Any]):
        super().__init__()
        self.body, self.about = body, dict(about)

    @property
    def image_size(self) -> int:
        """S, the side that pictures are brought to."""
        return int(self.about["image_size"])

    @property
    def channels(self) -> int:
        """C: 1 or 3."""
        return int(self.about["channels"])

    @property
    def n_features(self) -> int:
        """D."""
        return int(self.body.n_features)

    @property
    def blocks(self) -> list[int]:
        """Widths of the blocks of features that belong together, those nearest to the input first; their sum is D."""
        return list(getattr(self.body, "blocks", [self.n_features]))

    @property
    def layers(self) -> list[nn.Module]:
        """Its parts, from input to output."""
        return list(self.body.layers)

    @property
    def n_words(self) -> int:
        """How many of the first features are opinions of the head it was taught with."""
        return int(getattr(self.body, "n_words", 0))

    def bare(self) -> "Backbone":
        """A copy without that head."""
        copy = deepcopy(self)
        if self.n_words:
            copy.body.forget_words()
            copy.about["arguments"]["n_classes"] = 0
        return copy

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D) of pictures in -1..1."""
        return self.body(picture_BCSS)


class TimmBody(nn.Module):
    """A network of timm: what its own head says, mean and spread of each stage's features, and what that head sees.

    What a stage between knows of a texture or an edge is lost in the last one; a classifier of other things than the
    network was made for needs it.

    Parameters
    ----------
    name, options : for timm.
    mean, std : of pixels in 0..1, as the network was taught.
    n_classes : of its own head, whose opinions (`words`) are the first features (0: it has none).
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], mean: Sequence[float] = MIDDLE, std: Sequence[float] = MIDDLE,
        n_classes: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.network = build_timm(name, options, num_classes=n_classes)
        self.n_words = n_classes if isinstance(self.network.get_classifier(), nn.Linear) else 0
        mean_1C11, std_1C11 = (torch.tensor(value).view(1, -1, 1, 1) for value in (mean, std))
        # of pixels in -1..1
        self.register_buffer("mean_1C11", 2 * mean_1C11 - 1)
        self.register_buffer("std_1C11", 2 * std_1C11)

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> "TimmBody":
        """The body that was described, with these weights."""
        with torch.device("meta"):
            body = cls(arguments["name"], arguments["options"], n_classes=arguments.get("n_classes", 0))
        body.load_state_dict(dict(tensors), assign=True)
        return body.eval()

    @property
    def blocks(self) -> list[int]:
        """Widths of the blocks of features that belong together, those nearest to the input first."""
        stages = [info["num_chs"] for info in self.network.feature_info][-N_STAGES:]
        words = [self.n_words] if self.n_words else []
        return [*words, *(width for width in stages for _ in range(2)), self.network.head_hidden_size]

    @property
    def n_features(self) -> int:
        """D."""
        return sum(self.blocks)

    @property
    def layers(self) -> list[nn.Module]:
        """Children with weights; a sequence of stages or blocks counts as its members."""
        parts = []
        for child in self.network.children():
            members = list(child) if isinstance(child, nn.Sequential | nn.ModuleList) else [child]
            parts += [part for part in members if any(True for _ in part.parameters())]
        return parts

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, D) of pictures in -1..1, grey or colour."""
        scaled_B3SS = (picture_BCSS.expand(-1, 3, -1, -1) - self.mean_1C11) / self.std_1C11
        last, stages = self.network.forward_intermediates(scaled_B3SS)
        parts = [part for stage_BKhw in stages[-N_STAGES:] for part in pooled(stage_BKhw)]
        last_BK = self.network.forward_head(last, pre_logits=True)
        words = [_log_shares(self.network.get_classifier()(last_BK))] if self.n_words else []
        return torch.cat([*words, *parts, last_BK.float()], 1)

    def forget_words(self) -> None:
        """Take the old head off, and its features with it."""
        self.network.reset_classifier(0)
        self.n_words = 0


def _log_shares(logit_BK: Tensor) -> Tensor:
    """Log-probabilities of the old head's classes; of those it thinks impossible it does not matter how much so."""
    return (logit_BK.float().softmax(1) + 1e-4).log()


# ---- opening -------------------------------------------------------------------------------------


def open_backbone(source: str | Path, *, image_size: int | None = None, seed: int = 0) -> Backbone:
    """The body of that name, file or run.

    Parameters
    ----------
    source : a run folder of ours; a .safetensors file of a network of timm; a name of timm's, whose weights are fetched
        from the hub once and then cached; hf-hub:OWNER/NAME; untrained:NAME for weights drawn from the seed.
    image_size : S, where the network leaves the choice (None: what it was taught with).

    Raises
    ------
    SettingError
        When it is none of these, when a run has no encoder of pictures, or when the hub cannot be reached.
    """
    path, text = Path(source), str(source)
    if path.is_dir():
        return _sized(_of_run(path), image_size)
    if text.startswith(UNTRAINED):
        return _sized(_untrained(text.removeprefix(UNTRAINED), seed), image_size)
    if path.suffix == ".safetensors":
        return _sized(_of_file(path), image_size)
    if text.startswith(HUB):
        return _sized(_of_file(_fetched(text.removeprefix(HUB), text)), image_size)
    return _sized(_named(text), image_size)


def rebuild(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone that `about` describes, with its weights among these under the prefix that it names."""
    home = ARCHITECTURES.get(about.get("architecture", ""))
    if home is None:
        raise SettingError(
            f"a backbone of the architecture {about.get('architecture')!r} was asked for. "
            f"Known: {', '.join(ARCHITECTURES)}. Install the version of twofold that wrote it."
        )
    module, name = home.split(":")
    prefix = about.get("prefix", "")
    own = {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}
    body = getattr(import_module(module), name).with_weights(own, about["arguments"])
    return Backbone(body, {key: value for key, value in about.items() if key != "prefix"}).eval()


def _of_run(folder: Path) -> Backbone:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        method, about = config["method"], config.get("backbone")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(
            f"{folder} is no run folder ({error}). Give one that fit --out wrote, a .safetensors file, or a timm name."
        ) from error
    if about is None:
        raise SettingError(
            f"{folder} holds a {method!r} run without an encoder of pictures to hand over. "
            "Give the run of an encoder that learned from pictures, a .safetensors file, or a timm name."
        )
    return rebuild(about, read_weights(folder / "model.safetensors")[0])


def _of_file(path: Path) -> Backbone:
    tensors, notes = read_weights(path)
    told = describe_file(path, notes)
    backbone = _empty(told | {"n_classes": _n_classes(told["name"], tensors)})
    fill_timm(backbone.body.network, tensors, f"{path} as timm's {told['name']!r}")
    return backbone.eval()


def _n_classes(name: str, tensors: Mapping[str, Tensor]) -> int:
    """Of the head in these weights; 0 where there is none."""
    told = timm_facts(name)
    head = tensors.get(f"{getattr(told, 'classifier', '')}.weight")
    return len(head) if head is not None and head.ndim == 2 else 0


def _untrained(name: str, seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _empty(describe_file(Path(f"{name}.safetensors"), {"arch": name})).eval()


def _empty(told: Mapping[str, Any]) -> Backbone:
    arguments = {key: told[key] for key in ("name", "options", "mean", "std")}
    arguments["n_classes"] = told.get("n_classes", 0)
    about = {"architecture": "timm", "arguments": arguments, "image_size": told["image_size"], "channels": 3}
    return Backbone(TimmBody(**arguments), about)


def _named(name: str) -> Backbone:
    import timm

    if not timm.is_model(name):
        # the builder's own message tells the nearest names
        build_timm(name, {})
    repository = timm.get_pretrained_cfg(name).hf_hub_id
    if repository is None:
        raise SettingError(
            f"timm's {name!r} has no weights on the hub. Give {UNTRAINED}{name} for weights drawn at random, or a "
            ".safetensors file."
        )
    return _of_file(_fetched(repository, name))


def _fetched(repository: str, asked: str) -> Path:
    """The path of the hub's weights in the cache, its config.json beside it."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    names = ("config.json", "model.safetensors")
    cached = [try_to_load_from_cache(repository, name) for name in names]
    if all(isinstance(path, str) for path in cached):
        return Path(cached[1])
    try:
        return [Path(hf_hub_download(repository, name)) for name in names][1]
    except Exception as error:  # no network, no such repository, no safetensors in it
        reason = str(error).splitlines()[0] if str(error) else ""
        raise SettingError(
            f"the weights of {asked!r} could not be fetched from the hub ({type(error).__name__}: {reason}). Check the "
            f"name and the network; or give a local .safetensors file, a run folder, or {UNTRAINED}NAME."
        ) from error


def _sized(backbone: Backbone, image_size: int | None) -> Backbone:
    """The same for pictures of another size, where it can take them."""
    if image_size is None or image_size == backbone.image_size:
        return backbone
    arguments = backbone.about["arguments"]
    if backbone.about["architecture"] != "timm" or _is_fixed(arguments["name"]):
        raise SettingError(
            f"image_size is {image_size}; this network takes {backbone.image_size} only. Give that, or leave it out."
        )
    if image_size < SMALLEST:
        raise SettingError(f"image_size is {image_size}; it must be at least {SMALLEST}. Give a larger one.")
    backbone.about["image_size"] = int(image_size)
    return backbone


def _is_fixed(name: str) -> bool:
    told = timm_facts(name)
    return bool(told is not None and told.fixed_input_size)
