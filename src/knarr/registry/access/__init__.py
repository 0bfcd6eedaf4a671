"""Who may do what: the border that every way of access control keeps.

``admit`` finds out who asks; the ``Caller`` that it gives says what that one may do. A refusal must
not tell whether something exists that the caller may not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from knarr.registry import refusals
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ADMIN",
    "CATALOG",
    "DELETE",
    "PULL",
    "PUSH",
    "Access",
    "Asking",
    "Caller",
    "OpenAccess",
]

PULL, PUSH, DELETE, ADMIN = "pull", "push", "delete", "admin"
#: What is asked of a caller who wants the list of repositories; the repository is "" then.
CATALOG = "catalog"


class Asking(NamedTuple):
    """What is known of a request before its caller: headers, the peer, how it calls this server.

    ``base`` is scheme and host as the client wrote them, ``http://registry:5000``.
    """

    headers: Mapping[str, str]
    peer: str
    base: str


class Caller(Protocol):
    """Who makes a request."""

    @property
    def name(self) -> str:
        """The name of the user, "" for nobody in particular."""

    def may(self, action: str, repository: str) -> bool:
        """Whether the caller may do that; no action means to talk to this server at all."""

    def refuse(self, action: str, repository: str) -> RefusedError:
        """What is answered when not: UNAUTHORIZED with a challenge, or DENIED."""


class Access(Protocol):
    """A way of access control."""

    async def admit(self, asking: Asking) -> Caller:
        """Who asks. Raises ``RefusedError`` for credentials that are wrong."""

    async def grant(self, asking: Asking, form: Mapping[str, list[str]]) -> dict[str, object]:
        """A token for what ``form`` asks for, as the token service answers.

        Raises ``RefusedError`` for credentials that are wrong, and where there are no tokens.
        """


class _Anyone:
    name = ""

    def may(self, action: str, repository: str) -> bool:
        return True

    def refuse(self, action: str, repository: str) -> RefusedError:
        return RefusedError(refusals.DENIED)


class OpenAccess:
    """Everyone may do everything: for a registry that only trusted peers can reach."""

    async def admit(self, asking: Asking) -> Caller:
        """See ``Access``."""
        return _Anyone()

    async def grant(self, asking: Asking, form: Mapping[str, list[str]]) -> dict[str, object]:
        """See ``Access``."""
        raise RefusedError(refusals.UNSUPPORTED)
