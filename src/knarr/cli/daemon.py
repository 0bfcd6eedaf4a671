"""``knarr daemon``: become the engine.

The command line may not import the engine, so it replaces itself with an interpreter that does.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def engine_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs the engine with this interpreter.

    The current directory must not be searched for modules: ``-I`` where this process was started
    so, else ``-P``, which keeps ``PYTHONPATH``.
    """
    isolation = "-I" if sys.flags.isolated else "-P"
    return [sys.executable, isolation, "-m", "knarr.daemon", *arguments]


def become_daemon(hosts: Sequence[str], arguments: Sequence[str]) -> NoReturn:
    """Replace this process; hosts given before the word ``daemon`` count as the engine's own.

    Errors: ``OSError`` if there is no interpreter to run.
    """
    options = [option for host in hosts for option in ("-H", host)]
    command = engine_command([*options, *arguments])
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)
