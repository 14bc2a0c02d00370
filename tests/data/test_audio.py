"""Sounds that come in all forms, read right; those that break readers, refused by name with the reason."""

import io
import struct
import time
import zipfile

import numpy as np
import pytest
import soundfile

from twofold.data.audio import holds_sounds, open_sounds, write_sound
from twofold.data.sounds import resample
from twofold.errors import DataError, SettingError

RATE = 8000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def frequency(sound_T, rate):
    """Of the loudest part."""
    power = np.abs(np.fft.rfft(sound_T * np.hanning(len(sound_T))))
    return float(np.argmax(power) * rate / len(sound_T))


def wav(samples, **how):
    file = io.BytesIO()
    soundfile.write(file, samples, how.pop("rate", RATE), format=how.pop("format", "WAV"), **how)
    return file.getvalue()


def patched(data, place, form, *values):
    changed = bytearray(data)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


KINDS = [
    ("WAV", "PCM_U8", 0.01), ("WAV", "PCM_16", 1e-4), ("WAV", "PCM_24", 1e-6), ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 1e-6), ("WAV", "DOUBLE", 1e-6), ("WAV", "ULAW", 0.02), ("FLAC", "PCM_16", 1e-4),
    ("FLAC", "PCM_24", 1e-6), ("OGG", "VORBIS", 0.05), ("AIFF", "PCM_16", 1e-4),
]  # fmt: skip


@pytest.mark.parametrize(("form", "subtype", "tolerance"), KINDS)
def test_every_form_gives_the_same_samples(tmp_path, form, subtype, tolerance):
    (tmp_path / f"a.{form.lower()}").write_bytes(wav(TONE, format=form, subtype=subtype))
    sounds = open_sounds(tmp_path)
    assert sounds.rate == RATE and sounds[0].dtype == np.float32 and len(sounds[0]) == len(TONE)
    assert np.abs(sounds[0] - TONE).max() < tolerance


def test_channels_are_averaged(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(np.stack([TONE, -TONE / 2], 1), subtype="FLOAT"))
    assert np.abs(open_sounds(tmp_path)[0] - TONE / 4).max() < 1e-6


@pytest.mark.parametrize("new_rate", [4000, 11025, 16000, 44100, 8001])
def test_a_tone_keeps_its_pitch_and_length_at_another_rate(new_rate):
    other = resample(TONE, RATE, new_rate)
    assert len(other) == new_rate and abs(frequency(other, new_rate) - 440) < 2
    assert np.abs(other).max() == pytest.approx(0.5, abs=0.03)


def test_what_the_new_rate_cannot_hold_is_taken_away_not_folded_back():
    high = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE).astype(np.float32)
    assert np.abs(resample(high, RATE, 4000)[100:-100]).max() < 0.01


def test_the_commonest_rate_is_taken_and_the_others_are_brought_to_it(tmp_path):
    for i, rate in enumerate([8000, 16000, 8000]):
        write_sound(tmp_path / f"{i}.wav", resample(TONE, RATE, rate), rate)
    sounds = open_sounds(tmp_path)
    assert sounds.rate == 8000 and abs(frequency(sounds[1], 8000) - 440) < 2
    assert "brought to 8000 Hz: 1 of 16000 Hz" in sounds.notes
    assert open_sounds(tmp_path, rate=4000).length_N.tolist() == [4000] * 3


GOOD = wav(TONE)
BAD = {
    "empty.wav": (b"", "empty"),
    "none.wav": (wav(np.zeros(0)), "no samples"),
    "cut.wav": (GOOD[:5000], "cut short"),
    "promises.wav": (patched(GOOD, 40, "<I", 10**9), "cut short"),
    "slow.wav": (patched(GOOD, 24, "<I", 3), "rate of 3"),
    "fast.wav": (patched(GOOD, 24, "<I", 2_000_000_000), "rate of"),
    "no-rate.wav": (patched(GOOD, 24, "<I", 0), ""),
    "no-channel.wav": (patched(GOOD, 22, "<H", 0), ""),
    "many-channels.wav": (patched(GOOD, 22, "<H", 60_000), ""),
    "no-bits.wav": (patched(GOOD, 34, "<H", 0), ""),
    "odd-bits.wav": (patched(GOOD, 34, "<H", 77), ""),
    "odd-format.wav": (patched(GOOD, 20, "<H", 0x1234), ""),
    "nan.wav": (wav(np.where(np.arange(RATE) == 7, np.nan, TONE), subtype="FLOAT"), "1 of 8000 samples"),
    "inf.wav": (wav(np.where(np.arange(RATE) == 7, np.inf, TONE), subtype="FLOAT"), "1 of 8000 samples"),
    "cut.flac": (wav(TONE, format="FLAC")[:3000], ""),
    "head.wav": (GOOD[:20], ""),
    "head.ogg": (wav(TONE, format="OGG")[:40], ""),
    "text.wav": (b"hello, this is no sound at all", "no sound"),
    "page.flac": (b"<!DOCTYPE html><html>", "web page"),
    "pointer.wav": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "song.m4a": (b"\0\0\0\x20ftypM4A " + bytes(50), "MPEG-4"),
    "avi.wav": (b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(100), "no sound"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_the_reason_and_the_others_are_read(tmp_path, name):
    data, reason = BAD[name]
    (tmp_path / "good.wav").write_bytes(GOOD)
    (tmp_path / name).write_bytes(data)
    began = time.monotonic()
    sounds = open_sounds(tmp_path)
    assert time.monotonic() - began < 5
    assert sounds.ids == ["good.wav"] and [bad.name for bad in sounds.bad] == [name]
    assert reason in sounds.bad[0].reason and len(sounds.bad[0].reason) > 20 and "object" not in sounds.bad[0].reason
    assert sounds.bad[0].reason.endswith(".")


def test_a_flac_header_that_claims_2_to_the_36_samples_is_refused(tmp_path):
    data = bytearray(wav(TONE, format="FLAC"))
    data[21] |= 0x0F  # the number of samples, 36 bits
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(DataError, match="a.flac (is cut short|cannot be decoded)"):
        open_sounds(tmp_path)


def test_a_streamed_wav_without_a_length_is_read_to_its_end(tmp_path):
    (tmp_path / "a.wav").write_bytes(patched(patched(GOOD, 40, "<I", 0xFFFFFFFF), 4, "<I", 0xFFFFFFFF))
    sounds = open_sounds(tmp_path)
    assert len(sounds[0]) == RATE and any("no length" in note for note in sounds.notes)


def test_bytes_changed_at_random_never_crash_the_reader(tmp_path):
    rng = np.random.default_rng(0)
    for form in ("WAV", "FLAC", "OGG", "AIFF"):
        good = wav(TONE[:2000], format=form)
        for number in range(40):
            data = np.frombuffer(good, np.uint8).copy()
            places = rng.integers(0, min(len(data), 200 if number % 2 else len(data)), 4)
            data[places] = rng.integers(0, 256, 4)
            (tmp_path / f"{number}.{form.lower()}").write_bytes(data[: rng.integers(10, len(data) + 1)].tobytes())
    (tmp_path / "good.wav").write_bytes(GOOD)
    began = time.monotonic()
    sounds = open_sounds(tmp_path, rate=RATE)
    assert len(sounds) + len(sounds.bad) == 161 and time.monotonic() - began < 30
    assert np.isfinite(sounds.flat_S).all() and np.abs(sounds.flat_S).max() <= 1


def test_silence_is_kept_and_told(tmp_path):
    write_sound(tmp_path / "a.wav", TONE, RATE)
    write_sound(tmp_path / "hush.wav", np.zeros(100), RATE)
    sounds = open_sounds(tmp_path)
    assert len(sounds) == 2 and "silent: 1 of 2 sounds, such as hush.wav" in sounds.notes


def test_floats_beyond_one_are_scaled_and_told(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(TONE * 20_000, subtype="FLOAT"))
    sounds = open_sounds(tmp_path)
    assert np.abs(sounds[0]).max() == pytest.approx(1) and "scaled" in sounds.notes[0]


def test_labels_come_from_folders_or_from_names(tmp_path):
    for name in ("dog/1.wav", "cat/2.wav", "7_ann_0.wav", "7_bob_1.wav", "8_bob_0.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_sound(tmp_path / name, TONE[:99], RATE)
    assert open_sounds(tmp_path).labels is None
    names = open_sounds([tmp_path / f"{name}.wav" for name in ("7_ann_0", "7_bob_1", "8_bob_0")])
    assert names.labels.tolist() == ["7", "7", "8"]
    assert names.table.to_pydict() == {"speaker": ["ann", "bob", "bob"], "number": [0, 1, 0]}
    for path in tmp_path.glob("*.wav"):
        path.unlink()
    folders = open_sounds(tmp_path)
    assert folders.ids == ["cat/2.wav", "dog/1.wav"] and folders.labels.tolist() == ["cat", "dog"]


def test_names_with_hundreds_of_first_parts_are_no_labels(tmp_path):
    paths = [tmp_path / f"{i % 70}_ann_{i}.wav" for i in range(140)]
    for path in paths:
        write_sound(path, TONE[:20], RATE)
    assert open_sounds(tmp_path).labels is None
    assert len(set(open_sounds(paths[:50] + paths[70:90]).labels)) == 50


def test_metadata_beside_sounds_tell_of_them_and_their_labels_come_first(tmp_path):
    for name in ("clips/7_ann_0.wav", "clips/7_bob_1.wav", "clips/8_bob_0.wav"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        write_sound(tmp_path / name, TONE[:99], RATE)
    told = "file_name,label,age\n7_ann_0.wav,low,30\n8_bob_0.wav,high,40\n7_bob_1.wav,low,40\nlost.wav,low,1\n"
    (tmp_path / "clips" / "metadata.csv").write_text(told)
    sounds = open_sounds(tmp_path)
    assert sounds.labels.tolist() == ["low", "low", "high"] and sounds.table["age"].to_pylist() == ["30", "40", "40"]
    assert [bad.name for bad in sounds.bad] == ["clips/lost.wav"] and holds_sounds(tmp_path)
    assert [note for note in sounds.notes if note.startswith("labels")] == ["labels: column 'label'"]
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for path in (tmp_path / "clips").iterdir():
            archive.write(path, f"clips/{path.name}")
    assert open_sounds(tmp_path / "d.zip").labels.tolist() == ["low", "low", "high"]


def test_splits_are_folders_and_train_is_the_default(tmp_path):
    for name in ("train/dog/1.wav", "train/cat/2.wav", "test/dog/3.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_sound(tmp_path / name, TONE[:99], RATE)
    assert len(open_sounds(tmp_path)) == 2 and open_sounds(tmp_path, split="test").ids == ["test/dog/3.wav"]
    assert len(open_sounds(tmp_path, split="all")) == 3


def test_an_archive_gives_what_its_folder_gives(tmp_path):
    for i in range(3):
        write_sound(tmp_path / "d" / f"{i}.flac", TONE[: 50 + i], RATE)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for path in (tmp_path / "d").iterdir():
            archive.write(path, path.name)
    one, other = open_sounds(tmp_path / "d"), open_sounds(tmp_path / "d.zip")
    assert one.fingerprint == other.fingerprint and holds_sounds(tmp_path / "d.zip") and holds_sounds(tmp_path / "d")
    assert one.take([2, 0])[0].tolist() == one[2].tolist() and one.take([1]).ids == ["1.flac"]


def test_arrays_pass_the_same_checks():
    sounds = open_sounds([TONE, np.array([np.nan]), np.zeros(0), (TONE * 32767).astype(np.int16)], array_rate=RATE)
    assert sounds.ids == ["0", "3"] and [bad.name for bad in sounds.bad] == ["1", "2"]
    assert np.abs(sounds[0] - sounds[1]).max() < 1e-4
    with pytest.raises(SettingError, match="array_rate"):
        open_sounds([TONE])


def test_what_cannot_be_found_or_written_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="not one sound"):
        open_sounds(tmp_path / "absent.wav")
    with pytest.raises(DataError, match="holds no sounds"):
        open_sounds(tmp_path)
    with pytest.raises(DataError, match="written as"):
        write_sound(tmp_path / "a.mp3", TONE, RATE)
    with pytest.raises(DataError, match="finite floats"):
        write_sound(tmp_path / "a.wav", TONE * np.nan, RATE)
    with pytest.raises(SettingError, match="rate is 5"):
        open_sounds(tmp_path, rate=5)


def test_fixed_takes_the_loudest_part_of_long_sounds():
    click = np.zeros(1000, np.float32)
    click[700:710] = 1
    fixed = open_sounds([click, click[:20]], array_rate=RATE).fixed(50)
    assert fixed.shape == (2, 50) and fixed[0].sum() == 10 and fixed[1].sum() == 0


@pytest.mark.shared
def test_the_spoken_digits_are_3000_sounds_of_ten_labels_and_six_speakers(shared):
    sounds = open_sounds(shared / "data" / "audio" / "fsdd_wav.zip")
    assert len(sounds) == 3000 and not sounds.bad and sounds.rate == 8000
    assert sorted(set(sounds.labels)) == list("0123456789") and len(set(sounds.table["speaker"].to_pylist())) == 6
    assert sounds.seconds_N.sum() == pytest.approx(1312.3, abs=0.1)
    row = sounds.ids.index("recordings/7_jackson_32.wav")
    assert sounds.labels[row] == "7" and sounds.table.slice(row, 1).to_pylist() == [
        {"speaker": "jackson", "number": 32}
    ]
