"""The application: guard, routes, pages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from twofold import __version__
from twofold.data.atomic import NO_ROOM
from twofold.errors import DataError, DiskFullError, InputError, RunError
from twofold.studio import pages
from twofold.studio.api import (
    clean,
    data,
    files,
    fill,
    game,
    jobs,
    map,
    methods,
    new,
    odd,
    recognise,
    runs,
    search,
    smaller,
    turing,
    write,
)
from twofold.studio.guard import Guard, told_as
from twofold.studio.place import PROBLEMS, Studio

__all__ = ["create_app"]

# in the order of the menu
PARTS = (methods, data, runs, jobs, files, map, clean, odd, smaller, new, fill, write, search, recognise, turing, game)

ABOUT = (
    "All that the pages of twofold's studio do, for scripts. The key is told at the start; send it as a Bearer token."
)


def create_app(studio: Studio, hosts: frozenset[str], on_entry: Callable[[], None] = lambda: None) -> Guard:
    """The studio as an ASGI application.

    Parameters
    ----------
    hosts : what the Host header may say, such as `127.0.0.1:8765`.
    on_entry : called when a way in was used up.
    """
    app = FastAPI(title="twofold", version=__version__, description=ABOUT, lifespan=_lifespan, docs_url=None,
                  redoc_url=None, openapi_url="/api/v1/openapi.json")  # fmt: skip
    app.state.studio = studio
    key = [Depends(HTTPBearer(auto_error=False))]
    for part in PARTS:
        app.include_router(part.routes, prefix="/api/v1", dependencies=key, responses=PROBLEMS)
    app.include_router(pages.routes)
    app.mount("/static", StaticFiles(directory=str(resources.files("twofold.studio") / "static")))
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    return Guard(app, studio.keys, hosts, on_entry)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    studio: Studio = app.state.studio
    await studio.trainings.start()
    studio.workbench.warm_up()
    yield
    await studio.trainings.end()
    studio.workbench.end()


# ---- what goes wrong -----------------------------------------------------------------------------


async def _wrong_input(request: Request, error: Exception) -> JSONResponse:
    is_absent = isinstance(error, RunError | DataError) and str(error).startswith(("there is no", "there are no"))
    return JSONResponse({"error": str(error)}, 404 if is_absent else 422)


async def _no_file(request: Request, error: Any) -> JSONResponse:
    if isinstance(error, DiskFullError) or error.errno in NO_ROOM:
        return JSONResponse({"error": f"there is no room on the disk: {error.strerror}"}, 507)
    return await _our_fault(request, error)


async def _wrong_shape(request: Request, error: Any) -> JSONResponse:
    wrong = error.errors()[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return JSONResponse({"error": f"{where}: {wrong['msg']}"}, 422)


async def _refused(request: Request, error: Any) -> Response:
    return told_as(error, request.scope)


async def _our_fault(request: Request, error: Exception) -> JSONResponse:
    # what it was stands in the log of the terminal, never on the page
    return JSONResponse({"error": f"a fault of ours ({type(error).__name__}). The terminal tells more."}, 500)


_ANSWERS: dict[Any, Any] = {
    InputError: _wrong_input, OSError: _no_file, RequestValidationError: _wrong_shape, HTTPException: _refused,
    Exception: _our_fault,
}  # fmt: skip
