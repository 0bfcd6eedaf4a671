"""``docker load``: an archive of images from a stream into the stores.

One pass over the stream fills the stores (``intake``), then the archive's documents say what was
in it (``docker_archive``, ``oci_layout``, ``legacy``), then one transaction records it. Before the
transaction nothing is visible, and a failure or a kill leaves only content that the lease's end or
the next start deletes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from knarr.archive.failure import BadArchiveError
from knarr.errors import InvalidArgumentError
from knarr.images import docker_archive, intake, legacy, oci_layout
from knarr.images.image import container_config
from knarr.images.plan import Plan
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.api.images import Progress
    from knarr.images.choice import Wish
    from knarr.images.intake import Archive
    from knarr.images.stores import Stores
    from knarr.metadata.leases import LeaseID
    from knarr.oci.digest import Digest


def load(
    stores: Stores, stream: BinaryIO, *, progress: Callable[[Progress], None], wish: Wish
) -> list[str]:
    """Load every image of the archive; returns Docker's lines about them, without newlines.

    Raises InvalidArgumentError for what is no image archive, DataLossError for wrong digests,
    NotFoundError when no image fits the platform, ResourceExhaustedError when the disk is full.
    """
    with stores.collector.lease("load") as lease:
        archive = intake.take(stores, lease, stream, progress)
        plan = _plan(archive, wish)
        moved = record(stores, lease, plan)
    return _lines(plan, moved)


def _plan(archive: Archive, wish: Wish) -> Plan:
    plan = Plan()
    entries = docker_archive.entries(archive)
    if archive.document(oci_layout.INDEX) is not None:
        names = {}
        for entry in entries or ():
            digest = docker_archive.config_of(archive, entry).digest
            names[digest] = docker_archive.names_of(entry)
        oci_layout.plan(archive, wish, names, plan)
    elif entries is not None:
        docker_archive.plan(archive, entries, plan)
    elif archive.document(legacy.REPOSITORIES) is not None:
        legacy.plan(archive, plan)
    else:
        raise BadArchiveError(
            "this is no image archive: it has neither manifest.json nor index.json",
            hint="a root filesystem is taken by import",
        )
    for found in plan.found:
        system = found.file.platform.os
        if system != "linux":
            raise InvalidArgumentError(f"cannot load {system} image on linux")
        container_config(found.file)  # so that what is recorded can be used
    return plan


def record(stores: Stores, lease: LeaseID, plan: Plan) -> dict[str, Digest]:
    """Store the documents of the plan, then record all of it in one durable transaction.

    Returns the names that pointed to another image before, with that image.
    """
    for digest, raw in plan.documents.items():
        stores.collector.keep(lease, blobs=[digest])
        stores.blobs.put(raw)
    faults.point("load.blobs-done")
    moved = stores.db.images.record(plan.images(), plan.names(), plan.content())
    faults.point("load.recorded")
    return moved


def _lines(plan: Plan, moved: dict[str, Digest]) -> list[str]:
    lines = []
    for found in plan.found:
        for name in found.names:
            old = moved.get(name.canonical())
            if old is not None:
                lines.append(
                    f"The image {name.familiar()} already exists, "
                    f"renaming the old one with ID {old} to empty string"
                )
            lines.append(f"Loaded image: {name.familiar()}")
        if not found.names:
            lines.append(f"Loaded image ID: {found.file.digest}")
    return lines
