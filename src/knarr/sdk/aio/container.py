"""One container."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from knarr.errors import ConflictError, NotFoundError
from knarr.sdk.core import containers as requests
from knarr.sdk.core import execs, failures, options
from knarr.sdk.core.values import Result

from .execs import AsyncExecStream
from .images import AsyncImage
from .making import Pending
from .output import AsyncAttachment, AsyncOutputStream
from .streams import AsyncByteStream, AsyncStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Unpack

    from knarr.api.archives import PathStat
    from knarr.api.containers import (
        ContainerInspect,
        FilesystemChange,
        TopResponse,
    )
    from knarr.api.stats import StatsResponse
    from knarr.sdk.core.options import ExecOptions, LimitOptions
    from knarr.sdk.core.request import Moment

    from .transport import Transport
    from .upload import Source


class AsyncContainer:
    """A container, known by its id. Nothing is remembered of its state: ``inspect`` asks.

    ``warnings`` is what the engine wanted known when this program made it.
    """

    def __init__(
        self, transport: Transport, container_id: str, warnings: Iterable[str] = ()
    ) -> None:
        self._transport = transport
        self.id = container_id
        self.warnings = tuple(warnings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id[:12]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncContainer) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # Its life.

    async def inspect(self, *, size: bool = False) -> ContainerInspect:
        """All about it; the sizes of its filesystem only if they are asked for."""
        return await self._transport.call(requests.inspect(self.id, size=size))

    async def start(self) -> None:
        """Start it; nothing happens if it runs."""
        await self._transport.call(requests.start(self.id))

    async def stop(self, *, grace: int | None = None, signal: str = "") -> None:
        """Ask it to end, and kill it after ``grace`` seconds (as configured, or 10)."""
        await self._transport.call(requests.stop(self.id, signal=signal, grace=grace))

    async def restart(self, *, grace: int | None = None, signal: str = "") -> None:
        """Stop and start it."""
        await self._transport.call(requests.restart(self.id, signal=signal, grace=grace))

    async def kill(self, signal: str = "KILL") -> None:
        """Send a signal to its first process."""
        await self._transport.call(requests.kill(self.id, signal=signal))

    async def pause(self) -> None:
        """Freeze all its processes."""
        await self._transport.call(requests.pause(self.id))

    async def unpause(self) -> None:
        """Let them go on."""
        await self._transport.call(requests.unpause(self.id))

    async def wait(self, condition: str = "not-running") -> int:
        """Wait until it is ``not-running``, for its ``next-exit``, or until it is ``removed``.

        The exit code.
        """
        return await self._transport.call(requests.wait(self.id, condition=condition))

    async def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; ``force`` kills it first; ``volumes``: its anonymous volumes, too."""
        await self._transport.call(requests.remove(self.id, force=force, volumes=volumes))

    async def rename(self, name: str) -> None:
        """Give it another name."""
        await self._transport.call(requests.rename(self.id, name))

    async def update(self, **limits: Unpack[LimitOptions]) -> tuple[str, ...]:
        """Change limits or the restart policy; the engine's warnings."""
        request = options.update_request(limits)
        answer = await self._transport.call(requests.update(self.id, request))
        return tuple(answer.warnings or ())

    async def resize(self, *, height: int, width: int) -> None:
        """Set the size of its terminal."""
        await self._transport.call(requests.resize(self.id, height=height, width=width))

    # What it does.

    async def top(self, arguments: str = "") -> TopResponse:
        """Its processes, as ps(1) shows them with these arguments."""
        return await self._transport.call(requests.top(self.id, arguments))

    def stats(self) -> AsyncStream[StatsResponse]:
        """What it uses, once a second, until it is removed or the stream is closed."""
        return AsyncStream(self._transport, requests.stats(self.id))

    async def stats_once(self) -> StatsResponse:
        """What it uses now, with the sample of a second before."""
        return await self._transport.call(requests.stats_once(self.id))

    def logs(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        since: Moment | None = None,
        until: Moment | None = None,
        tail: int | None = None,
        timestamps: bool = False,
    ) -> AsyncOutputStream:
        """What it wrote; with ``follow`` also what it will write, until it ends.

        ``since`` and ``until`` are Unix seconds, datetimes, or texts as for ``docker logs``.
        """
        wanted = requests.logs(
            self.id,
            stdout=stdout,
            stderr=stderr,
            follow=follow,
            since=since,
            until=until,
            tail=tail,
            timestamps=timestamps,
        )
        return AsyncOutputStream(self._transport, wanted)

    def attach(
        self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> AsyncAttachment:
        """Its streams from now on; with ``logs`` also what it wrote before."""
        wanted = requests.attach(self.id, stdin=stdin, stdout=stdout, stderr=stderr, logs=logs)
        return AsyncAttachment(self._transport, wanted)

    # Further processes.

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 (as in subprocess.run)
        check: bool = False,
        **how: Unpack[ExecOptions],
    ) -> Result:
        """Run a further process to its end; if this is cancelled, the process goes on.

        Errors: ``CommandFailedError`` with ``check`` if its exit code is not 0.
        """
        data = execs.checked_input(input)
        process = self.exec_stream(command, stdin=data is not None, **how)
        output = await process.communicate(data)
        pauses = itertools.chain(execs.POLL, itertools.repeat(execs.POLL[-1]))
        while (code := await process.exit_code()) is None:  # noqa: ASYNC110 (no request waits)
            await asyncio.sleep(next(pauses))
        return failures.checked(command, Result(code, *output), check=check)

    def exec_stream(
        self, command: str | Sequence[str], *, stdin: bool = False, **how: Unpack[ExecOptions]
    ) -> AsyncExecStream:
        """A further process and its streams; it is started when the stream is opened."""
        request = options.exec_request(command, how, stdin=stdin)
        return AsyncExecStream(self._transport, self.id, request)

    async def exec_detached(self, command: str | Sequence[str], **how: Unpack[ExecOptions]) -> str:
        """Start a further process and let it run; its id."""
        request = options.exec_request(command, how, stdin=False)
        made = await self._transport.call(execs.create(self.id, request))
        await self._transport.call(execs.start_detached(made.id))
        return made.id

    # Its files.

    async def changes(self) -> tuple[FilesystemChange, ...]:
        """What differs from its image."""
        return await self._transport.call(requests.changes(self.id))

    def get_archive(self, path: str) -> AsyncByteStream:
        """A file or a folder, as a tar."""
        return AsyncByteStream(self._transport, requests.get_archive(self.id, path))

    async def put_archive(self, path: str, archive: Source, *, keep_kind: bool = False) -> None:
        """Unpack a tar into a folder.

        ``keep_kind``: refuse to replace a folder by something else, and the reverse.
        """
        operation = requests.put_archive(self.id, path, keep_kind=keep_kind)
        await self._transport.call(operation, archive)

    async def stat(self, path: str) -> PathStat:
        """What is at a path."""
        return await self._transport.call(requests.stat_path(self.id, path))

    def export(self) -> AsyncByteStream:
        """Its whole filesystem, as a tar."""
        return AsyncByteStream(self._transport, requests.export(self.id))

    def commit(
        self,
        repository: str = "",
        tag: str = "",
        *,
        comment: str = "",
        author: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> Pending[AsyncImage]:
        """Make an image of it; ``changes`` are instructions of a Dockerfile."""
        operation = requests.commit(
            self.id,
            repository=repository,
            tag=tag,
            comment=comment,
            author=author,
            changes=changes,
            pause=pause,
        )

        async def make() -> AsyncImage:
            made = await self._transport.call(operation)
            name = f"{repository}:{tag or 'latest'}" if repository else made.id
            return AsyncImage(self._transport, name)

        return Pending(self._transport, make)

    async def discard(self) -> None:
        """Kill and remove it, if it is still there, with its anonymous volumes."""
        try:
            await self.remove(force=True, volumes=True)
        except NotFoundError:
            return
        except ConflictError as error:
            if "already in progress" not in error.message:
                raise
            try:
                await self.wait("removed")
            except NotFoundError:
                return
