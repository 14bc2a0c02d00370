"""Copies of a network that are tuned side by side: one by all pictures, which is kept, others each without a fold.

Those are judged by the fold that they never saw, and so the kept one is too. The head begins as ridge regression on
the frozen features (Kumar et al. 2022, https://arxiv.org/abs/2202.10054), softened: the body has something to learn.

Dimension key: N pictures, B pictures of a batch, R of them outside a fold, S side, C channels, D features, K classes.
"""

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.learner import Learner
from twofold.nn.augmentation import flip, resized_crop
from twofold.nn.ridge import Ridge, best_temperature

__all__ = ["TunedCopies", "TunedNetwork", "deal_folds", "network_of"]

LEAST_AREA = 0.35  # of a picture that a window shows
WARM_UP = 0.05  # of the training
SOFT = 0.3  # of the factor on the scores that foretells best


class TunedNetwork(nn.Module):
    """A body, and a linear head on the last of its features.

    Parameters
    ----------
    body : pictures to features; `layers` are its parts.
    centre_D, scale_D : of the features that the head sees, the last D ones.
    weight_KD, bias_K : of the head, on features in those units.
    """

    def __init__(self, body: nn.Module, *, centre_D: Tensor, scale_D: Tensor, weight_KD: Tensor, bias_K: Tensor):
        super().__init__()
        self.body = body
        self.head = nn.utils.skip_init(nn.Linear, len(centre_D), len(bias_K))
        with torch.no_grad():
            self.head.weight.copy_(weight_KD)
            self.head.bias.copy_(bias_K)
        self.register_buffer("centre_D", centre_D)
        self.register_buffer("scale_D", scale_D)

    @classmethod
    def with_ridge(
        cls, body: nn.Module, feature_ND: np.ndarray, label_N: np.ndarray, n_classes: int, scale_D: np.ndarray
    ) -> "TunedNetwork":
        """The head begins as ridge regression on these features, less sure of itself than it could be.

        Where the head already tells all pictures apart, the body has nothing left to learn.
        """
        centre_D = feature_ND.mean(0)
        ridge = Ridge.fit((feature_ND - centre_D) / scale_D, label_N, n_classes)
        sure = SOFT * best_temperature(ridge.left_out_NK, label_N)
        head = {"weight_KD": sure * ridge.weight_DK.T, "bias_K": sure * ridge.bias_K}
        parts = {"centre_D": centre_D, "scale_D": scale_D} | head
        return cls(body, **{name: torch.tensor(value, dtype=torch.float32) for name, value in parts.items()})

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """The classes' logits (B, K) of pictures in -1..1."""
        feature_BD = self.body(picture_BCSS.contiguous(memory_format=torch.channels_last))[:, -len(self.centre_D) :]
        return self.head((feature_BD - self.centre_D) / self.scale_D)


class TunedCopies(Learner):
    """One network for each fold, which learns from the pictures outside of it; a last one learns from all.

    Parameters
    ----------
    networks : what each copy begins as; their bodies are alike.
    n_frozen : layers nearest to the input that stay as they are.
    is_mirrored : whether mirror images are learnt from too.
    """

    def __init__(self, networks: Iterable[TunedNetwork], n_frozen: int, *, is_mirrored: bool = True):
        super().__init__()
        self.is_mirrored = is_mirrored
        self.copies = nn.ModuleList(deepcopy(network) for network in networks)
        for copy in self.copies:
            copy.body.requires_grad_(False)
            for layer in copy.body.layers[n_frozen:]:
                layer.requires_grad_(True)
        n_folds = len(self.copies) - 1
        self.parts = [1 - 1 / n_folds] * n_folds + [1.0]

    def train(self, mode: bool = True) -> "TunedCopies":
        """Batch norm keeps to what it was taught: the statistics of a few pictures are worse."""
        super().train(mode)
        self.copies.eval()
        return self

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """AdamW, for which slopes far below 1e-6 are rounding: where all is known, it must not follow those."""
        optimizers = super().configure()
        for group in optimizers["weights"].param_groups:
            group["eps"] = 1e-6
        return optimizers

    def schedule(self, fraction: float) -> float:
        """Short warm-up, then half a cosine down to 0."""
        return min((fraction + 1e-3) / WARM_UP, 1.0) * max(0.5 * (1 + math.cos(math.pi * fraction)), 1e-3)

    def loss(self, pixel_BSSC: Tensor, label_B: Tensor, fold_B: Tensor) -> dict[str, Tensor]:
        """The mean log-loss of the copies, each on pictures outside its fold."""
        picture_BCSS = self._augmented(pixel_BSSC)
        losses = [self._loss_of(fold, picture_BCSS, label_B, fold_B) for fold in range(len(self.copies))]
        return {"log_loss": torch.stack(losses).mean()}

    def _loss_of(self, fold: int, picture_BCSS: Tensor, label_B: Tensor, fold_B: Tensor) -> Tensor:
        rows_R = (fold_B != fold).nonzero().squeeze(1)
        is_any = len(rows_R) > 0
        # a process's share may hold none: then one picture, which counts nothing
        rows_R = rows_R if is_any else rows_R.new_zeros(1)
        total = functional.cross_entropy(self.copies[fold](picture_BCSS[rows_R]), label_B[rows_R], reduction="sum")
        # over the expected number of rows, not the real one: processes may share a batch out as they like
        return is_any * total / (len(label_B) * self.parts[fold])

    def _augmented(self, pixel_BSSC: Tensor) -> Tensor:
        """Windows of the pictures, (B, C, S, S) in -1..1."""
        B, S = pixel_BSSC.shape[:2]
        window_BCSS = resized_crop(pixel_BSSC.movedim(3, 1), self.uniform(B, 4), S, area=(LEAST_AREA, 1.0))
        return 2 * (flip(window_BCSS, self.uniform(B)) if self.is_mirrored else window_BCSS) - 1


def deal_folds(label_N: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """The fold of each row (N), each class dealt out evenly."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.permutation(len(label_N)), label_N))
    fold_N = np.empty(len(label_N), np.int64)
    # going on from class to class, so that rare classes do not all fall to the first fold
    fold_N[order] = np.arange(len(label_N)) % n_folds
    return fold_N


def network_of(tensors: Mapping[str, Tensor], body: nn.Module) -> TunedNetwork:
    """The network with this body whose head and units are among these tensors."""
    network = TunedNetwork(
        body, centre_D=tensors["centre_D"], scale_D=tensors["scale_D"], weight_KD=tensors["head.weight"],
        bias_K=tensors["head.bias"],
    )  # fmt: skip
    return network.eval().requires_grad_(False)
