"""What a plan must know about the host and cannot find out itself, because planning is pure."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime import rlimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.runtime.cgroups import Layout

_CAP_SYS_RESOURCE = 24


def _is_procfs(path: str) -> bool:
    """Whether the host's procfs is there."""
    try:
        return os.stat(path).st_dev == os.stat("/proc").st_dev
    except OSError:
        return False


class Facts(NamedTuple):
    """The host and this process, as values.

    ``capabilities`` is what this process may hand on, ``last_capability`` the kernel's highest,
    ``hard_limits`` the present hard limits by name (``rlimits.INFINITY``: unlimited).
    """

    kernel: tuple[int, int]
    capabilities: int
    last_capability: int
    hard_limits: Mapping[str, int]
    layout: Layout
    is_directory: Callable[[str], bool] = os.path.isdir
    is_procfs: Callable[[str], bool] = _is_procfs

    @property
    def may_raise_limits(self) -> bool:
        """Whether a hard limit may be raised."""
        return bool(self.capabilities >> _CAP_SYS_RESOURCE & 1)


_known: list[Facts] = []


def here(layout: Layout) -> Facts:
    """The facts of this host; read once in the life of the process."""
    if not _known:
        _known.append(
            Facts(
                kernel=kernel_version(os.uname().release),
                capabilities=_permitted(),
                last_capability=int(_line("/proc/sys/kernel/cap_last_cap")),
                hard_limits={name: _hard(number) for name, number in rlimits.NUMBERS.items()},
                layout=layout,
            )
        )
    return _known[0]


def kernel_version(release: str) -> tuple[int, int]:
    """Major and minor number of a release like ``6.1.0-13-amd64``."""
    major, minor = release.split("-", maxsplit=1)[0].split(".")[:2]
    return int(major), int(minor.rstrip("+"))


def _hard(number: int) -> int:
    hard = resource.getrlimit(number)[1]
    return rlimits.INFINITY if hard == resource.RLIM_INFINITY else hard


def _permitted() -> int:
    """What is both permitted and in the bounding set: neither grows again."""
    bits = (1 << 64) - 1
    with open("/proc/thread-self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith(("CapPrm:", "CapBnd:")):
                bits &= int(line[7:], 16)
    return bits


def _line(path: str) -> str:
    with open(path, encoding=sys.getfilesystemencoding()) as file:
        return file.read().strip()
