"""One query against all pictures of a gallery.

All are scored by bytes, which is enough to tell what a picture must score to fit; the best are compared exactly, and
only those that are still on disk are found.
Dimension key: N pictures, n some of them, E width of the shared space.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from twofold.core.gallery.codes import Codes
from twofold.core.gallery.dates import moment
from twofold.core.gallery.graph import Graph
from twofold.core.gallery.sources import Source
from twofold.core.gallery.storage import Row, Storage
from twofold.core.gallery.towers import Towers
from twofold.data.names import shown

__all__ = ["EVER", "SORTS", "Found", "Match", "Search"]

EVER = (-math.inf, math.inf)  # a span of seconds
SORTS = ("fit", "date")
N_EXACT = 256  # best by bytes that are compared exactly, at least
MARGIN = 0.005  # that a score by bytes may be off: eight times its usual error


@dataclass(frozen=True)
class Match:
    """A picture that was found."""

    id: str
    """Its path below the folder, as it can be shown."""
    path: Path
    date: datetime
    """When it was taken, as the camera says; else when the file was written. Of the clock on the wall."""
    score: float
    """Cosine with the query."""
    fits: bool
    """Whether it scores what the query asks for at least."""
    name: str
    """Its path below the folder."""


class Found(list[Match]):
    """The pictures that fit, best or newest first; none where nothing fits."""

    def __init__(self, matches: Sequence[Match], nearest: Sequence[Match], least_score: float | None):
        super().__init__(matches)
        self.nearest = list(nearest)
        """The k nearest, whether they fit or not."""
        self.least_score = least_score
        """What a picture must score to fit; None in an empty gallery."""


@dataclass(eq=False)
class Search:
    """One query against one gallery."""

    storage: Storage
    codes: Codes
    source: Source
    query_E: np.ndarray
    graph: Graph | None = None

    def run(self, towers: Towers, k: int, *, sort: str, span: tuple[float, float] = EVER) -> Found:
        """The k best or newest of those whose dates lie in the span of seconds."""
        self.source.check()
        if not len(self.codes.id_N):
            return Found([], [], None)
        if self.graph is not None and sort == "fit" and span == EVER:
            return self._by_graph(self.graph, towers, k)
        score_N = self.codes.scores(self.query_E)
        least = float(towers.least_scores(score_N[None])[0])
        allowed_n = np.flatnonzero((self.codes.date_N >= span[0]) & (self.codes.date_N < span[1]))
        nearest = self._nearest(score_N, allowed_n, k, least)
        if sort == "fit":
            return Found([match for match in nearest if match.fits], nearest, least)
        return Found(self._newest(score_N, allowed_n, k, least), nearest, least)

    def _by_graph(self, graph: Graph, towers: Towers, k: int) -> Found:
        """As `_nearest`, without looking at all."""
        least = float(towers.least_scores(graph.sample.scores(self.query_E)[None])[0])
        depth = max(N_EXACT, 4 * k)
        while True:
            nearest = self._first(_by_score(self._exact(graph.nearest(self.query_E, depth))), k, least)
            if len(nearest) >= k or depth >= len(self.codes.id_N):
                return Found([match for match in nearest if match.fits], nearest, least)
            depth *= 8

    def _nearest(self, score_N: np.ndarray, allowed_n: np.ndarray, k: int, least: float) -> list[Match]:
        """The k best by exact score; more are looked at where many are gone."""
        depth = max(N_EXACT, 4 * k)
        while True:
            some_n = _best(score_N, allowed_n, depth)
            matches = self._first(_by_score(self._exact(self.codes.id_N[some_n])), k, least)
            if len(matches) >= k or depth >= len(allowed_n):
                return matches
            depth *= 8

    def _newest(self, score_N: np.ndarray, allowed_n: np.ndarray, k: int, least: float) -> list[Match]:
        """The k newest of those that fit."""
        near_n = allowed_n[score_N[allowed_n] >= least - MARGIN]
        near_n = near_n[np.argsort(-self.codes.date_N[near_n], kind="stable")]
        matches: list[Match] = []
        for start in range(0, len(near_n), N_EXACT):
            some_n = near_n[start : start + N_EXACT]
            rows = [pair for pair in self._exact(self.codes.id_N[some_n]) if pair[1] >= least]
            matches += self._first(sorted(rows, key=lambda pair: -(pair[0].date or 0)), k - len(matches), least)
            if len(matches) >= k:
                break
        return matches

    def _exact(self, ids: Sequence[int] | np.ndarray) -> list[tuple[Row, float]]:
        """Rows of these numbers that are still stored, and their exact scores."""
        rows = self.storage.rows(ids).values()
        return [(row, float(row.vector_E @ self.query_E)) for row in rows if row.vector_E is not None]

    def _first(self, pairs: list[tuple[Row, float]], k: int, least: float) -> list[Match]:
        """The first k that are still on disk."""
        matches: list[Match] = []
        for row, score in pairs:
            if len(matches) >= k:
                break
            if self.source.has(row.name):
                when = moment(row.date or 0.0)
                own = shown(row.name), self.source.path(row.name), when, score, score >= least, row.name
                matches.append(Match(*own))
        return matches


def _by_score(pairs: list[tuple[Row, float]]) -> list[tuple[Row, float]]:
    return sorted(pairs, key=lambda pair: -pair[1])


def _best(score_N: np.ndarray, allowed_n: np.ndarray, depth: int) -> np.ndarray:
    """Those with the highest scores, in any order."""
    if depth >= len(allowed_n):
        return allowed_n
    return allowed_n[np.argpartition(score_N[allowed_n], -depth)[-depth:]]
