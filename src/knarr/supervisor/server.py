"""The socket of the supervisor and its connections.

Law: only processes of the same user (or root) are heard. A peer that sends what is no packet is
disconnected. A peer that does not read is not waited for: its packets queue, and above
``QUEUE_LIMIT`` it is disconnected and finds everything again in ``sync``.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from knarr.errors import InternalError, InvalidArgumentError, KnarrError
from knarr.supervisor import loop as events
from knarr.supervisor import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from knarr.supervisor.loop import Loop

QUEUE_LIMIT = 4096
_BACKLOG = 64
_BATCH = 32
_UCRED = struct.Struct("3i")


class Request:
    """A packet that wants an answer. ``fds`` are closed after its handler unless taken."""

    def __init__(self, connection: Connection, packet: protocol.Packet, fds: list[int]) -> None:
        self.connection = connection
        self.fields = packet
        self.fds = fds

    def text(self, name: str) -> str:
        """A field that is a string; ``InvalidArgumentError`` otherwise."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise InvalidArgumentError(f'"{name}" of the request is not a string')
        return value

    def number(self, name: str) -> int:
        """A field that is a number; ``InvalidArgumentError`` otherwise."""
        value = self.fields.get(name)
        if not isinstance(value, int):
            raise InvalidArgumentError(f'"{name}" of the request is not a number')
        return value

    def reply(self, value: Any = None) -> None:
        """Answer with a value."""
        self.connection.send({"n": self.fields.get("n"), "ok": value})

    def fail(self, error: KnarrError) -> None:
        """Answer with an error."""
        self.connection.send({"n": self.fields.get("n"), "error": protocol.error_fields(error)})


class Connection:
    """One peer. ``synced`` says whether it wants events."""

    def __init__(self, server: Server, loop: Loop, sock: socket.socket) -> None:
        self.synced = False
        self._server = server
        self._loop = loop
        self._sock: socket.socket | None = sock
        self._unsent: deque[tuple[protocol.Packet, list[int]]] = deque()
        loop.watch(sock.fileno(), events.IN, self._ready)

    def send(self, packet: protocol.Packet, fds: Sequence[int] = ()) -> None:
        """Send or queue a packet; the caller keeps ``fds``."""
        if self._sock is None:
            return
        if not self._unsent and self._try(packet, fds):
            return
        if len(self._unsent) >= QUEUE_LIMIT:
            self.close()
            return
        self._unsent.append((packet, [os.dup(fd) for fd in fds]))
        self._loop.change(self._sock.fileno(), events.IN | events.OUT)

    def close(self) -> None:
        """Disconnect the peer."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.unwatch(sock.fileno())
        sock.close()
        for _, fds in self._unsent:
            protocol.close_all(fds)
        self._unsent.clear()
        self._server.forget(self)

    def _try(self, packet: protocol.Packet, fds: Sequence[int]) -> bool:
        """Whether the packet is done with: sent, or nobody is there to send it to."""
        if self._sock is None:
            return True
        try:
            protocol.send(self._sock, packet, fds)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
        return True

    def _ready(self, ready: int) -> None:
        if ready & events.OUT:
            self._flush()
        for _ in range(_BATCH):
            if self._sock is None or not self._receive(self._sock):
                return

    def _flush(self) -> None:
        while self._unsent:
            packet, fds = self._unsent[0]
            if not self._try(packet, fds):
                return
            if self._unsent:
                self._unsent.popleft()
                protocol.close_all(fds)
        if self._sock is not None:
            self._loop.change(self._sock.fileno(), events.IN)

    def _receive(self, sock: socket.socket) -> bool:
        try:
            packet, fds = protocol.receive(sock)
        except BlockingIOError:
            return False
        except (protocol.DisconnectedError, KnarrError, OSError):
            self.close()
            return False
        self._server.handle(Request(self, packet, fds))
        return True


class Server:
    """Listens, and hands requests to ``on_request``."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        on_request: Callable[[Request], None],
        on_left: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._on_request = on_request
        self._on_left = on_left
        self._connections: set[Connection] = set()
        loop.watch(listener.fileno(), events.IN, self._accept)

    @property
    def connected(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._connections)

    def synced(self) -> Iterator[Connection]:
        """The connections that want events."""
        return (each for each in tuple(self._connections) if each.synced)

    def handle(self, request: Request) -> None:
        """Let a request be done; whatever it raises is its answer."""
        try:
            self._on_request(request)
        except KnarrError as error:
            request.fail(error)
        except Exception as error:  # noqa: BLE001 - the border of the process
            request.fail(InternalError(f"{type(error).__name__}: {error}"))
        finally:
            protocol.close_all(request.fds)

    def forget(self, connection: Connection) -> None:
        """A connection has closed."""
        self._connections.discard(connection)
        self._on_left()

    def close(self) -> None:
        """Listen no more and disconnect everybody."""
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        for connection in tuple(self._connections):
            connection.close()

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        if not _is_trusted(sock):
            sock.close()
            return
        sock.settimeout(0)
        self._connections.add(Connection(self, self._loop, sock))


def listen(exec_root: str, name: str) -> socket.socket:
    """A socket that listens at ``name`` in ``exec_root``, in place of one that was left there.

    It is bound through a descriptor of the directory, because ``sun_path`` holds 107 bytes only,
    and renamed into place, so that who finds it can connect.
    """
    folder = os.open(exec_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        staged = f"/proc/self/fd/{folder}/{name}.{os.getpid()}"
        kind = socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        listener = socket.socket(socket.AF_UNIX, kind)
        before = os.umask(0o177)
        try:
            listener.bind(staged)
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
        os.rename(staged, f"/proc/self/fd/{folder}/{name}")
    finally:
        os.close(folder)
    return listener


def answers(exec_root: str, name: str) -> bool:
    """Whether somebody listens at ``name`` in ``exec_root``."""
    folder = os.open(exec_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as sock:
            sock.connect(f"/proc/self/fd/{folder}/{name}")
    except OSError:
        return False
    finally:
        os.close(folder)
    return True


def _is_trusted(sock: socket.socket) -> bool:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    return uid in {0, os.geteuid()}
