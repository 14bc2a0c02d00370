"""A large picture through a network piece by piece, without seams.

Each tile is given with a margin as wide as the network can see, and only its core is kept: the answer is that of the
whole picture at once, in bounded memory.
Dimension key: B pictures, C channels, H, W height and width.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["in_tiles"]


def in_tiles(network: Callable[[Tensor], Tensor], picture_BCHW: Tensor, core: int, margin: int) -> Tensor:
    """`network(picture)`, whose answer has the picture's height and width.

    Parameters
    ----------
    core, margin : in pixels; multiples of the network's stride, the margin at least as wide as it sees.
    """
    H, W = picture_BCHW.shape[2:]
    if max(H, W) <= core + 2 * margin:
        return network(picture_BCHW)
    rows = []
    for top in range(0, H, core):
        row = []
        for left in range(0, W, core):
            y, x = max(0, top - margin), max(0, left - margin)
            answer = network(picture_BCHW[:, :, y : top + core + margin, x : left + core + margin])
            row.append(answer[:, :, top - y : top - y + core, left - x : left - x + core])
        rows.append(torch.cat(row, 3))
    return torch.cat(rows, 2)
