"""``docker create``: what the options become in ``inspect``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import CONTAINER, Walk, ask, docker, fields


def created(options: str, command: str = "busybox true") -> tuple[object, object]:
    """Create a container ``cx`` with these options, look at all its fields, and remove it."""
    return (
        docker(f"create --name cx --network none {options} {command}"),
        fields("container", "cx"),
        docker("rm cx"),
    )


WALKS = (
    Walk(
        "life",
        (
            docker("create --name cx --network none busybox sleep 100"),
            fields("container", "cx"),
            docker("start cx"),
            fields("container", "cx"),
            docker("stop -t 0 cx"),
            fields("container", "cx"),
            docker("start cx"),
            fields("container", "cx"),
            docker("kill cx"),
            docker("wait cx"),
            docker("rm cx"),
        ),
        (*CONTAINER, "sandbox-of-the-dead"),
    ),
    Walk(
        "resources",
        (
            *created("-m 64m --memory-reservation 32m --memory-swap 128m"),
            *created("-m 64m"),
            *created("-m 64m --memory-swap -1 --oom-kill-disable"),
            *created("--memory-swappiness 5 --oom-score-adj 7 --pids-limit 5 --shm-size 1g"),
            *created("--pids-limit -1"),
            *created("--cpus 1.5 --cpu-shares 5 --cpuset-cpus 0-1 --cpuset-mems 0"),
            *created("--cpu-period 100000 --cpu-quota 50000"),
            *created("--ulimit nofile=1024:2048 --ulimit core=-1"),
        ),
        CONTAINER,
    ),
    Walk(
        "identity",
        (
            *created("--hostname h --domainname d -u 5:6 --group-add extra -w /deep/er"),
            *created("-e A=1 -e B= -e PATH=/x -e C=a=b --label l --label k=v=w"),
            *created("--entrypoint /bin/echo", "busybox a b"),
            *created("--entrypoint /bin/echo", "busybox"),
            *created("--entrypoint ''", "busybox a b"),
            *created("--stop-signal 9 --stop-timeout 7 --init"),
            *created("-t"),
            *created("-i"),
            *created("-it -a stdin -a stdout"),
            *created("--rm --no-healthcheck"),
            *created("--restart on-failure:3"),
            *created("--restart always"),
            *created("--restart unless-stopped"),
            *created("--log-opt max-size=1m --log-opt max-file=3 --log-opt labels=a"),
            *created("--log-driver none"),
            *created(
                "--health-cmd x --health-interval 1s --health-timeout 2m --health-retries 3 "
                "--health-start-period 4h"
            ),
        ),
        CONTAINER,
    ),
    Walk(
        "security",
        (
            *created("--privileged"),
            *created("--cap-add sys_admin --cap-drop ALL --cap-add CAP_NET_ADMIN"),
            *created("--cap-add all --cap-drop chown"),
            *created("--security-opt no-new-privileges --security-opt seccomp=unconfined"),
            *created("--security-opt systempaths=unconfined"),
            *created("--read-only --userns host --uts host --pid host --ipc host"),
            *created("--ipc private --cgroupns private"),
            *created("--ipc shareable --cgroupns host"),
            *created("--device /dev/null --device /dev/zero:/dev/z:r"),
            *created("--device-cgroup-rule 'c 1:* rwm' --sysctl net.ipv4.ip_forward=1"),
        ),
        (*CONTAINER, "selinux-labels"),
    ),
    Walk(
        "mounts",
        (
            docker("volume create named"),
            *created("-v {tmp}:/a -v {tmp}/sub:/b:ro -v named:/c -v /d"),
            *created("-v named:/c:ro,nocopy -v {tmp}:/a:rslave"),
            *created("-v {tmp}/made:/made"),
            *created("--mount type=bind,src={tmp},dst=/x,readonly,bind-propagation=rslave"),
            *created("--mount type=volume,src=named,dst=/v,volume-nocopy"),
            *created("--mount type=volume,dst=/v,volume-label=a=b"),
            *created("--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777"),
            *created("--tmpfs /a --tmpfs /b:size=1m,mode=700"),
            docker("volume ls -q --filter name=named"),
        ),
        CONTAINER,
        {"sub/file": "x"},
    ),
    Walk(
        "network",
        (
            *created("--expose 100-101 --expose 5/udp"),
            *created("--dns 1.1.1.1 --dns-search . --dns-option x --add-host a:1.2.3.4"),
            docker("create --name cx --network host busybox"),
            fields("container", "cx"),
            docker("create --name dx --network container:cx busybox"),
            ask("/containers/dx/json"),
        ),
        CONTAINER,
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
