"""docs/studio.png: four pages of the studio at work, as a browser shows them.

Command: python benchmarks/picture_of_studio.py [--chromium PATH]
Machine: 2 cores; about 3 minutes. Needs Playwright (dev group) and a chromium.
It starts a studio on an empty folder, learns a map of digits, what tumours are benign, and the game's first turns.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

OUT = Path(__file__).resolve().parents[1] / "docs" / "studio.png"
WIDTH, HEIGHT, PORT = 1180, 780, 8790


def learned(page: Page, name: str, see: str) -> None:
    """Press Learn, wait for the result, and bring it into sight."""
    page.goto(f"http://127.0.0.1:{PORT}/{name}")
    page.get_by_role("button", name="Learn", exact=True).click(timeout=120_000)
    page.wait_for_selector("text=Learned.", timeout=240_000)
    page.wait_for_selector(see, timeout=60_000)
    page.wait_for_timeout(3000)
    page.locator(see).first.scroll_into_view_if_needed()
    page.evaluate("document.getElementById('use').scrollIntoView()")
    page.wait_for_timeout(500)


def seen(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def pictures(page: Page) -> list[Image.Image]:
    learned(page, "map", "#use-body canvas")
    found = [seen(page)]
    learned(page, "odd", "#use-body table")
    found.append(seen(page))
    page.goto(f"http://127.0.0.1:{PORT}/game")
    page.get_by_role("button", name="Play").click(timeout=60_000)
    page.wait_for_timeout(15_000)
    page.evaluate("document.querySelector('#main canvas').scrollIntoView({block: 'center'})")
    found.append(seen(page))
    page.goto(f"http://127.0.0.1:{PORT}/")
    page.wait_for_timeout(2000)
    return [seen(page), *found]


def montage(parts: list[Image.Image]) -> Image.Image:
    """Two by two, at half size."""
    small = [part.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.LANCZOS) for part in parts]
    gap = 8
    sheet = Image.new("RGB", (WIDTH + 3 * gap, HEIGHT + 3 * gap), "#dde2ea")
    for place, part in enumerate(small):
        row, column = divmod(place, 2)
        sheet.paste(part, (gap + column * (WIDTH // 2 + gap), gap + row * (HEIGHT // 2 + gap)))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    flags = parser.parse_args()
    with TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "twofold", "studio", f"--port={PORT}", f"--runs={runs}", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
            address = json.loads(studio.stdout.readline())["address"]
            time.sleep(2)
            with sync_playwright() as tool:
                browser = tool.chromium.launch(executable_path=flags.chromium, args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                page.goto(address)
                montage(pictures(page)).quantize(128).save(OUT, optimize=True)
                browser.close()
            studio.terminate()


if __name__ == "__main__":
    main()
