"""The context networks in whole numbers, so that every machine foresees the same to the last bit.

A number inside is a count of 1/256, a weight one of 1/4096. They are carried in float64, which adds and multiplies
whole numbers exactly below 2**53, in whatever order and on however many threads; `FixedLayer` proves from its weights
that no sum can pass that. Between layers the fraction is cut off (floor), which is exact too.

Balle, Johnston, Minnen 2019, Integer networks for data compression, https://openreview.net/forum?id=S1zz2i0cY7
Dimension key: B pictures, C channels, O channels given, H and W blocks, A anchors of the quality.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from twofold.errors import RunError
from twofold.nn.contexts import Contexts, Stack, convolved

__all__ = ["LARGEST", "UNIT", "FixedContexts"]

UNIT = 256
WEIGHT_UNIT = 4096
LARGEST = 2**20  # of a number between layers, in units
MOST_EXACT = 2**49  # leaves room for the sixteenths that qualities and means come in


class FixedLayer(nn.Module):
    """A `contexts.Layer` in whole numbers."""

    def __init__(self, n_in: int, n_out: int, size: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_out, n_in, size, size, dtype=torch.int32))
        self.register_buffer("bias_AO", torch.zeros(5, n_out, dtype=torch.int32))

    def check(self) -> None:
        """Refuse weights with which a sum might not be exact."""
        # what goes in is at most the sum of two layers
        largest = 2 * LARGEST * self.weight.double().abs().sum((1, 2, 3)).max() + self.bias_AO.double().abs().sum()
        if not largest < MOST_EXACT:
            raise RunError("the model's whole numbers are too large to be exact. Restore it from a copy.")

    def forward(self, x_BCS: Tensor, weight_BA: Tensor) -> Tensor:
        total = convolved(x_BCS, self.weight.double(), weight_BA @ self.bias_AO.double())
        return torch.floor(total / WEIGHT_UNIT).clamp(-LARGEST, LARGEST)


class FixedStack(Stack):
    """A `contexts.Stack` of whole numbers."""

    layer: ClassVar[type[nn.Module]] = FixedLayer


class FixedContexts(Contexts):
    """`Contexts` in whole numbers: latents go in as float64, centres and log2 spreads come out in 256ths."""

    unit: ClassVar[float] = float(UNIT)
    stack: ClassVar[type[Stack]] = FixedStack

    def __init__(self, dim: int = 96):
        super().__init__(dim)
        self.first_AM2 = nn.Parameter(torch.zeros_like(self.first_AM2, dtype=torch.int32), requires_grad=False)
        quarter = torch.arange(4 * 1024 + 1, dtype=torch.float64) / 4
        self.register_buffer("logarithm", (UNIT * torch.log2(1 + quarter)).round().int())

    @classmethod
    @torch.no_grad()
    def of(cls, contexts: Contexts) -> "FixedContexts":
        """The whole numbers nearest to what was learned."""
        fixed = cls(len(contexts.priors[0].layers[0].weight))
        state = {name: value.detach().double() for name, value in contexts.state_dict().items()}
        scale = {"weight": WEIGHT_UNIT, "bias_AO": WEIGHT_UNIT * UNIT, "first_AM2": UNIT}
        whole = {name: (value * scale[name.split(".")[-1]]).round().int() for name, value in state.items()}
        fixed.load_state_dict(whole | {"logarithm": fixed.logarithm})
        return fixed.checked()

    def checked(self) -> "FixedContexts":
        """Itself, once it is sure that all sums are exact."""
        for part in self.modules():
            if isinstance(part, FixedLayer):
                part.check()
        return self

    def compressed(self, value: Tensor) -> Tensor:
        """Looked up in the stored table, by quarters of a step."""
        index = torch.floor(value.abs() / (UNIT // 4)).clamp_max(len(self.logarithm) - 1).long()
        return value.sign() * self.logarithm.double()[index]

    def ratio(self, total: Tensor, count: Tensor) -> Tensor:
        """A mean, its fraction cut off; IEEE division rounds the same way everywhere."""
        return torch.floor(total / count)
