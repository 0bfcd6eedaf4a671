"""Programs that the spec wants to be run at points of the lifecycle.

Law: each gets the state of the container on its standard input. Those before the start must
succeed, else the container is not started; those after it (poststart, poststop) only leave a
warning. Source: OCI runtime-spec config.md "POSIX-platform Hooks".
"""

from __future__ import annotations

import json
import os
import select
import signal
from typing import TYPE_CHECKING

from knarr.errors import InternalError, KnarrError
from knarr.runtime import execute, plan
from knarr.runtime.process import Stdio
from knarr.runtime.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.runtime_spec import Hook
    from knarr.runtime.state import State

_OUTPUT_LIMIT = 2000
STATE_FIELDS = ("ociVersion", "id", "status", "pid", "bundle", "annotations")


def run(point: str, hooks: Sequence[Hook] | None, state: State, pidfd: int = -1) -> None:
    """Run ``hooks`` one after the other; ``point`` is their name in the spec.

    With ``pidfd`` they run in the namespaces of that process; the root is that of its mount
    namespace: the host's before the pivot, the container's after it.
    Raises ``InternalError`` when one fails or takes longer than its timeout.
    """
    for number, hook in enumerate(hooks or ()):
        _run(f"{point} hook #{number} ({hook['path']})", hook, state, pidfd)


def warnings(point: str, hooks: Sequence[Hook] | None, state: State) -> tuple[str, ...]:
    """Run ``hooks`` and tell of failures instead of raising."""
    told = []
    for hook in hooks or ():
        try:
            run(point, [hook], state)
        except InternalError as error:
            told.append(error.message)
    return tuple(told)


def public(state: State) -> dict[str, object]:
    """The fields of the state that the specification names."""
    return {key: value for key, value in state.items() if key in STATE_FIELDS}


def _run(name: str, hook: Hook, state: State, pidfd: int) -> None:
    told = os.memfd_create("state", os.MFD_CLOEXEC)
    output = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        os.write(told, json.dumps(public(state)).encode())
        os.lseek(told, 0, os.SEEK_SET)
        status = _execute(hook, state, Stdio(told, output, output), pidfd)
        if status:
            words = os.fsdecode(os.pread(output, _OUTPUT_LIMIT, 0)).strip()
            ended = "timed out" if status < 0 else f"exit status {status}"
            raise InternalError(f"error running {name}: {ended}, output: {words!r}")
    except KnarrError as error:
        if name in error.message:
            raise
        raise InternalError(f"error running {name}: {error.message}") from error
    finally:
        os.close(told)
        os.close(output)


def _execute(hook: Hook, state: State, stdio: Stdio, pidfd: int) -> int:
    """Run the hook and return its exit code, 128 and more for a signal, -1 after its timeout."""
    talk = execute.Conversation()
    try:
        planned = plan.hook(hook, state["bundle"], pidfd, Wiring(stdio, talk.theirs))
        child = talk.conversing(planned, hook["path"], {})
    finally:
        talk.close()
    try:
        waiter = select.poll()
        waiter.register(child.pidfd, select.POLLIN)
        timeout = hook.get("timeout")
        late = not waiter.poll(timeout * 1000 if timeout else None)
        if late:
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(execute.reap(child.pidfd))
        if late:
            return -1
        return 128 - status if status < 0 else status
    finally:
        os.close(child.pidfd)
