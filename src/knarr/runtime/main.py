"""``knarr-runtime``: the runtime as an OCI runtime command line.

Its commands and options are those that engines use of runc. What cannot be done as asked for is
refused, never ignored. Source: OCI runtime-spec runtime.md, and the command line interface that
opencontainers "runtime-tools" tests.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from knarr import __version__
from knarr.errors import KnarrError
from knarr.runtime import execverb, features, inspection, invocation, memfd, verbs
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError
from knarr.runtime.state import OCI_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROOT = "/run/knarr-runtime"
_VERSION = f"{invocation.NAME} version {__version__}\nspec: {OCI_VERSION}"
_STARTING = {"run", "create", "exec"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; 0, 1 for an error, or the exit code of the process that was run."""
    options = _parser().parse_args(arguments)
    options.root = os.path.abspath(options.root)
    try:
        if options.command in _STARTING:
            memfd.reexec_from_memfd()
        code: int = options.act(options)
    except KnarrError as error:
        invocation.report(options, str(error))
        command = isinstance(error, CommandNotFoundError | CommandNotExecutableError)
        return error.exit_code if command else 1
    except OSError as error:
        invocation.report(options, f"{error.filename or options.command}: {error.strerror}")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=invocation.NAME,
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", "-v", action="version", version=_VERSION)
    parser.add_argument("--root", default=_ROOT, metavar="DIR", help="where states are kept")
    parser.add_argument("--log", metavar="FILE", help="write errors to this file, too")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="accepted; nothing more is told")
    parser.add_argument("--systemd-cgroup", action="store_true", help="refused where it matters")
    parser.add_argument(
        "--rootless", choices=("auto", "false"), default="auto", help="accepted; root is needed"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = _Adder(commands)
    _add_starting(add)
    start = add("start", verbs.start)
    state = add("state", inspection.state)
    kill = add("kill", verbs.kill)
    delete = add("delete", verbs.delete)
    update = add("update", verbs.update)
    ps = add("ps", inspection.ps)
    for command in (start, state, kill, delete, update, ps):
        command.add_argument("container", metavar="ID")
    add("pause", verbs.pause).add_argument("container", metavar="ID")
    add("resume", verbs.resume).add_argument("container", metavar="ID")
    kill.add_argument("signal", nargs="?", default="SIGTERM")
    kill.add_argument("--all", "-a", action="store_true")
    delete.add_argument("--force", "-f", action="store_true")
    update.add_argument("--resources", "-r", metavar="FILE", help="JSON, - is standard input")
    for name in verbs.LIMITS:
        update.add_argument(f"--{name}", metavar="VALUE")
    listing = add("list", inspection.list_)
    listing.add_argument("--quiet", "-q", action="store_true")
    for command in (listing, ps):
        command.add_argument("--format", "-f", choices=("table", "json"), default="table")
    add("features", features.features)
    return parser


class _Adder:
    """Adds commands to the parser; their help is the first line of what carries them out."""

    def __init__(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        self._commands = commands

    def __call__(
        self, name: str, act: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        text = (act.__doc__ or "").partition(": ")[2]
        command = self._commands.add_parser(name, help=text, allow_abbrev=False)
        command.set_defaults(act=act)
        return command


def _add_starting(add: _Adder) -> None:
    """The commands that start a process."""
    run, create, execute = (
        add("run", verbs.run),
        add("create", verbs.create),
        add("exec", execverb.exec),
    )
    for command in (run, create):
        command.add_argument("--bundle", "-b", default=".", metavar="DIR")
        command.add_argument("--no-pivot", action="store_true", help="refused")
        command.add_argument("--no-new-keyring", action="store_true", help="refused")
    run.add_argument("--keep", action="store_true", help="do not delete it at its end")
    run.add_argument("--no-subreaper", action="store_true", help="accepted; there is none")
    for name, short, meaning in (
        ("--cwd", None, "working directory"),
        ("--user", "-u", "UID[:GID]"),
        ("--process", "-p", "file with the process, as JSON"),
        ("--process-label", None, "SELinux label"),
        ("--apparmor", None, "AppArmor profile"),
        ("--cgroup", None, "refused"),
    ):
        names = (name, short) if short else (name,)
        execute.add_argument(*names, help=meaning)
    for name, short in (("--env", "-e"), ("--additional-gids", "-g"), ("--cap", "-c")):
        execute.add_argument(name, short, action="append", default=[])
    execute.add_argument("--tty", "-t", action="store_true")
    execute.add_argument("--no-new-privs", action="store_true")
    execute.add_argument("--ignore-paused", action="store_true")
    for command in (run, execute):
        command.add_argument("--detach", "-d", action="store_true")
    for command in (run, create, execute):
        command.add_argument("--console-socket", metavar="PATH")
        command.add_argument("--pid-file", metavar="FILE")
        command.add_argument("--preserve-fds", type=_count, default=0, metavar="N")
        command.add_argument("container", metavar="ID")
    execute.add_argument("args", nargs=argparse.REMAINDER, metavar="PROGRAM")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
