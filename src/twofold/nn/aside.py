"""A network that was learned before: part of another one, but not of its training."""

from torch import nn

__all__ = ["set_aside"]


def set_aside(network: nn.Module) -> None:
    """Keep a network's weights as buffers: they are saved and loaded with it, and no optimizer gets them."""
    for part in network.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, weight.detach())
