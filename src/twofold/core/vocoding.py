"""How a vocoder is learned: from real sounds, that it is asked to make again from their log-mel pictures.

Dimension key: B sounds, T samples.
"""

import numpy as np
import torch
from torch import Tensor

from twofold.core.device import choose_device
from twofold.core.estimator import seeded
from twofold.core.learner import Learner
from twofold.core.loop import Plan, train
from twofold.nn.aside import set_aside
from twofold.nn.spectrogram import LogMel
from twofold.nn.vocoder import SoundLoss, Vocoder

__all__ = ["learn_vocoder"]

BATCH_SIZE = 16
N_ROUNDS = 2  # of polishing, that are learned through
QUIETER, LOUDER = -1.5, 0.3  # logarithms by which a sound is changed while it is learned from


def learn_vocoder(
    sound_NT: np.ndarray, log_mel: LogMel, span: tuple[float, float], *, n_steps: int, seed: int = 0,
    device: str = "cpu", n_threads: int | None = None,
) -> Vocoder:  # fmt: skip
    """A vocoder for such sounds, on the CPU, its weights set aside.

    Parameters
    ----------
    span : least and largest number of the pictures; what is less counts as silence.
    n_steps : updates: 600 take a minute or two of one thread at 8 kHz.

    Examples
    --------
    >>> sound_NT = np.random.default_rng(0).normal(0, 0.1, (4, 2048)).astype(np.float32)
    >>> learn_vocoder(sound_NT, LogMel(8000), (-8, 3), n_steps=1)(torch.zeros(1, 64, 16), n_rounds=1).shape
    torch.Size([1, 2048])
    """
    with seeded(seed):
        vocoder = Vocoder(log_mel, low=span[0], high=span[1])
    learner = Imitation(vocoder).to(choose_device(device))
    plan = Plan(n_steps=n_steps, batch_size=BATCH_SIZE, seed=seed, n_threads=n_threads)
    for _ in train(learner, [sound_NT], plan):
        pass
    set_aside(vocoder.cpu().eval())
    return vocoder


class Imitation(Learner):
    """A vocoder that is to make sounds again from their pictures."""

    def __init__(self, vocoder: Vocoder):
        super().__init__()
        self.vocoder = vocoder
        self.unlike = SoundLoss(vocoder.log_mel, vocoder.low)

    def loss(self, *batch: Tensor) -> dict[str, Tensor]:
        """How unlike the sounds (B, T) are that come back, at any loudness."""
        (sound_BT,) = batch
        loudness_B1 = (QUIETER + (LOUDER - QUIETER) * self.uniform(len(sound_BT), 1)).exp()
        sound_BT = sound_BT * loudness_B1
        with torch.no_grad():
            picture_BMF = self.vocoder.log_mel(sound_BT)
        terms: dict[str, Tensor] = self.unlike(self.vocoder(picture_BMF, n_rounds=N_ROUNDS), sound_BT)
        return terms
