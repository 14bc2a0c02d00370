"""How a text file writes its table: encoding, separator, header, decimal mark.

Two looks at the file: a survey of all its bytes (is it UTF-8? does every quote close?), and a sample of its first
rows. Every guess that a reader might want to know of becomes a note.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from twofold.data.files import blocks_of, open_bytes
from twofold.errors import DataError

__all__ = ["Dialect", "find_dialect", "rows_of", "unique_names"]

SEPARATORS = (",", ";", "\t", "|")
SAMPLE_BYTES = 1 << 18
SAMPLE_ROWS = 100
EDGES = (b",", b";", b"\t", b"|", b"\n", b"\r")
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
COMMA_NUMBER = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+([eE][+-]?\d+)?")
POINT_NUMBER = re.compile(r"[+-]?\d*\.(\d{1,2}|\d{4,})")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
UTF8_PAIR = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
NOT_A_LETTER = re.compile(rb"[0-9][\x80-\xff]|[\x80-\xff][0-9]|[\x81\x8d\x8f\x90\x9d]")


@dataclass
class Survey:
    """What a look at every byte told."""

    n_bytes: int = 0
    n_quotes: int = 0
    n_opened: int = 0
    """Quotes that follow a separator or a line end."""
    n_closed: int = 0
    """Quotes before a separator or a line end; in a sound file as many as opened."""
    has_nul: bool = False
    has_blank: bool = False
    """A line end follows a line end."""
    is_utf8: bool = True
    is_western: bool = True
    """Every byte beyond ASCII stands among letters, as in Windows-1252 (which holds Latin-1)."""


@dataclass
class Dialect:
    """How the table is written."""

    encoding: str = "utf-8"
    separator: str = ","
    skip_lines: int = 0
    """Lines above the first data row: remarks, blanks and the header."""
    names: list[str] = field(default_factory=list)
    """One for each cell of a row, all different."""
    dropped: list[str] = field(default_factory=list)
    """Names that are no columns: row numbers, the nothing after a last comma."""
    decimal_comma: bool = False
    notes: list[str] = field(default_factory=list)
    survey: Survey = field(default_factory=Survey)


def find_dialect(path: Path, kind: str) -> Dialect:
    """Look at the file; DataError when no table can be in it. Bad bytes are left to the reader to blame."""
    survey = _survey(path, kind)
    dialect = Dialect(survey=survey)
    sample, is_whole = _sample(path, kind)
    dialect.encoding = _encoding(sample, dialect)
    text = codecs.getincrementaldecoder(dialect.encoding)("replace").decode(sample)
    _skip_remarks(text, dialect, path.name)
    body = "".join(_lines(text)[dialect.skip_lines :])
    dialect.separator = dialect.separator or _separator(body, path.suffix)
    _name_columns(body, dialect, is_whole, path.name)
    if len(dialect.names) == 1 and survey.has_blank:
        dialect.notes.append("blank lines are passed over: write NA where a value is missing")
    return dialect


# ---- bytes --------------------------------------------------------------------------------------


def _survey(path: Path, kind: str) -> Survey:
    survey, decoder = Survey(), codecs.getincrementaldecoder("utf-8")()
    is_first, last = True, b""
    for block in blocks_of(path, kind):
        survey.n_bytes += len(block)
        if b'"' in block:
            survey.n_quotes += block.count(b'"')
            survey.n_opened += sum(block.count(edge + b'"') for edge in EDGES) + (is_first and block[:1] == b'"')
            survey.n_closed += sum(block.count(b'"' + edge) for edge in EDGES)
        is_first, last = False, block[-1:]
        survey.has_blank = survey.has_blank or any(ends in block for ends in (b"\n\n", b"\r\r", b"\n\r\n"))
        survey.has_nul = survey.has_nul or b"\0" in block
        if not block.isascii():
            survey.is_western = survey.is_western and not (UTF8_PAIR.search(block) or NOT_A_LETTER.search(block))
        survey.is_utf8 = survey.is_utf8 and _decodes(decoder, block)
    survey.n_closed += last == b'"'
    survey.is_utf8 = survey.is_utf8 and _decodes(decoder, b"", final=True)
    return survey


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _sample(path: Path, kind: str) -> tuple[bytes, bool]:
    """The first bytes, enough for a header and a row, and whether they are all there is."""
    size = SAMPLE_BYTES
    while True:
        with open_bytes(path, kind) as file:
            sample = file.read(size)
        if len(sample) < size:
            return sample, True
        if len(re.findall(rb"[\r\n][^\r\n]", sample)) > 2 or size > 1 << 30:
            return sample, False
        size *= 8


def _encoding(sample: bytes, dialect: Dialect) -> str:
    for bom, encoding in BOMS.items():
        if sample.startswith(bom):
            return encoding
    if sample[1::2].count(0) > len(sample) // 4:
        return "utf-16-le"
    if sample[::2].count(0) > len(sample) // 4:
        return "utf-16-be"
    if dialect.survey.is_utf8 or not dialect.survey.is_western:
        return "utf-8"
    dialect.notes.append("not UTF-8; read as Windows-1252 (Latin-1)")
    return "cp1252"


# ---- lines and cells ----------------------------------------------------------------------------


def _lines(text: str) -> list[str]:
    """Physical lines, whatever their end, each with its end."""
    return list(io.StringIO(text, newline=""))


def rows_of(text: str, separator: str, limit: int = SAMPLE_ROWS) -> Iterator[list[str]]:
    """The first rows of a text; stops quietly at a cell too big for a sample."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if limit <= 0:
                return
            if row:
                limit -= 1
                yield row
    except csv.Error:
        return


def _skip_remarks(text: str, dialect: Dialect, name: str) -> None:
    """Step over blank lines, '# remarks' and the 'sep=;' line of spreadsheets."""
    dialect.separator = ""
    for line in _lines(text):
        words = line.strip("\ufeff \t\r\n")
        if words.lower().startswith("sep=") and len(words) == 5:
            dialect.separator = words[4]
        elif words.startswith("# "):
            dialect.notes.append(f"passed over the remark {words[:60]!r}")
        elif words:
            return
        dialect.skip_lines += 1
    raise DataError(f"{name} holds no table: only blank lines and remarks. Give a header and rows below it.")


def _separator(body: str, suffix: str) -> str:
    """The mark that cuts most rows into as many cells as the header, and the header into the most."""

    def merit(separator: str) -> tuple[float, bool]:
        rows = list(rows_of(body, separator))
        n_cells = len(rows[0]) if rows else 1
        agreeing = sum(len(row) == n_cells for row in rows) / max(len(rows), 1)
        return (n_cells - 1) * agreeing, separator == "\t" and suffix == ".tsv"

    return max(SEPARATORS, key=merit)


# ---- header -------------------------------------------------------------------------------------


def _name_columns(body: str, dialect: Dialect, is_whole: bool, name: str) -> None:
    rows = list(rows_of(body, dialect.separator))
    if not rows:
        raise DataError(f"{name} has a name above 128 kB in its header. Give the columns shorter names.")
    if not is_whole and len(rows) > 1:
        rows.pop()  # it may be cut
    dialect.decimal_comma = _has_decimal_commas(rows[1:], dialect)
    if _is_data(rows[0]):
        dialect.names = [f"x{i}" for i in range(len(rows[0]))]
        dialect.notes.append(f"no header (the first line holds numbers): columns named x0..x{len(rows[0]) - 1}")
        return
    dialect.skip_lines += _n_header_lines(body, dialect.separator)
    dialect.names = _names(rows, dialect)


def _n_header_lines(body: str, separator: str) -> int:
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator)
    next(reader)
    return reader.line_num


def _is_data(first: list[str]) -> bool:
    """Whether the first line is a row: many numbers that are not names such as 0,1,2 or 2019,2020,2021."""
    numbers = [cell.strip() for cell in first if NUMBER.fullmatch(cell.strip())]
    is_named = len(numbers) < len(first)
    if not numbers or (is_named and (len(numbers) < 2 or 3 * len(numbers) < len(first))):
        return False
    if not all(number.isdigit() for number in numbers):
        return True
    values = [int(number) for number in numbers]
    steps = {b - a for a, b in zip(values, values[1:], strict=False)}
    are_years = all(1900 <= value <= 2100 for value in values)
    return not (steps <= {1} and (steps or values == [0])) and not (are_years and len(steps) == 1)


def _names(rows: list[list[str]], dialect: Dialect) -> list[str]:
    """The header's names, put right where they are blank or twice."""
    header = [cell.strip("\ufeff \t\r\n\"'") if cell.strip() else "" for cell in rows[0]]
    n, last = len(header), len(header) - 1
    names = [name or f"column{i + 1}" for i, name in enumerate(header)]
    if n > 1 and not header[last] and all(len(row) < n or not row[last].strip() for row in rows[1:]):
        dialect.dropped.append(names[last])
        dialect.notes.append("each line ends with a separator: nothing there is read")
    elif n > 1 and not header[0]:
        dialect.dropped.append(names[0])
        dialect.notes.append("the first column has no name: taken for row numbers and left out")
    return unique_names(names, dialect.notes)


def unique_names(names: list[str], notes: list[str]) -> list[str]:
    """The names, all different: the second 'amount' is called 'amount.2'."""
    seen: set[str] = set()
    result = []
    for name in names:
        number, unique = 1, name
        while unique in seen or (number > 1 and unique in names):
            number += 1
            unique = f"{name}.{number}"
        if unique != name:
            notes.append(f"two columns are named {name!r}: the second is called {unique!r}")
        seen.add(unique)
        result.append(unique)
    return result


def _has_decimal_commas(rows: list[list[str]], dialect: Dialect) -> bool:
    """1,5 means one and a half: only where the comma does not separate and no 1.5 stands beside it."""
    if dialect.separator == ",":
        return False
    cells = [cell.strip("$€£¥₹% \t") for row in rows for cell in row]
    with_comma = [cell for cell in cells if COMMA_NUMBER.fullmatch(cell)]
    if not with_comma or any(POINT_NUMBER.fullmatch(cell) for cell in cells):
        return False
    if dialect.separator != ";" and all(THOUSANDS.fullmatch(cell) for cell in with_comma):
        return False
    dialect.notes.append("commas inside numbers are read as decimal marks")
    return True
