"""Rounds of harm to a folder of pictures while it is indexed: kills, deletions, additions, renames, replaced files."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from colours import Colours
from PIL import Image

from twofold.core.gallery import Gallery

SUFFIXES = (".png", ".jpg", ".bmp")


class Rounds:
    """A folder of pictures, its gallery, and what is wrong with it.

    Parameters
    ----------
    place : an empty folder.
    n : pictures to begin with.
    """

    def __init__(self, place: Path, n: int, seed: int):
        self.pictures, self.index = place / "pictures", place / "photos.index"
        self.rng, self.count, self.towers = np.random.default_rng(seed), 0, Colours()
        self.kills = self.torn = self.changes = 0
        self.faults: list[str] = []
        for _ in range(n):
            self.add()

    def present(self) -> list[Path]:
        return sorted(path for path in self.pictures.rglob("*") if path.is_file())

    def add(self) -> None:
        self.count += 1
        folder = self.pictures / f"f{self.rng.integers(4)}"
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder / f"{self.count:05d} n\u00e9\u2603{SUFFIXES[self.rng.integers(3)]}")

    def write(self, path: Path) -> None:
        """A picture of one colour with some noise; of one size and format files can be of one length."""
        pixels = self.rng.integers(0, 256, (1, 1, 3)) + self.rng.integers(-20, 20, (24, 32, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)

    def harm(self) -> None:
        """One change by one who knows nothing of the index."""
        self.changes += 1
        paths = self.present()
        path = paths[self.rng.integers(len(paths))]
        other = paths[self.rng.integers(len(paths))]
        what = self.rng.integers(7)
        if what <= 1 or len(paths) < 20:
            self.add()
        elif what == 2:
            path.unlink()
        elif what == 3:
            path.rename(path.with_name(f"moved {self.changes}{path.suffix}"))
        elif what == 4:
            self.write(path)
        elif what == 5 and path != other and path.suffix == other.suffix:  # swapped
            spare = path.with_name("spare.tmp")
            path.rename(spare), other.rename(path), spare.rename(other)
        elif what == 6:
            path.write_bytes(path.read_bytes()[:40])  # broken

    def kill(self, longest: float) -> None:
        """Index in a child, and kill it at a random moment."""
        pid = os.fork()
        if pid == 0:
            try:
                for _ in Gallery.open(self.index).refresh(self.towers, self.pictures):
                    pass
                os._exit(0)
            except BaseException:
                os._exit(1)
        time.sleep(self.rng.random() * longest)
        os.kill(pid, signal.SIGKILL)
        code = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(code):
            self.kills += 1
            self.torn += any(self.index.glob("*-journal")) or any(self.index.glob(".*.part"))
        if os.WIFEXITED(code) and os.WEXITSTATUS(code):
            self.faults.append("a refresh failed")

    def look(self) -> None:
        """What a killed index says: it opens, and lists nothing that is gone."""
        gallery = Gallery.open(self.index)
        if not gallery.facts() or not len(gallery):
            return
        found = gallery.search(self.towers, "red", k=5)
        for match in [*found, *found.nearest]:
            if not match.path.is_file():
                self.faults.append(f"lists {match.name}, which is gone")

    def check(self) -> None:
        """After an undisturbed refresh everything is there, as it is now, and nothing else."""
        gallery = Gallery.open(self.index)
        for _ in gallery.refresh(self.towers, self.pictures):
            pass
        right = {path.relative_to(self.pictures).as_posix(): path for path in self.present()}
        rows = gallery.storage.rows(gallery.codes().id_N.tolist())
        found = {row.name: row.vector_E for row in rows.values()}
        broken = {bad.name for bad in gallery.broken}
        if set(found) | broken != set(right) or set(found) & broken:
            self.faults.append(f"differs in {(set(found) | broken) ^ set(right)}")
        for name, vector_E in found.items():
            self.compare(right[name], vector_E)

    def compare(self, path: Path, vector_E: np.ndarray) -> None:
        with Image.open(path) as image:
            box = (4, 0, 28, 24)
            pixels = np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.BICUBIC, box=box))
        if self.towers.embed_pixels(pixels[None])[0] @ vector_E < 0.999:
            self.faults.append(f"{path.name} has the embedding of another picture")
