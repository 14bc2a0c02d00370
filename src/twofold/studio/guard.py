"""Who may speak to the studio, and how: every request passes here first.

A server on one's own machine can be reached by every page that one's browser shows. So: the Host header must be ours
(a foreign name that points to this machine is turned away), a change of state must come from our own pages, what is
sent is limited in size, in time and in kind, and nobody is let in without the key of this start.
"""

import asyncio
import hmac
import html
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

__all__ = ["HEADERS", "Guard", "Keys", "Refusal", "told_as"]

ENTRANCE = "/enter"
OPEN_PATHS = (ENTRANCE, "/healthy")
SAFE_METHODS = ("GET", "HEAD")
METHODS = (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
MAX_JSON = 2 << 20  # bytes
MAX_UPLOAD = 256 << 20
MAX_PATH = 2048
MAX_HEADERS = 100
MAX_HEAD = 32 << 10
PAGE = re.compile(r"[a-z]+(\?[a-z]+=[A-Za-z0-9-]+)?")
PATIENCE = 20.0  # seconds without a byte of a body
SLOWEST = 32 << 10  # bytes a second, once the patience is used up
# a page's own header: a form on a foreign page cannot set it
OWN_HEADER = "x-twofold"
ONCE = ("origin", "content-type", "content-length", "authorization", "sec-fetch-site", "transfer-encoding")
# other servers let these say another kind of request than the first line does
OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
}
"""What every answer carries."""

TITLES = {401: "The door is closed", 404: "There is no such page"}
PAGES = {
    401: "{error} It stands in the terminal where <code>twofold studio</code> was started, and works once; "
    "the terminal shows a new one after each use. A browser that was let in before goes on <a href='/'>here</a>.",
    404: "{error} <a href='/'>All pages are here.</a>",
}
PAGE_OF_PROBLEMS = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title} · twofold</title>"
    "<meta name='viewport' content='width=device-width, initial-scale=1'>"
    "<link rel='stylesheet' href='/static/studio.css'></head>"
    "<body style='display:block'><main><h1>{title}</h1><p class='idea'>{text}</p></main></body></html>"
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Keys:
    """The secrets of one start: a way in that works once, and what opens afterwards.

    Parameters
    ----------
    token : the user's own; it opens as often as it is shown. None: one is drawn, and each way in works once.

    Examples
    --------
    >>> keys = Keys()
    >>> way_in = keys.way_in
    >>> keys.exchange(way_in) is not None, keys.exchange(way_in) is None
    (True, True)
    """

    def __init__(self, token: str | None = None):
        self.is_own = token is not None
        self.way_in = token or secrets.token_urlsafe(24)
        self.session = secrets.token_urlsafe(32)
        self.bearer = token or secrets.token_urlsafe(32)

    def exchange(self, token: str) -> str | None:
        """The session's secret for a way in that is not used up; a new way in takes its place."""
        if not _same(token, self.way_in):
            return None
        if not self.is_own:
            self.way_in = secrets.token_urlsafe(24)
        return self.session

    def open_to(self, headers: Headers) -> str | None:
        """By what a request may come in: `bearer` (a script), `cookie` (a page), or None."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return "bearer" if _same(token.strip(), self.bearer) else None
        return "cookie" if _same(_cookie(headers, cookie_name(headers)), self.session) else None


class Refusal(HTTPException):
    """A request is turned away, also in the middle of its body."""

    def __init__(self, status: int, message: str):
        # the connection is closed: what is left of a body is not waited for
        headers = {"Connection": "close"} | ({"Retry-After": "5"} if status == 503 else {})
        super().__init__(status, message, headers)


class Guard:
    """The outermost layer of the application.

    Parameters
    ----------
    hosts : what the Host header may say, port and all.
    on_entry : called when a way in was used up.
    """

    def __init__(self, app: Any, keys: Keys, hosts: frozenset[str], on_entry: Callable[[], None] = lambda: None):
        self.app = app
        self.keys = keys
        self.hosts = hosts
        self.on_entry = on_entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with a refusal."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            # there is no WebSocket here: a handshake is answered with 403
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send, is_static=scope["path"].startswith("/static/"))
        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
            receive = _limited(receive, _limit(headers))
        except Refusal as refusal:
            await told_as(refusal, scope)(scope, receive, send)
            return
        answer = self._enter(scope) if scope["path"] == ENTRANCE else self.app
        await answer(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if len(headers.getlist("host")) != 1 or headers["host"].lower() not in self.hosts:
            raise Refusal(421, "this name does not lead here. Use the address that twofold studio told.")
        _check_shape(scope, headers)
        is_open = scope["path"] in OPEN_PATHS or scope["path"].startswith("/static/")
        by = "open" if is_open and scope["method"] in SAFE_METHODS else self.keys.open_to(headers)
        if by is None:
            raise Refusal(401, "the key of this start is missing. Open the address that twofold studio told.")
        _check_sender(headers)
        if scope["method"] not in SAFE_METHODS:
            _check_change(headers, is_script=by == "bearer")

    def _enter(self, scope: Scope) -> Response:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        session = self.keys.exchange(asked.get("token", [""])[0])
        if session is None:
            refusal = Refusal(401, "this way in is used up or wrong. Open the newest address that was told.")
            return told_as(refusal, scope)
        self.on_entry()
        # only a page of ours: letters, and what a query is made of
        page = asked.get("page", [""])[0]
        answer = RedirectResponse("/" + (page if PAGE.fullmatch(page) else ""), 303)
        answer.set_cookie(cookie_name(Headers(scope=scope)), session, httponly=True, samesite="strict", path="/")
        return answer


def _check_shape(scope: Scope, headers: Headers) -> None:
    """Nothing that no page or script of ours would send."""
    if scope["method"] not in METHODS:
        raise Refusal(405, f"{scope['method'][:20]} is not allowed.")
    if "upgrade" in headers:
        raise Refusal(403, "there is nothing here but plain requests.")
    raw = scope.get("raw_path") or b""
    path = scope["path"]
    if len(raw) > MAX_PATH or len(scope.get("query_string", b"")) > 4 * MAX_PATH:
        raise Refusal(414, "the address is too long.")
    parts = path.replace("\\", "/").split("/")
    is_odd = "\\" in path or "%" in path or any(ord(letter) < 32 for letter in path)
    if not path.startswith("/") or is_odd or not {".", ".."}.isdisjoint(parts):
        raise Refusal(400, "the address holds what no address here holds.")
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEAD:
        raise Refusal(431, "the head of the request is too large.")
    if any(len(headers.getlist(name)) > 1 for name in ONCE):
        raise Refusal(400, "a header stands there twice.")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Refusal(400, "how long the body is stands there twice.")
    if any(name in headers for name in OVERRIDES):
        raise Refusal(400, "a request is of the kind that its first line says.")


def _check_sender(headers: Headers) -> None:
    """No other page may ask for anything; it may only lead here."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    is_ours = origin in (None, f"http://{headers['host']}") and site in (None, "same-origin", "none")
    is_link = origin is None and headers.get("sec-fetch-mode") == "navigate"
    if not is_ours and not is_link:
        raise Refusal(403, "another page may not ask for anything here.")


def _check_change(headers: Headers, is_script: bool) -> None:
    """A change of state comes from our own pages, or from a script that holds the key."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Refusal(403, "another page may not change anything here.")
    if origin is None and site is None and not is_script:
        raise Refusal(403, "where this comes from is not said. Scripts send their key as a Bearer token.")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if kind == "multipart/form-data" and OWN_HEADER not in headers:
        raise Refusal(415, f"files are sent with the header {OWN_HEADER}: 1, which a foreign form cannot set.")
    if (has_body or kind) and kind not in ("application/json", "multipart/form-data"):
        raise Refusal(415, "send application/json, or files as multipart/form-data.")


def _limit(headers: Headers) -> int:
    """How many bytes of body are read; a length that is told and larger is refused at once."""
    is_upload = headers.get("content-type", "").lower().startswith("multipart/form-data")
    limit = MAX_UPLOAD if is_upload else MAX_JSON
    told = headers.get("content-length", "0")
    if not told.isdecimal() or int(told) > limit:
        raise Refusal(413, f"at most {limit} bytes may be sent at once.")
    return limit


def _limited(receive: Receive, limit: int) -> Receive:
    """The same, counting bytes and losing patience: with one who is silent, and with one who sends by the drop."""
    n_bytes = 0
    is_whole = False
    begun_at = time.monotonic()

    async def counted() -> MutableMapping[str, Any]:
        nonlocal n_bytes, is_whole
        if is_whole:
            return await receive()  # waits for the other side to hang up: however long
        try:
            message = await asyncio.wait_for(receive(), PATIENCE)
        except TimeoutError:
            raise Refusal(408, "the body came too slowly.") from None
        n_bytes += len(message.get("body", b""))
        if time.monotonic() - begun_at > PATIENCE + n_bytes / SLOWEST:
            raise Refusal(408, "the body came too slowly.")
        is_whole = not message.get("more_body", False)
        if n_bytes > limit:
            raise Refusal(413, f"at most {limit} bytes may be sent at once.")
        return message

    return counted


def _with_headers(send: Send, is_static: bool) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told = {name.lower() for name, _ in message["headers"]}
            is_kept = is_static and message["status"] in (200, 304)
            more = HEADERS | {"Cache-Control": "max-age=3600" if is_kept else "no-store"}
            message["headers"] = [
                *message["headers"],
                *[(k.lower().encode(), v.encode()) for k, v in more.items() if k.lower().encode() not in told],
            ]
        await send(message)

    return sent


def told_as(problem: HTTPException, scope: Scope) -> Response:
    """What went wrong, as JSON; to a person at a browser as a page."""
    if scope["path"].startswith("/api/") or "text/html" not in Headers(scope=scope).get("accept", ""):
        return JSONResponse({"error": problem.detail}, problem.status_code, headers=problem.headers)
    text = PAGES.get(problem.status_code, "This did not work: {error}")
    shown = PAGE_OF_PROBLEMS.format(title=TITLES.get(problem.status_code, "Sorry"),
                                    text=text.format(error=html.escape(str(problem.detail))))  # fmt: skip
    return HTMLResponse(shown, problem.status_code, headers=problem.headers)


def cookie_name(headers: Headers) -> str:
    """Cookies do not know ports: two studios on one machine need two names."""
    return f"twofold-{headers['host'].rpartition(':')[2]}"


def _cookie(headers: Headers, name: str) -> str:
    # by hand: the library's jar stops at the first cookie of another program that it cannot read
    pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
