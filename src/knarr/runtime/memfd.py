"""Running from a sealed copy of the interpreter in memory.

Whatever runs in a container can come to its parent's executable for a moment, as /proc/self/exe of
the process that is about to execute the container's program: an entrypoint ``#!/proc/self/exe``
runs it, and could open it for writing when it has ended (CVE-2019-5736). If that file is a memfd
sealed against writing there is nothing to gain. Sources: memfd_create(2), fcntl(2) "File Sealing".
"""

from __future__ import annotations

import fcntl
import os
import sys

_MFD_EXEC = 0x10  # since Linux 6.3, where vm.memfd_noexec can make it needed
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_AT_ONCE = 1 << 30
_NAME = "knarr"
_COMM = 15


def reexec_from_memfd() -> None:
    """Execute this program again from a sealed memfd, unless it already runs from one.

    Call it first in ``main``: the program starts over with the same arguments, environment and
    inherited descriptors. Raises ``OSError`` where memory is short.
    """
    if is_sealed():
        # The kernel has named the process after the number of the descriptor.
        with open("/proc/self/comm", "wb") as name:
            name.write(os.fsencode(os.path.basename(sys.argv[0]))[:_COMM])
        return
    copy = _sealed_copy("/proc/self/exe")
    # argv[0] stays the path of the interpreter: Python finds its library, or its venv, by it.
    os.execve(copy, [sys.executable, *sys.orig_argv[1:]], os.environ)  # noqa: S606 - this very program


def is_sealed(executable: str = "/proc/self/exe") -> bool:
    """Whether nobody can write to the file ``executable``, by default that of this process."""
    descriptor = os.open(executable, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:
        return False  # a file on a disk has no seals
    finally:
        os.close(descriptor)


def _sealed_copy(path: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create(_NAME, flags | _MFD_EXEC)
    except OSError:
        copy = os.memfd_create(_NAME, flags)
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while os.sendfile(copy, source, None, _AT_ONCE):
            pass
    finally:
        os.close(source)
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    return copy
