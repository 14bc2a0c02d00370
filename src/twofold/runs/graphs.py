"""A run's network as an ONNX file, for programs without Python: what goes in, what comes out, and proof that it agrees.

Dimension key: N items, S side, H, W height and width, C channels, D features, Z noise, T tokens, V vocabulary.
"""

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from twofold.core.estimator import read_config
from twofold.errors import DataError, RunError, TwofoldError
from twofold.nn.backbones import Backbone, open_backbone
from twofold.nn.pixels import from_pixels
from twofold.runs import load

__all__ = ["Graph", "graph_of", "write_onnx"]

TOLERANCE = 1e-4  # between the file's answers and the run's, relative to the largest answer
N_PROOF = (1, 5)  # items at a time, when the file is tried


@dataclass(frozen=True)
class Graph:
    """A network with what is needed to trace it."""

    module: nn.Module
    example: Callable[[int], dict[str, Tensor]]
    """Inputs by name, drawn for N items."""
    output: str
    dynamic: Mapping[str, Mapping[int, str]]
    """Input -> axis -> name of a size that may change."""
    about: str
    notes: tuple[str, ...] = field(default=())


def graph_of(run: Path) -> Graph:
    """The network of a run that can be exported.

    Raises
    ------
    RunError
        Where a method's answers are not those of one network.
    """
    estimator = load(run)
    if estimator.method == "gan" and estimator.form_.name == "pictures":  # type: ignore[attr-defined]
        return _of_generator(estimator)
    if estimator.method == "denoiser":
        return _of_denoiser(estimator)
    if estimator.method == "language":
        return _of_language(estimator)
    if read_config(run).get("backbone"):
        return _of_encoder(open_backbone(str(run)))
    raise RunError(
        f"{run} holds a {estimator.method!r} run; ONNX is written of encoders of pictures (autoencoder, masked, "
        "transfer), of generators of pictures, of denoisers and of language models."
    )


def write_onnx(graph: Graph, out: Path) -> float:
    """Write the file, and try it on drawn inputs; the largest difference, relative to the largest answer.

    Raises
    ------
    DataError
        When the extra `onnx` is not installed.
    TwofoldError
        When the file does not answer as the run does; it is not kept.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DataError("writing ONNX needs more packages. Install them: pip install 'twofold[onnx]'.") from error
    part = out.with_name(f".{out.name}.part")
    try:
        _traced(graph, part)
        error_ = max(_difference(graph, onnxruntime.InferenceSession(str(part)), n) for n in N_PROOF)
        if not error_ <= TOLERANCE:
            raise TwofoldError(f"the file answers otherwise than the run, by {error_:.2g}; it is not kept.")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return error_


def _traced(graph: Graph, path: Path) -> None:
    inputs = graph.example(2)
    # at least 3: a single token would take another way through the network
    sizes = {"n": torch.export.Dim("n"), "t": torch.export.Dim("t", min=3)}
    names = tuple({axis: sizes[size] for axis, size in graph.dynamic[name].items()} for name in inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own insides
            torch.onnx.export(
                graph.module.eval(), tuple(inputs.values()), str(path), dynamo=True, input_names=list(inputs),
                output_names=[graph.output], dynamic_shapes=names, external_data=False, verbose=False,
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise RunError("this network takes a step that ONNX has no word for, so it cannot be written.") from error


@torch.inference_mode()
def _difference(graph: Graph, session: Any, n: int) -> float:
    inputs = graph.example(n)
    answer = graph.module(*inputs.values()).numpy()
    ours = answer.astype(np.float64)
    theirs = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0].astype(np.float64)
    off = np.abs(ours - theirs)
    # a pixel between two whole numbers may be rounded to either: of such only how many they are counts
    is_rounding = answer.dtype == np.uint8 and off.max() <= 1
    return float((off.mean() if is_rounding else off.max()) / max(1.0, np.abs(ours).max()))


# ---- the networks --------------------------------------------------------------------------------


class _Encoder(nn.Module):
    def __init__(self, backbone: Backbone):
        super().__init__()
        self.body = deepcopy(backbone.body)
        for part in self.body.modules():
            # the file computes in float32 throughout
            if getattr(part, "dtype", None) == torch.bfloat16:
                part.dtype = torch.float32

    def forward(self, pixel_NSSC: Tensor) -> Tensor:
        return self.body(from_pixels(pixel_NSSC))  # type: ignore[no-any-return]


def _of_encoder(backbone: Backbone) -> Graph:
    S, C = backbone.image_size, backbone.channels
    return Graph(
        _Encoder(backbone), lambda n: {"pixels": _bytes(n, S, S, C)}, "features", {"pixels": {0: "n"}},
        f"pictures, uint8 (N, {S}, {S}, {C}), to features (N, {backbone.n_features})",
        (f"bring pictures to {S} x {S} first",),
    )  # fmt: skip


class _Generator(nn.Module):
    def __init__(self, gan: Any):
        super().__init__()
        self.generator, self.form = gan.network_.generator, gan.form_

    def forward(self, noise_NZ: Tensor, class_N: Tensor) -> Tensor:
        return self.form.pixels(self.generator(noise_NZ, class_N))  # type: ignore[no-any-return]


def _of_generator(gan: Any) -> Graph:
    Z, n_classes = gan.network_.generator.n_noise, len(gan.shares_)

    def example(n: int) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(n)
        return {"noise": torch.randn(n, Z, generator=draw), "class": torch.arange(n) % n_classes}

    return Graph(
        _Generator(gan), example, "pixels", {"noise": {0: "n"}, "class": {0: "n"}},
        f"normal numbers (N, {Z}) and classes (N), 0 to {n_classes - 1}, to pictures, uint8 (N, S, S, C)",
    )  # fmt: skip


class _Cleaner(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, noisy_NCHW: Tensor, level_N: Tensor) -> Tensor:
        return noisy_NCHW - self.network(noisy_NCHW, level_N)  # type: ignore[no-any-return]


def _of_denoiser(denoiser: Any) -> Graph:
    C, side = denoiser.channels_, 4 * denoiser.network_.stride

    def example(n: int) -> dict[str, Tensor]:
        return {"noisy": from_pixels(_bytes(n, side, side, C)), "level": torch.full((n,), 25 / 127.5)}

    return Graph(
        _Cleaner(denoiser.network_), example, "clean", {"noisy": {0: "n"}, "level": {0: "n"}},
        f"noisy pictures in -1..1, float32 (N, {C}, {side}, {side}), and the standard deviation of the noise on that "
        "scale (N), to clean ones",
        (f"larger pictures are cut into tiles of {side} x {side}",),
    )  # fmt: skip


class _Foreseeing(nn.Module):
    """What the network foresees by itself, where the memory has seen nothing."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network
        told, known = network.memory.ask(torch.zeros(1, network.n_history, dtype=torch.int64))
        uniform = torch.full_like(told, -float(np.log(network.n_tokens)))
        self.register_buffer("told_11KV", uniform[:, None])
        self.register_buffer("known_11F", torch.zeros_like(known)[:, None])

    def forward(self, token_NT: Tensor) -> Tensor:
        N, T = token_NT.shape
        x_NTD = self.network.transformer(token_NT, torch.zeros_like(token_NT[:, :1]))
        told, known = self.told_11KV.expand(N, T, -1, -1), self.known_11F.expand(N, T, -1)
        return torch.log_softmax(self.network.logits(x_NTD, told, known), 2)


def _of_language(model: Any) -> Graph:
    V, T = model.vocabulary_.size, 16

    def example(n: int) -> dict[str, Tensor]:
        return {"tokens": torch.randint(0, V, (n, T), generator=torch.Generator().manual_seed(n))}

    return Graph(
        _Foreseeing(model.network_), example, "log_probabilities", {"tokens": {0: "n", 1: "t"}},
        f"tokens, int64 (N, T), to the log probability of each next token (N, T, {V})",
        ("the memory of counts is no network and stays behind: by itself the network foresees less well",),
    )  # fmt: skip


def _bytes(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(shape[0]), dtype=torch.uint8)
