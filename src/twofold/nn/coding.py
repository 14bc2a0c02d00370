"""Lossless coding of tokens and bytes: what is predicted well takes few bits.

The tokens are cut into S streams of equal length, coded in step, so that one prediction serves S places. One range
coder (constriction) takes all their bits. The decoder runs the encoder's very path, prediction by prediction.
Dimension key: S streams, L steps, N tokens, V tokens of the vocabulary.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

import constriction
import numpy as np

from twofold.errors import DataError
from twofold.nn.adaptive import Adaptive, byte_letters

__all__ = ["Expert", "compress_bytes", "decode_tokens", "decompress_bytes", "encode_tokens", "stream_lengths"]

MAX_STREAMS = 1024
STREAM_LENGTH = 32  # tokens a stream for each stream there is: short texts in few, a megabyte in 186
FRAME = struct.Struct("<BQI")  # how it is stored, bytes of the original, their CRC32; then the CRC32 of all the rest
CHECKSUM = struct.Struct("<I")
PLAIN, PREDICTED = 0, 1
# a bit costs at least log2(65536/65535), so a byte of the file stands for less than this many
MOST_BYTES = 50_000
BIT = constriction.stream.model.Bernoulli(perfect=False)


class Expert(Protocol):
    """An outside opinion on the next token of each stream, such as a language model."""

    def start(self, n_streams: int) -> None:
        """Begin: nothing has been read."""

    def probabilities(self) -> np.ndarray:
        """(S, V) float64: for the next token of each stream."""

    def read(self, token_S: np.ndarray) -> None:
        """Take in the tokens that came."""


def stream_lengths(n: int) -> np.ndarray:
    """How many of `n` tokens each stream has: the first ones, perhaps, one more than the others."""
    S = int(min(MAX_STREAMS, max(1, (n // STREAM_LENGTH) ** 0.5)))
    return n // S + (np.arange(S) < n % S)


def encode_tokens(
    token_N: np.ndarray, n_tokens: int, expert: Expert | None = None, letter_V: np.ndarray | None = None
) -> bytes:
    """The tokens as few bytes; their number is not stored.

    Parameters
    ----------
    token_N : integers from 0 to `n_tokens` - 1.
    expert : asked for each token, beside what the text itself teaches. The decoder needs the same.
    letter_V : 0 for tokens that end a word, else which letter it is (see `byte_letters`). The decoder needs the same.

    Examples
    --------
    >>> decode_tokens(encode_tokens(np.array([3, 1, 2, 1]), 4), 4, 4)
    array([3, 1, 2, 1], dtype=int32)
    """
    token_N = np.asarray(token_N, np.int64)
    if len(token_N) and not 0 <= token_N.min() <= token_N.max() < n_tokens:
        raise DataError(f"tokens go from {token_N.min()} to {token_N.max()}. Allowed: 0 to {n_tokens - 1}.")
    length_S = stream_lengths(len(token_N))
    token_SL = np.zeros((len(length_S), int(length_S[0])), np.int64)
    token_SL[np.arange(token_SL.shape[1]) < length_S[:, None]] = token_N
    encoder = constriction.stream.queue.RangeEncoder()
    steps = _predictions(length_S, n_tokens, expert, letter_V)
    for model, step, n_bits_left, chance_S in steps:
        bit_S = (token_SL[:, step] >> n_bits_left) & 1
        encoder.encode(bit_S[: len(chance_S)].astype(np.int32), BIT, chance_S)
        model.learn(bit_S)
    return encoder.get_compressed().astype("<u4").tobytes()


def decode_tokens(
    data: bytes, n: int, n_tokens: int, expert: Expert | None = None, letter_V: np.ndarray | None = None
) -> np.ndarray:
    """The `n` tokens (N), int32, that `encode_tokens` was given, with the same vocabulary, expert and letters.

    Raises
    ------
    DataError
        When the bytes cannot have come from `encode_tokens`.
    """
    if len(data) % 4 or n > MOST_BYTES * (len(data) + 8):
        raise DataError(f"{len(data)} bytes cannot hold {n} tokens. The file is damaged: copy it again.")
    length_S = stream_lengths(n)
    token_SL = np.zeros((len(length_S), int(length_S[0])), np.int64)
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))
    for model, step, n_bits_left, chance_S in _predictions(length_S, n_tokens, expert, letter_V):
        bit_S = np.zeros(len(length_S), np.int64)
        bit_S[: len(chance_S)] = _decoded_bits(decoder, chance_S)
        token_SL[:, step] += bit_S << n_bits_left
        model.learn(bit_S)
    token_N = token_SL[np.arange(token_SL.shape[1]) < length_S[:, None]]
    if len(token_N) and token_N.max() >= n_tokens:
        raise DataError("the compressed tokens make no sense: the file is damaged, or was written by another model.")
    return token_N.astype(np.int32)


def _predictions(
    length_S: np.ndarray, n_tokens: int, expert: Expert | None, letter_V: np.ndarray | None
) -> Iterator[tuple[Adaptive, int, int, np.ndarray]]:
    """For each bit of each step: the model, which must learn it, the step, bits left after it, chances of a one.

    The chances are those of the streams that still have tokens: all, but perhaps in the last step.
    """
    S, L = len(length_S), int(length_S[0])
    model = Adaptive(S, L, n_tokens, letter_V, has_expert=expert is not None)
    if expert is not None:
        expert.start(S)
    for step in range(L):
        n_active = int((length_S > step).sum())
        model.start(None if expert is None else expert.probabilities())
        for n_bits_left in reversed(range(model.n_bits)):
            yield model, step, n_bits_left, model.predict()[:n_active]
        if expert is not None and step + 1 < L:
            expert.read(model.recent_KS[0].astype(np.int64))


def _decoded_bits(decoder: constriction.stream.queue.RangeDecoder, chance_S: np.ndarray) -> np.ndarray:
    try:
        return decoder.decode(BIT, chance_S)
    except (AssertionError, ValueError) as error:
        raise DataError("the compressed tokens are damaged. Copy the file again from where it came.") from error


# ---- bytes -----------------------------------------------------------------------------------------


def compress_bytes(data: bytes) -> bytes:
    """Any bytes as fewer, at most 17 more, with nothing but themselves to learn from.

    Examples
    --------
    >>> decompress_bytes(compress_bytes(b"to be or not to be"))
    b'to be or not to be'
    """
    token_N = np.frombuffer(data, np.uint8)
    body, kind = encode_tokens(token_N, 256, letter_V=byte_letters()), PREDICTED
    if len(body) >= len(data):
        body, kind = bytes(data), PLAIN
    frame = FRAME.pack(kind, len(data), zlib.crc32(data)) + body
    return frame + CHECKSUM.pack(zlib.crc32(frame))


def decompress_bytes(data: bytes) -> bytes:
    """What `compress_bytes` was given.

    Raises
    ------
    DataError
        When a byte has changed, is missing, or is too many.
    """
    frame, checksum = data[: -CHECKSUM.size], data[-CHECKSUM.size :]
    if len(frame) < FRAME.size or CHECKSUM.pack(zlib.crc32(frame)) != checksum:
        raise DataError("the compressed bytes are damaged or cut short. Copy them again from where they came.")
    kind, size, original_checksum = FRAME.unpack_from(frame)
    body = frame[FRAME.size :]
    if kind not in (PLAIN, PREDICTED):
        raise DataError(
            f"the bytes are stored in a way numbered {kind}, unknown here. Use the twofold that wrote them."
        )
    text = body if kind == PLAIN else decode_tokens(body, size, 256, letter_V=byte_letters()).astype(np.uint8).tobytes()
    if len(text) != size or zlib.crc32(text) != original_checksum:
        raise DataError(
            "the bytes that came out are not those that went in. Use the twofold and numpy that wrote them."
        )
    return text
