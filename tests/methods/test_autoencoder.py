"""Autoencoder: never worse than PCA, ordered, and usable on any table."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from twofold.errors import DataError, SettingError
from twofold.measure.latents import pca_errors
from twofold.methods.autoencoder import Autoencoder, OrderedLearner
from twofold.nn.cells import Cells
from twofold.nn.ordered import OrderedNetwork, perceptrons, start_from_pca

X = load_wine().data
MIXED = pd.DataFrame({
    "age": [31.0, None, 40.0, 22.0, 35.0, 61.0] * 10,
    "city": ["Rome", "Oslo", None, "Rome", "Lima", "Oslo"] * 10,
    "flat": [1.0] * 60,
})  # fmt: skip


def quick(**settings):
    return Autoencoder(n_steps=20, dim=16, device="cpu", **settings)


def start(cells, data, *, latent_dim, dim) -> OrderedNetwork:
    return start_from_pca(cells, data, 0, latent_dim=latent_dim, networks=lambda Z: perceptrons(cells, Z, dim, depth=1))


# ---- against PCA ---------------------------------------------------------------------------------


def test_the_start_is_pca_for_every_k():
    standard = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
    data = standard, torch.zeros(len(X), 0, dtype=torch.int64)
    network = start(Cells(13, []), data, latent_dim=8, dim=16).eval()
    with torch.inference_mode():
        latent_NZ = network.encode(*data)
        errors = [float((network.decode(latent_NZ, torch.tensor([k])) - standard).square().mean()) for k in range(1, 9)]
    assert errors == pytest.approx(pca_errors(standard.numpy(), standard.numpy(), 8), abs=1e-5)


def test_no_k_is_worse_than_pca_on_held_out_digits():
    digits = load_digits().data
    order = np.random.default_rng(0).permutation(len(digits))
    train, test = digits[order[:1437]], digits[order[1437:]]
    autoencoder = Autoencoder(n_steps=300, device="cpu").fit(train)
    scale = np.where(train.std(0) > 0, train.std(0), 1.0)
    plain = pca_errors((train - train.mean(0)) / scale, (test - train.mean(0)) / scale, 32)
    errors = [np.mean(((autoencoder.reconstruct(test, k) - test) / scale) ** 2) for k in (1, 2, 4, 8, 16, 32)]
    ratio = np.array(errors) / plain[[0, 1, 3, 7, 15, 31]]
    assert ratio.max() < 1.0
    assert ratio[3] < 0.65  # .48 with the default number of steps
    assert autoencoder.error_ratio_.max() <= 1.0


def test_stopped_before_the_first_judgement_it_is_pca():
    autoencoder = Autoencoder(device="cpu")
    training = autoencoder.train(X)
    for _ in range(3):
        next(training)
    training.close()
    standard = (X - X.mean(0)) / X.std(0)
    assert autoencoder.transform(X).shape == (178, 13)
    assert autoencoder.reconstruction_error(X, k=2).mean() < 1.1 * pca_errors(standard, standard, 2)[1]


def test_more_latent_numbers_rebuild_better():
    autoencoder = Autoencoder(n_steps=100, device="cpu").fit(X)
    errors = [autoencoder.reconstruction_error(X, k).mean() for k in (1, 3, 6, 13)]
    assert errors == sorted(errors, reverse=True)


# ---- the loss ------------------------------------------------------------------------------------


def test_loss_is_that_of_one_row_and_one_k_at_a_time():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(30, 5, generator=generator), torch.randint(0, 4, (30, 2), generator=generator)
    network = start(Cells(5, [4, 4]), data, latent_dim=4, dim=8)
    torch.nn.init.normal_(network.decoder.last.weight)
    torch.nn.init.normal_(network.encoder.last.weight)
    learner = OrderedLearner(network)
    learner.drop = lambda hidden: hidden
    found = learner.loss(*data)["relative_error"]
    learner.generator.manual_seed(0)
    k_BR = (learner.uniform(30, 2) * 4).long() + 1
    slow = []
    for number_P, category_Q, k_R in zip(*data, k_BR, strict=True):
        latent_1Z = network.encode(number_P[None], category_Q[None])
        for k in k_R:
            output_1O = network.straight(latent_1Z, k[None]) + network.added(latent_1Z, k[None])
            cost = network.cells.surprise(output_1O, number_P[None], category_Q[None]).mean()
            slow.append(cost / network.error_Z[k - 1])
    torch.testing.assert_close(found, torch.stack(slow).mean())


def test_the_first_k_alone_decide_the_rebuilding():
    autoencoder = quick(latent_dim=4).fit(X)
    latent = autoencoder.transform(X)
    np.testing.assert_allclose(autoencoder.inverse_transform(latent[:, :2]), autoencoder.reconstruct(X, k=2))
    np.testing.assert_allclose(autoencoder.inverse_transform(latent), autoencoder.reconstruct(X))


# ---- any table -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        [[3.0]],
        [[1.0, 2.0], [1.0, 3.0]],
        np.ones((60, 3)),
        np.repeat([[1.0, 5.0, -2.0]], 60, axis=0),
        np.where(np.arange(300).reshape(100, 3) % 7, np.arange(300.0).reshape(100, 3), np.nan),
        np.random.default_rng(0).normal(size=(12, 600)),
    ],
    ids=["one cell", "two rows", "ones", "all rows the same", "missing cells", "wide"],
)
@pytest.mark.filterwarnings("error")
def test_any_array_gives_finite_answers(table):
    autoencoder = quick().fit(table)
    latent = autoencoder.transform(table)
    rebuilt = autoencoder.inverse_transform(latent)
    assert latent.shape[1] <= 32
    assert rebuilt.shape == np.shape(table)
    assert np.isfinite(latent).all() and np.isfinite(rebuilt).all()
    assert np.isfinite(autoencoder.reconstruction_error(table, k=1)).all()


def test_constant_columns_come_back_as_they_were():
    table = np.hstack([X, np.full((len(X), 1), 7.0)])
    assert np.abs(quick().fit(table).reconstruct(table)[:, -1] - 7.0).max() < 1e-3


def test_categories_alone():
    table = pd.DataFrame({"a": list("xyzx") * 20, "b": list("ppqq") * 20})
    autoencoder = Autoencoder(n_steps=100, device="cpu").fit(table)
    assert autoencoder.reconstruct(table).equals(table.astype(autoencoder.reconstruct(table).dtypes))
    assert autoencoder.reconstruction_error(table).mean() < 0.3


def test_mixed_columns_with_missing_cells_are_filled_in():
    autoencoder = quick().fit(MIXED)
    rebuilt = autoencoder.reconstruct(MIXED)
    assert list(rebuilt.columns) == [name for name in MIXED.columns if name in autoencoder.rows_.columns.names]
    assert rebuilt.notna().all(axis=None)
    assert set(rebuilt["city"]) <= {"Rome", "Oslo", "Lima"}


@pytest.mark.parametrize(
    ("frame", "type_"),
    [(MIXED, pd.DataFrame), (pl.from_pandas(MIXED), pl.DataFrame), (pa.Table.from_pandas(MIXED), pa.Table)],
)
def test_a_frame_comes_back_as_the_frame_it_was(frame, type_):
    autoencoder = quick().fit(frame)
    assert isinstance(autoencoder.inverse_transform(autoencoder.transform(frame)), type_)
    assert isinstance(autoencoder.reconstruct(frame), type_)


def test_a_path_is_a_table(tmp_path):
    path = tmp_path / "people.csv"
    MIXED.to_csv(path, index=False)
    autoencoder = quick().fit(str(path))
    assert isinstance(autoencoder.reconstruct(path), pa.Table)
    np.testing.assert_allclose(autoencoder.transform(path), autoencoder.transform(MIXED), atol=1e-6)


# ---- scikit-learn, saving, errors ----------------------------------------------------------------


def test_scikit_learns_own_checks_pass():
    results = check_estimator(quick(), on_skip=None)
    assert not [result["check_name"] for result in results if result["status"] == "failed"]


def test_pandas_output_has_names():
    latent = quick(latent_dim=3).fit(X).set_output(transform="pandas").transform(X)
    assert list(latent.columns) == ["autoencoder0", "autoencoder1", "autoencoder2"]


@pytest.mark.parametrize("table", [X, MIXED], ids=["array", "frame"])
def test_saved_and_loaded_answers_are_the_same(tmp_path, table):
    autoencoder = quick(latent_dim=3).fit(table)
    other = Autoencoder.load(autoencoder.save(tmp_path / "run"))
    copy = pickle.loads(pickle.dumps(autoencoder))
    for again in (other, copy):
        np.testing.assert_array_equal(again.transform(table), autoencoder.transform(table))
        np.testing.assert_array_equal(again.reconstruction_error(table), autoencoder.reconstruction_error(table))
        assert type(again.reconstruct(table)) is type(autoencoder.reconstruct(table))
    assert other.error_ratio_.size == autoencoder.error_ratio_.size


def test_rows_mapped_from_disk_are_learned_from(tmp_path):
    from twofold.core.splits import hold_out

    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(200, 4))
    kept, held_out = hold_out((mapped, np.zeros((200, 0), np.int64)), 4, 0)
    assert isinstance(kept[0], np.memmap) and len(kept[0]) == len(kept[1]) == 180
    assert len(held_out[0]) == 20


def test_the_same_seed_gives_the_same_latent():
    first, second, third = (quick(seed=seed).fit_transform(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - third).max() > 1e-3


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole = quick().fit(X)
    training = (part := quick()).train(X, folder=tmp_path)
    for _ in range(10):
        next(training)
    training.close()
    for _ in part.train(X, folder=tmp_path):
        pass
    np.testing.assert_array_equal(part.transform(X), whole.transform(X))


def test_errors_name_what_is_wrong():
    autoencoder = quick(latent_dim=3)
    for verb in (autoencoder.transform, autoencoder.inverse_transform, autoencoder.reconstruct):
        with pytest.raises(NotFittedError):
            verb(X)
    with pytest.raises(NotFittedError):
        autoencoder.reconstruction_error(X)
    autoencoder.fit(X)
    with pytest.raises(SettingError, match="k is 4; this model has 3"):
        autoencoder.reconstruct(X, k=4)
    with pytest.raises(DataError, match="5 columns"):
        autoencoder.inverse_transform(np.zeros((2, 5)))
    with pytest.raises(SettingError, match="latent_dim is 0"):
        quick(latent_dim=0).fit(X)


@pytest.mark.shared
def test_no_k_is_worse_than_pca_on_a_nearly_linear_table(shared):
    x = np.load(shared / "data/tables/adbench/19_landsat.npz")["X"].astype(float)
    x = x[np.random.default_rng(0).permutation(len(x))]
    x = (x - x[:5000].mean(0)) / x[:5000].std(0)
    train, test = x[:5000], x[5000:]
    autoencoder = Autoencoder(n_steps=400, device="cpu").fit(train)
    errors = [np.mean((autoencoder.reconstruct(test, k) - test) ** 2) for k in (1, 4, 8, 16, 32)]
    ratio = np.array(errors) / pca_errors(train, test, 32)[[0, 3, 7, 15, 31]]
    assert ratio.max() < 1.01
