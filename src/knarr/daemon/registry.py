"""The program of a registry: the server, with the client of registries for what it caches.

Neither knows the other; this is where they are put together.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.oci import reference as references
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest
from knarr.registry.proxy import UpstreamManifest
from knarr.registry.serve import main
from knarr.remotes import Credentials, Patience, RegistryRule, Remotes, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from knarr.registry.config import ProxyConfig
    from knarr.remotes import Repository

_HUB, _HUB_HOSTS = "docker.io", frozenset({"docker.io", "registry-1.docker.io"})
#: A client waits at the other end, and what is stale can be served instead.
_PATIENCE = Patience(attempts=3, first=0.2, most=1.0, obeyed=2.0, connect=5.0, silence=30.0)


class RemoteUpstream:
    """See ``knarr.registry.proxy.Upstream``."""

    def __init__(self, host: str, remotes: Remotes, credentials: Credentials | None) -> None:
        self._host = host
        self._remotes = remotes
        self._credentials = credentials

    def resolve(self, repository: str, tag: str) -> Digest:
        """See ``Upstream``."""
        return Digest(self._at(repository).resolve(tag).digest)

    def manifest(self, repository: str, digest: Digest) -> UpstreamManifest:
        """See ``Upstream``."""
        found = self._at(repository).manifest(digest)
        return UpstreamManifest(found.digest, found.media_type, found.raw)

    def blob_size(self, repository: str, digest: Digest) -> int:
        """See ``Upstream``."""
        size = self._at(repository).has_blob(digest)
        if size is None:
            raise NotFoundError(f"blob {digest} is not at the upstream")
        return size

    def open_blob(
        self, repository: str, digest: Digest, size: int
    ) -> AbstractContextManager[BinaryIO]:
        """See ``Upstream``."""
        return self._at(repository).open_blob(Descriptor(digest=digest, size=size))

    def tags(self, repository: str) -> Iterator[str]:
        """See ``Upstream``."""
        return self._at(repository).tags()

    def referrers(self, repository: str, subject: Digest, artifact_type: str) -> bytes:
        """See ``Upstream``."""
        return self._at(repository).referrers(subject, artifact_type).raw

    def close(self) -> None:
        """See ``Upstream``."""
        self._remotes.close()

    def _at(self, repository: str) -> Repository:
        if self._host == _HUB and "/" not in repository:
            repository = f"library/{repository}"
        name = references.parse_canonical(f"{self._host}/{repository}")
        return self._remotes.repository(name, self._credentials)


def connect(proxy: ProxyConfig) -> RemoteUpstream:
    """The upstream of a proxy's configuration. Raises ``InvalidArgumentError``."""
    scheme, mark, rest = proxy.upstream.partition("://")
    host, _, path = rest.partition("/")
    if scheme not in {"http", "https"} or not mark or not host or path or "@" in host:
        raise InvalidArgumentError(
            f'invalid upstream "{proxy.upstream}"', hint="say https://HOST or http://HOST:PORT"
        )
    host = _HUB if host in _HUB_HOSTS else host
    rule = RegistryRule(insecure=scheme == "http", ca=proxy.ca)
    credentials = Credentials(proxy.username, proxy.password()) if proxy.username else None
    return RemoteUpstream(host, Remotes(Rules({host: rule}), _PATIENCE), credentials)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], connect))
