"""What answers say: known figures, simulated observers, and the words of the verdict."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from twofold.errors import DataError, SettingError
from twofold.turing.statistics import (
    answers_needed,
    anytime_interval,
    chance_p,
    equivalence_p,
    log_wealth,
    pair_d_prime,
    signal_detection,
    wilson_interval,
)
from twofold.turing.verdict import Answers, decide

N_STUDIES = 2000  # benchmarks/turing_statistics.py has 10,000


def observer(d_prime, n, *, criterion=0.0, seed=0, n_people=1):
    """A person who says "fake" when what is felt, normal with a mean of +-d' / 2, exceeds the criterion."""
    rng = np.random.default_rng(seed)
    truth = np.tile(np.arange(2 * n) % 2 == 0, n_people)
    felt = rng.normal(np.where(truth, d_prime / 2, -d_prime / 2))
    person = np.repeat(np.arange(n_people), 2 * n)
    return Answers(person, np.arange(len(truth)), truth, felt > criterion, rng.exponential(1, len(truth)))


def rightly(n_right, n, n_people=1):
    """Answers of which that many of each person are right, fakes and real ones alike."""
    truth = np.tile(np.arange(n) % 2 == 0, n_people)
    is_right = np.tile(np.arange(n) < n_right, n_people)
    return Answers(np.repeat(np.arange(n_people), n), np.arange(n * n_people), truth, truth == is_right, truth * 1.0)


def test_wilson_half_widths_are_the_known_ones():
    for n, half in {20: 0.20, 50: 0.133, 100: 0.096, 200: 0.069, 400: 0.049, 1000: 0.031}.items():
        low, high = wilson_interval(n // 2, n)
        assert (high - low) / 2 == pytest.approx(half, abs=0.002)


def test_answers_needed_lie_a_little_above_the_normal_estimates():
    for share, estimate in {0.6: 259, 0.65: 113, 0.7: 61, 0.75: 38}.items():
        assert estimate <= answers_needed(share)[0] <= estimate * 1.2
    for margin, estimate in {0.15: 120, 0.1: 271, 0.05: 1082}.items():
        assert estimate <= answers_needed(0.5, margin)[1] <= estimate * 1.06
    assert answers_needed(0.65)[1] == answers_needed(0.5)[0] == 1_000_000


def test_the_power_that_is_promised_comes():
    rng = np.random.default_rng(0)
    n = answers_needed(0.65)[0]
    assert 0.88 < np.mean(chance_p(rng.binomial(n, 0.65, 5000), n) <= 0.05) < 0.94
    n = answers_needed(0.5)[1]
    assert 0.88 < np.mean(equivalence_p(rng.binomial(n, 0.5, 5000), n) <= 0.05) < 0.94


@pytest.mark.parametrize("d_prime", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_d_prime_is_right_on_average(d_prime):
    rng = np.random.default_rng(0)
    for n, criterion in ((30, 0.0), (50, 0.3)):
        hits = rng.binomial(n, norm.cdf(d_prime / 2 - criterion), N_STUDIES)
        alarms = rng.binomial(n, norm.cdf(-d_prime / 2 - criterion), N_STUDIES)
        found, place = signal_detection(hits, n, alarms, n)
        # 10,000 studies: at most .02; the mean of 2,000 strays by .02
        assert abs(found.mean() - d_prime) < 0.05 and abs(place.mean() - criterion) < 0.03


def test_d_prime_of_pairs_is_that_of_single_items():
    rng = np.random.default_rng(0)
    # of two the one that feels more like a fake is called the fake
    right = (rng.normal(1.0, 1, (N_STUDIES, 200)) > rng.normal(0, 1, (N_STUDIES, 200))).sum(1)
    assert pair_d_prime(right, 200).mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("criterion", [0.0, 0.8])
def test_equivalence_is_claimed_wrongly_in_at_most_5_percent(criterion):
    rng = np.random.default_rng(1)
    rates = norm.cdf(np.array([0.6, 0.6]) / 2 + np.array([-criterion, criterion]))
    share = rates.mean()
    for n in (50, 150):
        right = rng.binomial(n, rates[0], N_STUDIES) + rng.binomial(n, rates[1], N_STUDIES)
        assert np.mean(equivalence_p(right, 2 * n, float(share) - 0.5) <= 0.05) < 0.05 + 0.012


@pytest.mark.parametrize(("d_prime", "criterion"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.5), (3.0, 0.0)])
def test_the_anytime_interval_covers_at_every_stopping_time(d_prime, criterion):
    rng = np.random.default_rng(0)
    rates = norm.cdf(np.array([d_prime / 2 - criterion, d_prime / 2 + criterion]))
    n_T = np.arange(1, 301)
    fake_ST = rng.permuted(np.tile(n_T % 2 == 0, (1000, 1)), axis=1)
    right_ST = rng.random(fake_ST.shape) < np.where(fake_ST, *rates)
    wealth_ST = log_wealth(right_ST.cumsum(1), n_T, rates.mean())
    assert (wealth_ST.max(1) < np.log(20)).mean() > 0.95  # measured 0.966 and more


def test_the_anytime_interval_is_where_the_wealth_is_below_20():
    low, high = anytime_interval(np.array([0, 13, 40]), np.array([5, 20, 40]))
    assert log_wealth(13, 20, np.array([low[1], high[1]])) == pytest.approx(np.log(20), abs=1e-3)
    assert low[0] == 0 and high[2] == 1 and (low < high).all()
    wilson = wilson_interval(13, 20)
    assert low[1] < wilson[0] and wilson[1] < high[1]


def test_told_apart_undecided_and_not_told_apart_are_said_in_words():
    told = decide(rightly(80, 100))
    assert told.kind == "told apart" and "80 of 100 answers (80%, 71% to 87%)" in told.sentence
    same = decide(rightly(200, 400))
    assert same.kind == "could not be told apart" and "within ±10 points" in same.sentence
    few = decide(rightly(22, 40))
    assert few.kind == "undecided" and "more answers would" in few.sentence and str(few) == few.sentence
    assert few.n_to_tell == 1080 and few.n_to_equate == 868
    reverse = decide(rightly(20, 100))
    assert "wrong way round" in reverse.sentence and reverse.d_prime < 0
    assert json.loads(json.dumps(told.to_json()))["hits"] == 0.8


def test_hits_and_false_alarms_stand_apart_and_a_bias_is_told_from_skill():
    verdict = decide(observer(0.0, 400, criterion=1.0))
    assert verdict.hits < 0.25 and verdict.false_alarms < 0.25 and verdict.criterion > 0.7
    assert verdict.d_prime_interval[0] < 0 < verdict.d_prime_interval[1] and abs(verdict.d_prime) < 0.3
    assert verdict.hits_interval[0] < verdict.hits < verdict.hits_interval[1] and verdict.seconds < 2


def test_people_who_differ_widen_the_interval():
    alike = decide(rightly(60, 100, n_people=8))
    skills = np.repeat([30, 90] * 4, 100)
    truth = np.tile(np.arange(100) % 2 == 0, 8)
    is_right = np.tile(np.arange(100), 8) < skills
    apart = decide(Answers(np.repeat(np.arange(8), 100), np.arange(800), truth, truth == is_right, truth * 1.0))
    assert apart.accuracy == alike.accuracy == pytest.approx(0.6)
    assert alike.kind == "told apart" and apart.kind == "undecided"
    assert apart.interval[1] - apart.interval[0] > 5 * (alike.interval[1] - alike.interval[0])
    assert [person["accuracy"] for person in apart.people] == [0.3, 0.9] * 4
    # people who all happen to agree have no spread: the interval is that of their answers
    assert alike.interval == pytest.approx(tuple(map(float, wilson_interval(480, 800))))


def test_an_interval_over_people_covers_the_mean_of_all_people():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        skills = rng.normal(0.6, 0.08, 6)
        truth = np.tile(np.arange(60) % 2 == 0, 6)
        is_right = rng.random(360) < np.repeat(skills, 60)
        verdict = decide(Answers(np.repeat(np.arange(6), 60), np.arange(360), truth, truth == is_right, truth * 1.0))
        covered.append(verdict.interval[0] <= 0.6 <= verdict.interval[1])
    assert np.mean(covered) > 0.92  # 0.95 +- 0.03 for 200 studies


def test_the_interval_of_d_prime_covers_it_for_one_person_for_pairs_and_for_few_people():
    rng, covered = np.random.default_rng(0), {"one": [], "pairs": [], "people": []}
    for seed in range(150):
        low, high = decide(observer(1.0, 30, seed=seed)).d_prime_interval
        covered["one"].append(low <= 1 <= high)
        is_right = rng.normal(1, 1, 60) > rng.normal(0, 1, 60)
        truth = np.arange(60) % 2 == 0
        pairs = Answers(np.zeros(60), np.arange(60), truth, truth == is_right, truth * 1.0)
        low, high = decide(pairs, are_pairs=True).d_prime_interval
        covered["pairs"].append(low <= 1 <= high)
        skill = np.repeat(rng.normal(1, 0.4, 4), 60)
        truth = np.tile(truth, 4)
        said = rng.normal(np.where(truth, skill / 2, -skill / 2)) > 0
        people = Answers(np.repeat(np.arange(4), 60), np.arange(240), truth, said, truth * 1.0)
        low, high = decide(people).d_prime_interval
        covered["people"].append(low <= 1 <= high)
    # 1,500 studies: .95 to .97
    assert all(np.mean(found) > 0.91 for found in covered.values())


def test_who_calls_all_of_them_fake_is_not_right_because_most_are():
    truth = np.arange(100) < 85
    verdict = decide(Answers(np.zeros(100), np.arange(100), truth, np.ones(100, bool), np.ones(100)))
    assert verdict.accuracy == 0.85 and verdict.kind == "undecided"
    assert any("as many real ones as fakes" in note for note in verdict.notes)


def test_stopping_when_it_looks_good_is_allowed_for():
    answers = rightly(62, 100)
    assert decide(answers).kind == "told apart" and decide(answers, is_planned=False).kind == "undecided"
    rng, found = np.random.default_rng(0), []
    for _ in range(50):
        truth = rng.random(200) < 0.5
        said = rng.random(200) < 0.5
        looks = [
            decide(Answers(np.zeros(n), np.arange(n), truth[:n], said[:n], np.ones(n)), is_planned=False).kind
            for n in range(20, 201, 60)
        ]
        found.append("told apart" in looks)
    assert np.mean(found) < 0.05


def test_notes_tell_what_the_verdict_cannot():
    assert "one person" in decide(rightly(60, 100)).notes[0]
    assert "3 people" in decide(rightly(60, 100, n_people=3)).notes[0]
    again = rightly(6, 10)
    twice = Answers(*(np.concatenate([column, column]) for column in vars(again).values()))
    assert any("10 answers are to an item" in note for note in decide(twice).notes)


def test_wrong_answers_are_refused():
    with pytest.raises(DataError, match="no true or false under 'said_fake'"):
        Answers.of([{"is_fake": True, "said_fake": "yes"}])
    with pytest.raises(DataError, match="no answers"):
        Answers.of([])
    with pytest.raises(DataError, match="different lengths"):
        Answers(*[np.ones(3)] * 4, np.ones(2))
    with pytest.raises(SettingError, match="margin is 0.7"):
        decide(rightly(5, 10), margin=0.7)
