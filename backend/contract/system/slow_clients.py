"""Limit the time in which a client of our HTTP servers sends a request. Answers have no limit.

uvicorn waits without limit for a slow header or body, and some hundreds of such connections use up
the files that a process may open.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from backend.contract.texts.locales import t


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which closes a connection whose request does not come in time.

    header_s   seconds for the whole header, from the connection's begin or the first byte of a
               further request on it
    body_s     seconds for the body, and one more for each body_rate bytes of it that have come
    body_rate  bytes a second that a slow line carries at least
    """

    header_s = 15.0
    body_s = 30.0
    body_rate = 10_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._awaited = ""  # header, body, or "" while a request is answered

    def error_page(self, status: int, code: str) -> tuple[bytes, bytes]:
        """The content type and body of an answer from the protocol itself: 400 or 408."""
        return b"text/plain; charset=utf-8", f"{status} {t(f'http.{code}')}".encode()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the header of a new client."""
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock of a client that has gone."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Extend the time for a body by the bytes that have come."""
        if self._awaited == "body":
            self._deadline += len(data) / self.body_rate
        super().data_received(data)
        self._await()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        del msg
        self._refuse(400, "bad_request")

    def _await(self) -> None:
        """Set the clock for the next part of the request, if that is a new one."""
        parts = {h11.IDLE: "header", h11.SEND_BODY: "body"}
        awaited = "" if self.transport.is_closing() else parts.get(self.conn.their_state, "")
        if awaited == self._awaited:
            return
        self._stop()
        self._awaited = awaited
        if awaited:
            seconds = self.header_s if awaited == "header" else self.body_s
            self._deadline = self.loop.time() + seconds
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _stop(self) -> None:
        self._awaited = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Refuse the request, unless bytes have come since or we have paused reading."""
        if self.flow.read_paused:
            self._deadline = self.loop.time() + self.body_s
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        else:
            self._refuse(408, "too_slow")

    def _refuse(self, status: int, code: str) -> None:
        """Answer with an error, unless an answer has begun, and close the connection."""
        self._stop()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            kind, body = self.error_page(status, code)
            headers = [
                (b"content-type", kind),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            start = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            if self.cycle is not None:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        self.transport.close()
