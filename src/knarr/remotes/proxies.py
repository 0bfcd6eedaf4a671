"""Proxies by ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, as Go's programs take them."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3.util import make_headers

from knarr.errors import InvalidArgumentError


def proxy_for(scheme: str, netloc: str) -> str:
    """The address of the proxy for a host; "" is none. This machine itself never has one."""
    address = getproxies().get(scheme, "")
    host = netloc if netloc.endswith("]") else netloc.partition(":")[0] or netloc
    if not address or host in ("localhost", "[") or host.startswith("127."):
        return ""
    if proxy_bypass(netloc):
        return ""
    address = address if "://" in address else f"http://{address}"
    if not address.startswith(("http://", "https://")):
        scheme = address.partition("://")[0]
        raise InvalidArgumentError(f'proxy of scheme "{scheme}" is not supported')
    return address


def split(address: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the headers that carry them."""
    parts = urlsplit(address)
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = dict(make_headers(proxy_basic_auth=login))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", headers
