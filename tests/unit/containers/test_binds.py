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
from knarr.errors import InvalidArgumentError


def mounts(host: HostConfig, config: ContainerConfig | None = None) -> list[MountRecord]:
    return list(binds.requested(config or ContainerConfig(), host))


def test_host_directory() -> None:
    assert binds.parse_bind("/src/../real/:/dst/./x/:ro,rslave") == MountRecord(
        kind=MountKind.BIND,
        source="/real",
        target="/dst/x",
        read_only=True,
        propagation="rslave",
        mode="ro,rslave",
    )


def test_volumes() -> None:
    named = binds.parse_bind("vol-1:/data:nocopy,ro")
    assert (named.kind, named.name, named.copy, named.read_only) == (
        MountKind.VOLUME,
        "vol-1",
        False,
        True,
    )
    anonymous = binds.parse_bind("/data")
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
        (
            "vol:/b:shared",
            'mount config for type "volume": field BindOptions must not be specified',
        ),
        ("/a:ro", "invalid volume specification: '/a:ro'"),
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
    assert by_target["/t"].options == ("mode=700", "size=4k")
    assert by_target["/run"].options == ("exec", "size=1m")


BAD_MOUNTS: list[tuple[dict[str, Any], str]] = [
    ({"type": "bind", "target": "/x"}, "field Source must not be empty"),
    (
        {"type": "bind", "source": "rel", "target": "/x"},
        "invalid mount path: 'rel' mount path must be absolute",
    ),
    (
        {"type": "bind", "source": "/a", "target": "x"},
        "invalid mount path: 'x' mount path must be absolute",
    ),
    ({"type": "bind", "source": "/a", "target": ""}, "field Target must not be empty"),
    (
        {"type": "bind", "source": "/a", "target": "/x/.."},
        "invalid specification: destination can't be '/'",
    ),
    (
        {
            "type": "bind",
            "source": "/a",
            "target": "/x",
            "bind_options": BindOptions(propagation="odd"),
        },
        "invalid propagation mode: odd",
    ),
    (
        {"type": "bind", "source": "/a", "target": "/x", "volume_options": VolumeOptions()},
        "field VolumeOptions must not be specified",
    ),
    ({"type": "tmpfs", "source": "/a", "target": "/x"}, "field Source must not be specified"),
    (
        {"type": "tmpfs", "target": "/x", "tmpfs_options": TmpfsOptions(options=[["size", "1"]])},
        "invalid option: size",
    ),
    ({"type": "odd", "target": "/x"}, "mount type unknown"),
    ({"type": "image", "target": "/x"}, "field Source must not be empty"),
    (
        {"type": "volume", "target": "/x", "read_only": True},
        "must not set ReadOnly mode when using anonymous volumes",
    ),
    (
        {"type": "volume", "target": "/x", "volume_options": VolumeOptions(subpath="a")},
        "must not set Subpath when using anonymous volumes",
    ),
    *(
        (
            {
                "type": "volume",
                "source": "vol",
                "target": "/x",
                "volume_options": VolumeOptions(subpath=path),
            },
            "subpath must be a relative path within the volume",
        )
        for path in ("/etc", "..", "a/../../b")
    ),
]


@pytest.mark.parametrize(
    ("mount", "words"), BAD_MOUNTS, ids=[str(number) for number in range(len(BAD_MOUNTS))]
)
def test_bad_structured_mounts(mount: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        mounts(HostConfig(mounts=[Mount(**mount)]))
    assert caught.value.message == f'invalid mount config for type "{mount["type"]}": {words}'


def test_foreign_volume_drivers() -> None:
    options = VolumeOptions(driver_config=VolumeDriver(name="nfs"))
    mount = Mount(type="volume", source="v", target="/x", volume_options=options)
    with pytest.raises(InvalidArgumentError, match='plugin "nfs" not found'):
        mounts(HostConfig(mounts=[mount]))


@pytest.mark.parametrize("options", ["bogus", "size", "bind", "remount", "exec=1", "lowerdir=/"])
def test_bad_tmpfs_options(options: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        mounts(HostConfig(tmpfs={"/x": options}))
    assert caught.value.message == f'invalid tmpfs option ["{options}"]'


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("foo", "invalid mount path: 'foo' mount path must be absolute"),
        ("/", "invalid specification: destination can't be '/'"),
    ],
)
def test_bad_tmpfs_targets(target: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        mounts(HostConfig(tmpfs={target: ""}))
    assert caught.value.message == words


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


def test_mounts_of_other_containers() -> None:
    donor = mounts(
        HostConfig(
            binds=["/h:/b", "vol:/v", "/h:/own"],
            tmpfs={"/tmp": ""},
            mounts=[Mount(type="tmpfs", target="/m")],
        )
    )
    host = HostConfig(binds=["/mine:/own"])
    found = binds.requested(ContainerConfig(), host, [binds.Donor(tuple(donor), read_only=True)])
    by_target = {mount.target: mount for mount in found}
    assert set(by_target) == {"/b", "/v", "/own", "/m"}
    assert by_target["/own"].source == "/mine"
    assert by_target["/b"].read_only
    assert not by_target["/v"].copy


@pytest.mark.parametrize("mode", ["foo", "rslave", "nocopy", "ro,rw"])
def test_bad_modes_of_volumes_from(mode: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        binds.volumes_from(f"other:{mode}")
    assert caught.value.message == f"invalid mode: {mode}"


def test_volumes_from() -> None:
    assert binds.volumes_from("other") == ("other", False)
    assert binds.volumes_from("other:z,ro") == ("other", True)
    with pytest.raises(InvalidArgumentError, match="cannot be an empty string"):
        binds.volumes_from("")
