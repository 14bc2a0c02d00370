"""The guard by itself: keys, cookies, what every answer carries, and what a person at a browser is told."""

import asyncio
import re
import time

import pytest
from starlette.testclient import TestClient

from twofold.cli import main
from twofold.errors import SettingError
from twofold.studio.app import create_app
from twofold.studio.guard import Guard, Keys
from twofold.studio.place import Studio
from twofold.studio.shelf import Shelf

HOST = "127.0.0.1:8765"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
def visitor(tmp_path, keys):
    """Somebody who has no key yet."""
    app = create_app(Studio(Shelf(tmp_path), keys), frozenset({HOST}))
    return TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)


def test_a_way_in_works_once_and_sets_a_cookie_that_no_script_and_no_other_site_gets(visitor, keys):
    way_in = keys.way_in
    answer = visitor.get(f"/enter?token={way_in}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    flags = answer.headers["set-cookie"].lower()
    assert (
        flags.startswith("twofold-8765=") and "httponly" in flags and "samesite=strict" in flags and "path=/" in flags
    )
    assert "domain" not in flags and "expires" not in flags and "max-age" not in flags
    assert visitor.get("/api/v1/runs").status_code == 200
    visitor.cookies.clear()
    assert visitor.get(f"/enter?token={way_in}").status_code == 401 and keys.way_in != way_in


def test_a_token_of_ones_own_opens_as_often_as_it_is_shown(tmp_path):
    keys = Keys("a token of my own")
    assert keys.exchange("a token of my own") == keys.exchange("a token of my own") == keys.session
    assert keys.session != keys.bearer == "a token of my own"


@pytest.mark.parametrize(("page", "where"), [
    ("map", "/map"), ("turing?trial=4f-2a", "/turing?trial=4f-2a"), ("//elsewhere.example", "/"),
    ("http://elsewhere", "/"),
    ("\\elsewhere", "/"), ("map\r\nSet-Cookie: a=b", "/"), ("../x", "/"),
])  # fmt: skip
def test_a_way_in_leads_to_our_own_pages_only(visitor, keys, page, where):
    answer = visitor.get("/enter", params={"token": keys.way_in, "page": page})
    assert answer.headers["location"] == where


def test_cookies_of_other_programs_on_this_machine_do_not_lock_us_out(visitor, keys):
    name = f"twofold-8765={keys.session}"
    for others in ("a={bad json, really}", 'b="unclosed', "=", ";;", "c=é"):
        for cookie in (f"{others}; {name}", f"{name}; {others}"):
            assert visitor.get("/api/v1/runs", headers={"Cookie": cookie.encode("latin-1")}).status_code == 200
    assert visitor.get("/api/v1/runs", headers={"Cookie": f"twofold-1={keys.session}"}).status_code == 401


def test_every_answer_carries_the_headers_that_protect(visitor, keys):
    key = {"Authorization": f"Bearer {keys.bearer}"}
    asked = [("/static/studio.css", {}), ("/static/nothing", {}), ("/healthy", {}), ("/", {}), ("/", key),
             ("/map", key),
             ("/api/v1/runs", key), ("/api/v1/runs/x", key), ("/nothing", key), ("/plotly.js", key), ("/a/../b", key),
             ("/healthy", {"Host": "elsewhere"}), (f"/enter?token={keys.way_in}", {}),
             ("/enter?token=x", {})]  # fmt: skip
    for path, headers in asked:
        for more in ({}, BROWSER):
            told = visitor.get(path, headers=headers | more).headers
            assert told["x-content-type-options"] == "nosniff" and told["x-frame-options"] == "DENY", path
            assert re.search(r"script-src 'self';", told["content-security-policy"]), path
            assert told["cross-origin-resource-policy"] == "same-origin" and told["referrer-policy"] == "no-referrer"
            assert "access-control-allow-origin" not in told and "server" not in told
            is_kept = path in ("/static/studio.css", "/plotly.js") and (headers or path.startswith("/static"))
            assert is_kept or told["cache-control"] == "no-store", path


def test_a_person_without_the_key_is_told_what_to_do_on_a_page(visitor):
    answer = visitor.get("/map", headers=BROWSER)
    assert answer.status_code == 401 and answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text and "terminal" in answer.text and "<script" not in answer.text
    assert visitor.get("/map").json()["error"].startswith("the key of this start is missing")
    assert visitor.get("/api/v1/runs", headers=BROWSER).headers["content-type"] == "application/json"


def test_a_page_that_is_not_there_says_so_and_leads_back(visitor, keys):
    key = {"Authorization": f"Bearer {keys.bearer}"}
    answer = visitor.get("/<script>alert(1)<", headers=BROWSER | key)
    assert answer.status_code == 404 and "href='/'" in answer.text
    assert "<script" not in answer.text and "&lt;script" in answer.text


def test_a_link_from_another_page_may_lead_here_but_a_picture_or_frame_of_it_may_not(visitor, keys):
    key = {"Authorization": f"Bearer {keys.bearer}", "Sec-Fetch-Site": "cross-site"}
    assert visitor.get("/map", headers=key | {"Sec-Fetch-Mode": "navigate"}).status_code == 200
    for mode in ("no-cors", "cors", "websocket", ""):
        assert visitor.get("/map", headers=key | {"Sec-Fetch-Mode": mode}).status_code == 403


def test_a_queue_that_is_full_says_when_to_come_again(visitor, keys, tmp_path):
    studio = visitor.app.app.state.studio
    studio.trainings._waiting.extend([None] * 32)
    answer = visitor.post("/api/v1/runs", json={"method": "gan", "data": "sample-wine"},
                          headers={"Authorization": f"Bearer {keys.bearer}"})  # fmt: skip
    assert (
        answer.status_code == 503
        and answer.headers["retry-after"] == "5"
        and "trainings wait" in answer.json()["error"]
    )


def test_a_full_disk_is_told_as_such(visitor, keys, monkeypatch):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Shelf, "new_upload", full)
    key = {"Authorization": f"Bearer {keys.bearer}"}
    assert visitor.post("/api/v1/data/uploads", headers=key).status_code == 507


@pytest.mark.parametrize("flags", [
    ["--host=0.0.0.0", "--token=0123456789abcdef"], ["--host=192.0.2.1"], ["--token=short"], ["--port=0"],
    ["--data=/nowhere"],
])  # fmt: skip
def test_the_studio_does_not_start_open_to_others(flags, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["studio", f"--runs={tmp_path}", *flags])
    assert end.value.code == 2 and issubclass(SettingError, ValueError)


def test_the_guard_costs_little(keys):
    """Measured 0.04 ms a request on one core of the tier; 0.5 ms allows for a machine in use."""

    async def nothing(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    scope = {"type": "http", "method": "GET", "path": "/api/v1/runs", "raw_path": b"/api/v1/runs", "query_string": b"",
             "headers": [(b"host", HOST.encode()), (b"cookie", f"twofold-8765={keys.session}".encode()),
                         *[(b"x-%d" % number, b"value") for number in range(12)]]}  # fmt: skip
    guard = Guard(nothing, keys, frozenset({HOST}))

    async def asked():
        begun = time.process_time()
        for _ in range(1000):
            await guard(scope, body, sink)
        return (time.process_time() - begun) / 1000

    async def body():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def sink(message):
        assert message["type"] != "http.response.start" or message["status"] == 204

    assert asyncio.run(asked()) < 0.0005
