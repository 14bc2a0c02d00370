"""Places, recall, precision and chance beside loops that count."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from twofold.data.pairs import open_pairs
from twofold.errors import DataError
from twofold.measure.retrieval import Ranks, chance_of, retrieval_measures


def drawn(seed=0, Q=30, N=17):
    """Scores with many ties, and one to four right things a query."""
    rng = np.random.default_rng(seed)
    is_right_QN = np.zeros((Q, N), bool)
    for q in range(Q):
        is_right_QN[q, rng.permutation(N)[: rng.integers(1, 5)]] = True
    return rng.integers(0, 8, (Q, N)) / 8 + 0.2 * is_right_QN * rng.integers(0, 2, (Q, N)), is_right_QN


def place_slowly(score_N, is_right_N):
    """1, and one more for each wrong thing above the best right one, half for each beside it."""
    best = max(score for score, is_right in zip(score_N, is_right_N, strict=True) if is_right)
    place = 1.0
    for score, is_right in zip(score_N, is_right_N, strict=True):
        if not is_right:
            place += 1.0 if score > best else 0.5 if score == best else 0.0
    return place


def precision_slowly(score_N, is_right_N):
    """Mean over the right things of the share of right ones down to them; the wrong first among equals."""
    things = sorted(zip(score_N, is_right_N, strict=True), key=lambda thing: (-thing[0], thing[1]))
    n_right, parts = 0, []
    for place, (_, is_right) in enumerate(things, start=1):
        if is_right:
            n_right += 1
            parts.append(n_right / place)
    return sum(parts) / len(parts)


def test_every_number_is_what_loops_count():
    score_QN, is_right_QN = drawn()
    ranks = Ranks(score_QN, is_right_QN)
    places = [place_slowly(*query) for query in zip(score_QN, is_right_QN, strict=True)]
    assert ranks.first_Q.tolist() == places
    for k in (1, 2, 5, 10, 17):
        assert ranks.recall(k) == pytest.approx(sum(place <= k for place in places) / 30)
    assert ranks.median == sorted(places)[14] / 2 + sorted(places)[15] / 2
    assert ranks.mean_reciprocal == pytest.approx(sum(1 / place for place in places) / 30)
    precisions = [precision_slowly(*query) for query in zip(score_QN, is_right_QN, strict=True)]
    assert ranks.mean_average_precision == pytest.approx(np.mean(precisions))


def test_without_ties_the_precision_is_scikit_learns():
    rng, is_right_QN = np.random.default_rng(1), drawn(1)[1]
    score_QN = rng.normal(size=is_right_QN.shape)
    theirs = [average_precision_score(*query) for query in zip(is_right_QN, score_QN, strict=True)]
    assert Ranks(score_QN, is_right_QN).precision_Q == pytest.approx(theirs)


def test_scores_that_tell_nothing_look_no_better_than_chance():
    is_right_QN = np.eye(50, dtype=bool)
    ranks = Ranks(np.zeros((50, 50)), is_right_QN)
    assert ranks.recall(1) == 0 and ranks.recall(5) == 0 and ranks.median == 25.5
    assert ranks.mean_average_precision == pytest.approx(1 / 50)
    told = {measure.name: measure for measure in retrieval_measures(np.zeros((50, 50)), is_right_QN, "w")}
    assert told["w, median place"].value == dict(told["w, median place"].baselines)["chance"]


def test_perfect_scores_are_perfect():
    _, is_right_QN = drawn(2)
    ranks = Ranks(is_right_QN.astype(float), is_right_QN)
    assert (ranks.recall(1), ranks.median, ranks.mean_average_precision, ranks.mean_reciprocal) == (1, 1, 1, 1)


@pytest.mark.parametrize("k", [1, 5, 10, 30])
def test_chance_is_what_blind_draws_reach(k):
    _, is_right_QN = drawn(3)
    rng = np.random.default_rng(4)
    drawn_right = [Ranks(rng.random(is_right_QN.shape), is_right_QN).recall(k) for _ in range(400)]
    assert chance_of(is_right_QN, k) == pytest.approx(np.mean(drawn_right), abs=0.01)


def test_the_median_place_by_chance_is_that_of_blind_draws():
    for is_right_QN in (drawn(5, 31, 40)[1], np.arange(60)[None] % 12 < np.array([[4], [6], [2]])):
        rng = np.random.default_rng(6)
        first = [Ranks(rng.random(is_right_QN.shape), is_right_QN).first_Q for _ in range(600)]
        told = retrieval_measures(rng.random(is_right_QN.shape), is_right_QN, "w")[3]
        assert dict(told.baselines)["chance"] == pytest.approx(np.median(first), abs=0.5)


def test_chance_of_finding_one_of_many_is_simple():
    assert chance_of(np.eye(20, dtype=bool), 5) == pytest.approx(5 / 20)
    assert chance_of(np.ones((2, 3), bool), 1) == 1


def test_equal_captions_are_one_query_that_finds_any_of_their_pictures():
    pairs = open_pairs(np.zeros((4, 8, 8, 3), np.uint8), ["a ball", "A BALL", ["a ball", "a hat"], "a cat"])
    texts, is_right_UN = pairs.told()
    assert texts == ["a ball", "a hat", "a cat"] and is_right_UN.sum(1).tolist() == [3, 1, 1]
    score_UN = np.array([[0.1, 0.9, 0.2, 0.0], [0.9, 0.0, 0.8, 0.1], [0.0, 0.1, 0.2, 0.3]])
    words = {measure.name: measure.value for measure in retrieval_measures(score_UN, is_right_UN, "words")}
    assert words["words, recall@1"] == pytest.approx(2 / 3) and words["words, recall@5"] == 1
    pictures = {measure.name: measure.value for measure in retrieval_measures(score_UN.T, is_right_UN.T, "pictures")}
    assert pictures["pictures, recall@1"] == pytest.approx(3 / 4)


def test_the_measures_stand_beside_chance_and_other_scores_with_an_interval():
    score_QN, is_right_QN = drawn()
    other = Ranks(np.zeros(score_QN.shape), is_right_QN)
    told = retrieval_measures(score_QN, is_right_QN, "words", beside=[("constant", other)])
    assert [measure.name for measure in told] == [
        "words, recall@1", "words, recall@5", "words, recall@10", "words, median place",
        "words, mean average precision",
    ]  # fmt: skip
    for k, measure in zip((1, 5, 10), told, strict=False):
        low, high = measure.interval
        assert low <= measure.value <= high
        assert dict(measure.baselines) == {"chance": chance_of(is_right_QN, k), "constant": other.recall(k)}
    assert [measure.is_higher_better for measure in told] == [True, True, True, False, True]
    assert told == retrieval_measures(score_QN, is_right_QN, "words", beside=[("constant", other)])


def test_no_queries_are_refused():
    with pytest.raises(DataError, match="words: there is nothing to search for. Give pictures with captions"):
        retrieval_measures(np.empty((0, 3)), np.empty((0, 3), bool), "words")
