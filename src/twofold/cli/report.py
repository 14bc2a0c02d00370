"""report.html: one file that stands alone, figures and all, in light and in dark.

Dimension key: H, W height and width, C channels.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO, StringIO
from typing import Any

import numpy as np
from PIL import Image

from twofold.measure.report import Measure

__all__ = ["INK", "Chapter", "figure_html", "image_html", "page", "rows_html"]

INK = "#0b0c0d"
"""What a chart is drawn in; on the page it becomes the colour of the text."""
GAP = 3  # pixels between pictures of a row, as seen

_STYLE = """
:root {
  color-scheme: light dark; --ink: #1b2230; --soft: #5d6779; --line: #e3e6ec; --paper: #faf9f6; --card: #fff;
  --own: #2f6fb2; --other: #b9c1ce; --good: #1d7f48; --bad: #b3541e
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8ebf1; --soft: #9aa6ba; --line: #29313e; --paper: #10141a; --card: #171d26;
    --own: #6ea8e4; --other: #475163; --good: #5cc98a; --bad: #e39a63
  }
  .ink { filter: invert(.9) }
}
* { box-sizing: border-box }
body { font: 16px/1.6 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 }
main { max-width: 68rem; margin: 0 auto; padding: 4rem 1.5rem 6rem }
h1, h2 { font-family: Charter, "Iowan Old Style", Georgia, serif; font-weight: 600; letter-spacing: -.01em }
h1 { font-size: clamp(2rem, 5vw, 3.1rem); line-height: 1.12; margin: 0 0 .8rem; max-width: 20ch; text-wrap: balance }
h2 { font-size: 1.7rem; margin: 0 0 .4rem } p { max-width: 42rem; margin: 0 0 .8rem }
.lead { font-size: 1.1rem; color: var(--soft); margin-bottom: 2.2rem }
a { color: inherit; text-decoration-color: var(--other); text-underline-offset: .2em } a:hover { color: var(--own) }
table { border-collapse: collapse; width: 100%; font-size: .9rem; line-height: 1.4 } .scroll { overflow-x: auto }
th, td { text-align: left; padding: .6rem 1.1rem .6rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--soft); font-weight: 500; white-space: nowrap } td:first-child { font-weight: 600 }
td.number { font-variant-numeric: tabular-nums } .soft, figcaption { color: var(--soft); font-size: .9rem }
.bars { min-width: 11rem } .bars div { display: flex; align-items: center; gap: .5rem; font-size: .8rem }
.bars div { white-space: nowrap; font-variant-numeric: tabular-nums }
.bars i { height: .55rem; border-radius: 3px; background: var(--other); min-width: 2px }
.bars .own i { background: var(--own) }
.bars .own { font-weight: 600 } .bars div + div { color: var(--soft) }
.ahead { color: var(--good) } .not { color: var(--bad) } .ahead, .not { font-weight: 600; white-space: nowrap }
section { margin-top: 4.5rem; padding-top: 2.2rem; border-top: 1px solid var(--line) }
.count { color: var(--soft); font-size: .85rem; letter-spacing: .08em; text-transform: uppercase }
.told { font-variant-numeric: tabular-nums } .told b { font-size: 1.15rem; color: var(--own) }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: 1.25rem }
.figures { margin-top: 1.3rem; align-items: start }
figure { margin: 0; padding: 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: 14px }
figure { overflow-x: auto } figcaption { margin-top: .8rem } figure > svg { width: 100%; height: auto }
.rows { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem .9rem; align-items: center }
.rows span { font-size: .8rem; color: var(--soft); max-width: 10rem; line-height: 1.25 }
.rows img, figure > img { max-width: 100%; height: auto; display: block; border-radius: 3px }
.rows img { image-rendering: pixelated }
.rows .smooth { image-rendering: auto; border-radius: 6px }
figure table { font-size: .82rem } figure tr:last-child td { border: 0 } figure td:first-child { font-weight: 400 }
pre { white-space: pre-wrap; font: .84rem/1.55 ui-monospace, monospace; margin: 0 }
@media print { section { break-inside: avoid } main { padding: 0 } }
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

    @property
    def anchor(self) -> str:
        """Where on the page it is."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


# ---- figures -------------------------------------------------------------------------------------


def figure_html(figure: Any) -> str:
    """A matplotlib figure as SVG inside the page, in the page's own ink."""
    import matplotlib

    buffer = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def image_html(picture_HWC: np.ndarray, name: str, zoom: float = 1) -> str:
    """One picture, uint8 with one, three or four channels, `zoom` times as large as its pixels."""
    is_grey = picture_HWC.shape[2] == 1
    buffer = BytesIO()
    Image.fromarray(picture_HWC[..., 0] if is_grey else picture_HWC).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    # what is drawn in black on white is turned round on a dark page; photographs are not
    kind = ("ink" if is_grey or _is_drawn(picture_HWC) else "") + (" smooth" if zoom < 2 else "")
    width = round(picture_HWC.shape[1] * zoom)
    return f'<img class="{kind.strip()}" width="{width}" alt="{escape(name)}" src="data:image/png;base64,{data}">'


def rows_html(rows: Sequence[tuple[str, Sequence[np.ndarray]]], zoom: float = 1) -> str:
    """Pictures in rows, each row behind its name."""
    cells = (f"<span>{escape(name)}</span>{image_html(_row(p, zoom), name, zoom)}" for name, p in rows)
    return f"<div class=rows>{''.join(cells)}</div>"


def _row(pictures: Sequence[np.ndarray], zoom: float) -> np.ndarray:
    """Pictures of one height side by side (H, W, 4), with nothing between them."""
    gap = max(1, round(GAP / zoom))
    parts = []
    for picture_HWC in pictures:
        colour_HW3 = np.broadcast_to(picture_HWC, (*picture_HWC.shape[:2], 3))
        parts += [np.dstack([colour_HW3, np.full(colour_HW3.shape[:2], 255, np.uint8)])]
        parts += [np.zeros((len(picture_HWC), gap, 4), np.uint8)]
    return np.hstack(parts[:-1])


def _is_drawn(picture_HWC: np.ndarray) -> bool:
    return bool((picture_HWC[..., :1] == picture_HWC[..., 1:3]).all())


# ---- the page ------------------------------------------------------------------------------------


def page(chapters: Sequence[Chapter], rows: Sequence[dict[str, Any]], seconds: float) -> str:
    """The whole report; `rows` are what the table on the terminal says."""
    n_ahead = sum(chapter.verdict == "ahead" for chapter in chapters)
    intro = (
        f"Deep learning beyond plain classification, on data that came with the package: trained and measured on this "
        f"machine in {seconds:.0f} seconds. Every measure is on items that training never saw; {n_ahead} of "
        f"{len(chapters)} chapters are ahead of the baseline beside them."
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = _summary(chapters, rows) + "".join(_section(*pair) for pair in enumerate(chapters, 1))
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>twofold: the tour</title><style>{_STYLE}</style></head>'
        f"<body><main><p class=count>twofold: the tour</p><h1>Two networks that make each other better</h1>"
        f"<p class=lead>{intro}</p>{body}</main></body></html>"
    )


def _summary(chapters: Sequence[Chapter], rows: Sequence[dict[str, Any]]) -> str:
    names = ("chapter", "what was learned", "measure", "beside its baseline", "verdict")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_line(*pair) for pair in zip(chapters, rows, strict=True))
    return f"<div class=scroll id=summary><table><tr>{head}</tr>{body}</table></div>"


def _line(chapter: Chapter, row: dict[str, Any]) -> str:
    direction = "higher is better" if chapter.measure.is_higher_better else "lower is better"
    interval = f", 95 %: {row['95 %']}" if row["95 %"] else ""
    kind = "ahead" if chapter.verdict == "ahead" else "not"
    return (
        f'<tr><td><a href="#{chapter.anchor}">{escape(chapter.title)}</a></td><td>{escape(chapter.learned)}</td>'
        f"<td>{escape(chapter.measure.name)}<br><span class=soft>{direction}{interval}</span></td>"
        f"<td class=bars>{_bars(chapter)}</td><td class={kind}>{chapter.verdict}</td></tr>"
    )


def _bars(chapter: Chapter) -> str:
    """The measure and its baseline as lengths."""
    both = (("own", "twofold", chapter.measure.value), ("", *chapter.beside))
    longest = max(abs(value) for *_, value in both) or 1.0
    return "".join(
        f'<div class="{kind}"><i style="width:{5 * abs(value) / longest:.2f}rem"></i>{value:.4g} {escape(name)}</div>'
        for kind, name, value in both
    )


def _section(number: int, chapter: Chapter) -> str:
    figures = "".join(
        f'<figure id="{chapter.anchor}-{place}">{html}<figcaption>{escape(text)}</figcaption></figure>'
        for place, (html, text) in enumerate(chapter.figures, 1)
    )
    measure = chapter.measure
    beside = " · ".join(f"{escape(name)} {value:.4g}" for name, value in measure.baselines)
    return (
        f'<section id="{chapter.anchor}"><div class=count>{number}</div><h2>{escape(chapter.title)}</h2>'
        f"<p>{escape(chapter.idea)}</p><p class=told><b>{measure.value:.4g}</b> {escape(measure.name)} "
        f"<span class=soft>beside {beside}</span></p><div class=figures>{figures}</div></section>"
    )
