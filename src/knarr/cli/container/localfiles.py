"""This end of ``cp``: files here, packed and unpacked."""

from __future__ import annotations

import os
import stat

from knarr.archive import copypaths, extraction, packing
from knarr.archive.copypaths import Side
from knarr.cli.command import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from knarr.archive.entry import Entry

_MOST_LINKS = 10
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def absolute(path: str) -> str:
    """A path from the root, with what it says by its ending."""
    return copypaths.keep_ending(copypaths.joined(os.getcwd(), path), path)


def check_output(path: str) -> None:
    """Refuse a place where nothing can be written, in docker's words."""
    folder = os.path.dirname(copypaths.clean(path))
    if not os.path.exists(folder):
        raise CommandError(f'invalid output path: directory "{folder}" does not exist')
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise CommandError(f"stat {path}: {(error.strerror or '').lower()}") from error
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CommandError(
            f'invalid output path: "{path}" must be a directory or a regular file: got a device'
        )


def source(path: str, *, follow: bool) -> Side:
    """A file to be copied; links before its last component are followed, and it with ``follow``."""
    try:
        if follow:
            real, rename = copypaths.renamed(path, os.path.realpath(path, strict=True))
        else:
            folder, _, name = path.rpartition("/")
            real = os.path.realpath(folder or "/", strict=True).rstrip("/") + "/" + name
            same = copypaths.base(path) == copypaths.base(real)
            rename = "" if same or not path.endswith("/") else copypaths.base(path)
        info = os.lstat(real)
    except NotADirectoryError:
        raise CommandError("not a directory") from None
    except OSError as error:
        raise CommandError(f"lstat {path}: {(error.strerror or '').lower()}") from error
    return Side(real, is_directory=stat.S_ISDIR(info.st_mode), rename=rename)


def destination(path: str) -> Side:
    """A place to copy to; it need not exist, but the directory that it is in must."""
    original = path
    for _ in range(_MOST_LINKS + 1):
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            parent = copypaths.split(path)[0]
            if not os.path.isdir(parent):
                reason = "not a directory" if os.path.exists(parent) else _missing(parent)
                raise CommandError(reason) from None
            return Side(path, exists=False)
        except OSError as error:
            raise CommandError(f"lstat {path}: {(error.strerror or '').lower()}") from error
        if not stat.S_ISLNK(info.st_mode):
            return Side(path, is_directory=stat.S_ISDIR(info.st_mode))
        path = copypaths.joined(copypaths.split(path)[0], os.readlink(path))
    raise CommandError(f"too many symlinks in {original}")


def _missing(path: str) -> str:
    return f"stat {path}: no such file or directory"


def extract(chunks: Iterable[bytes], folder: str, rename: Callable[[Entry], Entry]) -> None:
    """Unpack a tar into a directory; everything belongs to the caller, and no link is followed."""
    rules = extraction.Rules(keeps_kinds=True, keeps_owner=False, inside_links=True)
    root = os.open(folder, _FOLDER)
    try:
        extraction.extract(chunks, root, rules=rules, rename=rename)
    finally:
        os.close(root)


def packer(path: str, name: str) -> Callable[[BinaryIO], None]:
    """A function that writes a file, with all below it, as a tar in which it has this name."""

    def write(out: BinaryIO) -> None:
        flags = _NODE & ~os.O_NOFOLLOW if path.endswith(("/", "/.")) else _NODE
        top = os.open(path, flags)
        try:
            packing.pack(top, b"" if name == "/" else os.fsencode(name), out)
        finally:
            os.close(top)

    return write
