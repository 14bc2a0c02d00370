"""A network that owns its loss.

Dimension key: B rows of this process's batch.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from twofold.core.device import autocast
from twofold.core.distributed import gathered

__all__ = ["Learner"]


class Learner(nn.Module):
    """A network that owns its loss; the loop only asks for steps.

    A subclass gives `loss(*batch) -> {name: scalar}`, whose terms are summed. One with several networks, such as a GAN,
    overrides `configure` and `step` too.

    Randomness inside a loss comes from `uniform` and `normal`, never from torch's global state: the numbers are a
    function of (seed, step, row of the whole batch), so that a resumed run, and a run dealt to several processes, draw
    the same ones.

    Examples
    --------
    >>> class Line(Learner):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Linear(1, 1)
    ...
    ...     def loss(self, x_B1, y_B1):
    ...         return {"squared_error": (self.layer(x_B1) - y_B1).square().mean()}
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest norm of a gradient; a longer one is shortened."""

    def __init__(self) -> None:
        super().__init__()
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.parallel_loss: Callable[..., dict[str, Tensor]] = self.loss
        self.generator = torch.Generator().manual_seed(0)
        self.n_updates = 0  # at the end of a training, earlier sessions included
        self.best_step = 0  # of those, where held-out rows were done best
        self.seconds = 0.0  # they took
        # Which of how many equal shares of the whole batch this process holds.
        self.share = (0, 1)

    def loss(self, *batch: Tensor) -> dict[str, Tensor]:
        """The named terms of the loss on a batch; their sum is what training lowers."""
        raise NotImplementedError(f"{type(self).__name__} must define loss(*batch) -> {{name: scalar}}.")

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers, by name; called once, before the first step."""
        weights = [p for p in self.parameters() if p.requires_grad]
        # fused: one kernel for all weights, 1.4 x faster than the default on small nets on a CPU
        return {
            "weights": torch.optim.AdamW(
                weights, lr=self.learning_rate, betas=(0.9, 0.99), weight_decay=self.weight_decay, fused=True
            )
        }

    def schedule(self, fraction: float) -> float:
        """The factor on the learning rate when that fraction of training is done: short warm-up, flat, linear to 0."""
        return min(1.0, (fraction + 1e-3) / 0.02, max((1.0 - fraction) / 0.6, 1e-3))

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        """One update of all weights, by all optimizers; the loss terms before it."""
        with autocast(batch[0].device):
            losses = self.parallel_loss(*batch)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.parameters(), self.clip)
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses

    @torch.inference_mode()
    def evaluate(self, *held_out: Tensor) -> dict[str, float]:
        """Measures on held-out rows; `held_out` is the one that early stopping watches. By default: the loss."""
        losses = self.loss(*held_out)
        return {"held_out": sum(float(term) for term in losses.values())}

    def preview(self, *row: Tensor) -> Any:
        """What a person is shown on the way: pictures, uint8 (N, H, W, C), of the same rows each time.

        They are held-out ones, or training's where none were held out.
        """
        return None

    def uniform(self, n_rows: int, *shape: int) -> Tensor:
        """Numbers in 0..1, shape (B, *shape)."""
        return self._draw(torch.rand, n_rows, *shape)

    def normal(self, n_rows: int, *shape: int) -> Tensor:
        """Standard normal numbers, shape (B, *shape)."""
        return self._draw(torch.randn, n_rows, *shape)

    def whole_batch(self, value_BD: Tensor) -> Tensor:
        """The rows of all processes, for a loss that is no mean over rows, such as a covariance."""
        return value_BD if self.share[1] == 1 else gathered(value_BD)

    def _draw(self, make: Callable[..., Tensor], n_rows: int, *shape: int) -> Tensor:
        index, n_shares = self.share
        whole = make(n_rows * n_shares, *shape, generator=self.generator, device=self.generator.device)
        return whole[index * n_rows : (index + 1) * n_rows]
