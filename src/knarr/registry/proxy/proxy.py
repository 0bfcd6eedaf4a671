"""Repositories that are a cache: what is missing, or old, comes from the upstream."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from knarr.errors import (
    DataLossError,
    KnarrError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from knarr.registry import manifests, names, refusals
from knarr.registry.access.roles import pattern
from knarr.registry.proxy.transfer import Transfer
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from knarr.oci.digest import Digest
    from knarr.registry.metadata import ManifestRow
    from knarr.registry.proxy import Upstream
    from knarr.registry.rules import Rules

T = TypeVar("T")

_log = logging.getLogger(__name__)
_WORKERS = 16
_MOST_REMEMBERED = 10_000
_MOST_TAGS = 10_000
_AWAY_SECONDS = 10.0  # an upstream that failed is not asked again for what is known


class Proxy:
    """One upstream and the repositories that are a cache of it. For one event loop.

    ``prefix`` is what its names have in front here and not there; ``ttl`` is seconds.
    """

    def __init__(
        self,
        rules: Rules,
        upstream: Upstream,
        *,
        repositories: Iterable[str],
        prefix: str,
        ttl: float,
        folder: Path,
    ) -> None:
        self._rules = rules
        self._upstream = upstream
        self._patterns = [pattern(each) for each in repositories]
        self._prefix = prefix
        self._ttl = ttl
        self._folder = folder
        self._executor = ThreadPoolExecutor(_WORKERS, "proxy")
        self._flying: dict[tuple[str, ...], asyncio.Future[Any]] = {}
        self._transfers: dict[tuple[str, Digest], Transfer] = {}
        self._fresh: dict[tuple[str, ...], float] = {}
        self._tags: dict[str, list[str]] = {}
        self._away_until = 0.0

    def has(self, repository: str) -> bool:
        """Whether a repository is a cache of this upstream."""
        return any(each.fullmatch(repository) for each in self._patterns)

    def close(self) -> None:
        """Give up what is under way, and wait for it."""
        for transfer in list(self._transfers.values()):
            transfer.stop()
        self._upstream.close()
        self._executor.shutdown()

    async def manifest(self, repository: str, reference: str) -> ManifestRow:
        """What a reference names, as fresh as can be. Raises ``RefusedError``, ``KnarrError``."""
        if names.is_digest(reference):
            digest = names.digest(reference)
            return await self._once(("digest", repository, digest), self._known_or_asked, digest)
        key = ("tag", repository, names.tag(reference))
        return await self._once(key, self._of_tag, reference)

    async def tags(self, repository: str, last: str, limit: int) -> list[str]:
        """Tags after ``last``; when the upstream is away, those that are known."""
        found: list[str] = await self._once(("tags", repository), self._all_tags)
        return list(itertools.islice((each for each in found if each > last), limit))

    async def referrers(self, repository: str, subject: Digest, artifact_type: str) -> bytes:
        """The index of what belongs to a manifest, as the upstream tells it."""
        key = ("referrers", repository, subject, artifact_type)
        return await self._once(key, self._asked_referrers, subject, artifact_type)

    async def blob_size(self, repository: str, digest: Digest) -> int:
        """The bytes of a blob, here or there."""
        return await self._once(("size", repository, digest), self._size, digest)

    async def transfer(self, repository: str, digest: Digest) -> Transfer | None:
        """The blob on its way here, None when it has arrived."""
        key = (repository, digest)
        size = await self.blob_size(repository, digest)
        if key not in self._transfers:
            stored = await self._run(self._rules.metadata.blob_size, repository, digest)
            if stored is not None:
                return None
        if key not in self._transfers:
            transfer = self._transfers[key] = Transfer(repository, digest, size, self._folder)
            task = asyncio.ensure_future(self._run(self._take_in, transfer))
            task.add_done_callback(lambda done: self._arrived(transfer, done))
        return self._transfers[key]

    def _arrived(self, transfer: Transfer, done: asyncio.Future[None]) -> None:
        self._transfers.pop((transfer.repository, transfer.digest), None)
        error = UnavailableError("the server ends") if done.cancelled() else done.exception()
        if error is not None:
            _log.warning("blob %s does not come: %s", transfer.digest, error)
        if error is not None and not isinstance(error, KnarrError):
            error = UnavailableError(str(error))
        transfer.end(error)

    def _take_in(self, transfer: Transfer) -> None:
        name = self._name(transfer.repository)
        with self._upstream.open_blob(name, transfer.digest, transfer.size) as stream:
            transfer.take_in(self._rules, stream)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)

    async def _once(self, key: tuple[str, ...], work: Callable[..., T], *args: Any) -> T:
        """Do the work for a repository, which is the key's second; at once for all who ask."""
        flying = self._flying.get(key)
        if flying is None:
            flying = asyncio.ensure_future(self._run(self._said, work, key[1], *args))
            self._flying[key] = flying
            flying.add_done_callback(lambda _: self._flying.pop(key, None))
        # One who goes away does not take it from the others.
        done: T = await asyncio.shield(flying)
        return done

    def _said(self, work: Callable[..., T], repository: str, *args: Any) -> T:
        """Do it; what a client learns of a failure."""
        try:
            return work(repository, *args)
        except NotFoundError:
            raise RefusedError(refusals.NAME_UNKNOWN, {"name": repository}) from None
        except (UnauthenticatedError, PermissionDeniedError) as error:
            _log.warning("the upstream of %s refuses: %s", repository, error)
            raise RefusedError(refusals.NAME_UNKNOWN, {"name": repository}) from None

    def _known_or_asked(self, repository: str, digest: Digest) -> ManifestRow:
        found = self._rules.metadata.manifest(repository, digest)
        return found or self._asked(repository, digest, [])

    def _asked(self, repository: str, digest: Digest, tags: Sequence[str]) -> ManifestRow:
        """Ask for a manifest and keep it."""
        try:
            found = self._upstream.manifest(self._name(repository), digest)
        except NotFoundError:
            raise RefusedError(refusals.MANIFEST_UNKNOWN, {"reference": digest}) from None
        if names.of_bytes(found.raw, names.algorithm(digest)) != digest:
            raise DataLossError(f"manifest {digest}: the upstream sent something else")
        new = manifests.read(found.raw, found.media_type, digest)
        self._rules.metadata.put_manifest(repository, new, tags, is_whole=False)
        return new.row

    def _of_tag(self, repository: str, tag: str) -> ManifestRow:
        known = self._known(repository, tag)
        key = ("tag", repository, tag)
        if known is not None and self._is_fresh(key):
            return known
        try:
            digest = self._upstream.resolve(self._name(repository), tag)
            row = self._rules.metadata.manifest(repository, digest)
            if row is None:
                row = self._asked(repository, digest, [tag])
            else:
                self._rules.metadata.put_tag(repository, tag, digest)
        except NotFoundError:
            self._rules.metadata.remove_tag(repository, tag)
            raise RefusedError(refusals.MANIFEST_UNKNOWN, {"reference": tag}) from None
        except (UnauthenticatedError, PermissionDeniedError):
            raise
        except KnarrError as error:
            self._is_away(error)
            if known is None:
                raise
            return known
        self._remember(key)
        return row

    def _known(self, repository: str, tag: str) -> ManifestRow | None:
        digest = self._rules.metadata.tag(repository, tag)
        return None if digest is None else self._rules.metadata.manifest(repository, digest)

    def _all_tags(self, repository: str) -> list[str]:
        key = ("tags", repository)
        known = self._tags.get(repository)
        if known is not None and self._is_fresh(key):
            return known
        try:
            found = itertools.islice(self._upstream.tags(self._name(repository)), _MOST_TAGS)
            known = sorted(found)
        except (NotFoundError, UnauthenticatedError, PermissionDeniedError):
            raise
        except KnarrError as error:
            self._is_away(error)
            return known or self._rules.tags(repository, "", _MOST_TAGS)
        if len(self._tags) >= _MOST_REMEMBERED // 10:
            self._tags.clear()
        self._tags[repository] = known
        self._remember(key)
        return known

    def _asked_referrers(self, repository: str, subject: Digest, artifact_type: str) -> bytes:
        return self._upstream.referrers(self._name(repository), subject, artifact_type)

    def _size(self, repository: str, digest: Digest) -> int:
        known = self._rules.metadata.blob_size(repository, digest)
        if known is not None:
            return known
        try:
            return self._upstream.blob_size(self._name(repository), digest)
        except NotFoundError:
            raise RefusedError(refusals.BLOB_UNKNOWN, {"digest": digest}) from None

    def _is_fresh(self, key: tuple[str, ...]) -> bool:
        now = time.monotonic()
        return now < self._away_until or now < self._fresh.get(key, 0.0)

    def _remember(self, key: tuple[str, ...]) -> None:
        if len(self._fresh) >= _MOST_REMEMBERED:
            self._fresh.clear()
        self._fresh[key] = time.monotonic() + self._ttl

    def _is_away(self, error: KnarrError) -> None:
        _log.warning("the upstream cannot be used: %s", error)
        self._away_until = time.monotonic() + _AWAY_SECONDS

    def _name(self, repository: str) -> str:
        return repository.removeprefix(self._prefix)
