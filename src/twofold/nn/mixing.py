"""Logistic mixing: many opinions on a bit, weighed by how well each did, and corrected where the mixture errs.

Both ends of a channel must compute the same numbers. So there is no exp or log here at run time (processors differ in
the last bit), only tables that are rounded when they are made, and sums run in a fixed order, row after row.
Dimension key: S places (streams), I inputs, C choices of weights, R sets of weights.
"""

import math
from itertools import accumulate

import numpy as np

__all__ = ["GOLDEN", "STRETCH", "Correction", "Mixer"]

GRID = np.float32(256)  # log odds are kept in steps of 1/256, within +-12
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # a multiplier for hashes


def _log_odds(probability: float, limit: float) -> float:
    exact = math.log(probability / (1 - probability))
    return max(-limit, min(limit, round(exact * 256) / 256))


# of 4096 probabilities, log odds
STRETCH = np.array([_log_odds((i + 0.5) / 4096, 9.0) for i in range(4096)], np.float32)
SQUASH = np.array(
    [max(1, min(65535, round(65536 / (1 + math.exp(-i / 256))))) for i in range(-12 * 256, 12 * 256 + 1)], np.float32
) / np.float32(65536)
DAMPING = np.array([1.0] + [n**-0.5 for n in range(1, 4097)], np.float32)


def _squash(log_odds: np.ndarray) -> np.ndarray:
    """Probabilities, from log odds within +-12."""
    return SQUASH[((log_odds + np.float32(12)) * GRID).astype(np.int32)]


class Mixer:
    """Weighs log odds: several sets of weights, each chosen by another circumstance, and one over their answers.

    Parameters
    ----------
    weight_I : where the weights start.
    n_sets : how many sets each circumstance chooses from.
    n_nodes : circumstances of the last weights.
    """

    def __init__(self, weight_I: np.ndarray, n_sets: list[int], n_nodes: int):
        R = sum(n_sets)
        self.first_C1 = np.array([0, *accumulate(n_sets[:-1])])[:, None]
        self.row_I11 = (np.arange(len(weight_I)) * R)[:, None, None]
        self.weight = np.repeat(weight_I.astype(np.float32), R)
        self.n_sets, self.n_nodes = R, n_nodes
        self.last_row_C1 = np.arange(len(n_sets))[:, None] * n_nodes
        self.last = np.full(len(n_sets) * n_nodes, 1 / len(n_sets), np.float32)
        self.n_learned = 0

    def mix(self, input_IS: np.ndarray, set_CS: np.ndarray, node_S: np.ndarray) -> np.ndarray:
        """The log odds (S) of a one."""
        self.input_IS, self.set_CS, self.node_S = input_IS, set_CS + self.first_C1, node_S
        self.at_ICS = self.row_I11 + self.set_CS
        weight_ICS = self.weight[self.at_ICS]
        weight_ICS *= input_IS[:, None]
        self.odds_CS = np.clip(weight_ICS.sum(0), -12, 12)
        self.last_at_CS = self.last_row_C1 + node_S
        odds_S = np.clip((self.last[self.last_at_CS] * self.odds_CS).sum(0), -12, 12)
        self.chance_CS, self.chance_S = _squash(self.odds_CS), _squash(odds_S)
        return odds_S

    def learn(self, bit_S: np.ndarray) -> None:
        """One step down the gradient of the code length, for all streams at once."""
        rate = max(0.008, 0.02 / (1 + self.n_learned / 200))
        self.n_learned += 1
        # many streams that share a set move it together: less each, or they overshoot
        share_CS = DAMPING[np.bincount(self.set_CS.ravel(), minlength=self.n_sets)[self.set_CS]]
        pull_CS = (bit_S - self.chance_CS).astype(np.float32) * share_CS * np.float32(rate)
        np.add.at(self.weight, self.at_ICS.ravel(), (self.input_IS[:, None] * pull_CS).ravel())
        share_S = DAMPING[np.bincount(self.node_S, minlength=self.n_nodes)[self.node_S]]
        pull_S = (bit_S - self.chance_S).astype(np.float32) * share_S * np.float32(0.002)
        np.add.at(self.last, self.last_at_CS.ravel(), (self.odds_CS * pull_S).ravel())


class Correction:
    """What came of each probability, in a few hashed circumstances: a mixture may be too sure, or not enough."""

    N_LEVELS = 33  # of log odds, from -8 to 8
    RATE = np.float32(0.02)

    def __init__(self, n_tables: int, log2: int):
        level = [1 / (1 + math.exp(-(i - 16) / 2)) for i in range(self.N_LEVELS)]
        level = [round(p * 65536) / 65536 for p in level]
        self.chance = np.tile(np.array(level, np.float32), n_tables << log2)
        self.log2, self.first_C1 = log2, np.arange(n_tables)[:, None] << log2

    def read(self, odds_S: np.ndarray, hash_CS: np.ndarray) -> np.ndarray:
        """Corrected probabilities (C, S), between the two nearest levels."""
        level_S = (np.clip(odds_S, -7.999, 7.999) + np.float32(8)) * np.float32(2)
        below_S = level_S.astype(np.int64)
        part_S = level_S - below_S
        row_CS = self.first_C1 + (hash_CS * GOLDEN >> np.uint64(64 - self.log2)).astype(np.int64)
        at_CS = row_CS * self.N_LEVELS + below_S
        self.at_CS = at_CS + (part_S > 0.5)
        return self.chance[at_CS] * (1 - part_S) + self.chance[at_CS + 1] * part_S

    def learn(self, bit_S: np.ndarray) -> None:
        """Move the nearer level towards the bit that came."""
        chance_CS = self.chance[self.at_CS]
        self.chance[self.at_CS] = chance_CS + (bit_S - chance_CS).astype(np.float32) * self.RATE
