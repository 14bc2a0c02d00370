"""The same defaults learn German: the unseen tenth of a system's German messages is coded in fewer bits than by xz.

Command: python benchmarks/language_german.py     Machine: 1 core     Minutes: 5
Number to expect (November 2026): 1.41 bits a byte, xz that saw the other nine tenths 1.71

No German book lies in ../shared; the translations that a Debian machine carries for its programs (gettext's .mo files)
are real German of many hands. They come in the order of their programs, so the last tenth is of other programs.
"""

import gettext
from pathlib import Path

import torch
from language_codec import coded, primed_xz
from record import record

from twofold import LanguageModel

MOST = 2_000_000  # characters


def main() -> None:
    """Learn nine tenths, code the last."""
    torch.set_num_threads(1)
    text = german()
    cut = len(text) - len(text) // 10
    row = coded(LanguageModel(minutes=2, n_threads=1).fit([text[:cut]]), text[cut:])
    row["xz that saw the rest"] = primed_xz(text, cut)
    record(
        "language_german",
        claim=f"2 minutes of learning on one thread, {cut:,} characters of German messages; the other "
        f"{len(text) - cut:,} are coded, the model not counted.",
        figures=[
            {"figure": "German, held-out tenth, bits a byte", "value": row["bits a byte"],
             "must": f"< {row['xz']} (xz)", "aim": f"< {row['xz that saw the rest']} (xz that saw the rest)"}
        ],
        rows=[row],
    )  # fmt: skip


def german() -> str:
    """Every different German message of 40 characters and more that this system has."""
    messages: dict[str, None] = {}
    for path in sorted(Path("/usr/share/locale/de/LC_MESSAGES").glob("*.mo")):
        try:
            with path.open("rb") as file:
                found = gettext.GNUTranslations(file)._catalog.values()
        except UnicodeDecodeError:
            continue  # an old one, in Latin-1
        messages |= dict.fromkeys(text for text in found if isinstance(text, str) and len(text) >= 40)
    if not messages:
        raise SystemExit("This system has no German messages (gettext, language de): nothing to learn from.")
    return "\n".join(messages)[:MOST]


if __name__ == "__main__":
    main()
