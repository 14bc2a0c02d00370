"""report.html: one file that stands alone, figures and all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from typing import Any

from twofold.measure.report import Measure

__all__ = ["Chapter", "figure_html", "page"]

_STYLE = """
:root {
  color-scheme: light dark; --ink: #1c2330; --soft: #5b6577; --line: #dfe3ea; --paper: #fbfbfc; --card: #fff
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaf0; --soft: #9aa5b8; --line: #2c3442; --paper: #12161d; --card: #191f29 }
  figure > svg { background: #fff; border-radius: 6px }
}
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 }
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.25rem 5rem }
h1 { font-size: 2rem; margin: 0 0 .25rem; letter-spacing: -.02em } h2 { margin: 3rem 0 .25rem }
p { max-width: 44rem } .soft, figcaption { color: var(--soft); font-size: .9rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem } .scroll { overflow-x: auto }
th, td { text-align: left; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--soft); font-weight: 600 } td.number { font-variant-numeric: tabular-nums; font-weight: 600 }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.25rem }
.figures { margin-top: 1rem; align-items: start }
figure { margin: 0; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
figure { overflow-x: auto } figure > svg { max-width: 100%; height: auto }
pre { white-space: pre-wrap; font-size: .85rem; margin: 0 }
.ahead { color: #1f8a4c; font-weight: 600 } .not { color: #b3541e; font-weight: 600 }
"""


@dataclass(frozen=True)
class Chapter:
    """One chapter's piece of the tour."""

    title: str
    idea: str
    learned: str
    measure: Measure
    figures: list[tuple[str, str]] = field(default_factory=list)  # (HTML, caption)

    @property
    def beside(self) -> tuple[str, float]:
        """The baseline to beat."""
        return self.measure.baselines[0]

    @property
    def verdict(self) -> str:
        """Whether the measure beats its baseline."""
        ahead = self.measure.value - self.beside[1]
        return "ahead" if (ahead > 0) == self.measure.is_higher_better and ahead else "not ahead"


def figure_html(figure: Any) -> str:
    """A matplotlib figure as SVG inside the page."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def page(chapters: Sequence[Chapter], rows: Sequence[dict[str, Any]], seconds: float) -> str:
    """The whole report."""
    summary = _table(rows)
    sections = "".join(_section(chapter) for chapter in chapters)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    intro = (
        "Deep learning beyond plain classification, on data that came with the package; trained and measured here in "
        f"{seconds:.0f} seconds. Every measure is on rows that training never saw, beside a baseline."
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>twofold: the tour</title><style>{_STYLE}</style></head>'
        f"<body><main><h1>twofold: the tour</h1><p class=soft>{intro}</p>{summary}{sections}</main></body></html>"
    )


def _section(chapter: Chapter) -> str:
    figures = "".join(
        f"<figure>{html}<figcaption>{escape(text)}</figcaption></figure>" for html, text in chapter.figures
    )
    return (
        f"<h2>{escape(chapter.title)}</h2><p>{escape(chapter.idea)}</p>"
        f"<p class=soft>{escape(str(chapter.measure))}</p><div class=figures>{figures}</div>"
    )


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(f"<tr>{''.join(_cell(name, value) for name, value in row.items())}</tr>" for row in rows)
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"<td class=number>{value:.4g}</td>"
    kind = {"ahead": " class=ahead", "not ahead": " class=not"}.get(str(value), "")
    return f"<td{kind}>{escape(str(value))}</td>"
