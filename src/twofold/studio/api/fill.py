"""A masked autoencoder at work: what is hidden painted."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["fill"])
