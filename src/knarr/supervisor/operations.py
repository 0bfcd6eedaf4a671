"""The requests of the engine, one method each: what they say, and what is answered.

``adopt`` and ``hello`` come before ``sync``; events are sent from ``sync`` on.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, cast

from knarr.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
    UnimplementedError,
)
from knarr.supervisor import protocol
from knarr.supervisor.attachment import Attachment
from knarr.supervisor.messages import Started, exec_request, start_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.oci.runtime_spec import Resources
    from knarr.supervisor.loop import Loop
    from knarr.supervisor.runtimes import Runtime
    from knarr.supervisor.server import Connection, Request
    from knarr.supervisor.starting import Launched
    from knarr.supervisor.state import Key
    from knarr.supervisor.supervisor import Supervisor
    from knarr.supervisor.workers import Workers

_STREAMS = 3


class Operations:
    """Requests by name. ``stop`` ends the supervisor."""

    def __init__(
        self,
        supervisor: Supervisor,
        loop: Loop,
        workers: Workers,
        runtime: Callable[[tuple[str, ...] | None], Runtime],
        stop: Callable[[], None],
    ) -> None:
        self._supervisor = supervisor
        self._loop = loop
        self._workers = workers
        self._runtime = runtime
        self._stop = stop
        self._table: Mapping[str, Callable[[Request], None]] = {
            "hello": self._hello,
            "adopt": self._adopt,
            "sync": self._sync,
            "start": self._start,
            "exec": self._exec,
            "attach": self._attach,
            "kill": self._kill,
            "resize": self._resize,
            "delete": self._delete,
            "discard": self._discard,
            "list": self._list,
            "pause": self._pause,
            "resume": self._resume,
            "update": self._update,
            "shutdown": self._shutdown,
        }

    def handle(self, request: Request) -> None:
        """Do what a request asks; raises what is answered to a bad one."""
        operation = self._table.get(request.text("op"))
        if operation is None:
            raise UnimplementedError(f'the supervisor knows no request "{request.text("op")}"')
        operation(request)

    def _hello(self, request: Request) -> None:
        version = request.number("version")
        if version != protocol.VERSION:
            raise UnavailableError(
                f"the supervisor speaks version {protocol.VERSION}, the engine version {version}",
                hint="stop all containers, so that the supervisor ends, and start the engine again",
            )
        request.reply({"pid": os.getpid(), "orphans": self._supervisor.orphans()})

    def _adopt(self, request: Request) -> None:
        roles = request.fields.get("roles")
        fds, request.fds = request.fds, []
        if not isinstance(roles, list) or len(roles) != len(fds):
            protocol.close_all(fds)
            raise InvalidArgumentError("every descriptor needs a role")
        held = dict(zip(map(str, roles), fds, strict=True))
        adopted = self._supervisor.adopt(_key(request), held)
        if not adopted:
            protocol.close_all(fds)
        request.reply(adopted)

    def _sync(self, request: Request) -> None:
        held = {tuple(key) for key in request.fields.get("held", ())}
        self._supervisor.adopt_rest()
        request.connection.synced = True
        for task in self._supervisor.running():
            if task.record.key not in held:
                announce(
                    request.connection, {"event": "task", "task": task.state()}, task.handles()
                )
        request.reply(self._supervisor.states())

    def _start(self, request: Request) -> None:
        wanted = start_request(_mapping(request))
        self._supervisor.start(wanted, _started(request), request.fail)

    def _exec(self, request: Request) -> None:
        wanted = exec_request(_mapping(request))
        self._supervisor.exec(wanted, _started(request), request.fail)

    def _attach(self, request: Request) -> None:
        streams = request.fields.get("streams")
        if not isinstance(streams, list) or len(streams) != _STREAMS or len(request.fds) != 1:
            raise InvalidArgumentError("an attachment needs three streams and one socket")
        key = _key(request)
        if request.fields.get("running"):
            self._supervisor.task(key)
        wants = (bool(streams[0]), bool(streams[1]), bool(streams[2]))

        def make(on_closed: Callable[[Attachment], None]) -> Attachment:
            return Attachment(self._loop, socket.socket(fileno=request.fds.pop()), wants, on_closed)

        self._supervisor.attach(key, make)
        request.reply()

    def _kill(self, request: Request) -> None:
        number = request.number("signal")
        self._supervisor.kill(_key(request), number, request.reply, request.fail)

    def _resize(self, request: Request) -> None:
        size = request.fields.get("size")
        if not isinstance(size, list) or [type(each) for each in size] != [int, int]:
            raise InvalidArgumentError("a size is a height and a width")
        self._supervisor.task(_key(request)).resize(*size)
        request.reply()

    def _delete(self, request: Request) -> None:
        self._supervisor.delete(request.text("id"), request.reply, request.fail)

    def _discard(self, request: Request) -> None:
        self._supervisor.discard(_key(request))
        request.reply()

    def _list(self, request: Request) -> None:
        request.reply(self._supervisor.states())

    def _pause(self, request: Request) -> None:
        self._freeze(request, frozen=True)

    def _resume(self, request: Request) -> None:
        self._freeze(request, frozen=False)

    def _freeze(self, request: Request, *, frozen: bool) -> None:
        container_id = request.text("id")
        runtime = self._runtime(self._supervisor.task((container_id, "")).record.runtime)
        self._workers.run(
            lambda: runtime.pause(container_id, frozen=frozen), request.reply, request.fail
        )

    def _update(self, request: Request) -> None:
        container_id = request.text("id")
        resources = cast("Resources", request.fields.get("resources") or {})
        runtime = self._runtime(self._supervisor.task((container_id, "")).record.runtime)
        self._workers.run(
            lambda: runtime.update(container_id, resources), request.reply, request.fail
        )

    def _shutdown(self, request: Request) -> None:
        if not self._supervisor.idle:
            raise FailedPreconditionError("the supervisor does not end while containers run")
        request.reply()
        self._stop()


def announce(connection: Connection, packet: protocol.Packet, handles: Mapping[str, int]) -> None:
    """Send an event with the descriptors of a process, by their roles."""
    if handles:
        packet = {**packet, "roles": list(handles)}
    connection.send(packet, list(handles.values()))


def _key(request: Request) -> Key:
    return request.text("id"), request.text("exec_id")


def _mapping(request: Request) -> Mapping[str, Any]:
    fields = request.fields.get("request")
    if not isinstance(fields, dict):
        raise InvalidArgumentError("a start needs a request")
    return fields


def _started(request: Request) -> Callable[[Launched], None]:
    def reply(launched: Launched) -> None:
        record = launched.record
        request.reply(Started(record.pid, record.started_ns, launched.warnings))

    return reply
