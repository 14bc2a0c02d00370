"""Real or fake? Trials for people, their answers, and the verdict."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["turing"])
