"""Claim: the pictures of README.md and docs/ are what the tools make: figures of the tour's own report.

Command: python benchmarks/pictures_of_docs.py [REPORT.html] (without one the tour is run first; needs playwright and
a Chromium). Machine: 2 cores. Minutes: 4. Number to expect: every picture at most 60 kB, tour.png 90. Date: 2026-11-22.
"""

import io
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from twofold.cli import main

DOCS = Path(__file__).parents[1] / "docs"
MOST_BYTES = 60_000  # of tour.png half as many again
FIGURES = {
    "autoencoder": "autoencoder-on-pictures-2", "map": "autoencoder-on-pictures-1", "denoising": "denoising-2",
    "compression": "compression-2", "anomaly-detection": "defects-in-pictures-1",
    "masked": "transfer-and-self-supervision-1", "transfer": "transfer-and-self-supervision-2",
    "gan": "gan-forger-and-detective-1", "gan-tables": "gan-forger-and-detective-2", "turing-test": "real-or-fake-1",
    "language": "language-model-2", "clip": "words-and-pictures-1", "describe": "words-and-pictures-2",
}  # fmt: skip


def shoot(report: Path) -> None:
    """Every picture anew."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900}, device_scale_factor=1)
        page.goto(report.resolve().as_uri())
        (DOCS / "pictures").mkdir(exist_ok=True)
        for name, figure in FIGURES.items():
            write(DOCS / "pictures" / f"{name}.png", page.locator(f"#{figure}").screenshot())
        write(DOCS / "tour.png", top(page), 3 * MOST_BYTES // 2)
        browser.close()


def top(page: Page) -> bytes:
    """The first screen: what it is, and the table."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#summary").bounding_box()
    assert box is not None
    return page.screenshot(
        full_page=True, clip={"x": 0, "y": 0, "width": 1200, "height": box["y"] + box["height"] + 40}
    )


def write(path: Path, png: bytes, most: int = MOST_BYTES) -> None:
    """In as many colours as so many bytes hold."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for n_colours in (256, 128, 96, 64, 48, 32, 16):
        buffer = io.BytesIO()
        image.quantize(n_colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if len(buffer.getvalue()) <= most:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path.name}: {len(buffer.getvalue()):,} bytes, {image.width} x {image.height}, {n_colours} colours")


def toured() -> Path:
    """The report of a tour that is made now."""
    folder = Path(mkdtemp())
    try:
        main(["tour", "--out", str(folder)])
    except SystemExit as end:
        assert not end.code
    return folder / "report.html"


if __name__ == "__main__":
    shoot(Path(sys.argv[1]) if len(sys.argv) > 1 else toured())
