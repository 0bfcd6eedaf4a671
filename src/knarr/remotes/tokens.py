"""Tokens from the token service that a registry names.

Law: a token is asked for with exactly the scopes that are needed, kept until shortly before it
ends, and used for the registry that named the service. Credentials go to the service by HTTPS;
by plain HTTP only when the registry itself may be spoken to so.

Sources: Docker's "Token Authentication Specification" and "Oauth2 Token Authentication".
"""

from __future__ import annotations

import base64
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

import msgspec

from knarr.errors import DataLossError, InvalidArgumentError
from knarr.remotes.failure import RefusedError, RegistryUnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.remotes.credentials import Credentials
    from knarr.remotes.endpoint import Endpoint
    from knarr.remotes.transport import Answer
    from knarr.remotes.urls import Url

CLIENT_ID = "knarr"
_LARGEST = 1 << 20
_LONGEST_TOKEN = 256 << 10
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 24 * 3600.0
_BEFORE_THE_END = 10.0
_MOST = 256
_MOST_SCOPES = 8


class Realm(NamedTuple):
    """A token service as a challenge names it, with the scopes that the challenge asks for."""

    address: str
    service: str
    scopes: frozenset[str]


class Token(NamedTuple):
    """A bearer token, and when (monotonic seconds) it is used no more."""

    text: str
    ends: float
    refresh: str = ""


class _Key(NamedTuple):
    registry: str
    address: str
    service: str
    credentials: Credentials | None


class _Answer(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None


class Tokens:
    """All tokens that are good; thread-safe and bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[_Key, frozenset[str]], Token] = OrderedDict()

    def find(self, key: _Key, scopes: frozenset[str]) -> Token | None:
        """A token that is good for all of ``scopes``."""
        now = time.monotonic()
        with self._lock:
            for (its_key, its_scopes), token in self._found.items():
                if its_key == key and scopes <= its_scopes and now < token.ends:
                    return token
        return None

    def keep(self, key: _Key, scopes: frozenset[str], token: Token) -> None:
        """Remember a token."""
        with self._lock:
            self._found[key, scopes] = token
            while len(self._found) > _MOST:
                self._found.popitem(last=False)

    def forget(self, text: str) -> None:
        """Forget a token that a registry did not take."""
        with self._lock:
            for key in [key for key, token in self._found.items() if token.text == text]:
                del self._found[key]


def realm(parameters: Mapping[str, str]) -> Realm:
    """The service that a challenge names."""
    scopes = frozenset(parameters.get("scope", "").split())
    if len(scopes) > _MOST_SCOPES:
        scopes = frozenset()
    return Realm(parameters.get("realm", ""), parameters.get("service", ""), scopes)


def key(endpoint: Endpoint, realm: Realm, credentials: Credentials | None) -> _Key:
    """What a token belongs to beside its scopes."""
    return _Key(str(endpoint.root.origin), realm.address, realm.service, credentials)


class Application(NamedTuple):
    """Who asks which service for a token. ``offline``: also for a refresh token."""

    endpoint: Endpoint
    realm: Realm
    credentials: Credentials | None
    scopes: frozenset[str]
    offline: bool = False

    def ask(self, send: Callable[[str, Url, dict[str, str], bytes | None], Answer]) -> Token:
        """A new token; ``send`` makes the exchange and raises ``RefusedError`` for no answer."""
        url = self._url()
        login = self.credentials
        scopes = sorted(self.scopes)
        asked = time.monotonic()
        if login is not None and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "service": self.realm.service,
                "client_id": CLIENT_ID,
                "scope": " ".join(scopes),
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._sent(send, "POST", url, headers, urlencode(form).encode())
        else:
            query = [("service", self.realm.service)] if self.realm.service else []
            query += [("scope", scope) for scope in scopes] + [("client_id", CLIENT_ID)]
            query += [("offline_token", "true")] if self.offline else []
            headers = {}
            if login is not None and login.username:
                query.insert(0, ("account", login.username))
                headers["Authorization"] = basic(login)
            answer = self._sent(send, "GET", url.with_query(urlencode(query)), headers, None)
        return self._token(answer, asked)

    def _url(self) -> Url:
        address = self.realm.address
        try:
            url = self.endpoint.root.joined(address)
        except InvalidArgumentError as error:
            host = self.endpoint.root.origin.netloc
            raise RegistryUnauthorizedError(
                f'registry "{host}" names no valid token service: {error.message}'
            ) from error
        if url.origin.scheme != "https" and not self.endpoint.allows_plain_http:
            raise RegistryUnauthorizedError(
                f'token service "{url.shown}" of registry "{self.endpoint.root.origin.netloc}" '
                "is not spoken to without TLS"
            )
        return url

    def _sent(
        self,
        send: Callable[[str, Url, dict[str, str], bytes | None], Answer],
        method: str,
        url: Url,
        headers: dict[str, str],
        body: bytes | None,
    ) -> Answer:
        try:
            return send(method, url, headers, body)
        except RefusedError as error:
            if error.status in (400, 401, 403):
                words = error.message
                if error.status == 400:
                    words = "unauthorized: authentication required"
                raise RegistryUnauthorizedError(words) from error
            raise

    def _token(self, answer: Answer, asked: float) -> Token:
        body = answer.document(_LARGEST)
        try:
            said = msgspec.json.decode(body or b"", type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataLossError(f'token service "{answer.url.shown}" gave no token') from error
        text = said.token or said.access_token or ""
        if not text or len(text) > _LONGEST_TOKEN or not is_visible(text):
            raise DataLossError(f'token service "{answer.url.shown}" gave no token')
        life = min(max(said.expires_in or 0.0, _SHORTEST_LIFE), _LONGEST_LIFE)
        return Token(text, asked + life - _BEFORE_THE_END, said.refresh_token or "")


def basic(credentials: Credentials) -> str:
    """The ``Authorization`` of Basic."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def is_visible(text: str) -> bool:
    """Whether ``text`` can stand in a header as a token."""
    return text.isascii() and text.isprintable() and " " not in text
