"""``knarr logout``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.client.credentials import keychain
from knarr.client.credentials.login import key_of_server
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Forget the name and the password for a registry."""
    key = key_of_server(call.arguments[0] if call.arguments else "")
    print(f"Removing login credentials for {key}", flush=True)
    try:
        keychain.forget(key)
    except KnarrError as error:
        raise CommandError(f"WARNING: could not erase credentials:\n{key}: {error}") from error
    return 0


COMMAND = Command("[SERVER]", execute, arguments=(0, 1))
