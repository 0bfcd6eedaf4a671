"""What the kernel knows of a socket. Source: unix(7), tcp(7), ``SIOCOUTQ``."""

from __future__ import annotations

import fcntl
import struct
import termios

_INT = struct.Struct("=i")


def unread(fd: int) -> int:
    """How much of what was sent waits: on a unix socket until it is read, on TCP until it is there.

    Zero means nothing; other values count the kernel's memory, not bytes. Raises ``OSError``.
    """
    answer = fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])
