"""What a file among pictures is, told by its first bytes: names lie, contents do not."""

from twofold.errors import DataError

__all__ = ["FETCH", "HEAD_BYTES", "SUFFIXES", "claims_to_be", "format_of", "is_picture"]

HEAD_BYTES = 512

SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
READABLE = "JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF, JPEG 2000 and PPM are read."
CONVERT = f"{READABLE} Convert it to one of these, or take it away."
FETCH = "Fetch or copy the file again, or take it away."

STRANGERS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "is a Git LFS pointer that stands for the picture", "Run 'git lfs pull' to fetch it."),
    (b"%PDF", "is a PDF document", CONVERT),
    (b"%!PS", "is PostScript, a program", CONVERT),
    (b"\xc5\xd0\xd3\xc6", "is PostScript, a program", CONVERT),
    (b"PK\x03\x04", "is a ZIP archive", "Unpack it, or give the archive itself."),
    (b"PK\x05\x06", "is an empty ZIP archive", FETCH),
    (b"\x1f\x8b", "is a gzip archive", "Unpack it."),
    (b"Rar!", "is a RAR archive", "Unpack it."),
    (b"7z\xbc\xaf", "is a 7z archive", "Unpack it."),
    (b"8BPS", "is a Photoshop document", CONVERT),
    (b"\xff\x0a", "is a JPEG XL picture", CONVERT),
    (b"\0\0\0\x0cJXL ", "is a JPEG XL picture", CONVERT),
    (b"FUJIFILM", "is a camera's raw file", CONVERT),
    (b"\x00\x00\x01\x00", "is an icon file", CONVERT),
    (b"RIFF", "is a sound or a video", "Take it away."),
    (b"OggS", "is a sound or a video", "Take it away."),
    (b"ID3", "is a sound", "Take it away."),
    (b"\x1aE\xdf\xa3", "is a video", "Take single pictures out of it."),
    (b"PAR1", "is a Parquet table", "Give it alone."),
    (b"\x93NUMPY", "is a NumPy array file", "Load it and give the array."),
    (b"\x89HDF", "is an HDF5 file", CONVERT),
    (b"SIMPLE  =", "is a FITS file", CONVERT),
    (b"\x7fELF", "is a program", "Take it away."),
    (b"MZ", "is a program", "Take it away."),
    (b"\0\5\x16\7", "is a side file of macOS, without the picture", "Take it away."),
)
PAGES = (b"<!doctype", b"<html", b"<head", b"<body")

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .tif .tiff .bmp .dib .jp2 .j2k .j2c .jpx .jpc .avif .ppm .pgm .pbm "
    ".pnm .heic .heif .svg .svgz .eps .psd .jxl .ico .tga .raw .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .exr .hdr "
    ".pcx .xcf".split()
)
"""Endings of names that claim to be pictures; those that cannot be read are reported, not passed over."""


def claims_to_be(name: str) -> bool:
    """Whether a file of this name claims to be a picture."""
    return "." + name.rpartition(".")[2].lower() in SUFFIXES


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is of a kind that can be read."""
    return _kind(head) is not None


def format_of(head: bytes) -> str:
    """The format by Pillow's name; DataError that says what the file is instead, and what to do."""
    kind = _kind(head)
    if kind is not None:
        return kind
    raise DataError(_stranger(head))


def _kind(head: bytes) -> str | None:
    for sign, kind in SIGNS:
        if head.startswith(sign):
            # two letters are little: a bitmap's header also has four zeros
            return None if kind == "BMP" and head[6:10] != bytes(4) else kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and _brands(head) & {b"avif", b"avis"}:
        return "AVIF"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    return None


def _brands(head: bytes) -> set[bytes]:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[i : i + 4] for i in range(16, end, 4))}


def _stranger(head: bytes) -> str:
    if not head:
        return f"is empty (0 bytes). {FETCH}"
    for sign, what, remedy in STRANGERS:
        if head.startswith(sign):
            return f"{what}, not a picture that can be read. {remedy}"
    if head[4:8] == b"ftyp":
        if _brands(head) & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}:
            return f"is a HEIC picture, as phones take them. {CONVERT}"
        return "is a video. Take single pictures out of it, or take it away."
    return _stranger_by_text(head)


def _stranger_by_text(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return f"is an SVG drawing, which may hold scripts. {CONVERT}"
    if start.startswith(PAGES):
        return f"is a web page: the download went wrong. {FETCH}"
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "is a Python pickle; it is never opened, since that can run code. Take it away."
    if not head.strip(b"\0"):
        return f"begins with zeros only, as after a crash. {FETCH}"
    if head.isascii() and not set(head) & set(range(9)):
        return f"is a text, not a picture. {FETCH}"
    return f"is not of a kind that is known here. {CONVERT}"
