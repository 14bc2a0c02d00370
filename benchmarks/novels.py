"""LanguageModel on 19 English novels, 30 minutes: bits per byte on two novels that it never saw.

Command: python benchmarks/novels.py     Machine: 2 cores, quiet     Minutes: 35
Number to expect (November 2026): 1.77 bits a byte; a smoothed character 6-gram has 2.03 bits a character.
"""

import argparse

import torch
from record import SHARED, record

from twofold.methods.language import LanguageModel


def main() -> None:
    """Train by the clock, score the held-out novels whole."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--depth", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = SHARED / "text"
    model = LanguageModel(minutes=options.minutes, depth=options.depth, n_threads=options.threads, held_out=0.01)
    last = None
    for last in model.train(text / "novels_eng.train.txt"):
        if last.measures:
            print(last.step, last.losses, last.measures, last.note, f"{last.seconds:.0f} s", flush=True)
    measure = model.evaluate(text / "novels_eng.test.txt")[0]
    beside = ", ".join(f"{name} {value:.3f}" for name, value in measure.baselines)
    record(
        "novels",
        claim=f"{options.minutes:g} minutes on {options.threads} threads ({last.step} steps of depth {options.depth}, "
        f"{model.vocabulary_.kind} tokens), two held-out novels whole. Beside: {beside}.",
        figures=[
            {"figure": "bits per byte", "value": measure.value, "must": "< 2.03 (character 6-gram)", "aim": "<= 1.75"}
        ],
    )


if __name__ == "__main__":
    main()
