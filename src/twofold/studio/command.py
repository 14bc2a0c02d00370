"""twofold studio: start the pages on this machine."""

import json
import socket
import sys
import tempfile
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import tyro
import uvicorn

from twofold.errors import SettingError
from twofold.studio.app import create_app
from twofold.studio.guard import Guard, Keys
from twofold.studio.patience import PatientProtocol
from twofold.studio.place import Studio
from twofold.studio.shelf import Shelf

__all__ = ["studio"]

HOME = ("127.0.0.1", "localhost", "::1")


@dataclass(kw_only=True)
class StudioFlags:
    """Pages for all that the library can do, on this machine alone."""

    port: int = 8765
    """Where the pages are: http://127.0.0.1:PORT."""
    runs: Path = Path("runs")
    """The folder of runs: they are read from there and made there, and nothing is written elsewhere."""
    data: tuple[Path, ...] = ()
    """Files and folders that may be learned from; they are only read. Others can be uploaded."""
    host: str = "127.0.0.1"
    """The address to listen at; another one than this machine's own needs --token."""
    token: str | None = None
    """The key to the pages, at least 16 letters (None: one is drawn at each start)."""
    open: bool = False
    """Whether to open the page in the browser at once."""
    page: str = ""
    """The page that the told address opens, such as turing?trial=ID."""


def studio(arguments: list[str]) -> None:
    """Serve until Ctrl-C."""
    is_json = "--json" in sys.argv
    flags = tyro.cli(StudioFlags, prog="twofold studio", args=arguments, config=(tyro.conf.FlagConversionOff,))
    _check(flags)
    keys = Keys(flags.token)
    app = _application(flags, keys, lambda: _tell(flags, keys, is_json, "another browser"))
    config = uvicorn.Config(app, flags.host, flags.port, http=PatientProtocol, ws="none", log_level="error",
                            server_header=False, proxy_headers=False, timeout_keep_alive=20,
                            timeout_graceful_shutdown=5)  # fmt: skip
    _tell(flags, keys, is_json, "open")
    if flags.open:
        threading.Timer(1.0, webbrowser.open, [_address(flags, keys)]).start()
    uvicorn.Server(config).run()


def _check(flags: StudioFlags) -> None:
    if flags.host not in HOME and flags.token is None:
        raise SettingError(f"--host {flags.host} lets other machines in: give a --token that they must show.")
    if flags.host in ("", "0.0.0.0", "::"):
        raise SettingError(f"--host {flags.host} is every address. Name one, which the browser will show too.")
    if flags.token is not None and len(flags.token) < 16:
        raise SettingError("--token has fewer than 16 letters. Give a longer one, or leave it out.")
    if not 0 < flags.port < 65536:
        raise SettingError(f"--port is {flags.port}; 1 to 65535 is allowed. Give 8765.")
    for path in flags.data:
        if not path.exists():
            raise SettingError(f"--data {path} is not there. Give a file or a folder.")
    with socket.socket(socket.AF_INET6 if ":" in flags.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((flags.host, flags.port))
        except OSError as error:
            raise SettingError(
                f"--port {flags.port} cannot be used at {flags.host} ({error.strerror}). Is another studio running? "
                "Give another port."
            ) from error


def _application(flags: StudioFlags, keys: Keys, on_entry: "object") -> Guard:
    names = HOME if flags.host in HOME else (*HOME, flags.host)
    hosts = frozenset(f"[{name}]:{flags.port}" if ":" in name else f"{name}:{flags.port}" for name in names)
    shelf = Shelf(flags.runs, flags.data)
    # what is being uploaded lies in the runs folder too, and nowhere else
    tempfile.tempdir = str(shelf.hidden / "parts")
    return create_app(Studio(shelf, keys), hosts, on_entry)  # type: ignore[arg-type]


def _address(flags: StudioFlags, keys: Keys) -> str:
    return f"http://{flags.host}:{flags.port}/enter?token={keys.way_in}" + (f"&page={flags.page}" if flags.page else "")


def _tell(flags: StudioFlags, keys: Keys, is_json: bool, why: str) -> None:
    """The address that lets a browser in, once; for scripts the key too."""
    if is_json:
        told = {"address": _address(flags, keys), "key": keys.bearer, "runs": str(flags.runs)}
        print(json.dumps(told), flush=True)
    else:
        print(f"{why}: {_address(flags, keys)}   (Ctrl-C ends the studio)", flush=True)
