"""``knarr cp``."""

from __future__ import annotations

import os
import sys

from knarr.archive import copypaths
from knarr.archive.copypaths import Side
from knarr.archive.failure import BadArchiveError
from knarr.cli.command import Command, CommandError
from knarr.cli.container import localfiles
from knarr.cli.container.pathstat import find, look
from knarr.cli.quantities import human_size3
from knarr.client import paths
from knarr.client.duplex import write_all
from knarr.client.upload import StreamUpload, WrittenUpload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.archive.entry import Entry
    from knarr.cli.command import Call
    from knarr.client.upload import Upload

_PIPE = "-"
_STEP = 4 << 20


def execute(call: Call) -> int:
    """Copy from or to a container."""
    source, destination = call.arguments
    for what, argument in (("source", source), ("destination", destination)):
        if not argument:
            raise CommandError(f"{what} can not be empty")
    from_container, from_path = _parted(source)
    to_container, to_path = _parted(destination)
    if from_container and to_container:
        raise CommandError("copying between containers is not supported")
    try:
        if from_container:
            _copy_from(call, from_container, from_path, to_path)
        elif to_container:
            _copy_to(call, from_path, to_container, to_path)
        else:
            raise CommandError("must specify at least one container source")
    except BadArchiveError as error:
        raise CommandError(error.message) from error
    return 0


def _parted(argument: str) -> tuple[str, str]:
    """The container and the path; a path that begins with ``/`` or ``.`` is a local one."""
    if argument.startswith("/"):
        return "", argument
    container, colon, path = argument.partition(":")
    if not colon or container.startswith("."):
        return "", argument
    return container, path


class _Meter:
    """Counts bytes, and shows them on a terminal."""

    def __init__(self, call: Call, what: str) -> None:
        flags = call.flags
        self.quiet = flags.on("quiet") if flags.given("quiet") else not sys.stdout.isatty()
        self.bytes = 0
        self._what = what
        self._shown = -1
        self._terminal = not self.quiet and sys.stderr.isatty()

    def add(self, count: int) -> None:
        """So many bytes have been copied."""
        self.bytes += count
        if self._terminal and self.bytes // _STEP != self._shown:
            self._shown = self.bytes // _STEP
            sys.stderr.write(f"\r\x1b[2K{self._what} - {human_size3(self.bytes)}")
            sys.stderr.flush()

    def finish(self, place: str) -> None:
        """Say that it is done."""
        if self._terminal and self._shown >= 0:
            sys.stderr.write("\r\x1b[2K")
        if not self.quiet:
            sys.stderr.write(f"Successfully copied {human_size3(self.bytes)} to {place}\n")


def _copy_from(call: Call, container: str, path: str, destination: str) -> None:
    piped = destination == _PIPE
    if not piped:
        destination = localfiles.absolute(destination)
        localfiles.check_output(destination)
    rename = ""
    if call.flags.on("follow-link"):
        path, rename = _followed(call, container, path)
    response = call.session.call("GET", paths.container(container, "archive"), [("path", path)])
    if piped:
        sys.stdout.flush()
        for chunk in response.chunks():
            write_all(1, chunk)
        return
    meter = _Meter(call, "Copying from container")
    source = Side(path, is_directory=find(response.head).is_directory, rename=rename)
    placed = copypaths.place(source, localfiles.destination(destination))

    def named(entry: Entry) -> Entry:
        if rename:
            old = _old(copypaths.split(path)[1])
            entry = copypaths.moved(entry, old, os.fsencode(rename))
        if placed.new:
            entry = copypaths.moved(entry, _old(placed.old), os.fsencode(placed.new))
        return entry

    localfiles.extract(_metered(response.chunks(), meter), placed.directory, named)
    meter.finish(destination)


def _followed(call: Call, container: str, path: str) -> tuple[str, str]:
    """Where the link at a path leads, and its name; the path itself and "" for anything else."""
    found = look(call, container, path)
    if found is None or not found.link:
        return path, ""
    return copypaths.renamed(path, copypaths.joined(copypaths.split(path)[0], found.link))


def _metered(chunks: Iterator[bytes], meter: _Meter) -> Iterator[bytes]:
    for chunk in chunks:
        meter.add(len(chunk))
        yield chunk


def _old(name: str) -> bytes:
    """The part of names that is replaced; before the names of the root's files stands nothing."""
    return b"" if name == "/" else os.fsencode(name)


def _copy_to(call: Call, source: str, container: str, path: str) -> None:
    shown = f"{container}:{path}"
    target, found = path, look(call, container, path)
    if found is not None and found.link:
        target = copypaths.joined(copypaths.split(path)[0], found.link)
        found = look(call, container, target)
    if found is not None and found.is_device:
        raise CommandError(
            f'destination "{shown}" must be a directory or a regular file: got a device'
        )
    is_directory = found is not None and found.is_directory
    meter = _Meter(call, "Copying to container")
    upload: Upload
    if source == _PIPE:
        if not is_directory:
            raise CommandError(f'destination "{shown}" must be a directory')
        directory = target
        upload = StreamUpload(0, _ignore)
    else:
        side = localfiles.source(localfiles.absolute(source), follow=call.flags.on("follow-link"))
        there = Side(target, exists=found is not None, is_directory=is_directory)
        placed = copypaths.place(side, there)
        directory = placed.directory
        name = placed.new or side.rename or copypaths.split(side.path)[1]
        upload = WrittenUpload(localfiles.packer(side.path, name), meter.add)
    query: list[tuple[str, str | int | bool]] = [("path", directory)]
    query.append(("noOverwriteDirNonDir", True))
    if call.flags.on("archive"):
        query.append(("copyUIDGID", True))
    place = paths.container(container, "archive")
    call.session.upload(place, query, upload, method="PUT").read()
    if source != _PIPE:
        meter.finish(f"{container}:{target}")


def _ignore(_: int) -> None:
    """Standard input is not measured."""


COMMAND = Command(
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tknarr cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    execute,
    (
        ("archive", "a", "", False, "Archive mode (copy all uid/gid information)"),
        ("follow-link", "L", "", False, "Follow the link that SRC_PATH is"),
        ("quiet", "q", "", False, "Show no progress (as without a terminal)"),
    ),
    arguments=(2, 2),
)
