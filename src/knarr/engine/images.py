"""The use cases of images.

Law: what removes images runs alone (``image_gate``), so that no container is made from an image
that is going away.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from knarr.api.images import Progress
from knarr.errors import NotFoundError
from knarr.images import ContainerUse, Description
from knarr.oci import platform as platforms

from . import about
from .pulling import Pulling
from .pushing import Pushing
from .workers import readable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from knarr.api.images import DeleteItem, HistoryItem, ImageInspect, ImagePrune, ImageSummary
    from knarr.images import InUse
    from knarr.images.image import Image
    from knarr.oci.digest import Digest
    from knarr.remotes import Credentials

    from .parts import Parts

    Filters = Mapping[str, Sequence[str]]


class Images:
    """The images of one engine; the methods are those of ``services.ImageService``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def _publish(self, action: str, name: str) -> None:
        """Tell of the image that this names; as in Docker, by its id alone."""
        with contextlib.suppress(NotFoundError):
            image = await self._parts.workers.run(lambda: self._parts.images.resolve(name))
            self._tell(action, image, image.id)

    def _tell(self, action: str, image: Image, name: str) -> None:
        attributes = about.image(image, name)
        self._parts.events.publish("image", action, image.id, attributes)

    async def load(
        self, body: AsyncIterator[bytes], *, quiet: bool = False, platform: str | None = None
    ) -> AsyncIterator[Progress]:
        """Load an archive; messages as they come. A late error is raised by the iterator."""
        stream = readable(body)

        def work(tell: Callable[[Progress], None]) -> None:
            for line in self._parts.images.load(
                stream, progress=tell, platform=platform, quiet=quiet
            ):
                tell(Progress(stream=f"{line}\n"))

        return self._loading(work)

    async def _loading(
        self, work: Callable[[Callable[[Progress], None]], None]
    ) -> AsyncIterator[Progress]:
        async for message in self._parts.workers.iterate(work):
            if message.stream.startswith("Loaded image"):
                name = message.stream.partition(": ")[2].strip()
                await self._publish("load", name)
            yield message

    async def save(
        self, names: Sequence[str], *, platform: str | None = None
    ) -> AsyncIterator[bytes]:
        """An archive of these images; an unknown name is raised before the first chunk."""
        parts = self._parts
        archive = await parts.workers.bulk(lambda: parts.images.save(names, platform))

        def work(put: Callable[[bytes], None]) -> None:
            with _closing(archive):
                for chunk in archive:
                    put(chunk)

        for name in names:
            await self._publish("save", name)
        return parts.workers.iterate(work)

    async def pull(
        self,
        name: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[Progress]:
        """Pull a tag or digest, or without one all tags; see ``pulling``."""
        pulling = Pulling(self._parts)
        return pulling.pull(name, tag=tag, platform=platform, credentials=credentials)

    async def push(
        self,
        name: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[Progress]:
        """Push a tag, or without one all of them; see ``pushing``."""
        pushing = Pushing(self._parts)
        return pushing.push(name, tag=tag, platform=platform, credentials=credentials)

    async def import_(
        self,
        body: AsyncIterator[bytes],
        *,
        reference: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        platform: str | None = None,
    ) -> AsyncIterator[Progress]:
        """Make an image of a root filesystem tar."""
        stream = readable(body)
        message = message or "Imported from -"
        description = Description(changes=tuple(changes), message=message)
        if platform:
            description = description._replace(platform=platforms.parse(platform))

        def work(tell: Callable[[Progress], None]) -> None:
            made = self._parts.images.import_(stream, reference=reference, description=description)
            tell(Progress(status=made))

        return self._importing(work, reference)

    async def _importing(
        self, work: Callable[[Callable[[Progress], None]], None], reference: str
    ) -> AsyncIterator[Progress]:
        async for message in self._parts.workers.iterate(work):
            if reference:
                image = await self._parts.workers.run(lambda: self._parts.images.resolve(reference))
                self._tell("tag", image, reference)
            await self._publish("import", reference or message.status)
            yield message

    async def tag(self, source: str, *, repo: str, tag: str = "") -> None:
        """Let ``repo:tag`` name the image too."""
        async with self._parts.image_gate.inside():
            name = await self._parts.workers.run(lambda: self._parts.images.tag(source, repo, tag))
            image = await self._parts.workers.run(lambda: self._parts.images.resolve(source))
        self._tell("tag", image, name.familiar())

    async def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> Sequence[DeleteItem]:
        """Untag, and delete what nothing names any more."""
        parts = self._parts
        async with parts.image_gate.alone():
            uses = self._uses()
            image = await parts.workers.run(lambda: parts.images.resolve(name))
            items = await parts.workers.bulk(
                lambda: parts.images.remove(name, force=force, prune=prune, in_use=uses)
            )
        for item in items:
            if item.untagged:
                self._tell("untag", image, image.id)
            elif item.deleted == image.id:
                parts.events.publish("image", "delete", image.id, {"name": image.id})
        return items

    def _uses(self) -> InUse:
        """Who uses which image, as it is now: a worker must not look into the live containers."""
        found: dict[str, list[ContainerUse]] = {}
        for live in self._parts.containers:
            use = ContainerUse(live.id, running=live.record.is_running)
            found.setdefault(live.record.image_id, []).append(use)

        def in_use(image_id: Digest) -> Sequence[ContainerUse]:
            return found.get(image_id, ())

        return in_use

    async def list(
        self, *, every: bool = False, filters: Filters, digests: bool = False
    ) -> Sequence[ImageSummary]:
        """Images, newest first."""
        del digests  # they are always told
        return await self._parts.workers.run(lambda: self._parts.images.list(filters, every=every))

    async def inspect(self, name: str) -> ImageInspect:
        """Everything about one."""
        return await self._parts.workers.run(lambda: self._parts.images.inspect(name))

    async def history(self, name: str) -> Sequence[HistoryItem]:
        """The steps that made it, newest first."""
        return await self._parts.workers.run(lambda: self._parts.images.history(name))

    async def prune(self, filters: Filters) -> ImagePrune:
        """Delete the unused."""
        parts = self._parts
        async with parts.image_gate.alone():
            uses = self._uses()
            pruned = await parts.workers.bulk(lambda: parts.images.prune(filters, uses))
        reclaimed = str(pruned.space_reclaimed)
        parts.events.publish("image", "prune", "", {"reclaimed": reclaimed})
        return pruned


@contextlib.contextmanager
def _closing(iterator: Iterator[bytes]) -> Iterator[None]:
    """Close a generator that is not read to its end."""
    try:
        yield
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
