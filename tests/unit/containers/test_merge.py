from __future__ import annotations

import pytest

from knarr.api.containers import ContainerConfig, Empty
from knarr.api.host_config import HostConfig, LogConfig, RestartPolicy
from knarr.api.images import ImageConfig
from knarr.containers import merge
from knarr.errors import InvalidArgumentError

IMAGE = ImageConfig(
    user="app",
    env=["PATH=/bin", "A=image"],
    entrypoint=["/entry"],
    cmd=["serve"],
    working_dir="/srv",
    labels={"a": "image", "b": "image"},
    stop_signal="SIGQUIT",
    volumes={"/data": Empty()},
    exposed_ports={"80/tcp": Empty()},
)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, (["/entry"], ["serve"])),
        ({"cmd": ["other"]}, (["/entry"], ["other"])),
        ({"entrypoint": ["/mine"]}, (["/mine"], None)),
        ({"entrypoint": ["/mine"], "cmd": ["x"]}, (["/mine"], ["x"])),
        ({"entrypoint": [""], "cmd": ["x"]}, (None, ["x"])),
        ({"entrypoint": []}, (["/entry"], ["serve"])),
    ],
)
def test_command_rules(own: dict[str, list[str]], expected: tuple[object, object]) -> None:
    merged = merge.with_image(ContainerConfig(**own), IMAGE)
    assert (merged.entrypoint, merged.cmd) == expected


def test_an_entrypoint_taken_away_needs_a_command() -> None:
    with pytest.raises(InvalidArgumentError, match="no command specified"):
        merge.with_image(ContainerConfig(entrypoint=[""]), IMAGE)
    with pytest.raises(InvalidArgumentError, match="no command specified"):
        merge.with_image(ContainerConfig(), ImageConfig())


def test_the_request_wins_and_the_image_completes() -> None:
    own = ContainerConfig(
        env=["A=mine", "B"], labels={"a": "mine"}, volumes={"/mine": Empty()}, user="me"
    )
    merged = merge.with_image(own, IMAGE)
    assert merged.env == ["A=mine", "B", "PATH=/bin"]
    assert merged.labels == {"a": "mine", "b": "image"}
    assert set(merged.volumes or ()) == {"/mine", "/data"}
    assert set(merged.exposed_ports or ()) == {"80/tcp"}
    assert (merged.user, merged.working_dir, merged.stop_signal) == ("me", "/srv", "SIGQUIT")


def with_defaults(host: HostConfig, *, unified: bool = False) -> HostConfig:
    log = LogConfig(type="json-file")
    return merge.with_defaults(host, runtime="knarr", log=log, unified_cgroups=unified)


def test_defaults_are_decided() -> None:
    host = with_defaults(HostConfig())
    assert host.shm_size == 64 << 20
    assert (host.ipc_mode, host.cgroupns_mode, host.network_mode) == (
        "private",
        "private",
        "bridge",
    )
    assert host.restart_policy == RestartPolicy(name="no")
    assert host.log_config.type == "json-file"
    assert "/proc/kcore" in (host.masked_paths or ())
    assert "/proc/sys" in (host.readonly_paths or ())


def test_swap_is_twice_the_memory_unless_given() -> None:
    assert with_defaults(HostConfig(memory=100)).memory_swap == 200
    assert with_defaults(HostConfig(memory=100, memory_swap=-1)).memory_swap == -1
    assert with_defaults(HostConfig()).memory_swap == 0


def test_privileged_sees_everything_and_own_lists_are_kept() -> None:
    assert with_defaults(HostConfig(privileged=True)).masked_paths is None
    assert with_defaults(HostConfig(privileged=True)).cgroupns_mode == "host"
    assert with_defaults(HostConfig(privileged=True), unified=True).cgroupns_mode == "private"
    assert with_defaults(HostConfig(masked_paths=[], readonly_paths=["/x"])).masked_paths == []
