"""A classifier at work: classes with probabilities."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["recognise"])
