"""The autoencoder on pictures."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from twofold.core.pictures import PictureRows
from twofold.errors import SettingError
from twofold.methods.autoencoder import Autoencoder
from twofold.nn.convolutional import PictureDecoder, PictureEncoder, PixelCells

DIGITS = (load_digits().images * 15.9).astype(np.uint8)[..., None]
ORDER = np.random.default_rng(0).permutation(len(DIGITS))
TRAIN, TEST = DIGITS[ORDER[:1437]], DIGITS[ORDER[1437:]]


def pca_error(k: int) -> float:
    """On the held-out digits, in -1..1."""
    train, test = (part.reshape(len(part), -1) / 127.5 - 1 for part in (TRAIN, TEST))
    axes = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:k]
    centred = test - train.mean(0)
    return float(np.square(centred - centred @ axes.T @ axes).mean())


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    return Autoencoder(n_steps=300, latent_dim=16, device="cpu", n_threads=1).fit(TRAIN)


def test_few_numbers_rebuild_unseen_pictures_better_than_pca(autoencoder):
    for k, most in ((2, 0.95), (8, 0.85), (16, 0.95)):
        error = np.square((autoencoder.reconstruct(TEST, k).astype(float) - TEST) / 127.5).mean()
        assert error < most * pca_error(k), k
    assert autoencoder.error_ratio_.max() <= 1.0


def test_the_latent_there_and_back_is_the_rebuilt_picture(autoencoder):
    latent = autoencoder.transform(TEST)
    assert latent.shape == (360, 16)
    assert np.array_equal(autoencoder.inverse_transform(latent), autoencoder.reconstruct(TEST))
    assert np.array_equal(autoencoder.inverse_transform(latent[:, :3]), autoencoder.reconstruct(TEST, 3))


def test_measures_stand_beside_pca(autoencoder):
    measures = {measure.name: measure for measure in autoencoder.evaluate(TEST)}
    at_8 = measures["error at k = 8"]
    assert at_8.value < dict(at_8.baselines)["PCA"] == pytest.approx(pca_error(8), rel=0.05)


@pytest.mark.parametrize("size", [8, 24, 40, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_size_go_in_and_come_out(size, channels):
    pictures = np.random.default_rng(0).integers(0, 256, (12, size, size + 3, channels), np.uint8)
    model = Autoencoder(n_steps=1, latent_dim=4, dim=64, image_size=size, device="cpu", n_threads=1).fit(pictures)
    assert model.reconstruct(pictures[:2]).shape == (2, size, size, channels)


def test_the_networks_answer_0_at_the_start():
    cells = PixelCells(24, 3)
    assert PictureEncoder(24, 3, 5, 4)(torch.randn(2, cells.n_inputs)).eq(0).all()
    assert PictureDecoder(10, 24, 3, 4)(torch.randn(2, 10)).eq(0).all()
    assert PictureDecoder(10, 24, 3, 4)(torch.randn(2, 10)).shape == (2, cells.n_outputs)


def test_a_size_is_chosen_from_the_pictures_and_a_wrong_one_refused():
    assert PictureRows.learn(Autoencoder(), np.zeros((3, 30, 90, 1), np.uint8))[0].size == 24
    assert PictureRows.learn(Autoencoder(), np.zeros((3, 300, 200, 3), np.uint8))[0].size == 64
    with pytest.raises(SettingError, match="image_size is 30.*Give 24"):
        Autoencoder(image_size=30).fit(TEST)
