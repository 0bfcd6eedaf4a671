"""One container."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from knarr.errors import ConflictError, NotFoundError
from knarr.sdk.core import containers as requests
from knarr.sdk.core import execs, failures, options
from knarr.sdk.core.values import Result

from . import attachment, output, streams
from .attachment import Deadline
from .execs import ExecStream
from .images import MadeImage
from .upload import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from knarr.api.archives import PathStat
    from knarr.api.containers import (
        ContainerInspect,
        FilesystemChange,
        TopResponse,
    )
    from knarr.api.stats import StatsResponse
    from knarr.sdk.core.options import ExecOptions, LimitOptions
    from knarr.sdk.core.request import Moment
    from knarr.sdk.sources import Source

    from .attachment import Attachment
    from .output import OutputStream
    from .streams import ByteStream, Stream
    from .transport import Transport


class Container:
    """A container, known by its id. Nothing is remembered of its state: ``inspect`` asks."""

    def __init__(self, transport: Transport, container_id: str) -> None:
        self._transport = transport
        self.id = container_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id[:12]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # Its life.

    def inspect(self, *, size: bool = False) -> ContainerInspect:
        """All about it; the sizes of its filesystem only if they are asked for."""
        return self._transport.call(requests.inspect(self.id, size=size))

    def start(self) -> None:
        """Start it; nothing happens if it runs."""
        self._transport.call(requests.start(self.id))

    def stop(self, *, grace: int | None = None, signal: str = "") -> None:
        """Ask it to end, and kill it after ``grace`` seconds (as configured, or 10)."""
        self._transport.call(requests.stop(self.id, signal=signal, grace=grace))

    def restart(self, *, grace: int | None = None, signal: str = "") -> None:
        """Stop and start it."""
        self._transport.call(requests.restart(self.id, signal=signal, grace=grace))

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to its first process."""
        self._transport.call(requests.kill(self.id, signal=signal))

    def pause(self) -> None:
        """Freeze all its processes."""
        self._transport.call(requests.pause(self.id))

    def unpause(self) -> None:
        """Let them go on."""
        self._transport.call(requests.unpause(self.id))

    def wait(self, condition: str = "not-running", *, timeout: float | None = None) -> int:
        """Wait until it is ``not-running``, for its ``next-exit``, or until it is ``removed``.

        The exit code. Errors: ``EngineTimeoutError`` after ``timeout`` seconds.
        """
        operation = requests.wait(self.id, condition=condition)
        return self._transport.call(operation, within=timeout)

    def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; ``force`` kills it first; ``volumes``: its anonymous volumes, too."""
        self._transport.call(requests.remove(self.id, force=force, volumes=volumes))

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._transport.call(requests.rename(self.id, name))

    def update(self, **limits: Unpack[LimitOptions]) -> tuple[str, ...]:
        """Change limits or the restart policy; the engine's warnings."""
        request = options.update_request(limits)
        return tuple(self._transport.call(requests.update(self.id, request)).warnings or ())

    def resize(self, *, height: int, width: int) -> None:
        """Set the size of its terminal."""
        self._transport.call(requests.resize(self.id, height=height, width=width))

    # What it does.

    def top(self, arguments: str = "") -> TopResponse:
        """Its processes, as ps(1) shows them with these arguments."""
        return self._transport.call(requests.top(self.id, arguments))

    def stats(self) -> Stream[StatsResponse]:
        """What it uses, once a second, until it is removed or the stream is closed."""
        return streams.open_stream(self._transport, requests.stats(self.id))

    def stats_once(self) -> StatsResponse:
        """What it uses now, with the sample of a second before."""
        return self._transport.call(requests.stats_once(self.id))

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
    ) -> OutputStream:
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
        return output.open_output(self._transport, wanted)

    def attach(
        self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> Attachment:
        """Its streams from now on; with ``logs`` also what it wrote before."""
        wanted = requests.attach(self.id, stdin=stdin, stdout=stdout, stderr=stderr, logs=logs)
        return attachment.open_attachment(self._transport, wanted)

    # Further processes.

    def exec(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 (as in subprocess.run)
        check: bool = False,
        timeout: float | None = None,
        **how: Unpack[ExecOptions],
    ) -> Result:
        """Run a further process to its end.

        Errors: ``CommandFailedError`` with ``check`` if its exit code is not 0;
        ``EngineTimeoutError`` after ``timeout`` seconds (the process goes on).
        """
        data = execs.checked_input(input)
        deadline = Deadline(timeout)
        with self.exec_stream(command, stdin=data is not None, **how) as process:
            written = process.communicate(data, timeout=deadline.left())
        pauses = itertools.chain(execs.POLL, itertools.repeat(execs.POLL[-1]))
        while (code := process.exit_code()) is None:
            if deadline.is_over():
                raise failures.too_late(timeout)
            time.sleep(next(pauses))
        return failures.checked(command, Result(code, *written), check=check)

    def exec_stream(
        self, command: str | Sequence[str], *, stdin: bool = False, **how: Unpack[ExecOptions]
    ) -> ExecStream:
        """Start a further process and take its streams."""
        request = options.exec_request(command, how, stdin=stdin)
        exec_id = self._transport.call(execs.create(self.id, request)).id
        streaming = execs.start(exec_id, tty=request.tty)
        _connection, response = self._transport.start(streaming.request)
        wire = attachment.Wire(response)
        return ExecStream(self._transport, exec_id, wire, streaming.decoder(response.head))

    def exec_detached(self, command: str | Sequence[str], **how: Unpack[ExecOptions]) -> str:
        """Start a further process and let it run; its id."""
        request = options.exec_request(command, how, stdin=False)
        exec_id = self._transport.call(execs.create(self.id, request)).id
        self._transport.call(execs.start_detached(exec_id))
        return exec_id

    # Its files.

    def changes(self) -> tuple[FilesystemChange, ...]:
        """What differs from its image."""
        return self._transport.call(requests.changes(self.id))

    def get_archive(self, path: str) -> ByteStream:
        """A file or a folder, as a tar."""
        return streams.open_bytes(self._transport, requests.get_archive(self.id, path))

    def put_archive(self, path: str, archive: Source, *, keep_kind: bool = False) -> None:
        """Unpack a tar into a folder.

        ``keep_kind``: refuse to replace a folder by something else, and the reverse.
        """
        operation = requests.put_archive(self.id, path, keep_kind=keep_kind)
        self._transport.call(operation, Pieces(archive))

    def stat(self, path: str) -> PathStat:
        """What is at a path."""
        return self._transport.call(requests.stat_path(self.id, path))

    def export(self) -> ByteStream:
        """Its whole filesystem, as a tar."""
        return streams.open_bytes(self._transport, requests.export(self.id))

    def commit(
        self,
        repository: str = "",
        tag: str = "",
        *,
        comment: str = "",
        author: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> MadeImage:
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
        made = self._transport.call(operation)
        name = f"{repository}:{tag or 'latest'}" if repository else made.id
        return MadeImage(self._transport, name)


class MadeContainer(Container):
    """A container that this program made: the end of a ``with`` block kills and removes it.

    So do exceptions. Its anonymous volumes go with it. To let it end by itself, ``stop`` it or
    ``wait`` for it in the block. ``warnings`` is what the engine wants known about it.
    """

    def __init__(
        self, transport: Transport, container_id: str, warnings: Iterable[str] = ()
    ) -> None:
        super().__init__(transport, container_id)
        self.warnings = tuple(warnings)

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
        """Kill and remove it, if it is still there."""
        try:
            self.remove(force=True, volumes=True)
        except NotFoundError:
            return
        except ConflictError as error:
            if "already in progress" not in error.message:
                raise
            try:
                self.wait("removed")
            except NotFoundError:
                return
