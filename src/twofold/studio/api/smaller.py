"""A compressor at work: real files, at any quality."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["smaller"])
