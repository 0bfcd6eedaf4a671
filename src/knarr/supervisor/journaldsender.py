"""Lines for journald, in its native protocol: one datagram with the fields of an entry.

A field is ``NAME=value`` and a newline; where the value has a newline, ``NAME``, a newline, the
length as 64 bits little-endian, the value and a newline. What is too large for a datagram goes in
a sealed memfd.

Source: systemd's documentation of the native journal protocol; fields as Docker's driver has them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
_ERROR, _INFO = b"3", b"6"
_STDERR = 2
_FIELD = "field:"
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Journald:
    """See ``sender.Driver``. Options named ``field:NAME`` are fields of every entry."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._fields = b"".join(
            field(name.removeprefix(_FIELD), value.encode("utf-8", "replace"))
            for name, value in options.items()
            if name.startswith(_FIELD)
        )
        self._ordinal = 0

    def connect(self) -> socket.socket:
        """See ``sender.Driver``."""
        if not os.path.exists(SOCKET):
            raise OSError(errno.ENOENT, "journald is not enabled on this host")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(SOCKET)
        except BaseException:
            sock.close()
            raise
        return sock

    @property
    def peer(self) -> str:
        """See ``sender.Driver``."""
        return ""

    def message(self, stream: int, line: bytes, *, partial: bool) -> bytes:
        """See ``sender.Driver``."""
        self._ordinal += 1
        nanoseconds = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
        return b"".join(
            (
                b"PRIORITY=%s\n" % (_ERROR if stream == _STDERR else _INFO),
                field("MESSAGE", line),
                self._fields,
                b"CONTAINER_LOG_ORDINAL=%d\n" % self._ordinal,
                f"SYSLOG_TIMESTAMP={stamp}.{nanoseconds % 10**9:09}Z\n".encode(),
                b"CONTAINER_PARTIAL_MESSAGE=true\n" if partial else b"",
            )
        )

    def send(self, sock: socket.socket, message: bytes) -> int:
        """See ``sender.Driver``."""
        try:
            return sock.send(message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
        fd = os.memfd_create("knarr-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, message)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            socket.send_fds(sock, [b""], [fd])
        finally:
            os.close(fd)
        return len(message)


def field(name: str, value: bytes) -> bytes:
    """One field of an entry."""
    key = name.encode()
    if b"\n" in value:
        return key + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return key + b"=" + value + b"\n"
