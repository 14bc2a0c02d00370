import json

import numpy as np
import pytest
import torch
from PIL import Image

from twofold import MaskedAutoencoder, TransferClassifier
from twofold.cli import main
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import SettingError
from twofold.methods.masked import MaskedLearner, MaskedNetwork, spread_and_alike
from twofold.nn.backbones import open_backbone
from twofold.nn.pixels import from_pixels
from twofold.nn.sparse_vit import SparseViT, as_patches
from twofold.nn.view_encoder import ViewEncoder

QUICK = {"n_steps": 30, "dim": 32, "depth": 1, "n_words": 32, "batch_size": 32, "device": "cpu", "n_threads": 1}


@pytest.fixture(scope="module")
def letters() -> Pictures:
    """Some 500 pictures of letters."""
    glyphs = open_pictures("sample:glyphs")
    return glyphs.take(np.random.default_rng(0).permutation(len(glyphs))[:500])


@pytest.fixture(scope="module")
def fitted(letters) -> MaskedAutoencoder:
    torch.set_num_threads(1)
    return MaskedAutoencoder(**QUICK).fit(letters)


def learner(hidden: float = 0.75, invariance: float = 1.0) -> MaskedLearner:
    torch.manual_seed(0)
    network = MaskedNetwork(ViewEncoder(SparseViT(16, 1, 4, dim=32, depth=1), None, 32))
    made = MaskedLearner(network, hidden, invariance, is_mirrored=True, is_half=False)
    made.generator.manual_seed(0)
    return made


def test_the_terms_of_the_second_loss_are_those_of_the_paper():
    one, other = torch.randn(9, 4), 0.1 * torch.randn(9, 4) + 1
    found = spread_and_alike(one, other)
    assert found["alike"].item() == pytest.approx((one - other).square().mean().item(), rel=1e-5)
    spread = told_twice = 0.0
    for z in (one.double().numpy(), other.double().numpy()):
        covariance = np.cov(z.T)
        for i in range(4):
            spread += max(0.0, 1 - np.sqrt(covariance[i, i] + 1e-4)) / 4 / 2
            told_twice += sum(covariance[i, j] ** 2 for j in range(4) if i != j) / 4 / 25
    assert found["spread"].item() == pytest.approx(spread, rel=1e-4)
    assert found["told_twice"].item() == pytest.approx(told_twice, rel=1e-4)


def test_the_second_loss_is_smallest_for_spread_unrelated_numbers_that_agree():
    good = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 8)))[0] * 8
    good = torch.from_numpy(good - good.mean(0)).float()
    of_good, of_collapsed = (sum(spread_and_alike(x, x).values()) for x in (good, torch.ones(64, 8)))
    assert of_good < 0.05 and of_collapsed > 0.9


def test_painting_errors_are_counted_where_it_was_hidden_and_by_the_contrast_of_the_patch():
    made, picture = learner(), torch.rand(2, 1, 16, 16) * 2 - 1
    place = torch.tensor([[0, 3, 5, 6], [1, 2, 8, 15]])
    target, painted = as_patches(picture, 4), torch.rand(2, 16, 16)
    total = weights = 0.0
    for b in range(2):
        for t in range(16):
            weight = 0.1 if t in place[b].tolist() else 1.0
            contrast = target[b, t].var(correction=0) + 0.05
            total += weight * float((painted[b, t] - target[b, t]).square().mean() / contrast)
            weights += weight
    assert made.painting_error(painted, picture, place).item() == pytest.approx(total / weights, rel=1e-5)


def test_three_of_four_patches_are_not_computed():
    made, seen = learner(), []
    made.network.encoder.vit.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    made.loss(torch.zeros(3, 16, 16, 1, dtype=torch.uint8))
    assert seen == [4, 4] and set(learner(invariance=0).loss(torch.zeros(3, 16, 16, 1, dtype=torch.uint8))) == {
        "pixels"
    }


def waves(n: int, seed: int, side: int = 8, noise: float = 30.0, turn: float = 6.28) -> tuple[np.ndarray, np.ndarray]:
    """Pictures in noise with a window of waves somewhere, upright or lying, at any turn up to that; and which."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    kind, pictures = rng.integers(0, 2, n), 128 + rng.normal(0, noise, (n, 16, 16))
    for picture, upright in zip(pictures, kind, strict=True):
        top, left = rng.integers(0, 17 - side, 2)
        picture[top : top + side, left : left + side] += 80 * np.sin(
            6.28 * (x if upright else y) / 4 + rng.uniform(0, turn)
        )
    return np.clip(pictures, 0, 255).astype(np.uint8)[..., None], kind


def test_the_nearest_others_agree_more_often_than_by_an_untrained_network():
    model = MaskedAutoencoder(**QUICK).fit(waves(300, seed=0)[0])
    agree, found, painted = model.evaluate(*waves(200, seed=1))
    # measured: .99 beside .87
    assert agree.name == "nearest others agree" and agree.value > 0.95
    assert (
        agree.value > dict(agree.baselines)["untrained network"] + 0.05
        and agree.interval[0] <= agree.value <= agree.interval[1]
    )
    assert found.name == "views found again, of 200" and painted.name == "PSNR of painted pixels"


def test_a_picture_is_known_again_in_a_changed_view(fitted):
    found = [value for name, value in fitted.measures_.items() if name.startswith("views found again")]
    assert len(found) == 3 and found[0] > max(found[1:]) + 0.1
    assert (np.diff(fitted.survives_) <= 1e-5).all() and fitted.survives_[0] > 0.8


def test_it_learns_to_paint_better_than_a_smooth_filling():
    model = MaskedAutoencoder(**QUICK | {"n_steps": 150, "invariance": 0}).fit(
        waves(300, 0, side=16, noise=5, turn=0)[0]
    )
    *_, painted = model.evaluate(waves(100, 1, side=16, noise=5, turn=0)[0])
    assert painted.value > dict(painted.baselines)["smooth filling"] + 1  # measured: 1.7


def test_pixels_only_leaves_the_second_objective_out(letters):
    plain = MaskedAutoencoder(**QUICK | {"invariance": 0, "n_steps": 5}).fit(letters)
    assert plain.network_.encoder.code is None and plain.transform(letters).shape == (500, 32)


def test_pictures_that_are_all_alike_raise_the_alarm():
    same = np.full((60, 16, 16, 1), 90, np.uint8)
    notes = [progress.note for progress in MaskedAutoencoder(**QUICK).train(same)]
    assert any("collapsed" in note for note in notes)


def test_few_and_small_pictures_of_any_shape_are_learnt_from():
    rng = np.random.default_rng(0)
    for shape in ((1, 9, 9, 1), (2, 8, 30, 3), (41, 33, 20, 3), (3, 200, 180, 1)):
        pictures = rng.integers(0, 256, shape, dtype=np.uint8)
        model = MaskedAutoencoder(**QUICK | {"n_steps": 2}).fit(pictures)
        assert np.isfinite(model.transform(pictures)).all()
        assert model.inpaint(pictures[0], ratio=0.3).shape == shape[1:]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"hidden": 1.0}, "below 1"), ({"invariance": -1}, "at least 0"), ({"invariance": float("nan")}, "at least 0"),
        ({"dim": 4}, "dim is 4"), ({"image_size": 1000}, "at most 512"), ({"image_size": 50}, "multiple of 4"),
        ({"precision": "half"}, "float32"), ({"depth": 0}, "depth is 0"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings, match, letters):
    with pytest.raises(SettingError, match=match):
        MaskedAutoencoder(**QUICK | settings).fit(letters)


def test_the_encoder_of_a_run_is_handed_over_as_a_backbone(fitted, letters, tmp_path):
    folder = fitted.save(tmp_path / "body")
    backbone = open_backbone(folder)
    pixels = torch.from_numpy(letters.take(np.arange(20)).resized(backbone.image_size, channels=backbone.channels))
    with torch.inference_mode():
        given = backbone(from_pixels(pixels))
    if not fitted.mirror_:
        assert np.allclose(given, fitted.transform(letters.take(np.arange(20))), atol=1e-5)
    labels = np.where(np.arange(500) % 2, "odd", "even")
    pair = Pictures.of([letters[i] for i in range(40)], labels=labels[:40])
    classifier = TransferClassifier(backbone=str(folder), mode="frozen", n_threads=1).fit(pair)
    assert classifier.predict(pair).shape == (40,)


def test_the_command_paints_by_a_mask_and_by_a_ratio_and_says_what_is_wrong(fitted, tmp_path, capsys):
    fitted.save(tmp_path / "run")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (40, 30), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    mask = np.zeros((40, 30), np.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def run(*arguments: str) -> tuple[int, dict]:
        with pytest.raises(SystemExit) as end:
            main(["inpaint", str(tmp_path / "run"), *arguments, "--json"])
        return end.value.code or 0, json.loads(capsys.readouterr().out.splitlines()[-1])

    picture, out = str(tmp_path / "a.png"), tmp_path / "out.png"
    assert run(picture, "-o", str(out), "--mask", str(tmp_path / "mask.png"))[0] == 0
    before, after = np.asarray(Image.open(picture)), np.asarray(Image.open(out).convert("L"))
    assert (before == after)[mask == 0].all() and (before != after)[mask > 0].any()
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").rename(tmp_path / "in" / f"{name}.png")
    code, told = run(str(tmp_path / "in"), "-o", str(tmp_path / "painted"), "--ratio", "0.5")
    assert code == 0 and told["pictures"] == 2 and len(list((tmp_path / "painted").glob("*.png"))) == 2
    code, told = run(str(tmp_path / "in"), "-o", str(tmp_path / "painted"))
    assert code == 2 and "--mask" in told["error"]
