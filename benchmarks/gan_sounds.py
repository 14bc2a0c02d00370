"""Spoken digits that are asked for by name, and the vocoder that makes them audible.

Command: python benchmarks/gan_sounds.py [--run runs/gan-sounds] [--minutes 30]     Machine: 2 cores     Minutes: 40
Numbers to expect: docs/gan-sounds.md

Free Spoken Digit Dataset: recordings 0 to 4 of each speaker and digit (300) are held out, as its authors do; the GAN,
its vocoder and the judge learn from the other 2,700. The judge is a small network that hears waveforms; what is made
goes to it as a waveform too. Settings were chosen by another judge, of pictures, on other random numbers.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from record import SHARED, record
from torch import Tensor, nn
from torch.nn import functional

from twofold.data.audio import Sounds, open_sounds, write_sound
from twofold.methods.gan import GAN
from twofold.nn.spectrogram import LogMel

N_HELD_OUT = 5  # recordings of each speaker and digit
N_A_DIGIT = 50
T = 8192
ROUNDS = 9


class Judge(nn.Module):
    """Which digit is said, by the log-mel picture relative to its loudest spot."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 24, 48, 96, 96)
        layers = [
            layer
            for before, after in zip(widths[:-1], widths[1:], strict=True)
            for layer in (nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))
        ]
        self.layers = nn.Sequential(*layers, nn.Dropout(0.3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))
        self.log_mel = LogMel(8000)

    def forward(self, sample_NT: Tensor) -> Tensor:
        with torch.no_grad():
            picture_NMF = self.log_mel(sample_NT)
        below_NMF = picture_NMF - picture_NMF.amax((1, 2), keepdim=True)
        return self.layers((below_NMF.clamp_min(-8) / 4 + 1)[:, None])


def learn_judge(sounds: Sounds, seed: int = 0) -> Judge:
    torch.manual_seed(seed)
    judge, sample_NT, digit_N = Judge(), torch.from_numpy(sounds.fixed(T)), digits(sounds)
    n_steps = ROUNDS * (len(sounds) // 64)
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=n_steps)
    for _ in range(ROUNDS):
        for rows in torch.randperm(len(sounds)).split(64)[: len(sounds) // 64]:
            later_NT = torch.roll(sample_NT[rows], int(torch.randint(0, 700, ())), 1)
            loss = functional.cross_entropy(judge(later_NT), digit_N[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return judge.eval()


def digits(sounds: Sounds) -> Tensor:
    return torch.tensor([int(label) for label in sounds.labels])


@torch.inference_mode()
def heard_as(judge: Judge, sounds: Sounds) -> Tensor:
    return judge(torch.from_numpy(sounds.fixed(T))).argmax(1)


def trained(run: Path, taught: Sounds, minutes: float) -> GAN:
    if (run / "config.json").exists():
        return GAN.load(run)
    began = time.process_time()
    model = GAN(minutes=minutes)
    for progress in model.train(taught, folder=run):
        if progress.measures:
            print(progress.step, round(progress.seconds), progress.measures, flush=True)
    model.save(run, cpu_seconds=time.process_time() - began)
    return model


@torch.inference_mode()
def vocoder_figures(model: GAN, unseen: Sounds) -> list[dict]:
    """Mean difference of log-mel pictures of held-out sounds from those of what comes back, and how fast."""
    form = model.form_
    sample_NT = torch.from_numpy(unseen.fixed(64 * form.hop))
    seconds = sample_NT.numel() / form.rate
    picture_NMF = form.log_mel(sample_NT)
    is_loud = picture_NMF > picture_NMF.amax((1, 2), keepdim=True) - 5
    ways = {"Griffin-Lim, 32 rounds": lambda p: form.log_mel.inverse(p, n_rounds=32), "vocoder": form.vocoder,
            "vocoder, no rounds": lambda p: form.vocoder(p, n_rounds=0)}  # fmt: skip
    rows = []
    for name, way in ways.items():
        began = time.process_time()
        again_NT = torch.cat([way(part) for part in picture_NMF.split(8)])
        spent = time.process_time() - began
        low = form.span[0]
        apart = (form.log_mel(again_NT).clamp_min(low) - picture_NMF.clamp_min(low)).abs()
        rows.append({"by": name, "log-mel error": float(apart.mean()), "of loud parts": float(apart[is_loud].mean()),
                     "x real time": seconds / spent})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def recognised(model: GAN, judge: Judge, seed: int, folder: Path | None = None) -> list[dict]:
    """Of each digit asked for, the share that the judge hears as it, and how the sounds are."""
    rows = []
    for digit in range(10):
        made = model.sample(N_A_DIGIT, label=str(digit), seed=seed + digit)
        share = float((heard_as(judge, made) == digit).float().mean())
        peaks = [float(np.abs(sound).max()) for sound in made]
        rows.append({"digit": digit, "recognised": share, "median seconds": float(np.median(made.seconds_N)),
                     "median peak": float(np.median(peaks)), "silent": sum(p < 0.003 for p in peaks),
                     "at full scale": sum(p > 0.999 for p in peaks)})  # fmt: skip
        print(rows[-1], flush=True)
        for i in range(3 if folder else 0):
            write_sound(folder / f"{digit}_made_{i}.wav", made[i], made.rate)
    return rows


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, default=Path("runs/gan-sounds"))
    parser.add_argument("--minutes", type=float, default=30)
    given = parser.parse_args()
    sounds = open_sounds(SHARED / "audio" / "fsdd_wav.zip")
    is_unseen = np.array(sounds.table["number"]) < N_HELD_OUT
    taught, unseen = sounds.take(np.flatnonzero(~is_unseen)), sounds.take(np.flatnonzero(is_unseen))
    given.run.mkdir(parents=True, exist_ok=True)
    model = trained(given.run, taught, given.minutes)
    judge = learn_judge(taught)
    floor = float((heard_as(judge, unseen) == digits(unseen)).float().mean())
    again = model.form_.items(model.form_.real(torch.from_numpy(model.form_.arrays(unseen)[0])))
    through = float((heard_as(judge, again) == digits(unseen)).float().mean())
    print({"judge, held-out": floor, "through the vocoder": through}, flush=True)
    by_digit, by_way = recognised(model, judge, 1000, given.run), vocoder_figures(model, unseen)
    share = float(np.mean([row["recognised"] for row in by_digit]))
    rounds, ours = by_way[0], by_way[1]
    record("gan_sounds", claim="Spoken digits made on demand, and the vocoder", rows=by_digit + by_way, figures=[
        {"figure": f"digit asked for is recognised, {10 * N_A_DIGIT} sounds, {model.n_iter_} steps",
         "value": round(share, 3), "must": 0.7, "aim": 0.85},
        {"figure": "the judge on real held-out sounds (floor)", "value": round(floor, 3), "must": None, "aim": None},
        {"figure": "the same through picture and vocoder", "value": round(through, 3), "must": None, "aim": None},
        {"figure": f"log-mel error below Griffin-Lim, 32 rounds ({rounds['log-mel error']:.4f})",
         "value": round(1 - ours["log-mel error"] / rounds["log-mel error"], 3), "must": 0.3, "aim": None},
        {"figure": f"the same in loud parts ({rounds['of loud parts']:.4f})",
         "value": round(1 - ours["of loud parts"] / rounds["of loud parts"], 3), "must": None, "aim": 0.3},
        {"figure": f"vocoder, x real time on one core (Griffin-Lim {rounds['x real time']:.0f})",
         "value": round(ours["x real time"]), "must": 50, "aim": None},
    ])  # fmt: skip


if __name__ == "__main__":
    main()
