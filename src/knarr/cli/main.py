"""From the words on the command line to a command, and from its end to an exit code.

Law: no traceback reaches the user; every failure is one message on standard error. Interrupted is
130, a reader that went away is 141, as a shell says it of a program killed by that signal.
"""

from __future__ import annotations

import posix
import sys
from _io import TextIOWrapper

from knarr.cli import registry
from knarr.cli.command import PROGRAM, Call, CommandError, UsageError, message
from knarr.cli.flags import FlagError, Flags
from knarr.client import address as addresses
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.cli.command import Command
    from knarr.cli.flags import FlagRow

GLOBAL_FLAGS: tuple[FlagRow, ...] = (
    ("config", "", "string", "", "Folder of the client's settings (logins of registries)"),
    ("context", "c", "string", "", "Name of a context (accepted, not used)"),
    ("debug", "D", "", False, "Show tracebacks of faults in knarr itself"),
    ("host", "H", "list", "", "Address of the engine"),
    ("log-level", "l", "string", "info", "How much is logged (accepted, not used)"),
    ("version", "v", "", False, "Print the version and quit"),
)
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit code. Nothing is raised."""
    flags = Flags(GLOBAL_FLAGS, {})
    try:
        words = _parse(flags, "", "[OPTIONS] COMMAND [ARG...]", arguments, interspersed=False)
        return _top(flags, words)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _BROKEN_PIPE
    except (UsageError, CommandError) as error:
        return _fail(str(error), error.code)
    except (KnarrError, OSError) as error:
        return _fail(message(error), 1)
    except Exception as error:
        if flags.on("debug"):
            raise
        kind = type(error).__name__
        return _fail(f"{PROGRAM}: internal error: {kind}: {error} (-D shows where)", 1)


def main() -> int:
    """The whole program, as a console script calls it.

    It ends the process itself, without taking the interpreter apart (3 ms less).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more
        code = code or _BROKEN_PIPE
    posix._exit(code)  # noqa: SLF001 (public as os._exit)


def _fail(text: str, code: int) -> int:
    if text:
        try:
            sys.stdout.flush()
            sys.stderr.write(text + "\n")
        except OSError:
            return code
    return code


def _top(flags: Flags, words: list[str]) -> int:
    if flags.given("config"):
        posix.environ[b"DOCKER_CONFIG"] = flags.text("config").encode("utf-8", "surrogateescape")
    if flags.on("version"):
        from knarr import __version__

        print(f"{PROGRAM} version {__version__}")
        return 0
    if flags.wants_help or not words:
        from knarr.cli.help import print_overview

        return print_overview(GLOBAL_FLAGS)
    taken = 2 if words[0] in registry.GROUPS else 1
    if taken == 2 and (len(words) == 1 or words[1] in ("--help", "-h")):
        from knarr.cli.help import print_group

        return print_group(words[0])
    path, rest = tuple(words[:taken]), words[taken:]
    target = registry.module(path)
    if target is None:
        raise _unknown(path)
    return _dispatch(flags, target, " ".join(path), rest)


def _dispatch(flags: Flags, target: str, words: str, rest: list[str]) -> int:
    if target == "daemon":
        from knarr.cli.daemon import become_daemon

        return become_daemon(flags.many("host"), rest)
    if target == "registry.serve":
        from knarr.cli.daemon import become_registry

        return become_registry(rest)
    place = "knarr.cli." + registry.FILES.get(target, target)
    command: Command = __import__(place, fromlist=("COMMAND",)).COMMAND
    own = Flags(command.flags, command.checks)
    arguments = _parse(own, words, command.usage, rest, interspersed=command.interspersed)
    if own.wants_help:
        from knarr.cli.help import print_command

        return print_command(words, target, command, deprecated=own.shorthand_help)
    _count(command, words, arguments)
    call = Call(words, own, arguments, _address(flags))
    try:
        return command.execute(call)
    finally:
        call.close()


def _address(flags: Flags) -> addresses.Address:
    return addresses.find(flags.many("host"))


def _parse(
    flags: Flags, words: str, usage: str, arguments: Sequence[str], *, interspersed: bool
) -> list[str]:
    try:
        return flags.parse(arguments, interspersed=interspersed)
    except FlagError as error:
        called = f"{PROGRAM} {words}".rstrip()
        raise UsageError(
            f"{error}\n\nUsage:  {called} {usage}\n\nRun '{called} --help' for more information",
            125,
        ) from None


def _count(command: Command, words: str, arguments: list[str]) -> None:
    """Refuse too few or too many arguments, in docker's words."""
    least, most, count = command.least, command.most, len(arguments)
    if count >= least and (most is None or count <= most):
        return
    hint = "Run"
    if most is None:
        problem = f"requires at least {least} argument{'s' if least > 1 else ''}"
        hint = "See"
    elif most == 0:
        problem = "accepts no arguments"
    elif least == most:
        problem = f"requires {least} argument{'s' if least > 1 else ''}"
    elif least == 0:
        problem = f"requires at most {most} argument{'s' if most > 1 else ''}"
    else:
        problem = f"requires at least {least} and at most {most} arguments"
    called = f"{PROGRAM} {words}"
    raise UsageError(
        f"{PROGRAM}: '{called}' {problem}\n\nUsage:  {called} {command.usage}\n\n"
        f"{hint} '{called} --help' for more information"
    )


def _unknown(path: tuple[str, ...]) -> UsageError:
    group = f"{PROGRAM} {path[0]}" if len(path) > 1 else PROGRAM
    usage = f"Usage:  {group}\n\n" if len(path) > 1 else ""
    return UsageError(
        f"{PROGRAM}: unknown command: {PROGRAM} {' '.join(path)}\n\n"
        f"{usage}Run '{group} --help' for more information"
    )
