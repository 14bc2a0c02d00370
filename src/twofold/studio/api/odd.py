"""A detector at work: scores, p-values, and what gave each away."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["odd"])
