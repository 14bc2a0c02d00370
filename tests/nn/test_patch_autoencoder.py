import pytest
import torch
from torch.nn import functional

from twofold.core.picture_latents import learn_patch_autoencoder
from twofold.data.pictures import open_pictures
from twofold.nn.patch_autoencoder import PatchAutoencoder
from twofold.nn.pixels import from_pixels

GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def photographs():
    """Windows of real photographs in -1..1, (700, 3, 32, 32)."""
    return from_pixels(torch.from_numpy(open_pictures("sample:photos").patches(32, 700, seed=0)))


@pytest.mark.parametrize("channels", [1, 3])
def test_before_any_training_it_is_the_pca_of_what_patches_are_besides_their_mean_colour(channels):
    picture_BCSS = functional.avg_pool2d(torch.rand(20, channels, 34, 34, generator=GENERATOR), 3, 1) - 0.5
    autoencoder = PatchAutoencoder(channels)
    autoencoder.begin(picture_BCSS)
    autoencoder.reach_L.mul_(10)  # nothing is cut off
    latent = autoencoder.encode(picture_BCSS)
    mean_BCss = functional.avg_pool2d(picture_BCSS, 4)
    for c in range(channels):
        ratio = (mean_BCss[:, c] - mean_BCss[:, c].mean()) / (latent[:, c] - latent[:, c].mean())
        assert float(ratio.std() / ratio.mean()) == pytest.approx(0, abs=1e-3)
    # slowly: of each patch the mean, and the largest directions of the rest, with all of one variance left out
    patch_NF = picture_BCSS.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(1).double()
    rest_NCP = (patch_NF - patch_NF.mean(0)).unflatten(1, (channels, 16))
    rest_NF = (rest_NCP - rest_NCP.mean(2, keepdim=True)).flatten(1)
    lost = torch.linalg.svdvals(rest_NF)[autoencoder.n_latents - channels :].square().sum() / patch_NF.numel()
    with torch.no_grad():
        error = (autoencoder.decode(latent) - picture_BCSS).square().mean()
    assert float(error) == pytest.approx(float(lost), rel=1e-3)


def test_the_decoder_learns_what_principal_components_leave_out(photographs):
    pixel_NSSC = ((photographs + 1) * 127.5).round().byte().movedim(1, -1).numpy()
    begun, learned = (learn_patch_autoencoder(pixel_NSSC[:600], n_steps=n, n_threads=1) for n in (1, 100))
    unseen = photographs[600:]
    with torch.inference_mode():
        error = [float((one.decode(one.encode(unseen)) - unseen).square().mean()) for one in (begun, learned)]
    # measured .915
    assert error[1] < 0.95 * error[0]
    # it is part of a forger, but not of the game
    assert not list(learned.parameters())


def test_of_few_and_of_blank_pictures_latents_are_finite():
    for picture_BCSS in (torch.ones(1, 3, 16, 16), torch.rand(1, 1, 16, 16, generator=GENERATOR)):
        autoencoder = PatchAutoencoder(picture_BCSS.shape[1])
        autoencoder.begin(picture_BCSS)
        latent = autoencoder.encode(picture_BCSS)
        assert latent.abs().max() <= 1 and torch.isfinite(autoencoder.decode(latent)).all()
        assert float((autoencoder.decode(latent) - picture_BCSS).detach().abs().mean()) < 0.3
