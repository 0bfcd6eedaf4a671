"""The verbs of a container: run, create, start, exec, kill, delete, state.

All are synchronous and safe to call from several threads for different containers. Everything
that fails raises a ``KnarrError`` whose message names the step that failed, and leaves nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal as signals
from typing import TYPE_CHECKING, cast

from knarr.errors import (
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
)
from knarr.runtime import creation, execute, facts, failure, hooks, plan
from knarr.runtime import process as processes
from knarr.runtime import state as record
from knarr.runtime.cgroups import Cgroup
from knarr.runtime.creation import Wanted
from knarr.runtime.process import Running
from knarr.runtime.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.mount import Mount
    from knarr.oci.runtime_spec import Process, Spec
    from knarr.runtime.process import Stdio
    from knarr.runtime.state import State

_END_SECONDS = 10  # how long a killed process may take to end


def run(
    spec: Spec,
    bundle: str,
    container_id: str,
    *,
    rootfs: Sequence[Mount] = (),
    stdio: Stdio,
    state_root: str,
) -> Running:
    """Make the container and start its process; returns when its exec has succeeded.

    Raises ``CommandNotFoundError`` (exit code 127) and ``CommandNotExecutableError`` (126), see
    ``failure``, for the entrypoint, ``AlreadyExistsError`` for the id, another category for a
    step of the plan. After an error nothing is left: no process, cgroup or record.
    """
    made = creation.make(Wanted(spec, bundle, container_id, rootfs, stdio, state_root))
    after = _started(spec, made.state)
    return Running(*made.child, made.state["startTime"], (*made.warnings, *after))


def create(
    spec: Spec,
    bundle: str,
    container_id: str,
    *,
    rootfs: Sequence[Mount] = (),
    stdio: Stdio,
    state_root: str,
) -> Running:
    """Make the container up to, but not including, the exec of its program: ``start`` lets it go.

    The process lives on when this one ends. Errors as of ``run``, where the program is looked for,
    too.
    """
    wanted = Wanted(spec, bundle, container_id, rootfs, stdio, state_root, waits=True)
    made = creation.make(wanted)
    return Running(*made.child, made.state["startTime"], made.warnings)


def start(state_root: str, container_id: str) -> tuple[str, ...]:
    """Let a created container execute its program; returns warnings of hooks.

    Raises ``FailedPreconditionError`` when it is in any other state.
    """
    seen = state(state_root, container_id)
    if seen["status"] != "created":
        raise FailedPreconditionError(
            f'cannot start container "{container_id}" in the {seen["status"]} state'
        )
    spec = _spec(seen)
    wanted = (spec.get("hooks") or {}).get("startContainer")
    if wanted:
        pidfd = os.pidfd_open(seen["pid"])
        try:
            hooks.run("startContainer", wanted, seen, pidfd)
        except BaseException:
            signals.pidfd_send_signal(pidfd, signals.SIGKILL)
            raise
        finally:
            os.close(pidfd)
    path = record.fifo(state_root, container_id)
    fifo = _waiting(path)
    if fifo < 0:
        raise FailedPreconditionError(f'container "{container_id}" has ended')
    try:
        os.write(fifo, b"0")
    finally:
        os.close(fifo)
    seen["status"] = "running"
    record.write(state_root, seen)
    os.unlink(path)
    return _started(spec, seen)


def exec(container: State, process: Process, *, stdio: Stdio) -> Running:  # noqa: A001 - the OCI verb
    """Start another process in the running ``container``; errors as of ``run``.

    It has the container's namespaces, cgroup and seccomp filter; user, rights and limits are those
    of ``process``.
    """
    if _status(container, "") not in {"running", "created"}:
        raise FailedPreconditionError(f'container "{container["id"]}" is not running')
    creation.check_console(process, stdio)
    spec = _spec(container)
    host = facts.here(creation.layout())
    cgroup = Cgroup(container["cgroup"], host.layout)
    directory = -1
    if execute.CAN_CLONE_INTO_CGROUP:
        directory = cgroup.open(like=container["pid"])
    talk = execute.Conversation()
    pidfd = -1
    try:
        pidfd = os.pidfd_open(container["pid"])
        wiring = Wiring(
            stdio,
            report=talk.theirs,
            streams=creation.streams(stdio),
            joins=tuple(cgroup.join_paths(cloned_into=directory >= 0)),
        )
        flags = plan.namespace_flags(spec)
        planned = plan.join(process, pidfd, flags, wiring, host, creation.filter_of(spec))
        program = (process.get("args") or [""])[0]
        child = talk.conversing(planned, program, {}, cgroup=directory)
    except ProcessLookupError:
        raise FailedPreconditionError(f'container "{container["id"]}" is not running') from None
    except OSError as error:
        raise failure.of_host(error) from error
    finally:
        talk.close()
        for descriptor in (directory, pidfd):
            if descriptor >= 0:
                os.close(descriptor)
    seen = processes.look(child.pid)
    return Running(*child, seen[1] if seen else 0, planned.warnings)


def state(state_root: str, container_id: str) -> State:
    """The record with its present status: creating, created, running or stopped.

    Raises ``NotFoundError`` when there is no such container.
    """
    seen = record.read(state_root, container_id)
    seen["status"] = _status(seen, record.fifo(state_root, container_id))
    return seen


def kill(state_root: str, container_id: str, signal: int, *, everyone: bool = False) -> None:
    """Send ``signal`` to the container's process or, ``everyone``, to all in its cgroup.

    Raises ``FailedPreconditionError`` when the container is not running.
    """
    seen = state(state_root, container_id)
    if everyone:
        Cgroup(seen["cgroup"], creation.layout()).kill(signal)
        return
    if seen["status"] not in {"created", "running"}:
        raise FailedPreconditionError(f'container "{container_id}" is not running')
    try:
        pidfd = os.pidfd_open(seen["pid"])
        try:
            signals.pidfd_send_signal(pidfd, signals.Signals(signal))
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        raise FailedPreconditionError(f'container "{container_id}" is not running') from None


def pause(state_root: str, container_id: str, *, frozen: bool) -> None:
    """Freeze or thaw all processes; ``FailedPreconditionError`` when it is not so already."""
    seen = state(state_root, container_id)
    cgroup = Cgroup(seen["cgroup"], creation.layout())
    if seen["status"] != "running":
        raise FailedPreconditionError(f'container "{container_id}" is not running')
    if cgroup.frozen() == frozen:
        raise FailedPreconditionError(
            f'container "{container_id}" is {"already paused" if frozen else "not paused"}'
        )
    if frozen:
        cgroup.freeze()
    else:
        cgroup.thaw()


def delete(state_root: str, container_id: str, *, force: bool = False) -> tuple[str, ...]:
    """Remove cgroup and record of a stopped container and run its poststop hooks.

    Whatever still is in its cgroup is killed. ``force`` kills a container that still runs and
    takes one that does not exist as deleted. Returns warnings of hooks. Raises
    ``FailedPreconditionError`` for a running container otherwise. A zombie is stopped: it need not
    be reaped first, but it keeps the cgroup of v1 hierarchies until it is.
    """
    try:
        seen = state(state_root, container_id)
    except NotFoundError:
        if not force:
            raise
        record.forget(state_root, container_id)  # an id may be claimed and nothing written
        return ()
    cgroup = Cgroup(seen["cgroup"], creation.layout())
    if seen["status"] in {"created", "running"}:
        if not force and seen["status"] == "running":
            raise FailedPreconditionError(
                f'cannot delete container "{container_id}" that is not stopped: {seen["status"]}'
            )
        if cgroup.frozen():
            cgroup.thaw()
        _end(seen["pid"])
    if cgroup.exists() and cgroup.processes():
        cgroup.kill(signals.SIGKILL)
    cgroup.remove()
    warnings: tuple[str, ...] = ()
    if seen.get("poststop"):  # else the spec need not be read again
        after = (_spec(seen, missing={}).get("hooks") or {}).get("poststop")
        warnings = hooks.warnings("poststop", after, {**seen, "status": "stopped"})
    record.forget(state_root, container_id)
    return warnings


def _started(spec: Spec, seen: State) -> tuple[str, ...]:
    wanted = (spec.get("hooks") or {}).get("poststart")
    return hooks.warnings("poststart", wanted, seen) if wanted else ()


def _status(seen: State, fifo: str) -> str:
    if "pid" not in seen:
        return "creating"
    found = processes.look(seen["pid"])
    if found is None or found[0] in {"Z", "X"} or found[1] != seen["startTime"]:
        return "stopped"
    if seen["status"] == "created" and fifo:
        descriptor = _waiting(fifo)
        if descriptor < 0:
            return "running"
        os.close(descriptor)
    return seen["status"]


def _waiting(fifo: str) -> int:
    """The FIFO, open for writing, if the process still waits at its other end; else -1."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _end(pid: int) -> None:
    """Kill a process and wait until it has ended (it may stay a zombie)."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signals.pidfd_send_signal(pidfd, signals.SIGKILL)
        waiter = select.poll()
        waiter.register(pidfd, select.POLLIN)
        if not waiter.poll(_END_SECONDS * 1000):
            raise InternalError(f"process {pid} does not end")
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def load(bundle: str) -> Spec:
    """The ``config.json`` of a bundle. Raises ``InvalidArgumentError`` when it is none."""
    path = f"{bundle}/config.json"
    try:
        with open(path, "rb") as file:
            spec = json.load(file)
    except FileNotFoundError:
        raise InvalidArgumentError(f'JSON specification file "{path}" not found') from None
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f'cannot read specification "{path}": {error}') from error
    if not isinstance(spec, dict):
        raise InvalidArgumentError(f'specification "{path}" is not an object')
    return cast("Spec", spec)


def _spec(seen: State, missing: Spec | None = None) -> Spec:
    try:
        return load(seen["bundle"])
    except KnarrError:
        if missing is None:
            raise
        return missing
