"""Map, Clean up, Make smaller, Fill in: what the four pages ask of finished runs."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from twofold.data.columns import Columns
from twofold.measure.noise import psnr
from twofold.studio.pictures import error_map
from twofold.studio.tiles import Tiles, sheet_of


def fetched(client, url):
    if url.startswith("data:"):
        content = base64.b64decode(url.partition(",")[2])
    else:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        content = answer.content
    picture = np.asarray(Image.open(io.BytesIO(content)))
    return picture.reshape(*picture.shape[:2], -1)


def asked(client, path, **question):
    answer = client.post(f"/api/v1{path}", json=question)
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- map -----------------------------------------------------------------------------------------


def test_the_map_places_rows_with_their_labels_and_shows_digits_as_tiles(client, small_run):
    told = asked(client, f"/runs/{small_run('autoencoder')}/map", data="sample-digits", n=300)
    assert told["what"] == "rows" and told["n_items"] == 1797
    assert len(told["rows"]) == len(told["x"]) == len(told["y"]) == len(told["labels"]) == 300
    assert set(told["labels"]) == set("0123456789")
    assert told["label"] == "digit" and "pixel_7_7" in told["columns"]
    other = asked(client, f"/runs/{small_run('autoencoder')}/map", data="sample-digits", n=300, label="pixel_4_4")
    assert other["x"] == told["x"] and set(map(int, other["labels"])) <= set(range(17))
    sheet = fetched(client, told["sheet"]["url"])
    assert sheet.shape[1] == told["sheet"]["side"] * told["sheet"]["n_columns"] and sheet.max() > 200


def test_the_nearest_on_the_map_are_mostly_of_the_same_label(client, small_run):
    run = small_run("autoencoder")
    told = asked(client, f"/runs/{run}/map", data="sample-digits", n=1000)
    label_of = dict(zip(told["rows"], told["labels"], strict=True))
    near = [asked(client, f"/runs/{run}/neighbours", data="sample-digits", row=row) for row in told["rows"][:20]]
    same = [label_of[row] == label_of[other] for row, n in zip(told["rows"], near, strict=False) for other in n["rows"]]
    # 0.1 by chance
    assert np.mean(same) > 0.7
    assert all(n["distances"] == sorted(n["distances"]) for n in near)


def test_more_latent_numbers_rebuild_better_and_the_cells_say_where_it_fails(client, small_run):
    run = small_run("autoencoder")
    few, many = (asked(client, f"/runs/{run}/rebuild", data="sample-digits", row=7, k=k) for k in (1, 1000))
    assert few["k"] == 1 and many["k"] == many["n_latent"] and many["error"] < few["error"]
    assert {cell["name"] for cell in few["cells"]} <= {f"pixel_{y}_{x}" for y in range(8) for x in range(8)}
    truth = fetched(client, few["pictures"]["original"])
    assert truth.shape == (8, 8, 1)
    nearness = [psnr(fetched(client, told["pictures"]["rebuilt"]), truth) for told in (few, many)]
    assert nearness[1] > nearness[0] + 3


def test_any_point_of_the_map_is_decoded(client, small_run):
    run = small_run("autoencoder")
    told = asked(client, f"/runs/{run}/decode", points=[[0, 0], [1e6, -1e6]])
    assert len(told["pictures"]) == len(told["cells"]) == 2
    assert fetched(client, told["pictures"][0]).shape == (8, 8, 1)
    for points in ([], [[0]], [[0, 1, 2]], [[0, "1"]], [[0, 1e9]]):
        assert client.post(f"/api/v1/runs/{run}/decode", json={"points": points}).status_code == 422


def test_the_map_refuses_what_the_run_did_not_learn_from(client, small_run):
    run = small_run("autoencoder")
    wrong = {"sample-glyphs": "pictures", "sample-wine": "lacks", "sample-none": "no data"}
    for data, why in wrong.items():
        answer = client.post(f"/api/v1/runs/{run}/map", json={"data": data})
        assert answer.status_code in (404, 422) and why in answer.json()["error"]
    answer = client.post(f"/api/v1/runs/{run}/map", json={"data": "sample-digits", "label": "colour"})
    assert answer.status_code == 404 and "colour" in answer.json()["error"]
    answer = client.post(f"/api/v1/runs/{run}/rebuild", json={"data": "sample-digits", "row": 10**6})
    assert answer.status_code == 404
    other = small_run("masked")
    assert client.post(f"/api/v1/runs/{other}/map", json={"data": "sample-digits"}).status_code == 422


def test_columns_make_a_picture_only_where_they_fill_a_grid():
    names = [f"p_{y}_{x}" for y in range(4) for x in range(5)]
    rng = np.random.default_rng(0)
    table = {name: rng.integers(0, 9, 20).tolist() for name in names}
    tiles = Tiles.of(Columns.learn(table))
    assert tiles is not None and tiles.names[3][4] == "p_3_4"
    table["p_0_1"] = [0] * 20  # a pixel that is never lit says nothing, and is black
    columns = Columns.learn(table)
    shown = Tiles.of(columns).pictures(columns.decode(*columns.encode(table)))
    assert shown.shape == (20, 4, 5, 1) and shown[:, 0, 1].max() == 0
    assert shown[3, 2, 2, 0] == round(255 * table["p_2_2"][3] / 8)
    assert Tiles.of(Columns.learn({name: table[name] for name in names[1:]})) is None
    assert Tiles.of(Columns.learn({"age": [1, 2, 3], "weight_1": [2, 3, 4]})) is None


def test_a_sheet_holds_each_picture_in_its_square():
    pictures = [np.full((4, 6, 1), 50 * place, np.uint8) for place in range(5)]
    sheet = sheet_of(pictures, 8, 3)
    assert sheet.shape == (16, 24, 3)
    assert [sheet[place // 3 * 8 + 4, place % 3 * 8 + 4, 0] for place in range(5)] == [0, 50, 100, 150, 200]


def test_the_error_map_is_black_where_nothing_differs():
    one = np.zeros((4, 4, 3), np.uint8)
    other = one.copy()
    other[1, 2] = 200
    heat = error_map(one, other)
    assert heat[1, 2].tolist() == [255, 255, 255] and heat.sum() == 3 * 255


# ---- clean ---------------------------------------------------------------------------------------


def test_noise_is_put_on_and_told(client, small_run):
    run = small_run("denoiser")
    question = {"data": "sample-photos", "row": 1, "strength": 25.0, "side": 96, "seed": 3}
    told = asked(client, f"/runs/{run}/clean", **question)
    assert (told["width"], told["height"]) == (96, 64) and 15 < told["level"] < 35
    noisy, again = (fetched(client, t["noisy"]) for t in (told, asked(client, f"/runs/{run}/clean", **question)))
    assert (noisy == again).all() and noisy.shape == (64, 96, 3)
    # cut off at black and white, a little less noise than was asked for: 20.2 dB without
    assert told["psnr_noisy"] == pytest.approx(20.5, abs=0.5)
    assert fetched(client, told["cleaned"]).shape == noisy.shape


def test_a_picture_as_it_is_has_no_truth_to_compare_with(client, small_run):
    told = asked(client, f"/runs/{small_run('denoiser')}/clean", data="sample-photos", side=64)
    assert told["psnr_noisy"] is None and told["psnr_cleaned"] is None


def test_a_picture_is_cleaned_by_itself_without_a_run(client):
    told = asked(client, "/clean", data="sample-photos", strength=25.0, side=48)
    assert told["psnr_cleaned"] > told["psnr_noisy"] + 1
    assert told["gain"] > 1


def test_cleaning_refuses_rows_and_other_kinds(client, small_run):
    run = small_run("denoiser")
    answer = client.post(f"/api/v1/runs/{run}/clean", json={"data": "sample-wine"})
    assert answer.status_code == 422 and "not pictures" in answer.json()["error"]
    assert client.post(f"/api/v1/runs/{run}/clean", json={"data": "sample-photos", "row": 2}).status_code == 404
    for wrong in ({"strength": -1}, {"strength": 101}, {"side": 9999}, {"level": -0.1}, {"seed": "1"}):
        assert client.post("/api/v1/clean", json={"data": "sample-photos"} | wrong).status_code == 422


# ---- smaller -------------------------------------------------------------------------------------


def test_a_file_is_written_measured_and_opened_again(client, small_run):
    run = small_run("compressor")
    told = asked(client, f"/runs/{run}/compress", data="sample-photos", row=0, quality=40, side=128)
    data = client.get(told["file"]).content
    assert len(data) == told["ours"]["n_bytes"] < told["png_bytes"]
    original, rebuilt = fetched(client, told["original"]), fetched(client, told["ours"]["url"])
    assert told["ours"]["psnr"] == pytest.approx(psnr(rebuilt, original), abs=1e-6)
    assert told["jpeg_as_good"]["psnr"] >= told["ours"]["psnr"]
    small = told["jpeg_as_small"]
    assert small["n_bytes"] <= len(data) or small["n_bytes"] < told["jpeg_as_good"]["n_bytes"]
    opened = client.post(
        f"/api/v1/runs/{run}/decompress", files={"file": ("a.tfz", data)}, headers={"X-Twofold": "1"}
    ).json()
    assert (opened["width"], opened["height"]) == (128, 85)
    assert (fetched(client, opened["url"]) == rebuilt).all()


def test_quality_trades_bytes_for_errors(client, small_run):
    path = f"/runs/{small_run('compressor')}/compress"
    low, high = (asked(client, path, data="sample-photos", quality=q, side=96)["ours"] for q in (10.0, 90.0))
    assert low["n_bytes"] < high["n_bytes"] and low["psnr"] < high["psnr"]


def test_a_spoilt_or_foreign_file_is_refused_with_its_reason(client, small_run):
    run = small_run("compressor")
    told = asked(client, f"/runs/{run}/compress", data="sample-photos", side=64)
    data = bytearray(client.get(told["file"]).content)
    data[len(data) // 2] ^= 1
    for content, why in ((bytes(data), "damaged"), (b"GIF89a", "not a .tfz file"), (b"", "not a .tfz file")):
        answer = client.post(
            f"/api/v1/runs/{run}/decompress", files={"file": ("a.tfz", content)}, headers={"X-Twofold": "1"}
        )
        assert answer.status_code == 422 and why in answer.json()["error"]


def test_a_small_file_that_claims_a_huge_picture_is_refused(client, small_run):
    from twofold.data.container import pack

    data = pack({"kind": "picture", "model": "x", "size": [10**6, 10**6, 3], "level": 10, "tile": 96}, [])
    answer = client.post(
        f"/api/v1/runs/{small_run('compressor')}/decompress",
        files={"file": ("bomb.tfz", data)}, headers={"X-Twofold": "1"},
    )  # fmt: skip
    assert answer.status_code == 413


# ---- fill ----------------------------------------------------------------------------------------


def test_only_what_was_hidden_is_painted(client, small_run):
    hidden = [line * 8 + column for line in range(2, 5) for column in range(3, 6)]
    told = asked(client, f"/runs/{small_run('masked')}/fill", data="sample-glyphs", row=40, n_fields=8, hidden=hidden)
    assert told["hidden_share"] == pytest.approx(9 / 64) and told["psnr"] > 3
    original, painted, seen = (fetched(client, told[name]) for name in ("original", "painted", "seen"))
    changed = np.zeros((8, 8), bool)
    changed[2:5, 3:6] = True
    is_hidden = changed.repeat(4, 0).repeat(4, 1)
    assert (painted[~is_hidden] == original[~is_hidden]).all() and (seen[is_hidden] == 128).all()


def test_nothing_hidden_gives_the_picture_and_all_hidden_is_refused(client, small_run):
    run = small_run("masked")
    told = asked(client, f"/runs/{run}/fill", data="sample-glyphs", hidden=[])
    assert told["psnr"] is None and (fetched(client, told["painted"]) == fetched(client, told["original"])).all()
    wrong = ({"n_fields": 2, "hidden": [0, 1, 2, 3]}, {"n_fields": 4, "hidden": [16]}, {"n_fields": 1, "hidden": []})
    for question in wrong:
        answer = client.post(f"/api/v1/runs/{run}/fill", json={"data": "sample-glyphs"} | question)
        assert answer.status_code == 422
