"""The application: guard, routes, pages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from twofold import __version__
from twofold.errors import DataError, DiskFullError, InputError, RunError
from twofold.studio import pages
from twofold.studio.api import ROUTES
from twofold.studio.guard import Guard
from twofold.studio.place import PROBLEMS, Studio

__all__ = ["create_app"]

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
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(HTTPBearer(auto_error=False))], responses=PROBLEMS)
    for routes in ROUTES:
        api.include_router(routes)
    app.include_router(api)
    app.include_router(pages.routes)
    app.mount("/static", StaticFiles(directory=str(files("twofold.studio") / "static")))
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


async def _no_room(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(getattr(error, "strerror", error))}, 507)


async def _wrong_shape(request: Request, error: Any) -> JSONResponse:
    wrong = error.errors()[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return JSONResponse({"error": f"{where}: {wrong['msg']}"}, 422)


async def _refused(request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)


async def _our_fault(request: Request, error: Exception) -> JSONResponse:
    # what it was stands in the log of the terminal, never on the page
    return JSONResponse({"error": f"a fault of ours ({type(error).__name__}). The terminal tells more."}, 500)


_ANSWERS: dict[Any, Any] = {
    InputError: _wrong_input, DiskFullError: _no_room, RequestValidationError: _wrong_shape, HTTPException: _refused,
    Exception: _our_fault,
}  # fmt: skip
