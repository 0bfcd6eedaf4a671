"""``knarr daemon`` and ``knarr registry serve``: become the engine, or a registry.

The command line may not import either, so it replaces itself with an interpreter that does.
"""

from __future__ import annotations

import os

from knarr.client.autostart import engine_command, program_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def become_daemon(hosts: Sequence[str], arguments: Sequence[str]) -> NoReturn:
    """Replace this process; hosts given before the word ``daemon`` count as the engine's own.

    Errors: ``OSError`` if there is no interpreter to run.
    """
    options = [option for host in hosts for option in ("-H", host)]
    command = engine_command([*options, *arguments])
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


def become_registry(arguments: Sequence[str]) -> NoReturn:
    """Replace this process with a registry server; errors as of ``become_daemon``."""
    command = program_command("knarr.daemon.registry", arguments)
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)
