"""A map: each row a point in the plane, so placed that rows which are near stay near; and the row back from a point.

One network places rows, also those it was never shown; another one goes back. The loss is that of t-SNE, on batches: of
the rows that are drawn together, the nearest to each should be the nearest in the plane.

van der Maaten 2009, Learning a parametric embedding by preserving local structure (AISTATS); Damrich et al. 2023, From
t-SNE to UMAP with contrastive learning, https://arxiv.org/abs/2206.01816
Dimension key: N rows, B rows of a batch, D features by which rows are near, T targets to go back to, K neighbours.
"""

import torch
from torch import Tensor, nn

from twofold.nn.ordered import ResidualMLP, principal_axes

__all__ = ["N_NEIGHBOURS", "PlanarNetwork", "neighbour_loss", "start_from_plane"]

N_NEIGHBOURS = 10
DIM, DEPTH, DEPTH_BACK = 128, 4, 2
REACH = 10.0  # how far the network moves points at first; a finished map is some 30 across
NOISE = 0.7  # of the distance to the last of a row's neighbours: the gaps between the rows are learned too
WAVES = (0.1, 0.2, 0.4, 0.8)  # per unit of the map: a network that goes back sees finer detail through them
ROWS_TO_START = 400


class PlanarNetwork(nn.Module):
    """Places in a plane for rows of features (B, D), and targets (B, T) for places.

    Examples
    --------
    >>> network = start_from_plane(torch.randn(50, 5), torch.randn(50, 3))
    >>> network.encode(torch.randn(4, 5)).shape, network.decode(torch.zeros(4, 2)).shape
    (torch.Size([4, 2]), torch.Size([4, 3]))
    """

    centre_D: Tensor
    axis_2D: Tensor
    spread: Tensor
    noise: Tensor
    target_T: Tensor
    target_spread: Tensor

    def __init__(self, n_features: int, n_targets: int):
        super().__init__()
        self.encoder = ResidualMLP(n_features, 2, DIM, DEPTH)
        # a map that is moved is as good: the gradient would be rounding errors, which Adam makes steps of
        for layer in (self.encoder.norms[-1], self.encoder.last):
            layer.bias.requires_grad_(False)
        self.decoder = ResidualMLP(2 + 4 * len(WAVES), n_targets, DIM, DEPTH_BACK)
        self.slope = nn.Linear(2, n_targets)
        for name in ("spread", "noise", "target_spread"):
            self.register_buffer(name, torch.ones(()))
        self.register_buffer("centre_D", torch.zeros(n_features))
        self.register_buffer("axis_2D", torch.zeros(2, n_features))
        self.register_buffer("target_T", torch.zeros(n_targets))

    def standard(self, feature_BD: Tensor) -> Tensor:
        """The features from their mean, in units of their common spread."""
        return (feature_BD - self.centre_D) / self.spread

    def encode(self, feature_BD: Tensor) -> Tensor:
        """Places (B, 2)."""
        return self.encode_standard(self.standard(feature_BD))

    def encode_standard(self, standard_BD: Tensor) -> Tensor:
        """The same from standardised features: principal components, and what the network adds to them."""
        return standard_BD @ self.axis_2D.T + REACH * self.encoder(standard_BD)

    def decode(self, point_B2: Tensor) -> Tensor:
        """Targets (B, T)."""
        return self.target_T + self.target_spread * self.decode_standard(point_B2)

    def decode_standard(self, point_B2: Tensor) -> Tensor:
        """The same, from their mean, in units of their common spread."""
        waves = [wave(frequency * point_B2) for frequency in WAVES for wave in (torch.sin, torch.cos)]
        return self.slope(point_B2) + self.decoder(torch.cat([point_B2 / REACH, *waves], 1))


def neighbour_loss(feature_BD: Tensor, point_B2: Tensor, n_neighbors: int = N_NEIGHBOURS) -> Tensor:
    """How unlikely the map makes the true neighbours of each row among the rows of the batch, in nats.

    In the map the odds of being neighbours are 1 / (1 + d^2), at distance d.
    """
    is_self_BB = torch.eye(len(point_B2), dtype=torch.bool, device=point_B2.device)
    with torch.no_grad():
        distance_BB = _squared_distances(feature_BD).masked_fill_(is_self_BB, torch.inf)
        near_BK = distance_BB.topk(min(n_neighbors, len(point_B2) - 1), largest=False).indices
    odds_BB = (-_squared_distances(point_B2).log1p()).masked_fill(is_self_BB, -torch.inf)
    return -odds_BB.log_softmax(1).gather(1, near_BK).mean()


def _squared_distances(x_BD: Tensor) -> Tensor:
    square_B = x_BD.square().sum(1)
    return (square_B[:, None] + square_B - 2 * x_BD @ x_BD.T).clamp_min(0)


# ---- the start: the plane of the first two principal components ----------------------------------


@torch.no_grad()
def start_from_plane(feature_ND: Tensor, target_NT: Tensor, seed: int = 0) -> PlanarNetwork:
    """A network that places rows on the plane of their first two principal components, the first of spread 1."""
    network = PlanarNetwork(feature_ND.shape[1], target_NT.shape[1])
    network.centre_D.copy_(feature_ND.mean(0))
    network.spread.copy_(_spread(feature_ND))
    standard_ND = network.standard(feature_ND)
    axis_AD, spread_A = principal_axes(standard_ND.double().numpy(), 2, seed)
    # one axis only where rows spread along no second one
    network.axis_2D[: len(axis_AD)] = torch.from_numpy(axis_AD / max(spread_A[0], 1e-6)).float()
    network.noise.copy_(NOISE * _gap(standard_ND[:ROWS_TO_START]))
    network.target_T.copy_(target_NT.mean(0))
    network.target_spread.copy_(_spread(target_NT))
    point_N2 = network.encode(feature_ND)
    standard_NT = (target_NT - network.target_T) / network.target_spread
    network.slope.weight.copy_(torch.linalg.lstsq(point_N2, standard_NT, driver="gelsd").solution.T)
    network.slope.bias.zero_()
    return network


def _spread(x_ND: Tensor) -> Tensor:
    """The root of the mean variance of a column; 1 where nothing varies."""
    spread = x_ND.var(0, correction=0).mean().sqrt()
    return spread if spread > 1e-6 else torch.ones(())


def _gap(standard_ND: Tensor) -> Tensor:
    """The usual distance to the last of a row's neighbours among these rows, shared out over the features."""
    k = min(N_NEIGHBOURS + 1, len(standard_ND))
    squared_N = _squared_distances(standard_ND).topk(k, largest=False).values[:, -1]
    return (squared_N.median() / standard_ND.shape[1]).sqrt()
