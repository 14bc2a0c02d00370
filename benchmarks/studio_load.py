"""Many people at the studio while a training runs, how fast it starts, and whether it grows.

Claim: 64 clients while a training runs: 0 errors, p99 <= 500 ms, the training at most 15 % slower (aim 10 %);
up in 3 s, first page 1 s later; 20,000 requests leave memory and open files as they were.
Command: python benchmarks/studio_load.py. Machine: 2 cores, which clients, studio and training share.
Minutes: about 8. Expect: all met on a quiet machine. Date: 2026-11-22.

A client asks once a second, as a page that is being looked at does at most: a third of the time for a thumbnail, a
third for the list of runs, a sixth for a run, a sixth for the scores of five rows. `closed` is the same without a
pause: how many a second there can be. One training runs all the time, a minute of clients in windows, and between them
as many windows without: its steps in a second, read from its own progress, are compared window by window, so that what
else the machine does weighs on both alike.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from record import record

N_CLIENTS = 64
N_SOAK = 20_000
FIT = {"method": "autoencoder", "data": "sample-digits", "label": "digit"}
DETECTOR = {"method": "detector", "data": "sample-breast-cancer", "label": "diagnosis", "normal": "benign"}


class Studio:
    """A studio in a process of its own, as a user starts it."""

    def __init__(self, runs: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "twofold", "studio", f"--port={self.port}", f"--runs={runs}", "--json"]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline())
        while not self._is_up():
            time.sleep(0.01)
        self.up_after = time.perf_counter() - begun
        begun = time.perf_counter()
        self.ask("GET", "/")
        self.first_page_after = time.perf_counter() - begun
        self.cpu_at_first_page = self.cpu()

    def _is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of a request."""
        data = b"" if body is None else json.dumps(body).encode()
        kind = "" if body is None else "Content-Type: application/json\r\n"
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Bearer {self.told['key']}",
        ]
        return "\r\n".join([*lines, f"{kind}Content-Length: {len(data)}", "", ""]).encode() + data

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask once; the answer read as JSON where it is some."""
        status, told = asyncio.run(_once(self.port, self.request(method, path, body)))
        assert status < 400, told[:300]
        return json.loads(told) if told[:1] in (b"{", b"[") else told

    def cpu(self) -> float:
        """Seconds that its process has computed for."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def size(self) -> tuple[float, int]:
        """MB in memory, and open files."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def studio(runs: Path) -> Iterator[Studio]:
    """A studio for a while."""
    here = Studio(runs)
    try:
        yield here
    finally:
        here.end()


# ---- clients -------------------------------------------------------------------------------------


async def _once(port: int, data: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await _exchange(reader, writer, data)
    finally:
        writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> tuple[int, bytes]:
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length.partition(b":")[2]))


def questions(here: Studio, detector: str, rows: list[dict[str, Any]]) -> list[bytes]:
    """What clients ask: thumbnails, lists, a run, scores."""
    sheets = [f"/api/v1/data/sample-glyphs/items/{row}/picture?side=64" for row in range(120)]
    asked = [here.request("GET", path) for path in sheets]
    asked += [here.request("GET", "/api/v1/runs")] * 120 + [here.request("GET", f"/api/v1/runs/{detector}")] * 60
    scores = [{"rows": rows[first : first + 5]} for first in range(60)]
    return asked + [here.request("POST", f"/api/v1/runs/{detector}/scores", body) for body in scores]


async def _client(port: int, asked: list[bytes], until: float, pause: float, number: int) -> tuple[list[float], int]:
    draw, times, n_errors = random.Random(number), [], 0
    await asyncio.sleep(draw.random() * pause)
    line = None
    while time.perf_counter() < until:
        begun = time.perf_counter()
        try:
            line = line or await asyncio.open_connection("127.0.0.1", port)
            status, _ = await _exchange(*line, draw.choice(asked))
            n_errors += status != 200
        except (OSError, asyncio.IncompleteReadError):
            n_errors, line = n_errors + 1, None
        times.append(time.perf_counter() - begun)
        await asyncio.sleep(max(0.0, pause * (0.5 + draw.random()) - times[-1]))
    return times, n_errors


def load(here: Studio, asked: list[bytes], seconds: float, pause: float) -> dict[str, float]:
    """What so many clients met."""

    async def all_clients() -> list[tuple[list[float], int]]:
        until = time.perf_counter() + seconds
        return await asyncio.gather(*[_client(here.port, asked, until, pause, n) for n in range(N_CLIENTS)])

    cpu, begun, own = here.cpu(), time.perf_counter(), time.process_time()
    told = asyncio.run(all_clients())
    wall = time.perf_counter() - begun
    times = sorted(second for part, _ in told for second in part)
    return {"requests": len(times), "errors": sum(n for _, n in told), "a second": len(times) / wall,
            "p50 ms": 1000 * statistics.median(times), "p99 ms": 1000 * times[int(0.99 * len(times))],
            "slowest ms": 1000 * times[-1], "studio ms of CPU each": 1000 * (here.cpu() - cpu) / len(times),
            "share of a core, clients": (time.process_time() - own) / wall}  # fmt: skip


# ---- trainings -----------------------------------------------------------------------------------


def train(here: Studio, n_steps: int, name: str, question: dict[str, Any] = FIT) -> str:
    """Begin a training; the id of its run, once it has made a step."""
    settings = {"n_steps": n_steps} | ({"map_steps": 0} if question is FIT else {})
    job = here.ask("POST", "/api/v1/runs", question | {"name": name, "settings": settings})
    while here.ask("GET", f"/api/v1/jobs/{job['id']}")["state"] in ("waiting", "running"):
        if any(run["id"] == job["run"] and run["step"] > 0 for run in here.ask("GET", "/api/v1/runs")):
            break
        time.sleep(0.1)
    return job["run"]


def last_line(here: Studio, run: str) -> dict[str, Any]:
    """How far a training has come, by its own clock."""
    return here.ask("GET", f"/api/v1/runs/{run}/progress")["lines"][-1]


def until_over(here: Studio, run: str) -> None:
    """Wait for the end of a training."""
    while here.ask("GET", f"/api/v1/runs/{run}")["state"] in ("waiting", "running", "training", "stopping"):
        time.sleep(0.2)


def windows(here: Studio, asked: list[bytes], flags: argparse.Namespace) -> tuple[list[float], list[dict[str, float]]]:
    """Without clients and with them, in turns: how much slower each pair was, and what the clients met."""
    run, rates, met = train(here, 40_000, "long"), [], []
    time.sleep(3)
    load(here, asked, 3, 1.0)
    for number in range(2 * flags.turns + 1):
        first = last_line(here, run)
        if number % 2:
            met.append(load(here, asked, flags.seconds / flags.turns, 1.0))
        else:
            time.sleep(flags.seconds / flags.turns)
        last = last_line(here, run)
        rates.append((last["step"] - first["step"]) / (last["seconds"] - first["seconds"]))
    here.ask("POST", f"/api/v1/runs/{run}/stop")
    until_over(here, run)
    # each window with clients beside the two around it
    return [(rates[n - 1] + rates[n + 1]) / 2 / rates[n] - 1 for n in range(1, len(rates), 2)], met


def busy(seconds: float = 2.0) -> float:
    """Share of all cores that others use now."""

    def ticks() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]

    before = ticks()
    time.sleep(seconds)
    after = ticks()
    return 1 - (after[1] - before[1]) / (after[0] - before[0])


def main() -> None:
    """All of it; the results are written."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--soak", type=int, default=N_SOAK)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        others = busy()
        figures, rows = measure(Path(scratch), flags)
        after = busy()
    claim = f"64 clients, start and soak; others used {others:.0%} of the machine before, {after:.0%} after."
    record("studio_load", claim=claim, figures=figures, rows=rows)


def measure(runs: Path, flags: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Start, load in turns, closed loop, soak."""
    starts = []
    for _ in range(3):
        with studio(runs) as here:
            starts.append((here.up_after, here.first_page_after, here.cpu_at_first_page))
    up, page, cpu = (min(column) for column in zip(*starts, strict=True))
    with studio(runs) as here:
        detector = train(here, 40, "detector", DETECTOR)
        until_over(here, detector)
        cells = here.ask("GET", "/api/v1/data/sample-breast-cancer/items?n=80")["items"]
        asked = questions(here, detector, [numbers(item["cells"]) for item in cells])
        load(here, asked, 3, 0.2)  # opens the data and the model
        slower, met = windows(here, asked, flags)
        closed = load(here, asked, min(10.0, flags.seconds), 0.0)
        soak = soaked(here, asked, flags.soak)
    worst = {name: max(told[name] for told in met) for name in met[0]}
    quarters = " and ".join(f"{quarter:.3f}" for quarter in statistics.quantiles(slower, n=4)[::2])
    figures = [
        {"figure": "errors of 64 clients", "value": worst["errors"], "must": "0", "aim": "0"},
        {
            "figure": "p99 ms, the worst window",
            "value": worst["p99 ms"],
            "must": "<= 500",
            "aim": "",
        },
        {"figure": "p50 ms, the worst window", "value": worst["p50 ms"], "must": "", "aim": ""},
        {"figure": "training slower by", "value": statistics.median(slower), "must": "<= 0.15", "aim": "<= 0.10"},
        {
            "figure": "half of the windows between",
            "value": quarters,
            "must": "",
            "aim": "",
        },
        {"figure": "requests a second without a pause", "value": closed["a second"], "must": "", "aim": ""},
        {"figure": "up after, seconds", "value": up, "must": "<= 3", "aim": ""},
        {"figure": "first page after that, seconds", "value": page, "must": "<= 1", "aim": ""},
        {"figure": "CPU seconds to the first page", "value": cpu, "must": "", "aim": ""},
        {"figure": f"MB more after {flags.soak} requests", "value": soak["MB more"], "must": "<= 50", "aim": ""},
        {"figure": "open files more", "value": soak["files more"], "must": "0", "aim": "0"},
    ]
    told = [
        {"what": f"window {n}", "slower by": slow, **row} for n, (slow, row) in enumerate(zip(slower, met, strict=True))
    ]
    return figures, [*told, {"what": "closed", "slower by": None, **closed}]


def soaked(here: Studio, asked: list[bytes], n_requests: int) -> dict[str, float]:
    """Memory and open files before and after so many requests."""
    load(here, asked, 2, 0.0)
    before, n_asked = here.size(), 0
    while n_asked < n_requests:
        n_asked += int(load(here, asked, 5, 0.0)["requests"])
    time.sleep(1)
    after = here.size()
    return {"MB more": after[0] - before[0], "files more": after[1] - before[1], "requests": n_asked}


def numbers(cells: dict[str, Any]) -> dict[str, Any]:
    """Cells as they are told, read as numbers again."""
    return {name: float(value) if name != "diagnosis" and value is not None else value for name, value in cells.items()}


if __name__ == "__main__":
    main()
