"""What a layer store and a snapshotter promise; the laws stand in the package's docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from knarr.mount import Mount
    from knarr.oci.digest import DiffID


class LayerInfo(NamedTuple):
    """A layer that the store has: its name and the length of its uncompressed tar in bytes."""

    diff_id: DiffID
    size: int


class LayerStore(Protocol):
    """Layers by diff_id. All methods may be called from several threads at once."""

    @property
    def backend(self) -> str:
        """The name of the implementation: ``erofs-file``, ``erofs-loop`` or ``directory``."""

    def ingest(self, stream: BinaryIO, *, expected: DiffID | None) -> LayerInfo:
        """Take the uncompressed tar ``stream`` in, up to its end, as one layer.

        When this returns, the layer is on disk for good. A layer named ``expected`` that is there
        already is returned at once and the stream is left unread. Raises ``DigestMismatchError``
        when the stream is not ``expected``, ``InvalidArgumentError`` for a tar that cannot be a
        layer; then nothing is left behind.
        """

    def find(self, diff_id: DiffID) -> LayerInfo | None:
        """The layer, or None when it is not there."""

    def open_tar(self, diff_id: DiffID) -> BinaryIO:
        """The exact tar stream again, seekable; the caller closes it. Raises NotFoundError."""

    def remove(self, diff_id: DiffID) -> None:
        """Unmount and delete the layer; one that is not there is a success.

        The caller knows that no snapshot uses it; a layer that is in use nevertheless stays
        readable for those who have it mounted.
        """

    def mounted(self, diff_id: DiffID) -> Path:
        """The directory that shows the layer, mounted now if it was not. Raises NotFoundError.

        It stays mounted until ``remove`` or ``close``.
        """

    def implied(self, diff_id: DiffID) -> tuple[bytes, ...]:
        """The directories that the layer only implies, parents first, relative to its root."""

    def all(self) -> list[DiffID]:
        """Every layer that is completely there, sorted."""

    def disk_usage(self, diff_id: DiffID) -> int:
        """The bytes that the layer takes on disk. Raises NotFoundError."""

    def close(self) -> None:
        """Unmount what no container uses; for the end of an engine that leaves nothing running."""


class Snapshotter(Protocol):
    """Writable snapshots by key, on stacks of layers (lowest first, as ``rootfs.diff_ids``)."""

    def prepare(
        self, key: str, layers: Sequence[DiffID], *, size: int | None = None
    ) -> tuple[Mount, ...]:
        """Make the writable layer ``key`` and mount the layers below it.

        What is written there may take ``size`` bytes; InvalidArgumentError where the file system
        cannot limit that. Raises AlreadyExistsError when the key is in use, NotFoundError when a
        layer is missing.
        """

    def mounts(
        self, key: str, layers: Sequence[DiffID], *, volatile: bool = False
    ) -> tuple[Mount, ...]:
        """The root filesystem of ``key``; mounts its layers again, as after a reboot.

        ``volatile`` lets the kernel skip every sync of the writable layer: only for containers
        that are removed when they end. Raises NotFoundError.
        """

    def planned(
        self, key: str, layers: Sequence[DiffID], *, volatile: bool = False
    ) -> tuple[Mount, ...]:
        """What ``mounts`` would answer after ``prepare``; makes no writable layer."""

    def view(self, layers: Sequence[DiffID]) -> tuple[Mount, ...]:
        """The stack alone, read-only."""

    def upper(self, key: str) -> Path:
        """The directory of the writable layer. Raises NotFoundError."""

    def open_upper(self, key: str) -> int:
        """The directory of the writable layer, opened so that no device in it can be opened.

        The caller closes the descriptor. Raises NotFoundError.
        """

    def diff(self, key: str, layers: Sequence[DiffID], out: BinaryIO) -> None:
        """Write the changes of ``key`` against ``layers`` to ``out`` as a deterministic tar."""

    def usage(self, key: str) -> int:
        """The bytes of the files in the writable layer, as Docker counts them."""

    def remove(self, key: str) -> None:
        """Move the snapshot to the trash, in constant time; one that is not there is a success."""

    def all(self) -> list[str]:
        """The keys of all snapshots, sorted."""
