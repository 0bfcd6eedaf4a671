"""The engine: one object per pair of data-root and exec-root, with a service per noun."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from . import services


class Engine(NamedTuple):
    """All use cases, by noun; the composition root fills it."""

    containers: services.ContainerService
    execs: services.ExecService
    images: services.ImageService
    volumes: services.VolumeService
    networks: services.NetworkService
    system: services.SystemService
    archives: services.ArchiveService
    registries: services.RegistryService
