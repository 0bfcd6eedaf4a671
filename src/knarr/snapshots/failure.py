"""What a store of layers reports when a layer is not what it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import DataLossError, NotFoundError

if TYPE_CHECKING:
    from knarr.oci.digest import DiffID


class DigestMismatchError(DataLossError):
    """A layer's tar does not have the diff_id that was expected."""


def mismatch(expected: DiffID, found: DiffID) -> DigestMismatchError:
    """The error for a stream that is ``found`` where ``expected`` was announced."""
    return DigestMismatchError(f"layer verification failed: expected {expected}, got {found}")


def missing(diff_id: DiffID) -> NotFoundError:
    """The error for a layer that is not in the store."""
    return NotFoundError(f"layer {diff_id} does not exist")
