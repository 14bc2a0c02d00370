"""A picture index killed at any moment, while pictures come, go and change, opens, and is right after a refresh.

Command: python benchmarks/gallery_kills.py [--kills 1000]     Machine: 2 cores     Minutes: 6
Number to expect: 0 faults in 1,000 kills, some half of them in the middle of a write (November 2026)

A child indexes a folder, committing after every four pictures, and is killed (SIGKILL) at a random moment. After each
kill the index must open, and list nothing that is gone. Between kills pictures are added, deleted, renamed, replaced,
swapped with one another, and broken. After every tenth kill an undisturbed refresh must hold exactly what is in the
folder, each picture with the embedding of what its file holds now. The towers are small ones that need no training
(tests/core/colours.py).
"""

import argparse
import shutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import torch
from record import HERE, record

sys.path.insert(0, str(HERE.parent / "tests" / "core"))


def main() -> None:
    """Rounds until there were as many kills."""
    from gallery_rounds import Rounds

    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    n_kills = parser.parse_args().kills
    torch.set_num_threads(1)
    refreshing = import_module("twofold.core.gallery.refresh")
    refreshing.KEPT_EVERY, refreshing.BATCH = 0.0, 4
    began = time.monotonic()
    rounds = Rounds(Path(tempfile.mkdtemp()), 60, seed=0)
    n_checks = 0
    while rounds.kills < n_kills:
        # from the first breath to the last write
        rounds.kill(longest=(0.05, 0.2, 0.6)[rounds.rng.integers(3)])
        rounds.look()
        for _ in range(rounds.rng.integers(6)):
            rounds.harm()
        if rounds.kills // 10 > n_checks:
            rounds.check()
            n_checks += 1
    rounds.check()
    n_left = len(rounds.present())
    shutil.rmtree(rounds.pictures.parent)
    record(
        "gallery_kills",
        claim="A picture index killed at random moments while pictures are added, deleted, renamed, replaced, swapped "
        "and broken: it opens after every kill and lists nothing that is gone; after a refresh it is exactly right.",
        figures=[
            {"figure": f"faults in {rounds.kills} kills and {rounds.changes} changes", "value": len(rounds.faults),
             "must": 0},
        ],
        rows=[
            {"kills": rounds.kills, "in the middle of a write": rounds.torn, "changes": rounds.changes,
             "complete checks": n_checks + 1, "pictures at the end": n_left,
             "minutes": (time.monotonic() - began) / 60, "faults": "; ".join(rounds.faults[:5])}
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
