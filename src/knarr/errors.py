"""The error categories of knarr.

Law: every error that reaches a user is a ``KnarrError`` of one of these categories. A category
carries the HTTP status that the Docker Engine API gives for it and the exit code of the command
line. A package may subclass a category where a caller must tell cases apart
(``DigestMismatch(DataLoss)``), never to hold one sentence.

Messages are lower-case, say what was attempted and name the object in double quotes.

Sources: containerd ``errdefs`` for the set, moby ``errdefs`` and the Engine API for the statuses.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs more than all the rest of a short command
if TYPE_CHECKING:
    from typing import ClassVar


class KnarrError(Exception):
    """The base of all errors that knarr reports.

    ``message`` is shown to the user; ``hint`` says what may help; ``detail`` holds what only a
    log needs. It travels between processes as ``(category, message, hint)``, see ``from_wire``.
    """

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    @property
    def category(self) -> str:
        """The name of the category, as it travels on the wire."""
        for cls in type(self).__mro__:
            if cls.__name__ in CATEGORIES:
                return cls.__name__
        return "Internal"

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class NotFoundError(KnarrError):
    """The named object does not exist."""

    http_status = 404


class AlreadyExistsError(KnarrError):
    """An object of that name exists; Docker answers 409."""

    http_status = 409


class InvalidArgumentError(KnarrError):
    """The request itself is wrong, whatever the state."""

    http_status = 400
    exit_code = 125


class FailedPreconditionError(KnarrError):
    """The state of the object does not allow the operation; Docker answers 409."""

    http_status = 409


class ConflictError(KnarrError):
    """Another object or operation stands in the way (a name in use, an image in use)."""

    http_status = 409


class PermissionDeniedError(KnarrError):
    """The caller may not do this; Docker answers 403."""

    http_status = 403


class UnauthenticatedError(KnarrError):
    """Credentials are missing or wrong; Docker answers 401."""

    http_status = 401


class UnavailableError(KnarrError):
    """Something that is needed does not answer now; trying again may help."""

    http_status = 503


class ResourceExhaustedError(KnarrError):
    """Disk, memory, descriptors or another limit is used up."""

    http_status = 500


class UnimplementedError(KnarrError):
    """knarr does not do this (yet, or here); Docker answers 501."""

    http_status = 501


class NotModifiedError(KnarrError):
    """The object is already in the wanted state; Docker answers 304 without a body."""

    http_status = 304
    exit_code = 0


class DataLossError(KnarrError):
    """Content is damaged: a digest or a length does not match."""

    http_status = 500


class InternalError(KnarrError):
    """A fault of knarr itself."""

    http_status = 500


CATEGORIES: dict[str, type[KnarrError]] = {
    cls.__name__: cls
    for cls in (
        NotFoundError,
        AlreadyExistsError,
        InvalidArgumentError,
        FailedPreconditionError,
        ConflictError,
        PermissionDeniedError,
        UnauthenticatedError,
        UnavailableError,
        ResourceExhaustedError,
        UnimplementedError,
        NotModifiedError,
        DataLossError,
        InternalError,
    )
}


def from_wire(category: str, message: str, hint: str | None = None) -> KnarrError:
    """Rebuild an error that came from another process; an unknown category is an internal error."""
    return CATEGORIES.get(category, InternalError)(message, hint=hint)
