"""What a failed step of a plan becomes for the user."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

from knarr.errors import InternalError, InvalidArgumentError, KnarrError, ResourceExhaustedError
from knarr.runtime import command

if TYPE_CHECKING:
    from knarr.runtime.ops import Operation

_PREFIX = "unable to start container process"
_EXHAUSTED = frozenset(
    (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
)


class CommandNotFoundError(InvalidArgumentError):
    """The program to run is not there; a shell would say 127."""

    exit_code = 127


class CommandNotExecutableError(InvalidArgumentError):
    """The program to run is there and cannot be executed; a shell would say 126."""

    exit_code = 126


def of_step(operation: Operation, error: int, program: str) -> KnarrError:
    """The error for ``operation`` that failed with ``error``; ``program`` was to be executed."""
    if operation.what in {command.FIND, command.EXECUTE, command.INTERPRETER}:
        return _of_command(operation.what, error, program)
    kind = ResourceExhaustedError if error in _EXHAUSTED else InternalError
    hint = None
    if operation.text.startswith("open_tree(") and error in {errno.EINVAL, errno.ENOTDIR}:
        hint = "is it a directory mounted onto a file, or a file onto a directory?"
    return kind(f"{_PREFIX}: {operation.what}: {text(error)}", hint=hint)


def of_clone(error: OSError) -> KnarrError:
    """The error when there is no process at all."""
    number = error.errno or 0
    kind = ResourceExhaustedError if number in _EXHAUSTED else InternalError
    return kind(f"{_PREFIX}: clone: {text(number)}")


def of_host(error: OSError) -> KnarrError:
    """The error when something that this process itself did around the start failed."""
    number = error.errno or 0
    kind = ResourceExhaustedError if number in _EXHAUSTED else InternalError
    place = f"{error.filename}: " if error.filename else ""
    return kind(f"{_PREFIX}: {place}{text(number)}")


def of_death(status: int, operation: Operation | None) -> KnarrError:
    """The error when the process ended, with ``status`` of wait(2), before it ran its program."""
    during = f" ({operation.what})" if operation is not None else ""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = "the memory limit may be too small" if number == signal.SIGKILL else None
        return InternalError(f"{_PREFIX}: killed by signal {number}{during}", hint=hint)
    return InternalError(f"{_PREFIX}: ended with status {os.WEXITSTATUS(status)}{during}")


def text(error: int) -> str:
    """The words for an errno, as programs in Go write them: without a capital."""
    words = os.strerror(error)
    return words[:1].lower() + words[1:]


def _of_command(step: str, error: int, program: str) -> KnarrError:
    if error == errno.ENOENT and step == command.FIND:
        missing = (
            f"stat {program}: {text(error)}"
            if "/" in program
            else "executable file not found in $PATH"
        )
        return CommandNotFoundError(f'{_PREFIX}: exec: "{program}": {missing}')
    if error == errno.ENOENT:
        hint = "its interpreter is missing"
        return CommandNotFoundError(f"{_PREFIX}: exec {program}: {text(error)}", hint=hint)
    if error == errno.EACCES:
        return CommandNotExecutableError(f'{_PREFIX}: exec: "{program}": {text(error)}')
    return CommandNotExecutableError(f"{_PREFIX}: exec {program}: {text(error)}")
