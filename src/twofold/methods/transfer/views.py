"""Pictures and their labels on the way into a network, and how a picture is looked at more than once.

Dimension key: N pictures, B of them at once, S side, C channels, P raw pixels; s part of a side.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.data.pictures import Pictures
from twofold.errors import DataError
from twofold.nn.pixels import from_pixels

__all__ = ["adopted", "labels_of", "raw_pixels", "views"]

AT_ONCE = 32  # pictures through the network
RAW_SIDE = 16  # of the pictures that raw pixels are read from
ZOOM = 0.875  # of the side that a tuned network looks at

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def adopted(network: NetworkT) -> NetworkT:
    """The network as it is kept: one layout after fit and after load, since another one rounds otherwise."""
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def views(
    pixel_NSSC: np.ndarray, device: torch.device, *, is_mirrored: bool, is_tuned: bool = False
) -> Iterator[list[Tensor]]:
    """Some pictures at a time, (B, C, S, S) in -1..1, each looked at more than once.

    Their middles, as a tuned network saw them; for any other also the whole; and the mirror images of these.
    """
    for first in range(0, len(pixel_NSSC), AT_ONCE):
        picture_BCSS = from_pixels(torch.tensor(pixel_NSSC[first : first + AT_ONCE]).to(device))
        found = [_zoomed(picture_BCSS)] if is_tuned else [picture_BCSS, _zoomed(picture_BCSS)]
        found += [view.flip(3) for view in found] if is_mirrored else []
        yield [view.contiguous(memory_format=torch.channels_last) for view in found]


def _zoomed(picture_BCSS: Tensor) -> Tensor:
    """The middle of each picture: things as large as windows show them in training.

    Touvron et al. 2019, Fixing the train-test resolution discrepancy, https://arxiv.org/abs/1906.06423
    """
    S = picture_BCSS.shape[-1]
    edge = round((1 - ZOOM) / 2 * S)
    middle_BCss = picture_BCSS[:, :, edge : S - edge, edge : S - edge]
    return functional.interpolate(middle_BCss, size=(S, S), mode="bilinear", align_corners=False)


def labels_of(pictures: Pictures, y: Any) -> np.ndarray:
    """A label for each picture: those given, else those that the pictures came with."""
    labels = pictures.labels if y is None else np.asarray(y)
    if labels is None:
        raise DataError(
            f"{pictures.name} have no labels. Sort them into a folder for each class, name the column that holds "
            "them (--label), or give y."
        )
    if labels.shape != (len(pictures),):
        raise DataError(f"y has the shape {labels.shape}; there are {len(pictures)} pictures. Give a label for each.")
    missing = np.flatnonzero([label is None or label != label or label == "" for label in labels.tolist()])
    if len(missing):
        raise DataError(
            f"{len(missing)} of {len(labels)} pictures have no label, {pictures.ids[missing[0]]} for one. "
            "Label them, or leave them out."
        )
    return np.array(labels.tolist())


def raw_pixels(pictures: Pictures) -> np.ndarray:
    """Raw pixels of small copies, (N, P)."""
    return pictures.resized(RAW_SIDE, channels=3).reshape(len(pictures), -1) / 255.0
