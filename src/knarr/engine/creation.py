"""Making a container out of a request.

Order: the request is checked, the writable layer made, then the record stored: a crash between
leaves a writable layer without a record, which the next start of the engine clears away.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.api.containers import ContainerCreateResponse
from knarr.api.host_config import HostConfig
from knarr.containers import (
    binds,
    health,
    hostdevices,
    limits,
    merge,
    names,
    rootview,
    sharing,
    validate,
)
from knarr.containers import record as records
from knarr.containers.record import MountKind, MountRecord, Record
from knarr.content.failure import translated
from knarr.errors import InvalidArgumentError, NotFoundError, UnimplementedError
from knarr.network import modes
from knarr.oci import platform as platforms
from knarr.sys import faults
from knarr.volumes import fill, is_empty, options

from . import about, joining
from .live import LiveContainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.containers import ContainerConfig, ContainerCreateRequest
    from knarr.images.image import Image
    from knarr.oci.digest import DiffID
    from knarr.oci.platform import Platform
    from knarr.volumes.claims import Use

    from .parts import Parts


class Checked(NamedTuple):
    """A request that can be carried out."""

    record: Record
    requested: tuple[MountRecord, ...]
    warnings: list[str]


class Creation:
    """Makes containers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(
        self,
        name: str,
        request: ContainerCreateRequest,
        platform: str | None,
        *,
        shallow_read_only: bool = False,
    ) -> ContainerCreateResponse:
        """Make one; on an error nothing is left of it."""
        containers = self._parts.containers
        container_id = names.new_id()
        chosen = names.check(name) if name else names.generate(containers.names)
        await containers.wait_for_name(chosen)
        containers.reserve(chosen, container_id)
        try:
            async with self._parts.image_gate.inside():
                image = await self._image(request.image, platform)
                checked = self.check(container_id, chosen, request, image)
                if shallow_read_only:
                    checked = checked._replace(requested=binds.shallow(checked.requested))
                with self._parts.volumes.claims.using() as use:
                    record, volumes = await self._parts.workers.run(
                        lambda: self._make(checked, use)
                    )
                    live = LiveContainer(record)
                    live.has_task = False
                    containers.add(live)
        except BaseException:
            containers.release(chosen)
            raise
        for volume in volumes:
            self._parts.events.publish("volume", "create", volume, about.VOLUME)
        self._parts.events.publish("container", "create", record.id, about.container(record))
        return ContainerCreateResponse(id=record.id, warnings=checked.warnings)

    async def image(self, request: ContainerCreateRequest) -> Image:
        """The image of a request."""
        return await self._image(request.image, None)

    async def _image(self, name: str, platform: str | None) -> Image:
        if not name:
            raise InvalidArgumentError("no image was specified")
        images = self._parts.images
        image = images.known(name)
        if image is None:
            image = await self._parts.workers.run(lambda: images.resolve(name))
        if platform and not _provides(image, platforms.parse(platform).normalized()):
            raise NotFoundError(
                f"image with reference {name} was found but does not provide the specified "
                f"platform ({platform})"
            )
        return image

    def check(
        self, container_id: str, name: str, request: ContainerCreateRequest, image: Image
    ) -> Checked:
        """The record that the request leads to, and the mounts that are still to be made."""
        parts = self._parts
        sharing.conflicts(request.config(), request.host_config or HostConfig())
        config = merge.with_image(request.config(), image.config)
        validate.config(config)
        host, warnings = validate.host_config(
            merge.with_defaults(
                request.host_config or HostConfig(),
                runtime=parts.settings.default_runtime,
                log=parts.settings.log,
                unified_cgroups=parts.facts.layout.mode == "unified",
            ),
            parts.facts,
            parts.settings.runtime_names,
        )
        health.validate(config, host)
        host, more = _without_useless_weights(host)
        warnings += more
        host, config, more = self._network(container_id, host, config)
        command = [*(config.entrypoint or ()), *(config.cmd or ())]
        record = Record(
            id=container_id,
            name=name,
            created_ns=time.time_ns(),
            image_id=image.id,
            image_name=request.image,
            layers=tuple(image.layers),
            path=command[0],
            args=tuple(command[1:]),
            config=config,
            host_config=host,
            endpoints=modes.endpoints(host.network_mode, request.networking_config),
        )
        warnings = [*_remarks(config, image), *warnings, *more]
        mounts = binds.requested(config, host, self._donors(host))
        return Checked(record, mounts, warnings)

    def _donors(self, host: HostConfig) -> Sequence[binds.Donor]:
        """The containers of ``--volumes-from``; one that is not there is a bad request."""
        if not host.volumes_from:
            return ()
        donors = []
        for text in host.volumes_from:
            name, read_only = binds.volumes_from(text)
            try:
                live = self._parts.containers.get(name)
            except NotFoundError as error:
                raise InvalidArgumentError(error.message) from error
            donors.append(binds.Donor(live.record.mounts, read_only))
        return donors

    def _network(
        self, container_id: str, host: HostConfig, config: ContainerConfig
    ) -> tuple[HostConfig, ContainerConfig, list[str]]:
        """The mode in its final form, the host name that goes with it, and warnings."""
        owner = self._owner(host.network_mode)
        if owner is not None:
            host = msgspec.structs.replace(host, network_mode=f"container:{owner.id}")
            hostname = owner.record.config.hostname
        elif host.network_mode == "host" or host.uts_mode == "host":
            hostname = config.hostname or self._parts.facts.hostname
        else:
            hostname = config.hostname or container_id[:12]
        for field in ("pid_mode", "ipc_mode"):
            owner = self._owner(getattr(host, field))
            if owner is not None:
                host = msgspec.structs.replace(host, **{field: f"container:{owner.id}"})
        config = msgspec.structs.replace(config, hostname=hostname)
        return host, config, modes.check(host.network_mode)

    def _owner(self, mode: str) -> LiveContainer | None:
        """Whose namespace the mode joins; one that is not there is a bad request.

        Not 404: to that, docker answers by pulling the image.
        """
        try:
            return joining.owner(mode, self._parts.containers)
        except NotFoundError as error:
            raise InvalidArgumentError(error.message) from error

    def _make(self, checked: Checked, use: Use) -> tuple[Record, list[str]]:
        """In a worker: everything that is stored, with the names of the volumes that are new.

        Its volumes are claimed for ``use``. It takes back what it made when it fails.
        """
        parts, record = self._parts, checked.record
        made: list[str] = []
        try:
            with translated("create the container"):
                record.mounts = tuple(
                    self._mount(mount, record.layers, made, use) for mount in checked.requested
                )
                # Those of images that are mounted, too: they stay while the container is there.
                layers = [*record.layers, *(one for each in record.mounts for one in each.layers)]
                size = (record.host_config.storage_opt or {}).get("size")
                parts.snapshots.prepare(
                    record.id, record.layers, size=limits.parse_size(size) if size else None
                )
                faults.point("create.snapshot-made")
                parts.database.containers.insert(
                    record.id,
                    record.name,
                    record.image_id,
                    layers,
                    records.encode(record),
                    durable=not record.host_config.auto_remove,
                )
                faults.point("create.recorded")
        except BaseException:
            parts.snapshots.remove(record.id)
            for name in filter(use.is_alone, made):
                parts.volumes.remove(name)
            raise
        return record, made

    def _fill(self, layers: Sequence[DiffID], target: str, path: Path) -> None:
        """Give an empty volume what the image has where it is mounted, if it has a directory."""
        with (
            rootview.of_mounts(self._parts.snapshots.view(layers)) as root,
            rootview.directory(root, target) as source,
        ):
            if source is not None:
                fill(source, path)

    def _mount(
        self, mount: MountRecord, layers: Sequence[DiffID], made: list[str], use: Use
    ) -> MountRecord:
        if mount.kind is MountKind.VOLUME:
            return self._volume(mount, layers, made, use)
        if mount.kind is MountKind.IMAGE and not mount.layers:
            try:
                image = self._parts.images.resolve(mount.source)
            except NotFoundError as error:
                raise InvalidArgumentError(error.message) from error
            return msgspec.structs.replace(mount, layers=tuple(image.layers))
        if (
            mount.kind is MountKind.BIND
            and not mount.make_source
            and not os.path.lexists(mount.source)
        ):
            raise binds.missing_source(mount)
        return mount

    def _volume(
        self, mount: MountRecord, layers: Sequence[DiffID], made: list[str], use: Use
    ) -> MountRecord:
        volume, is_new = self._parts.volumes.create(
            mount.name, labels=mount.labels, options=mount.driver_options, use=use
        )
        if is_new:
            made.append(volume.name)
        path = self._parts.volumes.path(volume.name)
        found = msgspec.structs.replace(mount, name=volume.name, source=str(path))
        shown = options.source(volume.options)
        if shown is not None:
            path = Path(shown.device)
            found = msgspec.structs.replace(
                found, fstype=shown.kind, device=shown.device, options=shown.options
            )
            if found.subpath and shown.kind != "bind":
                raise UnimplementedError(
                    f'a part of volume "{volume.name}" of type "{shown.kind}" cannot be mounted'
                )
        own = shown is None or (shown.kind == "bind" and path.is_dir())
        if own and mount.copy and not mount.subpath and is_empty(path):
            self._fill(layers, mount.target, path)
        return found


def _remarks(config: ContainerConfig, image: Image) -> list[str]:
    """What is accepted and will not do what the user may expect."""
    found = []
    here, have = platforms.host().normalized(), image.platform.normalized()
    if (have.os, have.architecture) != (here.os, here.architecture):
        found.append(
            f"The requested image's platform ({have}) does not match the detected host platform "
            f"({here})"
        )
    return found


def _without_useless_weights(host: HostConfig) -> tuple[HostConfig, list[str]]:
    """The configuration without weights for devices whose I/O scheduler knows none."""
    useless = hostdevices.without_weights(host)
    if not useless:
        return host, []
    kept = [item for item in host.blkio_weight_device or () if item.path not in useless]
    warning = (
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
        "Weight-device discarded."
    )
    return msgspec.structs.replace(host, blkio_weight_device=kept), [warning]


def _provides(image: Image, wanted: Platform) -> bool:
    """Whether the image is for this platform; a variant counts only if one is asked for."""
    have = image.platform.normalized()
    return (have.os, have.architecture) == (wanted.os, wanted.architecture) and (
        not wanted.variant or have.variant == wanted.variant
    )
