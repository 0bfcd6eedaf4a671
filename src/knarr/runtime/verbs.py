"""The commands of ``knarr-runtime`` that make, change and end a container."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, cast

from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.runtime import creation, foreground, invocation, lifecycle
from knarr.runtime import state as record
from knarr.runtime.cgroups import Cgroup

if TYPE_CHECKING:
    import argparse

    from knarr.oci.runtime_spec import Resources, Spec


def run(options: argparse.Namespace) -> int:
    """``run``: create, start, wait, delete. With ``--detach`` it does not wait."""
    bundle, spec = _bundle(options)
    terminal = bool(spec.get("process", {}).get("terminal"))
    ours: socket.socket | None = None
    console = invocation.connect(options.console_socket, terminal=terminal, needed=options.detach)
    if terminal and console is None:
        ours, console = socket.socketpair()
    stdio = invocation.stdio(options, console)
    if not options.detach:
        foreground.hold_signals()
    running = lifecycle.run(spec, bundle, options.container, stdio=stdio, state_root=options.root)
    invocation.warn(running.warnings)
    invocation.write_pid(options, running.pid)
    if options.detach:
        return 0
    master = foreground.receive(ours) if ours else -1
    code = foreground.wait(running, master)
    if not options.keep:
        invocation.warn(lifecycle.delete(options.root, options.container))
    return code


def create(options: argparse.Namespace) -> int:
    """``create``: everything but the program, which waits for ``start``."""
    bundle, spec = _bundle(options)
    terminal = bool(spec.get("process", {}).get("terminal"))
    console = invocation.connect(options.console_socket, terminal=terminal, needed=True)
    stdio = invocation.stdio(options, console)
    running = lifecycle.create(
        spec, bundle, options.container, stdio=stdio, state_root=options.root
    )
    invocation.warn(running.warnings)
    try:
        invocation.write_pid(options, running.pid)
    except OSError:
        lifecycle.delete(options.root, options.container, force=True)
        raise
    return 0


def start(options: argparse.Namespace) -> int:
    """``start``: let a created container execute its program."""
    invocation.warn(lifecycle.start(options.root, options.container))
    return 0


def kill(options: argparse.Namespace) -> int:
    """``kill``: send a signal."""
    number = _signal(options.signal)
    lifecycle.kill(options.root, options.container, number, everyone=options.all)
    return 0


def delete(options: argparse.Namespace) -> int:
    """``delete``: remove a stopped container."""
    invocation.warn(lifecycle.delete(options.root, options.container, force=options.force))
    return 0


def pause(options: argparse.Namespace) -> int:
    """``pause``: freeze all processes."""
    lifecycle.pause(options.root, options.container, frozen=True)
    return 0


def resume(options: argparse.Namespace) -> int:
    """``resume``: let frozen processes go on."""
    lifecycle.pause(options.root, options.container, frozen=False)
    return 0


def update(options: argparse.Namespace) -> int:
    """``update``: change limits."""
    wanted = _resources(options)
    seen = record.read(options.root, options.container)
    Cgroup(seen["cgroup"], creation.layout()).update(wanted)
    return 0


# Option of ``update``: the part of the resources and the field that it sets.
LIMITS = {
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-share": ("cpu", "shares"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "pids-limit": ("pids", "limit"),
    "blkio-weight": ("blockIO", "weight"),
}
_WORDS = {"cpuset-cpus", "cpuset-mems"}


def _resources(options: argparse.Namespace) -> Resources:
    if options.resources:
        return _read_resources(options.resources)
    wanted: dict[str, dict[str, int | str]] = {}
    for name, (part, field) in LIMITS.items():
        value = getattr(options, name.replace("-", "_"))
        if value is None:
            continue
        try:
            wanted.setdefault(part, {})[field] = value if name in _WORDS else int(value)
        except ValueError:
            raise InvalidArgumentError(f'invalid value "{value}" for --{name}') from None
    return cast("Resources", wanted)


def _read_resources(path: str) -> Resources:
    try:
        if path == "-":
            document = json.load(sys.stdin)
        else:
            with open(path, "rb") as file:
                document = json.load(file)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f'cannot read resources "{path}": {error}') from error
    if not isinstance(document, dict):
        raise InvalidArgumentError(f'resources "{path}" are not an object')
    # Engines send what is not to be changed as zero or "", see the manual of runc.
    changed = {
        part: {key: value for key, value in fields.items() if value not in (0, "", None)}
        for part, fields in document.items()
        if isinstance(fields, dict)
    }
    return cast("Resources", {part: fields for part, fields in changed.items() if fields})


def _bundle(options: argparse.Namespace) -> tuple[str, Spec]:
    for chosen, name in (
        (options.systemd_cgroup, "--systemd-cgroup"),
        (options.no_pivot, "--no-pivot"),
        (options.no_new_keyring, "--no-new-keyring"),
    ):
        if chosen:
            raise UnimplementedError(f"{name} is not supported")
    bundle = os.path.abspath(options.bundle)
    spec = lifecycle.load(bundle)
    version = spec.get("ociVersion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise InvalidArgumentError(f"unsupported ociVersion {version!r}, it must be 1.x")
    return bundle, spec


def _signal(name: str) -> int:
    if name.isdigit() and 0 < int(name) < signal.NSIG:
        return int(name)
    upper = name.upper()
    number = getattr(signal, upper if upper.startswith("SIG") else f"SIG{upper}", None)
    if not isinstance(number, signal.Signals):
        raise InvalidArgumentError(f'unknown signal "{name}"')
    return number
