"""What the engine offers, as Protocols by noun: the border that the server is written against.

Law: a method is one use case. References (``ref``) are a full id, a unique prefix of an id, or a
name. ``filters`` are already parsed: filter name to values. Times are Unix nanoseconds.
Streams come back as asynchronous iterators, or as an ``Attachment`` where bytes flow both ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from knarr.api import (
        archives,
        containers,
        events,
        host_config,
        images,
        networks,
        registry,
        system,
        volumes,
    )
    from knarr.api import exec as execs
    from knarr.api import stats as container_stats
    from knarr.remotes import Credentials

    Filters = Mapping[str, Sequence[str]]


class LogOptions(NamedTuple):
    """What to read of a log; ``tail`` None is all; times are Unix nanoseconds, 0 is no bound."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: int = 0
    until: int = 0
    timestamps: bool = False
    details: bool = False
    tail: int | None = None


class LogStream(NamedTuple):
    """The answer to a request for logs: raw bytes if ``tty``, else stdcopy frames."""

    tty: bool
    chunks: AsyncIterator[bytes]


class AttachOptions(NamedTuple):
    """Which streams to attach; ``logs`` replays what was written before; keys as ``ctrl-p,q``."""

    stream: bool = False
    logs: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: str | None = None


class Attachment(NamedTuple):
    """Streams of a running process.

    ``socket`` is a connected, non-blocking stream socket that the receiver closes: reading gives
    raw bytes if ``tty``, else stdcopy frames; writing is standard input and SHUT_WR its end.
    None when only ``logs`` were asked for. ``logs`` come first, in the same form.
    ``detach_keys``: when these bytes come in on standard input (only watched if ``tty``), the
    receiver swallows them, closes the socket, and calls ``on_detach``.
    ``begin``, where there is one, starts the process: the receiver awaits it once, after it has
    told its client that the stream begins. Some clients lose output that comes with the answer's
    head. An error of it belongs into the stream.
    ``settle``, where there is one, is awaited between the end of the output and telling the client
    so: a client that asks for the exit code then finds it. It takes no longer than a moment.
    """

    tty: bool
    socket: socket.socket | None
    logs: AsyncIterator[bytes] | None
    detach_keys: bytes
    on_detach: Callable[[], None]
    begin: Callable[[], Awaitable[None]] | None = None
    settle: Callable[[], Awaitable[None]] | None = None


class Waiting(Protocol):
    """A wait that has begun: whatever happens from now on is not missed."""

    async def result(self) -> containers.WaitResponse:
        """The exit of the container, when its condition comes true."""
        ...


class ContainerService(Protocol):
    """Use cases of containers."""

    async def create(
        self,
        name: str,
        request: containers.ContainerCreateRequest,
        platform: str | None = None,
        *,
        shallow_read_only: bool = False,
    ) -> containers.ContainerCreateResponse:
        """Make a container; an empty name is generated.

        ``shallow_read_only``: what is mounted below a read-only bind mount stays writable.
        """
        ...

    async def start(self, ref: str, *, detach_keys: str | None = None) -> None:
        """Start it; ``NotModifiedError`` when it runs."""
        ...

    async def stop(self, ref: str, *, grace: int | None = None, signal: str = "") -> None:
        """Send the stop signal, then SIGKILL after ``grace`` seconds (-1: never, None: its own)."""
        ...

    async def restart(self, ref: str, *, grace: int | None = None, signal: str = "") -> None:
        """Stop it if it runs, and start it."""
        ...

    async def kill(self, ref: str, *, signal: str = "KILL") -> None:
        """Send a signal, by name or number."""
        ...

    async def pause(self, ref: str) -> None:
        """Freeze all processes."""
        ...

    async def unpause(self, ref: str) -> None:
        """Thaw all processes."""
        ...

    async def wait(self, ref: str, *, condition: str = "") -> Waiting:
        """Begin to wait for ``not-running`` (default), ``next-exit`` or ``removed``."""
        ...

    async def remove(
        self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        """Remove it, with ``volumes`` its anonymous volumes too."""
        ...

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name."""
        ...

    async def list(
        self, *, every: bool = False, limit: int = 0, size: bool = False, filters: Filters
    ) -> Sequence[containers.ContainerSummary]:
        """Running containers, or ``every`` one, newest first."""
        ...

    async def inspect(self, ref: str, *, size: bool = False) -> containers.ContainerInspect:
        """Everything about one."""
        ...

    async def logs(self, ref: str, options: LogOptions) -> LogStream:
        """Its log; errors are raised here, before the first chunk."""
        ...

    async def attach(self, ref: str, options: AttachOptions) -> Attachment:
        """Its standard streams; may come before ``start``."""
        ...

    async def resize(self, ref: str, *, height: int, width: int) -> None:
        """Set the size of its terminal, in characters."""
        ...

    async def top(self, ref: str, ps_args: str = "") -> containers.TopResponse:
        """Its processes, as ps(1) shows them."""
        ...

    async def stats(
        self, ref: str, *, stream: bool = True, one_shot: bool = False
    ) -> AsyncIterator[container_stats.StatsResponse]:
        """What it uses, once a second until it is gone; without ``stream`` once."""
        ...

    async def update(
        self, ref: str, request: host_config.ContainerUpdateRequest
    ) -> containers.UpdateResponse:
        """Change limits and the restart policy."""
        ...

    async def prune(self, filters: Filters) -> containers.ContainerPrune:
        """Remove all that are stopped."""
        ...

    async def explain(self, request: containers.ContainerCreateRequest) -> Sequence[str]:
        """The plan of the start, one operation a line; nothing is made."""
        ...


class ExecService(Protocol):
    """Use cases of further processes in a running container."""

    async def create(self, ref: str, request: execs.ExecCreateRequest) -> str:
        """Prepare one; answers its id."""
        ...

    async def start(
        self, exec_id: str, *, detach: bool, console_size: tuple[int, int] | None = None
    ) -> Attachment | None:
        """Start it; its streams unless ``detach``. ``console_size`` is (height, width)."""
        ...

    async def inspect(self, exec_id: str) -> execs.ExecInspect:
        """Its state."""
        ...

    async def resize(self, exec_id: str, *, height: int, width: int) -> None:
        """Set the size of its terminal, in characters."""
        ...


class ImageService(Protocol):
    """Use cases of images."""

    async def load(
        self, body: AsyncIterator[bytes], *, quiet: bool = False, platform: str | None = None
    ) -> AsyncIterator[images.Progress]:
        """Load an archive; messages as they come. A late error is raised by the iterator."""
        ...

    async def save(
        self, names: Sequence[str], *, platform: str | None = None
    ) -> AsyncIterator[bytes]:
        """An archive of these images; an unknown name is raised before the first chunk."""
        ...

    async def pull(
        self,
        name: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[images.Progress]:
        """Pull a tag or digest, or without one all tags; a late error is raised by the iterator."""
        ...

    async def push(
        self,
        name: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[images.Progress]:
        """Push a tag, or without one all of them; a late error is raised by the iterator."""
        ...

    async def import_(
        self,
        body: AsyncIterator[bytes],
        *,
        reference: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        platform: str | None = None,
    ) -> AsyncIterator[images.Progress]:
        """Make an image of a root filesystem tar."""
        ...

    async def tag(self, source: str, *, repo: str, tag: str = "") -> None:
        """Let ``repo:tag`` name the image too."""
        ...

    async def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> Sequence[images.DeleteItem]:
        """Untag, and delete what nothing names any more."""
        ...

    async def list(
        self, *, every: bool = False, filters: Filters, digests: bool = False
    ) -> Sequence[images.ImageSummary]:
        """Images, newest first."""
        ...

    async def inspect(self, name: str) -> images.ImageInspect:
        """Everything about one."""
        ...

    async def history(self, name: str) -> Sequence[images.HistoryItem]:
        """The steps that made it, newest first."""
        ...

    async def prune(self, filters: Filters) -> images.ImagePrune:
        """Delete the unused."""
        ...


class RegistryService(Protocol):
    """Use cases of registries that bring no image and send none."""

    async def login(self, config: registry.AuthConfig) -> registry.AuthResponse:
        """Let a registry check who one is; an identity token where it gives one."""
        ...

    async def distribution(
        self, name: str, credentials: Credentials | None
    ) -> registry.DistributionInspect:
        """What a name means on its registry now, and for which platforms."""
        ...

    async def document(self, name: str, credentials: Credentials | None) -> tuple[str, str, bytes]:
        """The manifest or index of a name on its registry: media type, digest, its very bytes."""
        ...

    async def search(
        self, term: str, *, limit: int, filters: Filters, credentials: Credentials | None
    ) -> Sequence[registry.SearchResult]:
        """Repositories that a registry's search finds."""
        ...


class SystemService(Protocol):
    """The engine itself."""

    async def info(self) -> system.SystemInfo:
        """State and facts of engine and host."""
        ...

    async def version(self) -> system.Version:
        """Versions of engine and parts."""
        ...

    async def disk_usage(self, types: Sequence[str] = ()) -> system.DiskUsage:
        """What takes how much room."""
        ...

    async def events(
        self, *, since: int | None = None, until: int | None = None, filters: Filters
    ) -> AsyncIterator[events.Event]:
        """Past events from ``since`` on, then those to come, to the moment ``until``."""
        ...


class VolumeService(Protocol):
    """Use cases of volumes."""

    async def create(self, request: volumes.VolumeCreateRequest) -> volumes.Volume:
        """Make one, or answer the one of that name."""
        ...

    async def list(self, filters: Filters) -> volumes.VolumeList:
        """All, by name."""
        ...

    async def inspect(self, name: str) -> volumes.Volume:
        """Everything about one."""
        ...

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Delete one that no container uses."""
        ...

    async def prune(self, filters: Filters) -> volumes.VolumePrune:
        """Delete the unused anonymous ones."""
        ...


class CommitOptions(NamedTuple):
    """What a commit says about the new image; ``changes`` are Dockerfile instructions."""

    repo: str = ""
    tag: str = ""
    comment: str = ""
    author: str = ""
    pause: bool = True
    changes: Sequence[str] = ()


class ArchiveService(Protocol):
    """Use cases of the files of containers, running or not."""

    async def stat(self, ref: str, path: str) -> archives.PathStat:
        """What is at a path; a link is not followed unless the path ends with a slash."""
        ...

    async def read(self, ref: str, path: str) -> tuple[archives.PathStat, AsyncIterator[bytes]]:
        """A tar of what is at a path, and what ``stat`` says."""
        ...

    async def write(
        self,
        ref: str,
        path: str,
        body: AsyncIterator[bytes],
        *,
        keep_kinds: bool = False,
        own: bool = False,
    ) -> None:
        """Unpack a tar into a directory.

        ``keep_kinds``: a directory is not replaced by another file nor the other way round.
        ``own``: all files get the container's user, if it has one.
        """
        ...

    async def changes(self, ref: str) -> Sequence[containers.FilesystemChange] | None:
        """What the container has changed in the files of its image; None is nothing."""
        ...

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """A tar of the whole root filesystem, without volumes and other mounts."""
        ...

    async def commit(
        self, ref: str, options: CommitOptions, config: containers.ContainerConfig | None = None
    ) -> str:
        """Make an image of the container; its id. ``config`` comes before the container's own."""
        ...


class NetworkService(Protocol):
    """Use cases of networks."""

    async def list(self, filters: Filters) -> Sequence[networks.Network]:
        """All, by name."""
        ...

    async def inspect(self, name: str) -> networks.Network:
        """Everything about one."""
        ...

    async def prune(self, filters: Filters) -> networks.NetworkPrune:
        """Delete the unused ones that users made."""
        ...
