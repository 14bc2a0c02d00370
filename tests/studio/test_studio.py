"""The studio's core: data, runs, jobs, results."""

import io

import numpy as np
from PIL import Image


def png(value: int, side: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def sent(client, files, **more):
    form = [("files", (name, data, "application/octet-stream")) for name, data in files.items()]
    return client.post("/api/v1/data", files=form, headers={"X-Twofold": "1"}, **more)


def test_every_page_opens(client):
    from twofold.studio.wishes import WISHES

    for page in ("", *WISHES):
        answer = client.get(f"/{page}")
        assert answer.status_code == 200 and "<h1>" in answer.text
    assert client.get("/nothing").status_code == 404


def test_a_folder_that_is_sent_becomes_data_and_shows_its_pictures(client):
    stock = sent(client, {"cats/a.png": png(10), "cats/b.png": png(60), "dogs/c.png": png(200)})
    assert stock.status_code == 201, stock.text
    look = client.get(f"/api/v1/data/{stock.json()['id']}").json()
    assert (look["what"], look["n"], look["labels"]) == ("pictures", 3, ["cats", "dogs"])
    shown = client.get(f"/api/v1/data/{stock.json()['id']}/items/2/picture?side=8")
    assert Image.open(io.BytesIO(shown.content)).size == (8, 8)
    assert client.delete(f"/api/v1/data/{stock.json()['id']}").status_code == 204
    assert client.get(f"/api/v1/data/{stock.json()['id']}").status_code == 404


def test_many_files_are_sent_in_several_requests(client):
    upload = client.post("/api/v1/data/uploads").json()["upload"]
    for number in range(3):
        part = [("files", (f"signs/{number}.png", png(80 * number), "image/png"))]
        answer = client.post(f"/api/v1/data/uploads/{upload}/files", files=part, headers={"X-Twofold": "1"})
        assert answer.status_code == 204
    stock = client.post(f"/api/v1/data/uploads/{upload}/done", json={"title": "three signs"}).json()
    assert stock["title"] == "three signs" and stock["about"] == "3 files"


def test_a_run_is_begun_followed_and_used_again_by_name(client, ended):
    asked = {"method": "autoencoder", "data": "sample-wine", "label": "cultivar", "name": "wines",
             "settings": {"n_steps": 20, "map_steps": 0}}  # fmt: skip
    job = client.post("/api/v1/runs", json=asked)
    assert job.status_code == 202, job.text
    assert ended(job.json())["state"] == "finished"
    run = client.get(f"/api/v1/runs/{job.json()['run']}").json()
    assert run["name"] == "wines" and run["state"] == "finished" and run["shapes"] and "## Measures" in run["card"]
    lines = client.get(f"/api/v1/runs/{run['id']}/progress").json()["lines"]
    assert lines[-1]["step"] == 20
    with client.stream("GET", f"/api/v1/jobs/{job.json()['id']}/events") as stream:
        told = "".join(stream.iter_text())
    assert "event: lines" in told and "event: state" in told
    again = client.post("/api/v1/runs", json=asked)
    assert again.status_code == 422 and "another name" in again.json()["error"]


def test_a_training_is_stopped_kept_and_gone_on_with(client, ended):
    import time

    asked = {"method": "autoencoder", "data": "sample-digits", "label": "digit", "name": "halted",
             "settings": {"n_steps": 100000, "map_steps": 0}}  # fmt: skip
    job = client.post("/api/v1/runs", json=asked).json()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = client.get(f"/api/v1/runs/{job['run']}/progress")
        if answer.status_code == 200 and answer.json()["lines"]:
            break
        time.sleep(0.1)
    assert client.delete(f"/api/v1/runs/{job['run']}").status_code == 409
    assert client.post(f"/api/v1/runs/{job['run']}/stop").status_code == 202
    assert ended(job)["state"] == "stopped"
    assert client.get(f"/api/v1/runs/{job['run']}").json()["state"] == "stopped"
    resumed = client.post(f"/api/v1/runs/{job['run']}/resume")
    assert resumed.status_code == 202
    # while it still imports: there a signal can be lost
    time.sleep(1)
    client.post(f"/api/v1/runs/{job['run']}/stop")
    assert ended(resumed.json())["state"] == "stopped"
    assert client.delete(f"/api/v1/runs/{job['run']}").status_code == 204


def test_what_training_refuses_is_told_by_its_job(client, ended):
    asked = {"method": "detector", "data": "sample-wine", "label": "colour", "name": "refused"}
    told = ended(client.post("/api/v1/runs", json=asked).json())
    assert told["state"] == "failed" and "colour" in told["error"]


def test_wrong_fields_are_refused_by_name(client):
    for settings in ({"wings": 2}, {"n_steps": "many"}, {"backbone": "../../etc"}, {"n_steps": True}):
        method = "transfer" if "backbone" in settings else "gan"
        answer = client.post("/api/v1/runs", json={"method": method, "data": "sample-wine", "settings": settings})
        assert answer.status_code == 422 and next(iter(settings)) in answer.json()["error"]


def test_a_run_is_measured_beside_baselines(client, small_run, ended):
    run = small_run("detector")
    asked = {"data": "sample-breast-cancer", "label": "diagnosis", "normal": "benign"}
    told = ended(client.post(f"/api/v1/runs/{run}/evaluate", json=asked).json())
    assert told["state"] == "finished" and told["result"]["measures"]


def test_a_file_beside_the_studio_is_no_networks_name(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").write_bytes(b"secret")
    asked = {"method": "transfer", "data": "sample-glyphs", "settings": {"backbone": "own.safetensors"}}
    answer = client.post("/api/v1/runs", json=asked)
    assert answer.status_code == 422 and "command line" in answer.json()["error"]


def test_a_port_that_is_taken_is_told_with_the_remedy(tmp_path):
    import socket
    import subprocess
    import sys

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "twofold", "studio", f"--port={port}", f"--runs={tmp_path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "another port" in done.stderr and "Traceback" not in done.stderr
