"""What the pages may see, by opaque names: runs, data and results, all inside the runs folder.

A name on the wire is never a path. Runs are named by a digest of where they lie, data and results by a drawn number;
what a name stands for is looked up here, and links that lead out of the runs folder are not followed.
Uploaded data lie in RUNS/.studio/data/NAME, results in RUNS/.studio/results; folders that were granted at the start
(`twofold studio --data DIR`) are seen too, and only read.
"""

import hashlib
import json
import re
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from twofold.data.atomic import write_atomically
from twofold.data.names import shown
from twofold.errors import DataError, RunError, SettingError

__all__ = ["SAMPLES", "Shelf", "Stock"]

CONFIG = "config.json"  # core.estimator says so too; importing it would import torch
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
# the kinds of result, and what each is served as; nothing that a browser would run
KINDS = {
    ".png": "image/png", ".wav": "audio/wav", ".csv": "text/csv; charset=utf-8", ".txt": "text/plain; charset=utf-8",
    ".json": "application/json", ".parquet": "application/octet-stream", ".tfz": "application/octet-stream",
    ".zip": "application/zip", ".bin": "application/octet-stream",
}  # fmt: skip
KEPT_SECONDS = 24 * 3600
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
        self.granted = tuple(path.resolve() for path in granted)
        self._runs: dict[str, Path] = {}
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
        found = []
        for path in self.root.rglob(CONFIG):
            inside = path.relative_to(self.root).parts
            if not any(part.startswith(".") for part in inside) and self._is_inside(path.parent) and len(inside) > 1:
                found.append((path.stat().st_mtime, path.parent))
        return [path for _, path in sorted(found, reverse=True)]

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)

    # ---- data ------------------------------------------------------------------------------------

    def stocks(self) -> list[Stock]:
        """All data that can be learned from: uploads, granted folders, samples."""
        samples = [Stock(f"sample-{name}", f"{name} (built in)", f"sample:{name}", "sample", about)
                   for name, (_, about) in SAMPLES.items()]  # fmt: skip
        granted = [Stock(f"folder-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}", shown(path.name), str(path),
                         "folder", "on this machine, only read") for path in self.granted]  # fmt: skip
        uploads = [self._upload(path) for path in sorted((self.hidden / "data").iterdir(), reverse=True)]
        return [*filter(None, uploads), *granted, *samples]

    def stock(self, stock_id: str) -> Stock:
        """The data of that name."""
        for stock in self.stocks():
            if stock.id == stock_id:
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
        shutil.rmtree(self.hidden / "data" / upload_id, ignore_errors=True)

    def _upload(self, folder: Path) -> Stock | None:
        try:
            told = json.loads((folder / ".about.json").read_bytes())
            source = folder / "files" / told["source"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Stock(folder.name, told["title"], str(source), told.get("kind", "upload"), told["about"])

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
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.hidden / "results").iterdir():
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
        for stock in self.stocks():
            folder = self.hidden / "data" / stock.id
            if stock.kind == "input" and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
