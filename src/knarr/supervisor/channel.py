"""One connection of the engine to the supervisor, on an asyncio loop.

Law: answers come back to the request that they number; events go to one callback, in the order in
which they were sent; only events carry descriptors. When the connection ends, every open request
fails with ``UnavailableError`` and ``on_lost`` is called once. Asyncio has no transport for
SEQPACKET sockets with descriptors: the socket is watched by ``add_reader`` and ``add_writer``.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from knarr.errors import InvalidArgumentError, UnavailableError
from knarr.supervisor import protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

_BATCH = 64


class Channel:
    """Requests, answers and events over one socket, which it owns."""

    def __init__(
        self,
        sock: socket.socket,
        on_event: Callable[[protocol.Packet, list[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._on_lost = on_lost
        self._number = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._unsent: deque[tuple[protocol.Packet, list[int]]] = deque()
        self.closed = False
        self._loop.add_reader(sock, self._readable)

    async def request(self, op: str, fds: Sequence[int] = (), **fields: Any) -> Any:
        """Send a request and wait for the value that answers it.

        ``fds`` stay with the caller. Raises the error that the supervisor answered, or
        ``UnavailableError`` when the connection ended before the answer.
        """
        if self.closed:
            raise _gone()
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._open[number] = answer
        try:
            self._send({"n": number, "op": op, **fields}, fds)
            return await answer
        finally:
            self._open.pop(number, None)

    def close(self) -> None:
        """End the connection; open requests fail."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, fds in self._unsent:
            protocol.close_all(fds)
        self._unsent.clear()
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(_gone())

    def _send(self, packet: protocol.Packet, fds: Sequence[int]) -> None:
        if not self._unsent:
            try:
                protocol.send(self._sock, packet, fds)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._writable)
            except OSError:
                self._lost()
                return
            else:
                return
        self._unsent.append((packet, [os.dup(fd) for fd in fds]))

    def _writable(self) -> None:
        while self._unsent:
            packet, fds = self._unsent[0]
            try:
                protocol.send(self._sock, packet, fds)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            self._unsent.popleft()
            protocol.close_all(fds)
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            if self.closed:
                return
            try:
                packet, fds = protocol.receive(self._sock)
            except BlockingIOError:
                return
            except (protocol.DisconnectedError, InvalidArgumentError, OSError):
                self._lost()
                return
            if "event" in packet:
                self._on_event(packet, fds)
            else:
                protocol.close_all(fds)
                self._answer(packet)

    def _answer(self, packet: protocol.Packet) -> None:
        answer = self._open.pop(packet.get("n", 0), None)
        if answer is None or answer.done():
            return
        if "error" in packet:
            answer.set_exception(protocol.error(packet["error"]))
        else:
            answer.set_result(packet.get("ok"))

    def _lost(self) -> None:
        if not self.closed:
            self.close()
            self._on_lost()


def _gone() -> UnavailableError:
    return UnavailableError("the supervisor went away before it answered", hint="try again")
