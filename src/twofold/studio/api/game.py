"""The two-dimensional game: the same Learner as the real one, step by step."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["game"])
