"""A classifier from the command line: predict writes a probability a class, evaluate what is mixed up and the worst."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from twofold.cli import main

DIGITS = Path(__file__).parents[1] / "digits.parquet"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer") / "run"
    fit = ["fit", "transfer", DIGITS, "--out", folder, "--backbone", "untrained:mobilenetv1_025", "--mode", "frozen"]
    with pytest.raises(SystemExit) as end:
        main([*map(str, fit), "--image-size", "32", "--n-threads", "1", "--device", "cpu"])
    assert end.value.code == 0
    return folder


def told(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert end.value.code == code, err
    return json.loads(out.splitlines()[-1]), err


def test_predict_writes_id_prediction_and_a_probability_for_each_class(run, tmp_path, capsys):
    result, err = told(capsys, "predict", run, DIGITS, "-o", tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert list(rows[0]) == ["id", "prediction", "p_0", "p_1", "p_4"] and len(rows) == result["pictures"] == 48
    for row in rows:
        shares = {name: float(row[f"p_{name}"]) for name in ("0", "1", "4")}
        assert sum(shares.values()) == pytest.approx(1) and max(shares, key=shares.get) == row["prediction"]
    assert sum(result["predicted"].values()) == 48 and "48 pictures" in err
    told(capsys, "predict", run, DIGITS, "-o", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["id", "prediction", "p_0", "p_1", "p_4"]


def test_evaluate_tells_accuracy_shows_what_is_mixed_up_and_draws_the_worst(run, capsys):
    result, err = told(capsys, "evaluate", run, DIGITS)
    accuracy = result["measures"]["accuracy"]
    assert accuracy["interval"][0] <= accuracy["value"] <= accuracy["interval"][1]
    assert set(accuracy["baselines"]) == {"commonest class", "ridge on raw pixels"}
    assert "learnt from" in err and "accuracy" in (run / "README.md").read_text()
    table = list(csv.reader((run / "outputs" / "confusion.csv").read_text().splitlines()))
    assert table[0] == ["true class", "said 0", "said 1", "said 4"] and [row[0] for row in table[1:]] == ["0", "1", "4"]
    n_wrong = 48 - sum(int(table[i][i]) for i in (1, 2, 3))
    assert n_wrong == round(48 * (1 - accuracy["value"]))
    if n_wrong:
        assert result["mistakes"] == n_wrong
        Image.open(run / "outputs" / "worst.png").verify()


def test_a_run_that_is_no_classifier_cannot_predict(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "autoencoder", "sample:wine", "--out", str(tmp_path / "ae"), "--steps", "20", "--n-threads", "1"])
    capsys.readouterr()
    result, _ = told(capsys, "predict", tmp_path / "ae", DIGITS, "-o", tmp_path / "out.csv", code=2)
    assert "has no predict_proba" in result["error"]
