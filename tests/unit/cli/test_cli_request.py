"""From flags to the body of a create request."""

from __future__ import annotations

import json
import posix
from pathlib import Path
from typing import Any

import pytest

from knarr.cli.command import CommandError
from knarr.cli.container import request
from knarr.cli.container.options import CONTAINER_CHECKS, CONTAINER_FLAGS
from knarr.cli.container.ports_shown import summarize
from knarr.cli.flags import FlagError, Flags


def build(*arguments: str) -> dict[str, Any]:
    flags = Flags(CONTAINER_FLAGS, CONTAINER_CHECKS)
    image, *command = flags.parse([*arguments, "image"], interspersed=False)
    return request.build(flags, image, command)


def host(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = build(*arguments)["HostConfig"]
    return found


def test_plain() -> None:
    assert build() == {
        "Image": "image",
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": False,
        "StdinOnce": False,
        "Tty": False,
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no"}},
    }


def test_streams() -> None:
    body = build("-it", "-a", "STDOUT")
    assert body["Tty"]
    assert body["AttachStdin"]
    assert body["StdinOnce"]
    assert body["AttachStdout"]
    assert not body["AttachStderr"]


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(posix.environ, b"FROM_HERE", b"x y")
    monkeypatch.delitem(posix.environ, b"NOT_HERE", raising=False)
    file = tmp_path / "env"
    file.write_text("\ufeff# comment\n\n  A=1 \nFROM_HERE\nNOT_HERE\nB=2\r\n")
    body = build("--env-file", str(file), "-e", "B=3", "-e", "FROM_HERE", "-e", "NOT_HERE")
    assert body["Env"] == ["A=1 ", "FROM_HERE=x y", "B=2", "B=3", "FROM_HERE=x y", "NOT_HERE"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"A B=1\n", "variable 'A B' contains whitespaces"),
        (b"=1\n", "no variable name on line '=1'"),
        (b"A\xff=1\n", "invalid utf8 bytes at line 1: [65 255 61 49]"),
    ],
)
def test_bad_environment_file(tmp_path: Path, raw: bytes, message: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(raw)
    with pytest.raises(CommandError) as caught:
        build("--env-file", str(file))
    assert str(caught.value) == f"invalid env file ({file}): {message}"


def test_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=1\nb\n")
    body = build("--label-file", str(file), "-l", "a=2", "-l", "c=d=e")
    assert body["Labels"] == {"a": "2", "b": "", "c": "d=e"}


def test_volumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    body = build("-v", "/a:/b:ro", "-v", "./x:/y", "-v", "name:/z", "-v", "/anonymous")
    assert body["HostConfig"]["Binds"] == ["/a:/b:ro", f"{tmp_path}/x:/y", "name:/z"]
    assert body["Volumes"] == {"/anonymous": {}}


def test_mounts() -> None:
    mounts = host(
        "--mount",
        "type=bind,src=/s,dst=/x,readonly,bind-propagation=rslave",
        "--mount",
        "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777",
        "--mount",
        '"volume-opt=o=a,b",source=v,target=/v,volume-nocopy=true,volume-label=x=y',
    )["Mounts"]
    assert mounts == [
        {
            "Type": "bind",
            "Source": "/s",
            "Target": "/x",
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rslave"},
        },
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}},
        {
            "Type": "volume",
            "Source": "v",
            "Target": "/v",
            "VolumeOptions": {
                "Labels": {"x": "y"},
                "DriverConfig": {"Options": {"o": "a,b"}},
                "NoCopy": True,
            },
        },
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=bind", "target is required"),
        ("type=,target=/x", "type is required"),
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("target=/x,readonly=maybe", "invalid value for readonly: maybe"),
        ("target=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("target=/x,tmpfs-size=x", "invalid value for tmpfs-size: x"),
        (
            "type=bind,target=/x,volume-nocopy",
            "cannot mix 'volume-*' options with mount type 'bind'",
        ),
        (
            "type=bind,target=/x,bind-recursive=readonly",
            "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
        ),
    ],
)
def test_bad_mounts(text: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        build("--mount", text)
    assert str(caught.value) == f'invalid argument "{text}" for "--mount" flag: {message}'


def test_limits() -> None:
    found = host(
        *("-m", "64m", "--memory-swap", "-1", "--cpus", "1.5", "--pids-limit", "5"),
        *("--ulimit", "nofile=1:2", "--ulimit", "nofile=3", "--shm-size", "1g"),
        *("--device-read-bps", "/dev/sda:1mb", "--blkio-weight-device", "/dev/sda:100"),
    )
    assert (found["Memory"], found["MemorySwap"]) == (64 << 20, -1)
    assert (found["NanoCpus"], found["PidsLimit"], found["ShmSize"]) == (15 * 10**8, 5, 1 << 30)
    assert found["Ulimits"] == [{"Name": "nofile", "Hard": 3, "Soft": 3}]
    assert found["BlkioDeviceReadBps"] == [{"Path": "/dev/sda", "Rate": 1 << 20}]
    assert found["BlkioWeightDevice"] == [{"Path": "/dev/sda", "Weight": 100}]


def test_security(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{ "defaultAction":\n "SCMP_ACT_ALLOW" }')
    found = host(
        *("--security-opt", f"seccomp={profile}", "--security-opt", "no-new-privileges"),
        *("--security-opt", "systempaths=unconfined", "--security-opt", "label:disable"),
        *("--cap-add", "sys_admin", "--cap-add", "all", "--cap-drop", "CAP_MKNOD", "--privileged"),
    )
    text = found["SecurityOpt"][0].removeprefix("seccomp=")
    assert json.loads(text) == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert found["SecurityOpt"][1:] == ["no-new-privileges", "label:disable"]
    assert found["MaskedPaths"] == found["ReadonlyPaths"] == []
    assert found["CapAdd"] == ["ALL", "CAP_SYS_ADMIN"]
    assert found["CapDrop"] == ["CAP_MKNOD"]
    assert found["Privileged"]


def test_ports() -> None:
    body = build(
        *("-p", "8080:80/udp", "-p", "127.0.0.1::90", "-p", "1000-1001:2000-2001"),
        *("-p", "[::1]:5:6", "-p", "3-4:7", "--expose", "80-81", "-p", "target=9,published=8"),
    )
    assert body["HostConfig"]["PortBindings"] == {
        "80/udp": [{"HostIp": "", "HostPort": "8080"}],
        "90/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "2000/tcp": [{"HostIp": "", "HostPort": "1000"}],
        "2001/tcp": [{"HostIp": "", "HostPort": "1001"}],
        "6/tcp": [{"HostIp": "::1", "HostPort": "5"}],
        "7/tcp": [{"HostIp": "", "HostPort": "3-4"}],
        "9/tcp": [{"HostIp": "", "HostPort": "8"}],
    }
    assert {"80/tcp", "81/tcp", "80/udp"} <= set(body["ExposedPorts"])


def test_devices(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b"):
        (tmp_path / name).touch()
    found = host(
        *("--device", "/dev/zero:/dev/z:r", "--device", "/dev/full:w"),
        *("--device", f"{tmp_path}/a*", "--device", "vendor.com/gpu=0", "--gpus", "all"),
    )
    assert [each["PathInContainer"] for each in found["Devices"]] == [
        "/dev/z",
        "/dev/full",
        f"{tmp_path}/a1",
        f"{tmp_path}/a2",
    ]
    assert [each["CgroupPermissions"] for each in found["Devices"][:2]] == ["r", "w"]
    cdi, gpu = found["DeviceRequests"]
    assert cdi == {"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=0"]}
    assert (gpu["Count"], gpu["Capabilities"]) == (-1, [["gpu"]])


def test_networks() -> None:
    body = build(
        "--network", "name=front,alias=web,ip=10.0.0.2", "--network", "back", "--link", "a:b"
    )
    assert body["HostConfig"]["NetworkMode"] == "front"
    assert body["NetworkingConfig"]["EndpointsConfig"] == {
        "front": {
            "Aliases": ["web"],
            "Links": ["a:b"],
            "IPAMConfig": {"IPv4Address": "10.0.0.2"},
        },
        "back": {},
    }
    assert "NetworkingConfig" not in build("--network", "host")


def test_health() -> None:
    assert build("--no-healthcheck")["Healthcheck"] == {"Test": ["NONE"]}
    health = build("--health-cmd", "true", "--health-interval", "2s")["Healthcheck"]
    assert (health["Test"], health["Interval"]) == (["CMD-SHELL", "true"], 2 * 10**9)
    host = build("--health-on-failure", "stop", "--annotation", "a=b")["HostConfig"]
    assert host["Annotations"] == {"a": "b", "io.knarr.health-on-failure": "stop"}


def test_entrypoint_and_stop() -> None:
    body = build("--entrypoint", "", "--stop-timeout", "0", "--stop-signal", "9", "--init=false")
    assert (body["Entrypoint"], body["StopTimeout"], body["StopSignal"]) == ([""], 0, "9")
    assert body["HostConfig"]["Init"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--memory-swappiness", "101"],
            "invalid value: 101. Valid memory swappiness range is 0-100",
        ),
        (
            ["--rm", "--restart", "always"],
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (["--pid", "foo"], "--pid: invalid PID mode"),
        (["--uts", "x"], "--uts: invalid UTS mode"),
        (["-p", "x"], "invalid containerPort: x"),
        (["-p", "80/foo"], "invalid proto: foo"),
        (
            ["-p", "1-3:80-81"],
            "invalid ranges specified for container and host Ports: 80-81 and 1-3",
        ),
        (["-p", ""], "no port specified: <empty>"),
        (["--device", "x"], "x is not an absolute path"),
        (["--device", "/a:/b:q"], "bad mode specified: q"),
        (["--security-opt", "x"], 'Invalid --security-opt: "x"'),
        (["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (["--storage-opt", "x"], "invalid storage option"),
        (["--mac-address", "x"], "x is not a valid mac address"),
        (["--network", ""], "no name set for network"),
        (["--network", "a", "--network", "a"], 'network "a" is specified multiple times'),
        (
            ["--no-healthcheck", "--health-cmd", "x"],
            "--no-healthcheck conflicts with --health-* options",
        ),
        (["-v", ""], "invalid empty volume spec"),
    ],
)
def test_conflicts(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        build(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--attach", "foo", "valid streams are STDIN, STDOUT and STDERR"),
        ("--env", "=x", "invalid environment variable: =x"),
        ("--label", "", "invalid label '': empty name"),
        ("--add-host", "x", 'bad format for add-host: "x"'),
        ("--add-host", "a:x", 'invalid IP address in add-host: "x"'),
        ("--dns", "x", "IP address is not correctly formatted: x"),
        ("--dns-search", "a b", "a b is not a valid domain"),
        ("--link", "a:b:c", "bad format for links: a:b:c"),
        ("--sysctl", "x", "sysctl 'x' is not allowed"),
        ("--device-cgroup-rule", "x", "invalid device cgroup format 'x'"),
        ("--blkio-weight-device", "/dev/sda:5000", "invalid weight for device: /dev/sda:5000"),
        (
            "--ulimit",
            "nofile=3:2",
            "ulimit soft limit must be less than or equal to hard limit: 3 > 2",
        ),
        ("--ulimit", "foo=1", "invalid ulimit type: foo"),
        ("--gpus", "x=y", "unexpected key 'x' in 'x=y'"),
        ("--network", "a=b", "invalid field key a"),
    ],
)
def test_checks(flag: str, text: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        build(flag, text)
    assert str(caught.value).endswith(f"flag: {message}")


def test_extra_hosts() -> None:
    found = host("--add-host", "a:1.2.3.4", "--add-host", "b=[::1]", "--add-host", "c:host-gateway")
    assert found["ExtraHosts"] == ["a:1.2.3.4", "b:::1", "c:host-gateway"]


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "PublicPort": public, "IP": ip, "Type": kind}


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([port(80)], "80/tcp"),
        ([port(80), port(81), port(83)], "80-81/tcp, 83/tcp"),
        ([port(80, 8080, "0.0.0.0")], "0.0.0.0:8080->80/tcp"),
        (
            [
                port(80, 80, "0.0.0.0"),
                port(81, 81, "0.0.0.0"),
                port(80, 80, "::"),
                port(81, 81, "::"),
            ],
            "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp",
        ),
        ([port(53, 0, "", "udp"), port(53)], "53/tcp, 53/udp"),
    ],
)
def test_ports_shown(ports: list[dict[str, Any]], shown: str) -> None:
    assert summarize(ports) == shown
