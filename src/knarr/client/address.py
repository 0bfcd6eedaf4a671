"""Where the engine listens: the text forms of a host, and which of them applies.

Order: ``-H``, ``KNARR_HOST``, ``DOCKER_HOST``, the default socket.
"""

from __future__ import annotations

import posix

from knarr.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_SOCKET = "/run/knarr/knarr.sock"
DEFAULT_HOST = "unix://" + DEFAULT_SOCKET
_PLAIN_PORT = 2375


class Address:
    """One engine's address: a unix socket's path, or a TCP host and port.

    ``text`` is the form the user knows; ``named`` says whether the user chose it (only an engine
    at an address that nobody chose is started by itself).
    """

    __slots__ = ("host", "named", "path", "port", "text")

    def __init__(
        self, text: str, *, path: str = "", host: str = "", port: int = 0, named: bool = True
    ) -> None:
        self.text = text
        self.path = path
        self.host = host
        self.port = port
        self.named = named

    @property
    def authority(self) -> str:
        """What the ``Host`` header of a request says."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(text: str, *, named: bool = True) -> Address:
    """Understand ``unix:///path``, ``tcp://host[:port]`` or ``http://host[:port]``.

    Errors: ``InvalidArgumentError`` for any other form.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        raise InvalidArgumentError(f"unable to parse docker host `{text}`")
    if scheme == "unix":
        return Address(text, path=rest or DEFAULT_SOCKET, named=named)
    if scheme in ("tcp", "http"):
        host, port = _split_port(text, rest.partition("/")[0])
        return Address(text, host=host or "localhost", port=port, named=named)
    raise InvalidArgumentError(
        f'the address "{text}" has the unknown scheme "{scheme}"',
        hint="knarr speaks unix:// and tcp://",
    )


def _split_port(text: str, authority: str) -> tuple[str, int]:
    host, port = authority, ""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    elif ":" in authority:
        host, _, port = authority.rpartition(":")
    if port and not (port.isdecimal() and int(port) < 1 << 16):
        raise InvalidArgumentError(f'the address "{text}" has the bad port "{port}"')
    return host, int(port or _PLAIN_PORT)


def variable(name: str) -> str | None:
    """A variable of the environment this process was started with; ``None`` if it is not set.

    ``os.environ`` would cost the import of ``os``.
    """
    value = posix.environ.get(name.encode("utf-8", "surrogateescape"))
    return None if value is None else value.decode("utf-8", "surrogateescape")


def find(hosts: Sequence[str], lookup: Callable[[str], str | None] = variable) -> Address:
    """The address that applies: the one given by ``-H``, else the environment's, else the default.

    Errors: ``InvalidArgumentError`` if several were given.
    """
    if len(hosts) > 1:
        raise InvalidArgumentError("specify only one -H")
    for text in (*hosts, lookup("KNARR_HOST"), lookup("DOCKER_HOST")):
        if text:
            return parse(text)
    return parse(DEFAULT_HOST, named=False)
