"""Of all weights between the start and the end of training, those that do best on pictures that were held out.

So what a pre-trained tower knew is not forgotten for nothing, and no training makes a start worse.
Wortsman et al. 2022 (robust fine-tuning), https://arxiv.org/abs/2109.01903
"""

import torch
from torch import Tensor

from twofold.methods.clip.lesson import Lesson
from twofold.methods.clip.towers import PairedTowers

__all__ = ["judged", "keep_best"]

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the way


def judged(learner: PairedTowers, lesson: Lesson) -> float | None:
    """By pictures that were held out: 1 - mean of 1 / place (None where there are none)."""
    held_out = lesson.held_out()
    return None if held_out is None else learner.eval().evaluate(*held_out)["held_out"]


def keep_best(learner: PairedTowers, start: dict[str, Tensor], lesson: Lesson) -> tuple[float, float | None]:
    """Set the best weights; which share of the way they lie at, and how held-out pictures judge them."""
    end = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    found: dict[float, float | None] = {}
    for share in SHARES if lesson.is_held_M.any() else SHARES[:1]:
        learner.load_state_dict(_between(start, end, share))
        found[share] = judged(learner, lesson)
    best = min(found, key=lambda share: (found[share] or 0.0, -share))
    learner.load_state_dict(_between(start, end, best))
    return best, found[best]


def _between(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    if share in (0.0, 1.0):
        return end if share else start
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }
