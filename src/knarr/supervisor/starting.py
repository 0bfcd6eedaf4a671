"""From a request to a running process: what a worker thread does.

Order, so that a kill at any point can be cleaned up: the folder and a record without a pid, the
process, the record with its pid. A supervisor that finds the first without the second kills what
the runtime has made and forgets it; the engine's request failed with the connection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InternalError, InvalidArgumentError, KnarrError
from knarr.runtime import lifecycle
from knarr.supervisor.containerlog import ContainerLog, Log
from knarr.supervisor.state import Record
from knarr.supervisor.wires import Wires
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.oci.runtime_spec import Spec
    from knarr.runtime.process import Running, Stdio
    from knarr.supervisor.messages import ExecRequest, LogConfig, StartRequest
    from knarr.supervisor.runtimes import Runtime
    from knarr.supervisor.sender import Sender
    from knarr.supervisor.state import Store


class Launched(NamedTuple):
    """A process that runs, with all that was opened for it; whoever gets it owns the rest."""

    record: Record
    pidfd: int
    wires: dict[str, int]
    log: Log | None
    warnings: tuple[str, ...] = ()
    sender: Sender | None = None


def start(
    request: StartRequest, runtime: Runtime, store: Store, complain: Callable[[str], None]
) -> Launched:
    """Start a container; after an error nothing of it is left."""
    spec = lifecycle.load(request.bundle)
    _check_terminal(request, spec)
    record = Record(
        request.id,
        "",
        request.bundle,
        request.runtime,
        terminal=request.terminal,
        stdin_once=request.stdin_once,
        private_pids=_private_pids(spec),
        log=request.log,
    )
    return _launch(
        record,
        store,
        complain,
        lambda stdio: runtime.run(request, spec, stdio),
        open_stdin=request.open_stdin,
        size=request.console_size,
        undo=lambda: runtime.delete(request.id),
    )


def exec_process(
    request: ExecRequest, runtime: Runtime, store: Store, complain: Callable[[str], None]
) -> Launched:
    """Start a process in a container; after an error nothing of it is left."""
    if bool(request.process.get("terminal")) != request.terminal:
        raise InvalidArgumentError("the process and the request differ about the terminal")
    record = Record(
        request.container_id, request.exec_id, terminal=request.terminal, stdin_once=True
    )
    return _launch(
        record,
        store,
        complain,
        lambda stdio: runtime.exec(request, stdio),
        open_stdin=request.open_stdin,
        size=request.console_size,
        undo=lambda: None,
    )


def open_log(config: LogConfig | None, folder: str, complain: Callable[[str], None]) -> Log | None:
    """The log of a container, None when it has none."""
    if config is None or not config.path:
        return None
    try:
        log = ContainerLog(config, f"{folder}/journal", complain)
    except OSError as error:
        raise _no_log(f'open "{config.path}": {error.strerror}') from error
    if not config.buffer:
        return log
    from knarr.supervisor.bufferedlog import BufferedLog  # noqa: PLC0415 - a rare feature

    return BufferedLog(log, config.buffer, complain)


def open_sender(
    config: LogConfig | None, folder: str, complain: Callable[[str], None], *, connected: bool
) -> Sender | None:
    """What sends the lines elsewhere, None when nothing does; ``connected``: connect now."""
    if config is None or not config.remote:
        return None
    from knarr.supervisor.sender import Sender, driver  # noqa: PLC0415 - a rare feature

    sender = Sender(driver(dict(config.remote)), folder, config.buffer, complain)
    try:
        if connected:
            sender.dial()
    except OSError as error:
        raise _no_log(sender.failure(error)) from error
    return sender


def _no_log(reason: str) -> InternalError:
    return InternalError(f"failed to initialize logging driver: {reason}")


def _launch(
    record: Record,
    store: Store,
    complain: Callable[[str], None],
    run: Callable[[Stdio], Running],
    *,
    open_stdin: bool,
    size: tuple[int, int] | None,
    undo: Callable[[], None],
) -> Launched:
    folder = store.make(record.key)
    log = sender = None
    try:
        store.write(record)
        faults.point("supervisor.start-recorded")
        log = open_log(record.log, folder, complain)
        sender = open_sender(record.log, folder, complain, connected=True)
        with Wires(terminal=record.terminal, open_stdin=open_stdin) as wires:
            running = run(wires.stdio)
            faults.point("supervisor.spawned")
            try:
                wires.receive_terminal(size)
                record = record._replace(
                    pid=running.pid,
                    start_time=running.start_time,
                    started_ns=time.time_ns(),
                    stdin_open=open_stdin,
                    pipes=tuple((role, os.fstat(fd).st_ino) for role, fd in wires.ours.items()),
                )
                store.write(record)
                faults.point("supervisor.pid-recorded")
            except BaseException:
                _kill(running.pidfd)
                with contextlib.suppress(KnarrError):
                    undo()
                raise
            return Launched(record, running.pidfd, wires.keep(), log, running.warnings, sender)
    except BaseException:
        if log is not None:
            log.close()
        if sender is not None:
            sender.close()
        store.remove(record.key)
        raise


def _kill(pidfd: int) -> None:
    """End a process that nobody will know, and reap it."""
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)


def _check_terminal(request: StartRequest, spec: Spec) -> None:
    if bool(spec.get("process", {}).get("terminal")) != request.terminal:
        raise InvalidArgumentError("the bundle and the request differ about the terminal")


def _private_pids(spec: Spec) -> bool:
    """Whether all processes of the container end with its first: it has its own pid namespace."""
    namespaces = spec.get("linux", {}).get("namespaces", ())
    return any(each["type"] == "pid" and not each.get("path") for each in namespaces)
