"""The use cases of the files of containers: out, in, compared, exported.

Laws: a view of a running container keeps its mount namespace, so a copy goes on when the container
ends. Two writable views of one writable layer must not be: who writes into a container that does
not run holds its lock to the end, as in Docker, and a start waits for those who write into one that
ran when they began.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from knarr.api import timestamps
from knarr.api.archives import PathStat, go_mode
from knarr.api.containers import FilesystemChange
from knarr.archive import changes as comparing
from knarr.archive import copypaths, extraction, packing
from knarr.archive.failure import shown
from knarr.archive.links import resolved
from knarr.archive.produced import Chunks
from knarr.containers import fileview, rootview, scaffold, users
from knarr.containers.files import ContainerDirectory
from knarr.containers.fileview import View
from knarr.containers.record import MountKind, Status
from knarr.content.failure import translated
from knarr.errors import ConflictError, InvalidArgumentError, NotFoundError, PermissionDeniedError
from knarr.images.expansion import Expanded
from knarr.sys import statfs

from . import about, sandbox
from .committing import Committing
from .workers import readable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from typing import BinaryIO

    from knarr.api.containers import ContainerConfig
    from knarr.archive.entry import Entry
    from knarr.containers.record import Record
    from knarr.mount import Mount

    from .live import LiveContainer
    from .parts import Parts
    from .services import CommitOptions

_CHUNK = 1 << 20


class Archives:
    """The files of the containers of one engine; the methods are those of ``ArchiveService``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._committing = Committing(parts)

    async def stat(self, ref: str, path: str) -> PathStat:
        """What is at a path; a link is not followed unless the path ends with a slash."""
        live = self._parts.containers.get(ref)
        view = await self._view(live)
        with contextlib.closing(view):
            return await self._parts.workers.run(lambda: _look(view, path, ref))

    async def read(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """A tar of what is at a path, and what ``stat`` says."""
        live = self._parts.containers.get(ref)
        view = await self._view(live)
        found = await self._parts.workers.run(lambda: _look(view, path, ref))

        def work(out: BinaryIO) -> None:
            with contextlib.closing(view), _located(path, ref):
                _pack(view, path, out)

        self._publish(live, "archive-path")
        return found, self._chunks(work)

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
        ``own``: all files get the container's user, if it has one, and not who the tar says.
        """
        live = self._parts.containers.get(ref)
        stream = readable(body)
        user = live.record.config.user if own else ""

        def work() -> None:
            _unpack(view, path, ref, stream, user=user, keep_kinds=keep_kinds)

        with contextlib.ExitStack() as held:
            async with live.lock:
                _check_there(live, "copy to")
                view = await self._open(live, writable=True)
                held.callback(view.close)
                if runs := live.record.is_running:
                    held.enter_context(live.writing())
                else:
                    await self._parts.workers.bulk(work)
            if runs:
                await self._parts.workers.bulk(work)
        self._publish(live, "extract-to-dir")

    async def changes(self, ref: str) -> Sequence[FilesystemChange] | None:
        """What the container has changed in the files of its image; None is nothing."""
        live = self._parts.containers.get(ref)
        record = live.record
        found = await self._parts.workers.bulk(lambda: self._compare(record))
        return [FilesystemChange(kind=kind, path=_text(path)) for kind, path in found] or None

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """A tar of the whole root filesystem, without volumes and other mounts."""
        live = self._parts.containers.get(ref)
        _check_there(live, "export")
        record = live.record

        def look() -> View:
            with translated(f"export container {record.id}"):
                return View(rootview.overlay(self._rootfs(record)))

        view = await self._parts.workers.run(look)

        def work(out: BinaryIO) -> None:
            with contextlib.closing(view), translated(f"export container {record.id}"):
                packing.pack_below(view.root, out)

        self._publish(live, "export")
        return self._chunks(work)

    async def commit(
        self, ref: str, options: CommitOptions, config: ContainerConfig | None = None
    ) -> str:
        """Make an image of the container; its id."""
        return await self._committing.commit(self._parts.containers.get(ref), options, config)

    def _publish(self, live: LiveContainer, action: str) -> None:
        self._parts.events.publish("container", action, live.id, about.container(live.record))

    def _chunks(self, work: Callable[[BinaryIO], None]) -> AsyncIterator[bytes]:
        """What ``work`` writes, in pieces; it is never called when nobody asks for the first."""

        def fill(put: Callable[[bytes], None]) -> None:
            chunks = Chunks(put, 1 << 18)
            work(chunks.as_file())
            chunks.flush()

        return self._parts.workers.iterate(fill)

    async def _view(self, live: LiveContainer) -> View:
        async with live.lock:
            _check_there(live, "copy from")
            return await self._open(live, writable=False)

    async def _open(self, live: LiveContainer, *, writable: bool) -> View:
        """The files of a container, whose lock is held."""
        record = live.record

        def open_view() -> View:
            with translated(f"open the files of container {record.id}"):
                if record.is_running:
                    sandbox.refuse(self._parts, record, "copying from or to")
                    return fileview.of_process(record)
                return self._stopped(record).view(writable=writable)

        return await self._parts.workers.run(open_view)

    def _stopped(self, record: Record) -> fileview.Stopped:
        parts = self._parts
        return fileview.Stopped(
            record,
            parts.snapshots.mounts(record.id, record.layers),
            scaffolding=parts.paths.scaffold,
            managed=ContainerDirectory(parts.paths.containers, record.id).managed,
            images={
                mount.target: parts.snapshots.view(mount.layers)[0]
                for mount in record.mounts
                if mount.kind is MountKind.IMAGE
            },
            place=parts.paths.views,
        )

    def _rootfs(self, record: Record) -> Mount:
        """The root filesystem without mounts; the container may run."""
        snapshots = self._parts.snapshots
        snapshots.upper(record.id)  # it is there, or NotFoundError
        layers = snapshots.planned(record.id, record.layers)
        return scaffold.below(layers, str(self._parts.paths.scaffold))[0]

    def _compare(self, record: Record) -> list[comparing.Change]:
        snapshots = self._parts.snapshots
        with translated(f"compare the files of container {record.id}"):
            upper = snapshots.open_upper(record.id)
            try:
                image = snapshots.view(record.layers)
                below = scaffold.below(image, str(self._parts.paths.scaffold))
                with rootview.of_mounts(below) as lower:
                    return comparing.compare(upper, lower)
            finally:
                os.close(upper)


def _text(path: str | bytes) -> str:
    """A path as a message may hold it, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "replace")


def _check_there(live: LiveContainer, verb: str) -> None:
    if live.removing or live.record.state.status in {Status.REMOVING, Status.DEAD}:
        raise ConflictError(f"You cannot {verb} container {live.id} which is being removed")


@contextlib.contextmanager
def _located(path: str, ref: str) -> Iterator[None]:
    """Errors of a path in Docker's words."""
    path = _text(path)
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"Could not find the file {path} in container {ref}") from error
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            reason = (error.strerror or "").lower()
            raise InvalidArgumentError(f"lstat {path}: {reason}") from error
        with translated(f"copy {path} of container {ref}"):
            raise


def _look(view: View, path: str, ref: str) -> PathStat:
    """In a worker: what is at a path."""
    whole = copypaths.absolute(path)
    with _located(path, ref):
        try:
            fd = view.open(whole, follow=False)
        except NotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error
        try:
            info = os.fstat(fd)
            target = b""
            if stat.S_ISLNK(info.st_mode):
                target = resolved(view.root, os.fsencode(whole))
        finally:
            os.close(fd)
    return PathStat(
        name=_text(copypaths.base(whole)),
        size=info.st_size,
        mode=go_mode(info.st_mode),
        mtime=timestamps.rfc3339(info.st_mtime_ns),
        link_target=_text(target),
    )


def _pack(view: View, path: str, out: BinaryIO) -> None:
    whole = copypaths.absolute(path)
    name = copypaths.base(whole)
    fd = view.open(whole, follow=False)
    try:
        top = b"" if name == "/" else os.fsencode(name)
        packing.pack(fd, top, out, enters=view.enters)
    finally:
        os.close(fd)


def _unpack(
    view: View, path: str, ref: str, stream: BinaryIO, *, user: str, keep_kinds: bool
) -> None:
    whole = copypaths.absolute(path)
    with _located(path, ref):
        _check_destination(view, whole)
    owner = None
    if user:
        known = users.resolve(user, rootview.user_files(view.root), group_add=())
        owner = (known.uid, known.gid)
    plain = Expanded(stream)
    at = b""

    def note(entry: Entry) -> Entry:
        nonlocal at
        at = entry.name
        return entry

    try:
        extraction.extract(
            iter(lambda: plain.read(_CHUNK), b""),
            view.root,
            os.fsencode(copypaths.clean(whole)),
            extraction.Rules(keeps_kinds=keep_kinds, owner=owner),
            rename=note,
        )
    except OSError:
        with translated(f"copy {shown(at)} to {_text(path)} of container {ref}"):
            raise


def _check_destination(view: View, path: str) -> None:
    """Raises InvalidArgumentError in Docker's words when nothing can be unpacked there."""
    try:
        fd = view.open(path, follow=True)
    except NotADirectoryError:
        raise InvalidArgumentError("extraction point is not a directory") from None
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise InvalidArgumentError("extraction point is not a directory")
        if statfs.is_kernels(fd):
            raise PermissionDeniedError(f"the files in {_text(path)} are made up by the kernel")
        if view.is_read_only(fd):
            what = "container rootfs" if view.is_root_filesystem(fd) else "mounted volume"
            raise InvalidArgumentError(f"{what} is marked read-only")
    finally:
        os.close(fd)
