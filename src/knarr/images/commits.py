"""``docker commit``: an image with one layer more, from what a container has changed.

Law: the same changes, description and time give the same image: nothing of the machine or of the
container's name goes into it. A container that changed nothing gives an image without a new layer.

Source: moby ``daemon/commit.go`` (merge) and ``image.NewChildImage`` for what is inherited.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from knarr.api import timestamps
from knarr.api.containers import HealthConfig
from knarr.api.images import ImageConfig
from knarr.archive.produced import Produced
from knarr.images import changes
from knarr.images.imports import created_ns
from knarr.images.intake import Stored
from knarr.images.load import record
from knarr.images.plan import Found, Plan
from knarr.oci import image_config
from knarr.oci.digest import DiffID, Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from knarr.api.containers import ContainerConfig, Empty
    from knarr.images.image import Image
    from knarr.images.stores import Stores
    from knarr.oci.reference import Reference
    from knarr.snapshots import LayerInfo

    V = TypeVar("V", str, Empty)

EMPTY_LAYER = DiffID("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
"""The digest of a tar without entries: 1024 zeros."""


class Commit(NamedTuple):
    """What is committed: ``write`` writes the tar of the changes, ``config`` is the new image's.

    ``command`` is what the container ran. ``created_ns`` None: now.
    """

    write: Callable[[BinaryIO], None]
    config: ImageConfig
    command: Sequence[str] = ()
    comment: str = ""
    author: str = ""
    created_ns: int | None = None


def commit(stores: Stores, parent: Image, wanted: Commit, name: Reference | None) -> Digest:
    """Make the image on top of ``parent`` and return its id.

    Raises what ``wanted.write`` raises, ResourceExhaustedError when the disk is full; nothing is
    left behind then.
    """
    with stores.collector.lease("commit") as lease:
        stores.collector.keep(lease, layers=parent.layers, blobs=[parent.id])
        with (
            stores.collector.ingesting(),
            contextlib.closing(Produced(wanted.write)) as produced,
        ):
            info = stores.layers.ingest(produced.as_file(), expected=None)
            stores.collector.keep(lease, layers=[info.diff_id])
        added = [] if info.diff_id == EMPTY_LAYER else [info]
        file = image_config.encode(_document(parent, added, wanted))
        plan = Plan()
        names = (name,) if name is not None else ()
        below = [_stored(stores, diff_id) for diff_id in parent.layers]
        above = [Stored(Digest(each.diff_id), each.size, each) for each in added]
        plan.add_image(Found(file, names, parent=parent.id), below + above)
        record(stores, lease, plan)
    return file.digest


def _stored(stores: Stores, diff_id: DiffID) -> Stored:
    info = stores.layers.find(diff_id)
    return Stored(Digest(diff_id), info.size if info else 0, info)


def _document(
    parent: Image, added: Sequence[LayerInfo], wanted: Commit
) -> image_config.ImageConfig:
    view = parent.file.view
    created = timestamps.rfc3339(created_ns(wanted.created_ns))
    step = image_config.History(
        created=created,
        created_by=" ".join(wanted.command) or None,
        author=wanted.author or None,
        comment=wanted.comment or None,
        empty_layer=None if added else True,
    )
    return image_config.ImageConfig(
        created=created,
        author=wanted.author or None,
        comment=wanted.comment or None,
        architecture=view.architecture,
        variant=view.variant,
        os=view.os or "linux",
        os_version=view.os_version,
        config=msgspec.Raw(msgspec.json.encode(wanted.config)),
        rootfs=image_config.RootFS(diff_ids=[*parent.layers, *(each.diff_id for each in added)]),
        history=[*(view.history or ()), step],
    )


def config(
    container: ContainerConfig, given: ContainerConfig | None, instructions: Sequence[str]
) -> ImageConfig:
    """The configuration of the new image.

    It is what the request gives, or the container's, changed by the instructions; what is open
    then is filled from the container. Raises InvalidArgumentError for a bad instruction.
    """
    own = _inherited(container)
    changed = changes.apply(_inherited(given) if given is not None else own, instructions)
    entrypoint, cmd = changed.entrypoint, changed.cmd
    if not entrypoint:
        cmd = cmd or own.cmd
        entrypoint = own.entrypoint if entrypoint is None else None
    return msgspec.structs.replace(
        changed,
        user=changed.user or own.user,
        exposed_ports=_united(changed.exposed_ports, own.exposed_ports),
        env=_environment(changed.env or (), own.env or ()) or None,
        entrypoint=entrypoint,
        cmd=cmd,
        volumes=_united(changed.volumes, own.volumes),
        working_dir=changed.working_dir or own.working_dir,
        labels=_united(changed.labels, own.labels),
        stop_signal=changed.stop_signal or own.stop_signal,
        healthcheck=_health(changed.healthcheck, own.healthcheck),
        shell=changed.shell or own.shell,
    )


def _inherited(config: ContainerConfig) -> ImageConfig:
    """The part of a container's configuration that an image has."""
    return ImageConfig(**{name: getattr(config, name) for name in ImageConfig.__struct_fields__})


def _united(own: Mapping[str, V] | None, more: Mapping[str, V] | None) -> dict[str, V] | None:
    return {**(more or {}), **(own or {})} or None


def _environment(own: Sequence[str], more: Sequence[str]) -> list[str]:
    names = {entry.partition("=")[0] for entry in own}
    return [*own, *(entry for entry in more if entry.partition("=")[0] not in names)]


def _health(own: HealthConfig | None, more: HealthConfig | None) -> HealthConfig | None:
    """The probe, with the container's values where it has none."""
    if own is None or more is None:
        return own or more
    return HealthConfig(
        test=own.test or more.test,
        interval=own.interval or more.interval,
        timeout=own.timeout or more.timeout,
        start_period=own.start_period or more.start_period,
        start_interval=own.start_interval or more.start_interval,
        retries=own.retries or more.retries,
    )
