"""GAN on names: unique, new, and hard to tell from names that were held out.

Command: python benchmarks/gan_texts.py [--seeds 3]     Machine: 2 cores, one thread     Minutes: 10
Numbers to expect (November 2026): of 3,000 made names 98 % differ; .92 are new, where .86 of held-out names are;
a machine tells them from held-out ones with an AUC of .67.

Protocol: names.txt shuffled by seed; 3,000 names held out, the others learned from, with 1,000 steps. The judge is
twofold.turing.judge (1,000 names of each side). Beside: the generator as it begins, a Markov chain, before any game.
"""

import argparse
import time

import numpy as np
import torch
from record import SHARED, record

from twofold import GAN
from twofold.turing.judge import judge

HELD_OUT = 3000
STEPS = {"twofold": 1000, "Markov chain, no game": 1}


def run(seed: int) -> list[dict]:
    """Made names and how they are, by the whole game and by none."""
    names = (SHARED / "text" / "names.txt").read_text().split()
    order = np.random.default_rng(seed).permutation(len(names))
    train, unseen = ([names[place] for place in part] for part in (order[HELD_OUT:], order[:HELD_OUT]))
    known, lines = set(train), []
    for who, n_steps in STEPS.items():
        began = time.process_time()
        made = GAN(n_steps=n_steps, seed=seed).fit(train).sample(HELD_OUT, seed=seed)
        lines.append({
            "who": who, "seed": seed, "seconds": time.process_time() - began, "unique": len(set(made)) / len(made),
            "new": float(np.mean([name not in known for name in made])),
            "new of held-out": float(np.mean([name not in known for name in unseen])),
            "AUC": judge(unseen, made, seed=seed).test.auc, "some": ", ".join(made[:5]),
        })  # fmt: skip
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run all, print a line each, write the result."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--first-seed", type=int, default=0, help="100 and up for exploring: nothing is recorded")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    lines = [line for n in range(options.seeds) for line in run(options.first_seed + n)]
    if not options.first_seed:
        record("gan_texts", claim=f"3,000 made names beside 3,000 held out of names.txt, {options.seeds} seeds, 1,000 "
               "steps; the judge is twofold.turing's.", figures=figures(lines), rows=lines)  # fmt: skip


def figures(lines: list[dict]) -> list[dict]:
    """The claims of the head."""

    def mean(key: str, who: str = "twofold") -> float:
        return float(np.mean([line[key] for line in lines if line["who"] == who]))

    apart = 100 * (mean("new") - mean("new of held-out"))
    chain = "Markov chain, no game"
    return [
        {"figure": "unique", "must": ">= .90", "aim": ">= .95", "value": mean("unique")},
        {"figure": "new, in points above held-out names", "must": "within 10", "aim": "within 5", "value": apart},
        {"figure": "two-sample AUC", "must": "<= .80", "aim": "<= .70", "value": mean("AUC")},
        {"figure": "the Markov chain that it begins as: unique / new, points / AUC",
         "value": f"{mean('unique', chain):.3f} / {100 * (mean('new', chain) - mean('new of held-out', chain)):+.1f} / "
                  f"{mean('AUC', chain):.3f}"},
        {"figure": "CPU seconds", "value": mean("seconds")},
    ]  # fmt: skip


if __name__ == "__main__":
    main()
