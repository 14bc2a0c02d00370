"""What general compressors make of the same bytes."""

import bz2
import gzip
import lzma

__all__ = ["general_compressors"]


def general_compressors(data: bytes) -> dict[str, float]:
    """Bits per byte by gzip, bz2 and xz at their strongest; 0 for no bytes."""
    packed = {"gzip": gzip.compress(data, 9), "bz2": bz2.compress(data, 9), "xz": lzma.compress(data, preset=9)}
    return {name: 8 * len(body) / max(1, len(data)) for name, body in packed.items()}
