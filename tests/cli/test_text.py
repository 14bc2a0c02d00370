import json

import pytest

from twofold.cli import main

STORY = "".join(f"{who} went to the {place}.\n" for who in ("Anna", "Ben", "Cara") for place in ("wood", "lake") * 12)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "story.txt").write_text(STORY)
    arguments = ["--steps", "10", "--depth", "1", "--context", "16", "--n-threads", "1"]
    with pytest.raises(SystemExit) as end:
        main(["fit", "language", str(folder / "story.txt"), "--out", str(folder / "run"), *arguments])
    assert end.value.code == 0
    return folder


def told(capsys, *arguments, code=0):
    """The JSON that a command ends with."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--json"])
    assert end.value.code == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_writing_goes_on_from_the_prompt(run, capsys):
    text = told(capsys, "write", run / "run", "Anna", "--tokens", 30, "--seed", 3)["text"]
    assert text.startswith("Anna") and len(text) > 25


def test_scoring_stands_beside_general_compressors(run, capsys):
    result = told(capsys, "score", run / "run", run / "story.txt")
    assert set(result["measures"]["bits per byte"]["baselines"]) == {"gzip", "bz2", "xz"}
    assert result["surprises"][0]["bits_per_byte"] >= result["surprises"][-1]["bits_per_byte"]


@pytest.mark.parametrize("with_model", [True, False])
def test_a_compressed_file_comes_back_byte_by_byte(run, capsys, with_model):
    packed, back = run / "story.tfz", run / "back.txt"
    told(capsys, "compress", run / "run" if with_model else "-", run / "story.txt", "-o", packed)
    told(capsys, "decompress", packed, "-o", back)
    assert back.read_bytes() == (run / "story.txt").read_bytes()


def test_a_spoilt_file_and_a_run_of_another_kind_are_refused(run, capsys):
    (run / "bad.tfz").write_bytes(b"TFZ1 nonsense")
    assert "error" in told(capsys, "decompress", run / "bad.tfz", "-o", run / "x", code=2)
    assert "error" in told(capsys, "write", run, "Anna", code=2)
    assert not (run / "x").exists()


def test_checking_and_evaluating_a_text(run, capsys):
    assert told(capsys, "check", run / "story.txt")["characters"] == len(STORY)
    assert "bits per byte" in told(capsys, "evaluate", run / "run", run / "story.txt")["measures"]


def test_labels_are_not_for_texts(run, capsys):
    error = told(capsys, "fit", "language", run / "story.txt", "--out", run / "no", "--label", "x", code=2)["error"]
    assert "--label" in error and "text" in error


def test_figures_on_the_training_text_are_said_to_flatter(run, capsys):
    with pytest.raises(SystemExit):
        main(["score", str(run / "run"), str(run / "story.txt")])
    assert "learnt from" in capsys.readouterr().out
    (run / "other.txt").write_text("Dora went to the town.\n")
    with pytest.raises(SystemExit):
        main(["score", str(run / "run"), str(run / "other.txt")])
    assert "learnt from" not in capsys.readouterr().out
