"""What the pages may see, by opaque names: runs, data and results, all inside the runs folder.

A name on the wire is never a path. Runs are named by a digest of where they lie, data and results by a drawn number;
what a name stands for is looked up here, and links that lead out of the runs folder are not followed.
Uploaded data lie in RUNS/.studio/data/NAME, results in RUNS/.studio/results; folders that were granted at the start
(`twofold studio --data DIR`) are seen too, and only read.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twofold.data.atomic import write_atomically
from twofold.data.names import shown
from twofold.errors import DataError, RunError, SettingError

__all__ = ["KINDS", "SAMPLES", "Shelf", "Stock"]

CONFIG = "config.json"  # core.estimator says so too; importing it would import torch
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
KINDS = {
    ".png": "image/png", ".wav": "audio/wav", ".csv": "text/csv; charset=utf-8", ".txt": "text/plain; charset=utf-8",
    ".json": "application/json", ".parquet": "application/octet-stream", ".tfz": "application/octet-stream",
    ".zip": "application/zip", ".bin": "application/octet-stream",
}  # fmt: skip
"""The kinds of result, and what each is served as; nothing that a browser would run."""
KEPT_SECONDS = 24 * 3600
LATE_SECONDS = 3600
SAMPLES = {
    "glyphs": ("pictures", "5,800 named signs of a font"),
    "photos": ("pictures", "two photographs"),
    "digits": ("table", "1,797 written digits, 64 pixels each"),
    "breast-cancer": ("table", "569 tumours, 30 measurements each"),
    "wine": ("table", "178 wines, 13 measurements each"),
    "topics": ("text", "Python's own help pages"),
}
"""Built-in samples: name -> (what it is, in words)."""


@dataclass(frozen=True)
class Stock:
    """Data that can be learned from."""

    id: str
    title: str
    source: str
    """What `twofold fit` takes: a path, or sample:NAME."""
    kind: str
    """sample, upload, input (an upload that is used once, and kept a day) or folder."""
    about: str = ""


class Shelf:
    """Opaque names and what they stand for.

    Parameters
    ----------
    root : the runs folder; made where it is not there.
    granted : files or folders outside that may be learned from.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     shelf = Shelf(Path(folder))
    ...     shelf.stock("sample-glyphs").source
    'sample:glyphs'
    """

    def __init__(self, root: Path, granted: tuple[Path, ...] = ()):
        self.root = root.resolve()
        self.hidden = self.root / ".studio"
        for name in ("data", "results", "parts"):
            (self.hidden / name).mkdir(parents=True, exist_ok=True)
            if not self._is_inside(self.hidden / name):
                raise SettingError(f"{self.hidden / name} leads out of the runs folder. Take that link away.")
        self.granted = tuple(path.resolve() for path in granted)
        self._runs: dict[str, Path] = {}
        self._uploads: dict[str, Stock] = {}
        self._names: tuple[int, list[str]] = (-1, [])
        self._others = {stock.id: stock for stock in (*_granted(self.granted), *_samples())}
        self._seen_at = -1.0
        self._lock = threading.Lock()
        self._sweep()

    # ---- runs ------------------------------------------------------------------------------------

    def runs(self) -> dict[str, Path]:
        """Name -> folder of each run, newest first; looked up again after a second."""
        with self._lock:
            if time.monotonic() - self._seen_at > 1:
                self._runs = {self.run_id(path): path for path in self._run_folders()}
                self._seen_at = time.monotonic()
            return dict(self._runs)

    def run(self, run_id: str) -> Path:
        """The folder of a run."""
        for _ in range(2):
            path = self.runs().get(run_id)
            if path is not None and (path / CONFIG).is_file():
                return path
            self.forget()
        raise RunError(f"there is no run {run_id[:40]!r}. GET /api/v1/runs lists those that are there.")

    def run_id(self, folder: Path) -> str:
        """The name of a run on the wire."""
        return hashlib.sha256(str(folder.relative_to(self.root)).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def new_run(self, title: str) -> Path:
        """Where a new run of that name goes; not there yet."""
        if not NAME.fullmatch(title) or title.endswith((".", " ")):
            raise SettingError(
                f"{title[:80]!r} cannot be the name of a run. Allowed: letters, digits, space . _ -, at most 60, "
                "a letter or digit first."
            )
        folder = self.root / title
        if folder.exists() or folder.is_symlink():
            raise SettingError(f"there is a run {title!r} already. Give another name.")
        return folder

    def free_title(self, stem: str) -> str:
        """The stem, or with the first number behind it that is free."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:50] or "run"
        titles = [stem, *(f"{stem}-{number}" for number in range(2, 10_000))]
        return next(title for title in titles if not (self.root / title).exists())

    def forget(self) -> None:
        """Look the runs up again at the next question."""
        self._seen_at = -1.0

    def remove_run(self, run_id: str) -> None:
        """Take a run off the disk."""
        folder = self.run(run_id)
        # first out of sight, so that no half of a run is ever seen
        aside = self.hidden / "parts" / secrets.token_hex(8)
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        self.forget()

    def _run_folders(self) -> list[Path]:
        runs: list[tuple[float, Path]] = []
        for name in _names(self.root, hidden=False):
            self._look_for_runs(self.root / name, runs)
        return [path for _, path in sorted(runs, reverse=True)]

    def _look_for_runs(self, folder: Path, runs: list[tuple[float, Path]]) -> None:
        """Put the run that lies there, or those below, to the others."""
        if folder.is_symlink() or not folder.is_dir():
            return
        config = folder / CONFIG
        try:
            changed = config.lstat().st_mtime
        except OSError:
            for name in _names(folder, hidden=False):
                self._look_for_runs(folder / name, runs)
            return
        # a run is read file by file, so one link that leads out spoils it
        if config.is_file() and not any(self._leads_out(path) for path in _links(folder)):
            runs.append((changed, folder))

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)

    def _leads_out(self, link: Path) -> bool:
        try:
            return not self._is_inside(link)
        except (OSError, RuntimeError):  # a link to itself
            return True

    # ---- data ------------------------------------------------------------------------------------

    def stocks(self) -> list[Stock]:
        """All data that can be learned from: uploads, granted folders, samples."""
        uploads = (self._upload(self.hidden / "data" / name) for name in self._upload_names())
        return [*filter(None, uploads), *self._others.values()]

    def stock(self, stock_id: str) -> Stock:
        """The data of that name."""
        if stock_id in self._others:
            return self._others[stock_id]
        if stock_id in self._upload_names() and (stock := self._upload(self.hidden / "data" / stock_id)):
            return stock
        raise DataError(f"there are no data {stock_id[:40]!r}. GET /api/v1/data lists what is there.")

    def new_upload(self) -> tuple[str, Path]:
        """The name of an upload, and a folder out of sight that its files go to."""
        upload_id = f"{time.strftime('%Y%m%d%H%M%S')}-{secrets.token_hex(8)}"
        folder = self.hidden / "parts" / upload_id
        folder.mkdir(parents=True)
        return upload_id, folder

    def part(self, upload_id: str) -> Path:
        """The folder of an upload that is on its way."""
        folder = self.hidden / "parts" / upload_id
        if not re.fullmatch(r"\d{14}-[0-9a-f]{16}", upload_id) or not folder.is_dir():
            raise DataError(f"there is no upload {upload_id[:40]!r} on its way. Begin one: POST /api/v1/data/uploads.")
        return folder

    def drop_upload(self, upload_id: str) -> None:
        """Take an upload that failed off the disk."""
        shutil.rmtree(self.part(upload_id), ignore_errors=True)

    def keep_upload(self, upload_id: str, title: str, source: str, about: str, *, is_input: bool = False) -> Stock:
        """Put a whole upload into sight; `source` is the part of it that holds the data, '' for the folder itself."""
        folder = self.part(upload_id)
        told = {"title": title, "source": source, "about": about, "kind": "input" if is_input else "upload"}
        write_atomically(folder / ".about.json", json.dumps(told).encode())
        folder.rename(self.hidden / "data" / upload_id)
        return self.stock(upload_id)

    def remove_upload(self, upload_id: str) -> None:
        """Take uploaded data off the disk."""
        if self.stock(upload_id).kind not in ("upload", "input"):
            raise SettingError("only what was uploaded can be removed; samples and granted folders are not ours.")
        self._uploads.pop(upload_id, None)
        shutil.rmtree(self.hidden / "data" / upload_id, ignore_errors=True)

    def _upload_names(self) -> list[str]:
        """Names of uploads, the latest first, looked up when one came or went."""
        folder = self.hidden / "data"
        changed = os.stat(folder).st_mtime_ns
        if changed != self._names[0]:
            self._names = changed, _names(folder)[::-1]
        return self._names[1]

    def _upload(self, folder: Path) -> Stock | None:
        """What was uploaded there; it does not change, so it is read once."""
        if folder.name not in self._uploads:
            try:
                told = json.loads((folder / ".about.json").read_bytes())
                source = folder / "files" / told["source"]
                title, kind, about = (str(told.get(name, "")) for name in ("title", "kind", "about"))
                is_ours = self._is_inside(source) and source.resolve().is_relative_to(folder)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
                return None
            if not is_ours or any(self._leads_out(path) for path in _links(folder)):
                return None
            kind = "input" if kind == "input" else "upload"
            self._uploads[folder.name] = Stock(folder.name, title[:80], str(source), kind, about[:200])
        return self._uploads[folder.name]

    # ---- results ---------------------------------------------------------------------------------

    def new_result(self, suffix: str, stem: str = "twofold") -> Path:
        """Where a result goes; its file's name is its name on the wire."""
        if suffix not in KINDS:
            raise SettingError(f"results end in {', '.join(KINDS)}; not in {suffix!r}.")
        stem = re.sub(r"[^A-Za-z0-9]+", "", stem)[:24] or "twofold"
        return self.hidden / "results" / f"{stem}-{secrets.token_hex(12)}{suffix}"

    def result(self, name: str) -> tuple[Path, str]:
        """A result's file, and what it is served as."""
        path = self.hidden / "results" / name
        is_plain = re.fullmatch(r"[A-Za-z0-9]+-[0-9a-f]{24}\.[a-z]+", name) is not None
        if not is_plain or path.suffix not in KINDS or not path.is_file() or path.is_symlink():
            raise DataError(f"there is no result {name[:60]!r}. Results are kept for a day; make it again.")
        return path, KINDS[path.suffix]

    def url(self, path: Path) -> str:
        """Where a result is fetched from."""
        return f"/api/v1/files/{path.name}"

    def _sweep(self) -> None:
        """What earlier starts left half done, and inputs and results of yesterday."""
        for path in (self.hidden / "parts").iterdir():
            # younger ones may be another studio's, in this very folder
            if time.time() - path.stat().st_mtime > LATE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        for path in (self.hidden / "results").iterdir():
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
        for stock in self.stocks():
            folder = self.hidden / "data" / stock.id
            if stock.kind == "input" and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _samples() -> Iterator[Stock]:
    for name, (_, about) in SAMPLES.items():
        yield Stock(f"sample-{name}", f"{name} (built in)", f"sample:{name}", "sample", about)


def _granted(paths: tuple[Path, ...]) -> Iterator[Stock]:
    for path in paths:
        name = f"folder-{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
        yield Stock(name, shown(path.name), str(path), "folder", "on this machine, only read")


def _names(folder: Path, *, hidden: bool = True) -> list[str]:
    """What lies in a folder, in order; nothing where it cannot be read."""
    try:
        return sorted(name for name in os.listdir(folder) if hidden or not name.startswith("."))
    except OSError:
        return []


def _links(folder: Path) -> Iterator[Path]:
    """Every link in a folder, at any depth; links are not followed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                yield from _links(Path(entry.path))
