"""Where a repository is read and written: its registry, and the mirrors of that."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from knarr.remotes import rules as all_rules
from knarr.remotes import tls, urls
from knarr.remotes.failure import RefusedError

if TYPE_CHECKING:
    from knarr.errors import KnarrError
    from knarr.remotes.rules import Rules
    from knarr.remotes.tls import Tls
    from knarr.remotes.urls import Url

_log = logging.getLogger(__name__)

_SKIPPED_FOR = 30.0


class Endpoint:
    """One server that answers ``/v2/``; shared by all who speak to it.

    An insecure one is tried by HTTPS first, unverified, and by plain HTTP where that fails, as
    Docker does. What was found is remembered in ``root``.
    """

    def __init__(
        self, root: Url, tls_: Tls, *, insecure: bool = False, is_mirror: bool = False
    ) -> None:
        self.root = self._named = root
        self.tls = tls_
        self.insecure = insecure
        self.is_mirror = is_mirror
        self.lock = threading.Lock()
        self.is_known = False
        self._is_settled = not insecure or root.origin.scheme == "http"
        self._skipped_until = 0.0

    def url(self, path: str, root: Url | None = None) -> Url:
        """The address of ``/v2/`` and ``path``."""
        root = root or self.root
        return root._replace(target=f"{root.target.rstrip('/')}/v2/{path}")

    @property
    def allows_plain_http(self) -> bool:
        """Whether credentials may travel unencrypted."""
        return self.insecure or self.root.origin.scheme == "http"

    def is_open(self) -> bool:
        """Whether it has yet to be found out by which scheme it speaks."""
        return not self._is_settled

    def root_by(self, scheme: str) -> Url:
        """What ``root`` is when the server speaks by ``scheme``."""
        _, host, port = self._named.origin
        if scheme == "http" and port == urls.PORTS["https"]:
            port = urls.PORTS["http"]
        return self._named._replace(origin=urls.Origin(scheme, host, port))

    def settle(self, root: Url) -> None:
        """Remember that ``root`` is the one that works."""
        self.root = root
        self._is_settled = True

    @property
    def is_skipped(self) -> bool:
        """Whether this mirror failed a moment ago."""
        return time.monotonic() < self._skipped_until

    def failed(self, error: KnarrError) -> None:
        """Say that this mirror could not serve; unless it only lacks the thing, it is let alone."""
        _log.info("mirror %s is passed over: %s", self.root.origin, error.message)
        if not (isinstance(error, RefusedError) and error.is_absence):
            self._skipped_until = time.monotonic() + _SKIPPED_FOR


def of_registry(rules: Rules, domain: str) -> Endpoint:
    """The registry with the images of ``domain``; raises InvalidArgumentError."""
    names = (domain,) if domain != all_rules.HUB else (all_rules.HUB, all_rules.HUB_HOST)
    return _made(rules, urls.of_host("https", names[-1]), names, is_mirror=False)


def of_mirror(rules: Rules, address: str) -> Endpoint:
    """A mirror by its address; raises InvalidArgumentError."""
    url = urls.parse(address)
    return _made(rules, url, (url.origin.netloc,), is_mirror=True)


def of_service(rules: Rules, url: Url) -> Endpoint:
    """Another service on a registry's host (the search)."""
    return _made(rules, url._replace(target="/"), (url.origin.netloc,), is_mirror=False)


def _made(rules: Rules, url: Url, names: tuple[str, ...], *, is_mirror: bool) -> Endpoint:
    insecure = any(rules.is_insecure(name) for name in names)
    found = tls.found(rules.of(names[0]), names, verify=not insecure)
    return Endpoint(url, found, insecure=insecure, is_mirror=is_mirror)
