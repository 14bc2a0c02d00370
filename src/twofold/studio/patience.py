"""How HTTP is spoken here: as uvicorn does, but not for ever with one who never finishes a sentence.

uvicorn waits without end for the head of a request, and for the first byte of a connection; a hundred sockets that send
a letter a minute would stay. Bodies are the guard's matter, for it knows who sends them.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from twofold.studio.guard import HEADERS

__all__ = ["PatientProtocol"]

PATIENCE = 10.0  # seconds from the first byte of a head, or from the connection, to the head's end
TEXTS = {400: "Bad Request", 408: "Request Timeout"}


class PatientProtocol(H11Protocol):
    """One connection."""

    _end_of_patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; go on waiting from where the waiting began."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._calm()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Turn away what is no HTTP; one who is being answered already is only left."""
        self._leave(400, msg)

    def _watch(self) -> None:
        is_head = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if not is_head:
            self._calm()
        elif self._end_of_patience is None:
            self._end_of_patience = self.loop.call_later(PATIENCE, self._leave, 408, "The request came too slowly.")

    def _calm(self) -> None:
        if self._end_of_patience is not None:
            self._end_of_patience.cancel()
            self._end_of_patience = None

    def _leave(self, status: int, text: str) -> None:
        is_answered = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        # browsers open connections in advance, and would take an answer for that to their next question
        is_silent = not self.conn.trailing_data[0] and status == 408
        if not self.transport.is_closing() and not is_answered and not is_silent:
            headers = HEADERS | {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(text)),
                                 "Cache-Control": "no-store", "Connection": "close"}  # fmt: skip
            told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(f"HTTP/1.1 {status} {TEXTS[status]}\r\n{told}\r\n{text}".encode())
        self.transport.close()
