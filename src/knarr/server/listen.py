"""Opening the sockets on which the API is served, and serving on them.

A host is ``unix:///path``, ``tcp://address:port`` or ``fd://``, which takes the sockets that the
service manager has opened (sd_listen_fds(3)). There is no TLS: whoever reaches the port is root on
this machine, so an address that is not loopback is refused unless it is allowed explicitly.

A unix socket never has more rights than 0660, also not for a moment, and replaces a socket at which
nobody listens any more; one that answers is left alone and is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError

from .app import make_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.engine.engine import Engine

_BACKLOG = 1024
_FIRST_FD = 3
_DEFAULT_TCP_PORT = 2375


def open_host(host: str, *, allow_remote: bool = False) -> list[socket.socket]:
    """The listening sockets for one ``-H``. The caller closes them.

    Raises ``InvalidArgumentError`` for a bad host, ``UnavailableError`` when it cannot be opened.
    """
    scheme, _, rest = host.partition("://")
    try:
        if scheme == "unix" and rest.startswith("/"):
            return [_open_unix(Path(rest))]
        if scheme == "tcp":
            return _open_tcp(rest, allow_remote=allow_remote)
        if scheme == "fd":
            return _inherited()
    except OSError as error:
        raise UnavailableError(f'listen on "{host}": {error.strerror or error}') from error
    raise InvalidArgumentError(f'invalid host "{host}"', hint="use unix://, tcp:// or fd://")


class Api:
    """The API of an engine on some sockets."""

    def __init__(self, engine: Engine) -> None:
        self._server = make_server(engine)
        self._listeners: list[asyncio.Server] = []

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on these sockets, which are closed by ``close``."""
        loop = asyncio.get_running_loop()
        for each in sockets:
            each.settimeout(0)
            if each.family == socket.AF_UNIX:
                listener = await loop.create_unix_server(self._server, sock=each, backlog=_BACKLOG)
            else:
                listener = await loop.create_server(self._server, sock=each, backlog=_BACKLOG)
            self._listeners.append(listener)

    async def close(self, grace: float = 10.0) -> None:
        """Take no more connections, end streams at once, give other requests ``grace`` seconds."""
        for listener in self._listeners:
            listener.close()
        self._server.pre_shutdown()
        self._server.cancel_streams()
        await self._server.shutdown(grace)


def _open_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode before bind(2) is that of the file when it comes into being, less the umask.
        os.fchmod(sock.fileno(), 0o660)
        try:
            sock.bind(str(path))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UnavailableError(f"can't create unix socket {path}: {reason}") from error
        path.chmod(0o660)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FailedPreconditionError(f'"{path}" exists and is no socket')
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            code = probe.connect_ex(str(path))
        if code != errno.ECONNREFUSED:
            raise FailedPreconditionError(f'another engine listens on "{path}"')
        path.unlink()


def _open_tcp(address: str, *, allow_remote: bool) -> list[socket.socket]:
    name, _, port = address.rpartition(":") if _has_port(address) else (address, "", "")
    name = name.strip("[]") or "127.0.0.1"
    if port and not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise InvalidArgumentError(f'invalid port "{port}" in "tcp://{address}"')
    number = int(port or _DEFAULT_TCP_PORT)
    found = socket.getaddrinfo(name, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    if not allow_remote and not all(_is_loopback(str(where[0])) for *_, where in found):
        raise InvalidArgumentError(
            f'"tcp://{address}" can be reached from other machines without TLS',
            hint="listen on 127.0.0.1",
        )
    made: list[socket.socket] = []
    try:
        for family, _, _, _, where in found:
            made.append(_listening_tcp(family, where))
    except BaseException:
        for each in made:
            each.close()
        raise
    return made


def _listening_tcp(family: int, where: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _has_port(address: str) -> bool:
    return ":" in address.rpartition("]")[2] if address.startswith("[") else ":" in address


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _inherited() -> list[socket.socket]:
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or int(count) == 0:
        raise FailedPreconditionError(
            "no sockets were found via socket activation", hint="is this started by systemd?"
        )
    made = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count)):
        os.set_inheritable(fd, False)  # noqa: FBT003 - positional only
        made.append(socket.socket(fileno=fd))
    return made
