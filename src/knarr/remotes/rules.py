"""How each registry is to be spoken to, as the administrator decided."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.remotes import urls

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"


class RegistryRule(NamedTuple):
    """What holds for one registry, as ``[registries."HOST"]`` of the configuration says it.

    ``mirrors`` are URLs that are read from first, in order. ``insecure`` lets its certificate be
    unverified and plain HTTP be used. ``ca``, ``client_cert`` and ``client_key`` are files in PEM.
    """

    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""


class Rules(NamedTuple):
    """The rules of all registries: by ``host[:port]``, and the insecure ones by name or CIDR."""

    registries: Mapping[str, RegistryRule] = {}
    insecure: tuple[str, ...] = ()

    def of(self, host: str) -> RegistryRule:
        """The rule of one registry."""
        return self.registries.get(host.lower(), RegistryRule())

    def is_insecure(self, host: str) -> bool:
        """Whether ``host[:port]`` may be unverified: named so, or inside a network that is.

        This machine itself always may. A name is in a network when all its addresses are.
        """
        host = host.lower()
        if self.of(host).insecure or host in (each.lower() for each in self.insecure):
            return True
        bare = urls.of_host("https", host).origin.host
        if bare == "localhost" or bare.endswith(".localhost"):
            return True
        networks = [net for each in self.insecure if (net := network(each)) is not None]
        try:
            addresses = [ipaddress.ip_address(bare)]
        except ValueError:
            addresses = _resolved(bare) if networks else []
        return bool(addresses) and all(
            address.is_loopback or any(address in net for net in networks) for address in addresses
        )


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that ``text`` writes as a CIDR, or None."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def checked_insecure(text: str) -> str:
    """An ``--insecure-registry``: ``host[:port]`` or a CIDR; raises with Docker's words."""
    if network(text) is not None:
        return text
    if text.lower().startswith(("http://", "https://")):
        scheme = text.partition("://")[0]
        raise InvalidArgumentError(f"insecure registry {text} should not contain '{scheme}://'")
    try:
        urls.of_host("https", text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"insecure registry {text} is not valid: {error}") from error
    return text


def checked_mirror(text: str) -> str:
    """A ``--registry-mirror``, without a slash at its end; raises with Docker's words."""
    head, at, _ = text.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        shown = text.replace(head, f"{head.partition(':')[0]}:xxxxx")
        raise InvalidArgumentError(
            f'invalid mirror: username/password not allowed in URI "{shown}"'
        )
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme not in ("http", "https"):
        raise InvalidArgumentError(f'invalid mirror: unsupported scheme "{scheme}" in "{text}"')
    if "?" in text or "#" in text:
        raise InvalidArgumentError(f'invalid mirror: query or fragment at end of the URI "{text}"')
    try:
        urls.parse(text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f'invalid mirror: "{text}" is not a valid URI') from error
    return text.rstrip("/")


def _resolved(name: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]
