"""One cgroup, seen as one thing over all hierarchies of the host.

Law: the path is the same in every hierarchy and is absolute from its mount point. A method works
on what is on disk, so that a value made in another process, or after a restart, does as well. On a
hybrid host the v2 hierarchy, which has no limits there, still does what v1 does badly: it filters
devices by a program, freezes, kills, and tells when the last process has ended.

Cost, measured (Linux 6.18, hybrid): writing a process id to ``cgroup.procs`` takes 9 ms in the
median, because the kernel waits for an RCU grace period to keep thread groups whole. Two ways do
not wait, and ``join_paths`` and ``open`` offer just these: writing "0" to ``tasks`` of v1, which
moves only the calling thread (0.05 ms; the child that does it has no other), and clone3(2) with
CLONE_INTO_CGROUP on v2.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from knarr.errors import ConflictError, InvalidArgumentError, KnarrError
from knarr.runtime.cgroups import (
    device_filter,
    devices,
    files,
    limits,
    oom,
    signals,
    stats,
    tree,
    undo,
)
from knarr.runtime.cgroups.layout import named_hierarchies
from knarr.runtime.cgroups.setting import apply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.runtime_spec import DeviceRule, Resources
    from knarr.runtime.cgroups.layout import Layout
    from knarr.runtime.cgroups.setting import Setting
    from knarr.runtime.cgroups.undo import Earlier

# What every container is put under, limits or not: for statistics, OOM counts and signals.
_ALWAYS = ("memory", "pids", "cpu", "cpuacct", "io")
_REMOVE_SECONDS = 10.0


class Cgroup:
    """The cgroup at ``path`` in the hierarchies of ``layout``; making the value makes nothing.

    Raises ``InvalidArgumentError`` for a path that leaves the hierarchy.
    """

    __slots__ = ("layout", "path")

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = _clean(path)
        self.layout = layout

    @property
    def unified(self) -> str:
        """The directory in the v2 hierarchy, or "" where there is none."""
        return self.layout.unified + self.path if self.layout.unified else ""

    def directory(self, controller: str) -> str:
        """The directory where ``controller`` is ruled; "" where no hierarchy has it."""
        mount = self.layout.legacy.get(controller)
        if mount:
            return mount + self.path
        if controller in self.layout.controllers or controller == "cgroup":
            return self.unified
        return ""

    def describe(self, resources: Resources) -> list[str]:
        """What ``create`` would do, a line for each step. Raises as ``create`` for bad input."""
        settings, policy = self._wanted(resources)
        lines = [f"mkdir {mount}{self.path}" for mount in self._mounts(settings, policy)]
        lines += [f"{each.describe()} of {self.directory(each.controller)}" for each in settings]
        if policy is not None and not policy.everything:
            how = "BPF program on" if self._filters_devices() else "rules in"
            where = self.unified if self._filters_devices() else self.directory("devices")
            lines.append(f"allow {len(policy.rules)} kinds of devices by {how} {where}")
        return lines

    def planned_joins(self, resources: Resources) -> list[str]:
        """What ``join_paths`` will answer after ``create``, for a process cloned into v2."""
        mounts = self._mounts(*self._wanted(resources))
        return [f"{mount}{self.path}/tasks" for mount in mounts if mount != self.layout.unified]

    def create(self, resources: Resources) -> None:
        """Make the cgroup and set its limits; on an error nothing is left of it.

        A leftover without processes is made anew; ``ConflictError`` when processes are in it.
        """
        settings, policy = self._wanted(resources)
        made = []
        try:
            for mount in self._mounts(settings, policy):
                self._make(mount)
                made.append(mount + self.path)
            self._enable(settings)
            self._apply(settings)
            if policy is not None and not policy.everything:
                self._limit_devices(policy, fresh=True)
        except BaseException:
            for directory in made:
                with contextlib.suppress(KnarrError):
                    tree.remove(directory, time.monotonic())
            raise

    def update(self, resources: Resources) -> list[Earlier]:
        """Change the limits that ``resources`` names; the others stay.

        On an error the earlier limits hold again. What is answered takes the change back.
        """
        settings = limits.settings(
            resources, self.layout, raise_swap_first=self._raises_swap(resources)
        )
        policy = _policy(resources)
        mounts = self._mounts(settings, policy)
        late = [mount for mount in mounts if not os.access(mount + self.path, os.F_OK)]
        for mount in late:
            self._make(mount)
        self._enable(settings)
        changes: list[Earlier] = []
        try:
            self._apply(settings, changes)
            if policy is not None:
                self._limit_devices(policy, fresh=False)
        except BaseException:
            undo.restore(changes)
            raise
        for mount in late:
            self._bring_processes(mount + self.path)
        return changes

    def restore(self, changes: list[Earlier]) -> None:
        """Take back what ``update`` has changed."""
        undo.restore(changes)

    def join_paths(self, *, cloned_into: bool = False) -> list[str]:
        """The files to which a new single-threaded process writes "0" to become a member.

        With ``cloned_into`` the v2 hierarchy is left out: the process was cloned into it with the
        descriptor of ``open``, which is faster by an RCU grace period.
        """
        paths = [
            f"{mount}{self.path}/tasks" for mount in dict.fromkeys(self.layout.legacy.values())
        ]
        if self.unified and not cloned_into:
            paths.append(f"{self.unified}/cgroup.procs")
        return [path for path in paths if os.access(path, os.F_OK)]

    def open(self, like: int = 0) -> int:
        """A descriptor of the v2 directory for CLONE_INTO_CGROUP (the caller closes it), or -1.

        With ``like``, the id of a member, it is the directory below this one to which that process
        has moved: a container that divides its cgroup (systemd, another engine) leaves none of its
        own processes at the top, and nobody else may join there either.
        """
        if not self.unified:
            return -1
        directory = self.layout.unified + (self._place_of(like) if like else self.path)
        try:
            return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise files.refused(error, directory, "open") from error

    def exists(self) -> bool:
        """Whether it exists in its main hierarchy."""
        return os.access(self._main, os.F_OK)

    def processes(self) -> list[int]:
        """The ids of all processes in it and in the cgroups below it."""
        return signals.processes(self._main)

    def kill(self, signal: int) -> None:
        """Send ``signal`` to every process in it and below it; none escapes by forking."""
        signals.kill(self._main, self._freezer, signal)

    def freeze(self) -> None:
        """Stop all its processes; returns when they are stopped."""
        signals.freeze(self._freezer)

    def thaw(self) -> None:
        """Let its processes run again."""
        signals.thaw(self._freezer)

    def frozen(self) -> bool:
        """Whether ``freeze`` holds."""
        return signals.frozen(self._freezer)

    def oom_count(self) -> int:
        """How many of its processes the OOM killer has killed; 0 where nothing counts them."""
        return oom.count(self.directory("memory"))

    def watch_oom(self) -> oom.Watch:
        """A descriptor that tells of out-of-memory events; see ``oom.Watch``."""
        return oom.watch(self.directory("memory"))

    def stats(self) -> stats.Stats:
        """What it uses now."""
        return stats.read(self.directory, unified=self.unified)

    def remove(self, timeout: float = _REMOVE_SECONDS, *, named: bool = False) -> None:
        """Remove it and the cgroups below it, in every hierarchy; one that is gone is no error.

        Processes that are ending get ``timeout`` seconds; ``FailedPreconditionError`` after that.
        With ``named`` also in v1 hierarchies without a controller, where we never make one, but
        other runtimes do.
        """
        deadline = time.monotonic() + timeout
        others = named_hierarchies() if named else []
        # v2 first: only there the kernel tells when the last process has gone.
        for mount in (self.layout.unified, *dict.fromkeys(self.layout.legacy.values()), *others):
            if mount:
                tree.remove(mount + self.path, deadline)

    @property
    def _main(self) -> str:
        """The directory of the hierarchy that says which processes are members.

        On a hybrid host other runtimes may leave the v2 hierarchy out.
        """
        unified = self.unified
        if unified and (not self.layout.legacy or os.access(unified, os.F_OK)):
            return unified
        known = filter(None, map(self.directory, ("freezer", "pids", "memory")))
        found = [each for each in known if os.access(each, os.F_OK)]
        return (found or [unified or self.directory("freezer")])[0]

    @property
    def _freezer(self) -> str:
        return self.unified or self.directory("freezer")

    def _filters_devices(self) -> bool:
        return bool(self.unified) and device_filter.usable()

    def _wanted(self, resources: Resources) -> tuple[list[Setting], devices.Policy | None]:
        return limits.settings(resources, self.layout), _policy(resources)

    def _mounts(self, settings: Iterable[Setting], policy: devices.Policy | None) -> list[str]:
        """The mount points of the hierarchies that this cgroup needs, each once."""
        legacy = self.layout.legacy
        names = [*_ALWAYS, *(setting.controller for setting in settings)]
        if not self.unified:
            names.append("freezer")
        if self.layout.counts_io:
            names.append("blkio")
        if policy is not None and not policy.everything and not self._filters_devices():
            names.append("devices")
        mounts = dict.fromkeys(legacy[name] for name in names if name in legacy)
        if self.unified:
            mounts[self.layout.unified] = None
        return list(mounts)

    def _make(self, mount: str) -> None:
        try:
            tree.make(mount, self.path)
        except FileExistsError:
            if signals.processes(mount + self.path):
                raise ConflictError(
                    f'cgroup "{mount}{self.path}" is in use',
                    hint="another container or program has processes in it",
                ) from None
            tree.remove(mount + self.path, time.monotonic())
            tree.make(mount, self.path)
        if mount == self.layout.legacy.get("cpuset"):
            tree.inherit_cpuset(mount, self.path)

    def _enable(self, settings: Iterable[Setting]) -> None:
        needed = frozenset(each.controller for each in settings) & self.layout.controllers
        wanted = needed | self.layout.controllers.intersection(_ALWAYS)
        if not wanted:
            return
        here = files.read(f"{self.unified}/cgroup.controllers").split()
        if missing := wanted.difference(here):
            tree.enable(self.layout.unified, self.path, missing, needed)

    def _apply(self, settings: Iterable[Setting], changes: list[Earlier] | None = None) -> None:
        for setting in settings:
            apply(setting, self.directory(setting.controller), changes)

    def _limit_devices(self, policy: devices.Policy, *, fresh: bool) -> None:
        if not self._filters_devices():
            device_filter.apply_legacy(self.directory("devices"), policy)
            return
        try:
            (device_filter.attach if fresh else device_filter.replace)(self.unified, policy)
        except OSError as error:
            raise files.refused(error, self.unified, "device program") from error

    def _place_of(self, pid: int) -> str:
        """The path of the process in the v2 hierarchy, if that is below this cgroup, else ours."""
        for line in (files.find(f"/proc/{pid}/cgroup") or "").splitlines():
            if line.startswith(f"0::{self.path}/"):
                return line.removeprefix("0::")
        return self.path

    def _raises_swap(self, resources: Resources) -> bool:
        """Whether v1's limit of memory plus swap is to rise, and must then be written first."""
        swap = resources.get("memory", {}).get("swap", 0)
        directory = self.layout.legacy.get("memory", "")
        if not swap or not directory:
            return False
        now = files.find(f"{directory}{self.path}/memory.memsw.limit_in_bytes")
        return now is not None and (swap < 0 or swap > int(now))

    def _bring_processes(self, directory: str) -> None:
        """Make the members of the cgroup members in a hierarchy that came late, too."""
        known: set[int] = set()
        while missing := set(self.processes()).difference(known):
            tree.move(map(str, missing), f"{directory}/cgroup.procs")
            known |= missing


def _policy(resources: Resources) -> devices.Policy | None:
    rules: list[DeviceRule] | None = resources.get("devices")
    return devices.policy(rules) if rules else None


def _clean(path: str) -> str:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts or ".." in parts or "\0" in path or "\n" in path:
        raise InvalidArgumentError(f'invalid cgroup path "{path}"')
    return "/" + "/".join(parts)
