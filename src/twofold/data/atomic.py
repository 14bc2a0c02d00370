"""Writing a file whole or not at all."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from twofold.errors import DiskFullError

__all__ = ["NO_ROOM", "append_line", "write_atomically"]

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomically(path: str | Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` so that a reader, or a machine that dies, sees the old file or the new one, never a part.

    Raises
    ------
    DiskFullError
        When there is no room. What stood at `path` is untouched and no part file stays behind.
    """
    path = Path(path)
    # one fixed name: what a killed write leaves behind is overwritten by the next
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if error.errno in NO_ROOM:
            raise _no_room(error, path, len(data)) from error
        raise
    _sync_folder(path.parent)


def append_line(path: Path, text: str) -> None:
    """Add a line at the end of a file.

    Raises
    ------
    DiskFullError
        When there is no room.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        if error.errno in NO_ROOM:
            raise _no_room(error, path, len(text)) from error
        raise


def _no_room(error: OSError, path: Path, n_bytes: int) -> DiskFullError:
    return DiskFullError(
        error.errno,
        f"{path} needs {n_bytes / 1e6:.1f} MB and there is no room for it. "
        "What was there before is untouched. Free some space and run the command again.",
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where folders can be opened (not on Windows)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
