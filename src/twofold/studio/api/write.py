"""A language model at work: writing on, the next tokens and their probabilities, what surprises."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["write"])
