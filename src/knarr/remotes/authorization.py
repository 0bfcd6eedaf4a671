"""Proving to one endpoint who asks: which header goes with a request.

The registry decides how: by its challenge to the first request. What it wanted is remembered, so
that later requests carry the header at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from knarr.remotes import tokens
from knarr.remotes.failure import RegistryUnauthorizedError
from knarr.remotes.tokens import Application, Realm, Token, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.remotes.challenge import Challenge
    from knarr.remotes.credentials import Credentials
    from knarr.remotes.endpoint import Endpoint


class Authorization:
    """The proof of one set of credentials (None: anonymous) to one endpoint; thread-safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        kept: Tokens,
        ask: Callable[[Application], Token],
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials if credentials and any(credentials) else None
        self._tokens = kept
        self._ask = ask
        self._lock = threading.Lock()
        self._realm: Realm | None = None
        self._basic = False
        self.identity_token = ""

    def header(self, scopes: frozenset[str]) -> str:
        """The ``Authorization`` for a request that needs ``scopes``; "" before any challenge."""
        login = self._credentials
        if login is not None and login.registry_token:
            if not tokens.is_visible(login.registry_token):
                raise RegistryUnauthorizedError("invalid registry token")
            return f"Bearer {login.registry_token}"
        if self._realm is not None:
            return f"Bearer {self._token(self._realm, scopes).text}"
        return tokens.basic(login) if self._basic and login is not None else ""

    def challenged(
        self, challenges: Sequence[Challenge], scopes: frozenset[str], used: str
    ) -> bool:
        """Take in a refusal of the header ``used``; whether another may do better.

        Raises ``UnauthenticatedError`` when there is nothing that could be sent.
        """
        by_scheme = {each.scheme: each for each in reversed(challenges)}
        login = self._credentials
        if login is not None and login.registry_token:
            return False
        if (bearer := by_scheme.get("bearer")) is not None and bearer.parameters.get("realm"):
            self._tokens.forget(used.removeprefix("Bearer "))
            self._realm = tokens.realm(bearer.parameters)
            return self.header(scopes) != used
        if "basic" in by_scheme:
            if login is None or not login.username:
                raise RegistryUnauthorizedError("no basic auth credentials")
            self._basic, self._realm = True, None
            return self.header(scopes) != used
        return False

    def login(self) -> None:
        """Ask the token service, if the registry has one, for an identity token."""
        if self._realm is not None:
            token = self._ask(self._application(self._realm, frozenset(), offline=True))
            self.identity_token = token.refresh

    def secrets(self) -> list[str]:
        """What may stand in no message."""
        login = self._credentials
        if login is None:
            return []
        return [login.password, login.identity_token, login.registry_token]

    def _token(self, realm: Realm, scopes: frozenset[str]) -> Token:
        wanted = _together(scopes, realm.scopes)
        key = tokens.key(self._endpoint, realm, self._credentials)
        with self._lock:
            found = self._tokens.find(key, wanted)
            if found is None:
                found = self._ask(self._application(realm, wanted))
                self._tokens.keep(key, wanted, found)
        return found

    def _application(
        self, realm: Realm, scopes: frozenset[str], *, offline: bool = False
    ) -> Application:
        return Application(self._endpoint, realm, self._credentials, scopes, offline)


def _together(ours: frozenset[str], theirs: frozenset[str]) -> frozenset[str]:
    """Our scopes, and those of a challenge for what we have not named ourselves."""
    named = {scope.rpartition(":")[0] for scope in ours}
    return ours | {scope for scope in theirs if scope.rpartition(":")[0] not in named}
