"""Access by passwords and tokens, with roles: the server is its own token service.

A client that asks without credentials gets a challenge which names this server's token service and
the scope that it lacks; it comes back with a token for that. Credentials themselves are taken
too. A token is only as good as the rights that its user had when it was handed out, and lives a
few minutes.
"""

from __future__ import annotations

import base64
import binascii
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from knarr.registry import names, refusals
from knarr.registry.access import ADMIN, CATALOG, DELETE, PULL, PUSH
from knarr.registry.access.tokens import Token
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from knarr.registry.access import Asking, Caller
    from knarr.registry.access.htpasswd import Htpasswd
    from knarr.registry.access.roles import Roles
    from knarr.registry.access.tokens import Signer

SERVICE = "knarr-registry"
TOKEN_PATH = "/v2/token"  # noqa: S105 - a path
_MOST_SCOPES = 100
_CATALOG_SCOPE = "registry:catalog:*"
_CATALOG_KEY = "registry:catalog"


class ControlledAccess:
    """See ``Access``. ``run`` does what blocks, in a worker."""

    def __init__(
        self,
        users: Htpasswd,
        roles: Roles,
        signer: Signer,
        run: Callable[..., Awaitable[bool]],
        *,
        token_seconds: int = 300,
    ) -> None:
        self._users = users
        self._roles = roles
        self._signer = signer
        self._run = run
        self._token_seconds = token_seconds

    async def admit(self, asking: Asking) -> Caller:
        """See ``Access``."""
        kind, _, value = asking.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            token = self._signer.check(value.strip())
            if token is None:
                raise self.challenge(asking, "invalid_token")
            return _Bearer(self, asking, token)
        user = await self._user(asking)
        return _User(self, asking, user)

    async def grant(self, asking: Asking, form: Mapping[str, list[str]]) -> dict[str, object]:
        """See ``Access``."""
        user = await self._user(asking, form)
        scopes = [part for text in form.get("scope", []) for part in text.split(" ") if part]
        if len(scopes) > _MOST_SCOPES:
            raise RefusedError(refusals.DENIED, message="too many scopes")
        now = time.time()
        token = Token(user, now + self._token_seconds, dict(self._granted(user, scopes)))
        text = self._signer.sign(token)
        issued = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "token": text,
            "access_token": text,
            "expires_in": self._token_seconds,
            "issued_at": issued,
        }

    def may(self, user: str, action: str, repository: str) -> bool:
        """Whether the roles of a user allow it."""
        if not action:
            return bool(user)
        if action == CATALOG:
            return bool(user) or self._roles.may("", PULL, "")
        return self._roles.may(user, action, repository)

    def challenge(self, asking: Asking, error: str = "", scope: str = "") -> RefusedError:
        """Ask for credentials, or for better ones."""
        value = f'Bearer realm="{asking.base}{TOKEN_PATH}",service="{SERVICE}"'
        if scope:
            value += f',scope="{scope}"'
        if error:
            value += f',error="{error}"'
        return RefusedError(refusals.UNAUTHORIZED, headers={"WWW-Authenticate": value})

    async def _user(self, asking: Asking, form: Mapping[str, list[str]] | None = None) -> str:
        """The user whose password was given, "" when none was. Raises ``RefusedError``."""
        given = _basic(asking.headers.get("Authorization", "")) or _password(form or {})
        if given is None:
            return ""
        if not await self._run(self._users.check, *given):
            raise self.challenge(asking)
        return given[0]

    def _granted(self, user: str, scopes: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
        """Of what is asked for, what the user may do."""
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            repository, _, actions = rest.rpartition(":")
            if scope == _CATALOG_SCOPE:
                if self.may(user, CATALOG, ""):
                    yield _CATALOG_KEY, ["*"]
            elif kind == "repository" and names.is_repository(repository):
                wanted = set(actions.split(","))
                if "*" in wanted:
                    wanted |= {PULL, PUSH, DELETE, ADMIN}
                yield (
                    repository,
                    sorted(each for each in wanted if self.may(user, each, repository)),
                )


class _User:
    """A caller known by a password, or not known at all."""

    def __init__(self, access: ControlledAccess, asking: Asking, name: str) -> None:
        self.name = name
        self._access = access
        self._asking = asking

    def may(self, action: str, repository: str) -> bool:
        return self._access.may(self.name, action, repository)

    def refuse(self, action: str, repository: str) -> RefusedError:
        if self.name:
            return RefusedError(refusals.DENIED)
        return self._access.challenge(self._asking, scope=_scope(action, repository))


class _Bearer(_User):
    """A caller known by a token: what was granted, and nothing else."""

    def __init__(self, access: ControlledAccess, asking: Asking, token: Token) -> None:
        super().__init__(access, asking, token.user)
        self._token = token

    def may(self, action: str, repository: str) -> bool:
        if not action:
            return True
        if action == CATALOG:
            return self._token.may("*", _CATALOG_KEY)
        if repository not in self._token.access and _CATALOG_KEY in self._token.access:
            return action == PULL and super().may(action, repository)
        return self._token.may(action, repository)

    def refuse(self, action: str, repository: str) -> RefusedError:
        scope = _scope(action, repository)
        return self._access.challenge(self._asking, "insufficient_scope", scope)


def _scope(action: str, repository: str) -> str:
    """The scope that a client has to ask for; a push reads too."""
    if action == CATALOG:
        return _CATALOG_SCOPE
    if not repository:
        return ""
    wanted = f"{PULL},{PUSH}" if action == PUSH else action
    return f"repository:{repository}:{wanted}"


def _basic(header: str) -> tuple[str, str] | None:
    """User and password of the scheme Basic (RFC 7617)."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    user, _, password = text.partition(":")
    return user, password


def _password(form: Mapping[str, list[str]]) -> tuple[str, str] | None:
    """User and password of an OAuth 2 password grant."""
    if form.get("grant_type") != ["password"]:
        return None
    return form.get("username", [""])[0], form.get("password", [""])[0]
