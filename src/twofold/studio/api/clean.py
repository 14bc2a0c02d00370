"""A denoiser at work: pictures without their noise, and how much better they are said to be."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["clean"])
