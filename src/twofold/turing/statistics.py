"""What answers to "real or fake?" are worth: accuracy, d-prime, equivalence, intervals, and how many more are needed.

All functions take numbers or arrays of them. Signal = "fake": a hit is a fake called fake, a false alarm a real one
called fake.

- Wilson 1927: an interval for a share that holds at few answers too.
- Hautus 1995: half a hit and half a miss are added (log-linear), so that no rate is 0 or 1. That draws d-prime towards
  0: at 30 fakes and 30 real ones by less than .03 for d-prime up to 2.5 where the criterion is 0; by .05 at 20 and 20,
  by .17 at 10 and 10; with a criterion of .5 by .07, .13 and .30 (sums over the binomial distribution).
- Macmillan and Creelman 2005: d-prime and criterion; sqrt 2 z(share right) where two are shown at once.
- Schuirmann 1987: two one-sided tests for equivalence, here with exact binomial tails.
- Robbins 1970: a beta mixture of likelihood ratios is a martingale, so that an interval from it holds at every stopping
  time (Ville 1939). It holds for shares in 0..1 as well as for answers that are right or wrong.
"""

from typing import Any

import numpy as np
from scipy.special import betaln, stdtr
from scipy.stats import binom, norm

__all__ = [
    "answers_needed", "anytime_interval", "chance_p", "d_prime_error", "equivalence_p", "log_wealth", "pair_d_prime",
    "people_p", "signal_detection", "wilson_interval",
]  # fmt: skip

PRIOR = 10.0  # of the beta mixture: tightest from .35 to .65 at 20 to 400 answers, at most 1.6 times wider at .95
MOST_ANSWERS = 1_000_000
MANY_ANSWERS = 2000  # from which the normal estimate is as good as exact sums


def wilson_interval(n_right: Any, n: Any, level: float = 0.95) -> tuple[Any, Any]:
    """For a share of `n_right` in `n`.

    Examples
    --------
    >>> low, high = wilson_interval(30, 60)
    >>> round(float(low), 3), round(float(high), 3)
    (0.377, 0.623)
    """
    z, n = norm.ppf((1 + level) / 2), np.asarray(n, float)
    share = np.asarray(n_right) / n
    centre, spread = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def signal_detection(n_hits: Any, n_fakes: Any, n_alarms: Any, n_reals: Any) -> tuple[Any, Any]:
    """d-prime z(H) - z(F), and the criterion -(z(H) + z(F)) / 2: above 0 for who rather says "real".

    Examples
    --------
    >>> d_prime, criterion = signal_detection(40, 50, 10, 50)
    >>> round(float(d_prime), 2), abs(round(float(criterion), 2))
    (1.64, 0.0)
    """
    z_hit = norm.ppf((np.asarray(n_hits) + 0.5) / (np.asarray(n_fakes) + 1))
    z_alarm = norm.ppf((np.asarray(n_alarms) + 0.5) / (np.asarray(n_reals) + 1))
    return z_hit - z_alarm, -(z_hit + z_alarm) / 2


def pair_d_prime(n_right: Any, n: Any) -> Any:
    """d-prime where a real one and a fake are shown at once: sqrt 2 z(share right)."""
    return np.sqrt(2) * norm.ppf((np.asarray(n_right) + 0.5) / (np.asarray(n) + 1))


def d_prime_error(n_hits: Any, n_fakes: Any, n_alarms: Any, n_reals: Any) -> Any:
    """Standard error of d-prime (Gourevitch and Galanter 1967).

    Examples
    --------
    >>> round(float(d_prime_error(40, 50, 10, 50)), 2)
    0.28
    """
    variance = 0.0
    for n_said, n in ((n_hits, n_fakes), (n_alarms, n_reals)):
        rate, n = (np.asarray(n_said) + 0.5) / (np.asarray(n) + 1), np.maximum(n, 1)
        variance = variance + rate * (1 - rate) / n / norm.pdf(norm.ppf(rate)) ** 2
    return np.sqrt(variance)


def chance_p(n_right: Any, n: Any) -> Any:
    """Exact two-sided p-value of guessing, a share of 1/2."""
    n_right, n = np.asarray(n_right), np.asarray(n)
    return np.minimum(1, 2 * np.minimum(binom.cdf(n_right, n, 0.5), binom.sf(n_right - 1, n, 0.5)))


def equivalence_p(n_right: Any, n: Any, margin: float = 0.1) -> Any:
    """The larger p-value of the two one-sided tests that the share is not within 1/2 +- margin."""
    n_right, n = np.asarray(n_right), np.asarray(n)
    return np.maximum(binom.cdf(n_right, n, 0.5 + margin), binom.sf(n_right - 1, n, 0.5 - margin))


def people_p(right_P: np.ndarray, shown_P: np.ndarray, margin: float = 0.1) -> tuple[float, float]:
    """The two p-values, of guessing and of an accuracy outside the margin, for several people (P).

    The larger of two: that of all answers together, and Student's over the people's accuracies, who differ.
    """
    n_right, n, share_P = right_P.sum(), shown_P.sum(), right_P / shown_P
    p_chance, p_equivalence = float(chance_p(n_right, n)), float(equivalence_p(n_right, n, margin))
    if len(share_P) == 1:
        return p_chance, p_equivalence
    freedom, distance = len(share_P) - 1, float(share_P.mean()) - 0.5
    error = max(float(share_P.std(ddof=1)), 1e-12) / np.sqrt(len(share_P))
    p_other = 2 * stdtr(freedom, -abs(distance) / error)
    p_outside = stdtr(freedom, (abs(distance) - margin) / error)
    return max(p_chance, float(p_other)), max(p_equivalence, float(p_outside))


# ---- at every stopping time ----------------------------------------------------------------------


def log_wealth(n_right: Any, n: Any, share: Any) -> Any:
    """Logarithm of what a bettor against this share has made of 1: above log 20 it is refuted at 95 %."""
    n_right, n, share = np.asarray(n_right, float), np.asarray(n, float), np.asarray(share, float)
    made = betaln(PRIOR + n_right, PRIOR + n - n_right) - betaln(PRIOR, PRIOR)
    return made - n_right * np.log(share) - (n - n_right) * np.log1p(-share)


def anytime_interval(n_right: Any, n: Any, level: float = 0.95) -> tuple[Any, Any]:
    """For a share, valid however often one looks and whenever one stops.

    Parameters
    ----------
    n_right : the sum of answers, or of shares in 0..1 (such as each person's).

    Examples
    --------
    >>> low, high = anytime_interval(30, 60)
    >>> round(float(low), 2), round(float(high), 2)
    (0.33, 0.67)
    """
    n_right, n = np.broadcast_arrays(np.asarray(n_right, float), np.asarray(n, float))
    share = n_right / np.maximum(n, 1)
    limit = -np.log(1 - level)
    ends = []
    for edge in (1e-12, 1 - 1e-12):
        inside, outside = np.clip(share, 1e-9, 1 - 1e-9), np.full(share.shape, edge)
        for _ in range(45):  # halving: the wealth grows on both sides of the share
            middle = (inside + outside) / 2
            is_inside = log_wealth(n_right, n, middle) < limit
            inside, outside = np.where(is_inside, middle, inside), np.where(is_inside, outside, middle)
        ends.append(outside)
    return np.where(ends[0] < 1e-9, 0.0, ends[0]), np.where(ends[1] > 1 - 1e-9, 1.0, ends[1])


# ---- how many are needed -------------------------------------------------------------------------


def answers_needed(share: float, margin: float = 0.1, *, power: float = 0.9, level: float = 0.05) -> tuple[int, int]:
    """How many answers tell this share apart from 1/2, and how many show it to be within 1/2 +- margin.

    Both with exact tests: the least number from which the power stays for the next ten. A million stands for more.

    Examples
    --------
    >>> answers_needed(0.65), answers_needed(0.5)
    ((121, 1000000), (1000000, 281))
    """

    def tells(n: np.ndarray) -> np.ndarray:
        low = binom.ppf(level / 2, n, 0.5)
        low = np.where(binom.cdf(low, n, 0.5) > level / 2, low - 1, low)
        return binom.cdf(low, n, share) + binom.cdf(low, n, 1 - share)

    def equates(n: np.ndarray) -> np.ndarray:
        high = binom.ppf(level, n, 0.5 + margin)
        high = np.where(binom.cdf(high, n, 0.5 + margin) > level, high - 1, high)
        return np.maximum(0, binom.cdf(high, n, share) - binom.cdf(n - high - 1, n, share))

    gap, room, spread = abs(share - 0.5), margin - abs(share - 0.5), np.sqrt(share * (1 - share))
    to_tell = norm.ppf(1 - level / 2) * 0.5 + norm.ppf(power) * spread
    # near the middle of the margin both sides can fail
    to_equate = 0.5 * (norm.ppf(1 - level) + norm.ppf((1 + power) / 2 if gap < 0.2 * margin else power))
    return _least(tells, to_tell / gap if gap else np.inf, power), _least(
        equates, to_equate / room if room > 0 else np.inf, power
    )


def _least(power_of: Any, root: float, power: float) -> int:
    """The least n from which on the power holds, looked for around the root of the normal estimate."""
    if root**2 > MANY_ANSWERS:
        return int(min(root**2, MOST_ANSWERS))
    start, stop = max(5, int(root**2 / 3)), int(root**2 * 1.4) + 40
    n = np.arange(start, stop)
    holds = np.convolve(power_of(n) < power, np.ones(10))[9 : len(n) + 9] == 0
    return int(n[np.argmax(holds)]) if holds.any() else MOST_ANSWERS
