"""Train a small learner in a folder and write its weights: run by the tests, killed by some of them."""

import os
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from learners import Rebuilder, rows, weights

from twofold.core.distributed import is_main
from twofold.core.loop import Plan, train

torch.set_num_threads(1)
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
slow = float(os.environ.get("SLOW_SAVES", "0"))
if slow:
    replace = os.replace

    def slow_replace(*paths):
        time.sleep(slow)
        replace(*paths)
        time.sleep(slow)

    os.replace = slow_replace

learner = Rebuilder()
plan = Plan(n_steps=150, batch_size=32, interval=5, ema=0.9, save_seconds=0, seed=7,
            shard_above=float(os.environ.get("SHARD_ABOVE", "1e9")))  # fmt: skip
for _ in train(learner, (rows(),), plan, held_out=(rows(50, seed=2),), folder=folder):
    (folder / "started").touch() if folder.exists() else None
    if slow:
        time.sleep(0.002)
if is_main():
    torch.save(weights(learner), out)
