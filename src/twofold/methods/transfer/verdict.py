"""What pictures that were left out say of a classifier: how good it is, and whether tuning made it any better.

Dimension key: N pictures, K classes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from twofold.measure.accuracy import confusion, majority_share, paired_test, wilson_interval
from twofold.nn.ridge import softmax

__all__ = ["Verdict", "log_loss", "mixed"]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the tuned network in the answer
LEAST_SHARE = 0.05  # a smaller one is not worth its time
TINY = 1e-12


@dataclass(frozen=True)
class Verdict:
    """How good, by pictures left out."""

    accuracy: float
    interval: tuple[float, float]
    """95 %, Wilson."""
    log_loss: float
    baselines: dict[str, float]
    table: list[list[int]]
    """(K, K): rows the truth, columns what was said."""
    share: float = 0.0
    """Of the tuned network in the answer."""
    gain: dict[str, float] = field(default_factory=dict)
    """Of accuracy by tuning, its 95 % interval and p-value; nothing where it was not tried."""
    reason: str = "frozen"
    """Which rung was kept, and why."""

    @classmethod
    def of_frozen(cls, score_NK: np.ndarray, label_N: np.ndarray, raw: float) -> "Verdict":
        """Of the frozen network, by scores of pictures left out one by one."""
        said_N = score_NK.argmax(1)
        n_right, N = int((said_N == label_N).sum()), len(label_N)
        baselines = {"commonest class": majority_share(label_N), "ridge on raw pixels": raw}
        reason = f"the frozen network is kept: {N - n_right} of {N} pictures left out are mistaken"
        table = confusion(label_N, said_N, range(score_NK.shape[1])).tolist()
        return cls(
            n_right / N, wilson_interval(n_right, N), log_loss(softmax(score_NK), label_N), baselines, table,
            reason=reason,
        )  # fmt: skip

    def beside(
        self, frozen_NK: np.ndarray, tuned_NK: np.ndarray, label_N: np.ndarray, *, is_right_N: np.ndarray,
        must_tune: bool,
    ) -> "Verdict":  # fmt: skip
        """The verdict after tuning, by scores of folds left out; and the tuned network's share in the answer.

        Each share that is tried counts by how likely it makes the labels left out: few pictures leave the choice open.
        Large folds left out cost more of what there is to learn from than small ones: the accuracy is corrected by what
        they cost the frozen network, which was right on `is_right_N` when less was left out.
        """
        shares = SHARES[1:] if must_tune else SHARES
        losses, N = np.array([log_loss(mixed(frozen_NK, tuned_NK, share), label_N) for share in shares]), len(label_N)
        share = round(float(softmax(-N * losses[None])[0] @ shares), 2)
        frozen_N = frozen_NK.argmax(1) == label_N
        probability_NK = mixed(frozen_NK, tuned_NK, share)
        said_N = probability_NK.argmax(1)
        test = paired_test(said_N == label_N, frozen_N)
        gain = {"gain": test.gain, "from": test.interval[0], "to": test.interval[1], "p_value": test.p_value}
        if share < LEAST_SHARE:
            return replace(self, gain=gain, reason="the frozen network is kept: tuning foretells no better")
        told = (
            f"{100 * test.gain:+.1f} points on pictures left out "
            f"(95 %: {100 * test.interval[0]:.1f} to {100 * test.interval[1]:.1f}, p = {test.p_value:.2g})"
        )
        cost_N = is_right_N.astype(float) - frozen_N
        n_right = int(np.clip(round(cost_N.sum() + (said_N == label_N).sum()), 0, N))
        return replace(
            self, accuracy=n_right / N, interval=_widened(n_right, N, 1.96 * cost_N.std() / N**0.5),
            log_loss=log_loss(probability_NK, label_N), share=share, gain=gain,
            baselines=self.baselines | {"frozen network": self.accuracy},
            table=confusion(label_N, said_N, range(frozen_NK.shape[1])).tolist(),
            reason=f"the tuned network counts {share:.0%}: {told}{'' if test.is_won else ', not proven'}",
        )  # fmt: skip

    def measures(self) -> dict[str, float]:
        """The numbers of it, by names that people read."""
        low, high = self.interval
        told = {"accuracy on pictures left out": self.accuracy, "at least (95 %)": low, "at most (95 %)": high}
        told |= {f"the same by {name}": value for name, value in self.baselines.items()}
        if self.gain:
            told |= {"share of the tuned network": self.share}
            told |= {f"gain by tuning: {name}": value for name, value in self.gain.items()}
        return told

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Verdict":
        """The reverse of `to_json`."""
        return cls(**{**told, "interval": tuple(told["interval"])})


def _widened(n_right: int, n: int, more: float) -> tuple[float, float]:
    """Wilson's interval with the uncertainty of a correction added."""
    share, (low, high) = n_right / n, wilson_interval(n_right, n)
    return max(0.0, share - float(np.hypot(share - low, more))), min(1.0, share + float(np.hypot(high - share, more)))


def mixed(frozen_NK: np.ndarray, tuned_NK: np.ndarray, share: float) -> np.ndarray:
    """Probabilities (N, K): the mean of both scores, after each was brought to log-probabilities."""
    frozen_NK, tuned_NK = (np.log(softmax(score_NK) + TINY) for score_NK in (frozen_NK, tuned_NK))
    return softmax((1 - share) * frozen_NK + share * tuned_NK)


def log_loss(probability_NK: np.ndarray, label_N: np.ndarray) -> float:
    """The mean of -log of what the true class was given."""
    return float(-np.log(probability_NK[np.arange(len(label_N)), label_N] + TINY).mean())
