"""A language model as a codec: held-out text below 2.35 bits a byte, 200 texts back byte for byte, every flip found.

Command: python benchmarks/language_codec.py     Machine: 2 cores, one thread     Minutes: 60
Numbers to expect (November 2026): 1.97 bits a byte of tiny Shakespeare's last tenth, the model not counted; 200 of 200;
2,000 of 2,000; names, help pages, an encyclopedia and novels below xz, with the defaults.

One model of tiny Shakespeare's first nine tenths codes everything, however strange to it: nothing, one byte, bytes at
random, scripts that it never saw, 10 MB. Each of 2,000 bytes of a coded file is changed in turn. Then the defaults
learn four other texts; each codes its own last tenth, beside what xz makes of the same bytes.
"""

import argparse
import lzma
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from record import SHARED, record

from twofold import LanguageModel
from twofold.data.text import read_text
from twofold.errors import DataError
from twofold.measure.sizes import general_compressors

N_TEXTS = 200
N_FLIPS = 2000
SCRIPTS = "abc xyz ÄÖÜß éèê αβγ жшщ אבג عرب हिन्दी 日本語 한국어 🙂🚀 ↯∑√ \t\r\n\x00"
OTHERS = {"names.txt": None, "sample:topics": None, "wikitext2.valid.txt": None, "novels_eng.valid.txt": None}


def main() -> None:
    """Held-out size, round trips, flips, other texts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = (SHARED / "text" / "tinyshakespeare.txt").read_text()
    cut = len(text) - len(text) // 10
    model = LanguageModel(minutes=options.minutes, n_threads=1).fit([text[:cut]])
    rows = [{"text": "tinyshakespeare.txt", **coded(model, text[cut:])}]
    print(rows[0], flush=True)
    n_found = flips_found(model, text[cut : cut + 6000])
    print(n_found, "flips found", flush=True)
    exact = [comes_back(model, data) for data in strange_texts(text[cut:])]
    rows += [{"text": name, **learned(name, options.minutes)} for name in OTHERS]
    below = sum(row["bits a byte"] < row["xz"] for row in rows[1:])
    record(
        "language_codec",
        claim=f"{options.minutes:g} minutes of learning each, one thread; the last tenth of each text is coded, the "
        "model not counted.",
        figures=[
            {"figure": "tiny Shakespeare, held-out tenth, bits a byte", "value": rows[0]["bits a byte"],
             "must": "<= 2.35", "aim": "<= 2.20"},
            {"figure": "texts that came back byte for byte", "value": f"{sum(exact)} of {len(exact)}",
             "must": "200 of 200"},
            {"figure": "changed bytes that were found", "value": f"{n_found} of {N_FLIPS}", "must": "all"},
            {"figure": "other texts below xz, same defaults", "value": f"{below} of {len(OTHERS)}", "must": "each"},
        ],
        rows=rows,
    )  # fmt: skip


def coded(model: LanguageModel, text: str) -> dict[str, float]:
    """Bits a byte by the model, and by general compressors; the text must come back."""
    data = text.encode()
    began = time.process_time()
    packed = model.compress(data)
    seconds = time.process_time() - began
    assert model.decompress(packed) == data
    beside = {name: round(value, 3) for name, value in general_compressors(data).items()}
    return {"bits a byte": round(8 * len(packed) / len(data), 3), **beside, "KB/s": round(len(data) / 1e3 / seconds, 1)}


def learned(name: str, minutes: float) -> dict[str, float]:
    """The same for another text: learned with the defaults but for its last tenth."""
    text = read_text(name if name.startswith("sample:") else SHARED / "text" / name)
    cut = len(text) - len(text) // 10
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "text.txt").write_text(text[:cut], newline="")
        row = coded(LanguageModel(minutes=minutes, n_threads=1).fit(Path(folder) / "text.txt"), text[cut:])
    row["xz that saw the rest"] = primed_xz(text, cut)
    print(name, row, flush=True)
    return row


def primed_xz(text: str, cut: int) -> float:
    """Bits a byte that xz needs more for the whole than for what stands before the cut."""
    more = len(lzma.compress(text.encode(), preset=9)) - len(lzma.compress(text[:cut].encode(), preset=9))
    return round(8 * more / len(text[cut:].encode()), 3)


def strange_texts(text: str) -> list[bytes]:
    """200 of them, from nothing to 10 MB."""
    generator = np.random.default_rng(0)
    letters = np.array(list(SCRIPTS))
    texts = [
        b"",
        b"a",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbfmark",
        b"\r\n" * 50,
        text[:1000].encode("utf-16"),
    ]
    texts.append((SHARED / "text" / "novels_eng.train.txt").read_bytes() + b"\x80" * 600_000)
    while len(texts) < N_TEXTS:
        n, kind = int(10 ** generator.uniform(0, 4)), len(texts) % 4
        start = int(generator.integers(len(text) - n))
        texts.append(
            [
                lambda n, start: text[start : start + n].encode(),
                lambda n, start: generator.bytes(n),
                lambda n, start: "".join(generator.choice(letters, n)).encode(),
                lambda n, start: text[start : start + n].encode()[: n // 2] + generator.bytes(n // 2),
            ][kind](n, start)
        )
    return texts


def comes_back(model: LanguageModel, data: bytes) -> bool:
    """Whether the bytes are those that went in."""
    is_exact = model.decompress(model.compress(data)) == data
    if len(data) > 1e6 or not is_exact:
        print(len(data), "bytes back:", is_exact, flush=True)
    return is_exact


def flips_found(model: LanguageModel, text: str) -> int:
    """How many of the changes, one byte each, to the coded text are refused."""
    packed, n_found = model.compress(text), 0
    for place in range(N_FLIPS):
        changed = bytearray(packed)
        changed[place % len(changed)] ^= 1 + place * 7 % 255
        try:
            model.decompress(bytes(changed))
        except DataError:
            n_found += 1
    return n_found


if __name__ == "__main__":
    main()
