"""The studio for tests: in this process through a client that holds the key, and small runs that are trained once."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from starlette.testclient import TestClient

from twofold.cli import main
from twofold.studio.app import create_app
from twofold.studio.guard import Keys
from twofold.studio.place import Studio
from twofold.studio.shelf import Shelf

HOST = "127.0.0.1:8765"
# small and quick, but trained for real
SMALL = {
    "autoencoder": ["sample:digits", "--label=digit", "--steps=60", "--map-steps=60"],
    "detector": ["sample:breast-cancer", "--label=diagnosis", "--normal=benign", "--steps=40"],
    "gan": ["sample:glyphs", "--steps=8", "--size=8", "--conditional=False"],
    "gan-rows": ["sample:wine", "--label=cultivar", "--steps=20"],
    "language": ["sample:topics", "--steps=4", "--depth=1"],
    "denoiser": ["sample:photos", "--steps=3", "--dim=16"],
    "compressor": ["sample:photos", "--steps=2", "--dim=32", "--depth=1"],
    "masked": ["sample:glyphs", "--steps=3", "--dim=32", "--depth=1", "--invariance=0"],
    "clip": ["sample:glyphs", "--steps=5", "--describes=False", "--image-size=16"],
    "clip-describes": ["sample:glyphs", "--steps=5", "--image-size=16"],
}


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory):
    """The runs folder of this session's studio."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def small_run(runs_folder):
    """A run by its name in SMALL, trained at the first question; its id."""

    def trained(name: str) -> str:
        folder = runs_folder / name
        if not folder.exists():
            with pytest.raises(SystemExit) as end:
                main(["fit", name.partition("-")[0], *SMALL[name], "--out", str(folder), "--json"])
            assert end.value.code == 0
        return Shelf(runs_folder).run_id(folder)

    return trained


@pytest.fixture(scope="session")
def client(runs_folder):
    """A client that holds the key, as a script does."""
    keys = Keys()
    app = create_app(Studio(Shelf(runs_folder), keys), frozenset({HOST}))
    with TestClient(app, base_url=f"http://{HOST}", headers={"Authorization": f"Bearer {keys.bearer}"}) as client:
        yield client


@pytest.fixture
def ended(client):
    """Wait for a job; its last state."""

    def wait(job: dict, patience: float = 60.0) -> dict:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            told = client.get(f"/api/v1/jobs/{job['id']}").json()
            if told["state"] in ("finished", "stopped", "failed"):
                return told
            time.sleep(0.05)
        raise AssertionError(f"the job is still {told}")

    return wait


@pytest.fixture(scope="session")
def served(runs_folder):
    """A studio in a process of its own, as a user starts it: its address, key and port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "twofold", "studio", f"--port={port}", f"--runs={runs_folder}", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = json.loads(process.stdout.readline())
    wait_for(port)
    yield {**told, "port": port, "url": f"http://127.0.0.1:{port}", "process": process}
    process.terminate()
    process.wait(60)
    process.stdout.close()


def wait_for(port: int, patience: float = 30.0) -> None:
    """Until a server answers there."""
    import socket

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the studio did not come up")


@pytest.fixture(scope="module")
def browser():
    """Chromium; where there is none, tests that need it are skipped, and say so."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("NO BROWSER: apt-get install chromium, or the pages are not tested")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def let_in(browser, served):
    """A page that holds the key, by its path; afterwards nothing may have gone wrong on any."""
    faults = []

    def opened(path: str, scheme: str = "light"):
        headers = {"Authorization": f"Bearer {served['key']}"}
        page = browser.new_context(color_scheme=scheme, extra_http_headers=headers).new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        # a refusal is told on the page, and by the browser too
        page.on("console", lambda told: faults.append(told.text) if is_fault(told) else None)
        page.goto(f"{served['url']}/{path}")
        return page

    yield opened
    for context in browser.contexts:
        context.close()
    assert not faults


def is_fault(told) -> bool:
    """Whether a page's console tells of a fault."""
    return told.type == "error" and "422" not in told.text
