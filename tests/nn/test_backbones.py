"""One door for bodies: from timm, from files, from the hub's cache, from runs of ours; and handed on again."""

import json

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import SettingError
from twofold.methods.autoencoder import Autoencoder
from twofold.methods.transfer import TransferClassifier
from twofold.nn.backbones import ARCHITECTURES, open_backbone, rebuild

RNG = np.random.default_rng(0)
PICTURES = Pictures.of(RNG.integers(0, 256, (12, 32, 32, 3), np.uint8), labels=["a", "b", "c"] * 4)
PICTURE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", pretrained=False, num_classes=7)
    path = tmp_path_factory.mktemp("weights") / "test_efficientnet.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return path


# ---- timm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "mobilenetv1_025"])
def test_a_network_tells_its_features_blocks_and_layers(name):
    backbone = open_backbone(f"untrained:{name}")
    S = backbone.image_size
    with torch.inference_mode():
        feature_BD = backbone(torch.zeros(1, 3, S, S))
        grey_BD = backbone(torch.zeros(1, 1, S, S))
    assert feature_BD.shape == (1, backbone.n_features) and torch.equal(feature_BD, grey_BD)
    assert sum(backbone.blocks) == backbone.n_features
    in_layers = {id(p) for layer in backbone.layers for p in layer.parameters()}
    loose = [n for n, p in backbone.body.network.named_parameters() if id(p) not in in_layers]
    assert len(backbone.layers) >= 5 and all("." not in name for name in loose)  # a transformer's places


def test_the_last_features_are_those_that_timms_own_head_sees():
    backbone = open_backbone("untrained:test_resnet", image_size=64)
    network, told = backbone.body.network, timm.get_pretrained_cfg("test_resnet")
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (told.mean, told.std))
    with torch.inference_mode():
        expected = network(((PICTURE + 1) / 2 - mean) / std)
        assert torch.allclose(backbone(PICTURE)[:, -network.head_hidden_size :], expected, atol=1e-5)


def test_untrained_weights_come_from_the_seed_and_leave_global_state_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second, other = (open_backbone("untrained:test_resnet", image_size=64, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.inference_mode():
        assert torch.equal(first(PICTURE), second(PICTURE)) and not torch.equal(first(PICTURE), other(PICTURE))


def test_a_file_is_recognised_by_its_name_and_what_its_old_head_says_comes_first(weights_file):
    backbone = open_backbone(weights_file, image_size=64)
    assert backbone.about["arguments"]["name"] == "test_efficientnet" and backbone.n_words == 7
    bare = backbone.bare()
    with torch.inference_mode():
        feature_BD = backbone(PICTURE)
        assert torch.allclose(feature_BD[:, :7].exp().sum(1), torch.ones(2), atol=1e-3)
        assert torch.equal(bare(PICTURE), feature_BD[:, 7:])
    assert bare.n_features == backbone.n_features - 7 == sum(bare.blocks) and backbone.n_words == 7


def test_a_body_is_rebuilt_from_what_is_told_of_it(weights_file):
    backbone = open_backbone(weights_file, image_size=64)
    told = json.loads(json.dumps(backbone.about)) | {"prefix": "there."}
    again = rebuild(told, {f"there.{n}": v.clone() for n, v in backbone.body.state_dict().items()})
    with torch.inference_mode():
        assert torch.equal(again(PICTURE), backbone(PICTURE))
    assert again.about == backbone.about


@pytest.mark.parametrize(
    ("source", "match"),
    [("resnet19", "Did you mean resnet18"), ("untrained:abacus", "timm does not know"),
     ("nowhere.safetensors", "cannot be read"), ("untrained:test_vit", "takes 160 only")],
)  # fmt: skip
def test_what_cannot_be_opened_is_told_with_a_remedy(source, match):
    with pytest.raises(SettingError, match=match):
        open_backbone(source, image_size=64)


def test_a_size_too_small_is_refused():
    with pytest.raises(SettingError, match="at least 32"):
        open_backbone("untrained:test_resnet", image_size=16)


# ---- the hub -------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_what_the_hub_gave_once_is_found_without_it(offline, weights_file):
    for name, asked in (("timm/test_efficientnet.r160_in1k", "test_efficientnet"), ("me/mine", "hf-hub:me/mine")):
        snapshot = offline / f"models--{name.replace('/', '--')}" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text(json.dumps({"architecture": "test_efficientnet", "pretrained_cfg": {
            "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 96, 96]}}))  # fmt: skip
        (snapshot / "model.safetensors").write_bytes(weights_file.read_bytes())
        (snapshot.parent.parent / "refs").mkdir()
        (snapshot.parent.parent / "refs" / "main").write_text("abc")
        backbone = open_backbone(asked)
        assert backbone.image_size == 96 and backbone.about["arguments"]["mean"] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small", "hf-hub:nobody/nothing"])
def test_without_a_network_the_remedy_is_told(offline, name):
    with pytest.raises(SettingError, match="could not be fetched from the hub .*safetensors file"):
        open_backbone(name)


# ---- runs of ours --------------------------------------------------------------------------------


def test_an_autoencoder_of_pictures_hands_its_encoder_over(tmp_path):
    model = Autoencoder(dim=64, latent_dim=6, image_size=32, n_steps=20, n_threads=1, device="cpu").fit(PICTURES)
    backbone = open_backbone(model.save(tmp_path / "run"))
    pixel_NSSC = torch.from_numpy(np.stack(list(PICTURES)))
    with torch.inference_mode():
        feature_ND = backbone(pixel_NSSC.movedim(3, 1) / 127.5 - 1)
    # the last are its latent numbers
    Z = model.transform(PICTURES).shape[1]
    assert np.allclose(feature_ND[:, -Z:], model.transform(PICTURES), atol=1e-4)
    assert feature_ND.shape[1] == backbone.n_features == sum(backbone.blocks)
    assert (backbone.image_size, backbone.channels) == (32, 3) and len(backbone.layers) == 4
    with pytest.raises(SettingError, match="takes 32 only"):
        open_backbone(tmp_path / "run", image_size=64)


def test_a_transfer_run_hands_its_network_over_tuned_where_it_was_tuned(tmp_path):
    for mode in ("frozen", "finetune"):
        model = TransferClassifier(
            "untrained:mobilenetv1_025", mode, image_size=32, n_steps=20, n_folds=2, n_threads=1, device="cpu"
        ).fit(PICTURES)
        body = model.backbone_.body if mode == "frozen" else model.tuned_.body
        backbone = open_backbone(model.save(tmp_path / mode))
        with torch.inference_mode():
            assert torch.allclose(backbone(PICTURE), body(PICTURE), atol=1e-5)
        again = TransferClassifier(str(tmp_path / mode), "frozen", n_threads=1, device="cpu").fit(PICTURES)
        assert again.backbone_.image_size == 32


def test_a_run_without_an_encoder_of_pictures_and_a_folder_that_is_no_run_are_refused(tmp_path):
    table = (
        Autoencoder(dim=16, n_steps=20, n_threads=1, device="cpu")
        .fit(RNG.normal(size=(60, 4)))
        .save(tmp_path / "table")
    )
    with pytest.raises(SettingError, match="'autoencoder' run without an encoder of pictures"):
        open_backbone(table)
    with pytest.raises(SettingError, match="no run folder"):
        open_backbone(tmp_path)
    with pytest.raises(SettingError, match="architecture 'abacus'"):
        rebuild({"architecture": "abacus"}, {})
    assert all(":" in home for home in ARCHITECTURES.values())


# ---- real weights --------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "n_features", "least"), [("mobilenetv2_100", 3256, 0.8), ("mobilenetv1_025", 2248, 0.4)]
)
def test_both_borrowed_files_load_and_know_an_ant_from_a_bee(shared, name, n_features, least):
    """Among the five likeliest of a thousand classes; measured .95 and .60 on 20 pictures."""
    folder = shared / "data/images/weights"
    backbone = open_backbone(folder / f"{name}_imagenet_fp16.safetensors")
    assert (backbone.image_size, backbone.n_features, backbone.n_words) == (224, n_features, 1000)
    tensors = load_file(folder / f"{name}_imagenet_fp16.safetensors")
    weight, bias = tensors["classifier.weight"].float(), tensors["classifier.bias"].float()
    few = open_pictures(shared / "data/images/hymenoptera-224.zip", split="val").take(slice(None, None, 8))
    picture = torch.from_numpy(np.array(few.resized(224, channels=3))).movedim(3, 1) / 127.5 - 1
    with torch.inference_mode():
        logit_NK = backbone(picture)[:, -weight.shape[1] :] @ weight.T + bias
    names = (folder / "imagenet_classes.txt").read_text().splitlines()
    place = {"ants": names.index("ant, emmet, pismire"), "bees": names.index("bee")}
    likely_N5 = logit_NK.topk(5, 1).indices.tolist()
    assert np.mean([place[label] in row for label, row in zip(few.labels, likely_N5, strict=True)]) > least
