"""Names of files as they can be shown: no letter that breaks a terminal, a table or a page; and the name back.

A control character, half a letter (bytes that are not UTF-8), or a mark that turns the writing direction is written as
its number (`\\x1b`, `\\udce9`, `\\u202e`), a backslash as two. All other names are shown as they are.
"""

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["original", "shown", "unique"]

UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # within words of some scripts, and in emoji
ESCAPED = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def shown(name: str) -> str:
    """The name with all that is unsafe to show written as numbers; different names stay different.

    Examples
    --------
    >>> print(shown("two" + chr(10) + "lines.jpg"))
    two\\x0alines.jpg
    """
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    return "".join(map(_safe, name))


def original(name: str) -> str:
    """The reverse of `shown`."""
    return ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), name)


def unique(names: Iterable[str]) -> list[str]:
    """The names, where one comes again with its count: a.png, a.png #2."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    result = []
    for name in names:
        new = name
        while new in taken:
            counts[name] = counts.get(name, 1) + 1
            new = f"{name} #{counts[name]}"
        taken.add(new)
        result.append(new)
    return result


def _safe(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    if letter in JOINERS or unicodedata.category(letter) not in UNSAFE:
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
