"""Control files: one open, one write or read, and errors that name the file and the value.

Law: a function raises a ``KnarrError``; only those named ``_raw`` let the ``OSError`` through. A
refused value is the caller's fault (``InvalidArgumentError``), a missing file is the host's
(``FailedPreconditionError``).
"""

from __future__ import annotations

import errno
import os

from knarr.errors import (
    ConflictError,
    FailedPreconditionError,
    InvalidArgumentError,
    KnarrError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)

_LIMIT = 1 << 20  # bytes; the largest file read here, cgroup.procs, is read in full instead


def write(path: str, value: str) -> None:
    """Write ``value`` to the control file at ``path`` with one write(2), as the kernel demands."""
    try:
        write_raw(path, value)
    except OSError as error:
        raise refused(error, path, value) from error


def write_raw(path: str, value: str) -> None:
    """As ``write``, but the ``OSError`` comes through, for callers that have a second way."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def read(path: str) -> str:
    """The content of the control file at ``path`` without its last newline."""
    try:
        return read_raw(path)
    except OSError as error:
        raise _category(error, FailedPreconditionError)(
            f'read "{path}": {_reason(error)}', hint=_hint(error, path)
        ) from error


def read_raw(path: str) -> str:
    """As ``read``, but the ``OSError`` comes through."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, _LIMIT):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts).decode("utf-8", "surrogateescape").rstrip("\n")


def find(path: str) -> str | None:
    """The content of the control file at ``path``, or None where the file cannot be read."""
    try:
        return read_raw(path)
    except OSError:
        return None


def table(text: str) -> dict[str, int]:
    """A flat keyed file (``key value`` in each line) as a dictionary."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def refused(error: OSError, path: str, value: str) -> KnarrError:
    """The error for a write of ``value`` to ``path`` that the kernel did not take."""
    return _category(error, InvalidArgumentError)(
        f'write "{value}" to "{path}": {_reason(error)}', hint=_hint(error, path)
    )


_CATEGORIES: dict[int, type[KnarrError]] = {
    errno.ENOENT: FailedPreconditionError,
    errno.EOPNOTSUPP: FailedPreconditionError,
    errno.EACCES: PermissionDeniedError,
    errno.EPERM: PermissionDeniedError,
    errno.EROFS: PermissionDeniedError,
    errno.ENOSPC: ResourceExhaustedError,
    errno.ENOMEM: ResourceExhaustedError,
    errno.EMFILE: ResourceExhaustedError,
    errno.ENFILE: ResourceExhaustedError,
    errno.EAGAIN: ResourceExhaustedError,
    errno.EINTR: UnavailableError,
}


def _category(error: OSError, otherwise: type[KnarrError]) -> type[KnarrError]:
    if error.errno == errno.EBUSY and str(error.filename or "").endswith("cgroup.procs"):
        return ConflictError
    return _CATEGORIES.get(error.errno or 0, otherwise)


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()


def _hint(error: OSError, path: str) -> str | None:
    name = path.rpartition("/")[2]
    if error.errno == errno.ENOENT:
        if "memsw" in name or "swap" in name:
            return "the kernel does not count swap; boot with swapaccount=1"
        return f'the "{name.partition(".")[0]}" controller or this file of it is not available here'
    if error.errno == errno.EBUSY and name.startswith("memory."):
        return "the limit is lower than what is in use"
    if error.errno == errno.EROFS:
        return "the cgroup filesystem is mounted read-only"
    return None
