"""Where what can be made again is kept: unpacked pictures and the like. It may be deleted at any time."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(name: str) -> Path:
    """The folder of that name in the cache: TWOFOLD_CACHE, else twofold in XDG_CACHE_HOME, else ~/.cache/twofold."""
    own = os.environ.get("TWOFOLD_CACHE")
    if own:
        return Path(own).expanduser() / name
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "twofold" / name
