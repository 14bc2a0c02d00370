"""A way that is bent a little: what a network adds to a straight one, nothing at first.

Dimension key: B rows, D features, E of the result.
"""

from torch import nn

__all__ = ["Bend"]


class Bend(nn.Sequential):
    """(B, D) to (B, E): all zero, until it is taught.

    Examples
    --------
    >>> import torch
    >>> Bend(4, 8, 2)(torch.ones(1, 4)).tolist()
    [[0.0, 0.0]]
    """

    def __init__(self, n_features: int, dim: int, embed_dim: int):
        super().__init__(nn.Linear(n_features, dim), nn.GELU(), nn.Linear(dim, embed_dim))
        nn.init.zeros_(self[-1].weight)
        nn.init.zeros_(self[-1].bias)
