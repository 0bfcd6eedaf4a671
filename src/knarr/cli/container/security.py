"""``--security-opt``: what is read here (a seccomp profile's file), what the engine gets."""

from __future__ import annotations

from knarr.cli.command import CommandError
from knarr.client import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_PROFILE_LIMIT = 4 * 1024 * 1024


def options(texts: Iterable[str]) -> dict[str, Any]:
    """The parts of the host configuration that they set.

    Errors: ``CommandError`` for an unknown form or a profile that cannot be read.
    """
    found: dict[str, Any] = {"SecurityOpt": []}
    for text in texts:
        if text == "systempaths=unconfined":
            found["MaskedPaths"] = found["ReadonlyPaths"] = []
            continue
        found["SecurityOpt"].append(_option(text))
    return found


def _option(text: str) -> str:
    name, found, value = text.partition("=")
    if not found and name != "no-new-privileges":
        name, found, value = text.partition(":")
        if not found:
            raise CommandError(f'Invalid --security-opt: "{text}"')
    if name == "seccomp" and value not in ("unconfined", "builtin"):
        return f"seccomp={_profile(value)}"
    return text


def _profile(path: str) -> str:
    """A profile's text, without the space."""
    try:
        with open(path, "rb") as file:
            text = file.read(_PROFILE_LIMIT)
    except OSError as error:
        reason = f"open {path}: {(error.strerror or '').lower()}"
        raise CommandError(f"opening seccomp profile ({path}) failed: {reason}") from None
    try:
        return jsontext.dumps(jsontext.loads(text))
    except ValueError as error:
        raise CommandError(
            f"compacting json for seccomp profile ({path}) failed: {error}"
        ) from None
