"""Another OCI runtime (runc, crun, runsc, youki, ...) as the ``Runtime`` of the supervisor.

Law: as of ``Runtime``. The first process of a container is made by the runtime's program, which
then ends: the supervisor is a subreaper and so its parent, and takes its exit code. Signals go
through the program, which alone knows what the process on the host stands for: with a sandbox it
is not the container's own.

Loaded when the first container with such a runtime is started or found.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from knarr.errors import InternalError, KnarrError, NotFoundError
from knarr.runtime import creation, facts, furnish, process
from knarr.runtime.cgroups import Cgroup
from knarr.runtime.process import Running
from knarr.supervisor import ocimounts, ociplace
from knarr.supervisor.ociconsole import Console
from knarr.supervisor.ociplace import Place
from knarr.supervisor.ociprogram import Program
from knarr.supervisor.workers import renew
from knarr.sys import faults
from knarr.sys.subreaper import become_subreaper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.oci.runtime_spec import Resources, Spec
    from knarr.runtime.facts import Facts
    from knarr.runtime.ops import Operation
    from knarr.runtime.process import Stdio
    from knarr.supervisor.messages import ExecRequest, StartRequest

_SIGKILL = int(signal.SIGKILL)


class OciRuntime:
    """The runtime whose program and arguments are ``words``."""

    def __init__(
        self, words: Sequence[str], exec_root: str, complain: Callable[[str], None]
    ) -> None:
        self._program = Program(words[0], tuple(words[1:]))
        self._exec_root = exec_root
        self._complain = complain
        self._options: frozenset[str] | None = None
        become_subreaper()

    def run(self, request: StartRequest, spec: Spec, stdio: Stdio) -> Running:
        """See ``Runtime``."""
        host = _facts()
        place = self._place(request.id)
        plain, special = ocimounts.split(spec, place.mounts)
        adapted, warnings = ociplace.adapted(plain, host, self._known_options)
        place.make(adapted)
        faults.point("external.place-made")
        try:
            before = [
                *furnish.root(adapted, place.path, request.rootfs, host),
                *ocimounts.operations(special, place.mounts, request.bundle, host),
            ]
            running = self._create(request, stdio, before, place)
            try:
                self._program.call(place, "start", request.id)
            except BaseException:
                os.close(running.pidfd)
                raise
        except BaseException:
            self._clean(request.id)
            raise
        return running._replace(warnings=warnings)

    def _create(
        self, request: StartRequest, stdio: Stdio, before: Sequence[Operation], place: Place
    ) -> Running:
        pid_file = f"{place.path}/pid"
        with Console(place.path, "console", wanted=request.terminal) as console:
            self._program.call(
                place,
                *("create", "--bundle", place.path, "--pid-file", pid_file),
                *console.words,
                request.id,
                stdio=stdio,
                before=before,
            )
            faults.point("external.created")
            console.hand_over(stdio.console)
        return _running(place, "pid")

    def exec(self, request: ExecRequest, stdio: Stdio) -> Running:
        """See ``Runtime``."""
        place = self._place(request.container_id)
        if not place.exists:
            raise NotFoundError(f'container "{request.container_id}" does not exist')
        wanted, warnings = ociplace.adapted_process(request.process, _facts())
        name = f"exec-{request.exec_id}"
        described = place.write(f"{name}.json", ociplace.encoded(wanted))
        try:
            with Console(place.path, f"{name}.sock", wanted=request.terminal) as console:
                self._program.call(
                    place,
                    *("exec", "--detach", "--process", described),
                    *("--pid-file", f"{place.path}/{name}.pid"),
                    *console.words,
                    request.container_id,
                    stdio=stdio,
                )
                console.hand_over(stdio.console)
            return _running(place, f"{name}.pid")._replace(warnings=warnings)
        finally:
            place.discard(f"{name}.json", f"{name}.pid")

    def oom_killed(self, container_id: str) -> bool:
        """See ``Runtime``."""
        try:
            return self._cgroup(container_id).oom_count() > 0
        except (KnarrError, OSError):
            return False

    def signal(self, container_id: str, number: int) -> None:
        """See ``Runtime``."""
        place, words = self._place(container_id), ("kill", container_id, str(number))
        try:
            self._program.call(place, *words)
        except InternalError as error:
            # Some refuse that, where others keep the signal until it is thawed.
            if "paused" not in error.message:
                raise
            self.pause(container_id, frozen=False)
            self._program.call(place, *words)

    def kill_all(self, container_id: str) -> None:
        """See ``Runtime``."""
        place = self._place(container_id)
        if not place.exists:
            return
        try:
            self._program.call(place, "kill", "--all", container_id, str(_SIGKILL))
        except KnarrError:
            cgroup = self._cgroup(container_id)
            if cgroup.exists():
                cgroup.kill(_SIGKILL)

    def delete(self, container_id: str) -> None:
        """See ``Runtime``."""
        place = self._place(container_id)
        if not place.exists:
            return
        try:
            self._program.call(place, "delete", "--force", container_id)
        except KnarrError as error:
            self._complain(f"{self._program.path} delete {container_id}: {error}")
        faults.point("external.deleted")
        path = place.read("cgroup")
        if path:
            cgroup = Cgroup(path, creation.layout())
            if cgroup.exists() and cgroup.processes():
                cgroup.kill(_SIGKILL)
            cgroup.remove(named=True)
        place.remove()

    def pause(self, container_id: str, *, frozen: bool) -> None:
        """See ``Runtime``."""
        verb = "pause" if frozen else "resume"
        self._program.call(self._place(container_id), verb, container_id)

    def update(self, container_id: str, resources: Resources) -> None:
        """See ``Runtime``."""
        place = self._place(container_id)
        wanted = place.write("resources.json", ociplace.encoded(resources))
        self._program.call(place, "update", "--resources", wanted, container_id)

    def _known_options(self) -> frozenset[str]:
        if self._options is None:
            self._options = self._program.mount_options()
        return self._options

    def _place(self, container_id: str) -> Place:
        return Place(self._exec_root, container_id)

    def _cgroup(self, container_id: str) -> Cgroup:
        return Cgroup(self._place(container_id).cgroup(), creation.layout())

    def _clean(self, container_id: str) -> None:
        """Take back a start that failed; the error that is under way is the one to be told."""
        try:
            _end_child(self._place(container_id))
            renew()  # it may have left helpers, and waits for their end when it deletes
            self.delete(container_id)
        except (KnarrError, OSError) as error:
            self._complain(f"clean up {container_id}: {error}")


def _facts() -> Facts:
    return facts.here(creation.layout())


def _running(place: Place, name: str) -> Running:
    """The process whose pid the runtime has written."""
    text = place.read(name).strip()
    try:
        pid = int(text)
        pidfd = os.pidfd_open(pid)
    except (ValueError, OSError) as error:
        raise InternalError(f'the runtime did not tell a process: "{text}"') from error
    seen = process.look(pid)
    return Running(pid, pidfd, seen[1] if seen else 0)


def _end_child(place: Place) -> None:
    """End the first process if it is a child of ours, and reap it: nobody waits for it.

    As a zombie it would keep its cgroup. Its pid cannot be in use again while it is our child.
    """
    try:
        pid = int(place.read("pid"))
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        os.kill(pid, _SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED)
    except (ValueError, OSError):
        return
