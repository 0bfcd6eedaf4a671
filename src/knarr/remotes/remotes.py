"""All registries: where a repository is, how it is spoken to, what was learned on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import UnimplementedError
from knarr.remotes.rules import Rules

if TYPE_CHECKING:
    from knarr.oci.reference import Reference
    from knarr.remotes.credentials import Credentials
    from knarr.remotes.repository import Repository
    from knarr.remotes.values import SearchItem


class Remotes:
    """Made once from the configuration; cheap until a registry is spoken to.

    Connections and tokens are shared by all repositories that it gives out.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()

    def repository(self, name: Reference, credentials: Credentials | None = None) -> Repository:
        """The repository that ``name`` is in; its tag and digest only serve messages.

        No connection is made. Raises ``InvalidArgumentError`` for rules that cannot be kept (a
        certificate that is not there).
        """
        raise UnimplementedError(f'repository "{name}" cannot be reached yet')

    def check_login(self, host: str, credentials: Credentials) -> str:
        """Let the registry check ``credentials``; its identity token for later use, or "".

        ``host`` is as a person gives it: "" and ``docker.io`` are Docker Hub. Raises
        ``UnauthenticatedError`` when they are wrong.
        """
        raise UnimplementedError(f'registry "{host}" cannot be reached yet')

    def search(
        self, term: str, limit: int, credentials: Credentials | None = None
    ) -> list[SearchItem]:
        """Repositories whose name or description has ``term``, by Docker Hub's search.

        ``term`` may begin with another host that has the same (``host/term``). ``limit`` is from 1
        to 100.
        """
        raise UnimplementedError(f'"{term}" cannot be searched yet')

    def close(self) -> None:
        """Close all connections; what is under way fails."""
