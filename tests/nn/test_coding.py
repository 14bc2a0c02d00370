import random

import numpy as np
import pytest

from twofold.errors import DataError
from twofold.nn.coding import compress_bytes, decode_tokens, decompress_bytes, encode_tokens, stream_lengths

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.", "Größe, Straße, Übermut", "Съешь же ещё этих мягких булок",
    "敏捷的棕色狐狸", "🦊🐶👩‍👩‍👧", "مرحبا بالعالم", "def f(x):\n\treturn x ** 2\r\n",
    "\x00\x01\x02", "aaaaaaaaaaaaaaa",
]  # fmt: skip


def strange_texts(n, longest):
    """Empty, one byte, binary, repeated, scripts mixed, bytes that are no UTF-8."""
    rng = random.Random(0)
    texts = [b"", b"\x00", b"\xff", b"a", bytes(range(256)), b"\xff\xfe" * 9, b"\n" * 500]
    while len(texts) < n:
        size = int(longest ** rng.random())
        kind = rng.randrange(4)
        if kind == 0:
            texts.append(rng.randbytes(size))
        elif kind == 1:
            texts.append(rng.randbytes(3) * (size // 3 + 1))
        else:
            text = " ".join(rng.choice(SENTENCES) for _ in range(size // 20 + 1)).encode()
            texts.append(text[: max(1, size)] if kind == 2 else text[1:size] + b"\x80")
    return texts


def test_strange_texts_come_back_byte_for_byte():
    for text in strange_texts(40, 300):
        assert decompress_bytes(compress_bytes(text)) == text


def test_english_is_written_in_less_than_xz_needs():
    import lzma

    sentences = "the cat and the dog saw a bird on that old tree by our house when rain fell".split()
    text = " ".join(random.Random(0).choices(sentences, k=1500)).encode()
    packed = compress_bytes(text)
    assert len(packed) < 0.8 * len(lzma.compress(text, preset=9))
    assert decompress_bytes(packed) == text


def test_noise_grows_by_17_bytes_at_most():
    for size in (0, 1, 100, 3000):
        assert len(compress_bytes(random.Random(size).randbytes(size))) <= size + 17


def test_each_of_2000_flipped_bytes_is_noticed():
    data, rng = compress_bytes(b"to be or not to be, that is the question: " * 9), random.Random(0)
    for _ in range(2000):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        with pytest.raises(DataError, match="damaged"):
            decompress_bytes(bytes(spoilt))


def test_what_is_cut_short_or_goes_on_is_noticed():
    data = compress_bytes(b"to be or not to be")
    for spoilt in [data[:size] for size in range(len(data))] + [data + b"\x00"]:
        with pytest.raises(DataError, match="damaged"):
            decompress_bytes(spoilt)


@pytest.mark.parametrize("n_tokens", [2, 81, 4096])
@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 500])
def test_tokens_of_every_vocabulary_come_back(n, n_tokens):
    token_N = np.random.default_rng(n).integers(0, n_tokens, n)
    again_N = decode_tokens(encode_tokens(token_N, n_tokens), n, n_tokens)
    assert again_N.dtype == np.int32 and again_N.tolist() == token_N.tolist()


class Echo:
    """Expects each token to be one more than the last; notes what it was told."""

    def start(self, n_streams):
        self.token_S, self.heard = np.zeros(n_streams, np.int64), []

    def probabilities(self):
        return np.where(np.arange(20) == (self.token_S[:, None] + 1) % 20, 0.9, 0.1 / 19)

    def read(self, token_S):
        self.token_S = token_S
        self.heard.append(token_S.tolist())


def test_an_expert_who_knows_saves_bits_and_both_ends_tell_it_the_same():
    rng = np.random.default_rng(0)
    token_N = np.cumsum(np.where(rng.random(700) < 0.95, 1, rng.integers(0, 20, 700))) % 20
    sender, receiver = Echo(), Echo()
    data = encode_tokens(token_N, 20, sender)
    assert decode_tokens(data, 700, 20, receiver).tolist() == token_N.tolist()
    assert sender.heard == receiver.heard
    assert len(data) < len(encode_tokens(token_N, 20))


@pytest.mark.parametrize("n", [0, 1, 15, 16, 1000, 12345, 10**6, 10**9])
def test_streams_share_the_tokens_evenly(n):
    length_S = stream_lengths(n)
    assert length_S.sum() == n and 0 <= length_S.max() - length_S.min() <= 1


def test_tokens_outside_the_vocabulary_are_refused():
    with pytest.raises(DataError, match="Allowed: 0 to 4"):
        encode_tokens(np.array([1, 5]), 5)


def test_more_tokens_than_the_bytes_can_hold_are_refused_before_anything_is_allocated():
    with pytest.raises(DataError, match="cannot hold"):
        decode_tokens(bytes(8), 10**12, 256)


def test_any_bytes_at_all_decode_or_are_refused():
    rng = random.Random(0)
    for _ in range(20):
        try:
            decode_tokens(rng.randbytes(4 * rng.randrange(6)), 40, 20)
        except DataError:
            continue
