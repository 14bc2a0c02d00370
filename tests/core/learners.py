"""Small real learners that the tests of the core train."""

import torch
from torch import Tensor, nn

from twofold.core.learner import Learner


class Rebuilder(Learner):
    """Rebuilds rows that noise was added to: a loss with randomness, like most of ours."""

    def __init__(self, dim: int = 6, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(dim, 16), nn.Tanh(), nn.Linear(16, dim))
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))

    def loss(self, row_BD: Tensor) -> dict[str, Tensor]:
        noisy_BD = row_BD + 0.1 * self.normal(*row_BD.shape)
        hidden_BD = self.uniform(*row_BD.shape) < 0.2
        rebuilt_BD = self.net(noisy_BD.masked_fill(hidden_BD, 0.0))
        return {"reconstruction": (rebuilt_BD - row_BD).square().mean(), "size": 1e-3 * rebuilt_BD.square().mean()}


def rows(n_rows: int = 200, dim: int = 6, seed: int = 1) -> Tensor:
    """Rows on a plane, with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(n_rows, 2, generator=generator)
    mixing = torch.randn(2, dim, generator=torch.Generator().manual_seed(0))
    return latent @ mixing + 0.05 * torch.randn(n_rows, dim, generator=generator)


def weights(learner: nn.Module) -> Tensor:
    """All weights in one vector."""
    return torch.cat([value.detach().flatten() for value in learner.state_dict().values()])
