"""What a test may not leave behind: mounts, cgroups, processes, namespaces, loop devices.

Law: only what carries the mark of this test run is looked at (paths below the run's base folder,
cgroups of the engines that the run started), so that two runs do not disturb each other.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def instance(exec_root: Path) -> str:
    """The tag that an engine with this exec-root puts into its cgroup names."""
    return hashlib.sha256(os.fsencode(exec_root)).hexdigest()[:8]


def mounts(base: Path) -> list[str]:
    """Mount points below ``base`` in this mount namespace."""
    prefix = str(base)
    points = (line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if point.startswith(prefix)]


def processes(base: Path) -> list[str]:
    """Processes whose command line or root names ``base``, this one and its parents excepted."""
    mine = _ancestors()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in mine:
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(base) in command:
            found.append(f"{entry.name} {command[:200]}")
    return found


def cgroups(exec_root: Path) -> list[str]:
    """Container cgroups of the engine with this exec-root."""
    name = f"knarr-{instance(exec_root)}"
    roots = [CGROUP, *(path for path in CGROUP.iterdir() if path.is_dir())]
    return [
        str(child)
        for root in roots
        if (root / name).is_dir()
        for child in (root / name).iterdir()
        if child.is_dir()
    ]


def remove_cgroup_parents(exec_root: Path) -> None:
    """Remove the empty parent cgroups of an engine that is gone."""
    name = f"knarr-{instance(exec_root)}"
    for root in [CGROUP, *(path for path in CGROUP.iterdir() if path.is_dir())]:
        if (root / name).is_dir():
            (root / name).rmdir()


def loops(base: Path) -> list[str]:
    """Loop devices whose file lies below ``base``."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().startswith(str(base)):
                found.append(backing.parts[3])
        except OSError:
            continue
    return found


def children() -> set[int]:
    """The processes that this one has started and not reaped (the session's engine, say)."""
    return children_of("self")


def children_of(pid: int | str) -> set[int]:
    """The children of a process that are not reaped."""
    found: set[int] = set()
    for entry in Path(f"/proc/{pid}/task").glob("*/children"):
        found |= {int(pid) for pid in entry.read_text().split()}
    return found


def descriptors(pid: int) -> dict[str, int]:
    """How many descriptors of each kind a process holds (``socket``, ``pipe``, a path...)."""
    kinds: dict[str, int] = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kind = str(entry.readlink()).split(":")[0]
        except OSError:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def _ancestors() -> set[int]:
    pids, pid = set(), os.getpid()
    while pid > 1:
        pids.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return pids
