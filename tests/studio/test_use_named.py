"""Searching, describing and recognising, by the API."""

import io
import json
import time
import unicodedata

import numpy as np
import pytest
from PIL import Image

from twofold.runs import load
from twofold.turing.items import open_items

API = "/api/v1"


@pytest.fixture(scope="session")
def signs(client) -> str:
    """Some 250 signs as data, with their names as captions."""
    pictures, rows = open_items("sample:glyphs"), np.arange(60, 5060, 20)
    files, lines = [], []
    for row in rows:
        buffer = io.BytesIO()
        Image.fromarray(pictures[int(row)][..., 0]).save(buffer, "PNG")
        files.append(("files", (f"signs/{row:04d}.png", buffer.getvalue(), "image/png")))
        lines.append(f"{row:04d}.png,{unicodedata.name(chr(int(pictures.ids[row][2:], 16))).lower()}")
    table = "\n".join(["file_name,caption", *lines]).encode()
    files.append(("files", ("signs/metadata.csv", table, "text/csv")))
    return client.post(f"{API}/data", files=files, headers={"X-Twofold": "1"}).json()["id"]


@pytest.fixture(scope="session")
def towers(client, signs, runs_folder):
    """The id of a small CLIP run, and its estimator opened beside the studio."""
    return fitted(client, "clip", signs, n_steps=10), load(runs_folder / "clip-10")


def fitted(client, method: str, data: str, **settings) -> str:
    """A run that is begun as a page does, when it has ended; its id."""
    name = f"{method}-{settings['n_steps']}"
    question = {"method": method, "data": data, "name": name, "settings": settings}
    job = client.post(f"{API}/runs", json=question).json()
    while (told := client.get(f"{API}/jobs/{job['id']}").json())["state"] not in ("finished", "failed"):
        time.sleep(0.1)
    assert told["state"] == "finished", told["error"]
    return job["run"]


def asked(client, path: str, body: dict) -> dict:
    answer = client.post(f"{API}{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def indexed(client, run: str, data: str) -> list[dict]:
    answer = client.post(f"{API}/runs/{run}/indexes", json={"data": data})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_index_is_made_once_and_found_again(client, towers, signs):
    run, _ = towers
    first, second = indexed(client, run, signs), indexed(client, run, signs)
    assert first[0]["done"] == 64 and first[-1]["total"] == 250 and len(second) == 1 and second[-1] == first[-1]


def test_search_finds_what_the_library_finds(client, towers, signs):
    run, model = towers
    index = indexed(client, run, signs)[-1]["index"]
    told = asked(client, f"/runs/{run}/indexes/{index}/search", {"text": "latin small letter", "k": 200})
    pictures = open_items(str(stock_of(client, signs)))
    hits = model.search(pictures, "latin small letter", 200)[0]
    assert [item["row"] for item in told["items"] if item["fits"]] == [hit.index for hit in hits]
    scores = [item["score"] for item in told["items"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 200 and told["n"] == 250
    strange = asked(client, f"/runs/{run}/indexes/{index}/search", {"text": "zqxwv flibber"})
    assert not any(item["fits"] for item in strange["items"])


def stock_of(client, stock_id: str):
    """Where data lie, as only the studio knows."""
    return client.app.app.state.studio.shelf.stock(stock_id).source


def test_words_are_added_and_taken_away_and_a_picture_finds_itself(client, towers, signs):
    run, _ = towers
    index = indexed(client, run, signs)[-1]["index"]
    path = f"/runs/{run}/indexes/{index}/search"
    alike = asked(client, path, {"like": [{"data": signs, "row": 11}]})["items"][0]
    assert alike["row"] == 11 and alike["score"] == pytest.approx(1, abs=1e-3) and alike["fits"]
    plain, less = (asked(client, path, {"text": "letter", **more}) for more in ({}, {"minus": ["greek"]}))
    assert [item["score"] for item in plain["items"]] != [item["score"] for item in less["items"]]
    for wrong in ({}, {"text": "  "}, {"minus": ["letter"]}, {"text": "a", "minus": ["a"]}):
        assert client.post(f"{API}{path}", json=wrong).status_code == 422


def test_an_index_of_another_run_or_none_is_refused(client, towers, signs):
    run, other = towers[0], fitted(client, "clip", signs, n_steps=3, describes=False, seed=1)
    index, ask = indexed(client, run, signs)[-1]["index"], {"text": "letter"}
    assert client.post(f"{API}/runs/{run}/indexes/{'0' * 24}/search", json=ask).status_code == 404
    answer = client.post(f"{API}/runs/{other}/indexes/{index}/search", json=ask)
    assert answer.status_code == 422 and "another run" in answer.json()["error"]
    assert client.post(f"{API}/runs/{run}/indexes", json={"data": "sample-wine"}).status_code == 422
    silent = client.post(f"{API}/runs/{other}/describe", json={"data": signs, "row": 0})
    assert silent.status_code == 422 and "describe" in silent.json()["error"]


def test_where_it_fits_is_a_picture(client, towers, signs):
    run, _ = towers
    answer = client.get(f"{API}/runs/{run}/why", params={"data": signs, "row": 3, "text": "letter"})
    assert answer.status_code == 200 and Image.open(io.BytesIO(answer.content)).mode == "RGB"
    assert client.get(f"{API}/runs/{run}/why", params={"data": signs, "row": 999, "text": "a"}).status_code == 404


def test_a_picture_is_told_in_words_and_by_labels(client, towers, signs):
    run, _ = towers
    told = asked(client, f"/runs/{run}/describe", {"data": signs, "row": 0, "n": 2})
    assert told["captions"] and all(caption["text"] for caption in told["captions"])
    shares = asked(client, f"/runs/{run}/classify", {"data": signs, "row": 0, "labels": ["letter", "arrow"]})
    assert sum(shares["probabilities"]) == pytest.approx(1)
    for labels in (["letter", "letter"], ["one"], ["a", " "]):
        body = {"data": signs, "row": 0, "labels": labels}
        assert client.post(f"{API}/runs/{run}/classify", json=body).status_code == 422


def test_a_body_is_borrowed_from_a_run_and_classes_are_recognised(client, ended, runs_folder):
    data = squares_and_circles(client)
    # the page does so where there is nothing to borrow from yet
    body = fitted(client, "gan", data, n_steps=4, conditional=False)
    question = {"method": "transfer", "data": data, "name": "shapes",
                "settings": {"backbone": f"run:{body}", "mode": "frozen"}}  # fmt: skip
    job = ended(client.post(f"{API}/runs", json=question).json())
    assert job["state"] == "finished", job["error"]
    told = asked(client, f"/runs/{job['run']}/recognise", {"data": data, "n": 12})
    assert told["n"] == 24 and len(told["items"]) == 12
    shares = load(runs_folder / "shapes").predict_proba(open_items(str(stock_of(client, data))))
    for item in told["items"]:
        assert sum(chance["probability"] for chance in item["classes"]) == pytest.approx(1)
        assert item["classes"][0]["probability"] == pytest.approx(shares[item["row"]].max(), rel=1e-4)
    assert [
        item["row"] for item in asked(client, f"/runs/{job['run']}/recognise", {"data": data, "rows": [5, 2]})["items"]
    ] == [5, 2]
    for rows in ([99], [-1]):
        answer = client.post(f"{API}/runs/{job['run']}/recognise", json={"data": data, "rows": rows})
        assert answer.status_code == 404
    measured = ended(client.post(f"{API}/runs/{job['run']}/evaluate", json={"data": data}).json())
    assert np.sum(measured["result"]["confusion"]) == 24


def squares_and_circles(client) -> str:
    files = []
    for number in range(24):
        picture = np.full((32, 32), 255, np.uint8)
        if number % 2:
            picture[8:24, 6 + number % 5 : 22 + number % 5] = 0
        else:
            y, x = np.mgrid[:32, :32]
            picture[(y - 16) ** 2 + (x - 14 - number % 5) ** 2 < 60] = 0
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        kind = "squares" if number % 2 else "circles"
        files.append(("files", (f"shapes/{kind}/{number}.png", buffer.getvalue(), "image/png")))
    return client.post(f"{API}/data", files=files, headers={"X-Twofold": "1"}).json()["id"]
