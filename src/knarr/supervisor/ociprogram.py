"""Calling the program of another OCI runtime, and telling what it said when it failed.

The command line is that of runc, which all of them take: ``--root DIR --log FILE --log-format json
COMMAND ...`` (OCI runtime-spec runtime.md for the commands, runc's manual for the options).

Law: the program ends with the thread that calls it (PR_SET_PDEATHSIG), so that whoever cleans up
after a killed supervisor has nobody beside him; and it does not hang for ever: after
``SECONDS`` it is killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import FailedPreconditionError, InternalError, KnarrError
from knarr.runtime import command, execute, ops, plan
from knarr.runtime.process import Stdio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.runtime.ops import Operation
    from knarr.supervisor.ociplace import Place

SECONDS = 120
NULL = Stdio(-1, -1, -1)
_OUTPUT_LIMIT = 4000
_FEATURES_LIMIT = 1 << 20
_GONE = (
    "not running",
    "does not exist",
    "already finished",
    "no such process",
    "is stopped",
    "in the stopped state",
    "not paused",
    "in state running",
    "in state stopped",
)


class Program(NamedTuple):
    """A runtime: its program, and the arguments that stand before every command."""

    path: str
    arguments: tuple[str, ...] = ()

    def call(
        self,
        place: Place,
        *words: str,
        stdio: Stdio = NULL,
        before: Sequence[Operation] = (),
    ) -> None:
        """Run a command to its end, after the operations ``before`` in the same process.

        Raises ``FailedPreconditionError`` when it says that the container is not running (or not
        paused), and ``InternalError`` with its words for any other failure.
        """
        self._check()
        log = f"log-{threading.get_ident()}.json"
        argv = [
            self.path, *self.arguments, "--root", place.state, "--log", f"{place.path}/{log}",
            "--log-format", "json", *words,
        ]  # fmt: skip
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        nothing, into = os.pipe2(os.O_CLOEXEC)
        os.close(into)
        try:
            private = _without_host_devices(stdio, nothing, output)
            status = _run(argv, place.path, private, before)
            if status:
                said = os.fsdecode(os.pread(output, _OUTPUT_LIMIT, 0)).strip()
                raise self._failure(words[0], status, place.read(log), said)
        finally:
            os.close(output)
            os.close(nothing)
            place.discard(log)

    def mount_options(self) -> frozenset[str]:
        """The mount options that the runtime says it knows (``features``); none if it says nothing.

        Source: OCI runtime-spec features.md.
        """
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            if _run([self.path, *self.arguments, "features"], "/", Stdio(-1, output, -1), ()):
                return frozenset()
            told = json.loads(os.pread(output, _FEATURES_LIMIT, 0))
            return frozenset(map(str, told["mountOptions"]))
        except (ValueError, KeyError, TypeError):
            return frozenset()
        finally:
            os.close(output)

    def _check(self) -> None:
        """A program that is not there is told as such, and not as the container's."""
        try:
            os.stat(self.path)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise InternalError(f'runtime program "{self.path}": stat: {reason}') from error
        if not os.access(self.path, os.X_OK):
            raise InternalError(f'runtime program "{self.path}": permission denied')

    def _failure(self, verb: str, status: int, log: str, said: str) -> KnarrError:
        errors = _errors(log) or _spoken(said)
        message = errors[-1] if errors else ""
        # The first one is nearest to the cause.
        hint = errors[0] if errors and errors[0] not in message else None
        if not message:
            ended = "was killed" if status < 0 else f"ended with status {status}"
            message = f"{os.path.basename(self.path)} {verb} {ended} and did not say why"
            hint = f'it may be a runtime without the command "{verb}"' if said else None
        if any(words in message.lower() for words in _GONE):
            return FailedPreconditionError(message)
        return InternalError(message.removeprefix("exec failed: "), hint=hint, detail=said)


def _without_host_devices(stdio: Stdio, nothing: int, output: int) -> Stdio:
    """The streams, without what is missing or a device such as the host's /dev/null.

    runsc gives what it gets to the user "nobody", whoever else uses it.
    """
    streams = [
        private if given < 0 or stat.S_ISCHR(os.fstat(given).st_mode) else given
        for given, private in zip(stdio[:3], (nothing, output, output), strict=True)
    ]
    return stdio._replace(stdin=streams[0], stdout=streams[1], stderr=streams[2])


def _run(argv: list[str], folder: str, stdio: Stdio, before: Sequence[Operation]) -> int:
    """Run a program in ``folder``; its exit code, negative for a signal."""
    talk = execute.Conversation()
    try:
        environment = [f"{key}={value}" for key, value in os.environ.items()]
        operations = (
            ops.die_with_parent(),
            ops.take_stdio(stdio[:3]),
            ops.close_others((talk.theirs,)),
            ops.new_session(),
            ops.set_umask(0o022),
            *before,
            ops.change_directory(folder),
            ops.tell(talk.theirs, ops.EXECUTING),
            ops.close_on_exec(),
            command.execute_file(argv[0], argv, environment),
        )
        child = talk.conversing(plan.Plan(0, operations), argv[0], {})
    finally:
        talk.close()
    try:
        waiter = select.poll()
        waiter.register(child.pidfd, select.POLLIN)
        late = not waiter.poll(SECONDS * 1000)
        if late:
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(execute.reap(child.pidfd))
    finally:
        os.close(child.pidfd)
    if late:
        raise InternalError(f"{os.path.basename(argv[0])} did not end within {SECONDS} s")
    return status


def _spoken(said: str) -> list[str]:
    """What a program has said that may be its error: its only line, or that a Go program broke."""
    lines = said.splitlines()
    if len(lines) == 1:
        return lines
    return [line for line in lines if line.startswith(("panic: ", "fatal error: "))][:1]


def _errors(log: str) -> list[str]:
    """The errors in a log of JSON documents, which are lines for most runtimes but not for all."""
    found = []
    decoder = json.JSONDecoder()
    at = 0
    while (at := log.find("{", at)) >= 0:
        try:
            entry, at = decoder.raw_decode(log, at)
        except ValueError:
            at += 1
            continue
        if entry.get("level") in {"error", "fatal"}:
            found.append(str(entry.get("msg", "")))
    return found
