"""Odd ones, new ones and texts, by the API: what the pages show is what the library says."""

import io
import json
import time
import zipfile

import numpy as np
import pyarrow.csv
import pytest
from PIL import Image

from twofold.runs import load
from twofold.turing.items import open_items

API = "/api/v1"


@pytest.fixture(scope="session")
def opened(runs_folder, small_run):
    """A small run's id, and its estimator opened beside the studio."""

    def run(name: str):
        return small_run(name), load(runs_folder / name)

    return run


def lines_of(answer) -> list[dict]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def asked(client, path: str, body: dict) -> dict:
    answer = client.post(f"{API}{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- find the odd one ----------------------------------------------------------------------------


def test_the_strangest_rows_come_first_with_what_gave_them_away(client, opened):
    run, detector = opened("detector")
    told = asked(client, f"/runs/{run}/detect", {"data": "sample-breast-cancer", "n_told": 20})
    found = detector.detect(open_items("sample:breast-cancer").drop_columns(["diagnosis"]))
    scores = [item["anomaly_score"] for item in told["items"]]
    np.testing.assert_allclose(scores, np.sort(found["anomaly_score"])[::-1][:20])
    assert told["n_anomalies"] == found["is_anomaly"].sum() and told["n"] == told["n_items"] == 569
    first = told["items"][0]
    assert found["reason"][first["row"]] == "; ".join(reason["text"] for reason in first["why"])
    assert first["label"] == "malignant" and "diagnosis" not in told["columns"]
    assert {one["label"]: one["n"] for one in told["by_label"]} == {"benign": 357, "malignant": 212}
    assert sum(map(sum, told["histogram"]["counts"].values())) == 569


def test_scores_of_all_are_there_as_a_table(client, opened):
    run, _ = opened("detector")
    told = asked(client, f"/runs/{run}/detect", {"data": "sample-breast-cancer", "start": 100, "n": 50})
    table = pyarrow.csv.read_csv(io.BytesIO(client.get(told["file"]).content))
    assert table.column_names == ["id", "anomaly_score", "p_value", "is_anomaly"] and table["id"][0].as_py() == 101
    best = told["items"][0]
    assert table["anomaly_score"].to_pylist()[best["row"] - 100] == pytest.approx(best["anomaly_score"])


def test_a_row_that_is_typed_in_is_scored_and_mending_it_makes_it_less_strange(client, opened):
    run, _ = opened("detector")
    row = client.get(f"{API}/data/sample-breast-cancer/items?start=78&n=1").json()["items"][0]["cells"]
    before = asked(client, f"/runs/{run}/scores", {"rows": [row], "why": True})["items"][0]
    assert before["is_anomaly"] and before["why"]
    for reason in before["why"]:
        row[reason["column"]] = reason["expected"]
    after = asked(client, f"/runs/{run}/scores", {"rows": [row]})["items"][0]
    assert after["anomaly_score"] < before["anomaly_score"] and after["why"] == []


def test_cells_that_make_no_sense_are_refused_by_column(client, opened):
    run, _ = opened("detector")
    row = client.get(f"{API}/data/sample-breast-cancer/items?n=1").json()["items"][0]["cells"]
    wrong = [({**row, "mean_area": cell}, "mean_area") for cell in ("wide", 10**400, True)]
    for cells, named in (*wrong, ({"height": 1}, "mean_radius"), ({}, "column")):
        answer = client.post(f"{API}/runs/{run}/scores", json={"rows": [cells]})
        assert answer.status_code == 422 and named in answer.json()["error"], answer.text
    assert client.post(f"{API}/runs/{run}/scores", json={"rows": [row] * 101}).status_code == 422
    assert asked(client, f"/runs/{run}/scores", {"rows": [{**row, "mean_area": None}]})["items"]


def test_rows_are_scored_in_a_few_milliseconds(client, opened):
    run, _ = opened("detector")
    row = client.get(f"{API}/data/sample-breast-cancer/items?n=1").json()["items"][0]["cells"]
    asked(client, f"/runs/{run}/scores", {"rows": [row]})
    took = []
    for _ in range(20):
        began = time.perf_counter()
        asked(client, f"/runs/{run}/scores", {"rows": [row]})
        took.append(time.perf_counter() - began)
    # some 5 ms; ten times that, for a machine that is busy
    assert np.median(took) < 0.05


def test_a_run_is_used_only_on_what_it_knows(client, opened):
    run, _ = opened("detector")
    for data, status in (("sample-glyphs", 422), ("sample-wine", 422), ("nothing", 404)):
        assert client.post(f"{API}/runs/{run}/detect", json={"data": data}).status_code == status
    more = {"data": "sample-breast-cancer", "start": 9999}
    assert client.post(f"{API}/runs/{run}/detect", json=more).status_code == 404
    other, _ = opened("language")
    answer = client.post(f"{API}/runs/{other}/detect", json={"data": "sample-breast-cancer"})
    assert answer.status_code == 422 and "language" in answer.json()["error"]


def test_strange_pictures_are_shown_with_red_where(client, ended):
    settings = {"n_steps": 2, "dim": 8, "image_size": 32, "n_references": 200}
    signs = signs_sent(client, "normal", 24)
    run = ended(client.post(f"{API}/runs", json={"method": "detector", "data": signs, "settings": settings}).json())
    assert run["state"] == "finished", run["error"]
    told = asked(client, f"/runs/{run['run']}/detect", {"data": signs})
    assert told["what"] == "pictures" and told["n"] == 24
    heat = Image.open(io.BytesIO(client.get(told["items"][0]["heat"]).content))
    assert heat.size == (96, 96) and told["items"][0]["why"][0]["text"]


def signs_sent(client, title: str, n: int) -> str:
    """Small noisy pictures as data."""
    rng, files = np.random.default_rng(0), []
    for number in range(n):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(90, 160, (32, 32), np.uint8)).save(buffer, "PNG")
        files.append(("files", (f"{title}/{number}.png", buffer.getvalue(), "image/png")))
    return client.post(f"{API}/data", files=files, headers={"X-Twofold": "1"}).json()["id"]


# ---- make new ------------------------------------------------------------------------------------


def test_made_pictures_have_a_seed_each_and_the_detectives_word(client, opened):
    run, gan = opened("gan")
    told = client.get(f"{API}/runs/{run}/made?n=5&seed=7").json()
    assert told["what"] == "pictures" and [item["seed"] for item in told["items"]] == [7, 8, 9, 10, 11]
    made = np.concatenate([gan.sample(1, seed=seed) for seed in range(7, 12)])
    np.testing.assert_allclose([item["real"] for item in told["items"]], gan.discriminate(made), rtol=1e-5)
    shown = client.get(f"{API}/runs/{run}/made/3/picture?n=5&seed=7")
    pixels = np.asarray(Image.open(io.BytesIO(shown.content)))
    np.testing.assert_array_equal(pixels[::16, ::16], made[3, ..., 0])
    assert client.get(f"{API}/runs/{run}/made/5/picture?n=5&seed=7").status_code == 404
    assert client.get(f"{API}/runs/{run}/made/0/sound?n=5").status_code == 422


def test_a_walk_leads_from_one_picture_to_the_other(client, opened):
    run, gan = opened("gan")
    strip = client.get(f"{API}/runs/{run}/walk/strip?seed=3&other=9&n=6")
    pixels = np.asarray(Image.open(io.BytesIO(strip.content)))
    side = gan.sample(1).shape[1]
    assert pixels.shape == (side, 6 * side)
    np.testing.assert_array_equal(pixels[:, :side], gan.sample(1, seed=3)[0, ..., 0])
    np.testing.assert_array_equal(pixels[:, -side:], gan.sample(1, seed=9)[0, ..., 0])
    assert len(client.get(f"{API}/runs/{run}/walk?seed=3&other=9&n=6").json()["items"]) == 6


def test_made_pictures_are_kept_as_an_archive(client, opened):
    run, _ = opened("gan")
    answer = client.get(f"{API}/runs/{run}/made/file?n=3&seed=1")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["1.png", "2.png", "3.png"]
        assert Image.open(io.BytesIO(archive.read("2.png"))).size == (8, 8)


def test_made_rows_come_with_their_class_and_as_a_table(client, opened):
    run, gan = opened("gan-rows")
    told = client.get(f"{API}/runs/{run}/made?n=6").json()
    assert told["what"] == "rows" and {item["label"] for item in told["items"]} <= set(gan.classes_)
    one = client.get(f"{API}/runs/{run}/made?n=4&label=class_1").json()
    assert [item["label"] for item in one["items"]] == ["class_1"] * 4
    table = pyarrow.csv.read_csv(io.BytesIO(client.get(f"{API}/runs/{run}/made/file?n=6").content))
    assert table["cultivar"].to_pylist() == [item["label"] for item in told["items"]]
    assert table["alcohol"].to_pylist() == [item["cells"]["alcohol"] for item in told["items"]]
    walk = client.get(f"{API}/runs/{run}/walk?seed=0&other=4&n=5").json()
    assert len(walk["items"]) == 5 and "alcohol" in walk["items"][2]["cells"]
    refused = client.get(f"{API}/runs/{run}/made?label=champagne")
    assert refused.status_code == 422 and "class_1" in refused.json()["error"]


# ---- write ---------------------------------------------------------------------------------------


def test_the_page_writes_what_the_command_writes(client, opened):
    run, model = opened("language")
    question = {"prompt": "The ", "tokens": 40, "temperature": 0.9, "top_p": 0.9, "seed": 3}
    *pieces, last = lines_of(client.post(f"{API}/runs/{run}/write", json=question))
    text = model.write("The ", 40, temperature=0.9, top_p=0.9, seed=3)
    assert "The " + "".join(piece["text"] for piece in pieces) == text and "copy" in last
    shares = [share for _, share in pieces[0]["others"]]
    assert len(shares) == 8 and shares == sorted(shares, reverse=True) and 0 < pieces[0]["probability"] <= shares[0]


def test_what_may_come_next_adds_up(client, opened):
    run, _ = opened("language")
    told = asked(client, f"/runs/{run}/next", {"text": "The statemen"})
    shares = [chance["probability"] for chance in told["chances"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-9 and told["bits"] > 0
    first = lines_of(client.post(f"{API}/runs/{run}/write", json={"prompt": "The statemen", "tokens": 1}))[0]
    np.testing.assert_allclose([share for _, share in first["others"]], shares[:8], rtol=1e-6)
    assert asked(client, f"/runs/{run}/next", {"text": ""})["chances"]


def test_surprise_adds_up_to_what_the_text_costs(client, opened):
    run, model = opened("language")
    text = "The statement returns 42 apples. Größe?"
    told = asked(client, f"/runs/{run}/surprise", {"text": text})
    assert told["bits_per_byte"] == pytest.approx(model.bits_per_byte([text]))
    assert "".join(token["text"] for token in told["tokens"]) == text
    assert sum(token["bits"] for token in told["tokens"]) == pytest.approx(told["bits_per_byte"] * len(text.encode()))
    assert set(told["beside"]) == {"gzip", "bz2", "xz"}


def test_settings_beyond_reason_are_refused_and_the_coldest_is_the_likeliest(client, opened):
    run, model = opened("language")
    for wrong in ({"temperature": -1}, {"top_p": 0}, {"tokens": 0}, {"tokens": 10**6}, {"seed": -1}, {"wings": 2}):
        assert client.post(f"{API}/runs/{run}/write", json={"prompt": "a", **wrong}).status_code == 422
    question = {"prompt": "The ", "tokens": 5, "temperature": 1e-300, "top_p": 1e-9}
    *pieces, _ = lines_of(client.post(f"{API}/runs/{run}/write", json=question))
    assert "The " + "".join(piece["text"] for piece in pieces) == model.write("The ", 5, temperature=0)
