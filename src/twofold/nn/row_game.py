"""The two players of a GAN of tables: a generator that begins as a mixture of clusters, and a discriminator.

A made row begins in a cluster, chosen by a first number of the noise; further ones make its numbers and levels as the
mixture has them. What the network has learned from the game is added to these: at the start that is nothing, and the
generator is the mixture.
Jang, Gu, Poole 2017 (levels by Gumbel's trick, straight through), https://arxiv.org/abs/1611.01144; Gorishniy,
Rubachev, Babenko 2022 (numbers as the discriminator sees them), https://arxiv.org/abs/2203.05556.
Dimension key: B rows, P numbers, G groups of levels, L levels of all groups together, O = P + L outputs, K clusters,
C classes, E more noise, Z = 1 + P + L + E numbers of noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.mixture import Mixture

__all__ = ["RowDiscriminator", "RowGenerator", "RowPlan"]

WARMTH = 0.5  # of the softmax by which levels are learned
STEP = 3.0  # of what is added to the logits of levels
LEAST_LOGIT = -12.0
BREADTH = 0.87  # of a cluster's spread: normal clouds reach farther from real rows than real rows do
N_EDGES = 7
SHARP, GENTLE = 3.0, 0.3  # of a step and of a slope at each edge


@dataclass(frozen=True)
class RowPlan:
    """Where the cells of a row stand.

    Parameters
    ----------
    n_numbers : P.
    sizes : levels of each group.
    gates : of each number its place among the L levels that says that there is one; -1: always.
    """

    n_numbers: int
    sizes: tuple[int, ...]
    gates: tuple[int, ...]

    @property
    def n_levels(self) -> int:
        """L."""
        return sum(self.sizes)

    def first(self) -> Tensor:
        """The place of each group's first level among all, (G)."""
        size_G = torch.tensor(self.sizes, dtype=torch.int64)
        return size_G.cumsum(0) - size_G

    def cells(self) -> Tensor:
        """The cell that each output belongs to, (O): a group and the number beside it are one."""
        group_L = torch.arange(len(self.sizes)).repeat_interleave(torch.tensor(self.sizes, dtype=torch.int64))
        own = [int(group_L[gate]) if gate >= 0 else len(self.sizes) + p for p, gate in enumerate(self.gates)]
        return torch.cat([torch.tensor(own, dtype=torch.int64), group_L])

    def row(self, number_BP: Tensor, level_BG: Tensor) -> Tensor:
        """Coded cells as outputs (B, O): numbers, then a one among zeros for each group."""
        one_BL = number_BP.new_zeros(len(number_BP), self.n_levels)
        one_BL.scatter_(1, level_BG + self.first().to(level_BG.device), 1.0)
        return torch.cat([number_BP, one_BL], 1)

    def coded(self, row_BO: Tensor) -> tuple[Tensor, Tensor]:
        """The reverse: numbers (B, P) and levels (B, G)."""
        number_BP, one_BL = row_BO.split([self.n_numbers, self.n_levels], 1)
        levels = [part.argmax(1) for part in one_BL.split(self.sizes, 1)] if self.sizes else []
        return number_BP, torch.stack(levels, 1) if levels else row_BO.new_zeros(len(row_BO), 0).long()


class Perceptron(nn.Module):
    """Two layers that are added to what they are given, some times over."""

    def __init__(self, n_inputs: int, n_outputs: int, dim: int, depth: int = 2):
        super().__init__()
        self.first, self.last = nn.Linear(n_inputs, dim), nn.Linear(dim, n_outputs)
        self.ins = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        self.outs = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        for layer in self.outs:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BI: Tensor) -> Tensor:
        """(B, outputs)."""
        h_BD = _bent(self.first(x_BI))
        for inner, outer in zip(self.ins, self.outs, strict=True):
            h_BD = h_BD + outer(_bent(inner(h_BD)))
        return self.last(_bent(h_BD))


class RowGenerator(nn.Module):
    """Rows from noise; before any training those of a mixture.

    Parameters
    ----------
    plan : where the cells stand.
    n_clusters : K.
    n_more : E, numbers of noise besides those of the mixture.

    Examples
    --------
    >>> generator = RowGenerator(RowPlan(1, (2,), (-1,)), 1, dim=8, n_more=4, n_classes=1)
    >>> generator(torch.randn(3, generator.n_noise), torch.zeros(3, dtype=torch.int64)).shape
    torch.Size([3, 3])
    """

    def __init__(self, plan: RowPlan, n_clusters: int, *, dim: int, n_more: int, n_classes: int):
        super().__init__()
        P, L = plan.n_numbers, plan.n_levels
        self.plan, self.n_noise, self.n_classes = plan, 1 + P + L + n_more, n_classes
        self.network = Perceptron(2 * P + 2 * L + n_more + n_classes, P + L, dim)
        nn.init.zeros_(self.network.last.weight)
        nn.init.zeros_(self.network.last.bias)
        self.register_buffer("share_CK", torch.full((n_classes, n_clusters), 1 / n_clusters))
        self.register_buffer("mean_KP", torch.zeros(n_clusters, P))
        self.register_buffer("root_KPP", torch.eye(P).repeat(n_clusters, 1, 1))
        self.register_buffer("logit_KL", torch.zeros(n_clusters, L))
        gate_P = torch.tensor(plan.gates, dtype=torch.int64)
        self.register_buffer("gate_P", gate_P.clamp_min(0), persistent=False)
        self.register_buffer("is_gated_P", gate_P >= 0, persistent=False)

    @torch.no_grad()
    def begin(self, mixture: Mixture, class_N: Tensor) -> None:
        """Be this mixture, of as many levels or more; clusters are as frequent in each class as among its rows."""
        K = len(mixture.share_K)  # fewer than there is room for, where rows are alike; the others are never chosen
        self.mean_KP[:K] = torch.from_numpy(mixture.mean_KP)
        self.root_KPP[:K] = BREADTH * torch.from_numpy(mixture.root_KPP)
        self.logit_KL[:K] = torch.from_numpy(mixture.log_share_KL[:, : self.plan.n_levels])
        belongs_NC = functional.one_hot(class_N, self.n_classes).double()
        share_CK = belongs_NC.T @ torch.from_numpy(mixture.belongs_NK) + torch.from_numpy(mixture.share_K)
        self.share_CK.zero_()
        self.share_CK[:, :K] = share_CK / share_CK.sum(1, keepdim=True)

    def forward(self, noise_BZ: Tensor, class_B: Tensor) -> Tensor:
        """Rows (B, O)."""
        # a cell is known to more digits than half precision has
        with torch.autocast(noise_BZ.device.type, enabled=False):
            cluster_B = self.cluster(noise_BZ[:, 0], class_B)
            number_BP, logit_BL, more_BE = self.mixed(noise_BZ[:, 1:].float(), cluster_B)
            one_BL = self.chosen(logit_BL).detach()
            input_BI = torch.cat([
                number_BP, self.mean_KP[cluster_B], one_BL, self.logit_KL[cluster_B].clamp_min(-8) / 4, more_BE,
                functional.one_hot(class_B, self.n_classes).to(number_BP.dtype),
            ], 1)  # fmt: skip
            added_BP, added_BL = self.network(input_BI).split([self.plan.n_numbers, self.plan.n_levels], 1)
            return self.finished(number_BP + added_BP, logit_BL + STEP * added_BL)

    def cluster(self, noise_B: Tensor, class_B: Tensor) -> Tensor:
        """The cluster that a normal number chooses, (B)."""
        reach_CK = self.share_CK.cumsum(1)
        place_B1 = torch.special.ndtr(noise_B.float())[:, None] * reach_CK[class_B, -1:]
        return torch.searchsorted(reach_CK[class_B].contiguous(), place_B1)[:, 0].clamp_max(reach_CK.shape[1] - 1)

    def mixed(self, noise_BZ: Tensor, cluster_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers, logits with Gumbel's noise, and the noise that is left."""
        P, L = self.plan.n_numbers, self.plan.n_levels
        normal_BP, chance_BL, more_BE = noise_BZ.split([P, L, noise_BZ.shape[1] - P - L], 1)
        number_BP = self.mean_KP[cluster_B] + torch.einsum("bij,bj->bi", self.root_KPP[cluster_B], normal_BP)
        chance_BL = torch.special.ndtr(chance_BL).clamp(1e-6, 1 - 1e-6)
        return number_BP, self.logit_KL[cluster_B].clamp_min(LEAST_LOGIT) - (-chance_BL.log()).log(), more_BE

    def chosen(self, logit_BL: Tensor) -> Tensor:
        """The likeliest level of each group as a one among zeros; gradients are those of a softmax."""
        if not self.plan.sizes:
            return logit_BL
        parts = []
        for part in logit_BL.split(self.plan.sizes, 1):
            soft = torch.softmax(part / WARMTH, 1)
            parts.append(functional.one_hot(part.argmax(1), part.shape[1]) + soft - soft.detach())
        return torch.cat(parts, 1)

    def finished(self, number_BP: Tensor, logit_BL: Tensor) -> Tensor:
        """Rows (B, O): a number is 0 where its group says that there is none."""
        one_BL = self.chosen(logit_BL)
        if self.is_gated_P.any():
            number_BP = torch.where(self.is_gated_P, number_BP * one_BL[:, self.gate_P], number_BP)
        return torch.cat([number_BP, one_BL], 1)


class RowDiscriminator(nn.Module):
    """A score of how real each row looks; numbers are also seen by which quantiles they pass.

    Examples
    --------
    >>> RowDiscriminator(RowPlan(2, (), (-1, -1)), dim=8, n_classes=1)(torch.zeros(3, 2), torch.zeros(3).long()).shape
    torch.Size([3])
    """

    def __init__(self, plan: RowPlan, *, dim: int, n_classes: int):
        super().__init__()
        self.n_numbers, self.n_classes = plan.n_numbers, n_classes
        self.network = Perceptron(plan.n_numbers * (1 + 2 * N_EDGES) + plan.n_levels + n_classes, 1, dim)
        edge_E = torch.special.ndtri(torch.linspace(0, 1, N_EDGES + 2, dtype=torch.float64)[1:-1]).float()
        self.register_buffer("edge_E", edge_E, persistent=False)

    def forward(self, row_BO: Tensor, class_B: Tensor) -> Tensor:
        """(B), higher = more real."""
        with torch.autocast(row_BO.device.type, enabled=False):
            passed_BPE = row_BO[:, : self.n_numbers, None] - self.edge_E
            seen = torch.tanh(SHARP * passed_BPE).flatten(1), GENTLE * functional.relu(passed_BPE).flatten(1)
            class_BC = functional.one_hot(class_B, self.n_classes).to(row_BO.dtype)
            return self.network(torch.cat([row_BO, *seen, class_BC], 1))[:, 0]


def _bent(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)
