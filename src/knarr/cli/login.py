"""``knarr login``."""

from __future__ import annotations

import os
import sys

from knarr.cli.command import Command, CommandError, message
from knarr.client.credentials import keychain
from knarr.client.credentials.login import HUB_KEY, Login, key_of_server
from knarr.client.session import EngineError
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call

_NO_TERMINAL = "Error: Cannot perform an interactive login from a non TTY device"
_LONGEST = 64 << 10


def execute(call: Call) -> int:
    """Let the engine check a name and a password with a registry, and remember them."""
    flags = call.flags
    _check(call)
    key = key_of_server(call.arguments[0] if call.arguments else "")
    username = flags.text("username")
    if flags.given("password"):
        _warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if flags.on("password-stdin"):
        entry = Login(username, _from_input())
    elif flags.given("password") and username:
        entry = Login(username, flags.text("password"))
    else:
        known = _known(key)
        if known and not username and not flags.given("password"):
            print(f"Authenticating with existing credentials... [Username: {known.username}]")
            if _log_in(call, key, known, is_new=False):
                return 0
        entry = _asked(key, username or known.username, flags.text("password"))
    _log_in(call, key, entry, is_new=True)
    return 0


def _check(call: Call) -> None:
    flags = call.flags
    if not flags.on("password-stdin"):
        return
    if flags.given("password"):
        raise CommandError(
            "conflicting options: cannot specify both --password and --password-stdin"
        )
    if not flags.text("username"):
        raise CommandError("the --password-stdin option requires --username to be set")


def _known(key: str) -> Login:
    try:
        return keychain.find(key)
    except (KnarrError, OSError) as error:
        _warn(f"WARNING: {error}")
        return Login()


def _log_in(call: Call, key: str, entry: Login, *, is_new: bool) -> bool:
    """Check and keep; what is known already may fail without an error."""
    body = {
        "username": entry.username,
        "password": entry.password,
        "identitytoken": entry.identity_token,
        "serveraddress": key,
    }
    try:
        answer = call.session.post("/auth", (), body) or {}
    except KnarrError as error:
        if is_new or not isinstance(error, EngineError):
            raise
        _warn(f"Login did not succeed, error: {message(error)}")
        return False
    token = str(answer.get("IdentityToken") or "")
    if is_new or token:
        _keep(key, Login(entry.username, "", token) if token else entry)
    print(answer.get("Status") or "Login Succeeded")
    return True


def _keep(key: str, entry: Login) -> None:
    kept = keychain.keep(key, entry)
    if not kept.helper:
        _warn(
            f"\nWARNING! Your credentials are stored unencrypted in '{kept.path}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n"
        )


def _from_input() -> str:
    """The password on standard input, without the end of its line."""
    raw = sys.stdin.buffer.read(_LONGEST)
    text = raw.decode("utf-8", "surrogateescape")
    return text.removesuffix("\n").removesuffix("\r")


def _asked(key: str, username: str, password: str) -> Login:
    """What the person at the terminal says; raises ``CommandError``."""
    if not os.isatty(0):
        raise CommandError(_NO_TERMINAL)
    if not username or not password:
        shown = "Docker Hub" if key == HUB_KEY else key
        print(f"Log in to {shown}. For Docker Hub an access token may stand for the password.")
    default = f" ({username})" if username else ""
    username = _line(f"Username{default}: ") or username
    if not username:
        raise CommandError("Error: Non-null Username Required")
    if not password:
        from getpass import getpass

        password = getpass("Password: ")
    if not password:
        raise CommandError("Error: Password Required")
    return Login(username, password)


def _line(prompt: str) -> str:
    sys.stdout.write(prompt)
    sys.stdout.flush()
    return sys.stdin.readline().strip()


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


COMMAND = Command(
    "[OPTIONS] [SERVER]",
    execute,
    (
        (
            "password",
            "p",
            "string",
            "",
            "Password or access token (others can see it: prefer stdin)",
        ),
        ("password-stdin", "", "", False, "Read the password from standard input"),
        ("username", "u", "string", "", "Name of the user"),
    ),
    arguments=(0, 1),
)
