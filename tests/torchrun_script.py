"""Train every method in each of several processes, started by torchrun; the first saves: run by test_contract."""

import sys
from pathlib import Path

import torch
from test_contract import facts, quick

from twofold.core.distributed import is_main
from twofold.methods import METHODS

torch.set_num_threads(1)
for method in METHODS:
    model = quick(method, n_steps=30, batch_size=32).fit(facts(method).inputs[0])
    if is_main():
        model.save(Path(sys.argv[1]) / method)
