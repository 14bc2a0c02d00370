"""A network that writes a caption word by word: the next word, given a picture's features and the words so far.

A recurrent network that begins with the picture. What a ridge regression foretells of the picture's words is added to
its scores, as far as the network finds that it should count at this place of the sentence: of a few hundred pictures
the network can learn how sentences go, but hardly how things look.

Vinyals et al. 2015, Show and tell, https://arxiv.org/abs/1411.4555; Cho et al. 2014 (GRU),
https://arxiv.org/abs/1406.1078
Dimension key: B pictures, W sentences of the search each, S = B W, T words of a sentence, V words of the vocabulary,
R numbers of a look at a picture, M words foretold, D width.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["END", "PAD", "UNKNOWN", "Captioner", "Vocabulary", "sample_captions", "search_captions"]

END, UNKNOWN = 0, 1  # the first two words: the end, also what stands before the first word; and a word not known
PAD = -1  # after the end of a sentence
LEAST_SHARE = 0.5  # of all words said that the known ones must make up, before those said once are left out

Drop = Callable[[Tensor], Tensor]
Written = list[tuple[list[int], float]]
"""Sentences, each with the log of its probability, the likeliest first."""


class Vocabulary:
    """Words by number, the commonest first.

    Words said once are not known, and never written, unless most words are such.

    Examples
    --------
    >>> vocabulary = Vocabulary.of([["a", "dog"], ["a", "dog", "runs"]])
    >>> vocabulary.words, vocabulary.encode(["a", "cat"], 4)
    (['a', 'dog'], [2, 1, 0, -1])
    """

    def __init__(self, words: Sequence[str]):
        self.words = list(words)
        self.number = {word: n for n, word in enumerate(self.words, start=2)}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> "Vocabulary":
        """The words of these sentences."""
        counts = Counter(word for sentence in sentences for word in sentence)
        # ties by the alphabet: the order must not hang on the order of the sentences
        order = sorted(counts, key=lambda word: (-counts[word], word))
        often = [word for word in order if counts[word] > 1]
        is_enough = sum(counts[word] for word in often) >= LEAST_SHARE * counts.total()
        return cls(often if is_enough else order)

    def __len__(self) -> int:
        return len(self.words) + 2

    def encode(self, sentence: Sequence[str], longest: int) -> list[int]:
        """Numbers of the words and the end, `longest` of them: cut off, or filled up with PAD."""
        numbers = [self.number.get(word, UNKNOWN) for word in sentence] + [END]
        return (numbers + [PAD] * longest)[:longest]

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """The words of these numbers."""
        return [self.words[n - 2] for n in numbers]


class Captioner(nn.Module):
    """The network.

    Parameters
    ----------
    n_words, n_look, n_foretold : V, R, M; the words foretold are the first M of the vocabulary.
    dim : D.
    """

    def __init__(self, n_words: int, n_look: int, n_foretold: int, dim: int):
        super().__init__()
        self.n_words, self.n_foretold = n_words, n_foretold
        self.embedding = nn.Embedding(n_words, dim)
        self.look = nn.Linear(n_look, dim)
        self.told = nn.Linear(n_foretold, dim, bias=False)
        self.memory = nn.GRU(2 * dim, dim, batch_first=True)
        self.head = nn.Linear(dim, dim)
        self.trust = nn.Linear(dim, 1)
        self.often_V = nn.Parameter(torch.zeros(n_words))
        nn.init.normal_(self.embedding.weight, std=0.3)
        nn.init.normal_(self.told.weight, std=0.02)

    def begin(self, look_BR: Tensor, lift_BM: Tensor, drop: Drop = lambda x: x) -> Tensor:
        """What is kept of the pictures, (B, D).

        `lift` is the log of how much likelier each word is foretold to be here than elsewhere.
        """
        return torch.tanh(self.look(drop(look_BR)) + self.told(drop(lift_BM)))

    def logits(
        self, before_BT: Tensor, seen_BD: Tensor, memory_BD: Tensor, lift_BM: Tensor, drop: Drop = lambda x: x
    ) -> tuple[Tensor, Tensor]:
        """Scores (B, T, V) of the word after each of these, and the memory (B, D) after the last."""
        seen_BTD = drop(seen_BD)[:, None].expand(-1, before_BT.shape[1], -1)
        x_BTD = torch.cat([drop(self.embedding(before_BT)), seen_BTD], 2)
        x_BTD, memory_1BD = self.memory(x_BTD, memory_BD[None].contiguous())
        own_BTV = functional.linear(self.head(drop(x_BTD)), self.embedding.weight, self.often_V)
        lift_BV = functional.pad(lift_BM, (2, self.n_words - 2 - self.n_foretold))
        return own_BTV + torch.sigmoid(self.trust(x_BTD)) * lift_BV[:, None], memory_1BD[0]

    def next_words(self, word_B: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, V) of what may be written after this word, and the memory after it."""
        logit_BTV, memory_BD = self.logits(word_B[:, None], *state)
        logit_BTV[:, :, UNKNOWN] = -torch.inf
        return logit_BTV[:, 0].log_softmax(1), memory_BD


@torch.inference_mode()
def search_captions(network: Captioner, look_BR: Tensor, lift_BM: Tensor, *, width: int, longest: int) -> list[Written]:
    """The likeliest sentences that a search finds which keeps the `width` best beginnings, about 2 width a picture."""
    B, V = len(look_BR), network.n_words
    seen_SD = network.begin(look_BR, lift_BM).repeat_interleave(width, 0)
    lift_SM, memory_SD = lift_BM.repeat_interleave(width, 0), seen_SD
    word_S = torch.full((B * width,), END, device=look_BR.device)
    # all beginnings are the same one at first
    score_BW = torch.full((B, width), -torch.inf, device=look_BR.device)
    score_BW[:, 0] = 0.0
    begun: list[list[list[int]]] = [[[] for _ in range(width)] for _ in range(B)]
    done: list[Written] = [[] for _ in range(B)]
    for place in range(longest):
        log_SV, memory_SD = network.next_words(word_S, (seen_SD, memory_SD, lift_SM))
        if place == 0:
            log_SV[:, END] = -torch.inf
        total_BX = (score_BW.flatten()[:, None] + log_SV).view(B, -1)
        ended_BW = total_BX.view(B, width, V)[:, :, END]
        best_BX = total_BX.topk(min(2 * width, total_BX.shape[1]), 1).values[:, -1]
        for b, w in (torch.isfinite(ended_BW) & (ended_BW >= best_BX[:, None])).nonzero().tolist():
            done[b].append((begun[b][w], float(ended_BW[b, w])))
        ended_BW.fill_(-torch.inf)
        score_BW, chosen_BW = total_BX.topk(width, 1)
        from_BW, word_S = chosen_BW // V, (chosen_BW % V).flatten()
        begun = [
            [[*begun[b][w], n] for w, n in zip(froms, words, strict=True)]
            for b, (froms, words) in enumerate(
                zip(from_BW.tolist(), word_S.view(B, width).tolist(), strict=True)
            )
        ]  # fmt: skip
        memory_SD = memory_SD[(from_BW + width * torch.arange(B, device=from_BW.device)[:, None]).flatten()]
        if min(map(len, done)) >= 2 * width:
            break
    unended = [[(begun[b][0], float(score_BW[b, 0]))] for b in range(B)]
    return [
        sorted(found, key=lambda one: -one[1])
        for found in (own or rest for own, rest in zip(done, unended, strict=True))
    ]


@torch.inference_mode()
def sample_captions(
    network: Captioner, look_BR: Tensor, lift_BM: Tensor, *, longest: int, temperature: float,
    generator: torch.Generator,
) -> Written:  # fmt: skip
    """A drawn sentence for each picture."""
    seen_BD = memory_BD = network.begin(look_BR, lift_BM)
    word_B = torch.full((len(look_BR),), END, device=look_BR.device)
    total_B, is_open_B = torch.zeros(len(look_BR), device=look_BR.device), word_B == END
    drawn = []
    for place in range(longest):
        log_BV, memory_BD = network.next_words(word_B, (seen_BD, memory_BD, lift_BM))
        if place == 0:
            log_BV[:, END] = -torch.inf
        word_B = torch.multinomial((log_BV / temperature).softmax(1), 1, generator=generator)[:, 0]
        total_B = total_B + torch.where(is_open_B, log_BV.gather(1, word_B[:, None])[:, 0], 0.0)
        is_open_B = is_open_B & (word_B != END)
        drawn.append(torch.where(is_open_B, word_B, END))
    rows = torch.stack(drawn, 1).tolist()
    return [([n for n in row if n != END], score) for row, score in zip(rows, total_B.tolist(), strict=True)]
