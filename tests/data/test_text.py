import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.data import text as text_module
from twofold.data.text import Vocabulary, decoded, read_text, spread
from twofold.errors import DataError, DiskFullError, SettingError

LEARNT = "The cat sat on the mat. Größe, 日本, naïve — and so on.\n" * 40


@pytest.mark.parametrize("kind", ["byte", "character", "bpe"])
@given(text=st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back_exactly(kind, text):
    text = text.encode("utf-8", "ignore").decode()
    vocabulary = VOCABULARIES[kind]
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize("kind", ["byte", "character"])
@given(data=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_bytes_come_back_exactly(kind, data):
    vocabulary = VOCABULARIES[kind]
    token_N = vocabulary.encode(data)
    assert vocabulary.decode_bytes(token_N) == data
    assert token_N.dtype == np.int32 and (token_N < vocabulary.size).all()


VOCABULARIES = {kind: Vocabulary.learn(LEARNT, kind) for kind in ("byte", "character", "bpe")}


@pytest.mark.parametrize("kind", ["byte", "character", "bpe"])
def test_mapped_tokens_are_those_of_the_text_and_leave_no_file(kind, tmp_path, monkeypatch):
    # in pieces, as a long text is
    monkeypatch.setattr(text_module, "MAPPED_AT_ONCE", 3 * text_module.BPE_AT_ONCE)
    text = LEARNT * 20
    token_N = VOCABULARIES[kind].mapped(text, tmp_path / "run")
    np.testing.assert_array_equal(token_N, VOCABULARIES[kind].encode(text))
    assert isinstance(token_N, np.memmap) and token_N.dtype == np.int16
    assert list((tmp_path / "run").iterdir()) == []
    assert len(VOCABULARIES[kind].mapped("", tmp_path)) == 0


def test_a_full_disk_is_told_with_the_place(monkeypatch):
    with pytest.raises(DiskFullError, match=r"no room for 2,160 characters as tokens in /dev/full"):
        monkeypatch.setattr(text_module, "TemporaryFile", lambda dir: open("/dev/full", "wb", buffering=0))
        monkeypatch.setattr(text_module, "gettempdir", lambda: "/dev/full")
        VOCABULARIES["byte"].mapped(LEARNT)


def test_stretches_lie_evenly_and_a_short_sequence_is_one():
    assert spread("abc", 3, 2) == ["abc"]
    assert spread("abcdefghij", 4, 2) == ["ab", "fg"]
    assert spread("abcdefghij", 0, 2) == ["", ""]


def test_sub_words_are_learned_from_a_line_without_a_break(monkeypatch):
    monkeypatch.setattr(text_module, "BPE_LEARNT", 5000)
    line = "".join(chr(0x4E00 + i * i % 700) for i in range(20_000))
    vocabulary = Vocabulary.learn(line, "bpe")
    token_N = vocabulary.encode(line)
    assert vocabulary.decode(token_N) == line and len(token_N) < 2 * len(line)


def test_a_vocabulary_survives_json():
    for vocabulary in VOCABULARIES.values():
        again = Vocabulary(**vocabulary.to_json())
        assert (again.encode(LEARNT) == vocabulary.encode(LEARNT)).all()


def test_pieces_make_up_what_tokens_stand_for():
    for vocabulary in VOCABULARIES.values():
        token_N = vocabulary.encode(LEARNT)
        assert b"".join(vocabulary.pieces[t] for t in token_N) == LEARNT.encode()


def test_a_byte_that_is_not_utf_8_is_named_by_line_and_byte():
    with pytest.raises(DataError, match=r"poem.txt, line 2, byte 4: 0xff is not utf-8.*--encoding"):
        decoded(b"good\nbad\xff\n", "poem.txt")


def test_marks_of_byte_order_are_taken_for_what_they_are(tmp_path):
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "t.txt").write_bytes("Größe".encode(encoding))
        assert read_text(tmp_path / "t.txt") == "Größe"


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "c.png").write_bytes(b"no text")
    assert read_text(tmp_path) == "first\n\nsecond"


def test_what_cannot_be_read_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "poem.txt").write_text("x")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match="Did you mean .*poem.txt"):
        read_text(tmp_path / "peom.txt")
    with pytest.raises(DataError, match="is not a text"):
        read_text(tmp_path / "picture.txt")
    with pytest.raises(DataError, match="holds no text files"):
        read_text((tmp_path / "empty").mkdir() or tmp_path / "empty")
    with pytest.raises(SettingError, match="encoding 'klingon'"):
        read_text(tmp_path / "poem.txt", "klingon")
    with pytest.raises(SettingError, match="tokenizer 'word'"):
        Vocabulary.learn("x", "word")


def test_one_line_of_a_hundred_megabytes_is_read(tmp_path):
    (tmp_path / "long.txt").write_bytes(b"ab" * 50_000_000)
    assert len(read_text(tmp_path / "long.txt")) == 100_000_000
