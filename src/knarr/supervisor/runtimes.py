"""What the supervisor asks of a runtime, and knarr's own runtime as the answer.

The other answer is ``ociruntime``.

Law: all methods block and are called from worker threads, but for ``oom_killed``, which reads one
small file. A process that ``run`` or ``exec`` has started is a child of this process, or of its
nearest subreaper, and is named by its pidfd.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

from knarr.errors import KnarrError, NotFoundError
from knarr.runtime import lifecycle
from knarr.runtime import state as runtime_state
from knarr.runtime.cgroups import Cgroup, detect

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import Resources, Spec
    from knarr.runtime.cgroups import Layout
    from knarr.runtime.process import Running, Stdio
    from knarr.supervisor.messages import ExecRequest, StartRequest


class Runtime(Protocol):
    """Starts processes and removes what is left of them."""

    def run(self, request: StartRequest, spec: Spec, stdio: Stdio) -> Running:
        """Start a container; raises ``KnarrError`` and leaves nothing when it cannot."""
        ...

    def exec(self, request: ExecRequest, stdio: Stdio) -> Running:
        """Start a process in a container; errors as ``run``."""
        ...

    def oom_killed(self, container_id: str) -> bool:
        """Whether the kernel has killed a process of the container for want of memory."""
        ...

    def kill_all(self, container_id: str) -> None:
        """Kill all processes of the container, also when its first one has ended."""
        ...

    def delete(self, container_id: str) -> None:
        """Kill what still runs and remove cgroup and state; an unknown id is no error."""
        ...

    def pause(self, container_id: str, *, frozen: bool) -> None:
        """Freeze or thaw all processes of the container."""
        ...

    def signal(self, container_id: str, number: int) -> None:
        """Send a signal to the first process of the container.

        Only asked of other runtimes than our own, whose processes are signalled by their pidfd.
        """
        ...

    def update(self, container_id: str, resources: Resources) -> None:
        """Change the limits of the container that ``resources`` names."""
        ...


class OwnRuntime:
    """``knarr.runtime``, called in this process."""

    def __init__(self, state_root: str) -> None:
        self._state_root = state_root
        self._layout: Layout | None = None

    def run(self, request: StartRequest, spec: Spec, stdio: Stdio) -> Running:
        """See ``Runtime``."""
        return lifecycle.run(
            spec,
            request.bundle,
            request.id,
            rootfs=request.rootfs,
            stdio=stdio,
            state_root=self._state_root,
        )

    def exec(self, request: ExecRequest, stdio: Stdio) -> Running:
        """See ``Runtime``."""
        state = lifecycle.state(self._state_root, request.container_id)
        return lifecycle.exec(state, request.process, stdio=stdio)

    def oom_killed(self, container_id: str) -> bool:
        """See ``Runtime``."""
        try:
            return self._cgroup(container_id).oom_count() > 0
        except (KnarrError, OSError):
            return False

    def kill_all(self, container_id: str) -> None:
        """See ``Runtime``."""
        try:
            self._cgroup(container_id).kill(signal.SIGKILL)
        except NotFoundError:
            return

    def delete(self, container_id: str) -> None:
        """See ``Runtime``."""
        lifecycle.delete(self._state_root, container_id, force=True)

    def pause(self, container_id: str, *, frozen: bool) -> None:
        """See ``Runtime``."""
        cgroup = self._cgroup(container_id)
        if frozen:
            cgroup.freeze()
        else:
            cgroup.thaw()

    def signal(self, container_id: str, number: int) -> None:
        """See ``Runtime``."""
        lifecycle.kill(self._state_root, container_id, number)

    def update(self, container_id: str, resources: Resources) -> None:
        """See ``Runtime``."""
        self._cgroup(container_id).update(resources)

    def _cgroup(self, container_id: str) -> Cgroup:
        if self._layout is None:
            self._layout = detect()
        state = runtime_state.read(self._state_root, container_id)
        return Cgroup(state["cgroup"], self._layout)
