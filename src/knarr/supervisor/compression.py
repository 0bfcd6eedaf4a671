"""Compressing rotated files, in a thread that nobody waits for.

``x.log.2`` becomes ``x.log.2.gz``. The gzip header says in a field of its own which file it was
made from, by inode number: so a reader that has read ``x.log.2`` knows that it need not read
``x.log.2.gz``.

Law: the compressed file is staged, synced and renamed before the plain one is removed, so a kill
leaves both at most; whoever finds both takes one. While it is being compressed a file may get
another number or be deleted: names are looked up again at the end, under a lock that rotation
takes too. One thread works for all logs, with low priority, and ends when nothing is to be done.

Source: RFC 1952.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib

SUFFIX = ".gz"
_STAGED = ".staged"
_HEADER = struct.Struct("<3sB6sH2sHQ")
_FIELD = b"Ki"
_LEVEL = 3
_CHUNK = 256 * 1024
_NICE = 10

#: Held while rotated files get other names.
renaming = threading.Lock()

_queue: list[str] = []
_running = False


def compress(path: str) -> None:
    """Compress what was rotated away from the log at ``path``, soon."""
    global _running  # noqa: PLW0603 - one thread for the process
    with renaming:
        if path not in _queue:
            _queue.append(path)
        if _running:
            return
        _running = True
    threading.Thread(target=_work, name="compression").start()


def clean(path: str) -> None:
    """Remove what a kill has left of a compression; the plain file is still there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + _STAGED)


def made_from(head: bytes) -> int:
    """The inode number of the file that a gzip file with this head was made from, 0 if unknown."""
    if len(head) < _HEADER.size:
        return 0
    magic, flags, _, length, field, size, inode = _HEADER.unpack_from(head)
    known = (magic, flags, length, field, size) == (b"\x1f\x8b\x08", 4, 12, _FIELD, 8)
    return int(inode) if known else 0


def _work() -> None:
    global _running  # noqa: PLW0603 - one thread for the process
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    while True:
        with renaming:
            if not _queue:
                _running = False
                return
            path = _queue.pop(0)
        # A log that cannot be compressed (full disk, or removed meanwhile) stays as it is.
        with contextlib.suppress(OSError):
            while _newest(path):
                pass


def _numbers(path: str) -> list[int]:
    """The numbers of the rotated files that are not compressed, newest first."""
    folder, _, name = path.rpartition("/")
    found = (each.removeprefix(f"{name}.") for each in os.listdir(folder) if each.startswith(name))
    return sorted(int(each) for each in found if each.isdecimal())


def _newest(path: str) -> bool:
    """Compress the newest plain file; False when there is none."""
    numbers = _numbers(path)
    if not numbers:
        return False
    try:
        source = open(f"{path}.{numbers[0]}", "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return True  # it has got another number meanwhile
    staged = path + _STAGED
    with source:
        inode = os.fstat(source.fileno()).st_ino
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(staged, flags, 0o640)
        try:
            _copy(source.fileno(), fd, inode)
            os.fsync(fd)
        except BaseException:
            os.unlink(staged)
            raise
        finally:
            os.close(fd)
        with renaming:
            _replace(path, staged, inode)
    return True


def _copy(source: int, target: int, inode: int) -> None:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    header = _HEADER.pack(b"\x1f\x8b\x08", 4, b"\0\0\0\0\0\xff", 12, _FIELD, 8, inode)
    checksum = size = 0
    _write(target, header)
    while data := os.read(source, _CHUNK):
        checksum = zlib.crc32(data, checksum)
        size += len(data)
        _write(target, packer.compress(data))
    _write(target, packer.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _replace(path: str, staged: str, inode: int) -> None:
    """Put the compressed file where its source is now, if that is still there."""
    for number in _numbers(path):
        plain = f"{path}.{number}"
        if os.stat(plain).st_ino == inode:
            os.rename(staged, plain + SUFFIX)
            os.unlink(plain)
            return
    os.unlink(staged)
