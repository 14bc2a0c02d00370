"""Runs as ONNX files: other programs get the same answers."""

import json

import numpy as np
import pytest

from twofold.cli import main
from twofold.runs import load

onnxruntime = pytest.importorskip("onnxruntime")

FITS = {
    "masked": ["sample:glyphs", "--steps=2", "--dim=32", "--depth=1", "--image-size=16", "--n-words=16"],
    "gan": ["sample:glyphs", "--steps=4", "--size=8"],
    "gan_told": ["sample:glyphs", "--steps=2", "--size=32", "--dim=4"],
    "gan_latent": ["sample:photos", "--steps=2", "--size=128", "--dim=4"],
    "denoiser": ["sample:photos", "--steps=2", "--dim=16"],
    "language": ["sample:topics", "--steps=3", "--depth=1"],
}


def told(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1]), end.value.code


@pytest.mark.parametrize("method", FITS)
def test_the_file_answers_as_the_run_does_for_any_number_of_items(method, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "model.onnx"
    assert told(capsys, "fit", method.partition("_")[0], *FITS[method], "--out", run)[1] == 0
    written, code = told(capsys, "export", run, "-o", out)
    # measured 2e-7 to 6e-7; in halves of floats it would be 1e-2
    assert code == 0 and out.is_file() and written["difference"] < 1e-5
    assert not list(tmp_path.glob(".*.part"))
    session = onnxruntime.InferenceSession(str(out))
    if method.startswith("gan"):
        gan = load(run)
        noise_NZ, class_N = gan._noise(3, seed=1).numpy(), gan._wanted(3, None, 1).numpy()
        made = session.run(None, {"noise": noise_NZ, "class": class_N})[0]
        assert np.abs(made.astype(int) - gan.sample(3, seed=1).astype(int)).max() <= 1


def test_what_is_no_network_of_one_kind_is_refused_by_name(tmp_path, capsys):
    run = tmp_path / "run"
    told(capsys, "fit", "detector", "sample:wine", "--label=cultivar", "--steps=2", "--out", run)
    answer, code = told(capsys, "export", run, "-o", tmp_path / "model.onnx")
    assert code == 2 and "detector" in answer["error"]
    answer, code = told(capsys, "export", run, "-o", tmp_path / "model.pt")
    assert code == 2 and ".onnx" in answer["error"]
