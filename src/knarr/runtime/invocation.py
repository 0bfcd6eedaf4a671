"""What the commands of ``knarr-runtime`` have in common: descriptors, files, warnings."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime.process import Stdio

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

NAME = "knarr-runtime"


def stdio(options: argparse.Namespace, console: socket.socket | None) -> Stdio:
    """Our own streams, and those that ``--preserve-fds`` names, for the new process."""
    number = options.preserve_fds
    for descriptor in range(3, 3 + number):
        try:
            os.fstat(descriptor)
        except OSError:
            raise InvalidArgumentError(
                f"--preserve-fds {number}: descriptor {descriptor} is not open"
            ) from None
    return Stdio(0, 1, 2, console.fileno() if console else -1, number)


def connect(path: str | None, *, terminal: bool, needed: bool) -> socket.socket | None:
    """The socket that the terminal is sent to, None when there is none to be sent."""
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


def write_pid(options: argparse.Namespace, pid: int) -> None:
    """Write the ``--pid-file``, if one is wanted: whole or not at all."""
    if not options.pid_file:
        return
    staged = f"{options.pid_file}.{os.getpid()}"
    with open(staged, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(staged, options.pid_file)


def warn(warnings: Sequence[str]) -> None:
    """Tell what was not done as asked for."""
    for warning in warnings:
        sys.stderr.write(f"{NAME}: warning: {warning}\n")


def report(options: argparse.Namespace, message: str) -> None:
    """Tell an error on standard error and in the ``--log``."""
    sys.stderr.write(f"{NAME}: {message}\n")
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
        sys.stderr.write(f"{NAME}: {options.log}: {error.strerror}\n")
