"""Prediction of tokens bit by bit, by many short memories that learn while they are asked: nothing is trained before.

After Mahoney's PAQ (2005, http://mattmahoney.net/dc/paq1.pdf), but over many places of a text at once, so that numpy
does the work. A token is written as bits, the highest first, four to a digit. For each context (the last 0..6 tokens,
the word so far, ...) a hashed slot remembers what followed, at each of the 15 nodes of a digit's tree: a *state* (which
bits were seen, of late) and a slow average. What a state is worth is itself learned. Logistic mixing weighs all these
answers, and a last stage corrects the mixture where it is wrong in a regular way.
Dimension key: S places (streams), K contexts, I inputs of the mixer, C choices of weights, V tokens, L steps.
"""

import math

import numpy as np

from twofold.nn.mixing import GOLDEN, STRETCH, Correction, Mixer

__all__ = ["Adaptive", "byte_letters"]

MAX_ORDER = 6
MATCH_LENGTH = 6  # tokens that must agree before a match is believed
LONGEST_LOOK = 32
MAX_SLOTS_LOG2 = 20
COUNT_LIMIT = 255  # a slow average forgets after so many bits
STATE_LIMIT = 1023  # and so does the worth of a state
MATCH_LIMIT = 500
LEAN = 3  # log odds tell sure from surer; this input, from -3 to 3, tells likely from unlikely
N_PAIRS = 1024  # sets of weights for the last two tokens, hashed
HALF = np.uint32(1 << 31)
MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
WORD_MULTIPLIER = np.uint64(0x2545F4914F6CDD1D)


def byte_letters() -> np.ndarray:
    """(256,) 0 for bytes that end a word, else the letter, small; bytes beyond ASCII count as letters."""
    letters = [ord(chr(b).lower()) if chr(b).isalpha() else 0 for b in range(128)]
    return np.array(letters + list(range(128, 256)), np.uint64)


# ---- tables ----------------------------------------------------------------------------------------

RATE = np.array([1 / (n + 1.35) for n in range(1024)])  # of a slow average that has seen n bits


def _states() -> list[tuple[int, int, int]]:
    """(zeros, ones, last bit): what a node remembers; the more of one bit, the fewer of the other it can tell apart."""
    most = {0: 40, 1: 24, 2: 12, 3: 8, 4: 6, 5: 5}
    pairs = [(a, b) for a in range(41) for b in range(41) if max(a, b) <= most.get(min(a, b), -1)]
    states = [(a, b, last) for a, b in pairs for last in ((0, 1) if a and b else (int(b > 0),))]
    return sorted(states, key=lambda state: state[0] + state[1])


def _next_state(state: tuple[int, int, int], bit: int, known: set[tuple[int, int, int]]) -> tuple[int, int, int]:
    seen = [state[0], state[1]]
    seen[bit] += 1
    # a surprise makes the past count less: what was true for long may be over
    if seen[1 - bit] > 3:
        seen[1 - bit] = min(seen[1 - bit], int(math.log2(seen[1 - bit])) + 2)
    while (after := (seen[0], seen[1], bit if min(seen) else int(seen[1] > 0))) not in known:
        seen[int(seen[1] > seen[0])] -= 1
    return after


STATES = _states()
_PLACES = {state: place for place, state in enumerate(STATES)}
NEXT = np.array([[_PLACES[_next_state(s, bit, set(STATES))] for s in STATES] for bit in (0, 1)], np.uint8)
ZEROS, ONES = (np.array([state[bit] for state in STATES] + [0] * (256 - len(STATES)), np.float64) for bit in (0, 1))


# ---- memories --------------------------------------------------------------------------------------


class Slots:
    """What followed each context, in hashed slots of 16 entries: a check byte, then the 15 nodes of a digit's tree."""

    def __init__(self, n_contexts: int, n_symbols: int):
        self.log2 = min(max(10, (2 * n_symbols).bit_length()), MAX_SLOTS_LOG2)
        self.state = np.zeros(n_contexts * 16 << self.log2, np.uint8)
        # 22 bits of probability, off by one half so that fresh memory is zero; 10 bits of count
        self.average = np.zeros(n_contexts * 16 << self.log2, np.uint32)
        self.first_K1 = np.arange(n_contexts)[:, None] << (self.log2 + 4)
        self.row_K1 = np.arange(n_contexts)[:, None] * 256
        self.ones = np.tile(ONES + 0.4, n_contexts)
        self.total = np.tile(ONES + ZEROS + 0.8, n_contexts)
        self._weigh_states()

    def open(self, hash_KS: np.ndarray) -> None:
        """Find the slots of a digit's contexts; one that is new takes the place of the less used of two."""
        slot_KS = self.first_K1 + ((hash_KS >> np.uint64(64 - self.log2)).astype(np.int64) << 4)
        check_KS = (hash_KS >> np.uint64(20)).astype(np.uint8) | np.uint8(1)
        other_KS = slot_KS ^ 16
        is_here, is_there = self.state[slot_KS] == check_KS, self.state[other_KS] == check_KS
        spare_KS = self.state[other_KS + 1] < self.state[slot_KS + 1]
        self.slot_KS = np.where(~is_here & (is_there | spare_KS), other_KS, slot_KS)
        is_new = ~(is_here | is_there)
        new = self.slot_KS[is_new]
        self.state.reshape(-1, 16)[new >> 4] = 0
        self.average.reshape(-1, 16)[new >> 4] = 0
        self.state[new] = check_KS[is_new]

    def read(self, node_S: np.ndarray, input_IS: np.ndarray) -> np.ndarray:
        """Write 3 K inputs: by state, by average, by state without log odds; returns which are known (K, S)."""
        K = len(self.first_K1)
        self.at_KS = self.slot_KS + node_S
        self.state_KS, self.average_KS = self.state[self.at_KS], self.average[self.at_KS] ^ HALF
        self.worth_KS = self.row_K1 + self.state_KS
        input_IS[:K] = self.worth[self.worth_KS]
        input_IS[K : 2 * K] = STRETCH[self.average_KS >> np.uint32(20)]
        input_IS[2 * K : 3 * K] = self.lean[self.worth_KS]
        return self.state_KS > 0

    def learn(self, bit_S: np.ndarray) -> None:
        """Remember the bit that came."""
        self.state[self.at_KS] = NEXT[bit_S, self.state_KS]
        count_KS = (self.average_KS & np.uint32(1023)).astype(np.int64)
        chance_KS = (self.average_KS >> np.uint32(10)).astype(np.int64)
        chance_KS += (((bit_S << 22) - chance_KS) * RATE[count_KS]).astype(np.int64)
        np.clip(chance_KS, 1, (1 << 22) - 1, out=chance_KS)
        packed_KS = (chance_KS << 10) | np.minimum(count_KS + 1, COUNT_LIMIT)
        self.average[self.at_KS] = packed_KS.astype(np.uint32) ^ HALF
        _count(self.ones, self.total, self.worth_KS, np.broadcast_to(bit_S, self.worth_KS.shape), STATE_LIMIT)
        self._weigh_states()

    def _weigh_states(self) -> None:
        chance = self.ones / self.total
        self.worth = STRETCH[np.minimum(chance * 4096, 4095).astype(np.int64)]
        self.lean = (LEAN * (2 * chance - 1)).astype(np.float32)


def _count(ones: np.ndarray, total: np.ndarray, at: np.ndarray, bit: np.ndarray, limit: int) -> None:
    """Add bits to the counts at their places; what has counted long forgets half."""
    np.add.at(ones, at.ravel(), bit.ravel().astype(np.float64))
    np.add.at(total, at.ravel(), 1.0)
    if (full := total > limit).any():
        ones[full] *= 0.5
        total[full] *= 0.5


class Matcher:
    """The longest stretch of the past that ends as the text does now, and the token that followed it."""

    N_LENGTHS = 32

    def __init__(self, n_streams: int, n_steps: int, n_bits: int):
        S, self.n_bits = n_streams, n_bits
        self.past = np.zeros(S * (n_steps + 1), np.int64)  # stream after stream, each with one step to spare
        self.row_S = np.arange(S) * (n_steps + 1)
        self.log2 = min(max(10, (n_steps * S).bit_length()), 22)
        self.where = np.full(1 << self.log2, -1, np.int64)
        self.at_S, self.length_S = np.full(S, -1), np.zeros(S, np.int64)
        self.ones, self.total = np.linspace(2.8, 3.9, self.N_LENGTHS), np.full(self.N_LENGTHS, 4.0)

    def expect(self) -> None:
        """Look up the next token of each stream."""
        self.token_S = self.past[np.maximum(self.at_S, 0)] + (1 << self.n_bits)
        short_S = np.minimum(self.length_S, 15)
        self.level_S = short_S + np.clip((self.length_S - 12) >> 2, 0, 13)

    def read(self, node_S: np.ndarray, n_left: int, input_IS: np.ndarray) -> np.ndarray:
        """Write 2 inputs; returns how long the match is, as a level (S), 0 for none."""
        self.is_on_S = (self.at_S >= 0) & (self.token_S >> n_left == node_S)
        self.bit_S = (self.token_S >> (n_left - 1)) & 1
        self.now_S = np.where(self.is_on_S, self.level_S, 0)
        chance_S = self.ones[self.now_S] / self.total[self.now_S]
        sign_S = np.where(self.is_on_S, 2 * self.bit_S - 1, 0)
        input_IS[0] = STRETCH[(chance_S * 4096).astype(np.int64)] * sign_S
        input_IS[1] = np.minimum(self.length_S, 32) * sign_S * np.float32(1 / 16)
        return self.now_S

    def learn(self, bit_S: np.ndarray) -> None:
        """Count whether matches of this length were right."""
        _count(self.ones, self.total, self.now_S[self.is_on_S], (self.bit_S == bit_S)[self.is_on_S], MATCH_LIMIT)
        np.clip(self.ones, 0.02, self.total - 0.02, out=self.ones)

    def advance(self, token_S: np.ndarray, step: int, hash_S: np.ndarray) -> None:
        """Take in the tokens of this step; where no match goes on, look for another."""
        self.past[self.row_S + step] = token_S
        goes_on_S = (self.at_S >= 0) & (self.past[np.maximum(self.at_S, 0)] == token_S)
        slot_S = (hash_S >> np.uint64(64 - self.log2)).astype(np.int64)
        found_S = self.where[slot_S]
        length_S = self._agreement(found_S, step)
        found_S = np.where(length_S >= MATCH_LENGTH, found_S, -1)
        self.at_S = np.where(goes_on_S, self.at_S + 1, found_S)
        self.length_S = np.where(goes_on_S, self.length_S + 1, np.where(found_S >= 0, length_S, 0))
        self.where[slot_S] = self.row_S + step + 1

    def _agreement(self, found_S: np.ndarray, step: int) -> np.ndarray:
        """How many tokens before each found place are those before this one."""
        length_S = np.zeros(len(found_S), np.int64)
        agrees_S = found_S >= 0
        for back in range(1, min(LONGEST_LOOK, step + 1) + 1):
            agrees_S &= self.past[np.maximum(found_S - back, 0)] == self.past[self.row_S + step + 1 - back]
            agrees_S &= found_S >= back
            if not agrees_S.any():
                break
            length_S += agrees_S
        return length_S


# ---- all together ----------------------------------------------------------------------------------


class Adaptive:
    """Predicts the tokens of S streams in step, bit by bit, and learns from each bit at once.

    For each step: `start`, then `n_bits` times `predict` and `learn`. Two of these, told the same, say the same.

    Parameters
    ----------
    n_streams : S.
    n_steps : L, tokens of a stream.
    n_tokens : V.
    letter_V : 0 for tokens that end a word, else what letter it is; None where there are no words.
    has_expert : whether `start` is given an outside opinion, which then weighs most from the beginning.
    """

    def __init__(
        self, n_streams: int, n_steps: int, n_tokens: int, letter_V: np.ndarray | None = None, has_expert: bool = False
    ):
        self.n_bits = max(1, (n_tokens - 1).bit_length())
        self.letter_V, self.has_expert = letter_V, has_expert
        K = MAX_ORDER + 1 + (3 if letter_V is not None else 0)
        self.slots = Slots(K, n_streams * n_steps)
        self.matcher = Matcher(n_streams, n_steps, self.n_bits)
        start = 0.05 if has_expert else 0.2
        weight_I = np.repeat([start, start / 2, 0, start, start / 2, 0, 1], [K, K, K, 1, 1, 1, int(has_expert)])
        n_nodes = 16 * -(-self.n_bits // 4)
        self.mixer = Mixer(weight_I, [32 * self.n_bits, n_nodes, 256, N_PAIRS, n_nodes // 4 * (MAX_ORDER + 1)], n_nodes)
        self.correction = Correction(3, min(16, self.slots.log2))
        self.input_IS = np.empty((len(weight_I), n_streams), np.float32)
        self.salt_K1 = (np.arange(1, K + 1).astype(np.uint64) * GOLDEN)[:, None]
        self.recent_KS = np.zeros((MAX_ORDER, n_streams), np.uint64)  # the nearest first
        self.word_3S = np.zeros((3, n_streams), np.uint64)  # this word so far, the last, the one before
        self.step = 0

    def start(self, expert_SV: np.ndarray | None = None) -> None:
        """Begin a token; `expert_SV` are an outsider's probabilities for it."""
        self.hash_KS = self._contexts() * MULTIPLIER + self.salt_K1
        self.node_S = np.ones(self.input_IS.shape[1], np.int64)  # a one, then the bits so far
        self.n_left = self.n_bits
        self.matcher.expect()
        if self.has_expert:
            mass_SV = np.zeros((len(expert_SV), (1 << self.n_bits) + 1))
            mass_SV[:, 1 : expert_SV.shape[1] + 1] = np.maximum(expert_SV, 0) + 1e-9
            self.mass_SV = np.cumsum(mass_SV, 1)

    def _contexts(self) -> np.ndarray:
        """(K, S): hashes of the last 0, 1, .. tokens, and of the word so far, alone and with the words before."""
        hashes = [np.zeros_like(self.recent_KS[0])]
        for token_S in self.recent_KS:
            hash_S = (hashes[-1] + token_S + np.uint64(1)) * MULTIPLIER
            hashes.append(hash_S ^ (hash_S >> np.uint64(29)))
        if self.letter_V is not None:
            word_S, last_S, before_S = self.word_3S
            hashes += [word_S, word_S + last_S * GOLDEN, word_S + before_S * GOLDEN]
        return np.stack(hashes)

    def predict(self) -> np.ndarray:
        """The probabilities (S) that the next bit is one, in multiples of 1/65536."""
        if self.n_left % 4 == 0 or self.n_left == self.n_bits:
            hash_KS = (self.hash_KS + self.node_S.astype(np.uint64)) * WORD_MULTIPLIER
            self.slots.open((hash_KS ^ (hash_KS >> np.uint64(32))) * GOLDEN)
            self.digit_node_S = np.ones_like(self.node_S)
        K = len(self.hash_KS)
        is_known_KS = self.slots.read(self.digit_node_S, self.input_IS)
        level_S = self.matcher.read(self.node_S, self.n_left, self.input_IS[3 * K :])
        self.input_IS[3 * K + 2] = 0.3  # a bias
        if self.has_expert:
            self.input_IS[-1] = self._expert_odds()
        odds_S = self._mixed(is_known_KS[1 : MAX_ORDER + 1].sum(0), level_S)
        hash_S = self.node_S.astype(np.uint64)
        near_CS = np.stack([self.recent_KS[0] << np.uint64(16), self.hash_KS[2], self.hash_KS[4]]) + hash_S
        first_S, second_S, third_S = self.correction.read(odds_S, near_CS)
        chance_S = (2 * self.mixer.chance_S + first_S + 2 * second_S + third_S) / np.float32(6)
        return np.clip(np.rint(chance_S * np.float32(65536)), 1, 65535) / np.float32(65536)

    def _mixed(self, n_known_S: np.ndarray, level_S: np.ndarray) -> np.ndarray:
        # weights go by match and bit, the bits so far, the token before, the last two, and how long a context is known
        n_later = (self.n_left - 1) // 4
        node_S = n_later * 16 + self.digit_node_S
        known_S = (n_known_S * 4 + np.minimum(level_S // 8, 3)) * (self.mixer.n_nodes // 16) + n_later
        last_S = (self.recent_KS[0] & np.uint64(255)).astype(np.int64)
        pair_S = (self.hash_KS[2] >> np.uint64(54)).astype(np.int64)
        set_CS = np.stack([level_S * self.n_bits + self.n_left - 1, node_S, last_S, pair_S, known_S])
        return self.mixer.mix(self.input_IS, set_CS, node_S)

    def _expert_odds(self) -> np.ndarray:
        row_S, width = np.arange(len(self.node_S)), 1 << self.n_left
        low_S = self.node_S * width - (1 << self.n_bits)
        low, middle, high = (self.mass_SV[row_S, low_S + part] for part in (0, width // 2, width))
        odds_S = np.log((high - middle + 1e-12) / (middle - low + 1e-12))
        return np.clip(np.rint(odds_S * 256) / 256, -12, 12)

    def learn(self, bit_S: np.ndarray) -> None:
        """Take in the bits that came (S), int64."""
        for part in (self.slots, self.matcher, self.mixer, self.correction):
            part.learn(bit_S)
        self.node_S = self.node_S * 2 + bit_S
        self.digit_node_S = self.digit_node_S * 2 + bit_S
        self.n_left -= 1
        if not self.n_left:
            self._finish(self.node_S - (1 << self.n_bits))

    def _finish(self, token_S: np.ndarray) -> None:
        self.recent_KS = np.concatenate([token_S[None].astype(np.uint64), self.recent_KS[:-1]])
        if self.letter_V is not None:
            letter_S, (word_S, last_S, before_S) = self.letter_V[token_S], self.word_3S
            is_end_S = (letter_S == 0) & (word_S > 0)
            longer_S = np.where(letter_S > 0, (word_S + letter_S) * WORD_MULTIPLIER, np.uint64(0))
            self.word_3S = np.stack(
                [longer_S, np.where(is_end_S, word_S, last_S), np.where(is_end_S, last_S, before_S)]
            )
        self.matcher.advance(token_S, self.step, self._contexts()[MATCH_LENGTH] * GOLDEN)
        self.step += 1
