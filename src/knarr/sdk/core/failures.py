"""What goes wrong, in the categories of ``knarr.errors``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from knarr.api.system import ErrorResponse
from knarr.errors import (
    ConflictError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from knarr.client.address import Address

    from .values import Result

_BY_STATUS: dict[int, type[KnarrError]] = {
    400: InvalidArgumentError,
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    501: UnimplementedError,
    503: UnavailableError,
}


class EngineTimeoutError(UnavailableError, TimeoutError):
    """The engine did not answer in time. It may still do what it was asked for."""


class CommandFailedError(FailedPreconditionError):
    """A command that had to succeed did not; ``result`` has its exit code and its output."""

    def __init__(self, command: Sequence[str], result: Result) -> None:
        shown = " ".join(command)
        said = result.stderr.decode("utf-8", "replace").strip()[-1000:]
        super().__init__(
            f'the command "{shown}" ended with exit code {result.exit_code}',
            detail=said or None,
        )
        self.result = result

    def __str__(self) -> str:
        return f"{self.message}: {self.detail}" if self.detail else self.message


@contextmanager
def noted(error: BaseException | None, thing: object) -> Iterator[None]:
    """The end of a block: if ``error`` ended it, a failure to remove is a note of that error."""
    try:
        yield
    except KnarrError as failure:
        if error is None:
            raise
        error.add_note(f"{thing!r} could not be removed: {failure}")


def from_answer(status: int, reason: str, body: bytes) -> KnarrError:
    """The error that a status of 400 and more is, with the engine's words."""
    kind = _BY_STATUS.get(status, InvalidArgumentError if status < 500 else InternalError)
    try:
        message = msgspec.json.decode(body, type=ErrorResponse).message
    except msgspec.DecodeError:
        message = body.decode("utf-8", "replace").strip()
    return kind(message or f"{reason} ({status})")


def from_progress(code: int, message: str) -> KnarrError:
    """The error that a line of progress is."""
    return _BY_STATUS.get(code, InternalError)(message)


def no_engine(address: Address) -> str:
    """What may help when nothing answers at ``address``."""
    if address.named:
        return "the address was given, or is in KNARR_HOST or DOCKER_HOST"
    return 'start one with "knarr daemon" as root, or connect with start=True'


def too_late(seconds: float | None) -> EngineTimeoutError:
    """The engine said nothing for so long."""
    given = f" within {seconds:g} seconds" if seconds is not None else " in time"
    return EngineTimeoutError(f"the engine did not answer{given}")


def checked(command: str | Sequence[str], result: Result, *, check: bool) -> Result:
    """The result. Raises ``CommandFailedError`` if it had to be a success and is none."""
    if check and result.exit_code:
        raise CommandFailedError([command] if isinstance(command, str) else command, result)
    return result
