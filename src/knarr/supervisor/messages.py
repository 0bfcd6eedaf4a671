"""The values that pass between engine and supervisor.

Law: a value here is plain data (strings, numbers, booleans, tuples of them), so that its JSON form
is its whole meaning. Times are nanoseconds since 1970 (UTC). ``exec_id`` is "" for the container's
own process. Field order is part of the wire format: new fields go to the end and have a default.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from knarr.mount import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.oci.runtime_spec import Process

UNKNOWN_EXIT_CODE = 137
DEFAULT_MAX_SIZE = 20_000_000
DEFAULT_MAX_FILE = 5
JSON, BLOCKS = "json", "blocks"


class LogConfig(NamedTuple):
    """Where and how the output of a container is logged.

    ``path`` is the file, "" for none, and ``form`` how it is written: as Docker's json-file or in
    blocks (``blocklog``). ``max_size`` is the size in bytes at which a file is rotated, -1 for
    never; ``max_file`` the number of files kept; ``compress`` those that were rotated. ``attrs``
    are the extra attributes of every entry (options ``labels``, ``env`` and ``tag`` of Docker's
    driver). ``buffer`` is 0 if the container waits for its log, else the bytes that may wait
    before lines are dropped. ``remote`` says what else gets every line: ``driver`` and what that
    one needs, see ``sender``.
    """

    path: str
    max_size: int = DEFAULT_MAX_SIZE
    max_file: int = DEFAULT_MAX_FILE
    attrs: tuple[tuple[str, str], ...] = ()
    form: str = JSON
    compress: bool = False
    buffer: int = 0
    remote: tuple[tuple[str, str], ...] = ()


class StartRequest(NamedTuple):
    """Start the container ``id`` from the OCI bundle at ``bundle``.

    ``rootfs`` are the mounts that make its root filesystem. ``runtime`` is None for knarr's own
    runtime, or the program of another OCI runtime and the arguments before every command.
    ``stdin_once`` closes the input of the container when the first attached input ends, as Docker's
    StdinOnce. ``console_size`` is (height, width).
    """

    id: str
    bundle: str
    rootfs: tuple[Mount, ...] = ()
    runtime: tuple[str, ...] | None = None
    terminal: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    log: LogConfig | None = None
    console_size: tuple[int, int] | None = None


class ExecRequest(NamedTuple):
    """Run another process in the running container ``container_id``; its output is not logged."""

    container_id: str
    exec_id: str
    process: Process
    terminal: bool = False
    open_stdin: bool = False
    console_size: tuple[int, int] | None = None


class Started(NamedTuple):
    """A process that runs: its pid in the namespace of the supervisor, and when it was started.

    ``warnings`` are what the kernel did not grant.
    """

    pid: int
    started_ns: int
    warnings: tuple[str, ...] = ()


class Exit(NamedTuple):
    """How a process ended.

    ``exit_code`` is 128 plus the signal for a killed one. ``error`` is not empty when the code is
    not known for sure: 137 stands for a process that ended while no supervisor ran, on a kernel
    that cannot tell its code afterwards (Linux before 6.15).
    """

    id: str
    exec_id: str
    exit_code: int
    oom_killed: bool
    finished_ns: int
    error: str
    started_ns: int = 0


class TaskState(NamedTuple):
    """A process that the supervisor knows; ``exit`` is None while it runs."""

    id: str
    exec_id: str
    pid: int
    started_ns: int
    terminal: bool
    exit: Exit | None = None


def unknown_exit(container_id: str, exec_id: str, started_ns: int, error: str) -> Exit:
    """The exit of a process that ended now or earlier, with a code that nobody can tell."""
    return Exit(
        container_id,
        exec_id,
        UNKNOWN_EXIT_CODE,
        oom_killed=False,
        finished_ns=time.time_ns(),
        error=error,
        started_ns=started_ns,
    )


def start_request(fields: Mapping[str, Any]) -> StartRequest:
    """The request from its JSON form."""
    request = StartRequest(**fields)
    return request._replace(
        rootfs=tuple(_mount(mount) for mount in request.rootfs),
        runtime=runtime_words(request.runtime),
        log=log_config(request.log),
        console_size=_size(request.console_size),
    )


def exec_request(fields: Mapping[str, Any]) -> ExecRequest:
    """The request from its JSON form."""
    request = ExecRequest(**fields)
    return request._replace(console_size=_size(request.console_size))


def runtime_words(fields: Any) -> tuple[str, ...] | None:
    """The program of another runtime from its JSON form (a list), or None."""
    return tuple(map(str, fields)) if fields else None


def log_config(fields: Any) -> LogConfig | None:
    """The log configuration from its JSON form (a list), or None."""
    if fields is None:
        return None
    config = LogConfig(*fields)
    return config._replace(attrs=_pairs(config.attrs), remote=_pairs(config.remote))


def task_state(fields: Any) -> TaskState:
    """The state from its JSON form (a list)."""
    state = TaskState(*fields)
    return state if state.exit is None else state._replace(exit=Exit(*state.exit))


def _pairs(fields: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(value)) for key, value in fields)


def _mount(fields: Any) -> Mount:
    mount = Mount(*fields)
    return mount._replace(options=tuple(mount.options), lower=tuple(mount.lower))


def _size(fields: Any) -> tuple[int, int] | None:
    return None if fields is None else (int(fields[0]), int(fields[1]))
