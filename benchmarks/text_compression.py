"""Text without a trained model is written in fewer bits than xz, and than PPMd, and comes back byte for byte.

Command: python benchmarks/text_compression.py     Machine: 1 core     Minutes: 4
Number to expect: tinyshakespeare 2.01 bits a byte (xz 2.61, PPMd 2.09), 45 KB of text per CPU second (November 2026)

Everything counts: the whole file is written, nothing was learned before, no weights lie beside it. Peers run in the
same process on the same bytes: gzip, bz2 and xz of Python, and zstd, brotli and PPMd where their packages are there.
"""

import bz2
import gzip
import importlib
import lzma
import time
from collections.abc import Callable

import torch
from record import SHARED, record

from twofold.nn.coding import compress_bytes, decompress_bytes

# each file's first so many bytes
TEXTS = {
    "tinyshakespeare.txt": None,
    "wikitext2.test.txt": None,
    "novels_eng.test.txt": 1_000_000,
    "names.txt": None,
}
Coder = Callable[[bytes], bytes]


def main() -> None:
    """Compress each text by each coder; bring ours back."""
    torch.set_num_threads(1)
    rows, is_exact = [], []
    for name, size in TEXTS.items():
        data = (SHARED / "text" / name).read_bytes()[:size]
        packed, row = measured("twofold", compress_bytes, data)
        began = time.process_time()
        is_exact.append(decompress_bytes(packed) == data)
        row["back, MB/s"] = round(len(data) / 1e6 / (time.process_time() - began), 3)
        rows += [{"text": name} | row] + [{"text": name} | measured(*peer, data)[1] for peer in peers().items()]
        for row in rows[-1 - len(peers()) :]:
            print(row, flush=True)
    record("text_compression", claim=__doc__.split("\n")[0], figures=figures(rows, is_exact), rows=rows)


def peers() -> dict[str, Coder]:
    """Other coders at their strongest usual setting; those not installed are left out."""
    coders: dict[str, Coder] = {
        "gzip -9": lambda data: gzip.compress(data, 9),
        "bz2 -9": lambda data: bz2.compress(data, 9),
        "xz -9e": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    }
    optional = {
        "zstandard": ("zstd -22", lambda module, data: module.ZstdCompressor(level=22).compress(data)),
        "brotli": ("brotli -11", lambda module, data: module.compress(data, quality=11, lgwin=24)),
        "pyppmd": ("PPMd o6", lambda module, data: module.compress(data, max_order=6, mem_size=64 << 20)),
    }
    for package, (name, compress) in optional.items():
        try:
            module = importlib.import_module(package)
        except ImportError:
            print(f"{package} is not installed: {name} left out")
            continue
        coders[name] = lambda data, module=module, compress=compress: compress(module, data)
    return coders


def measured(name: str, compress: Coder, data: bytes) -> tuple[bytes, dict[str, str | float]]:
    """What the coder wrote, and its row of the table; speed by CPU time, which other jobs disturb less."""
    began = time.process_time()
    packed = compress(data)
    seconds = time.process_time() - began
    row = {"coder": name, "bits a byte": round(8 * len(packed) / len(data), 4)}
    return packed, row | {"MB/s": round(len(data) / 1e6 / seconds, 3)}


def figures(rows: list[dict], is_exact: list[bool]) -> list[dict]:
    """The claims. The language model's held-out bits a byte join them here."""
    bits = {(row["text"], row["coder"]): row["bits a byte"] for row in rows}
    below = sum(bits[name, "twofold"] < bits[name, "xz -9e"] for name in TEXTS)
    speed = min(row["MB/s"] for row in rows if row["coder"] == "twofold" and row["text"] == "tinyshakespeare.txt")
    return [
        {
            "figure": "tinyshakespeare, whole file, bits a byte", "value": bits["tinyshakespeare.txt", "twofold"],
            "must": f"< {bits['tinyshakespeare.txt', 'xz -9e']} (xz)", "aim": "<= 1.95",
        },
        {"figure": "texts below xz", "value": f"{below} of {len(TEXTS)}", "must": f"{len(TEXTS)} of {len(TEXTS)}"},
        {"figure": "texts that came back exactly", "value": f"{sum(is_exact)} of {len(TEXTS)}",
         "must": f"{len(TEXTS)} of {len(TEXTS)}"},
        {"figure": "tinyshakespeare, KB per CPU second", "value": round(1000 * speed, 1), "aim": ">= 40"},
    ]  # fmt: skip


if __name__ == "__main__":
    main()
