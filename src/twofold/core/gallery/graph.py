"""Beyond a million pictures: a graph of neighbours, so that a query need not look at all of them. Optional, by usearch.

Malkov & Yashunin 2018, https://arxiv.org/abs/1603.09320
What it finds is compared exactly like everything else; it may miss some. What a picture must score to fit is then told
from every n-th picture. Numbers of rows are never given twice, so that the graph follows a change in place.
Dimension key: N pictures, E width of the embedding.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from twofold.core.gallery.codes import Codes
from twofold.errors import SettingError

__all__ = ["LARGE", "Graph"]

LARGE = 1_000_000  # pictures from which on a graph is used
N_SAMPLE = 100_000  # of which the cut-off is told
EFFORT = 2048  # neighbours weighed in a query: 97 % of the exact ten for words far from all pictures, with 64 only 68 %


class Graph:
    """Who is near whom, in a file beside the database, named after the generation that it holds."""

    def __init__(self, index: Any, codes: Codes):
        self.index = index
        self.index.expansion_search = EFFORT
        step = -(-len(codes.id_N) // N_SAMPLE)
        rows = slice(None, None, step)
        parts = (codes.id_N, codes.date_N, codes.scale_N, codes.code_NE)
        self.sample = Codes(codes.own, codes.generation, *(np.ascontiguousarray(part[rows]) for part in parts))

    @classmethod
    def read(cls, folder: Path, codes: Codes) -> "Graph | None":
        """The graph of what is stored now; None where there is none, or nothing that could read it."""
        path = folder / _name(codes)
        if len(codes.id_N) < LARGE or not path.is_file():
            return None
        with suppress(ImportError, RuntimeError):
            index = _usearch().Index.restore(os.fspath(path), view=True)
            return cls(index, codes) if index is not None and len(index) == len(codes.id_N) else None
        return None

    @classmethod
    def connect(cls, folder: Path, codes: Codes) -> None:
        """Make the graph, or bring an earlier one up to date, and write it whole or not at all.

        Raises
        ------
        SettingError
            When usearch is not installed.
        """
        usearch = _known_usearch()
        old = sorted(folder.glob(f"graph-{codes.own[:8]}-*.usearch"))
        index = usearch.Index.restore(os.fspath(old[-1])) if old else None
        if index is None:
            index = usearch.Index(ndim=codes.code_NE.shape[1], metric="cos", dtype="i8")
        known_M = np.fromiter(index.keys, np.int64, len(index))
        gone_M = known_M[~np.isin(known_M, codes.id_N)]
        if len(gone_M):
            index.remove(gone_M.astype(np.uint64))
        new_N = ~np.isin(codes.id_N, known_M)
        if new_N.any():
            index.add(codes.id_N[new_N].astype(np.uint64), codes.code_NE[new_N], threads=1)
        _write(index, folder / _name(codes))
        for path in old:
            if path.name != _name(codes):
                path.unlink(missing_ok=True)

    def nearest(self, query_E: np.ndarray, n: int) -> list[int]:
        """Numbers of some n pictures that are near a unit vector."""
        code_E = np.rint(query_E / max(float(np.abs(query_E).max()), 1e-12) * 127).astype(np.int8)
        return self.index.search(code_E, n, threads=1).keys.astype(np.int64).tolist()


def _write(index: Any, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    index.save(os.fspath(part))
    os.replace(part, path)


def _name(codes: Codes) -> str:
    return f"graph-{codes.own[:8]}-{codes.generation:012d}.usearch"


def _usearch() -> Any:
    import usearch.index

    return usearch.index


def _known_usearch() -> Any:
    try:
        return _usearch()
    except ImportError as error:
        raise SettingError(
            "a graph of neighbours needs usearch, which is not installed. Install the extra: pip install "
            "'twofold[index]', or leave the graph out: search without it looks at every picture, and finds the same."
        ) from error
