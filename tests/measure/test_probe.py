import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from twofold.measure.probe import effective_rank, found_again, nearest_label
from twofold.measure.symmetry import may_be_mirrored

RNG = np.random.default_rng(0)


def test_the_effective_rank_counts_directions():
    basis = np.linalg.qr(RNG.normal(size=(20, 20)))[0]
    for n in (1, 5, 20):
        features = RNG.normal(size=(4000, n)) @ basis[:n] + 3
        assert abs(effective_rank(features) - n) < 0.05 * n
    assert effective_rank(np.ones((50, 8))) < 1.001


def test_views_are_found_again_when_they_lie_near():
    features = RNG.normal(size=(200, 16))
    assert found_again(features, features + 0.1 * RNG.normal(size=features.shape)).all()
    assert found_again(features, RNG.normal(size=features.shape)).mean() < 0.05


def test_the_nearest_label_leaves_the_picture_itself_out_and_agrees_with_scikit_learn():
    label = RNG.integers(0, 3, 300)
    features = np.eye(3)[label] @ RNG.normal(size=(3, 8)) + RNG.normal(size=(300, 8))
    features -= features.mean(0)
    said = nearest_label(features, label, k=1)
    for i in range(0, 300, 10):
        others = np.delete(np.arange(300), i)
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        peer = KNeighborsClassifier(1).fit(unit[others], label[others])
        assert peer.predict(unit[i : i + 1])[0] == said[i]
    # a label that is told by nothing is guessed no better than by chance, which counting oneself would be
    assert (nearest_label(RNG.normal(size=(300, 8)), label, k=1) == label).mean() < 0.45


def test_pictures_lit_from_the_left_may_not_be_mirrored_and_noise_may():
    noise = RNG.integers(0, 200, (300, 10, 10, 3)).astype(np.uint8)
    assert may_be_mirrored(noise)
    lit = noise.copy()
    lit[:, :, :3] += 30
    assert not may_be_mirrored(lit) and may_be_mirrored(lit[:30])
    both = np.where(RNG.random((300, 1, 1, 1)) < 0.5, lit, lit[:, :, ::-1])
    assert may_be_mirrored(both)
    assert isinstance(may_be_mirrored(np.zeros((100, 9, 9, 1), np.uint8)), bool)
