"""Who may do what: the border that every way of access control keeps.

``admit`` finds out who asks; the ``Caller`` that it gives says what that one may do. A refusal must
not tell whether something exists that the caller may not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from knarr.registry import refusals
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CATALOG", "DELETE", "PULL", "PUSH", "Access", "Caller", "OpenAccess"]

PULL, PUSH, DELETE = "pull", "push", "delete"
#: What is asked of a caller who wants the list of repositories; the repository is "" then.
CATALOG = "catalog"


class Caller(Protocol):
    """Who makes a request."""

    #: The name of the user, "" for nobody in particular.
    name: str

    def may(self, action: str, repository: str) -> bool:
        """Whether the caller may do that."""

    def refuse(self, action: str, repository: str) -> RefusedError:
        """What is answered when not: UNAUTHORIZED with a challenge, or DENIED."""


class Access(Protocol):
    """A way of access control."""

    async def admit(self, headers: Mapping[str, str], peer: str) -> Caller:
        """Who asks, by the headers of the request and the address that it came from.

        Raises ``RefusedError`` for credentials that are wrong.
        """


class _Anyone:
    name = ""

    def may(self, action: str, repository: str) -> bool:
        return True

    def refuse(self, action: str, repository: str) -> RefusedError:
        return RefusedError(refusals.DENIED)


class OpenAccess:
    """Everyone may do everything: for a registry that only trusted peers can reach."""

    async def admit(self, headers: Mapping[str, str], peer: str) -> Caller:
        """See ``Access``."""
        return _Anyone()
