"""The network that writes captions: its search finds what trying everything finds."""

import itertools

import pytest
import torch

from twofold.nn.captioner import END, PAD, UNKNOWN, Captioner, Vocabulary, sample_captions, search_captions


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Captioner(n_words=5, n_look=2, n_foretold=3, dim=8).eval()


LOOK, LIFT = torch.tensor([[1.0, -1.0], [0.5, 2.0]]), torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])


def log_probability(network, sentence, picture):
    look, lift = LOOK[picture : picture + 1], LIFT[picture : picture + 1]
    seen = memory = network.begin(look, lift)
    total, word = 0.0, END
    for following in [*sentence, END]:
        logit, memory = network.logits(torch.tensor([[word]]), seen, memory, lift)
        logit[..., UNKNOWN] = -torch.inf
        total += float(logit[0, 0].log_softmax(0)[following])
        word = following
    return total


@torch.inference_mode()
def test_a_wide_search_finds_the_likeliest_sentences_of_all(network):
    found = search_captions(network, LOOK, LIFT, width=40, longest=4)
    for picture in (0, 1):
        every = [
            (list(s), log_probability(network, s, picture))
            for n in (1, 2, 3) for s in itertools.product((2, 3, 4), repeat=n)
        ]  # fmt: skip
        every.sort(key=lambda pair: -pair[1])
        assert [s for s, _ in found[picture][:5]] == [s for s, _ in every[:5]]
        assert [p for _, p in found[picture][:5]] == pytest.approx([p for _, p in every[:5]], abs=1e-4)


def test_a_search_for_several_pictures_is_the_search_for_each(network):
    both = search_captions(network, LOOK, LIFT, width=3, longest=6)
    each = [search_captions(network, LOOK[b : b + 1], LIFT[b : b + 1], width=3, longest=6)[0] for b in (0, 1)]
    for one, other in zip(both, each, strict=True):
        assert [s for s, _ in one] == [s for s, _ in other]


def test_unknown_words_are_never_written_and_no_caption_is_empty(network):
    with torch.no_grad():
        network.often_V[UNKNOWN], network.often_V[END] = 9.0, 9.0
    found = [s for one in search_captions(network, LOOK, LIFT, width=4, longest=5) for s, _ in one]
    generator = torch.Generator().manual_seed(0)
    found += [
        s for s, _ in sample_captions(network, LOOK, LIFT, longest=5, temperature=1.0, generator=generator)
    ]  # fmt: skip
    assert all(found)
    assert not {UNKNOWN, END, PAD} & {word for s in found for word in s}


def test_a_drawn_caption_comes_with_its_probability(network):
    generator = torch.Generator().manual_seed(1)
    drawn = sample_captions(network, LOOK, LIFT, longest=30, temperature=0.7, generator=generator)
    with torch.inference_mode():
        for picture, (sentence, score) in enumerate(drawn):
            assert score == pytest.approx(log_probability(network, sentence, picture), abs=1e-4)


def test_a_word_foretold_is_likelier_to_be_written(network):
    with torch.inference_mode():
        first = [
            network.next_words(torch.tensor([END]), (network.begin(LOOK[:1], LIFT[:1]),) * 2 + (lift,))[0][0, 2]
            for lift in (torch.zeros(1, 3), torch.tensor([[2.0, 0.0, 0.0]]))
        ]
    assert first[1] > first[0] + 0.3


def test_words_said_once_are_unknown_unless_most_are():
    assert Vocabulary.of([["a", "dog"], ["a", "dog"], ["a", "cat"]]).words == ["a", "dog"]
    assert Vocabulary.of([["b", "a"], ["c", "a"], ["d"]]).words == ["a", "b", "c", "d"]


def test_a_long_sentence_is_cut_and_a_short_one_filled_up():
    vocabulary = Vocabulary(["a", "dog"])
    assert vocabulary.encode(["a", "dog", "a"], 2) == [2, 3]
    assert vocabulary.encode(["a", "cow"], 5) == [2, UNKNOWN, END, PAD, PAD]
    assert vocabulary.decode([2, 3]) == ["a", "dog"]
