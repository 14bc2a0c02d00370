"""The attack list: raw bytes over sockets against a studio that is really served. Each is refused, nothing is touched.

A refusal is an answer 4xx, or a connection that is closed without one; never 5xx, never what lies beside the runs.
"""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import time
import zipfile

import pytest

SECRET = b"the-secret-that-lies-beside"


# ---- the house, and what lies beside it ----------------------------------------------------------


@pytest.fixture(scope="module")
def beside(runs_folder):
    """A folder beside the runs folder, which nothing may reach."""
    folder = runs_folder.parent / "beside"
    folder.mkdir()
    (folder / "config.json").write_bytes(b'{"method": "gan", "state": "' + SECRET + b'"}')
    (folder / "README.md").write_bytes(SECRET)
    (folder / "preview.png").write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    return folder


@pytest.fixture(scope="module")
def planted(runs_folder, beside):
    """Links and a planted upload that lead out of the runs folder: name -> address that would follow them."""
    os.symlink(beside, runs_folder / "all-linked")
    for name in ("card", "config", "outputs", "deep"):
        (runs_folder / f"{name}-linked").mkdir()
        if name != "config":
            (runs_folder / f"{name}-linked" / "config.json").write_text('{"method": "gan"}')
    os.symlink(beside / "README.md", runs_folder / "card-linked" / "README.md")
    os.symlink(beside / "config.json", runs_folder / "config-linked" / "config.json")
    os.symlink(beside, runs_folder / "outputs-linked" / "outputs")
    (runs_folder / "deep-linked" / "a" / "b").mkdir(parents=True)
    os.symlink("../../../../beside/README.md", runs_folder / "deep-linked" / "a" / "b" / "c")
    for folder, source in zip(planted_data(runs_folder), ("../../../../../beside", "files"), strict=True):
        (folder / "files").mkdir(parents=True)
        told = {"title": "linked", "source": source, "about": "", "kind": "upload"}
        (folder / ".about.json").write_text(json.dumps(told))
    os.symlink(beside, folder / "files" / "out")
    result = f"out-{'a' * 24}.png"
    os.symlink(beside / "preview.png", runs_folder / ".studio" / "results" / result)
    time.sleep(1.1)  # the runs are looked up once a second
    runs = {name: f"/api/v1/runs/{run_id(name)}" for name in ("all-linked", "card-linked", "config-linked")}
    return runs | {
        "outputs-linked": f"/api/v1/runs/{run_id('outputs-linked')}/preview",
        "deep-linked": f"/api/v1/runs/{run_id('deep-linked')}/progress",
        "planted-source": "/api/v1/data/20200101000000-aaaaaaaaaaaaaaaa",
        "planted-items": "/api/v1/data/20200101000000-aaaaaaaaaaaaaaaa/items",
        "linked-data": "/api/v1/data/linked/items/0/picture",
        "linked-result": f"/api/v1/files/{result}",
    }


@pytest.fixture(scope="module", autouse=True)
def untouched(beside, planted, served, runs_folder):
    """Before and after all attacks the folder beside is the same, and the studio is up."""
    before, names = listing(beside), sorted(os.listdir(beside.parent))
    yield
    assert listing(beside) == before and sorted(os.listdir(beside.parent)) == names
    (runs_folder / "all-linked").unlink()
    for folder in (*runs_folder.glob("*-linked"), runs_folder / "bait", *planted_data(runs_folder)):
        shutil.rmtree(folder, ignore_errors=True)
    assert status(ask(served, "GET /healthy")) == 200


@pytest.fixture(scope="module")
def cookie(served):
    """The cookie of a browser that was let in, and the way in that it used up."""
    address = served["address"]
    while True:
        path = address.partition(f":{served['port']}")[2]
        answer = raw(served, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served['port']}\r\nConnection: close\r\n\r\n")
        if status(answer) == 303:
            found = re.search(rb"set-cookie: ([^;]+);", answer, re.IGNORECASE)
            return {"cookie": found[1].decode(), "way_in": path}
        address = json.loads(served["process"].stdout.readline())["address"]


def planted_data(runs_folder):
    return [runs_folder / ".studio" / "data" / name for name in ("20200101000000-aaaaaaaaaaaaaaaa", "linked")]


def run_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def listing(folder):
    return sorted(
        (str(path), path.lstat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*") if path.is_file()
    )  # fmt: skip


# ---- speaking without a library that would tidy up -----------------------------------------------


def raw(served, data, patience: float = 10.0) -> bytes:
    """All that is answered to these bytes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", served["port"]), patience) as line:
        try:
            line.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
            while piece := line.recv(1 << 16):
                answer += piece
        except (ConnectionError, TimeoutError):
            pass
    assert SECRET not in answer
    return answer


def ask(served, first: str, *headers: str, body: bytes = b"", host: str | None = None, key: bool = True) -> bytes:
    """A request as it is written here, with the right Host and key unless it is said otherwise."""
    lines = [f"{first} HTTP/1.1", f"Host: {host or served['url'][7:]}", "Connection: close"]
    if key:
        lines.append(f"Authorization: Bearer {served['key']}")
    told = [line.lower() for line in headers]
    if body and not any(line.startswith(("content-length", "transfer-encoding")) for line in told):
        lines.append(f"Content-Length: {len(body)}")
    return raw(served, "\r\n".join([*lines, *headers, "", ""]).encode("utf-8") + body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def is_refused(answer: bytes) -> bool:
    return answer == b"" or 400 <= status(answer) < 500


def form(name: bytes, data: bytes = b"x", field: bytes = b"files") -> bytes:
    head = b'--edge\r\nContent-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"\r\n'
    return head + b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--edge--\r\n"


FORM = ("Content-Type: multipart/form-data; boundary=edge", "X-Twofold: 1")
JSON = "Content-Type: application/json"

# ---- 1. paths ------------------------------------------------------------------------------------

PATHS = [
    "/static/../guard.py", "/static/%2e%2e/guard.py", "/static/..%2fguard.py", "/static/%2e%2e%2fguard.py",
    "/static/.%2e/.%2e/errors.py", "/static/%252e%252e/guard.py", "/static/%25252e%25252e%25252fguard.py",
    "/static/..\\guard.py", "/static/..%5cguard.py", "/static/%5c%5chost%5cshare%5cfile", "//host/share/file",
    "/C:/Windows/win.ini", "/static/C:%5cWindows%5cwin.ini", "/static/%00", "/static/studio.css%00.html",
    "/static/%c0%ae%c0%ae/guard.py", "/static/%e0%80%ae%e0%80%ae%c0%afguard.py", "/static/%ef%bc%8e%ef%bc%8e/guard.py",
    "/static/..;/guard.py", "/static/....//guard.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd",
    "/api/v1/files/..%2f..%2f..%2fbeside%2fREADME.md", "/api/v1/files/../../../beside/README.md",
    "/api/v1/files/%2e%2e", "/api/v1/runs/..%2f..%2fbeside", "/api/v1/runs/../../beside", "/api/v1/data/../../beside",
    "/api/v1/data/..%2f..%2fbeside/items", "/api/v1/data/.about.json", "/.studio/data", "/API/v1/runs",
    "/Static/studio.css",
    "/STATIC/../guard.py", "/healthy/../api/v1/runs", "file:///etc/passwd", "http://elsewhere/api/v1/runs",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_leads_elsewhere_is_refused(served, path):
    assert is_refused(ask(served, f"GET {path}"))


@pytest.mark.parametrize("name", [
    "all-linked", "card-linked", "config-linked", "outputs-linked", "deep-linked", "planted-source", "planted-items",
    "linked-data", "linked-result",
])  # fmt: skip
def test_a_link_that_leads_out_of_the_runs_folder_is_not_followed(served, planted, name):
    assert status(ask(served, f"GET {planted[name]}")) == 404
    assert b"linked" not in ask(served, "GET /api/v1/runs")


@pytest.mark.parametrize("name", [
    b"../out.png", b"..\\out.png", b"/tmp/out.png", b"a/../../../../out.png", b"a\x00.png",
    b"~/out.png",
    b"\\\\host\\share\\out.png", b"a//b.png", b"..", b"x" * 300, b"a/" * 40 + b"b", b"a:stream.png",
    "a\u202egnp.png".encode(), b"a\x1b[2J.png",
])  # fmt: skip
def test_a_file_name_that_leads_elsewhere_is_refused(served, name):
    assert is_refused(ask(served, "POST /api/v1/data", *FORM, body=form(name)))


@pytest.mark.parametrize(
    "more",
    [
        b"a.png\"; filename*=\"UTF-8''..%2F..%2F..%2Fstray-attack.png",
        b"C:\\..\\stray-attack.png",
        b"...stray-attack.png",
    ],
)
def test_an_old_or_second_spelling_of_a_file_name_leads_nowhere_either(served, runs_folder, more):
    assert status(ask(served, "POST /api/v1/data", *FORM, body=form(more))) in (201, 422)
    assert not [path for path in runs_folder.parent.rglob("*stray-attack.png") if ".studio/data" not in str(path)]


@pytest.mark.parametrize("more", [
    {"name": "../out"}, {"name": "/tmp/out"}, {"name": "a/b"}, {"name": ".."}, {"name": ".hidden"}, {"name": "C:out"},
    {"name": "a\x00b"}, {"name": "a\n--out=/tmp"}, {"name": "--out=/tmp/out"}, {"data": "../../beside"},
    {"data": "/etc/passwd"}, {"data": "hf:owner/name"}, {"data": "http://127.0.0.1/x.csv"}, {"method": "../gan"},
    {"method": "transfer", "settings": {"backbone": "/etc/passwd"}}, {"settings": {"--out": "/tmp/out"}},
    {"method": "transfer", "settings": {"backbone": "run:../../beside"}}, {"settings": {"device": "cpu; touch /tmp/x"}},
    {"method": "transfer", "settings": {"backbone": "https://elsewhere/model"}},
])  # fmt: skip
def test_a_training_that_would_reach_elsewhere_is_refused(served, more):
    body = json.dumps({"method": "gan", "data": "sample-wine"} | more).encode()
    assert is_refused(ask(served, "POST /api/v1/runs", JSON, body=body))


# ---- 2. who asks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [
    "elsewhere.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.example:{port}", "localhost.:{port}",
    "0.0.0.0:{port}", "user@127.0.0.1:{port}", "127.1:{port}", "2130706433:{port}", "[::ffff:127.0.0.1]:{port}",
])  # fmt: skip
@pytest.mark.parametrize("path", ["/api/v1/runs", "/static/studio.css"])
def test_a_foreign_name_does_not_lead_here(served, host, path):
    assert status(ask(served, f"GET {path}", host=host.format(port=served["port"]))) == 421


def test_two_names_or_none_do_not_lead_here(served):
    ours = f"Host: 127.0.0.1:{served['port']}"
    assert is_refused(raw(served, f"GET /healthy HTTP/1.1\r\n{ours}\r\nHost: elsewhere\r\n\r\n"))
    assert is_refused(raw(served, "GET /healthy HTTP/1.1\r\nConnection: close\r\n\r\n"))
    assert is_refused(raw(served, "GET /healthy HTTP/1.0\r\n\r\n"))
    forwarded = ask(served, "GET /api/v1/runs", f"X-Forwarded-Host: 127.0.0.1:{served['port']}", host="elsewhere")
    assert status(forwarded) == 421


ORIGINS = ["null", "http://elsewhere.example", "http://127.0.0.1", "http://127.0.0.1:1", "https://127.0.0.1:{port}",
           "http://127.0.0.1:{port}.elsewhere.example", "http://localhost:{port}", "file://", "",
           "chrome-extension://abcdefgh", "HTTP://127.0.0.1:{port}/"]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_foreign_page_may_change_nothing(served, cookie, origin):
    origin = f"Origin: {origin.format(port=served['port'])}"
    for sender in ({"key": True}, {"key": False}):
        extra = () if sender["key"] else (f"Cookie: {cookie['cookie']}",)
        assert status(ask(served, "POST /api/v1/data/uploads", origin, *extra, **sender)) == 403
        assert status(ask(served, "GET /api/v1/runs", origin, *extra, **sender)) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none, cross-site", "elsewhere"])
def test_what_the_browser_says_of_a_foreign_page_is_believed(served, cookie, site):
    told = (f"Cookie: {cookie['cookie']}", f"Sec-Fetch-Site: {site}")
    assert status(ask(served, "POST /api/v1/data/uploads", *told, key=False)) == 403
    assert status(ask(served, "GET /api/v1/runs", *told, "Sec-Fetch-Mode: no-cors", key=False)) == 403


def test_a_cookie_alone_changes_nothing_where_the_sender_is_not_said(served, cookie):
    assert status(ask(served, "POST /api/v1/data/uploads", f"Cookie: {cookie['cookie']}", key=False)) == 403


@pytest.mark.parametrize("kind", [
    "text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", "application/csp-report",
    "multipart/form-data; boundary=edge", "application/json-patch+json", "text/html",
])  # fmt: skip
def test_a_kind_that_a_foreign_form_can_send_is_refused(served, cookie, kind):
    body = b'{"method": "gan", "data": "sample-wine"}'
    own = (f"Cookie: {cookie['cookie']}", f"Origin: http://127.0.0.1:{served['port']}", f"Content-Type: {kind}")
    assert status(ask(served, "POST /api/v1/runs", *own, body=body, key=False)) == 415
    assert is_refused(ask(served, "POST /api/v1/runs", *own[:2], body=body, key=False))


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", None])
def test_a_websocket_is_opened_for_nobody(served, cookie, origin):
    shake = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    told = [f"Cookie: {cookie['cookie']}", *([f"Origin: {origin}"] if origin else [])]
    lines = ["GET /api/v1/jobs HTTP/1.1", f"Host: 127.0.0.1:{served['port']}", "Connection: Upgrade", *shake, *told]
    assert status(raw(served, "\r\n".join([*lines, "", ""]), 3)) == 403


@pytest.mark.parametrize("headers", [
    (), ("Authorization: Bearer wrong",), ("Authorization: Bearer ",), ("Authorization: Basic {key}",),
    ("Authorization: Bearer {key}x",), ("Authorization: Bearer wrong", "Cookie: {cookie}"), ("Cookie: {cookie}x",),
    ("Cookie: twofold={cookie}",), ("Cookie: twofold-{port}=",), ("Cookie: twofold-{port}=\u00e9\u00e9",),
    ("Authorization: Bearer {key}", "Authorization: Bearer {key}"),
])  # fmt: skip
def test_nobody_comes_in_without_the_key(served, cookie, headers):
    told = [line.format(key=served["key"], cookie=cookie["cookie"], port=served["port"]) for line in headers]
    for path in ("/api/v1/runs", "/", "/plotly.js", "/api/v1/openapi.json", f"/api/v1/runs?token={served['key']}"):
        assert status(ask(served, f"GET {path}", *told, key=False)) in (400, 401)


def test_a_way_in_works_once(served, cookie):
    again = ask(served, f"GET {cookie['way_in']}", key=False)
    assert status(again) == 401 and b"set-cookie" not in again.lower()
    for wrong in ("/enter", "/enter?token=", "/enter?token=%00", f"/enter?token={served['key']}"):
        assert status(ask(served, f"GET {wrong}", key=False)) == 401
    assert status(ask(served, "GET /enter?token=x&page=//elsewhere.example", key=False)) == 401


# ---- 3. too much ---------------------------------------------------------------------------------


def test_what_is_too_long_is_refused(served):
    assert status(ask(served, f"GET /{'a' * 4000}")) == 414
    assert status(ask(served, f"GET /api/v1/runs?method={'a' * 9000}")) == 414
    assert is_refused(ask(served, f"GET /{'a' * 100_000}"))
    assert is_refused(ask(served, "GET /healthy", f"X-Long: {'a' * 200_000}"))
    assert is_refused(ask(served, "GET /healthy", *[f"X-{number}: a" for number in range(5000)]))
    assert is_refused(ask(served, "GET /healthy", f"Cookie: {'a=b; ' * 20_000}"))


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served):
    assert status(ask(served, "POST /api/v1/runs", JSON, "Content-Length: 999999999999")) == 413
    assert status(ask(served, "POST /api/v1/data", *FORM, "Content-Length: 99999999999")) == 413
    assert is_refused(ask(served, "POST /api/v1/runs", JSON, "Content-Length: -1"))
    assert is_refused(ask(served, "POST /api/v1/runs", JSON, f"Content-Length: {'9' * 5000}"))


def test_a_body_that_grows_piece_by_piece_is_cut_off(served):
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = ask(served, "POST /api/v1/runs", JSON, "Transfer-Encoding: chunked", body=piece * 64)
    assert is_refused(answer) and status(answer) in (0, 413)


def test_a_file_that_is_too_large_is_refused_and_not_kept(served, runs_folder):
    before = sorted((runs_folder / ".studio" / "parts").iterdir())
    assert status(ask(served, "POST /api/v1/data", *FORM, body=form(b"large.png", bytes(51 << 20)))) in (0, 413)
    assert sorted((runs_folder / ".studio" / "parts").iterdir()) == before


def test_too_many_files_or_fields_at_once_are_refused(served):
    files = b"".join(form(b"%d.png" % number).removesuffix(b"--edge--\r\n") for number in range(1001))
    assert is_refused(ask(served, "POST /api/v1/data", *FORM, body=files + b"--edge--\r\n"))
    field = b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 2000
    assert is_refused(ask(served, "POST /api/v1/data", *FORM, body=field + b"--edge--\r\n"))
    headers = b"--edge\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\nx\r\n--edge--\r\n"
    assert is_refused(ask(served, "POST /api/v1/data", *FORM, body=headers))


@pytest.mark.parametrize("body", [
    b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe{}", b'{"method": NaN}', b"1e999999", b'"\\ud800"', b"9" * 100_000,
    b'{"method":"gan","method":"gan","data":"\\u0000"}', b"", b"null", b"\x00",
])  # fmt: skip
def test_a_body_that_is_no_question_is_refused(served, body):
    assert is_refused(ask(served, "POST /api/v1/runs", JSON, body=body))


def uploaded(served, name: bytes, data: bytes) -> str:
    answer = ask(served, "POST /api/v1/data", *FORM, body=form(name, data))
    assert status(answer) == 201
    return json.loads(answer.partition(b"\r\n\r\n")[2])["id"]


def test_a_zip_bomb_is_refused_within_its_time(served):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("a.png", "w", force_zip64=True) as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    stock, begun = uploaded(served, b"bomb.zip", buffer.getvalue()), time.monotonic()
    answer = ask(served, f"GET /api/v1/data/{stock}")
    assert status(answer) in (200, 422) and time.monotonic() - begun < 8
    assert is_refused(ask(served, f"GET /api/v1/data/{stock}/items/0/picture"))


@pytest.mark.parametrize(("name", "data"), [
    (b"page.html", b"<script>alert(1)</script>"), (b"picture.svg", b"<svg onload='alert(1)'/>"),
    (b"page.png", b"<script>alert(1)</script>"), (b"a.html.png", b"GIF89a<script>alert(1)</script>"),
])  # fmt: skip
def test_a_page_that_is_sent_as_data_is_never_shown_as_one(served, name, data):
    stock = uploaded(served, name, data)
    for path in ("", "/items", "/items/0/picture", "/items/0/sound", f"/{name.decode()}"):
        answer = ask(served, f"GET /api/v1/data/{stock}{path}", "Accept: text/html,*/*")
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert status(answer) < 500 and b"nosniff" in head and b"text/html" not in head and b"svg" not in head


def test_a_planted_run_with_pickles_runs_nothing(served, runs_folder, beside):
    import pickle

    class Bait:
        def __reduce__(self):
            return os.system, (f"touch {beside / 'caught'}",)

    folder = runs_folder / "bait"
    folder.mkdir()
    for name in ("config.json", "model.pkl", "model.safetensors", "model.pt", "checkpoint.joblib"):
        (folder / name).write_bytes(pickle.dumps(Bait()))
    (folder / "config.json").write_text('{"method": "gan", "state": "finished", "settings": {"n_steps": 1}}')
    time.sleep(1.1)
    for path in ("", "/progress", "/preview"):
        assert status(ask(served, f"GET /api/v1/runs/{run_id('bait')}{path}")) in (200, 404)
    body = b'{"data": "sample-wine"}'
    for path in ("evaluate", "resume"):
        assert status(ask(served, f"POST /api/v1/runs/{run_id('bait')}/{path}", JSON, body=body)) in (202, 404, 409)
    assert not (beside / "caught").exists()


# ---- 4. two requests that look like one ----------------------------------------------------------

SMUGGLED = b"GET /api/v1/runs HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("headers", [
    ("Content-Length: 2", "Content-Length: 3"), ("Content-Length: 2, 3",),
    ("Content-Length: 2", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), ("Transfer-Encoding: xchunked",),
    ("Content-Length: +2",),
    ("Transfer-Encoding : chunked",), ("Content-Length: 0x2",),
    ("Content-Length: 2 2",),
    ("Transfer-Encoding: chunked, identity",), ("X: a\r\nContent-Length: 2\nTransfer-Encoding: chunked",),
])  # fmt: skip
def test_two_lengths_are_refused_and_what_follows_is_not_taken_for_a_request(served, headers):
    answer = ask(served, "POST /api/v1/data/uploads", JSON, *headers, body=b"0\r\n\r\n" + SMUGGLED)
    assert is_refused(answer) and answer.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize("first", [
    "TRACE /", "OPTIONS /api/v1/runs", "CONNECT 127.0.0.1:1", "PROPFIND /", "get /api/v1/runs",
    "PUT /static/studio.css",
    "DELETE /static/studio.css", "POST /healthy", "HEAD /api/v1/nothing", "OPTIONS *", "POST /", "PATCH /api/v1/runs",
])  # fmt: skip
def test_a_method_that_is_not_meant_is_refused(served, first):
    assert is_refused(ask(served, first))


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override: DELETE", "X-Method-Override: PUT", "X-Original-URL: /api/v1/runs"]
)
def test_a_header_does_not_change_what_is_asked(served, header):
    assert status(ask(served, "GET /api/v1/runs", header)) == 400


def test_what_is_no_request_is_refused(served):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 5000, b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n",
                 b"GET\r\n\r\n",
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
                 b"GET /\xff HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n: b\r\n\r\n", b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"):  # fmt: skip
        assert is_refused(raw(served, data, 12))


# ---- 5. slowly -----------------------------------------------------------------------------------


def test_a_hundred_slow_sockets_are_left_and_nobody_else_waits(served):
    head = f"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1:{served['port']}\r\n"
    body = f"{head}Authorization: Bearer {served['key']}\r\n{JSON}\r\nContent-Length: 1000\r\n\r\n{{"
    beginnings = [b"", b"G", head.encode(), f"{head}X-Slow: ".encode(), body.encode()]
    lines = [socket.create_connection(("127.0.0.1", served["port"])) for _ in range(100)]
    begun, waits = time.monotonic(), []
    try:
        for number, line in enumerate(lines):
            line.sendall(beginnings[number % 5])
            line.setblocking(False)
        while lines and time.monotonic() - begun < 40:
            asked = time.monotonic()
            assert status(ask(served, "GET /api/v1/runs")) == 200
            waits.append(time.monotonic() - asked)
            lines = [line for line in lines if not has_ended(line)]
            time.sleep(0.5)
        assert not lines and max(waits) < 1
    finally:
        for line in lines:
            line.close()


def has_ended(line: socket.socket) -> bool:
    """Send another letter; whether the other side has left."""
    try:
        line.send(b"x")
        while piece := line.recv(4096):
            assert piece.startswith(b"HTTP/1.1 4") or b"error" in piece or piece
        ended = True
    except BlockingIOError:
        ended = False
    except OSError:
        ended = True
    if ended:
        line.close()
    return ended
