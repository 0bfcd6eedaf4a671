"""Operations that give the process a terminal. Pure.

The terminal is opened in the container's own devpts; the master goes to whoever holds the other end
of a unix socket. Sources: pts(4), ioctl_tty(2) (TIOCGPTPEER, since Linux 4.13), unix(7).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING

from knarr.runtime import detached, inside
from knarr.runtime.ops import Operation
from knarr.runtime.table import Call, Shared, Slot, Word, Words, call

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import Box

_TIOCSCTTY = 0x540E
_TIOCSWINSZ = 0x5414
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_AT_EMPTY_PATH = 0x1000

# sendmsg(2) with one byte and one descriptor. The descriptor lies in a word of the control message,
# of which the kernel reads the low half: this needs a little-endian machine, as all of ours are.
_CONTROL = Words("control", (20, socket.SOL_SOCKET | socket.SCM_RIGHTS << 32, 0))
_MESSAGE = Words("msghdr", (0, 0, Words("iovec", (b"/dev/ptmx", 9)), 1, _CONTROL, 24, 0))
_MASTER = Word(_CONTROL, 2)
_SLAVE = Shared(1)


def open_terminal(console: int, size: Box | None, *, uid: int, root: Shared | int) -> Operation:
    """Open a new terminal below ``root``, send its master over ``console``, own the other side.

    /dev/pts is the devpts instance even where an image or container put something at /dev/ptmx,
    and no link is followed on the way.
    """
    flags = os.O_RDWR | os.O_NOCTTY
    window: tuple[Call, ...] = ()
    if size and size.get("height") and size.get("width"):
        raw = struct.pack("=4H", size["height"], size["width"], 0, 0)
        window = (call("ioctl", _MASTER, _TIOCSWINSZ, raw),)
    return Operation(
        "open terminal",
        'open("/dev/pts/ptmx"); ioctl(TIOCGPTPEER); sendmsg(console, SCM_RIGHTS); '
        "dup3(terminal -> 0, 1, 2)",
        (
            inside.opened("/dev/pts/ptmx", flags, _MASTER, root=root, symlinks=False),
            call("ioctl", _MASTER, _TIOCSPTLCK, struct.pack("=i", 0)),
            call("ioctl", _MASTER, _TIOCGPTPEER, flags | os.O_CLOEXEC, store=_SLAVE),
            *window,
            call("fchownat", _SLAVE, "", uid, -1, _AT_EMPTY_PATH, allow=(errno.EPERM,)),
            call("sendmsg", console, _MESSAGE, socket.MSG_NOSIGNAL),
            *(call("dup3", _SLAVE, target, 0) for target in range(3)),
        ),
    )


def control_terminal() -> Operation:
    """Make the terminal the controlling one of the session, which must be new."""
    return Operation(
        "take controlling terminal", "ioctl(0, TIOCSCTTY)", (call("ioctl", 0, _TIOCSCTTY, 0),)
    )


def bind_console() -> Operation:
    """Let /dev/console be the terminal."""
    point, cover, holder = Slot("at /dev/console"), Slot("new /dev/console"), Slot("/dev")
    return Operation(
        "mount terminal on /dev/console",
        'open_tree(terminal) -> move_mount("/dev/console")',
        (
            *inside.directory("/dev", holder),
            call("mknodat", holder, "console", stat.S_IFREG | 0o600, 0, allow=(errno.EEXIST,)),
            inside.opened("/dev/console", inside.O_PATH, point, symlinks=False),
            detached.clone_of(_SLAVE, cover, recursive=False),
            detached.attach(cover, point),
        ),
    )
