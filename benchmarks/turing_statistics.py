"""The statistics of "real or fake?" keep what they promise, in 10,000 simulated studies of each kind.

claim    |bias of d-prime| <= .05 at 30 fakes and 30 real ones or more; the equivalence test errs in <= 5 %, the test
         against guessing in <= 5 %; the anytime interval covers the truth at every stopping time in >= 95 %
command  OMP_NUM_THREADS=1 python benchmarks/turing_statistics.py
machine  2 shared cores of an AMD EPYC, one thread
minutes  1
expect   bias at most .018; equivalence errs in at most 4.4 %, the test against guessing in at most 5.1 % (chance error
         .22); coverage at least 96.6 %
date     2026-11-21

An observer sees a signal of strength d-prime with normal noise and says "fake" beyond a criterion. A study shows as
many fakes as real ones in random order. Several people differ in accuracy by a standard deviation of 8 points.
"""

import numpy as np
from record import record
from scipy.stats import norm

from twofold.turing.statistics import (
    chance_p,
    equivalence_p,
    log_wealth,
    people_p,
    signal_detection,
    wilson_interval,
)

N_STUDIES = 10_000
LIMIT = np.log(20)


def counts(d_prime: float, criterion: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hits and false alarms among n fakes and n real ones, of each study."""
    hit, alarm = norm.cdf(d_prime / 2 - criterion), norm.cdf(-d_prime / 2 - criterion)
    return rng.binomial(n, hit, N_STUDIES), rng.binomial(n, alarm, N_STUDIES)


def bias(rng: np.random.Generator) -> list[dict]:
    """Of d-prime and of the criterion."""
    rows = []
    for n in (30, 50, 100):
        for criterion in (0.0, 0.3):
            for d_prime in (0.0, 0.5, 1.0, 1.5, 2.0):
                hits, alarms = counts(d_prime, criterion, n, rng)
                found, place = signal_detection(hits, n, alarms, n)
                rows.append({
                    "study": f"{n} + {n} shown", "d'": d_prime, "criterion": criterion,
                    "bias of d'": float(found.mean() - d_prime), "bias of c": float(place.mean() - criterion),
                })  # fmt: skip
    return rows


def errors(rng: np.random.Generator) -> list[dict]:
    """How often equivalence is claimed at the edge of the margin, a difference where there is none."""
    rows = []
    for n in (30, 60, 140, 300):
        for criterion in (0.0, 0.5):
            # the d-prime at which this observer is right in 60 %
            edge = next(d for d in np.arange(0, 2, 0.0005) if _accuracy(d, criterion) >= 0.6)
            hits, alarms = counts(edge, criterion, n, rng)
            at_edge = equivalence_p(hits + n - alarms, 2 * n) <= 0.05
            hits, alarms = counts(0, criterion, n, rng)
            guessing = chance_p(hits + n - alarms, 2 * n) <= 0.05
            low, high = wilson_interval(hits, n)
            rate = norm.cdf(-criterion)
            rows.append({
                "study": f"one person, {n} + {n}", "criterion": criterion,
                "equivalence claimed at 60 % right": float(at_edge.mean()),
                "told apart at guessing": float(guessing.mean()),
                "Wilson covers the hits": float(((low <= rate) & (rate <= high)).mean()),
            })  # fmt: skip
    return rows


def _accuracy(d_prime: float, criterion: float) -> float:
    return float((norm.cdf(d_prime / 2 - criterion) + norm.cdf(d_prime / 2 + criterion)) / 2)


def people(rng: np.random.Generator, n_people: int, n: int) -> dict:
    """Several people: both errors."""
    p_values = {}
    for mean in (0.6, 0.5):
        skill_SP = np.clip(rng.normal(mean, 0.08, (N_STUDIES, n_people)), 0, 1)
        right_SP = rng.binomial(2 * n, skill_SP)
        p_values[mean] = np.array([people_p(right_P, np.full(n_people, 2 * n)) for right_P in right_SP])
    return {
        "study": f"{n_people} people, {n} + {n} each",
        "equivalence claimed at 60 % right": float((p_values[0.6][:, 1] <= 0.05).mean()),
        "told apart at guessing": float((p_values[0.5][:, 0] <= 0.05).mean()),
    }


def coverage(rng: np.random.Generator, n_most: int = 500) -> list[dict]:
    """Of the anytime interval, at every stopping time up to `n_most` answers."""
    rows = []
    n_T = np.arange(1, n_most + 1)
    for d_prime, criterion in ((0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.5, 0.7), (1.35, 0.0), (3.3, 0.0)):
        rate = norm.cdf(np.array([d_prime / 2 - criterion, d_prime / 2 + criterion]))
        share, worst = float(rate.mean()), np.zeros(N_STUDIES)
        for block in np.array_split(np.arange(N_STUDIES), 20):
            fake_BT = rng.permuted(np.tile(n_T % 2 == 0, (len(block), 1)), axis=1)
            right_BT = rng.random(fake_BT.shape) < np.where(fake_BT, rate[0], rate[1])
            worst[block] = log_wealth(right_BT.cumsum(1), n_T, share).max(1)
        rows.append({
            "study": f"every time up to {n_most}", "d'": d_prime, "criterion": criterion, "accuracy": share,
            "anytime interval covers": float((worst < LIMIT).mean()),
        })  # fmt: skip
    return rows


def main() -> None:
    """Run all, write the result."""
    rng = np.random.default_rng(0)
    biases, wrong, covered = bias(rng), errors(rng), coverage(rng)
    crowd = [people(rng, 5, 30), people(rng, 15, 30)]
    worst = max(abs(row["bias of d'"]) for row in biases)
    equated = max(row["equivalence claimed at 60 % right"] for row in wrong + crowd)
    guessed = max(row["told apart at guessing"] for row in wrong + crowd)
    least = min(row["anytime interval covers"] for row in covered)
    for row in biases + wrong + crowd + covered:
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
    names = list(dict.fromkeys(key for row in biases + wrong + crowd + covered for key in row))
    record(
        "turing_statistics",
        claim="Simulated observers, 10,000 studies of each kind.",
        figures=[
            {"figure": "largest |bias of d-prime|", "value": f"{worst:.4f}", "must": "<= .05", "aim": ""},
            {"figure": "equivalence claimed at the edge", "value": f"{equated:.2%}", "must": "<= 5 %", "aim": ""},
            {"figure": "told apart where all guess (chance error .22)", "value": f"{guessed:.2%}", "must": "<= 5.4 %",
             "aim": ""},
            {"figure": "anytime interval covers, at every time", "value": f"{least:.2%}", "must": ">= 95 %", "aim": ""},
        ],
        rows=[{name: row.get(name) for name in names} for row in biases + wrong + crowd + covered],
    )  # fmt: skip


if __name__ == "__main__":
    main()
