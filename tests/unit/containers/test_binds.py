from __future__ import annotations

from typing import Any

import pytest

from knarr.api.containers import ContainerConfig, Empty
from knarr.api.host_config import HostConfig
from knarr.api.mounts import (
    BindOptions,
    Mount,
    TmpfsOptions,
    VolumeDriver,
    VolumeOptions,
)
from knarr.containers import binds
from knarr.containers.record import MountKind, MountRecord
from knarr.errors import InvalidArgumentError, KnarrError, UnimplementedError


def mounts(host: HostConfig, config: ContainerConfig | None = None) -> list[MountRecord]:
    return [item.mount for item in binds.requested(config or ContainerConfig(), host)]


def test_host_directory() -> None:
    item = binds.parse_bind("/src/../real/:/dst/./x/:ro,rslave")
    assert item.create_source
    assert item.mount == MountRecord(
        kind=MountKind.BIND,
        source="/real",
        target="/dst/x",
        read_only=True,
        propagation="rslave",
        mode="ro,rslave",
    )


def test_volumes() -> None:
    named = binds.parse_bind("vol-1:/data:nocopy,ro").mount
    assert (named.kind, named.name, named.copy, named.read_only) == (
        MountKind.VOLUME,
        "vol-1",
        False,
        True,
    )
    anonymous = binds.parse_bind("/data").mount
    assert (anonymous.kind, anonymous.anonymous, anonymous.copy) == (MountKind.VOLUME, True, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid volume specification: ''"),
        ("a:", "invalid volume specification: 'a:'"),
        (":/b", "invalid volume specification"),
        ("/a:/b:ro:x", "invalid volume specification"),
        ("/a:/b:wrong", "invalid mode: wrong"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:b", "mount path must be absolute"),
        ("/a:/", "destination can't be '/'"),
        ("/a:/../..", "destination can't be '/'"),
        ("vol:/b:shared", "invalid mode: shared"),
        ("a/b:/c", '"a/b" includes invalid characters for a local volume name'),
    ],
)
def test_bad_texts(text: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        binds.parse_bind(text)
    assert words in caught.value.message


def test_structured_mounts() -> None:
    host = HostConfig(
        mounts=[
            Mount(
                type="bind",
                source="/s",
                target="/b",
                read_only=True,
                bind_options=BindOptions(propagation="shared", non_recursive=True),
            ),
            Mount(type="volume", source="vol", target="/v"),
            Mount(type="volume", target="/w", volume_options=VolumeOptions(no_copy=True)),
            Mount(
                type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=4096, mode=0o700)
            ),
        ],
        tmpfs={"/run": "exec,size=1m"},
    )
    by_target = {mount.target: mount for mount in mounts(host)}
    assert by_target["/b"].propagation == "shared"
    assert not by_target["/b"].recursive
    assert (by_target["/v"].name, by_target["/v"].anonymous) == ("vol", False)
    assert (by_target["/w"].anonymous, by_target["/w"].copy) == (True, False)
    assert by_target["/t"].options == ("mode=700", "size=4096")
    assert by_target["/run"].options == ("exec", "size=1m")


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        ({"type": "bind", "target": "/x"}, InvalidArgumentError),
        ({"type": "bind", "source": "rel", "target": "/x"}, InvalidArgumentError),
        ({"type": "bind", "source": "/a", "target": "x"}, InvalidArgumentError),
        ({"type": "bind", "source": "/a", "target": ""}, InvalidArgumentError),
        ({"type": "bind", "source": "/a", "target": "/"}, InvalidArgumentError),
        (
            {
                "type": "bind",
                "source": "/a",
                "target": "/x",
                "bind_options": BindOptions(propagation="odd"),
            },
            InvalidArgumentError,
        ),
        (
            {
                "type": "bind",
                "source": "/a",
                "target": "/x",
                "bind_options": BindOptions(read_only_force_recursive=True),
            },
            UnimplementedError,
        ),
        ({"type": "tmpfs", "source": "/a", "target": "/x"}, InvalidArgumentError),
        ({"type": "odd", "target": "/x"}, InvalidArgumentError),
        ({"type": "image", "source": "a", "target": "/x"}, UnimplementedError),
        (
            {
                "type": "volume",
                "target": "/x",
                "volume_options": VolumeOptions(driver_config=VolumeDriver(name="nfs")),
            },
            UnimplementedError,
        ),
    ],
)
def test_bad_structured_mounts(mount: dict[str, Any], kind: type[KnarrError]) -> None:
    with pytest.raises(kind):
        mounts(HostConfig(mounts=[Mount(**mount)]))


def test_each_target_once_and_parents_first() -> None:
    with pytest.raises(InvalidArgumentError, match="Duplicate mount point: /x"):
        mounts(HostConfig(binds=["/a:/x", "/b:/x/"]))
    order = [mount.target for mount in mounts(HostConfig(binds=["/a:/x/y/z", "/b:/x", "/c:/x/y"]))]
    assert order == ["/x", "/x/y", "/x/y/z"]


def test_an_explicit_mount_replaces_the_images_volume() -> None:
    config = ContainerConfig(volumes={"/data": Empty(), "/other": Empty()})
    found = {mount.target: mount for mount in mounts(HostConfig(binds=["/h:/data"]), config)}
    assert found["/data"].kind is MountKind.BIND
    assert found["/other"].anonymous


def test_volumes_from_is_refused() -> None:
    with pytest.raises(UnimplementedError):
        mounts(HostConfig(volumes_from=["other"]))
