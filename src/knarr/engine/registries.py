"""What is asked of registries without bringing or sending an image.

Law: a secret is in no log and no error. Everything here waits for a network and belongs into a
bulk worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.registry import AuthResponse, Descriptor, DistributionInspect, SearchResult
from knarr.errors import InvalidArgumentError, KnarrError, NotFoundError
from knarr.oci import image_config, reference
from knarr.oci.descriptor import IMAGE_CONFIGS
from knarr.oci.manifest import Index, Manifest
from knarr.remotes import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.api.registry import AuthConfig
    from knarr.oci.platform import Platform
    from knarr.remotes import Document, Repository

    from .parts import Parts

    Filters = Mapping[str, Sequence[str]]

_USUAL_RESULTS = 25
_MOST_RESULTS = 100
_NO_SEARCH = "Unexpected status code 404"
_TRUE = frozenset({"1", "true"})
_FALSE = frozenset({"0", "false"})
_KNOWN = frozenset({"is-automated", "is-official", "stars"})


class Registries:
    """Registries as one engine sees them; the methods are those of ``services``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def login(self, config: AuthConfig) -> AuthResponse:
        """Let the registry check who one is; raises UnauthenticatedError and others."""
        credentials = Credentials(config.username, config.password, config.identity_token)
        if not (credentials.password or credentials.identity_token):
            credentials = Credentials()  # a name alone proves nothing, and is not sent
        host, remotes = config.server_address, self._parts.remotes
        token = await self._parts.workers.bulk(lambda: remotes.check_login(host, credentials))
        return AuthResponse(identity_token=token)

    async def distribution(self, name: str, credentials: Credentials | None) -> DistributionInspect:
        """What a name means on its registry now, and for which platforms."""

        def ask() -> DistributionInspect:
            repository, document = self._fetched(name, credentials)
            return DistributionInspect(
                descriptor=Descriptor(
                    media_type=document.media_type,
                    digest=document.digest,
                    size=len(document.raw),
                ),
                platforms=_platforms(repository, document),
            )

        return await self._parts.workers.bulk(ask)

    async def document(self, name: str, credentials: Credentials | None) -> tuple[str, str, bytes]:
        """The manifest or index of a name: media type, digest, its very bytes."""

        def ask() -> tuple[str, str, bytes]:
            document = self._fetched(name, credentials)[1]
            return document.media_type, document.digest, document.raw

        return await self._parts.workers.bulk(ask)

    def _fetched(self, name: str, credentials: Credentials | None) -> tuple[Repository, Document]:
        if reference.is_identifier(name):
            raise InvalidArgumentError("no manifest found for full image ID")
        wanted = reference.parse_normalized(name).with_default_tag()
        repository = self._parts.remotes.repository(wanted, credentials)
        try:
            found = repository.resolve(wanted.digest or wanted.tag or "")
            return repository, repository.manifest(found.digest)
        except NotFoundError as error:
            # Docker says no more: who asks knows the name.
            raise NotFoundError(error.message.rpartition(" not found: ")[2]) from error

    async def search(
        self, term: str, *, limit: int, filters: Filters, credentials: Credentials | None
    ) -> Sequence[SearchResult]:
        """Repositories that a registry's search finds."""
        test = _Test(filters)
        count = limit or _USUAL_RESULTS
        if not 1 <= count <= _MOST_RESULTS:
            raise InvalidArgumentError(f"Limit {limit} is outside the range of [1, 100]")
        remotes = self._parts.remotes
        try:
            found = await self._parts.workers.bulk(lambda: remotes.search(term, count, credentials))
        except KnarrError as error:
            if error.message == _NO_SEARCH:
                error.hint = "this registry cannot be searched"
            raise
        results = (
            SearchResult(
                star_count=each.star_count,
                is_official=each.is_official,
                name=each.name,
                is_automated=each.is_automated,
                description=each.description,
            )
            for each in found
        )
        return [each for each in results if test.passes(each)]


class _Test:
    """Docker's filters of a search."""

    def __init__(self, filters: Filters) -> None:
        for name in filters:
            if name not in _KNOWN:
                raise InvalidArgumentError(f"invalid filter '{name}'")
        self._automated = _flag(filters, "is-automated")
        self._official = _flag(filters, "is-official")
        self._stars = 0
        for value in filters.get("stars", ()):
            if not (value.isascii() and value.isdigit()) or len(value) > 18:
                raise InvalidArgumentError(f"invalid filter 'stars={value}'")
            self._stars = max(self._stars, int(value))

    def passes(self, result: SearchResult) -> bool:
        """Whether a result passes all of them."""
        return (
            self._automated in (None, result.is_automated)
            and self._official in (None, result.is_official)
            and result.star_count >= self._stars
        )


def _flag(filters: Filters, name: str) -> bool | None:
    values = set(filters.get(name, ()))
    if not values:
        return None
    if values <= _TRUE:
        return True
    if values <= _FALSE:
        return False
    raise InvalidArgumentError(f"invalid filter '{name}=[{' '.join(sorted(values))}]'")


def _platforms(repository: Repository, document: Document) -> list[Platform]:
    """Of an index what its entries say; of a manifest what its config says."""
    if isinstance(document.view, Index):
        return [each.platform for each in document.view.manifests if each.platform is not None]
    manifest: Manifest = document.view
    config = manifest.config
    if config.media_type not in IMAGE_CONFIGS or config.size > image_config.LARGEST:
        return []
    with repository.open_blob(config) as stream:
        raw = stream.read(config.size)
    file = image_config.parse(raw)
    return [file.platform] if file.digest == config.digest else []
