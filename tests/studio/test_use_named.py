"""Searching, describing and recognising, by the API."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from twofold.runs import load
from twofold.turing.items import open_items

API = "/api/v1"


@pytest.fixture(scope="session")
def towers(runs_folder, small_run):
    """A small CLIP run's id, and its estimator opened beside the studio."""
    return small_run("clip"), load(runs_folder / "clip")


@pytest.fixture(scope="session")
def some_signs(client):
    """Forty signs as data, with captions and labels."""
    signs, rows = open_items("sample:glyphs"), np.arange(60, 5000, 130)
    files, lines = [], []
    for row in rows:
        buffer = io.BytesIO()
        Image.fromarray(signs[int(row)][..., 0]).save(buffer, "PNG")
        files.append(("files", (f"signs/{row}.png", buffer.getvalue(), "image/png")))
        lines.append(f"{row}.png,sign number {row % 7}")
    table = "\n".join(["file_name,caption", *lines]).encode()
    files.append(("files", ("signs/metadata.csv", table, "text/csv")))
    return client.post(f"{API}/data", files=files, headers={"X-Twofold": "1"}).json()["id"]


def asked(client, path: str, body: dict) -> dict:
    answer = client.post(f"{API}{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def indexed(client, run: str, data: str) -> list[dict]:
    answer = client.post(f"{API}/runs/{run}/indexes", json={"data": data})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_index_is_made_once_and_found_again(client, towers, some_signs):
    run, _ = towers
    first, second = indexed(client, run, some_signs), indexed(client, run, some_signs)
    assert first[0]["done"] == first[-1]["total"] == 38 and len(second) == 1 and second[-1] == first[-1]


def test_search_finds_what_the_library_finds(client, towers, some_signs):
    run, model = towers
    index = indexed(client, run, some_signs)[-1]["index"]
    told = asked(client, f"/runs/{run}/indexes/{index}/search", {"text": "latin small letter", "k": 40})
    pictures = open_items(str(stock_of(client, some_signs)))
    hits = model.search(pictures, "latin small letter", 40)[0]
    assert [item["row"] for item in told["items"] if item["fits"]] == [hit.index for hit in hits]
    scores = [item["score"] for item in told["items"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == told["n"] == 38
    strange = asked(client, f"/runs/{run}/indexes/{index}/search", {"text": "zqxwv flibber"})
    assert not any(item["fits"] for item in strange["items"])


def stock_of(client, stock_id: str):
    """Where data lie, as only the studio knows."""
    return client.app.app.state.studio.shelf.stock(stock_id).source


def test_words_are_added_and_taken_away_and_a_picture_finds_itself(client, towers, some_signs):
    run, _ = towers
    index = indexed(client, run, some_signs)[-1]["index"]
    path = f"/runs/{run}/indexes/{index}/search"
    alike = asked(client, path, {"like": [{"data": some_signs, "row": 11}]})["items"][0]
    assert alike["row"] == 11 and alike["score"] == pytest.approx(1, abs=1e-3) and alike["fits"]
    plain, less = (asked(client, path, {"text": "letter", **more}) for more in ({}, {"minus": ["greek"]}))
    assert [item["score"] for item in plain["items"]] != [item["score"] for item in less["items"]]
    for wrong in ({}, {"text": "  "}, {"minus": ["letter"]}, {"text": "a", "minus": ["a"]}):
        assert client.post(f"{API}{path}", json=wrong).status_code == 422


def test_an_index_of_another_run_or_none_is_refused(client, towers, some_signs, small_run):
    run, _ = towers
    other = small_run("clip-describes")
    index = indexed(client, run, some_signs)[-1]["index"]
    ask = {"text": "letter"}
    assert client.post(f"{API}/runs/{run}/indexes/{'0' * 24}/search", json=ask).status_code == 404
    answer = client.post(f"{API}/runs/{other}/indexes/{index}/search", json=ask)
    assert answer.status_code in (200, 422)  # the same towers may have been learned
    assert client.post(f"{API}/runs/{run}/indexes", json={"data": "sample-wine"}).status_code == 422


def test_where_it_fits_is_a_picture(client, towers, some_signs):
    run, _ = towers
    answer = client.get(f"{API}/runs/{run}/why", params={"data": some_signs, "row": 3, "text": "letter"})
    assert answer.status_code == 200 and Image.open(io.BytesIO(answer.content)).mode == "RGB"
    assert client.get(f"{API}/runs/{run}/why", params={"data": some_signs, "row": 99, "text": "a"}).status_code == 404


def test_a_picture_is_told_in_words_and_by_labels(client, towers, some_signs, small_run):
    run = small_run("clip-describes")
    told = asked(client, f"/runs/{run}/describe", {"data": some_signs, "row": 0, "n": 2})
    assert told["captions"] and all(caption["text"] for caption in told["captions"])
    shares = asked(client, f"/runs/{run}/classify", {"data": some_signs, "row": 0, "labels": ["letter", "arrow"]})
    assert sum(shares["probabilities"]) == pytest.approx(1)
    for labels in (["letter", "letter"], ["one"], ["a", " "]):
        body = {"data": some_signs, "row": 0, "labels": labels}
        assert client.post(f"{API}/runs/{run}/classify", json=body).status_code == 422
    silent = client.post(f"{API}/runs/{towers[0]}/describe", json={"data": some_signs, "row": 0})
    assert silent.status_code == 422 and "describe" in silent.json()["error"]


def test_a_body_is_borrowed_from_a_run_and_classes_are_recognised(client, ended, small_run, runs_folder):
    body, data = small_run("masked"), squares_and_circles(client)
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
