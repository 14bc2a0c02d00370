"""Text to tokens and back, exactly.

Dimension key: N tokens.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

import numpy as np

from twofold.data.atomic import NO_ROOM
from twofold.data.hub import is_of_hub, text_column
from twofold.errors import DataError, DiskFullError, SettingError

__all__ = ["TOKENIZERS", "Vocabulary", "decoded", "is_text", "read_bytes", "read_text", "spread"]

TOKENIZERS = ("auto", "byte", "character", "bpe")
MANY_CHARACTERS = 512
LONG_TEXT = 50_000_000  # characters from which sub-words are worth their slower start (docs/LOG.md)
BPE_SIZE = 4096
BPE_LEARNT = 20_000_000  # characters from which sub-words are learned; of a longer text, stretches all over it
BPE_AT_ONCE = 10_000  # characters: the library's time grows faster than the length of one string
MAPPED_AT_ONCE = 4_000_000  # characters; their tokens take some 100 bytes each on the way
LONG_LINE = 10_000
N_STRETCHES = 64
PLAIN_SUFFIXES = (".txt", ".md", ".rst", ".text", ".tex")
SUFFIXES = (*PLAIN_SUFFIXES, ".py")
SEPARATOR = "\n\n"  # between the files of a folder
NOT_TEXT = (b"\x89PNG", b"\xff\xd8\xff", b"PK\x03\x04", b"%PDF", b"\x1f\x8b", b"PAR1", b"RIFF", b"GIF8", b"\x7fELF")


# ---- files ---------------------------------------------------------------------------------------


def read_text(source: Any, encoding: str = "utf-8") -> str:
    """The text of a file, of all text files in a folder, of sample:NAME, of hf:OWNER/NAME, or of several texts.

    Several are joined by blank lines.

    Raises
    ------
    DataError
        When there is nothing to read, or a byte does not belong to the encoding: file, place and remedy are named.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        return SEPARATOR.join(str(part) for part in source)
    if isinstance(source, str) and source.startswith("sample:"):
        from twofold.data.samples import load_text

        return load_text(source.removeprefix("sample:"))
    if is_of_hub(source):
        return SEPARATOR.join(text for text in text_column(source).to_pylist() if text)
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not files:
            raise DataError(
                f"{path} holds no text files. Allowed: {', '.join(SUFFIXES)}. Put some there, or name a file."
            )
        return SEPARATOR.join(decoded(read_bytes(file), str(file), encoding) for file in files)
    return decoded(read_bytes(path), str(path), encoding)


def is_text(source: str) -> bool:
    """Whether that path, folder or sample is read as a text rather than as a table."""
    if source.startswith("sample:"):
        from twofold.data.samples import TEXTS

        return source.removeprefix("sample:") in TEXTS
    path = Path(source)
    return path.is_dir() or path.suffix.lower() in PLAIN_SUFFIXES


def read_bytes(path: str | Path) -> bytes:
    """A regular file's bytes; a missing one is refused with the nearest name there is."""
    path = Path(path)
    if not path.exists():
        near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()], 1) if path.parent.is_dir() else []
        hint = f" Did you mean {path.parent / near[0]}?" if near else ""
        raise DataError(
            f"{path} does not exist.{hint} Give a text file or a folder of them; a text itself goes in a list."
        )
    if not path.is_file():
        raise DataError(f"{path} is not a regular file. Give a text file, or a folder of them.")
    return path.read_bytes()


def decoded(data: bytes, name: str, encoding: str = "utf-8") -> str:
    """Bytes as text; a byte that does not fit is named by line and column."""
    for sign in NOT_TEXT:
        if data.startswith(sign):
            raise DataError(f"{name} is not a text: it begins with {sign!r}. Give a text file.")
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8") and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(
            f"{name}, line {line}, byte {column}: 0x{data[error.start]:02x} is not {encoding}. "
            "Save the file as UTF-8, or name its encoding, such as --encoding latin-1."
        ) from error
    except LookupError as error:
        raise SettingError(f"encoding {encoding!r} is not known. Give one such as utf-8, latin-1, utf-16.") from error
    return text.removeprefix("\ufeff")


# ---- tokens --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """What the tokens are; every text, and every string of bytes, can be written in them and comes back exactly.

    Characters that the training text lacked are written as their bytes, half a byte a token.

    Examples
    --------
    >>> vocabulary = Vocabulary.learn("hello world")
    >>> vocabulary.decode(vocabulary.encode("hello")), vocabulary.decode(vocabulary.encode("Größe"))
    ('hello', 'Größe')
    """

    kind: str
    characters: str = ""
    model: str = ""  # JSON of the tokenizers library

    @classmethod
    def learn(cls, text: str, kind: str = "auto") -> "Vocabulary":
        """Choose the tokens for a text: characters where it is short and they are few, else sub-words.

        Parameters
        ----------
        kind : auto, byte, character or bpe.
        """
        if kind not in TOKENIZERS:
            raise SettingError(f"tokenizer {kind!r} is not known. Allowed: {', '.join(TOKENIZERS)}.")
        if kind == "auto":
            kind = "character" if len(text) < LONG_TEXT and len(set(text)) <= MANY_CHARACTERS else "bpe"
        if kind == "bpe":
            return cls(kind, model=_learned_bpe(text))
        if kind == "byte":
            return cls(kind)
        common = [character for character, _ in Counter(text).most_common(MANY_CHARACTERS)]
        # half bytes stand for what is not among them
        return cls(kind, "".join(sorted(c for c in common if not _is_half_byte_mark(c))))

    @property
    def size(self) -> int:
        """How many tokens there are."""
        if self.kind == "byte":
            return 256
        return 16 + len(self.characters) if self.kind == "character" else self._bpe.get_vocab_size()

    @cached_property
    def _bpe(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.model)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {character: 16 + i for i, character in enumerate(self.characters)}

    def encode(self, text: str | bytes) -> np.ndarray:
        """The tokens (N), int32."""
        if self.kind == "byte":
            data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
            return np.frombuffer(data, np.uint8).astype(np.int32)
        plain = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
        if self.kind == "bpe":
            return self._encode_bpe(plain)
        return self._encode_characters(plain)

    def _encode_characters(self, text: str) -> np.ndarray:
        code_N = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        table = np.full(0x110000, -1, np.int32)
        for character, place in self._place.items():
            table[ord(character)] = place
        token_N = table[code_N]
        if (token_N >= 0).all():
            return token_N
        tokens: list[int] = []
        for character, token in zip(text, token_N.tolist(), strict=True):
            if token >= 0:
                tokens.append(token)
            else:
                for byte in character.encode("utf-8", "surrogateescape"):
                    tokens += [byte >> 4, byte & 15]
        return np.array(tokens, np.int32)

    def _encode_bpe(self, text: str) -> np.ndarray:
        # lone surrogates stand for bytes that are not UTF-8; the library cannot take them
        if re.search("[\ud800-\udfff]", text):
            raise DataError(
                "the text holds bytes that are not UTF-8, which sub-words cannot write. Use --tokenizer byte."
            )
        parts = [text[i : i + BPE_AT_ONCE] for i in range(0, len(text), BPE_AT_ONCE)]
        codes = [np.array(e.ids, np.int32) for e in self._bpe.encode_batch(parts, add_special_tokens=False)]
        return np.concatenate([np.zeros(0, np.int32), *codes])

    def mapped(self, text: str, folder: str | Path | None = None) -> np.ndarray:
        """The tokens (N), int16, mapped from a file without a name: it goes when the array does.

        Parameters
        ----------
        folder : on whose disk; the system's temporary folder by default.
        """
        try:
            if folder is not None:
                Path(folder).mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder) as file:
                for start in range(0, len(text), MAPPED_AT_ONCE):
                    file.write(self.encode(text[start : start + MAPPED_AT_ONCE]).astype(np.int16).tobytes())
                file.flush()
                return np.memmap(file, np.int16, "r+") if file.tell() else np.zeros(0, np.int16)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise DiskFullError(
                error.errno,
                f"no room for {len(text):,} characters as tokens in {folder or gettempdir()}. Free some, or give a "
                "shorter text.",
            ) from error

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """The text; bytes that are no UTF-8 become lone surrogates (`surrogateescape`)."""
        return self.decode_bytes(tokens).decode("utf-8", "surrogateescape")

    def decode_bytes(self, tokens: Sequence[int] | np.ndarray) -> bytes:
        """The bytes that the tokens stand for."""
        if self.kind == "byte":
            return np.asarray(tokens, np.uint8).tobytes()
        return b"".join(self.spelled(int(token) for token in tokens))

    def spelled(self, tokens: Iterable[int]) -> Iterator[bytes]:
        """The bytes of one token after the other; of two half bytes with the second."""
        pieces, high = self.pieces, -1
        for token in tokens:
            if self.kind != "character" or token >= 16:
                high = -1
                yield pieces[token]
            elif high < 0:
                high = token
            else:
                yield bytes([16 * high + token])
                high = -1

    @cached_property
    def pieces(self) -> list[bytes]:
        """What each token stands for; nothing for half a byte."""
        if self.kind == "byte":
            return [bytes([i]) for i in range(256)]
        if self.kind == "character":
            return [b""] * 16 + [c.encode("utf-8", "surrogatepass") for c in self.characters]
        letters = _byte_letters()
        vocabulary = {i: piece for piece, i in self._bpe.get_vocab().items()}
        return [bytes(letters[c] for c in vocabulary[i]) for i in range(len(vocabulary))]

    def to_json(self) -> dict[str, str]:
        """As a JSON object."""
        return {"kind": self.kind, "characters": self.characters, "model": self.model}


def _is_half_byte_mark(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _learned_bpe(text: str) -> str:
    """Byte-level pair encoding, learned from the text; as JSON."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=BPE_SIZE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_lines(spread(text, BPE_LEARNT, N_STRETCHES)), trainer)
    return str(tokenizer.to_str())


def spread(sequence: Any, most: int, n_stretches: int) -> list[Any]:
    """The whole sequence as one stretch where it has at most so many items, else stretches spread evenly over it."""
    if len(sequence) <= most:
        return [sequence]
    starts = [i * len(sequence) // n_stretches for i in range(n_stretches)]
    return [sequence[start : start + most // n_stretches] for start in starts]


def _lines(stretches: Iterable[str]) -> Iterator[str]:
    """Lines with their ends; a very long one in pieces."""
    for stretch in stretches:
        for line in re.split("(?<=\n)", stretch):
            yield from (line[i : i + LONG_LINE] for i in range(0, len(line), LONG_LINE))


def _byte_letters() -> dict[str, int]:
    """The printable letter by which byte-level BPE writes each byte (the table of GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
