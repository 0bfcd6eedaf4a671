"""The terminal's end of a container or an exec: streams, detach keys, signals, size.

Used by ``run``, ``start --attach``, ``attach`` and ``exec``.
"""

from __future__ import annotations

import posix
import sys

from knarr.cli.command import CommandError
from knarr.client import detach, duplex, signals, terminal
from knarr.client.session import receive
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.client.connection import Connection
    from knarr.client.session import Query, Session


def check_terminal(*, stdin: bool, tty: bool) -> None:
    """Refuse a terminal for the container when there is none here.

    Errors: ``CommandError``.
    """
    if stdin and tty and not posix.isatty(0):
        raise CommandError("the input device is not a TTY")


def stream_query(keys: str, *, stdin: bool, stdout: bool, stderr: bool) -> Query:
    """The parameters of an attach request."""
    wanted = {"stream": True, "stdin": stdin, "stdout": stdout, "stderr": stderr}
    query: list[tuple[str, str | int | bool]] = [(key, on) for key, on in wanted.items() if on]
    if keys:
        query.append(("detachKeys", keys))
    return query


class Attachment:
    """A hijacked connection, and how it is joined to this process's streams."""

    def __init__(self, connection: Connection, *, tty: bool, keys: str) -> None:
        self._connection = connection
        self._tty = tty
        self._keys = keys
        self.stdin = False
        self.stdout = True
        self.stderr = True

    def converse(self) -> bool:
        """Carry the streams until the output ends; ``False`` if the user detached.

        The connection's answer must have been received. Errors: ``UnavailableError``.
        """
        sys.stdout.flush()
        if not self._tty or not self.stdin:
            return self._carry()
        with terminal.RawMode(0):
            return self._carry()

    def _carry(self) -> bool:
        sock, pending = self._connection.surrender()
        sink = duplex.raw(1) if self._tty else self._frames()
        conversation = duplex.Duplex(sock, pending, sink)
        if self.stdin:
            conversation.feed(0, self._detector())
        else:
            conversation.half_close()
        try:
            return conversation.drain()
        finally:
            conversation.close()

    def _frames(self) -> duplex.Sink:
        return duplex.demultiplexed(1 if self.stdout else None, 2 if self.stderr else None)

    def _detector(self) -> detach.Detector | None:
        if not self._tty:
            return None
        try:
            keys = detach.parse(self._keys) if self._keys else detach.DEFAULT
        except KnarrError:
            keys = detach.DEFAULT
        return detach.Detector(keys)


def follow_size(session: Session, path: str) -> None:
    """Give the container's terminal the size of this one, now and whenever it changes."""
    if terminal.size(1) is None:
        return

    def resize() -> None:
        height, width = terminal.size(1) or (0, 0)
        if height or width:
            _quietly(session, path, (("h", height), ("w", width)))

    resize()
    signals.on_resize(resize)


def left() -> CommandError:
    """What ``attach`` and ``exec`` say when the user detached."""
    return CommandError("read escape sequence")


def redraw(session: Session, path: str) -> None:
    """Change the size by one, so that a shell draws its prompt again; ``follow_size`` sets it."""
    size = terminal.size(1)
    if size is not None:
        _quietly(session, path, (("h", size[0] + 1), ("w", size[1] + 1)))


def proxy_signals(session: Session, identifier: str) -> None:
    """Pass this process's signals on to the container."""
    path = f"/containers/{identifier}/kill"
    signals.forward(lambda name: _quietly(session, path, (("signal", name),)))


def _quietly(session: Session, path: str, query: Query) -> None:
    """A request over a connection of its own whose failure does not matter: it may have ended."""
    connection = session.connect()
    try:
        receive(session.send("POST", path, query, connection=connection)).read()
    except KnarrError:
        return
    finally:
        connection.close()
