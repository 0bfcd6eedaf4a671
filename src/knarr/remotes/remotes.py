"""All registries: where a repository is, how it is spoken to, what was learned on the way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from knarr.errors import UnauthenticatedError
from knarr.remotes.cancellation import Cancellation
from knarr.remotes.rules import HUB, Rules
from knarr.remotes.values import Patience

if TYPE_CHECKING:
    from knarr.oci.reference import Reference
    from knarr.remotes.credentials import Credentials
    from knarr.remotes.endpoint import Endpoint
    from knarr.remotes.repository import Repository
    from knarr.remotes.session import Session
    from knarr.remotes.tokens import Tokens
    from knarr.remotes.transport import Transport
    from knarr.remotes.values import SearchItem

_HUB_NAMES = frozenset(
    {"", HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
_MOST_REMEMBERED = 256


class Remotes:
    """Made once from the configuration; cheap until a registry is spoken to.

    Connections and tokens are shared by all repositories that it gives out.
    """

    def __init__(self, rules: Rules | None = None, patience: Patience | None = None) -> None:
        self.rules = rules or Rules()
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._cancellations: WeakSet[Cancellation] = WeakSet()
        self._closed = False
        self._spoken: tuple[Transport, Tokens] | None = None

    def repository(self, name: Reference, credentials: Credentials | None = None) -> Repository:
        """The repository that ``name`` is in; its tag and digest only serve messages.

        No connection is made. Raises ``InvalidArgumentError`` for rules that cannot be kept (a
        certificate that is not there).
        """
        from knarr.remotes.repository import Repository  # noqa: PLC0415 - it loads urllib3

        cancellation = self._cancellation()
        endpoints = self._of(name.domain.lower())
        sessions = [
            self._session(each, None if each.is_mirror else credentials, cancellation)
            for each in endpoints
        ]
        return Repository(name, sessions)

    def check_login(self, host: str, credentials: Credentials) -> str:
        """Let the registry check ``credentials``; its identity token for later use, or "".

        ``host`` is as a person gives it: "" and ``docker.io`` are Docker Hub. Raises
        ``UnauthenticatedError`` when they are wrong.
        """
        from knarr.remotes.failure import RefusedError, RegistryUnauthorizedError  # noqa: PLC0415
        from knarr.remotes.session import Request  # noqa: PLC0415

        session = self._session(self._of(_hostname(host))[-1], credentials)
        address = session.endpoint.url
        try:
            session.send(Request("GET", "")).close()
            session.authorization.login()
        except RefusedError as error:
            if error.status != 401:
                raise error.translated() from error
            raise RegistryUnauthorizedError(
                f"login attempt to {address('').shown} failed with status: 401 Unauthorized"
            ) from error
        except RegistryUnauthorizedError as error:  # of the token service
            raise UnauthenticatedError(error.message) from error
        return session.authorization.identity_token

    def search(
        self, term: str, limit: int, credentials: Credentials | None = None
    ) -> list[SearchItem]:
        """Repositories whose name or description has ``term``, by Docker Hub's search.

        ``term`` may begin with another host that has the same (``host/term``). ``limit`` is from 1
        to 100.
        """
        from knarr.remotes import endpoint, searching  # noqa: PLC0415

        host, rest = searching.split(term)
        url = searching.address(host, rest, limit)
        service = endpoint.of_service(self.rules, url)
        return searching.found(self._session(service, credentials), url, limit)

    def close(self) -> None:
        """Close all connections; what is under way, or begun later, fails."""
        with self._lock:
            self._closed = True
            spoken, self._spoken = self._spoken, None
            self._endpoints.clear()
            under_way = list(self._cancellations)
        for each in under_way:
            each.cancel()
        if spoken is not None:
            spoken[0].close()

    def _of(self, domain: str) -> list[Endpoint]:
        """The mirrors of a registry and at last itself."""
        from knarr.remotes import endpoint  # noqa: PLC0415

        mirrors = self.rules.of(domain).mirrors
        found = [endpoint.of_mirror(self.rules, each) for each in mirrors]
        found.append(endpoint.of_registry(self.rules, domain))
        with self._lock:
            known = self._endpoints.get(domain, [])
            if [each.tls for each in known] == [each.tls for each in found]:
                return known
            # new, or somebody has put other certificates into its folder
            if len(self._endpoints) >= _MOST_REMEMBERED:
                self._endpoints.clear()
            self._endpoints[domain] = found
        return found

    def _session(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        cancellation: Cancellation | None = None,
    ) -> Session:
        from knarr.remotes.session import Session  # noqa: PLC0415

        transport, tokens = self._shared()
        return Session(
            endpoint,
            credentials,
            transport=transport,
            tokens=tokens,
            patience=self._patience,
            cancellation=cancellation or self._cancellation(),
        )

    def _cancellation(self) -> Cancellation:
        made = Cancellation()
        with self._lock:
            self._cancellations.add(made)
            if self._closed:
                made.cancel()
        return made

    def _shared(self) -> tuple[Transport, Tokens]:
        from knarr.remotes.tokens import Tokens  # noqa: PLC0415
        from knarr.remotes.transport import Transport  # noqa: PLC0415

        with self._lock:
            if self._spoken is None:
                self._spoken = Transport(self._patience), Tokens()
            return self._spoken


def _hostname(address: str) -> str:
    """``host[:port]`` of a registry that a person named, maybe with scheme and path."""
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0].lower()
    return HUB if host in _HUB_NAMES else host
