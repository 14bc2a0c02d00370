from collections import Counter

import numpy as np
import pytest
import torch

from twofold.nn import memory as memory_module
from twofold.nn.memory import DISCOUNT, Memory, Recall, fold_of_each

TOKENS = np.random.default_rng(0).integers(0, 5, 400).astype(np.int32)


def slow_smoothed(tokens, history, order, n_tokens):
    """The same by a dictionary and recursion."""
    if order < 0:
        return np.full(n_tokens, 1 / n_tokens)
    below = slow_smoothed(tokens, history, order - 1, n_tokens)
    context = tuple(history[len(history) - order :])
    counts = Counter(int(tokens[i]) for i in range(order, len(tokens)) if tuple(tokens[i - order : i]) == context)
    total = sum(counts.values())
    if not total:
        return below
    share = np.array([max(counts[v] - DISCOUNT, 0) for v in range(n_tokens)])
    return (share + (total - share.sum()) * below) / total


@pytest.mark.parametrize("place", [0, 17, 200])
def test_every_order_agrees_with_a_slow_count(place):
    memory = Memory(TOKENS, 5, 3)
    history = TOKENS[place : place + 3]
    told_BKV, known_BF = memory.ask(torch.from_numpy(history[None]))
    for k in (1, 2, 3):
        np.testing.assert_allclose(told_BKV[0, k - 1].exp(), slow_smoothed(TOKENS, history, k, 5), atol=1e-5)
    count = sum(tuple(TOKENS[i : i + 3]) == tuple(history) for i in range(len(TOKENS) - 3))
    assert known_BF[0, -2].exp() - 1 == pytest.approx(count, abs=1e-3)


def test_a_fold_is_judged_by_the_other_folds_only():
    memory = Memory(TOKENS, 5, 2, n_folds=4)
    others = Memory(np.concatenate([TOKENS[:100], TOKENS[200:]]), 5, 2)
    history_BH = torch.from_numpy(TOKENS[None, 120:122])
    left_out, _ = memory.ask(history_BH, torch.tensor([1]))
    without, _ = others.ask(history_BH)
    # but for the windows that straddle the edges of the fold
    assert (left_out.exp() - without.exp()).abs().max() < 0.06
    assert not torch.equal(left_out, memory.ask(history_BH)[0])


def test_a_context_never_seen_falls_back_on_shorter_ones():
    memory = Memory(np.array([0, 1, 0, 1, 0, 1], np.int32), 4, 3)
    told_BKV, known_BF = memory.ask(torch.tensor([[3, 3, 1]]))
    assert told_BKV[0, 2].argmax() == 0
    assert known_BF[0, -2] == 0


def test_large_vocabularies_keep_contexts_that_fit_into_a_number():
    memory = Memory(np.arange(1000, dtype=np.int32) % 700, 60_000, 8)
    assert memory.order == 2 and memory.n_told == 1
    told_BKV, _ = memory.ask(torch.tensor([[3, 4]]))
    assert told_BKV.shape == (1, 1, 60_000) and told_BKV[0, 0].argmax() == 5


def test_fitting_the_weights_of_the_orders_lowers_the_loss():
    text = np.frombuffer(("the cat sat on the mat and the dog sat on the log. " * 60).encode(), np.uint8).astype(
        np.int32
    )
    memory = Memory(text, 256, 4, n_folds=4)
    recall = Recall(4, 8)
    history_BH = torch.from_numpy(np.stack([text[i : i + 4] for i in range(500)]))
    told = [t[:, None] for t in memory.ask(history_BH, torch.zeros(500, dtype=torch.int64))]

    def nats():
        logits = recall(torch.zeros(500, 1, 8), *told)[:, 0]
        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(text[4:504]).long()).item()

    before = nats()
    recall.fit(memory, torch.from_numpy(text), torch.Generator().manual_seed(0))
    assert nats() < 0.8 * before


@pytest.mark.parametrize("n", [0, 1, 3, 4, 7, 1001])
def test_folds_are_contiguous_parts(n):
    np.testing.assert_array_equal(fold_of_each(n, 4), np.arange(n) * 4 // max(n, 1))


def test_a_long_question_is_answered_as_short_ones_are(monkeypatch):
    memory = Memory(TOKENS, 5, 3, n_folds=4)
    history_BH, fold_B = torch.from_numpy(TOKENS).unfold(0, 3, 1)[:50], torch.arange(50) % 4
    whole = memory.ask(history_BH, fold_B), memory.ask(history_BH)
    monkeypatch.setattr(memory_module, "MOST_NUMBERS", 7 * 20)
    torch.testing.assert_close((memory.ask(history_BH, fold_B), memory.ask(history_BH)), whole)
