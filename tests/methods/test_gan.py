"""The game of forger and detective, on pictures; rows, texts and sounds have tests of their own."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from twofold import GAN, TransferClassifier, load
from twofold.data.pictures import Pictures, open_pictures
from twofold.errors import DataError, SettingError
from twofold.methods.gan.alarms import Sight, alarm
from twofold.methods.gan.game import EVEN, REACH, Game, Rivals, slopes
from twofold.methods.gan.pictures import PictureForm
from twofold.nn.backbones import open_backbone
from twofold.nn.dcgan import BatchNorm, PictureDiscriminator, PictureGenerator, settle
from twofold.nn.pixels import to_pixels
from twofold.nn.sketch import Sketch

RNG = np.random.default_rng(0)
DIGITS = open_pictures("tests/digits.parquet")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def discs(n: int, rng: np.random.Generator) -> np.ndarray:
    """Grey pictures 16 x 16 of one bright disc somewhere."""
    place_N2, radius_N = rng.uniform(5, 11, (n, 2)), rng.uniform(2, 4, n)
    y, x = np.mgrid[:16, :16] + 0.5
    far_NSS = np.hypot(y - place_N2[:, :1, None], x - place_N2[:, 1:, None])
    return (255 / (1 + np.exp(3 * (far_NSS - radius_N[:, None, None]))))[..., None].astype(np.uint8)


@pytest.fixture(scope="module")
def forger() -> GAN:
    """One that has played long enough to make discs."""
    return GAN(n_steps=300, n_threads=1, dim=16).fit(discs(400, np.random.default_rng(1)))


class Line(nn.Module):
    """A score that is a fixed sum of an item's numbers."""

    def __init__(self):
        super().__init__()
        self.weight_F = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))

    def forward(self, x_BF: torch.Tensor, class_B: torch.Tensor) -> torch.Tensor:
        return x_BF.square() @ self.weight_F


def test_the_losses_are_minus_the_log_of_what_each_player_is_asked_for():
    form, none = PictureForm(8, 1), torch.zeros(5, dtype=torch.int64)
    real, made = torch.randn(5, 3), torch.randn(5, 3)
    rivals = Rivals(nn.Identity(), judge := Line())
    paired = Game(rivals, form, loss="relativistic", gamma=1.0, is_half=False)
    classic = Game(rivals, form, loss="dcgan", gamma=1.0, is_half=False)
    with torch.no_grad():
        pairs = list(zip(judge(real, none).tolist(), judge(made, none).tolist(), strict=True))
        scores = judge(real, none), judge(made, none)

    def sure(score: float) -> float:
        return 1 / (1 + math.exp(-score))

    mean = lambda terms: sum(terms) / 5  # noqa: E731
    assert float(paired.discriminator_loss(*scores)) == pytest.approx(mean(-math.log(sure(r - m)) for r, m in pairs))
    assert float(paired.forge(real, made, none).detach()) == pytest.approx(
        mean(-math.log(sure(m - r)) for r, m in pairs)
    )
    assert float(classic.discriminator_loss(*scores)) == pytest.approx(
        mean(-math.log(sure(r)) - math.log(1 - sure(m)) for r, m in pairs)
    )
    assert float(classic.forge(real, made, none).detach()) == pytest.approx(mean(-math.log(sure(m)) for _, m in pairs))


def test_the_penalty_is_the_mean_square_of_the_slope_of_the_score():
    judge, x = Line(), torch.randn(4, 3, requires_grad=True)
    by_hand = (2 * x * judge.weight_F).square().sum(1).mean()
    assert float(slopes(judge(x, x), x).detach()) == pytest.approx(float(by_hand.detach()), rel=1e-5)


def test_the_penalty_grows_while_the_detective_is_too_good_and_shrinks_while_it_guesses():
    game = Game(Rivals(nn.Identity(), Line()), PictureForm(8, 1), loss="relativistic", gamma=1.0, is_half=False)
    for _ in range(300):
        game.steer(torch.tensor(0.01))
    assert float(game.gamma) > 2
    for _ in range(1500):
        game.steer(torch.tensor(EVEN))
    assert float(game.gamma) < 1


def test_every_second_picture_is_told_the_coarse_look_of_the_real_one_beside_it():
    pixel_NSSC, class_N = RNG.integers(0, 255, (40, 32, 32, 1), np.uint8), np.zeros(40, np.int64)
    sizes, form = {"n_classes": 1, "dim": 4, "is_normed": True}, PictureForm(32, 1, n_known=40)
    sketch = Sketch(32, 1, n_known=40)
    rivals = Rivals(PictureGenerator(32, 1, n_noise=4, sketch=sketch, **sizes), PictureDiscriminator(32, 1, **sizes))
    form.begin(rivals.generator, pixel_NSSC, class_N)
    game = Game(rivals, form, loss="nonsaturating", gamma=1.0, is_half=False)
    real, noise_BZ = form.real(torch.from_numpy(pixel_NSSC[:6])), torch.randn(6, rivals.generator.n_noise)
    code_BP = game.told(sketch, real, noise_BZ, torch.zeros(6, dtype=torch.int64))
    drawn_BP = sketch.draw(noise_BZ[:, : sketch.n_noise], torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(code_BP[1::2], drawn_BP[1::2])
    torch.testing.assert_close(code_BP[::2], sketch.code(sketch.look(real[::2])))
    made = torch.randn(6, 1, 32, 32)
    slow = [
        float((made - real)[2 * i, 0, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean()) ** 2
        for i in range(3) for r in range(16) for c in range(16)
    ]  # fmt: skip
    assert float(game.reach(sketch, made, real)) == pytest.approx(REACH * sum(slow) / len(slow), rel=1e-5)
    # what no code is given for is told what is drawn
    torch.testing.assert_close(
        rivals.generator(noise_BZ, torch.zeros(6, dtype=torch.int64)),
        rivals.generator(noise_BZ, torch.zeros(6, dtype=torch.int64), drawn_BP),
    )


def test_a_forger_told_coarse_looks_comes_near_them():
    pixel_NSSC = discs(300, np.random.default_rng(0))
    gan = GAN(loss="nonsaturating", n_steps=150, dim=16, ema=0.9, n_threads=1).fit(pixel_NSSC)
    generator, real = gan.network_.generator, gan.form_.real(torch.from_numpy(pixel_NSSC))
    sketch = generator.sketch
    told_NQ, none = sketch.look(real), torch.zeros(len(real), dtype=torch.int64)
    noise_NZ = torch.randn(len(real), generator.n_noise, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        made_NQ = sketch.look(generator(noise_NZ, none, sketch.code(told_NQ)))
    error, of_others = ((made_NQ - other_NQ).square().mean() for other_NQ in (told_NQ, told_NQ.roll(1, 0)))
    # measured .11; a forger that does not listen has 1
    assert error < 0.3 * of_others


def test_a_walk_between_two_forged_pictures_has_no_jump():
    gan = GAN(size=32, n_steps=5, dim=4, n_threads=1).fit(open_pictures("sample:glyphs", split="all").take(range(100)))
    walk_nSSC = gan.interpolate(1, 2, n=101).astype(int)
    steps = np.abs(np.diff(walk_nSSC, axis=0)).mean((1, 2, 3))
    assert steps.max() < 0.1 * np.abs(walk_nSSC[-1] - walk_nSSC[0]).mean() + 1
    assert np.array_equal(walk_nSSC[[0, -1]], np.concatenate([gan.sample(1, seed=1), gan.sample(1, seed=2)]))


@pytest.fixture(scope="module")
def large() -> GAN:
    """One of pictures of 128 pixels, that has hardly played."""
    pictures = open_pictures("sample:photos").patches(128, 60, seed=0)
    return GAN(size=128, n_steps=4, dim=4, batch_size=8, n_threads=1).fit(pictures)


def test_pictures_of_128_pixels_are_forged_in_the_latent_of_an_autoencoder(large, tmp_path):
    made = large.sample(3, seed=1)
    assert made.shape == (3, 128, 128, 3) and made.dtype == np.uint8
    with torch.inference_mode():
        latent = large._made(torch.zeros(3, dtype=torch.int64), 1)
        assert latent.shape == (3, 6, 32, 32)
        by_hand = large.network_.generator.autoencoder.decode(latent)
    assert np.array_equal(made, to_pixels(by_hand).numpy())
    large.save(tmp_path)
    again = load(tmp_path)
    assert np.array_equal(again.sample(3, seed=1), made)
    assert np.allclose(again.discriminate(made), large.discriminate(made), atol=1e-5)
    assert large.describe_backbone() is None
    assert large.evaluate(open_pictures("sample:photos").patches(128, 20, seed=1))


def test_the_autoencoder_of_a_latent_is_no_part_of_the_game(large):
    moved = {name for name, _ in large.network_.named_parameters()}
    assert moved and not any("autoencoder" in name or "sketch" in name for name in moved)


def test_scores_are_held_near_what_the_other_side_scored_lately():
    sizes = {"n_classes": 1, "dim": 4, "is_normed": True}
    rivals = Rivals(PictureGenerator(32, 1, n_noise=4, **sizes), PictureDiscriminator(32, 1, **sizes))
    game = Game(rivals, PictureForm(32, 1), loss="nonsaturating", gamma=1.0, is_half=False)
    rng, real, made = np.random.default_rng(0), 0.0, 0.0
    for _ in range(5):
        real_B, made_B = rng.normal(3, 1, 8), rng.normal(-2, 1, 8)
        slow = np.mean([(x - made) ** 2 for x in real_B]) + np.mean([(x - real) ** 2 for x in made_B])
        found = game.strayed(torch.tensor(real_B), torch.tensor(made_B))
        assert float(found) == pytest.approx(slow, rel=1e-6)
        real, made = 0.99 * real + 0.01 * real_B.mean(), 0.99 * made + 0.01 * made_B.mean()


def test_discs_are_learned_to_be_forged(forger):
    made, real = forger.sample(200, seed=5), discs(200, np.random.default_rng(2))
    assert made.shape == (200, 16, 16, 1) and made.dtype == np.uint8
    bright = [(x > 127).sum((1, 2, 3)) for x in (made, real)]
    # an untrained forger's pictures are grey all over: no bright disc
    assert abs(np.median(bright[0]) - np.median(bright[1])) < 0.5 * np.median(bright[1])
    assert forger.measures_["coverage"] > 0.1 > GAN(n_steps=1, dim=16).fit(discs(400, RNG)).measures_["coverage"]


def test_the_detective_gives_probabilities_and_finds_noise_unreal(forger):
    real, noise = discs(100, np.random.default_rng(3)), RNG.integers(0, 256, (100, 16, 16, 1), np.uint8)
    real_N, noise_N = forger.discriminate(real), forger.discriminate(noise)
    assert ((real_N >= 0) & (real_N <= 1)).all()
    assert real_N.mean() > noise_N.mean() + 0.2


def test_a_walk_begins_and_ends_at_the_items_of_its_seeds_and_moves_in_small_steps(forger):
    walk = forger.interpolate(3, 4, n=24).astype(float)
    assert np.array_equal(walk[0], forger.sample(1, seed=3)[0]) and np.array_equal(
        walk[-1], forger.sample(1, seed=4)[0]
    )
    steps, whole = np.abs(np.diff(walk, axis=0)).mean((1, 2, 3)), np.abs(walk[-1] - walk[0]).mean()
    assert steps.max() < 0.6 * whole
    assert np.array_equal(*forger.interpolate(3, 3, n=2))


def test_a_class_that_is_asked_for_comes():
    rng = np.random.default_rng(0)
    light, dark = (rng.integers(low, low + 55, (150, 8, 8, 1), np.uint8) for low in (200, 0))
    pictures = Pictures.of(np.concatenate([light, dark]), labels=["light"] * 150 + ["dark"] * 150)
    gan = GAN(n_steps=150, n_threads=1, dim=8).fit(pictures)
    assert list(gan.classes_) == ["dark", "light"]
    assert gan.sample(50, label="light").mean() > 150 > 100 > gan.sample(50, label="dark").mean()
    assert 90 < gan.sample(400, seed=2).mean() < 165  # both, as often as in training
    # each is judged as what it is said to be; labels that come with the pictures need not be said again
    assert np.array_equal(gan.discriminate(pictures), gan.discriminate(pictures, pictures.labels))
    swapped = ["dark"] * 150 + ["light"] * 150
    assert not np.allclose(gan.discriminate(pictures), gan.discriminate(pictures, swapped), atol=0.05)
    with pytest.raises(DataError, match="300 items and 0 labels"):
        gan.discriminate(np.concatenate([light, dark]))
    with pytest.raises(SettingError, match="Allowed: dark, light"):
        gan.sample(2, label="green")


def test_labels_of_which_some_are_rare_are_left_out_unless_asked_for():
    pictures = Pictures.of(discs(40, RNG), labels=["often"] * 37 + ["rare"] * 3)
    left_out = GAN(n_steps=1, dim=4).fit(pictures)
    assert left_out.classes_ is None and any("3 items of 'rare'" in text for text in left_out.alarms_)
    assert list(GAN(n_steps=1, dim=4, conditional=True).fit(pictures).classes_) == ["often", "rare"]
    with pytest.raises(DataError, match="conditional needs labels"):
        GAN(n_steps=1, conditional=True).fit(discs(40, RNG))
    with pytest.raises(SettingError, match="knows no classes"):
        GAN(n_steps=1, dim=4).fit(pictures).sample(1, label="rare")


def test_the_measures_stand_beside_floor_and_noise(forger):
    measures = {measure.name: measure for measure in forger.evaluate(discs(400, np.random.default_rng(1)))}
    distance = next(measure for name, measure in measures.items() if name.startswith("Frechet distance in "))
    beside = dict(distance.baselines)
    assert beside["real, held out"] < distance.value < beside["noise"]
    assert 0 <= measures["coverage"].value <= 1 and measures["copy ratio"].value > 0.5


def test_what_was_held_out_is_known_and_was_not_learned_from(forger):
    assert len(forger.held_out_) == 40 and len(set(forger.held_out_.tolist())) == 40


def test_measurements_bring_a_look_at_what_is_made_of_the_same_noise():
    looks = [p.preview for p in GAN(n_steps=20, dim=4).train(discs(60, RNG)) if p.preview is not None]
    assert len(looks) == 20 and looks[0].shape[1:] == (16, 16, 1)
    assert np.abs(looks[-1].astype(int) - looks[-2]).mean() < np.abs(looks[-1].astype(int) - looks[0]).mean()


def test_copies_and_collapse_are_seen_with_a_remedy():
    real, unseen = (torch.from_numpy(discs(200, RNG)).float() for _ in range(2))
    sight = Sight(real)
    assert sight.coverage(unseen, real) > 0.85
    assert sight.coverage(real[:1].repeat(200, 1, 1, 1), real) < 0.1
    assert sight.distance(real[:100], unseen, real) == 0.0
    assert 0.8 < sight.distance(torch.from_numpy(discs(200, RNG)).float(), unseen, real) < 1.25
    well = {"coverage": 0.9, "balance": 0.5, "distance": 1.0, "gap": 0.1}
    assert alarm(well) == ""
    for worse, word in (
        ({"coverage": 0.1}, "collapse"),
        ({"balance": 0.0}, "too strong"),
        ({"distance": 0.1}, "memorising"),
    ):
        assert word in alarm(well | worse) and "give" in alarm(well | worse).lower()


def test_a_set_of_one_picture_over_and_over_trains_without_an_accident():
    gan = GAN(n_steps=5, dim=4).fit(np.full((50, 16, 16, 3), 90, np.uint8))
    assert np.isfinite(list(gan.measures_.values())).all() and gan.sample(2).shape == (2, 16, 16, 3)


def test_fewer_pictures_than_a_batch_still_train():
    gan = GAN(n_steps=5, dim=4).fit(discs(3, RNG))
    assert gan.sample(2).shape == (2, 16, 16, 1)


def test_wrong_settings_say_what_is_allowed():
    for setting, words in (({"loss": "wasserstein"}, "relativistic"), ({"size": 20}, "8, 16, 32"),
                           ({"gamma": 0.0}, "greater than 0"),
                           ({"noise_dim": 0}, "at least 1"), ({"ema": 1.0}, "below 1")):  # fmt: skip
        with pytest.raises(SettingError, match=words):
            GAN(n_steps=1, **setting).fit(discs(8, RNG))


def test_batch_norm_by_shares_is_that_of_the_whole_batch():
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    norm, halves = BatchNorm(3), x.chunk(2)
    expected = norm(x)

    def gather(moment_12C: torch.Tensor) -> torch.Tensor:
        both = [torch.stack([part.mean((0, 2, 3)), part.square().mean((0, 2, 3))]) for part in halves]
        assert any(torch.equal(moment_12C[0], own) for own in both)
        return torch.stack(both)

    norm.gather = gather
    # measuring in between does not end it
    settle(norm, [(x,)])
    assert norm.gather is gather
    assert torch.allclose(norm.running_mean, x.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(torch.cat([norm(half) for half in halves]), expected, atol=1e-5)


@pytest.mark.parametrize("loss", ["nonsaturating", "relativistic", "dcgan"])
def test_each_game_that_was_stopped_goes_on_to_the_same_weights(loss, tmp_path):
    pictures, gan = discs(60, RNG), GAN(n_steps=12, dim=4, loss=loss, n_threads=1)
    whole = gan.fit(pictures).network_.state_dict()
    begun = gan.train(pictures, folder=tmp_path)
    for _ in range(7):
        next(begun)
    begun.close()
    for _ in gan.train(pictures, folder=tmp_path):
        pass
    again = gan.network_.state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_sample_does_not_depend_on_what_is_made_beside_it():
    gan = GAN(n_steps=8, dim=4, loss="nonsaturating").fit(discs(60, RNG))
    one, many = gan.sample(1, seed=3).astype(int), gan.interpolate(3, 4, n=5).astype(int)
    assert np.abs(one[0] - many[0]).max() <= 1


def test_the_classic_game_is_played_with_batch_norm_and_without_penalties():
    gan = GAN(n_steps=6, dim=4, loss="dcgan").fit(DIGITS)
    assert any("norms" in name for name in gan.network_.state_dict())
    assert gan.sample(2).shape[1:] == (8, 8, 1) or gan.sample(2).shape[1:] == (16, 16, 1)


@pytest.mark.parametrize("loss", ["relativistic", "nonsaturating"])
def test_the_detective_is_handed_over_as_a_body(loss, tmp_path):
    gan = GAN(n_steps=8, dim=8, loss=loss).fit(DIGITS)
    backbone = open_backbone(gan.save(tmp_path / "run"))
    x = gan.form_.real(torch.from_numpy(gan.form_.arrays(DIGITS)[0][:4]))
    last = gan.network_.discriminator.stages(x)[-1].mean((2, 3))
    assert torch.allclose(backbone(x)[:, -2 * last.shape[1] : -last.shape[1]], last, atol=1e-6)
    classifier = TransferClassifier(str(tmp_path / "run"), mode="frozen").fit(DIGITS)
    assert (classifier.predict(DIGITS) == DIGITS.labels).mean() > 0.3


def test_a_folder_of_pictures_is_learned_from_by_its_path(tmp_path):
    from twofold.data.pictures import write_picture

    for number in range(12):
        write_picture(tmp_path / f"{number}.png", np.full((8, 8, 1), 20 * number, np.uint8))
    assert GAN(n_steps=1, size=8, dim=4).fit(str(tmp_path)).sample(2).shape == (2, 8, 8, 1)
