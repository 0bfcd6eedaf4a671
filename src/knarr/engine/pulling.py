"""Pulling images from registries.

Law: one worker tells the client how far a pull is, and ends soon after the client has gone. What
goes wrong before the first message is an answer of its own with its status, as in Docker.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from knarr.api.images import Progress
from knarr.errors import InvalidArgumentError, KnarrError
from knarr.oci import digest as digests
from knarr.oci import platform as platforms
from knarr.oci import reference as references

from . import about

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference
    from knarr.remotes import Credentials, Repository

    from .parts import Parts

    Tell = Callable[[Progress], None]

_MOST_TAGS = 100_000


class Pulling:
    """The pulls of one engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def pull(
        self,
        name: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[Progress]:
        """Pull a tag or a digest, or, where neither is named, all tags; messages as they come.

        Raises InvalidArgumentError for what is no name; everything else is raised by the iterator.
        """
        wanted = named(name, tag)
        parsed = platforms.parse(platform) if platform else None
        return _Work(self._parts, wanted, parsed, credentials).messages()


class _Work:
    def __init__(
        self,
        parts: Parts,
        wanted: Reference,
        platform: Platform | None,
        credentials: Credentials | None,
    ) -> None:
        self._parts = parts
        self._wanted = wanted
        self._platform = platform
        self._credentials = credentials
        self._gone = threading.Event()
        self._documents = self._repository()
        self._loop = asyncio.get_running_loop()

    def messages(self) -> AsyncIterator[Progress]:
        """What happens, as it happens."""
        return self._parts.workers.iterate(self._pull, abandoned=self._abandon)

    def _abandon(self) -> None:
        self._gone.set()
        self._documents.cancel()

    def _repository(self) -> Repository:
        return self._parts.remotes.repository(self._wanted, self._credentials)

    def _pull(self, tell: Tell) -> None:
        any_new = False
        for name in self._names():
            any_new |= self._pull_one(name, tell)
        what = "Downloaded newer image for" if any_new else "Image is up to date for"
        tell(Progress(status=f"Status: {what} {self._wanted.familiar()}"))

    def _names(self) -> list[Reference]:
        if not self._wanted.is_name_only:
            return [self._wanted]
        names = []
        for tag in self._documents.tags():
            names.append(self._wanted.with_tag(tag))
            if len(names) > _MOST_TAGS:
                raise InvalidArgumentError(f"the repository has more than {_MOST_TAGS} tags")
        return names

    def _pull_one(self, name: Reference, tell: Tell) -> bool:
        from knarr.images.pull import Order  # noqa: PLC0415 - not before the first pull

        pulled = self._parts.images.pull(
            Order(name, self._documents, self._repository, self._platform, tell, self._gone)
        )
        attributes = {"name": name.familiar_name}
        try:
            image = self._parts.images.resolve(pulled.image_id)
            attributes = about.image(image, name.familiar_name)
        except KnarrError:
            pass  # removed since
        publish = self._parts.events.publish
        self._loop.call_soon_threadsafe(publish, "image", "pull", name.familiar(), attributes)
        return pulled.is_new


def named(name: str, tag: str) -> Reference:
    """The reference of a pull; ``tag`` may be a digest. Neither of them anywhere: all tags."""
    wanted = references.parse_normalized(name.removesuffix(":"))
    if wanted.digest is not None:
        wanted = wanted._replace(tag=None)
    if not tag:
        return wanted
    try:
        digest = digests.parse(tag)
    except InvalidArgumentError:
        return wanted.with_tag(tag)
    return wanted._replace(tag=None, digest=digest)
