"""An autoencoder at work: the latent map, decoding any point, rebuilding with the error beside."""

from fastapi import APIRouter

__all__ = ["routes"]

routes = APIRouter(tags=["map"])
