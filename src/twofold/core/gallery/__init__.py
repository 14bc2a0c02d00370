"""A gallery: the pictures below a folder, or in a ZIP archive, kept as embeddings on disk and found by words.

What is true stands in an SQLite database; a file of bytes derived from it is looked through first, and the best are
compared exactly. Nothing is listed that is not there any more, and nothing that does not fit.
Dimension key: N pictures, Q queries, E width of the shared space.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np

from twofold.core.checkpoint import locked
from twofold.core.gallery.codes import Codes
from twofold.core.gallery.dates import period
from twofold.core.gallery.graph import Graph
from twofold.core.gallery.query import Weighted, ask
from twofold.core.gallery.refresh import Refreshed, refresh
from twofold.core.gallery.search import EVER, SORTS, Found, Match, Search
from twofold.core.gallery.sources import Source, open_source
from twofold.core.gallery.storage import Storage
from twofold.core.gallery.towers import Towers
from twofold.data.atomic import write_atomically
from twofold.data.decoding import decode
from twofold.data.names import shown
from twofold.data.picture_set import Bad
from twofold.errors import DataError, DiskFullError, RunError, SettingError

__all__ = ["Found", "Gallery", "Match", "Refreshed", "Towers"]

CODES = "codes.bin"


class Gallery:
    """Pictures that can be searched, in a folder of their own; made by `refresh`.

    Parameters
    ----------
    folder : where the index is kept.

    Examples
    --------
    >>> import tempfile
    >>> len(Gallery.open(tempfile.mkdtemp()))
    0
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.storage = Storage(folder)
        self._codes: Codes | None = None
        self._graph: Graph | None = None
        self._source: Source | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The gallery of a folder, an empty one where there is none yet; a killed refresh does no harm.

        Raises
        ------
        RunError
            When the database is spoilt, or by another version.
        """
        gallery = cls(Path(folder))
        if gallery.storage.is_there:
            gallery.facts()
        return gallery

    def __len__(self) -> int:
        return self.storage.count() if self.facts() else 0

    def facts(self) -> dict[str, Any]:
        """What holds for all pictures: `towers`, `run` and `source`, ...; empty before the first refresh."""
        return self.storage.facts() if self.storage.is_there else {}

    @property
    def broken(self) -> list[Bad]:
        """The files that could not be read, with the reason."""
        return self.storage.broken() if self.facts() else []

    def refresh(self, towers: Towers, source: str | Path, *, run: str = "", n_threads: int = 1) -> Iterator[Refreshed]:
        """Bring the gallery up to date, one `Refreshed` a batch; closed early or killed, the next one goes on.

        Parameters
        ----------
        source : folder of pictures, ZIP archive, or ARCHIVE.zip/FOLDER.
        run : where the towers come from, to be remembered.
        n_threads : with more than one, the next pictures are decoded in a thread beside the embedding.

        Raises
        ------
        RunError
            When another process is at it, or other towers, or another folder, made the gallery.
        DiskFullError
            When there is no room; what was there before is whole.
        """
        self._source = open_source(source)
        self._source.check()
        with locked(self.folder):
            self._check_towers(towers)
            self._check_source(self._source)
            about = {"towers": towers.identity, "run": run, "source": str(self._source.place)}
            self.storage.begin(about)
            try:
                yield from refresh(self.storage, towers, self._source, n_threads=n_threads)
            finally:
                with suppress(DiskFullError):  # it can be made again at any time
                    self._derived()

    def search(
        self, towers: Towers, text: str | None = None, *, like: Sequence[Any] = (), plus: Sequence[Weighted] = (),
        minus: Sequence[Weighted] = (), k: int = 10, sort: str = "fit", since: str | date | None = None,
        until: str | date | None = None,
    ) -> Found:  # fmt: skip
        """The pictures that fit.

        Parameters
        ----------
        like : pictures (paths, PIL images, arrays) that what is sought resembles.
        plus, minus : texts, or pairs of a text and its weight, that are added and taken away.
        k : how many, at most.
        sort : "fit", or "date", the newest first of all that fit.
        since, until : a day, a month, a year ("2024-05"), both counted in.

        Raises
        ------
        RunError
            When the gallery is of other towers, or was never made.
        SettingError
            When nothing is searched for, or a setting is none of those allowed.
        """
        if sort not in SORTS or k < 1:
            raise SettingError(f"sort is {sort!r} and k is {k}. Allowed are {', '.join(SORTS)}, and k of at least 1.")
        self._check_towers(towers)
        query_E = ask(towers, text, like=like, plus=plus, minus=minus)
        span = period(since)[0] if since else EVER[0], period(until)[1] if until else EVER[1]
        asked = Search(self.storage, self.codes(), self.source(), query_E, self._graph)
        return asked.run(towers, k, sort=sort, span=span)

    def scores(self, query_QE: np.ndarray) -> np.ndarray:
        """Nearly the cosine, to 6e-4, of unit vectors with all pictures: float32 (Q, N)."""
        codes = self.codes()
        return np.stack([codes.scores(query_E) for query_E in query_QE]) if len(query_QE) else np.empty((0, len(self)))

    def pixels(self, match: Match, short_side: int | None = None) -> np.ndarray:
        """The picture itself, uint8 (H, W, C), smaller where a short side is given."""
        try:
            with self.source().open(match.name) as file:
                return decode(file, short_side)[0]
        except (OSError, DataError) as error:
            raise DataError(f"{match.id} {error}") from error

    def source(self) -> Source:
        """Where the pictures lie."""
        if self._source is None:
            self._source = open_source(self.remembered_source())
        return self._source

    def remembered_source(self) -> Path:
        """Where they lay at the last refresh."""
        return Path(self.known_facts()["source"])

    def codes(self) -> Codes:
        """The embeddings as bytes, of what is stored now: kept, else read from their file, else made."""
        facts = self.known_facts()
        now = facts["own"], facts["generation"]
        if self._codes is None or (self._codes.own, self._codes.generation) != now:
            self._codes = Codes.read(self.folder / CODES, *now) or self._made_codes()
            self._graph = Graph.read(self.folder, self._codes)
        return self._codes

    def connect(self) -> None:
        """Make or bring up to date the graph by which a gallery beyond a million pictures is searched.

        Raises
        ------
        SettingError
            When usearch (the extra `index`) is not installed.
        """
        with locked(self.folder):
            Graph.connect(self.folder, self.codes())
            self._graph = Graph.read(self.folder, self.codes())

    def _made_codes(self) -> Codes:
        # where the folder may not be written, or another process is at it, memory has to do
        with suppress(OSError, RunError), locked(self.folder):
            return self._derived()
        return Codes.of(self.storage)

    def _derived(self) -> Codes:
        """The bytes, and their file."""
        facts = self.known_facts()
        codes = Codes.read(self.folder / CODES, facts["own"], facts["generation"])
        if codes is None:
            codes = Codes.of(self.storage)
            write_atomically(self.folder / CODES, memoryview(codes.to_bytes()))
        return codes

    def known_facts(self) -> dict[str, Any]:
        """The facts; RunError before the first refresh."""
        facts = self.facts()
        if not facts:
            raise RunError(
                f"{shown(str(self.folder))} holds no index. Make one with: twofold index RUN DIR -o {self.folder}"
            )
        return facts

    def _check_towers(self, towers: Towers) -> None:
        facts = self.facts()
        if facts and facts["towers"] != towers.identity:
            raise RunError(
                f"{shown(str(self.folder))} was made by the towers {facts['towers'][:16]} of the run "
                f"{shown(facts['run']) or 'unknown'}; these are {towers.identity[:16]}, whose embeddings cannot be "
                "compared with theirs. Give the run that made it, or make a new index in another folder."
            )

    def _check_source(self, source: Source) -> None:
        if not self.facts():
            return
        before = self.remembered_source()
        if before != source.place and before.exists():
            raise RunError(
                f"{shown(str(self.folder))} is the index of {shown(str(before))}; {shown(str(source.place))} would "
                "take its place. Give another folder for the index, one for each folder of pictures."
            )
