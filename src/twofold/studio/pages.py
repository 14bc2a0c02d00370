"""The pages: one template a wish, filled from `wishes`; all else they fetch from the API."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from twofold import __version__
from twofold.studio.guard import Refusal
from twofold.studio.wishes import WISHES, Wish

__all__ = ["routes"]

routes = APIRouter(include_in_schema=False)

_TEMPLATES = Path(str(files("twofold.studio") / "templates"))
_environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(), trim_blocks=True)


@routes.get("/", response_class=HTMLResponse)
async def show_home() -> str:
    """All wishes."""
    return _page("home.html")


@routes.get("/healthy", response_class=PlainTextResponse)
async def tell_health() -> str:
    """That the studio is up."""
    return "ok"


@routes.get("/plotly.js")
async def send_plotly() -> FileResponse:
    """Plotly's script, as the installed package holds it."""
    path = Path(str(files("plotly") / "package_data" / "plotly.min.js"))
    return FileResponse(path, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})


@routes.get("/{wish}", response_class=HTMLResponse)
async def show_wish(request: Request, wish: str) -> str:
    """The page of a wish."""
    if wish not in WISHES:
        raise Refusal(404, f"there is no page {wish[:40]!r} here.")
    own = f"{wish}.html"
    return _page(own if (_TEMPLATES / own).is_file() else "wish.html", WISHES[wish])


def _miniatures() -> dict[str, Any]:
    """The drawing of each page, for the small ones on the first page."""
    return {key: asdict(wish.drawing) for key, wish in WISHES.items() if wish.drawing}


def _page(name: str, wish: Wish | None = None) -> str:
    told: dict[str, Any] = {"drawings": _miniatures()} if wish is None else asdict(wish)
    if wish is not None and not wish.drawing:
        # the page on which any method is learned shows the drawing of the one that is chosen
        told["drawings"] = {other.methods[0]: asdict(other.drawing) for other in WISHES.values()
                            if other.methods and other.drawing and other.key != "turing"}  # fmt: skip
    # a block of data, not of script; `<` must not end it
    about = json.dumps(told).replace("<", "\\u003c")
    return _environment.get_template(name).render(wishes=WISHES, wish=wish, about=about, version=__version__)
