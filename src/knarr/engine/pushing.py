"""Pushing images to registries.

Law: one worker for a push, which ends soon after its client has gone. What goes wrong after the
first message is the stream's last one, as in Docker.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from knarr.api.images import Progress
from knarr.errors import InvalidArgumentError, NotFoundError, UnauthenticatedError
from knarr.oci import platform as platforms
from knarr.oci import reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from knarr.images.push import Order
    from knarr.oci.reference import Reference
    from knarr.remotes import Credentials, Repository

    from .parts import Parts

_NO_CREDENTIALS = "no basic auth credentials"


class Pushing:
    """The pushes of one engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def push(
        self,
        name: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[Progress]:
        """Push one tag, or, where none is named, all tags of the repository; messages as they come.

        Raises InvalidArgumentError for what is no name; everything else is raised by the iterator.
        """
        wanted = reference.parse_normalized(name)
        if wanted.digest is not None:
            raise InvalidArgumentError("cannot push a digest reference")
        if tag:
            wanted = wanted.with_tag(tag)
        parsed = platforms.parse(platform) if platform else None
        gone = threading.Event()
        repositories: list[Repository] = []

        def work(tell: Callable[[Progress], None]) -> None:
            from knarr.images.push import Order  # noqa: PLC0415 - no engine needs it before

            tell(Progress(status=f"The push refers to repository [{wanted.name}]"))
            names = self._names(wanted)
            repository = self._parts.remotes.repository(wanted, credentials)
            repositories.append(repository)
            for each in names:
                self._push_one(Order(each, repository, parsed, tell, gone))

        def abandoned() -> None:
            gone.set()
            for repository in repositories:
                repository.cancel()

        return self._pushing(wanted, work, abandoned)

    async def _pushing(
        self,
        wanted: Reference,
        work: Callable[[Callable[[Progress], None]], None],
        abandoned: Callable[[], None],
    ) -> AsyncIterator[Progress]:
        async for message in self._parts.workers.iterate(work, abandoned=abandoned):
            yield message
        about = {"name": wanted.familiar_name}
        self._parts.events.publish("image", "push", wanted.familiar(), about)

    def _names(self, wanted: Reference) -> list[Reference]:
        """The tags to push; raises NotFoundError in Docker's words."""
        rows = self._parts.database.images.names()
        every = [reference.parse_canonical(row.name) for row in rows]
        known = [each for each in every if each.name == wanted.name]
        if not known:
            raise NotFoundError(
                f"An image does not exist locally with the tag: {wanted.familiar_name}"
            )
        tags = [each for each in known if each.digest is None]
        if wanted.tag is None:
            if not tags:
                raise NotFoundError(f"no tags to push for {wanted.name}")
            return tags
        if wanted not in tags:
            raise NotFoundError(f"tag does not exist: {wanted.familiar()}")
        return [wanted]

    def _push_one(self, order: Order) -> None:
        try:
            self._parts.images.push(order)
        except UnauthenticatedError as error:
            if error.message.endswith(_NO_CREDENTIALS):  # Docker says no more of a push
                raise UnauthenticatedError(_NO_CREDENTIALS) from error
            raise
