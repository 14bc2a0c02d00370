"""A generator at work: new items, and walks between two of them."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["new"])
