"""Images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.client.credentials import keychain
from knarr.errors import NotFoundError
from knarr.sdk.core import failures
from knarr.sdk.core import images as requests

from . import streams
from .upload import Pieces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

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
    from knarr.sdk.sources import Source

    from .streams import ByteStream, Stream
    from .transport import Transport


class Image:
    """An image, known by a name (``busybox:latest``) or an id."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def inspect(self) -> ImageInspect:
        """All about it."""
        return self._transport.call(requests.inspect(self.name))

    def history(self) -> tuple[HistoryItem, ...]:
        """How it was made, newest first."""
        return self._transport.call(requests.history(self.name))

    def tag(self, repository: str, tag: str = "latest") -> Image:
        """Give it a further name; the image under that name."""
        self._transport.call(requests.tag(self.name, repository, tag))
        return Image(self._transport, f"{repository}:{tag}")

    def remove(self, *, force: bool = False, prune: bool = True) -> tuple[DeleteItem, ...]:
        """Take this name away, and the image with its last name; what was done."""
        return self._transport.call(requests.remove(self.name, force=force, prune=prune))

    def save(self) -> ByteStream:
        """It as an archive that ``load`` takes."""
        return streams.open_bytes(self._transport, requests.save([self.name], platform=""))


class MadeImage(Image):
    """An image that this program brought: the end of a ``with`` block removes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with failures.noted(error, self):
            self.discard()

    def discard(self) -> None:
        """Take its name away, if it is still there."""
        try:
            self.remove(force=True)
        except NotFoundError:
            return


class LoadedImages(tuple[MadeImage, ...]):
    """The images of one archive; the end of a ``with`` block removes them."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for image in self:
            with failures.noted(error, image):
                image.discard()


class Images:
    """All images of the engine."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, name: str) -> Image:
        """The image of this name or id. Raises ``NotFoundError``."""
        image = Image(self._transport, name)
        image.inspect()
        return image

    def list(self, *, every: bool = False, filters: Filters | None = None) -> tuple[Image, ...]:
        """All images, each under each of its names, or under its id if it has none."""
        found = self.summaries(every=every, filters=filters)
        return tuple(Image(self._transport, name) for name in requests.names(found))

    def summaries(
        self, *, every: bool = False, filters: Filters | None = None
    ) -> tuple[ImageSummary, ...]:
        """What ``docker images`` shows of them; with ``every`` intermediate ones, too."""
        return self._transport.call(requests.summaries(every=every, chosen=filters))

    def load(self, archive: Source, *, platform: str = "") -> LoadedImages:
        """Take images in from an archive: a path, an open file, bytes, or pieces of bytes."""
        with self.load_stream(archive, platform=platform) as lines:
            names = requests.loaded(lines)
        return LoadedImages(MadeImage(self._transport, name) for name in names)

    def load_stream(self, archive: Source, *, platform: str = "") -> Stream[Progress]:
        """As ``load``, and tell how far it is. An error is raised when its line comes."""
        wanted = requests.load(platform=platform)
        return streams.open_stream(self._transport, wanted, Pieces(archive))

    def pull(self, name: str, *, platform: str = "", login: Login | None = None) -> MadeImage:
        """Fetch an image by tag or digest from its registry; what is here is not fetched again.

        ``platform`` chooses from an image for several. ``login``: who asks; else what Docker's
        configuration and its credential helpers know. Raises ``NotFoundError`` and others.
        """
        with self.pull_stream(name, platform=platform, login=login) as lines:
            for _ in lines:
                pass  # to the end: an error may follow
        return MadeImage(self._transport, requests.pulled(name))

    def pull_stream(
        self, name: str, *, every: bool = False, platform: str = "", login: Login | None = None
    ) -> Stream[Progress]:
        """As ``pull``, or with ``every`` all tags of a repository, and tell how far it is."""
        headers = keychain.headers(name, login=login)
        wanted = requests.pull(name, every=every, platform=platform, headers=headers)
        return streams.open_stream(self._transport, wanted)

    def push(
        self, name: str, *, every: bool = False, platform: str = "", login: Login | None = None
    ) -> str:
        """Send a tag of an image, or with ``every`` all tags of its repository, to its registry.

        The digest of what was sent last. ``login``: who asks; else what Docker's configuration and
        its credential helpers know. Raises ``PermissionDeniedError`` and others.
        """
        with self.push_stream(name, every=every, platform=platform, login=login) as lines:
            return requests.pushed(lines)

    def push_stream(
        self, name: str, *, every: bool = False, platform: str = "", login: Login | None = None
    ) -> Stream[Progress]:
        """As ``push``, and tell how far it is. An error is raised when its line comes."""
        headers = keychain.headers(name, login=login)
        wanted = requests.push(name, every=every, platform=platform, headers=headers)
        return streams.open_stream(self._transport, wanted)

    def save(self, names: Sequence[str], *, platform: str = "") -> ByteStream:
        """Images as one archive that ``load`` takes."""
        return streams.open_bytes(self._transport, requests.save(names, platform=platform))

    def import_(
        self,
        archive: Source,
        repository: str = "",
        tag: str = "",
        *,
        comment: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> MadeImage:
        """Make an image of one layer of a filesystem's tar."""
        wanted = requests.import_(
            repository=repository, tag=tag, comment=comment, changes=changes, platform=platform
        )
        with streams.open_stream(self._transport, wanted, Pieces(archive)) as lines:
            made = requests.imported(lines)
            list(lines)  # to the end: an error may follow
        name = f"{repository}:{tag or 'latest'}" if repository else made
        return MadeImage(self._transport, name)

    def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> tuple[DeleteItem, ...]:
        """Take a name away, and the image with its last name; what was done."""
        return Image(self._transport, name).remove(force=force, prune=prune)

    def prune(self, filters: Filters | None = None) -> ImagePrune:
        """Remove those without a name; with ``{"dangling": False}`` all that no container uses."""
        return self._transport.call(requests.prune(filters))
