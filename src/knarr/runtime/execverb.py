"""``knarr-runtime exec``: another process in a running container."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, cast

from knarr.errors import FailedPreconditionError, InvalidArgumentError, UnimplementedError
from knarr.runtime import creation, foreground, invocation, lifecycle
from knarr.runtime.cgroups import Cgroup

if TYPE_CHECKING:
    import argparse

    from knarr.oci.runtime_spec import Process, User
    from knarr.runtime.state import State


def exec(options: argparse.Namespace) -> int:  # noqa: A001 - the verb
    """``exec``: run another process in a container."""
    if options.cgroup:
        raise UnimplementedError("exec --cgroup is not supported")
    container = lifecycle.state(options.root, options.container)
    _check_thawed(container, options)
    wanted = _process(container, options)
    terminal = bool(wanted.get("terminal"))
    ours: socket.socket | None = None
    console = invocation.connect(options.console_socket, terminal=terminal, needed=options.detach)
    if terminal and console is None:
        ours, console = socket.socketpair()
    if not options.detach:
        foreground.hold_signals()
    stdio = invocation.stdio(options, console)
    running = lifecycle.exec(container, wanted, stdio=stdio)
    invocation.warn(running.warnings)
    invocation.write_pid(options, running.pid)
    if options.detach:
        return 0
    return foreground.wait(running, foreground.receive(ours) if ours else -1)


def _check_thawed(container: State, options: argparse.Namespace) -> None:
    """A process that joins a frozen cgroup stops there, and so would we."""
    if not options.ignore_paused and Cgroup(container["cgroup"], creation.layout()).frozen():
        raise FailedPreconditionError(
            f'cannot exec in a paused container "{container["id"]}"', hint="--ignore-paused"
        )


def _process(container: State, options: argparse.Namespace) -> Process:
    """The process of ``--process``, or that of the container with what the options change."""
    if options.process:
        if options.args:
            raise InvalidArgumentError("a program and --process exclude each other")
        return _read(options.process)
    if not options.args:
        raise InvalidArgumentError("exec needs a program or --process")
    base = lifecycle.load(container["bundle"]).get("process") or {}
    wanted: Process = {
        **base,
        "args": options.args,
        "terminal": options.tty,
        "env": [*(base.get("env") or ()), *options.env],
        "user": _user(base.get("user") or {}, options),
    }
    if options.cwd:
        wanted["cwd"] = options.cwd
    if options.no_new_privs:
        wanted["noNewPrivileges"] = True
    if options.apparmor:
        wanted["apparmorProfile"] = options.apparmor
    if options.process_label:
        wanted["selinuxLabel"] = options.process_label
    if options.cap:
        sets = {**(base.get("capabilities") or {})}
        for name in ("bounding", "effective", "permitted"):
            held = cast("list[str]", sets.get(name) or [])
            sets[name] = list(dict.fromkeys([*held, *options.cap]))
        wanted["capabilities"] = sets  # type: ignore[typeddict-item]
    return wanted


def _read(path: str) -> Process:
    try:
        with open(path, "rb") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f'cannot read process "{path}": {error}') from error
    if not isinstance(document, dict) or not document.get("args"):
        raise InvalidArgumentError(f'process "{path}" has no args')
    return cast("Process", document)


def _user(base: User, options: argparse.Namespace) -> User:
    user: User = {**base}
    try:
        if options.user:
            uid, _, gid = options.user.partition(":")
            user["uid"] = int(uid)
            if gid:
                user["gid"] = int(gid)
        if options.additional_gids:
            user["additionalGids"] = [
                *(user.get("additionalGids") or ()), *map(int, options.additional_gids)
            ]  # fmt: skip
    except ValueError:
        raise InvalidArgumentError(
            "users and groups are numbers here: --user UID[:GID], --additional-gids GID"
        ) from None
    return user
