"""Every page in a real browser: no word on the console, nothing that axe finds serious, and one whole way by keyboard.

Skipped, loudly, where there is no chromium; `.ci/run` installs it.
"""

import json
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from twofold.studio.wishes import WISHES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: apt-get install chromium, or the pages are not tested"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio of this file's own, for a way in works once: what it told at its start."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runs = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "twofold", "studio", f"--port={port}", f"--runs={runs}", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield json.loads(process.stdout.readline()) | {"port": port}
    process.terminate()
    process.wait(60)
    process.stdout.close()


@pytest.fixture(scope="module")
def page(studio):
    """A page of a browser that was let in, and what its console said."""
    from playwright.sync_api import sync_playwright

    wait_for(studio["port"])
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        page.said = []
        page.on("console", lambda message: page.said.extend(words(message)))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(studio["address"])
        assert urlsplit(page.url).path == "/" and page.said == []
        yield page
        browser.close()


def words(message) -> list[str]:
    """What a page complained of, and where."""
    return [f"{message.text} ({message.location['url']})"] if message.type in ("error", "warning") else []


def wait_for(port: int) -> None:
    import socket
    import time

    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the studio did not come up")


def opened(page, studio, path: str) -> None:
    """Open a page and wait until it has fetched what it shows."""
    page.said.clear()
    page.goto(f"http://127.0.0.1:{studio['port']}/{path}")
    page.wait_for_load_state("networkidle")


def serious(page) -> list[str]:
    """What axe finds on the page that is serious or critical, each with where it is."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:120]}"
        for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"][:3]
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["", *WISHES])
def test_a_page_opens_without_a_word_on_the_console_and_can_be_used_by_all(page, studio, path):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        opened(page, studio, path)
        assert page.locator("h1").count() == 1
        assert page.said == [], scheme
        assert serious(page) == [], scheme


def test_a_page_that_is_not_there_is_as_usable(page, studio):
    page.emulate_media(color_scheme="light")
    opened(page, studio, "nothing-here")
    assert page.locator("h1").inner_text() == "There is no such page" and serious(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"http://127.0.0.1:{studio['port']}/")


def tab_to(page, name: str, patience: int = 60) -> None:
    """Press Tab until what has that name for a screen reader has the focus."""
    for _ in range(patience):
        page.keyboard.press("Tab")
        if page.evaluate(NAME_OF_FOCUS).strip().startswith(name):
            return
    raise AssertionError(f"no {name!r} was reached by Tab; the last was {page.evaluate(NAME_OF_FOCUS)!r}")


NAME_OF_FOCUS = """() => { const node = document.activeElement;
  return node.getAttribute("aria-label") || node.labels?.[0]?.innerText || node.innerText || node.tagName; }"""


def test_a_map_is_learned_and_seen_by_keyboard_alone(page, studio):
    opened(page, studio, "")
    tab_to(page, "Map")
    page.keyboard.press("Enter")
    page.wait_for_url("**/map")
    page.wait_for_selector("#learn-form button.main")
    page.wait_for_load_state("networkidle")
    tab_to(page, "Minutes")
    page.keyboard.press("Control+a")
    page.keyboard.type("0.05")
    tab_to(page, "Learn")
    page.keyboard.press("Enter")
    page.wait_for_selector("#training:not([hidden])", timeout=15_000)
    page.wait_for_selector("#use-run select", timeout=90_000)
    page.wait_for_selector("#use-body > *", timeout=30_000)
    # on a busy machine the map is still being drawn when the page is there
    page.wait_for_selector("#use-body :is(canvas, svg, img)", timeout=60_000)
    assert "Nothing was learned yet" not in page.locator("#use-body").inner_text()
    assert page.said == [] and serious(page) == []
