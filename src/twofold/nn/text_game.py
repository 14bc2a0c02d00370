"""The two players of a GAN of short texts: a generator that begins as a Markov chain, and a discriminator.

The generator writes a draft letter by letter, as an automaton (nn/automaton.py) with a die: noise decides each letter.
A convolutional network reads the whole draft and moves the chances of all letters at once; the same die is cast again.
At the start it moves nothing, and the draft is the text.
Jang, Gu, Poole 2017 (letters by Gumbel's trick, straight through), https://arxiv.org/abs/1611.01144.
Dimension key: B texts, T letters of the longest, A letters of the alphabet (0: the end), S states of the automaton,
E more noise, C classes, F channels, Z = T A + E numbers of noise.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.automaton import Automaton

__all__ = ["TextDiscriminator", "TextGenerator"]

WARMTH = 0.5  # of the softmax by which letters are learned
STEP = 3.0  # of what is added to logits
RARE = 1e-5
KERNEL = 5
DEPTH = 2


class Reader(nn.Module):
    """Reads a text both ways: convolutions that add to what they are given; outputs for each letter."""

    def __init__(self, n_inputs: int, n_outputs: int, dim: int):
        super().__init__()
        self.first, self.last = nn.Conv1d(n_inputs, dim, KERNEL, padding="same"), nn.Conv1d(dim, n_outputs, 1)
        self.ins = nn.ModuleList(nn.Conv1d(dim, dim, KERNEL, padding="same") for _ in range(DEPTH))
        self.outs = nn.ModuleList(nn.Conv1d(dim, dim, 1) for _ in range(DEPTH))
        for layer in self.outs:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BIT: Tensor) -> Tensor:
        """(B, outputs, T)."""
        h_BFT = _bent(self.first(x_BIT))
        for inner, outer in zip(self.ins, self.outs, strict=True):
            h_BFT = h_BFT + outer(_bent(inner(h_BFT)))
        return self.last(_bent(h_BFT))


class TextGenerator(nn.Module):
    """Texts from noise; before any training those of an automaton.

    Parameters
    ----------
    length : T.
    n_letters : A.
    n_states : S, at most.
    n_more : E.

    Examples
    --------
    >>> generator = TextGenerator(5, 3, 1, dim=8, n_more=4, n_classes=1)
    >>> generator(torch.randn(2, generator.n_noise), torch.zeros(2, dtype=torch.int64)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(self, length: int, n_letters: int, n_states: int, *, dim: int, n_more: int, n_classes: int):
        super().__init__()
        self.length, self.n_letters, self.n_classes = length, n_letters, n_classes
        self.n_noise = length * n_letters + n_more
        self.network = Reader(2 * n_letters + n_more + n_classes, n_letters, dim)
        nn.init.zeros_(self.network.last.weight)
        nn.init.zeros_(self.network.last.bias)
        self.register_buffer("logit_SA", torch.zeros(n_states, n_letters))
        self.register_buffer("next_SA", torch.zeros(n_states, n_letters, dtype=torch.int64))

    @torch.no_grad()
    def begin(self, automaton: Automaton) -> None:
        """Write as this automaton does."""
        S = len(automaton.chance_SA)
        self.logit_SA[:S].copy_(torch.from_numpy(automaton.chance_SA).clamp_min(RARE).log())
        self.next_SA[:S].copy_(torch.from_numpy(automaton.next_SA))

    def forward(self, noise_BZ: Tensor, class_B: Tensor) -> Tensor:
        """Letters as ones among zeros, (B, T, A); from the end on, ends."""
        with torch.autocast(noise_BZ.device.type, enabled=False):
            B, T, A = len(noise_BZ), self.length, self.n_letters
            chance_BZ, more_BE = noise_BZ.float().split([T * A, noise_BZ.shape[1] - T * A], 1)
            chance_BTA = torch.special.ndtr(chance_BZ).clamp(1e-6, 1 - 1e-6).view(B, T, A)
            die_BTA = -(-chance_BTA.log()).log()
            draft_BTA, logit_BTA = self.drafted(die_BTA)
            told_BC = torch.cat([more_BE, functional.one_hot(class_B, self.n_classes).to(more_BE.dtype)], 1)
            input_BTI = torch.cat([draft_BTA, logit_BTA / 4, told_BC[:, None].expand(-1, T, -1)], 2)
            added_BTA = self.network(input_BTI.transpose(1, 2)).transpose(1, 2)
            return chosen(logit_BTA + die_BTA + STEP * added_BTA)

    @torch.no_grad()
    def drafted(self, die_BTA: Tensor) -> tuple[Tensor, Tensor]:
        """Letters as the automaton writes them, and their log chances (B, T, A); it goes on beyond the end."""
        state_B = die_BTA.new_zeros(len(die_BTA), dtype=torch.int64)
        logits, letters = [], []
        for t in range(self.length):
            logits.append(self.logit_SA[state_B])
            letters.append((logits[-1] + die_BTA[:, t]).argmax(1))
            state_B = self.next_SA[state_B, letters[-1]]
        letter_BT = torch.stack(letters, 1)
        ended_BT = (letter_BT == 0).cumsum(1) > 0
        return functional.one_hot(letter_BT * ~ended_BT, self.n_letters).to(die_BTA.dtype), torch.stack(logits, 1)


class TextDiscriminator(nn.Module):
    """A score of how real each text looks.

    Examples
    --------
    >>> TextDiscriminator(5, 3, dim=8, n_classes=1)(torch.zeros(2, 5, 3), torch.zeros(2, dtype=torch.int64)).shape
    torch.Size([2])
    """

    def __init__(self, length: int, n_letters: int, *, dim: int, n_classes: int):
        super().__init__()
        self.n_classes = n_classes
        self.network = Reader(n_letters + n_classes, dim, dim)
        self.first, self.last = nn.Linear(length * dim, dim), nn.Linear(dim, 1)

    def forward(self, letter_BTA: Tensor, class_B: Tensor) -> Tensor:
        """(B), higher = more real."""
        with torch.autocast(letter_BTA.device.type, enabled=False):
            class_BC = functional.one_hot(class_B, self.n_classes).to(letter_BTA.dtype)
            input_BTI = torch.cat([letter_BTA, class_BC[:, None].expand(-1, letter_BTA.shape[1], -1)], 2)
            h_BD = self.first(_bent(self.network(input_BTI.transpose(1, 2))).flatten(1))
            return self.last(_bent(h_BD))[:, 0]


def chosen(logit_BTA: Tensor) -> Tensor:
    """The likeliest letters as ones among zeros, ends from the first end on; gradients are those of a softmax."""
    soft_BTA, letter_BT = torch.softmax(logit_BTA / WARMTH, 2), logit_BTA.argmax(2)
    is_before_BT = (letter_BT == 0).cumsum(1) == 0
    hard_BTA = functional.one_hot(letter_BT * is_before_BT, logit_BTA.shape[2]).to(soft_BTA.dtype)
    # letters behind the end are not seen: nothing is learned of them; of the end itself it is
    is_seen_BT1 = torch.cat([torch.ones_like(is_before_BT[:, :1]), is_before_BT[:, :-1]], 1)[:, :, None]
    return hard_BTA + is_seen_BT1 * (soft_BTA - soft_BTA.detach())


def _bent(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)
