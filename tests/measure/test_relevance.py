"""Nothing fits: how often that is said of what is absent and of what is there, where the truth is known."""

import numpy as np
import pytest

from twofold.measure.relevance import ABSENT_CAUGHT, Relevance


def drawn(seed, Q, N, n_right=3):
    """Scores of queries that differ in mean and spread; of what is right some four spreads higher."""
    rng = np.random.default_rng(seed)
    mean_Q1, spread_Q1 = 0.05 * rng.normal(size=(Q, 1)), 0.06 * np.exp(0.3 * rng.normal(size=(Q, 1)))
    is_right_QN = np.zeros((Q, N), bool)
    for q in range(Q):
        is_right_QN[q, rng.permutation(N)[:n_right]] = True
    gain_QN = is_right_QN * (4 + rng.normal(size=(Q, N)))
    return mean_Q1 + spread_Q1 * (rng.normal(size=(Q, N)) + gain_QN), is_right_QN


def fits(relevance, score_QN):
    return score_QN >= relevance.least_scores(score_QN)[:, None]


@pytest.fixture(scope="module")
def relevance():
    score_QN, is_right_QN = drawn(0, 200, 300)
    return Relevance.learn(score_QN, is_right_QN, is_right_QN, 0)


@pytest.mark.parametrize("N", [100, 1000, 5000, 20_000])
def test_what_is_absent_is_answered_by_nothing_as_often_as_intended_in_indexes_of_all_sizes(relevance, N):
    score_QN, _ = drawn(1, 150, N, n_right=0)
    caught = np.mean(~fits(relevance, score_QN).any(1))
    assert ABSENT_CAUGHT - 0.08 < caught  # measured .79, .77, .88, .94
    assert caught < 0.99


@pytest.mark.parametrize(("N", "least"), [(100, 0.9), (1000, 0.85), (20_000, 0.6)])
def test_what_is_there_is_still_found(relevance, N, least):
    score_QN, is_right_QN = drawn(2, 150, N)
    # measured .98, .93, .74: among more pictures the same score is less
    assert np.mean((fits(relevance, score_QN) & is_right_QN).any(1)) > least


def test_relatives_of_what_is_sought_do_not_stand_for_what_is_absent():
    score_QN, is_right_QN = drawn(3, 200, 300)
    is_related_QN = np.roll(is_right_QN, 1, 1)
    score_QN[is_related_QN] += 0.2
    kept, taken = (
        Relevance.learn(score_QN, is_right_QN, related_QN, 0)
        for related_QN in (np.zeros_like(is_related_QN), is_related_QN)
    )
    new_QN, is_new_QN = drawn(4, 150, 300)
    found = [np.mean((fits(one, new_QN) & is_new_QN).any(1)) for one in (kept, taken)]
    assert found[1] > found[0] + 0.2


def test_the_same_seed_learns_the_same_and_a_higher_score_never_fits_worse(relevance):
    score_QN, is_right_QN = drawn(0, 200, 300)
    assert Relevance.learn(score_QN, is_right_QN, is_right_QN, 0) == relevance
    assert relevance.of_score > 0 and relevance.of_distance >= 0 and relevance.of_number <= 0
    turned = Relevance.learn(-score_QN, is_right_QN, is_right_QN, 0)
    assert turned.of_score > 0 and turned.of_distance >= 0


def test_least_scores_are_where_the_weighted_sum_reaches_the_line(relevance):
    score_QN, _ = drawn(5, 20, 50)
    least_Q = relevance.least_scores(score_QN)
    distance_Q = (least_Q - score_QN.mean(1)) / score_QN.std(1)
    value_Q = relevance.of_score * least_Q + relevance.of_distance * distance_Q + relevance.of_number * np.log(50)
    assert value_Q == pytest.approx(relevance.least)


@pytest.mark.parametrize("is_learned", [True, False])
def test_scores_of_all_shapes_and_kinds_have_an_answer(relevance, is_learned):
    one = relevance if is_learned else Relevance.unlearned()
    assert one.least_scores(np.empty((3, 0))).tolist() == [np.inf] * 3
    assert one.least_scores(np.empty((0, 5))).shape == (0,)
    for score_QN in (np.zeros((2, 9)), np.full((2, 1), 0.1), np.full((1, 2), -1.0), np.zeros((1, 4), np.float32)):
        assert np.isfinite(one.least_scores(score_QN)).all()
        assert not fits(one, score_QN).any()
    assert fits(Relevance.unlearned(), np.full((1, 1), 0.9)).all()  # one picture may fit by its score alone


@pytest.mark.parametrize("shape", [(0, 0), (0, 9), (3, 1), (3, 2), (4, 9)])
def test_of_too_few_trials_nothing_is_learned(shape):
    is_right_QN = np.zeros(shape, bool)
    if shape[1]:
        is_right_QN[:, 0] = True
    score_QN = np.random.default_rng(0).random(shape)
    assert Relevance.learn(score_QN, is_right_QN, is_right_QN, 0) == Relevance.unlearned()


@pytest.mark.parametrize("score", [0.0, 0.5])
def test_scores_that_are_all_the_same_teach_nothing_that_is_not_finite(score):
    is_right_QN = np.eye(40, dtype=bool)
    found = Relevance.learn(np.full((40, 40), score), is_right_QN, is_right_QN, 0)
    assert np.isfinite([found.of_score, found.of_distance, found.of_number, found.least]).all()
    assert np.isfinite(found.least_scores(np.full((2, 40), score))).all()
