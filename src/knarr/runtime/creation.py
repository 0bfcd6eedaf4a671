"""Making a container: record, cgroup, process. What ``run`` and ``create`` have in common.

Order: the record claims the id, then the cgroup is made, then the process. Whatever fails undoes
what was made before it, in the opposite order.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.runtime import execute, facts, failure, hooks, plan, process, seccomp
from knarr.runtime import state as record
from knarr.runtime.cgroups import Cgroup, Layout, detect
from knarr.runtime.devices import DEFAULT_RULES
from knarr.runtime.ops import CLONED, CREATED, FURNISHED
from knarr.runtime.wiring import Wiring
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from knarr.mount import Mount
    from knarr.oci.runtime_spec import IdMapping, Linux, Process, Resources, Spec
    from knarr.runtime.execute import Child
    from knarr.runtime.facts import Facts
    from knarr.runtime.process import Stdio
    from knarr.runtime.state import State

_BEFORE_ROOT = ("prestart", "createRuntime", "createContainer")


class Wanted(NamedTuple):
    """A container to make. With ``waits`` it is created only, and its process waits for `start`."""

    spec: Spec
    bundle: str
    container_id: str
    rootfs: Sequence[Mount]
    stdio: Stdio
    state_root: str
    waits: bool = False


class Made(NamedTuple):
    """The process of a new container, its record, and what the user should know."""

    child: Child
    state: State
    warnings: tuple[str, ...]


_layouts: list[Layout] = []


def layout() -> Layout:
    """The cgroup hierarchies of this host; read once in the life of the process."""
    if not _layouts:
        _layouts.append(detect())
    return _layouts[0]


def make(wanted: Wanted) -> Made:
    """Make the container. After an error nothing of it is left."""
    try:
        return _make(wanted)
    except OSError as error:
        raise failure.of_host(error) from error


def _make(wanted: Wanted) -> Made:
    spec, root = wanted.spec, wanted.state_root
    check_console(spec.get("process", {}), wanted.stdio)
    host = facts.here(layout())
    linux = spec.get("linux", {})
    cgroup = Cgroup(
        linux.get("cgroupsPath") or f"/knarr-runtime-{wanted.container_id}", host.layout
    )
    record.claim(root, wanted.container_id)
    try:
        state: State = {
            "ociVersion": record.OCI_VERSION,
            "id": wanted.container_id,
            "status": "creating",
            "bundle": wanted.bundle,
            "annotations": spec.get("annotations") or {},
            "cgroup": cgroup.path,
            "created": time.time(),
            "poststop": bool((spec.get("hooks") or {}).get("poststop")),
        }
        record.write(root, state)
        faults.point("runtime.recorded")
        cgroup.create(_resources(linux))
        faults.point("runtime.cgroup-made")
        try:
            return _start(wanted, state, cgroup, host)
        except BaseException:
            cgroup.remove()
            raise
    except BaseException:
        record.forget(root, wanted.container_id)
        raise


def check_console(process: Process, stdio: Stdio) -> None:
    """Raise ``InvalidArgumentError`` when there is nobody to give the terminal to."""
    if process.get("terminal") and stdio.console < 0:
        raise InvalidArgumentError("a terminal needs a console socket")


def streams(stdio: Stdio) -> tuple[int, ...]:
    """Which of 0, 1 and 2 the container's user may own: pipes and sockets, made for it.

    Never a device or a file: the owner of the host's /dev/null would change.
    """
    given = []
    for target, descriptor in enumerate(stdio[:3]):
        mode = os.fstat(descriptor).st_mode if descriptor >= 0 else 0
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            given.append(target)
    return tuple(given)


def filter_of(spec: Spec) -> plan.Filter | None:
    """The compiled seccomp filter of the spec."""
    wanted = spec.get("linux", {}).get("seccomp")
    if not wanted:
        return None
    return seccomp.compile(wanted), seccomp.flags(wanted)


def _resources(linux: Linux) -> Resources:
    """The resources of the spec, and the devices that every container may use."""
    resources = linux.get("resources") or {}
    rules = resources.get("devices")
    if not rules:
        return resources
    return {**resources, "devices": [*rules, *DEFAULT_RULES]}


def _start(wanted: Wanted, state: State, cgroup: Cgroup, host: Facts) -> Made:
    directory = cgroup.open() if execute.CAN_CLONE_INTO_CGROUP else -1
    try:
        wiring = Wiring(
            wanted.stdio,
            streams=streams(wanted.stdio),
            joins=tuple(cgroup.join_paths(cloned_into=directory >= 0)),
            cgroup=cgroup.path,
        )
        program = (wanted.spec.get("process", {}).get("args") or [""])[0]
        if plan.shares_memory(wanted.spec) and not wanted.waits:
            planned = _plan(wanted, wiring, host)
            child = execute.borrowing(planned, program, directory)
        else:
            planned, child = _converse(wanted, state, wiring, host, directory)
    finally:
        if directory >= 0:
            os.close(directory)
    try:
        faults.point("runtime.started")
        _settle(wanted, state, child)
    except BaseException:
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        execute.reap(child.pidfd)
        os.close(child.pidfd)
        raise
    return Made(child, state, planned.warnings)


def _settle(wanted: Wanted, state: State, child: Child) -> None:
    """Write down that the process is there."""
    seen = process.look(child.pid)
    state["status"] = "created" if wanted.waits else "running"
    state["pid"] = child.pid
    state["startTime"] = seen[1] if seen else 0
    record.write(wanted.state_root, state)


def _plan(wanted: Wanted, wiring: Wiring, host: Facts) -> plan.Plan:
    return plan.start(
        wanted.spec, wanted.bundle, wanted.rootfs, wiring, host, filter_of(wanted.spec)
    )


def _converse(
    wanted: Wanted, state: State, wiring: Wiring, host: Facts, directory: int
) -> tuple[plan.Plan, Child]:
    spec = wanted.spec
    programs = spec.get("hooks") or {}
    joins = wiring.joins
    fifo = -1
    talk = execute.Conversation()
    try:
        if wanted.waits:
            path = record.fifo(wanted.state_root, wanted.container_id)
            os.mkfifo(path, 0o600)
            fifo = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if plan.namespaces(spec).get("user") == "":
            # In its own user namespace it may not write to the host's cgroups: we do it.
            wiring = wiring._replace(joins=())
        wiring = wiring._replace(
            report=talk.theirs,
            hooks=any(programs.get(point) for point in _BEFORE_ROOT),
            waits=wanted.waits or bool(programs.get("startContainer")),
            fifo=fifo,
        )
        planned = _plan(wanted, wiring, host)
        program = (spec.get("process", {}).get("args") or [""])[0]
        answers = _answers(wanted, state, joins)
        child = talk.conversing(
            planned, program, answers, cgroup=directory, until_created=wanted.waits
        )
        return planned, child
    finally:
        talk.close()
        if fifo >= 0:
            os.close(fifo)


def _answers(
    wanted: Wanted, state: State, joins: Sequence[str]
) -> Mapping[int, Callable[[Child], None]]:
    """What is done while the child waits, by the point that it tells of."""
    linux, programs = wanted.spec.get("linux", {}), wanted.spec.get("hooks") or {}

    def cloned(child: Child) -> None:
        for path in joins:
            _write(path, str(child.pid))
        _write(f"/proc/{child.pid}/uid_map", _map(linux.get("uidMappings")))
        _write(f"/proc/{child.pid}/gid_map", _map(linux.get("gidMappings")))

    def furnished(child: Child) -> None:
        seen: State = {**state, "pid": child.pid, "status": "creating"}
        hooks.run("prestart", programs.get("prestart"), seen)
        hooks.run("createRuntime", programs.get("createRuntime"), seen)
        hooks.run("createContainer", programs.get("createContainer"), seen, child.pidfd)

    def created(child: Child) -> None:
        if not wanted.waits:
            seen: State = {**state, "pid": child.pid, "status": "created"}
            hooks.run("startContainer", programs.get("startContainer"), seen, child.pidfd)

    return {CLONED: cloned, FURNISHED: furnished, CREATED: created}


def _map(mappings: Sequence[IdMapping] | None) -> str:
    return "".join(
        f"{each['containerID']} {each['hostID']} {each['size']}\n" for each in mappings or ()
    )


def _write(path: str, content: str) -> None:
    """One write: the kernel takes the maps of a user namespace only whole."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content.encode())
    finally:
        os.close(descriptor)
