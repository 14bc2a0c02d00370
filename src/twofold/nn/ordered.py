"""Encoder and decoder with an ordered latent: principal components, and what two small networks add to them.

What is encoded is a tuple of row-aligned tensors, such as numbers and categories, or pixels; `cells` knows what they
are (nn/cells.py, nn/convolutional.py).

Dimension key: N rows, B rows at a time, P numbers, Q categories, C = P + Q cells of a row, Z latent numbers,
D width, I inputs and O outputs (cells.py).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.cells import Cells

__all__ = ["FLOOR", "OrderedNetwork", "ResidualMLP", "perceptrons", "principal_axes", "start_from_pca"]

Networks = tuple[nn.Module, nn.Module]

RARE = 0.01  # least share that PCA may give to a level
FLOOR = 1e-4  # of the variance: smaller errors count as none


class ResidualMLP(nn.Module):
    """Blocks that add to a stream of width D; it answers 0 until it has learned something."""

    def __init__(self, n_inputs: int, n_outputs: int, dim: int, depth: int):
        super().__init__()
        self.first = nn.Linear(n_inputs, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth + 1))
        self.ins = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        self.outs = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        self.last = nn.Linear(dim, n_outputs)
        for layer in (*self.outs, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, input_BI: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """(B, I) to (B, O); `drop` is dropout, in training."""
        stream_BD = self.first(input_BI)
        for norm, into, out in zip(self.norms, self.ins, self.outs, strict=False):
            hidden_BD = functional.gelu(into(norm(stream_BD)))
            stream_BD = stream_BD + out(hidden_BD if drop is None else drop(hidden_BD))
        return self.last(self.norms[-1](stream_BD))


class OrderedNetwork(nn.Module):
    """Encoder and decoder: principal components and what two networks add to them.

    Parameters
    ----------
    cells : what a row is.
    latent_dim : Z.
    networks : (B, I) to (B, Z), and (B, 2 Z), the latent and which of it is there, to (B, O); each takes dropout too.
    """

    def __init__(self, cells: Any, latent_dim: int, networks: Networks):
        super().__init__()
        self.cells = cells
        self.encoder, self.decoder = networks
        self.register_buffer("centre_O", torch.zeros(cells.n_outputs))
        self.register_buffer("axis_ZO", torch.zeros(latent_dim, cells.n_outputs))
        self.register_buffer("spread_Z", torch.ones(latent_dim))
        # by k, PCA's own error on training rows: of a cell, and of a number as its root
        self.register_buffer("error_Z", torch.ones(latent_dim))
        self.register_buffer("step_Z", torch.ones(latent_dim))
        # how much of what the encoder, and for each k the decoder, adds is let through
        self.register_buffer("bend", torch.ones(()))
        self.register_buffer("gate_Z", torch.ones(latent_dim))
        self.register_buffer("ratio_Z", torch.full((latent_dim,), torch.nan))

    def project(self, *row: Tensor) -> Tensor:
        """The principal components (B, Z)."""
        return (self.cells.values(*row) - self.centre_O) @ self.axis_ZO.T

    def encode(self, *row: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The latent numbers (B, Z), in the units of principal components."""
        bend = 1.0 if self.training else self.bend
        added_BZ = self.encoder(self.cells.inputs(*row), drop)
        return self.project(*row) + bend * self.spread_Z * added_BZ

    def straight(self, latent_BZ: Tensor, k_B: Tensor) -> Tensor:
        """PCA's answer (B, O) from the first k; the share that it gives to a level becomes a logit."""
        value_BO = self._first(latent_BZ, k_B) @ self.axis_ZO + self.centre_O
        P = self.cells.n_numbers
        return torch.cat([value_BO[:, :P], value_BO[:, P:].clamp_min(RARE).log()], 1)

    def added(self, latent_BZ: Tensor, k_B: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What the decoder adds to it, (B, O); to numbers in steps as large as PCA's error at that k."""
        kept_BZ = self._first(latent_BZ, k_B) / self.spread_Z
        mask_BZ = self._mask(k_B).to(kept_BZ.dtype).expand_as(kept_BZ)
        added_BO = self.decoder(torch.cat([kept_BZ, mask_BZ], 1), drop)
        is_number_O = torch.arange(self.cells.n_outputs, device=added_BO.device) < self.cells.n_numbers
        return added_BO * torch.where(is_number_O, self.step_Z[k_B - 1][:, None], 1.0)

    def decode(self, latent_BZ: Tensor, k_B: Tensor) -> Tensor:
        """The outputs (B, O) from the first k; `k_B` may have length 1."""
        return self.straight(latent_BZ, k_B) + self.gate_Z[k_B - 1][:, None] * self.added(latent_BZ, k_B)

    def _mask(self, k_B: Tensor) -> Tensor:
        return torch.arange(len(self.spread_Z), device=k_B.device) < k_B[:, None]

    def _first(self, latent_BZ: Tensor, k_B: Tensor) -> Tensor:
        return latent_BZ.masked_fill(~self._mask(k_B), 0.0)


# ---- the start: principal components -------------------------------------------------------------


def principal_axes(value_NO: np.ndarray, n_axes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions of largest spread (Z, O) and the spread along each (Z), most first, without those of no spread."""
    N = len(value_NO)
    if value_NO.shape[1] <= 500:
        variance_O, axis_OO = np.linalg.eigh(value_NO.T @ value_NO / N)
        axis_ZO, spread_Z = axis_OO.T[::-1][:n_axes], np.sqrt(variance_O[::-1].clip(0))[:n_axes]
    else:
        _, length_Z, axis_ZO = randomized_svd(value_NO, n_axes, n_iter=7, random_state=seed % 2**32)
        spread_Z = length_Z / np.sqrt(N)
    n_real = max(1, int((spread_Z > 1e-5 * spread_Z[0]).sum()))
    # a direction and its opposite are as good: the largest entry is made positive
    sign_Z = np.sign(axis_ZO[np.arange(len(axis_ZO)), np.abs(axis_ZO).argmax(1)])
    return (axis_ZO * sign_Z[:, None])[:n_real], np.maximum(spread_Z, 1e-6)[:n_real]


def perceptrons(cells: Cells, latent_dim: int, dim: int, depth: int) -> Networks:
    """Encoder and decoder of rows of a table."""
    encoder = ResidualMLP(cells.n_inputs, latent_dim, dim, depth)
    return encoder, ResidualMLP(2 * latent_dim, cells.n_outputs, dim, depth)


def start_from_pca(
    cells: Any, data: tuple[Tensor, ...], seed: int, *, latent_dim: int, networks: Callable[[int], Networks]
) -> OrderedNetwork:
    """A network that is PCA of these rows, exactly; its latent is no wider than they spread.

    `networks` makes encoder and decoder for the latent's width.
    """
    value_NO = cells.values(*data).double()
    centre_O = value_NO.mean(0)
    most = min(latent_dim, cells.n_outputs)
    axis_ZO, spread_Z = principal_axes((value_NO - centre_O).numpy(), most, seed)
    network = OrderedNetwork(cells, len(spread_Z), networks(len(spread_Z)))
    network.centre_O.copy_(centre_O)
    network.axis_ZO.copy_(torch.from_numpy(axis_ZO.copy()))
    network.spread_Z.copy_(torch.from_numpy(spread_Z))
    _measure(network, tuple(array[:2000] for array in data), FLOOR * float(value_NO.var(0, correction=0).mean()))
    return network


def _measure(network: OrderedNetwork, data: tuple[Tensor, ...], floor: float) -> None:
    """PCA's own error at each k, the yardstick of the loss."""
    latent_NZ = network.project(*data)
    for k in range(1, len(network.spread_Z) + 1):
        cost_NC = network.cells.surprise(network.straight(latent_NZ, torch.tensor([k])), *data)
        network.error_Z[k - 1] = cost_NC.mean() + max(floor, 1e-12)
        network.step_Z[k - 1] = cost_NC[:, : network.cells.n_numbers].mean().nan_to_num(1.0).sqrt() + floor**0.5
