"""Towers that were taught elsewhere: as they are, with heads, and with their last layers tuned."""

import numpy as np
import pytest
import torch

from twofold import CLIP
from twofold.data.pairs import open_pairs
from twofold.errors import SettingError
from twofold.nn.backbones import open_backbone

RESNET, OPENCLIP = "untrained:test_resnet", "openclip:ViT-S-32-alt/untrained"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def signs():
    pairs = open_pairs("sample:glyphs")
    return pairs.take(np.sort(np.random.default_rng(0).permutation(len(pairs))[:60]))


@pytest.fixture(scope="module")
def as_it_is():
    return CLIP.from_openclip(OPENCLIP)


def quick(**settings):
    return CLIP(n_steps=10, n_threads=1, batch_size=16, describes=False, **settings)


def test_the_last_layers_are_tuned_and_no_others_nor_the_statistics_of_batches(signs, tmp_path):
    model = quick(image_tower=RESNET, image_size=32, unlock=1).fit(signs)
    before, after = open_backbone(RESNET, image_size=32).body, model.towers_.tower.bodies.bodies[0]
    # all of the training is kept, or nothing would have changed
    assert model.share_ > 0
    moved = {
        name for name, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[name].cpu())
    }
    own = {id(weight) for weight in before.layers[-1].parameters()}
    assert moved and moved <= {name for name, weight in before.named_parameters() if id(weight) in own}
    model.save(tmp_path / "run")
    again = CLIP.load(tmp_path / "run")
    assert np.array_equal(model.transform(signs), again.transform(signs)) and model.identity == again.identity


def test_the_steps_of_all_stages_are_counted_on(signs):
    model = CLIP(n_steps=20, n_threads=1, batch_size=16, image_tower=RESNET, image_size=32, unlock=1, describes=True)
    steps = [progress.step for progress in model.train(signs)]
    assert steps == list(range(1, len(steps) + 1)) and model.n_iter_ == len(steps) <= 20


def test_the_plain_tower_has_nothing_to_unlock(signs):
    with pytest.raises(SettingError, match="no layers to tune"):
        quick(unlock=1).fit(signs)


def test_a_model_of_open_clip_answers_as_open_clip_does(as_it_is, signs):
    import open_clip

    with torch.random.fork_rng(), torch.inference_mode():
        torch.default_generator.manual_seed(0)
        theirs = open_clip.create_model("ViT-S-32-alt", load_weights=False).eval()
        token_ML = open_clip.get_tokenizer("ViT-S-32-alt")(["a cat", "two dogs"])
        expected_ME = theirs.encode_text(token_ML, normalize=True).numpy()
        pixel_1SSC = signs.pictures.take([0]).resized(224, channels=3)
        told = theirs.visual.preprocess_cfg
        mean, std = (torch.tensor(told[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        picture_1CSS = (torch.tensor(pixel_1SSC).permute(0, 3, 1, 2) / 255 - mean) / std
        expected_1E = theirs.encode_image(picture_1CSS, normalize=True).numpy()
    assert np.allclose(as_it_is.transform_text(["a cat", "two dogs"]), expected_ME, atol=1e-5)
    assert np.allclose(as_it_is.transform(signs.pictures.take([0])), expected_1E, atol=1e-5)
    assert as_it_is.unknown_words("zyx") == []


def test_a_model_of_open_clip_is_tuned_on_own_pairs_and_what_it_knew_can_be_kept(signs, as_it_is, tmp_path):
    model = quick(image_tower=OPENCLIP).fit(signs)
    assert model.trained_ <= model.start_ and 0 <= model.share_ <= 1
    told = as_it_is.evaluate(signs)[0].value
    assert model.evaluate(signs)[0].value >= told
    model.save(tmp_path / "run")
    again = CLIP.load(tmp_path / "run")
    assert np.array_equal(model.transform(signs), again.transform(signs))
    assert np.array_equal(model.transform_text(["a cat"]), again.transform_text(["a cat"]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("openclip:ViT-Q/x", "no model 'ViT-Q'"), ("openclip:ViT-B-32", "names no weights"),
        ("openclip:ViT-B-32/nothing.pt", "names no weights"),
    ],
)  # fmt: skip
def test_models_that_open_clip_lacks_are_refused(source, message):
    with pytest.raises(SettingError, match=message):
        CLIP.from_openclip(source)
