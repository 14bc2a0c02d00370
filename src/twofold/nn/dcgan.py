"""A forger and a detective of pictures, of convolutions alone.

Radford, Metz, Chintala 2015 (DCGAN), https://arxiv.org/abs/1511.06434: strided convolutions that halve the side, and
transposed ones that double it. The class goes in with the noise; the detective weighs its features by the class
(Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637).
Dimension key: B pictures, C channels, S side, Z noise numbers, D width, P numbers of a sketch's code.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.sketch import Sketch

__all__ = ["CLASS_DIM", "BatchNorm", "PictureDiscriminator", "PictureGenerator", "settle"]

LEAST_SIDE = 4
WIDEST = 4  # times the width of the layer at full size
SLOPE = 0.2  # of what is below 0
CLASS_DIM = 16


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe and Szegedy 2015) by the whole batch, where several processes hold a share each.

    torch's own sees one share only; its synchronised kind needs a GPU.
    """

    gather: Callable[[Tensor], Tensor] | None = None
    """Brings rows of all processes together, with their gradients."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Each channel with mean 0 and variance 1 over batch and plane, then scaled and shifted."""
        if self.gather is None or not self.training:
            return super().forward(x_BCHW)
        x = x_BCHW.float()
        moment_12C = torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))])[None]
        mean_C, square_C = self.gather(moment_12C).mean(0)
        scale_C = self.weight / (square_C - mean_C.square() + self.eps).sqrt()
        shift_C = self.bias - mean_C * scale_C
        return (x * scale_C[:, None, None] + shift_C[:, None, None]).to(x_BCHW.dtype)


@torch.no_grad()
def settle(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Set what batch normalisation goes by outside training to the present weights' (Brock et al. 2019).

    Each batch is what the network is called with; all count alike. Without batch normalisation nothing is done.
    """
    norms = [part for part in network.modules() if isinstance(part, BatchNorm)]
    if not norms:
        return
    gathers, was_training = [norm.gather for norm in norms], network.training
    for norm in norms:
        norm.reset_running_stats()
        # an even mean over these batches, which every process has whole
        norm.momentum, norm.gather = None, None
    network.train()
    for batch in batches:
        network(*batch)
    network.train(was_training)
    for norm, gather in zip(norms, gathers, strict=True):
        norm.gather = gather


class PictureGenerator(nn.Module):
    """Noise to pictures in -1..1.

    Parameters
    ----------
    size, channels : of the pictures; the size is 4 times a power of 2.
    dim : width before the last doubling; it doubles towards the noise, up to 4 x.
    is_normed : whether features are normalised by their batch and pictures bent into -1..1, as the classic game does.
    sketch : draws the codes of what pictures are to look like coarsely (None: all is up to the noise).

    Examples
    --------
    >>> generator = PictureGenerator(16, 1, n_classes=1, n_noise=8, dim=4, is_normed=False)
    >>> generator(torch.zeros(2, 8), torch.zeros(2, dtype=torch.int64)).shape
    torch.Size([2, 1, 16, 16])
    """

    def __init__(
        self, size: int, channels: int, *, n_classes: int, n_noise: int, dim: int, is_normed: bool,
        sketch: Sketch | None = None,
    ):  # fmt: skip
        super().__init__()
        self.sketch, n_drawn, n_codes = sketch, 0, 0
        if sketch is not None:
            n_drawn, n_codes = sketch.n_noise, sketch.n_codes
        self.n_noise = n_drawn + n_noise
        widths = _widths(size, dim)[::-1]
        self.classes = nn.Embedding(n_classes, CLASS_DIM) if n_classes > 1 else None
        self.first = nn.Linear(n_codes + n_noise + CLASS_DIM * (n_classes > 1), widths[0] * LEAST_SIDE**2)
        self.norms = nn.ModuleList(BatchNorm(D) if is_normed else nn.Identity() for D in widths)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
            for before, after in zip(widths, [*widths[1:], channels], strict=True)
        )
        self.is_bent = is_normed
        self.apply(keep_variance)

    def forward(self, noise_BZ: Tensor, class_B: Tensor, code_BP: Tensor | None = None) -> Tensor:
        """Pictures (B, C, S, S), coarsely as the code says; if none is given, as the noise's first numbers say."""
        told = [noise_BZ]
        if self.sketch is not None:
            drawn_BZ, more_BZ = noise_BZ.tensor_split([self.sketch.n_noise], 1)
            told = [self.sketch.draw(drawn_BZ, class_B) if code_BP is None else code_BP, more_BZ]
        if self.classes is not None:
            told.append(self.classes(class_B))
        x = self.first(torch.cat(told, 1)).unflatten(1, (-1, LEAST_SIDE, LEAST_SIDE))
        x = x.contiguous(memory_format=torch.channels_last)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(functional.leaky_relu(norm(x), SLOPE))
        # a bend would leave no slope where all is black at first
        return torch.tanh(x.float()) if self.is_bent else x.float()


class PictureDiscriminator(nn.Module):
    """Pictures to a score, higher for real ones.

    Parameters
    ----------
    is_normed : whether features are normalised by their batch, as the classic game does; penalties on the slope need
        it left out.
    """

    def __init__(self, size: int, channels: int, *, n_classes: int, dim: int, is_normed: bool = False):
        super().__init__()
        widths = _widths(size, dim)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1)
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.norms = nn.ModuleList(BatchNorm(D) if is_normed and i else nn.Identity() for i, D in enumerate(widths))
        self.last = nn.Linear(widths[-1] * LEAST_SIDE**2, 1, bias=False)
        self.classes = nn.Embedding(n_classes, widths[-1]) if n_classes > 1 else None
        self.apply(keep_variance)

    def forward(self, picture_BCSS: Tensor, class_B: Tensor) -> Tensor:
        """Scores (B)."""
        x = self.stages(picture_BCSS)[-1]
        # half precision would blur what tells two scores apart
        with torch.autocast(x.device.type, enabled=False):
            return self.scores(x.float(), class_B)

    def stages(self, picture_BCSS: Tensor) -> list[Tensor]:
        """Its features after each halving."""
        x, stages = picture_BCSS.contiguous(memory_format=torch.channels_last), []
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = functional.leaky_relu(norm(layer(x)), SLOPE)
            stages.append(x)
        return stages

    def scores(self, x: Tensor, class_B: Tensor) -> Tensor:
        """Of the last features."""
        score_B = self.last(x.flatten(1))[:, 0]
        if self.classes is None:
            return score_B
        return score_B + (x.mean((2, 3)) * self.classes(class_B)).sum(1)


def _widths(size: int, dim: int) -> list[int]:
    """The width after each halving of the side, down to 4 pixels."""
    n_halvings = (size // LEAST_SIDE).bit_length() - 1
    return [dim * min(2**i, WIDEST) for i in range(n_halvings)]


def keep_variance(layer: nn.Module) -> None:
    """First weights under which features vary as much after each layer as before (He et al. 2015)."""
    if isinstance(layer, nn.ConvTranspose2d):
        n_inputs = layer.in_channels * 4  # of 16 weights, stride 2 lets 4 meet in a pixel
    elif isinstance(layer, nn.Conv2d):
        n_inputs = layer.in_channels * 16
    else:
        return
    nn.init.normal_(layer.weight, 0.0, (2 / (1 + SLOPE**2) / n_inputs) ** 0.5)
    nn.init.zeros_(layer.bias)
