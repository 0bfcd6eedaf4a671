"""Facts about the host that decide what a container may ask for.

Law: read once at the start of the engine; nothing here changes while it runs, except what an
administrator does to the machine, which a restart of the engine sees.
"""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path
from typing import NamedTuple

from knarr.containers.security import CAPABILITY_NAMES
from knarr.errors import InvalidArgumentError
from knarr.runtime.cgroups import Features, Layout, detect, features

_LARGEST_SET = 8192


class HostFacts(NamedTuple):
    """The host, as far as containers are concerned.

    ``memory`` is in bytes, ``open_files`` the soft and hard limit that this process was given.
    """

    architecture: str
    kernel: str
    kernel_version: tuple[int, int]
    hostname: str
    cpus: int
    cpu_set: frozenset[int]
    memory_nodes: frozenset[int]
    memory: int
    capabilities: tuple[str, ...]
    open_files: tuple[int, int]
    cgroups: Features
    layout: Layout


def gather() -> HostFacts:
    """Look at this host."""
    uname = os.uname()
    layout = detect()
    cpus = _read_set("/sys/fs/cgroup/cpuset.cpus.effective", "/sys/devices/system/cpu/online")
    return HostFacts(
        architecture=platform.machine(),
        kernel=uname.release,
        kernel_version=_kernel_version(uname.release),
        hostname=uname.nodename,
        cpus=len(os.sched_getaffinity(0)),
        cpu_set=cpus,
        memory_nodes=_read_set("/sys/devices/system/node/online") or frozenset({0}),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        capabilities=_capabilities(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE),
        cgroups=features(layout),
        layout=layout,
    )


def parse_set(text: str) -> frozenset[int]:
    """The numbers of a list as ``0-3,7``, cpuset(7); raises ``InvalidArgumentError``."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 10:
            raise InvalidArgumentError(f'invalid list "{text}"')
        low, high = int(first), int(last or first)
        if low > high or high >= _LARGEST_SET:
            raise InvalidArgumentError(f'invalid list "{text}"')
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def _kernel_version(release: str) -> tuple[int, int]:
    major, minor = release.split("-", maxsplit=1)[0].split(".")[:2]
    return int(major), int(minor)


def _read_set(*paths: str) -> frozenset[int]:
    """The list in the first of these files that can be read and is not empty."""
    for path in paths:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text:
            return parse_set(text)
    return frozenset()


def _capabilities() -> tuple[str, ...]:
    """What this process may give: its bounding set."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    bits = int(line.split()[1], 16)
    return tuple(name for number, name in enumerate(CAPABILITY_NAMES) if bits >> number & 1)
