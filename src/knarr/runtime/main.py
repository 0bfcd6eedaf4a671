"""``knarr-runtime``: the runtime as an OCI runtime command line.

Its commands and options are those that engines use of runc: run, create, start, state, kill,
delete. Source: OCI runtime-spec runtime.md, and the command line interface that opencontainers
"runtime-tools" tests.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from knarr import __version__
from knarr.errors import InvalidArgumentError, KnarrError
from knarr.runtime import foreground, hooks, lifecycle, memfd
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError
from knarr.runtime.process import Stdio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.runtime_spec import Spec
    from knarr.runtime.state import State

_ROOT = "/run/knarr-runtime"


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; 0, 1 for an error, or the exit code of the container for `run`."""
    options = _parser().parse_args(arguments)
    options.root = os.path.abspath(options.root)
    try:
        if options.command in {"run", "create"}:
            memfd.reexec_from_memfd()
        code: int = options.act(options)
    except KnarrError as error:
        _report(options, str(error))
        command = isinstance(error, CommandNotFoundError | CommandNotExecutableError)
        return error.exit_code if command else 1
    except OSError as error:
        _report(options, f"{error.filename or options.command}: {error.strerror}")
        return 1
    return code


def run(options: argparse.Namespace) -> int:
    """``run``: create, start, wait, delete. With ``--detach`` it does not wait."""
    bundle, spec = _bundle(options)
    terminal = bool(spec.get("process", {}).get("terminal"))
    ours: socket.socket | None = None
    console = _console(options, terminal=terminal, needed=options.detach)
    if terminal and console is None:
        ours, console = socket.socketpair()
    stdio = Stdio(0, 1, 2, console.fileno() if console else -1)
    if not options.detach:
        foreground.hold_signals()
    running = lifecycle.run(spec, bundle, options.container, stdio=stdio, state_root=options.root)
    _warn(running.warnings)
    _write_pid(options, running.pid)
    if options.detach:
        return 0
    master = foreground.receive(ours) if ours else -1
    code = foreground.wait(running, master)
    _warn(lifecycle.delete(options.root, options.container))
    return code


def create(options: argparse.Namespace) -> int:
    """``create``: everything but the program, which waits for ``start``."""
    bundle, spec = _bundle(options)
    terminal = bool(spec.get("process", {}).get("terminal"))
    console = _console(options, terminal=terminal, needed=True)
    stdio = Stdio(0, 1, 2, console.fileno() if console else -1)
    running = lifecycle.create(
        spec, bundle, options.container, stdio=stdio, state_root=options.root
    )
    _warn(running.warnings)
    try:
        _write_pid(options, running.pid)
    except OSError:
        lifecycle.delete(options.root, options.container, force=True)
        raise
    return 0


def start(options: argparse.Namespace) -> int:
    """``start``: let a created container execute its program."""
    _warn(lifecycle.start(options.root, options.container))
    return 0


def state(options: argparse.Namespace) -> int:
    """``state``: print the state as JSON."""
    seen: State = lifecycle.state(options.root, options.container)
    shown = hooks.public(seen)
    if seen["status"] == "stopped":
        shown["pid"] = 0
    shown["created"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seen["created"]))
    sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    return 0


def kill(options: argparse.Namespace) -> int:
    """``kill``: send a signal."""
    number = _signal(options.signal)
    lifecycle.kill(options.root, options.container, number, everyone=options.all)
    return 0


def delete(options: argparse.Namespace) -> int:
    """``delete``: remove a stopped container."""
    _warn(lifecycle.delete(options.root, options.container, force=options.force))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="knarr-runtime", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"knarr-runtime {__version__}")
    parser.add_argument("--root", default=_ROOT, metavar="DIR", help="where states are kept")
    parser.add_argument("--log", metavar="FILE", help="write errors to this file, too")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="accepted; nothing more is told")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for act in (run, create, start, state, kill, delete):
        name = act.__name__
        command = commands.add_parser(name, help=(act.__doc__ or "").partition(": ")[2])
        command.set_defaults(act=act)
        command.add_argument("container", metavar="ID")
        if act in (run, create):
            command.add_argument("--bundle", "-b", default=".", metavar="DIR")
            command.add_argument("--console-socket", metavar="PATH")
            command.add_argument("--pid-file", metavar="FILE")
    commands.choices["run"].add_argument("--detach", "-d", action="store_true")
    commands.choices["kill"].add_argument("signal", nargs="?", default="SIGTERM")
    commands.choices["kill"].add_argument("--all", "-a", action="store_true")
    commands.choices["delete"].add_argument("--force", "-f", action="store_true")
    return parser


def _bundle(options: argparse.Namespace) -> tuple[str, Spec]:
    bundle = os.path.abspath(options.bundle)
    spec = lifecycle.load(bundle)
    version = spec.get("ociVersion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise InvalidArgumentError(f"unsupported ociVersion {version!r}, it must be 1.x")
    return bundle, spec


def _console(options: argparse.Namespace, *, terminal: bool, needed: bool) -> socket.socket | None:
    path = options.console_socket
    if path and not terminal:
        raise InvalidArgumentError("a console socket has no use without process.terminal")
    if not path:
        if terminal and needed:
            raise InvalidArgumentError("a detached terminal needs --console-socket")
        return None
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        console.connect(path)
    except OSError as error:
        console.close()
        raise InvalidArgumentError(f"console socket {path}: {error.strerror}") from error
    return console


def _signal(name: str) -> int:
    if name.isdigit() and 0 < int(name) < signal.NSIG:
        return int(name)
    upper = name.upper()
    number = getattr(signal, upper if upper.startswith("SIG") else f"SIG{upper}", None)
    if not isinstance(number, signal.Signals):
        raise InvalidArgumentError(f'unknown signal "{name}"')
    return number


def _write_pid(options: argparse.Namespace, pid: int) -> None:
    if not options.pid_file:
        return
    staged = f"{options.pid_file}.{os.getpid()}"
    with open(staged, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(staged, options.pid_file)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        sys.stderr.write(f"knarr-runtime: warning: {warning}\n")


def _report(options: argparse.Namespace, message: str) -> None:
    sys.stderr.write(f"knarr-runtime: {message}\n")
    if not options.log:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if options.log_format == "json":
        line = json.dumps({"level": "error", "msg": message, "time": now})
    else:
        line = f'time="{now}" level=error msg={json.dumps(message)}'
    try:
        with open(options.log, "a", encoding="utf-8") as log:
            log.write(line + "\n")
    except OSError as error:
        sys.stderr.write(f"knarr-runtime: {options.log}: {error.strerror}\n")


if __name__ == "__main__":
    sys.exit(main())
