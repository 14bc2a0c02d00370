"""CLIP at work: an index of pictures, search by words, captions, labels without training."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["search"])
