"""Runs as they lie on the disk: a file that grows is read on; what a stranger or a torn disk wrote breaks nothing."""

import json
import struct

import pytest

from twofold.studio.ledger import MAX_LINES, Ledger


def line(step, **more):
    return json.dumps(
        {"step": step, "n_steps": 10**6, "seconds": step / 100, "losses": {"loss": 1.0}, "measures": {}} | more
    )


def test_a_file_that_grows_is_read_on_and_one_that_was_begun_anew_from_its_start(tmp_path):
    ledger, path = Ledger(), tmp_path / "progress.jsonl"
    assert ledger.lines(tmp_path) == []
    path.write_text(line(1) + "\n" + line(2)[:20])
    assert [told["step"] for told in ledger.lines(tmp_path)] == [1]
    path.write_text("".join(line(step) + "\n" for step in (1, 2, 3)))
    assert [told["step"] for told in ledger.lines(tmp_path)] == [1, 2, 3]
    path.write_text("".join(line(step) + "\n" for step in (1, 4, 5, 6, 7)))
    assert [told["step"] for told in ledger.lines(tmp_path)] == [1, 4, 5, 6, 7]


def test_a_long_training_is_told_in_some_thousand_lines_with_its_last_and_all_measures(tmp_path):
    ledger, path = Ledger(), tmp_path / "progress.jsonl"
    for first in range(0, 20_000, 4000):
        with path.open("a") as file:
            for step in range(first, first + 4000):
                file.write(line(step, measures={"accuracy": 1.0} if step % 997 == 0 else {}) + "\n")
        steps = [told["step"] for told in ledger.lines(tmp_path)]
        assert steps[-1] == first + 3999 and len(steps) <= 2 * MAX_LINES + 1 and steps == sorted(steps)
    measured = [told["step"] for told in ledger.lines(tmp_path) if told["measures"]]
    assert measured == list(range(0, 20_000, 997))


BAD = [
    b"", b"{", b"null", b"[1]", b'{"step": true}', b'{"step": 1e999}', b"\xff\xfe", b"[" * 100_000,
    b'{"step": 1, "losses": 3, "n_steps": "x", "seconds": []}', b'{"step": 2, "losses": {"loss": NaN, "b": "x"}}',
    b'{"step": ' + b"9" * 400 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_a_stranger_wrote_breaks_nothing(tmp_path, text):
    for name in ("progress.jsonl", "config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(text + b"\n")
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    ledger = Ledger()
    assert all(isinstance(ledger.config(tmp_path)[part], dict) for part in ("settings", "data", "learned"))
    for told in ledger.lines(tmp_path):
        assert isinstance(told["step"], int) and isinstance(told["losses"], dict) and isinstance(told["seconds"], float)
        assert all(isinstance(loss, float) for loss in told["losses"].values())
    assert isinstance(ledger.shapes(tmp_path), dict)


@pytest.mark.parametrize("config", [
    {"settings": 3, "data": [], "learned": "x"},
    {"method": 5, "state": None, "learned": {"measures": [1], "classes": 7}},
    {"data": {"data": 4, "label": {"a": []}}, "learned": {"measures": {"a": "b", "c": None, "d": 1e308}}}, [],
    {"settings": {"a": float("nan"), "b": float("inf"), "c": 10**400}, "data": {"x": [[[[]]]]}},
])  # fmt: skip
def test_a_strange_run_is_listed_and_shown(client, runs_folder, config):
    folder = runs_folder / "strange"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "progress.jsonl").write_bytes(b"\n".join(BAD))
    client.app.app.state.studio.shelf.forget()
    told = client.get("/api/v1/runs")
    assert told.status_code == 200
    run = next(run for run in told.json() if run["name"] == "strange")
    assert client.get(f"/api/v1/runs/{run['id']}").status_code == 200
    assert client.get(f"/api/v1/runs/{run['id']}/progress").status_code == 200
    assert client.delete(f"/api/v1/runs/{run['id']}").status_code == 204
