"""Results, by their opaque names."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse

from twofold.studio.place import Here
from twofold.studio.shelf import KINDS

__all__ = ["routes"]

routes = APIRouter(prefix="/files", tags=["files"])

INLINE = (".png", ".wav")
KINDS_TOLD = {kind.partition(";")[0]: {} for kind in KINDS.values()}


@routes.get("/{name}", response_class=Response, responses={200: {"content": KINDS_TOLD}})
async def fetch_file(
    here: Here, name: Annotated[str, Path(pattern=r"^[A-Za-z0-9]{1,24}-[0-9a-f]{24}\.[a-z]{3,8}$")]
) -> FileResponse:
    """A result: pictures and sounds to be shown, all else to be kept."""
    path, kind = here.shelf.result(name)
    shown = "inline" if path.suffix in INLINE else "attachment"
    return FileResponse(path, media_type=kind, filename=name, content_disposition_type=shown)
