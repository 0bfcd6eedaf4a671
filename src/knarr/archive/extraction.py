"""A tar unpacked into a directory that exists, by Docker's rules, in a place that nobody trusts.

Laws:
- Every path is resolved by the kernel inside ``root`` (``RESOLVE_IN_ROOT``), anew or through a
  directory that was opened so. Links lead where they would lead for a process whose root is there,
  and nowhere else, whoever changes the tree meanwhile.
- What is made is dressed by its descriptor; no call follows the last component of a path.
- A name that leaves the destination is refused, so is a hard link to a file outside of it.
- What stands in the way is replaced; a directory over a directory only changes its attributes.
- Memory is bounded whatever the archive holds, and so is the number of entries.

Source: the observed behaviour of dockerd 20.10 and 28 (``PUT /containers/{id}/archive``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from knarr.sys.openat2 import RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, openat2

from . import dressing, rooted, whiteout
from .entry import HARDLINK
from .failure import BadArchiveError, shown
from .removal import remove_tree
from .tarstream import TarStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .entry import Entry

T = TypeVar("T")

MAX_ENTRIES = 4_000_000
_MAX_LATER = 50_000  # directories whose times are still to be set
_TRIES = 16  # somebody makes what was just removed

_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY = _FOLDER | os.O_NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Rules(NamedTuple):
    """How an archive is unpacked.

    ``owner`` is who gets everything (user and group), None: who the archive says. ``keeps_owner``
    False leaves everything to the caller. ``keeps_kinds``: a directory is not replaced by another
    file, nor the other way round. ``inside_links``: symbolic links that leave the destination are
    refused, and none is followed: for a destination on the host.
    """

    keeps_kinds: bool = False
    keeps_owner: bool = True
    owner: tuple[int, int] | None = None
    inside_links: bool = False


DEFAULT = Rules()


def extract(
    chunks: Iterable[bytes],
    root: int,
    destination: bytes = b"",
    rules: Rules = DEFAULT,
    *,
    rename: Callable[[Entry], Entry] | None = None,
) -> None:
    """Unpack the archive into the directory ``destination`` of ``root``, a descriptor.

    ``rename`` may give entries other names before anything is done with them.
    Raises BadArchiveError and OSError; what was unpacked by then stays.
    """
    with contextlib.closing(_Extractor(root, destination, rules)) as extractor:
        stream = TarStream(chunks)
        for count, entry in enumerate(stream):
            if count == MAX_ENTRIES:
                raise BadArchiveError(f"the archive has more than {MAX_ENTRIES} entries")
            extractor.add(rename(entry) if rename else entry, stream.data())
        stream.drain()
        extractor.finish()


class _Extractor:
    def __init__(self, root: int, destination: bytes, rules: Rules) -> None:
        self._root = root
        self._destination = destination
        self._rules = rules
        self._resolve = RESOLVE_IN_ROOT | (RESOLVE_NO_SYMLINKS if rules.inside_links else 0)
        self._parent: tuple[bytes, int] | None = None
        self._later: list[tuple[bytes, int]] = []

    def close(self) -> None:
        """Close what is open."""
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def add(self, entry: Entry, data: Iterator[bytes]) -> None:
        """Make one entry."""
        path = _inside(entry.name, self._destination)
        if path == b"":
            if entry.type != stat.S_IFDIR:
                raise self._wrong_kind(b"", entry)
            return  # the destination itself keeps what it has
        folder, _, name = path.rpartition(b"/")
        parent = self._open_parent(folder)
        if entry.type == stat.S_IFDIR:
            self._directory(parent, name, path, entry)
            return
        if _is_directory(parent, name) and self._rules.keeps_kinds:
            raise self._wrong_kind(path, entry)
        if entry.type == HARDLINK:
            self._hardlink(parent, name, entry)
        elif entry.type == stat.S_IFREG:
            self._regular(parent, name, entry, data)
        elif entry.type == stat.S_IFLNK:
            self._symlink(parent, name, path, entry)
        else:
            self._special(parent, name, entry)

    def finish(self) -> None:
        """Set the times of directories, which making files in them has changed."""
        later, self._later = self._later, []
        for path, mtime in later:
            with contextlib.suppress(OSError):  # gone again, or replaced
                fd = self._open(path, _DIRECTORY)
                try:
                    os.utime(fd, ns=(mtime, mtime))
                finally:
                    os.close(fd)

    # Where.

    def _open(self, path: bytes, flags: int) -> int:
        """A path below the destination, resolved inside the root."""
        return openat2(self._root, self._whole(path) or b".", flags, resolve=self._resolve)

    def _whole(self, path: bytes) -> bytes:
        return (self._destination.strip(b"/") + b"/" + path).strip(b"/")

    def _open_parent(self, folder: bytes) -> int:
        """The directory ``folder``, made with its parents where it is missing."""
        if self._parent is not None and self._parent[0] == folder:
            return self._parent[1]
        self.close()
        try:
            opened = self._open(folder, _FOLDER)
        except FileNotFoundError:
            whole = self._whole(folder)
            opened = rooted.make_directories(self._root, whole, resolve=self._resolve)
        self._parent = folder, opened
        return opened

    # What.

    def _directory(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        for _ in range(_TRIES):
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=parent)
                break
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                if self._rules.keeps_kinds:
                    raise self._wrong_kind(path, entry) from None
                remove_tree(parent, name)
        else:
            raise _unsteady(name)
        try:
            self._dress(fd, entry)
            self._later.append((path, entry.mtime))
        finally:
            os.close(fd)
        if len(self._later) >= _MAX_LATER:
            self.finish()

    def _regular(self, parent: int, name: bytes, entry: Entry, data: Iterator[bytes]) -> None:
        fd = self._make(parent, name, lambda: os.open(name, _CREATE, 0o600, dir_fd=parent))
        try:
            dressing.fill(fd, data, entry)
            self._dress(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _symlink(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        if self._rules.inside_links and not _stays_inside(path, entry.link):
            raise BadArchiveError(f"invalid symlink {shown(path)} -> {shown(entry.link)}")
        self._make(parent, name, lambda: os.symlink(entry.link, name, dir_fd=parent))
        if self._rules.keeps_owner:
            uid, gid = self._rules.owner or (entry.uid, entry.gid)
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _special(self, parent: int, name: bytes, entry: Entry) -> None:
        if whiteout.is_overlay_whiteout(entry.type, entry.rdev):
            raise BadArchiveError(f"{shown(entry.name)} is a device that overlayfs keeps to itself")
        mode = entry.type | 0o600
        self._make(parent, name, lambda: os.mknod(name, mode, entry.rdev, dir_fd=parent))
        node = os.open(name, _NODE, dir_fd=parent)
        try:
            info = os.fstat(node)
            if (stat.S_IFMT(info.st_mode), info.st_rdev) != (entry.type, entry.rdev):
                raise _unsteady(name)
            self._dress(f"/proc/self/fd/{node}", entry)
        finally:
            os.close(node)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _hardlink(self, parent: int, name: bytes, entry: Entry) -> None:
        try:
            target = _inside(entry.link, self._destination)
        except BadArchiveError:
            target = b""
        if not target:
            raise BadArchiveError(f"invalid hardlink {shown(entry.name)} -> {shown(entry.link)}")
        folder, _, source = target.rpartition(b"/")
        try:
            opened = self._open(folder, _FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            raise _missing_target(entry) from None
        try:
            if not _exists(opened, source):
                raise _missing_target(entry)
            if _same(opened, source, parent, name):
                return
            self._make(
                parent,
                name,
                lambda: os.link(
                    source, name, src_dir_fd=opened, dst_dir_fd=parent, follow_symlinks=False
                ),
            )
        finally:
            os.close(opened)

    def _make(self, parent: int, name: bytes, make: Callable[[], T]) -> T:
        """Make a file, and take away what is there."""
        for _ in range(_TRIES):
            try:
                return make()
            except FileExistsError:
                remove_tree(parent, name)
        raise _unsteady(name)

    def _wrong_kind(self, path: bytes, entry: Entry) -> BadArchiveError:
        here = shown(posixpath.join(b"/" + self._destination.strip(b"/"), path).rstrip(b"/"))
        there = shown(b"/" + self._destination.strip(b"/"))
        if entry.type == stat.S_IFDIR:
            return BadArchiveError(f"cannot overwrite non-directory {here} with directory {there}")
        return BadArchiveError(f"cannot overwrite directory {here} with non-directory {there}")

    def _dress(self, file: int | str, entry: Entry) -> None:
        rules = self._rules
        owner = (rules.owner or (entry.uid, entry.gid)) if rules.keeps_owner else None
        dressing.dress(file, entry, owner)


def _inside(name: bytes, destination: bytes) -> bytes:
    """A name of the archive as a clean path below the destination; "" is the destination itself.

    An absolute name counts from the destination too, as in Docker.
    """
    clean = posixpath.normpath(name) if name else b"."
    clean = clean.lstrip(b"/")
    if clean == b".." or clean.startswith(b"../"):
        there = shown(b"/" + destination.strip(b"/"))
        raise BadArchiveError(f"{shown(clean)} is outside of {there}")
    if b"\0" in clean:
        raise BadArchiveError(f"{shown(clean)} is no name")
    return b"" if clean == b"." else clean


def _stays_inside(path: bytes, link: bytes) -> bool:
    """Whether the target of a link, read as text from where it stands, is in the destination."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.lstrip(b"/")))
    return joined != b".." and not joined.startswith(b"../")


def _missing_target(entry: Entry) -> BadArchiveError:
    return BadArchiveError(
        f"link {shown(entry.link)} {shown(entry.name)}: no such file or directory"
    )


def _exists(parent: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_directory(parent: int, name: bytes) -> bool:
    try:
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(info.st_mode)


def _same(source_parent: int, source: bytes, parent: int, name: bytes) -> bool:
    """Whether both names are the same file already."""
    try:
        one = os.stat(source, dir_fd=source_parent, follow_symlinks=False)
        other = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _unsteady(name: bytes) -> OSError:
    return OSError(errno.EBUSY, "the file is changed all the time by somebody else", name)
