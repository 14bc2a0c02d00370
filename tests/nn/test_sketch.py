import pytest
import torch

from twofold.nn.sketch import N_CODES, N_MEANT, Sketch

GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(*shape, generator=GENERATOR)


def sketch_of(picture_NCSS, class_N, n_known=None):
    N, C, S = picture_NCSS.shape[:3]
    sketch = Sketch(S, C, n_known=n_known or N, n_classes=int(class_N.max()) + 1)
    sketch.learn(sketch.look(picture_NCSS), class_N)
    return sketch


def test_a_look_is_the_means_of_squares_of_pixels():
    picture_BCSS = drawn(2, 3, 32, 32)
    look_BQ = Sketch(32, 3, n_known=1).look(picture_BCSS).reshape(2, 3, 16, 16)
    assert float(look_BQ[1, 2, 5, 7]) == pytest.approx(float(picture_BCSS[1, 2, 10:12, 14:16].mean()), abs=1e-6)


def test_codes_are_principal_components_each_of_variance_1():
    look_NQ = drawn(300, 256) * torch.linspace(3, 0.1, 256)
    sketch = Sketch(16, 1, n_known=300)
    sketch.learn(look_NQ, torch.zeros(300, dtype=torch.int64))
    code_NP = sketch.code(look_NQ)
    torch.testing.assert_close(code_NP.T @ code_NP / 300, torch.eye(N_CODES), atol=1e-3, rtol=0)
    off_NQ = look_NQ - look_NQ.mean(0)
    largest_P = torch.linalg.svdvals(off_NQ)[:N_CODES]
    found_P = torch.linalg.vector_norm(off_NQ @ torch.nn.functional.normalize(sketch.axis_QP, dim=0), dim=0)
    torch.testing.assert_close(found_P, largest_P, rtol=1e-3, atol=0)


def test_what_is_drawn_lies_among_one_known_code_and_its_nearest_of_the_same_class():
    class_N = torch.randint(3, (60,), generator=GENERATOR)
    picture_NCSS = drawn(60, 1, 16, 16) + 3 * class_N[:, None, None, None]
    sketch = sketch_of(picture_NCSS, class_N, n_known=70)
    noise_BZ, class_B = drawn(50, sketch.n_noise), torch.arange(50) % 3
    code_BP = sketch.draw(noise_BZ, class_B)
    normal = torch.distributions.Normal(0, 1)
    for noise_Z, k, code_P in zip(noise_BZ, class_B.tolist(), code_BP, strict=True):
        own_MCSS = picture_NCSS[class_N == k]
        one_CSS = own_MCSS[int(normal.cdf(noise_Z[0]) * len(own_MCSS))]
        nearest = sorted(own_MCSS, key=lambda other_CSS: float((other_CSS - one_CSS).norm()))[:N_MEANT]
        weight_J = -normal.cdf(noise_Z[1:]).log()
        mean_CSS = sum(w * other_CSS for w, other_CSS in zip(weight_J / weight_J.sum(), nearest, strict=True))
        slow_P = sketch.code(sketch.look(mean_CSS[None]))[0]
        torch.testing.assert_close(code_P, slow_P, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_pictures_and_blank_ones_have_codes_too(n):
    for picture_NCSS in (drawn(n, 3, 32, 32), torch.ones(n, 3, 32, 32)):
        sketch = sketch_of(picture_NCSS, torch.zeros(n, dtype=torch.int64))
        code_BP = sketch.draw(drawn(9, sketch.n_noise), torch.zeros(9, dtype=torch.int64))
        assert torch.isfinite(code_BP).all() and code_BP.abs().max() < 10
        assert torch.isfinite(sketch.code(sketch.look(picture_NCSS))).all()


def test_a_class_without_any_is_drawn_from_all():
    sketch = sketch_of(drawn(20, 1, 16, 16), torch.tensor([0, 2] * 10))
    noise_BZ = drawn(200, sketch.n_noise)
    code_BP = sketch.draw(noise_BZ, torch.ones(200, dtype=torch.int64))
    near_B = torch.cdist(code_BP, sketch.known_MP).argmin(1)
    assert (near_B < 10).any() and (near_B >= 10).any()
