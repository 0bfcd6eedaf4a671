"""What goes wrong with a registry, in Docker's words.

Two steps: a ``RefusedError`` is an answer of a registry that is not what was asked for, as it came.
What it means depends on what was attempted; ``refused_pull`` and ``refused_push`` say it.

Sources: the error codes of the OCI distribution spec; the words that dockerd and docker give.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.errors import (
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.oci.reference import Reference
    from knarr.remotes.challenge import Challenge

_LONGEST_MESSAGE = 500
_STANDARD = {
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "TOOMANYREQUESTS": "too many requests",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAVAILABLE": "service unavailable",
}
_UNKNOWN = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
_BEARER_ERRORS = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}
_CODE = re.compile(r"[A-Z][A-Z_]{0,63}", re.ASCII)


class RegistryUnavailableError(UnavailableError):
    """The registry does not answer, or answers that it cannot. Docker's status for it is 500."""

    http_status = 500


class RegistryUnauthorizedError(UnauthenticatedError):
    """The registry wants other credentials. Docker answers 500: it is not the engine's client."""

    http_status = 500


class DroppedError(RegistryUnavailableError):
    """The registry was not reached, or the connection ended early; trying again may help.

    ``reached`` tells that the connection was there. ``is_permanent``: trying again does not help.
    """

    reached = True
    is_permanent = False


class Fault(NamedTuple):
    """One error of a registry's answer."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code.lower().replace('_', ' ')}: {self.message}"


class RefusedError(KnarrError):
    """An answer with a status that was not asked for."""

    def __init__(
        self, status: int, faults: Sequence[Fault], *, retry_after: float | None = None
    ) -> None:
        words = str(faults[0]) if faults else f"received unexpected HTTP status: {_named(status)}"
        super().__init__(words)
        self.status = status
        self.code = faults[0].code if faults else ""
        self.retry_after = retry_after

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (408, 429) or (self.status >= 500 and self.status not in (501, 505))

    def translated(self) -> KnarrError:
        """What it means where nothing more is known."""
        return _refused(self)

    @property
    def is_absence(self) -> bool:
        """Whether it says that the thing is not there."""
        return self.status == 404 or self.code in _UNKNOWN


class _Error(msgspec.Struct):
    code: str | int = ""
    message: str | None = ""


class _Body(msgspec.Struct):
    errors: list[_Error] | None = None
    details: str | None = None
    error: str | None = None
    error_description: str | None = None


def faults(
    status: int, challenges: Sequence[Challenge], body: bytes, secrets: Iterable[str] = ()
) -> list[Fault]:
    """What an answer says in its challenges and its JSON; ``secrets`` are blotted out."""
    found = [
        Fault(code, each.parameters.get("error_description") or _STANDARD[code])
        for each in challenges
        if (code := _BEARER_ERRORS.get(each.parameters.get("error", ""))) is not None
    ]
    try:
        said = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = _Body()
    for error in said.errors or ():
        code = str(error.code).upper()
        code = code if _CODE.fullmatch(code) else "UNKNOWN"
        found.append(Fault(code, error.message or _STANDARD.get(code, "unknown error")))
    by_status = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}.get(status)
    if not found and by_status:
        text = said.details or said.error_description or _STANDARD[by_status]
        found.append(Fault(by_status, text))
    return [Fault(each.code, shown(each.message, secrets)) for each in found]


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """What a registry wrote, fit to be shown: one line, not long, without our secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "xxxxx")
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * _LONGEST_MESSAGE])
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"


def refused_pull(refusal: RefusedError, name: Reference) -> KnarrError:
    """What a refusal means for who wanted to read ``name``."""
    text = refusal.message
    if refusal.code == "DENIED":
        return NotFoundError(
            f"pull access denied for {name.familiar_name}, "
            f"repository does not exist or may require 'docker login': {text}"
        )
    if refusal.code == "MANIFEST_UNKNOWN":
        return NotFoundError(f"manifest for {name.familiar()} not found: {text}")
    if refusal.code == "NAME_UNKNOWN":
        return NotFoundError(f"repository {name.familiar_name} not found: {text}")
    return _refused(refusal)


def refused_push(refusal: RefusedError, name: Reference) -> KnarrError:
    """What a refusal means for who wanted to write to ``name``."""
    del name  # Docker has named it before
    if refusal.code == "DENIED":
        return PermissionDeniedError(refusal.message)
    return _refused(refusal)


def _refused(refusal: RefusedError) -> KnarrError:
    text = refusal.message
    if refusal.is_absence:
        return NotFoundError(text)
    if refusal.status == 401 or refusal.code == "UNAUTHORIZED":
        return RegistryUnauthorizedError(text)
    if refusal.status == 403:
        return PermissionDeniedError(text)
    if refusal.status == 429:
        later = refusal.retry_after
        hint = f"the registry says to try again in {later:.0f} seconds" if later else None
        return ResourceExhaustedError(text, hint=hint)
    if refusal.status < 500:
        return InvalidArgumentError(text)
    return RegistryUnavailableError(text)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
