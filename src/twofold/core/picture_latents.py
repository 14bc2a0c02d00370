"""How an autoencoder of pictures' patches is learned: by what comes back.

Dimension key: N pictures, B of them at a time, C channels, S side.
"""

import numpy as np
import torch
from torch import Tensor

from twofold.core.device import choose_device
from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.core.loop import Plan, train
from twofold.nn.aside import set_aside
from twofold.nn.patch_autoencoder import PatchAutoencoder
from twofold.nn.pixels import from_pixels

__all__ = ["learn_patch_autoencoder"]

BATCH_SIZE, BEGUN_WITH = 16, 512
BLUR = 0.02  # spread of the noise on latents: what a forger makes is never exact


def learn_patch_autoencoder(
    pixel_NSSC: np.ndarray, *, n_steps: int, seed: int = 0, device: str = "cpu", n_threads: int | None = None
) -> PatchAutoencoder:
    """One for such pictures, on the CPU, its weights set aside.

    Parameters
    ----------
    n_steps : updates: 300 take ten seconds of one thread at 128 pixels.

    Examples
    --------
    >>> pixel_NSSC = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 1), np.uint8)
    >>> learn_patch_autoencoder(pixel_NSSC, n_steps=1).decode(torch.zeros(1, 2, 4, 4)).shape
    torch.Size([1, 1, 16, 16])
    """
    with seeded(seed):
        autoencoder = PatchAutoencoder(pixel_NSSC.shape[-1])
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pixel_NSSC))[:BEGUN_WITH])
    autoencoder.begin(from_pixels(torch.from_numpy(np.array(pixel_NSSC[chosen]))))
    learner = Opening(autoencoder).to(choose_device(device))
    plan = Plan(n_steps=n_steps, batch_size=BATCH_SIZE, seed=seed, n_threads=n_threads)
    for _ in train(learner, [pixel_NSSC], plan):
        pass
    set_aside(autoencoder.cpu().eval())
    return autoencoder


class Opening(Learner):
    """A decoder that learns to bring back what was encoded."""

    learning_rate = 2e-3

    def __init__(self, autoencoder: PatchAutoencoder):
        super().__init__()
        self.autoencoder = autoencoder

    def loss(self, *batch: Tensor) -> dict[str, Tensor]:
        """Mean absolute error of the pixels, where white is 1 and black -1."""
        (pixel_BSSC,) = batch
        picture_BCSS = from_pixels(pixel_BSSC)
        with torch.no_grad():
            latent = self.autoencoder.encode(picture_BCSS)
        noise = self.normal(*latent.shape).to(latent.device)
        return {"absolute_error": (self.autoencoder.decode(latent + BLUR * noise) - picture_BCSS).abs().mean()}
