"""REST under /api/v1: all that the pages do, for scripts. A file a wish; `ROUTES` lists them."""

from fastapi import APIRouter

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

__all__ = ["ROUTES"]

ROUTES: tuple[APIRouter, ...] = tuple(
    part.routes
    for part in (
        methods,
        data,
        runs,
        jobs,
        files,
        map,
        clean,
        odd,
        smaller,
        new,
        fill,
        write,
        search,
        recognise,
        turing,
        game,
    )
)
"""Every group of routes."""
