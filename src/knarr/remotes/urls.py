"""Addresses that a registry names: checked before anything is sent to them.

Law: http or https, a host, no user and no password in it, nothing but printable ASCII. What is
shown to a person has no query: signed addresses carry their secret there.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from knarr.errors import InvalidArgumentError

LONGEST = 8192
"""The most characters of an address."""

PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", re.ASCII)


class Origin(NamedTuple):
    """Who is spoken to. Credentials for one origin are for no other."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host and port as in an address; the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


class Url(NamedTuple):
    """An address; ``target`` is path and query as they stand in a request."""

    origin: Origin
    target: str

    @property
    def shown(self) -> str:
        """The address without its query."""
        return f"{self.origin}{self.target.partition('?')[0]}"

    def with_query(self, text: str) -> Url:
        """The same with more in its query."""
        return self._replace(target=f"{self.target}{'&' if '?' in self.target else '?'}{text}")

    def joined(self, location: str) -> Url:
        """What ``location`` means on this page; raises InvalidArgumentError."""
        if not location or len(location) > LONGEST:
            raise InvalidArgumentError("invalid address: none, or too long")
        try:
            joined = urljoin(f"{self.origin}{self.target}", location.strip())
        except ValueError as error:
            raise InvalidArgumentError(f"invalid address: {error}") from error
        return parse(joined)


def parse(text: str) -> Url:
    """Read a whole address; raises InvalidArgumentError."""
    if len(text) > LONGEST or not _PLAIN.fullmatch(text) or "\\" in text:
        raise InvalidArgumentError("invalid address: too long, or not of printable ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InvalidArgumentError(f"invalid address: {error}") from error
    if parts.scheme not in PORTS:
        raise InvalidArgumentError("invalid address: neither http nor https")
    if parts.username is not None or parts.password is not None:
        raise InvalidArgumentError("invalid address: a user is named in it")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or port == 0:
        raise InvalidArgumentError("invalid address: no valid host")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(Origin(parts.scheme, host, port or PORTS[parts.scheme]), target)


def of_host(scheme: str, host: str) -> Url:
    """The root of ``host[:port]``; raises InvalidArgumentError."""
    url = parse(f"{scheme}://{host.lower()}/")
    if url.target != "/":
        raise InvalidArgumentError(f'invalid registry host "{host[:255]}"')
    return url
