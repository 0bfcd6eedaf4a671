"""Further processes in a running container: ``exec``.

Law: an exec lives in memory only and goes with its container; the oldest that have ended are
forgotten when there are many. Its process has the rights of the container's own, unless it is
``--privileged``.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

from knarr.api import detach as detach_keys
from knarr.api.exec import ExecInspect, ProcessConfig
from knarr.containers import rootview, security, users
from knarr.containers.record import Status
from knarr.containers.spec import process as process_spec
from knarr.content.failure import translated
from knarr.errors import ConflictError, InvalidArgumentError, KnarrError, NotFoundError
from knarr.supervisor.client import ExecRequest

from . import about, startfailure
from .live import Exec
from .sandbox import is_sandboxed
from .services import Attachment

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from knarr.api.exec import ExecCreateRequest
    from knarr.containers.record import Record
    from knarr.oci.runtime_spec import Process

    from .live import LiveContainer
    from .parts import Parts

_KEPT = 256


class Execs:
    """The execs of one engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, ref: str, request: ExecCreateRequest) -> str:
        """Prepare one; raises ``ConflictError`` when the container does not run."""
        live = self._parts.containers.get(ref)
        _check_running(live, ref)
        if not request.cmd:
            raise InvalidArgumentError("No exec command specified")
        detach_keys.parse(request.detach_keys)
        for entry in request.env or ():
            if not entry.partition("=")[0] or "\0" in entry:
                raise InvalidArgumentError(f"invalid environment variable: {entry}")
        _forget_old(live)
        return self.add(live, request, secrets.token_hex(32)).id

    def add(self, live: LiveContainer, request: ExecCreateRequest, exec_id: str) -> Exec:
        """Prepare one whose request was checked."""
        one = live.execs[exec_id] = Exec(exec_id, request)
        self._publish(live, exec_id, f"exec_create: {_words(request)}")
        return one

    def _process(self, record: Record, request: ExecCreateRequest) -> Process:
        """In a worker: the process, its user looked up in the container as it is now."""
        host, config = record.host_config, record.config
        if request.working_dir and not request.working_dir.startswith("/"):
            raise InvalidArgumentError(
                "OCI runtime exec failed: exec failed: Cwd must be an absolute path"
            )
        with (
            translated(f"read the users of container {record.id}"),
            self._root(record) as root,
        ):
            known = rootview.user_files(root)
        spec = request.user or config.user
        groups = host.group_add or () if not request.user else ()
        user = users.resolve(spec, known, group_add=groups)
        granted = security.capabilities(host, self._parts.facts.capabilities)
        if request.privileged:
            granted = list(self._parts.facts.capabilities)
        environment = process_spec.override(config.env or (), request.env or ())
        described: Process = {
            "terminal": request.tty,
            "user": process_spec.user(user),
            "args": list(request.cmd or ()),
            "env": process_spec.environment(
                environment, hostname=config.hostname, tty=request.tty, home=user.home
            ),
            "cwd": request.working_dir or config.working_dir or "/",
            "capabilities": process_spec.capability_sets(granted, uid=user.uid),
            "rlimits": process_spec.rlimits(host, self._parts.facts.open_files),
            "noNewPrivileges": security.parse_options(host).no_new_privileges
            and not request.privileged,
            "oomScoreAdj": host.oom_score_adj,
        }
        return described

    def _root(self, record: Record) -> AbstractContextManager[int]:
        """The root of the container as it is now.

        Of one in a sandbox we see the root filesystem only.
        """
        if is_sandboxed(self._parts, record):
            return rootview.of_directory(self._parts.paths.external_root(record.id))
        return rootview.of_process(record.state.pid)

    async def start(
        self, exec_id: str, *, detach: bool, console_size: tuple[int, int] | None = None
    ) -> Attachment | None:
        """Start it; its streams unless ``detach``. With streams it starts at their ``begin``.

        When the program cannot be executed, 126 or 127 is found by ``inspect``.
        """
        live, one = self._find(exec_id)
        _check_running(live, live.id)
        if one.started:
            raise ConflictError(f"Error: Exec command {exec_id} has already run")
        one.started = True
        request = one.request
        size = console_size or request.console_size
        if size and not all(size):
            size = None
        if detach:
            await self._start(live, one, size)
            return None
        attached = await self._attach(live, one)
        return attached._replace(begin=lambda: self._start(live, one, size), settle=one.settle)

    async def _attach(self, live: LiveContainer, one: Exec) -> Attachment:
        request = one.request
        try:
            sock = await self._parts.supervisor.attach(
                live.id,
                one.id,
                stdin=request.attach_stdin,
                stdout=request.attach_stdout,
                stderr=request.attach_stderr,
            )
        except BaseException:
            one.started = False
            raise

        def detached() -> None:
            self._publish(live, one.id, "exec_detach")

        return Attachment(request.tty, sock, None, detach_keys.parse(request.detach_keys), detached)

    async def _start(self, live: LiveContainer, one: Exec, size: tuple[int, int] | None) -> None:
        one.running = True
        try:
            process = await self._parts.workers.run(lambda: self._process(live.record, one.request))
        except KnarrError:
            one.end(startfailure.NOT_EXECUTABLE)
            raise
        if size and one.request.tty:
            process["consoleSize"] = {"height": size[0], "width": size[1]}
        # Before it is tried, as in Docker.
        self._publish(live, one.id, f"exec_start: {_words(one.request)}")
        try:
            started = await self._parts.supervisor.exec(
                ExecRequest(
                    container_id=live.id,
                    exec_id=one.id,
                    process=process,
                    terminal=one.request.tty,
                    open_stdin=one.request.attach_stdin,
                    console_size=size,
                )
            )
        except KnarrError as error:
            code = startfailure.exit_code(error)
            one.end(code if code != startfailure.OTHER else startfailure.NOT_EXECUTABLE)
            raise startfailure.of_exec(error) from error
        one.pid = started.pid

    async def inspect(self, exec_id: str) -> ExecInspect:
        """Its state; ``NotFoundError`` when it or its container is gone."""
        live, one = self._find(exec_id)
        request = one.request
        cmd = request.cmd or [""]
        return ExecInspect(
            id=one.id,
            running=one.running,
            exit_code=one.exit_code,
            process_config=ProcessConfig(
                tty=request.tty,
                entrypoint=cmd[0],
                arguments=cmd[1:],
                privileged=request.privileged,
                user=request.user,
            ),
            open_stdin=request.attach_stdin,
            open_stdout=request.attach_stdout,
            open_stderr=request.attach_stderr,
            container_id=live.id,
            detach_keys=base64.b64encode(_keys(request)).decode(),
            pid=one.pid,
        )

    async def resize(self, exec_id: str, *, height: int, width: int) -> None:
        """Set the size of its terminal."""
        live, one = self._find(exec_id)
        if not one.running:
            raise ConflictError(f"exec {exec_id} is not running")
        await self._parts.supervisor.resize(live.id, one.id, height, width)

    def _find(self, exec_id: str) -> tuple[LiveContainer, Exec]:
        for live in self._parts.containers:
            found = live.execs.get(exec_id)
            if found is not None:
                return live, found
        raise NotFoundError(f"No such exec instance: {exec_id}")

    def _publish(self, live: LiveContainer, exec_id: str, action: str) -> None:
        attributes = about.container(live.record, execID=exec_id)
        self._parts.events.publish("container", action, live.id, attributes)


def _keys(request: ExecCreateRequest) -> bytes:
    """The keys that the request itself names."""
    return detach_keys.parse(request.detach_keys) if request.detach_keys else b""


def _words(request: ExecCreateRequest) -> str:
    """The command in an event: program, a blank, arguments, also when there are none."""
    cmd = request.cmd or [""]
    return f"{cmd[0]} {' '.join(cmd[1:])}"


def _check_running(live: LiveContainer, called: str) -> None:
    status = live.record.state.status
    if status is Status.PAUSED:
        raise ConflictError(f"container {called} is paused, unpause the container before exec")
    live.require_running()


def _forget_old(live: LiveContainer) -> None:
    """Drop the oldest execs that have ended while there are too many."""
    ended = [key for key, one in live.execs.items() if one.exit_code is not None]
    for key in ended[: max(0, len(live.execs) - _KEPT)]:
        del live.execs[key]
