"""Images."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from knarr.client.credentials import keychain
from knarr.errors import NotFoundError
from knarr.sdk.core import images as requests

from .making import Pending
from .streams import AsyncByteStream, AsyncStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.images import (
        DeleteItem,
        HistoryItem,
        ImageInspect,
        ImagePrune,
        ImageSummary,
        Progress,
    )
    from knarr.client.credentials.login import Login
    from knarr.sdk.core.request import Filters

    from .transport import Transport
    from .upload import Source


class AsyncImage:
    """An image, known by a name (``busybox:latest``) or an id."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncImage) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    async def inspect(self) -> ImageInspect:
        """All about it."""
        return await self._transport.call(requests.inspect(self.name))

    async def history(self) -> tuple[HistoryItem, ...]:
        """How it was made, newest first."""
        return await self._transport.call(requests.history(self.name))

    async def tag(self, repository: str, tag: str = "latest") -> AsyncImage:
        """Give it a further name; the image under that name."""
        await self._transport.call(requests.tag(self.name, repository, tag))
        return AsyncImage(self._transport, f"{repository}:{tag}")

    async def remove(self, *, force: bool = False, prune: bool = True) -> tuple[DeleteItem, ...]:
        """Take this name away, and the image with its last name; what was done."""
        return await self._transport.call(requests.remove(self.name, force=force, prune=prune))

    def save(self) -> AsyncByteStream:
        """It as an archive that ``load`` takes."""
        return AsyncByteStream(self._transport, requests.save([self.name], platform=""))

    async def discard(self) -> None:
        """Take its name away, if it is still there."""
        try:
            await self.remove(force=True)
        except NotFoundError:
            return


class AsyncLoadedImages(tuple[AsyncImage, ...]):
    """The images of one archive."""

    __slots__ = ()

    async def discard(self) -> None:
        """Take the names of all of them away."""
        for image in self:
            await image.discard()


class AsyncImages:
    """All images of the engine."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, name: str) -> AsyncImage:
        """The image of this name or id. Raises ``NotFoundError``."""
        image = AsyncImage(self._transport, name)
        await image.inspect()
        return image

    async def list(
        self, *, every: bool = False, filters: Filters | None = None
    ) -> tuple[AsyncImage, ...]:
        """All images, each under each of its names, or under its id if it has none."""
        found = await self.summaries(every=every, filters=filters)
        return tuple(AsyncImage(self._transport, name) for name in requests.names(found))

    async def summaries(
        self, *, every: bool = False, filters: Filters | None = None
    ) -> tuple[ImageSummary, ...]:
        """What ``docker images`` shows of them; with ``every`` intermediate ones, too."""
        return await self._transport.call(requests.summaries(every=every, chosen=filters))

    def load(self, archive: Source, *, platform: str = "") -> Pending[AsyncLoadedImages]:
        """Take images in from an archive: a path, an open file, bytes, or pieces of bytes."""

        async def make() -> AsyncLoadedImages:
            async with self.load_stream(archive, platform=platform) as lines:
                names = requests.loaded([line async for line in lines])
            return AsyncLoadedImages(AsyncImage(self._transport, name) for name in names)

        return Pending(self._transport, make, breaks_off=True)

    def load_stream(self, archive: Source, *, platform: str = "") -> AsyncStream[Progress]:
        """As ``load``, and tell how far it is. An error is raised when its line comes."""
        return AsyncStream(self._transport, requests.load(platform=platform), archive)

    def pull(
        self, name: str, *, platform: str = "", login: Login | None = None
    ) -> Pending[AsyncImage]:
        """Fetch an image by tag or digest from its registry; what is here is not fetched again.

        ``platform`` chooses from an image for several. ``login``: who asks; else what Docker's
        configuration and its credential helpers know. Raises ``NotFoundError`` and others.
        """

        async def make() -> AsyncImage:
            stream = await self.pull_stream(name, platform=platform, login=login)
            async with stream as lines:
                async for _ in lines:
                    pass  # to the end: an error may follow
            return AsyncImage(self._transport, requests.pulled(name))

        return Pending(self._transport, make, breaks_off=True)

    async def pull_stream(
        self, name: str, *, every: bool = False, platform: str = "", login: Login | None = None
    ) -> AsyncStream[Progress]:
        """As ``pull``, or with ``every`` all tags of a repository, and tell how far it is."""
        headers = await asyncio.to_thread(keychain.headers, name, login=login)
        wanted = requests.pull(name, every=every, platform=platform, headers=headers)
        return AsyncStream(self._transport, wanted)

    async def push(
        self, name: str, *, every: bool = False, platform: str = "", login: Login | None = None
    ) -> str:
        """Send a tag of an image, or with ``every`` all tags of its repository, to its registry.

        The digest of what was sent last. ``login``: who asks; else what Docker's configuration and
        its credential helpers know. Raises ``PermissionDeniedError`` and others.
        """
        async with await self.push_stream(
            name, every=every, platform=platform, login=login
        ) as lines:
            return requests.pushed([line async for line in lines])

    async def push_stream(
        self, name: str, *, every: bool = False, platform: str = "", login: Login | None = None
    ) -> AsyncStream[Progress]:
        """As ``push``, and tell how far it is. An error is raised when its line comes."""
        headers = await asyncio.to_thread(keychain.headers, name, login=login)
        wanted = requests.push(name, every=every, platform=platform, headers=headers)
        return AsyncStream(self._transport, wanted)

    def save(self, names: Sequence[str], *, platform: str = "") -> AsyncByteStream:
        """Images as one archive that ``load`` takes."""
        return AsyncByteStream(self._transport, requests.save(names, platform=platform))

    def import_(
        self,
        archive: Source,
        repository: str = "",
        tag: str = "",
        *,
        comment: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> Pending[AsyncImage]:
        """Make an image of one layer of a filesystem's tar."""
        wanted = requests.import_(
            repository=repository, tag=tag, comment=comment, changes=changes, platform=platform
        )

        async def make() -> AsyncImage:
            async with AsyncStream(self._transport, wanted, archive) as lines:
                made = requests.imported([line async for line in lines])
            name = f"{repository}:{tag or 'latest'}" if repository else made
            return AsyncImage(self._transport, name)

        return Pending(self._transport, make, breaks_off=True)

    async def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> tuple[DeleteItem, ...]:
        """Take a name away, and the image with its last name; what was done."""
        return await AsyncImage(self._transport, name).remove(force=force, prune=prune)

    async def prune(self, filters: Filters | None = None) -> ImagePrune:
        """Remove those without a name; with ``{"dangling": False}`` all that no container uses."""
        return await self._transport.call(requests.prune(filters))
