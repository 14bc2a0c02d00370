"""Muon: momentum whose matrices are made orthogonal before they are applied.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. Matrices of one shape are orthogonalised in one batch,
several times faster than one by one.
Dimension key: M matrices of one shape, R rows, C columns.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalised"]

# Quintic Newton-Schulz iteration that drives all singular values near 1 in five steps (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix_MRC: Tensor, n_iterations: int = 5) -> Tensor:
    """About the nearest orthogonal matrices: the same singular vectors, all singular values about 1."""
    is_tall = matrix_MRC.shape[1] > matrix_MRC.shape[2]
    x = matrix_MRC.transpose(1, 2) if is_tall else matrix_MRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(n_iterations):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x.transpose(1, 2) if is_tall else x


class Muon(torch.optim.Optimizer):
    """For the matrices and convolutions inside a network; embeddings, heads and vectors go to AdamW.

    A convolution counts as a matrix of one row for each channel that it gives.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], lr: float = 0.02, weight_decay: float = 0.1, is_half: bool = False
    ):
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = torch.bfloat16 if is_half else torch.float32

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[weight.shape].append(weight)
            for weights in by_shape.values():
                self._step_of_one_shape(weights, group["lr"], group["weight_decay"])

    def _step_of_one_shape(self, weights: list[nn.Parameter], rate: float, decay: float) -> None:
        directions = torch.stack([self._direction(weight).flatten(1) for weight in weights])
        update_MRC = orthogonalised(directions.to(self.dtype)).to(directions.dtype)
        rows, columns = directions.shape[1:]
        scale = max(1.0, rows / columns) ** 0.5
        torch._foreach_mul_(weights, 1 - rate * decay)
        updates = [update_RC.view_as(weight) for update_RC, weight in zip(update_MRC, weights, strict=True)]
        torch._foreach_add_(weights, updates, alpha=-rate * scale)

    def _direction(self, weight: nn.Parameter) -> Tensor:
        """Nesterov momentum, from .85 to .95 over the first 200 steps."""
        state = self.state[weight]
        if not state:
            state["momentum"], state["n_steps"] = torch.zeros_like(weight), torch.zeros(())
        keep = 0.85 + 0.10 * min(float(state["n_steps"]) / 200, 1.0)
        state["n_steps"] += 1
        assert weight.grad is not None
        state["momentum"].lerp_(weight.grad, 1 - keep)
        return weight.grad.lerp(state["momentum"], keep)
