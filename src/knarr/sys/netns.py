"""Network namespaces for processes that are yet to come.

Sources: unshare(2), network_namespaces(7), netdevice(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

from knarr.sys._libc import function

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1

_unshare = function("unshare", ctypes.c_int)


def enter_new() -> int:
    """Move the calling thread, and it alone, into a new network namespace; a descriptor of that.

    Its loopback device is up. The namespace lives as long as the descriptor, or a process in it.
    The thread cannot go back, so it should be one that does nothing else. Raises ``OSError``.
    """
    _unshare(_CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("=16sh22x", b"lo", _IFF_UP))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
