"""The same flags make the same request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

FLAGS = [
    "",
    "-it",
    "-i -a stdout",
    "-a stdin",
    "-m 64m --memory-swap -1 --memory-reservation 32m --shm-size 1g --kernel-memory 4m",
    "--cpus 1.5 --cpu-shares 5 --cpuset-cpus 0-1 --cpuset-mems 0",
    "--cpu-period 1000 --cpu-quota 2000",
    "--pids-limit 5 --memory-swappiness 5 --oom-kill-disable --oom-score-adj 7 --blkio-weight 50",
    "--blkio-weight-device /dev/sda:100 --device-read-bps /dev/sda:1mb",
    "--device-write-bps /dev/sda:1kb --device-read-iops /dev/sda:5 --device-write-iops /dev/sda:10",
    "--device /dev/null --device /dev/zero:/dev/z:r --device /dev/full:w",
    "--device vendor.com/class=dev",
    "--device-cgroup-rule c_1:*_rwm",
    "-e A=1 -e NOT_IN_THE_ENVIRONMENT -l a -l b=c=d",
    "-v /a:/b -v /c -v vol:/d:ro -v ./x:/y",
    "--mount type=bind,src=.,dst=/x,readonly,bind-propagation=rslave",
    "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777",
    "--mount type=volume,src=v,dst=/v,volume-nocopy,volume-opt=a=b,volume-label=x,volume-driver=d",
    "--mount type=bind,src=/a,dst=/x,bind-recursive=disabled",
    "--mount type=image,src=x,dst=/x,image-subpath=y",
    "--tmpfs /a --tmpfs /b:size=1m,mode=700",
    "--volumes-from a:ro --volume-driver x --read-only --init",
    "-p 80 -p 8080:80/udp -p 127.0.0.1::90 -p 1000-1002:2000-2002 -p [::1]:80:80 -P",
    "-p 1-2:80 -p published=80,target=90,protocol=udp --expose 80-82/udp --expose 90",
    "--network foo --ip 1.2.3.4 --ip6 ::1 --network-alias x --link c:d",
    "--network name=foo,alias=a,driver-opt=a=b,ip=1.2.3.4,mac-address=02:00:00:00:00:01",
    "--network foo --network bar",
    "--network host",
    "--network container:x",
    "--network none --mac-address 02:00:00:00:00:01",
    "--dns 1.1.1.1 --dns-search . --dns-option x --add-host a:1.2.3.4 --add-host b=::1",
    "--add-host c:host-gateway --hostname h --domainname d",
    "--restart on-failure:3",
    "--restart always",
    "--rm --restart no",
    "--log-driver json-file --log-opt a=b --log-opt c",
    "--health-cmd x --health-interval 1s --health-timeout 2m --health-retries 3",
    "--health-start-period 4h --health-start-interval 5ms",
    "--no-healthcheck",
    "--entrypoint x",
    "--entrypoint=",
    "--stop-timeout 0 --stop-signal 9 --init=false",
    "--ulimit nofile=1:2 --ulimit core=-1",
    "--security-opt no-new-privileges --security-opt seccomp=unconfined --security-opt a:b",
    "--security-opt systempaths=unconfined",
    "--cap-add sys_admin --cap-drop all --cap-add CAP_NET_ADMIN --cap-drop sys_admin",
    "--cap-add all --cap-add sys_admin",
    "--privileged --userns host --uts host --pid host --ipc host --cgroupns host",
    "--pid container:x --ipc shareable --cgroupns private",
    "--group-add g --user u:g -w rel --runtime r --isolation y --cgroup-parent /p",
    "--sysctl net.x=1 --annotation a=b --storage-opt size=1",
    "--gpus all",
    "--gpus 2",
    "--gpus device=1",
    "--platform linux/arm64 --name foo --cidfile cid",
    "--cpu-rt-period 1 --cpu-rt-runtime 2",
    "-v c:/x:/y -v d:/z -v ab -v ~/x:/y --volumes-from a --volumes-from b:ro",
    "--mount type=bind,src=/a,dst=/x,readonly,bind-recursive=writable",
    "--mount type=bind,src=/a,dst=/x,readonly,bind-recursive=readonly,bind-propagation=rprivate",
    "--mount type=volume,src=v,dst=/x,volume-subpath=a/b,ro",
    "--network host --link a",
    "--net foo --net-alias x --dns-opt y --network-alias z",
    "--network container:x --link a:b",
    "--network none --mac-address 02:00:00:00:00:01 --ip 1.2.3.4",
    "--platform linux --pull= --quiet",
    "--ulimit nofile=5 --ulimit nofile=6:7 --ulimit core=0:-1",
]


@pytest.mark.parametrize("flags", FLAGS)
def test_body(bodies: Callable[..., tuple[Any, Any]], flags: str) -> None:
    arguments = [
        word.replace("_", " ") if word.startswith("c_") else word for word in flags.split()
    ]
    if "cidfile" in flags:
        arguments = arguments[:-2]
    docker, knarr = bodies(*arguments)
    assert meaning(knarr) == meaning(docker)


def test_body_of_an_environment_file(
    bodies: Callable[..., tuple[Any, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("files") / "env"
    file.write_text("A=1\n#c\n  B=2 \nHOME\nNOPE\n\nC=\n")
    arguments = ("--env-file", str(file), "--label-file", str(file), "-e", "B=3")
    docker, knarr = bodies(*arguments)
    assert meaning(knarr) == meaning(docker)


def meaning(body: Any) -> Any:
    """A body without what only says the default, and without an order where there is none."""
    body = prune(body)
    host = body.setdefault("HostConfig", {})
    host.pop("ContainerIDFile", None)
    if host.get("NetworkMode") == "default":
        del host["NetworkMode"]
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]
    if host.get("RestartPolicy") == {"Name": "no"}:
        del host["RestartPolicy"]
    host.pop("ConsoleSize", None)
    for key in ("Binds", "Ulimits"):
        if key in host:
            host[key].sort(key=str)
    if "Env" in body:
        body["Env"].sort()
    networks = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
    if not any(networks.values()):
        body.pop("NetworkingConfig", None)
    if not host:
        del body["HostConfig"]
    # Docker still says a MAC address twice, for engines before API 1.44.
    body.pop("MacAddress", None)
    return body


KEEP_EMPTY = {"ExposedPorts", "Volumes", "EndpointsConfig", "Entrypoint", "StopTimeout", "Init"}


def prune(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        pruned = {name: prune(each, name) for name, each in value.items()}
        if key in KEEP_EMPTY:
            return pruned
        return {
            name: each
            for name, each in pruned.items()
            if each not in (None, "", 0, [], {}) or (name in KEEP_EMPTY and each not in (None, {}))
        }
    if isinstance(value, list):
        return [prune(each) for each in value]
    return value
