"""The studio's REST against its own OpenAPI schema: schemathesis makes questions up for every operation.

Claim: no answer >= 500, and none that breaks the schema (status, kind of content, headers, body), over >= 5,000 cases.
Command: python benchmarks/studio_schema.py [--cases 20000]. Machine: 2 cores. Minutes: about 20 for 20,000, in this
process (ASGI), one thread. Expect 0 and 0. Date: 2026-11-22.

Most cases carry real names (runs of every method, data, uploads), or nearly all would end at "there is no run". A sixth
breaks the schema on purpose: then an answer that accepts it is a fault too. The queue of trainings is real, but the
worker that would empty it is not started, so that no case trains; what trainings do stands in tests/studio. The runs
are not removed either, or soon there would be none.
"""

import argparse
import collections
import json
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks
from starlette.testclient import TestClient

from twofold.cli import main as twofold
from twofold.methods import METHODS
from twofold.studio.app import create_app
from twofold.studio.guard import Keys
from twofold.studio.place import Studio
from twofold.studio.shelf import Shelf
from twofold.studio.trainings import Trainings

HOST = "127.0.0.1:8765"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
# a run of each method, small, but trained for real
RUNS = {
    "autoencoder": ["sample:digits", "--label=digit", "--steps=60", "--map-steps=60"],
    "detector": ["sample:breast-cancer", "--label=diagnosis", "--normal=benign", "--steps=40"],
    "gan": ["sample:wine", "--label=cultivar", "--steps=20"],
    "language": ["sample:topics", "--steps=4", "--depth=1"],
    "denoiser": ["sample:photos", "--steps=3", "--dim=16"],
    "compressor": ["sample:photos", "--steps=2", "--dim=32", "--depth=1"],
    "masked": ["sample:glyphs", "--steps=3", "--dim=32", "--depth=1"],
    "clip": ["sample:glyphs", "--steps=5"],
    "transfer": ["sample:glyphs", "--backbone={runs}/masked", "--mode=frozen"],
}
# a name in the query that nobody asked for is passed over, as it is everywhere
BROKEN, MAY_BE_BROKEN = re.compile(r"- (\w+: violates \S+)"), {"query: violates `additionalProperties`"}
REMOVAL = ("DELETE", "/api/v1/runs/{run}")


class Held(Trainings):
    """A queue that nobody empties."""

    async def start(self) -> None:
        """Begin nothing."""


def begun_things(app: Any, headers: dict[str, str]) -> dict[str, list[str]]:
    """Two trials with a judge each, items they are shown, and two games: what many operations ask about."""
    client = TestClient(app, base_url=f"http://{HOST}/api/v1", headers=headers)
    made: dict[str, list[str]] = {"trial": [], "judge": [], "item": [], "game": []}
    makers = [
        run["id"] for run in client.get("/runs").json() if run["method"] == "gan" and run["data"].startswith("wine")
    ]
    for is_training in [False, True] if makers else []:
        told = {"run": makers[0], "data": "sample-wine", "n": 3, "is_training": is_training}
        made["trial"].append(client.post("/trials", json=told).json()["id"])
        judge = client.post(f"/trials/{made['trial'][-1]}/judges", json={"nickname": "ann"}).json()["judge"]
        made["judge"].append(judge)
        for question in client.get(f"/trials/{made['trial'][-1]}/questions", params={"judge": judge}).json():
            made["item"].append(question["items"][0].rpartition("/")[2])
    made["game"] = [client.post("/games", json={"n_steps": 50}).json()["id"] for _ in range(2)]
    return {name: found for name, found in made.items() if found}


class Asker:
    """Asks, and keeps what went wrong."""

    def __init__(self, runs: Path):
        keys = Keys()
        self.studio = Studio(Shelf(runs), keys, Held())
        self.app = create_app(self.studio, frozenset({HOST}))
        self.headers = {"Authorization": f"Bearer {keys.bearer}", "Host": HOST, "X-Twofold": "1"}
        self.schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", self.app, headers=self.headers)
        self.faults: dict[str, str] = {}
        self.made: dict[str, list[str]] = {}
        self.statuses: collections.Counter[int] = collections.Counter()
        self.accepted: collections.Counter[str] = collections.Counter()
        self.slowest: collections.defaultdict[str, float] = collections.defaultdict(float)

    def operations(self) -> list[Any]:
        """All that may be asked."""
        return [result.ok() for result in self.schema.get_all_operations()]

    def ask(self, operation: Any, n_cases: int, number: int) -> int:
        """So many cases of one operation; how many were asked."""
        n_asked, draw = 0, random.Random(number)
        real = self._names()
        modes = [GenerationMode.POSITIVE] * 5 + [GenerationMode.NEGATIVE]
        kinds = st.one_of(*[operation.as_strategy(mode, headers=dict(self.headers)) for mode in modes])

        @seed(number)
        @settings(max_examples=n_cases, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(kinds)
        def asked(case: Any) -> None:
            nonlocal n_asked
            n_asked += 1
            is_positive = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
            if is_positive and draw.random() < 0.8 and (case.method, operation.path) != REMOVAL:
                name_really(case, real, draw)
            self._ask(case)

        asked()
        self._tidy()
        return n_asked

    def _ask(self, case: Any) -> None:
        begun = time.perf_counter()
        try:
            answer = case.call(base_url=f"http://{HOST}", headers=self.headers, timeout=20)
            self.statuses[answer.status_code] += 1
            self.accepted[f"{case.method} {case.operation.path}"] += answer.status_code < 300
            if case.method == "POST" and answer.status_code < 300:
                self._remember(case.operation.path.rpartition("/")[2], answer.content)
            case.validate_response(answer, checks=CHECKS)
        except (Exception, BaseExceptionGroup) as fault:
            # what is raised in the studio comes out here too, beside its answer 500
            self.statuses[500] += not isinstance(fault, BaseExceptionGroup)
            told = "; ".join(f"{type(part).__name__} {part}" for part in getattr(fault, "exceptions", [fault]))
            if not set(BROKEN.findall(told)) <= MAY_BE_BROKEN or "AcceptedNegativeData" not in told:
                self.faults.setdefault(f"{case.method} {case.operation.path}: {told[:60]}", f"{fault}\n{told}"[:2000])
        name = f"{case.method} {case.operation.path}"
        self.slowest[name] = max(self.slowest[name], time.perf_counter() - begun)

    def _remember(self, made: str, content: bytes) -> None:
        """What was made, such as a trial or a game, can be asked about."""
        kind = {"trials": "trial", "games": "game", "indexes": "index"}.get(made)
        told = json.loads(content) if kind else {}
        if kind and (name := told.get(kind) or told.get("id")):
            self.made[kind] = [*self.made.get(kind, []), name][-20:]

    def _names(self) -> dict[str, list[str]]:
        shelf = self.studio.shelf
        upload, folder = shelf.new_upload()
        (folder / "files").mkdir()
        stocks = [stock.id for stock in shelf.stocks()]
        jobs = [job.id for job in self.studio.trainings.jobs.values() if job.is_over]
        return {"run": list(shelf.runs()), "stock": stocks, "data": stocks, "upload": [upload], "job": jobs,
                "method": list(METHODS), **self.made,
                "name": [path.name for path in (shelf.hidden / "results").iterdir()][-50:]}  # fmt: skip

    def _tidy(self) -> None:
        """What waits is taken out of the queue, or it would soon say 503."""
        for job in list(self.studio.trainings._waiting):
            job.state = "stopped"
        self.studio.trainings._waiting.clear()


def name_really(case: Any, real: dict[str, list[str]], draw: random.Random) -> None:
    """Put names of things that are there in the place of those that were made up."""
    for place in (case.path_parameters, case.query, case.body):
        if not isinstance(place, dict):
            continue
        for name, value in place.items():
            if isinstance(value, str) and real.get(name):
                place[name] = draw.choice(real[name])
            elif name in ("row", "start", "item", "place") and isinstance(value, int):
                place[name] = value % 20
            elif name == "settings" and draw.random() < 0.7:
                place[name] = {}
            elif isinstance(value, dict):
                for inner in set(value) & set(real):
                    value[inner] = draw.choice(real[inner]) if real[inner] else value[inner]


def train(folder: Path, names: list[str]) -> None:
    """The runs that questions are about."""
    for name in names:
        if not (folder / name).exists():
            try:
                given = [part.format(runs=folder) for part in RUNS[name]]
                twofold(["fit", name, *given, "--out", str(folder / name), "--json"])
            except SystemExit as end:
                if end.code:
                    raise


def run(folder: Path, n_cases: int, *, n_round: int = 40, only: str = "") -> tuple[int, Asker, list[dict[str, Any]]]:
    """Ask in rounds until there were that many cases; how many, who asked, and a table."""
    asker = Asker(folder)
    operations = [operation for operation in asker.operations() if only in operation.path]
    counts: collections.Counter[str] = collections.Counter()
    number = 0
    # what is removed is removed last, and begun anew in the next round
    operations.sort(key=lambda operation: operation.method.upper() == "DELETE")
    while sum(counts.values()) < n_cases:
        asker.made |= begun_things(asker.app, asker.headers)
        for operation in operations:
            number += 1
            counts[f"{operation.method.upper()} {operation.path}"] += asker.ask(operation, n_round, number)
            if sum(counts.values()) >= n_cases and number > len(operations):
                break
    slowest = {name: round(seconds, 2) for name, seconds in asker.slowest.items()}
    rows = [{"operation": name, "cases": n, "accepted": asker.accepted[name], "slowest s": slowest[name]}
            for name, n in counts.items()]  # fmt: skip
    return sum(counts.values()), asker, rows


def main() -> None:
    """All of it; the results are written."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--runs", type=Path, default=None, help="a folder of runs (None: they are trained here)")
    parser.add_argument("--only", default="", help="a part of a path; nothing is written then")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = flags.runs or Path(scratch)
        if flags.runs is None:
            train(folder, list(RUNS))
        begun = time.process_time()
        n_cases, asker, rows = run(folder, flags.cases, only=flags.only)
        seconds = time.process_time() - begun
    for name, told in asker.faults.items():
        print("-----", name, told, sep="\n", file=sys.stderr)
    n_server = sum(n for status, n in asker.statuses.items() if status >= 500)
    print(n_cases, "cases", dict(asker.statuses), f"{seconds:.0f} CPU s, slowest {max(asker.slowest.values()):.1f} s")
    if flags.only:
        print(*rows, sep="\n")
        return
    from record import record

    claim = "Questions that schemathesis made up from the OpenAPI schema, over all operations."
    record("studio_schema", claim=claim, figures=[
        {"figure": "cases", "value": n_cases, "must": ">= 5,000", "aim": "20,000"},
        {"figure": "operations", "value": len(rows), "must": "all", "aim": "all"},
        {"figure": "of them answered as asked", "value": sum(map(bool, [row["accepted"] for row in rows])),
         "must": "", "aim": ""},
        {"figure": "answers >= 500", "value": n_server, "must": "0", "aim": "0"},
        {"figure": "kinds of fault against the schema", "value": len(asker.faults), "must": "0", "aim": "0"},
        {"figure": "slowest answer, seconds", "value": max(asker.slowest.values()), "must": "", "aim": ""},
        {"figure": "CPU seconds", "value": seconds, "must": "", "aim": ""},
    ], rows=rows)  # fmt: skip


if __name__ == "__main__":
    main()
