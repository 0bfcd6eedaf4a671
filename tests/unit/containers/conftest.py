from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import HostConfig, LogConfig
from knarr.api.images import ImageConfig
from knarr.containers import merge
from knarr.containers.facts import HostFacts
from knarr.containers.record import Record
from knarr.containers.security import CAPABILITY_NAMES
from knarr.oci.digest import DiffID, Digest
from knarr.runtime.cgroups import Features, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

FULL_SUPPORT = Features(*(True for _ in Features._fields))
LEGACY = Layout("", frozenset(), {})

ID = "ab" * 32


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts(
        architecture="x86_64",
        kernel="6.18.0",
        kernel_version=(6, 18),
        hostname="host",
        cpus=4,
        cpu_set=frozenset(range(4)),
        memory_nodes=frozenset({0}),
        memory=8 << 30,
        capabilities=CAPABILITY_NAMES,
        open_files=(1024, 4096),
        cgroups=FULL_SUPPORT,
        layout=LEGACY,
    )


def decided(host: HostConfig) -> HostConfig:
    """The host configuration as a container keeps it."""
    log = LogConfig(type="json-file")
    return merge.with_defaults(host, runtime="knarr", log=log, unified_cgroups=False)


@pytest.fixture
def record() -> Callable[..., Record]:
    def make(
        host: HostConfig | None = None, config: ContainerConfig | None = None, **more: Any
    ) -> Record:
        merged = merge.with_image(config or ContainerConfig(cmd=["sh"]), ImageConfig())
        command = [*(merged.entrypoint or ()), *(merged.cmd or ())]
        values: dict[str, Any] = {
            "id": ID,
            "name": "box",
            "created_ns": 1,
            "image_id": Digest("sha256:" + "0" * 64),
            "image_name": "img",
            "layers": (DiffID("sha256:" + "1" * 64),),
            "path": command[0],
            "args": tuple(command[1:]),
            "config": merged,
            "host_config": decided(host or HostConfig()),
        }
        return Record(**(values | more))

    return make
