"""Noticing that a network begins to learn its data by heart."""

import math
from dataclasses import replace

from twofold.core.loop import Progress

__all__ = ["HeartGuard"]


class HeartGuard:
    """Tells when the held-out part gets worse while the training goes on: the text is being learned by heart."""

    def __init__(self) -> None:
        self.best, self.best_step, self.is_told = math.inf, 0, False

    def watched(self, progress: Progress) -> Progress:
        """The same, with a note the first time."""
        value = progress.measures.get("held_out")
        if value is None:
            return progress
        if value < self.best:
            self.best, self.best_step = value, progress.step
        elif value > 1.01 * self.best and not self.is_told:
            self.is_told = True
            note = (
                f"held-out loss rises since step {self.best_step}: learning by heart begins; the best weights are kept"
            )
            return replace(progress, note=progress.note or note)
        return progress
