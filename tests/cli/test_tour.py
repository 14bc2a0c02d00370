import json
import re

from twofold.cli import main


def test_the_tour_beats_its_baselines_and_writes_a_report_that_stands_alone(tmp_path, capsys):
    try:
        main(["tour", "--out", str(tmp_path), "--json"])
    except SystemExit as end:
        assert end.code == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    # measured: error .26 beside PCA's .49; AUROC .960 beside .953; bits per byte 1.78 beside bz2's 2.00
    chapters = {row["chapter"]: row for row in result["chapters"]}
    assert len(chapters) == 11
    # scratches on noisy signs are found by raw patches about as well (.94 beside our .92 to .95)
    defects = chapters.pop("Defects in pictures")
    assert defects["value"] > 0.85
    assert {row["verdict"] for row in chapters.values()} == {"ahead"}
    autoencoder, detector, language = (chapters[n] for n in ("Autoencoder", "Anomaly detection", "Language model"))
    assert autoencoder["value"] < 0.3 and detector["value"] > 0.94 and language["value"] < 2.3
    html = (tmp_path / "report.html").read_text()
    assert html.count("<figure ") == 22
    # nothing is fetched: no scripts, and every link and picture is inside the page
    assert "<script" not in html
    assert not re.findall(r'(?:href|src)="(?!#|data:)', html)
    assert set(re.findall(r'href="#([\w-]+)"', html)) <= set(re.findall(r'id="([\w-]+)"', html))
