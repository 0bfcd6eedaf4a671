"""What the kernel refuses, in the words of ``knarr.errors``."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from knarr.errors import (
    DataLossError,
    InternalError,
    KnarrError,
    PermissionDeniedError,
    ResourceExhaustedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_CATEGORIES: dict[int, type[KnarrError]] = {
    errno.ENOSPC: ResourceExhaustedError,
    errno.EDQUOT: ResourceExhaustedError,
    errno.EMFILE: ResourceExhaustedError,
    errno.ENFILE: ResourceExhaustedError,
    errno.ENOMEM: ResourceExhaustedError,
    errno.EFBIG: ResourceExhaustedError,
    errno.EIO: DataLossError,
    errno.EACCES: PermissionDeniedError,
    errno.EPERM: PermissionDeniedError,
    errno.EROFS: PermissionDeniedError,
}


@contextlib.contextmanager
def translated(attempt: str) -> Iterator[None]:
    """Turn an OSError inside into a KnarrError that begins with what was attempted."""
    try:
        yield
    except OSError as error:
        category = _CATEGORIES.get(error.errno or 0, InternalError)
        message = f"{attempt}: {(error.strerror or str(error)).lower()}"
        raise category(message, detail=str(error)) from error
