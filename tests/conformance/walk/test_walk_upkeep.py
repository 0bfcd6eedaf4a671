"""Restart policies, health checks, ``update``, ``stats``, ``df`` and ``system prune``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import CONTAINER, Walk, ask, docker, fields, until

HEALTH = "{{.State.Health.Status}} {{.State.Health.FailingStreak}}"

WALKS = (
    Walk(
        "restarts",
        (
            docker("run -d --name rx --restart on-failure:2 --network none busybox sh -c 'exit 3'"),
            until("inspect --format '{{.RestartCount}} {{.State.Status}}' rx", "2 exited"),
            docker("inspect --format '{{.State.ExitCode}} {{.State.Restarting}}' rx"),
            docker("run -d --name ry --restart on-failure --network none busybox true"),
            docker("wait ry"),
            docker("inspect --format '{{.RestartCount}} {{.State.Status}}' ry"),
            docker(
                "run -d --name rz --restart always --network none busybox sh -c "
                "'test -e /made && sleep 1000; touch /made; exit 1'"
            ),
            until("inspect --format '{{.RestartCount}} {{.State.Status}}' rz", "1 running"),
            docker("stop -t 0 rz"),
            docker("inspect --format '{{.RestartCount}} {{.State.Status}}' rz"),
            docker("start rz"),
            docker("inspect --format '{{.RestartCount}} {{.State.Status}}' rz"),
            docker("update --restart no rz"),
            docker("kill rz"),
            docker("wait rz"),
            docker("inspect --format '{{.HostConfig.RestartPolicy}} {{.State.Status}}' rz"),
            docker("update --restart always --restart on-failure:4 rz"),
            docker("update --restart nosuch rz"),
            docker("rm -f rx ry rz"),
        ),
        ("other-words",),
    ),
    Walk(
        "health",
        (
            docker(
                "run -d --name hx --network none --health-cmd 'echo probe; test -e /ok' "
                "--health-interval 300ms --health-retries 2 busybox sleep 1000"
            ),
            until(f"inspect --format '{HEALTH}' hx", "unhealthy", out="ignore"),
            docker("ps --format '{{.Names}} {{.Status}}'"),
            docker("ps -q --filter health=unhealthy"),
            docker("exec hx touch /ok"),
            until(f"inspect --format '{HEALTH}' hx", "^healthy 0"),
            docker("ps --format '{{.Names}} {{.Status}}'"),
            docker("inspect --format '{{(index .State.Health.Log 0).ExitCode}}' hx"),
            docker("inspect --format '{{(index .State.Health.Log 0).Output}}' hx"),
            docker("inspect --format '{{json .Config.Healthcheck}}' hx", out="json"),
            docker(
                "events --since {begun} --until {now} --filter event=health_status "
                "--format '{{.Action}}'"
            ),
            docker("stop -t 0 hx"),
            docker("inspect --format '{{.State.Health.Status}}' hx"),
            docker("run -d --name hy --no-healthcheck --network none busybox sleep 1000"),
            docker("inspect --format '{{json .State.Health}} {{json .Config.Healthcheck}}' hy"),
            docker("run --health-interval 1us --health-cmd x --network none busybox true"),
            docker("run --health-retries -1 --health-cmd x --network none busybox true"),
        ),
    ),
    Walk(
        "update",
        (
            docker("run -d --name ux -m 64m --memory-swap 128m --network none busybox sleep 1000"),
            docker("update -m 96m --cpu-shares 77 --cpuset-cpus 0 --pids-limit 50 ux"),
            docker(
                "exec ux sh -c 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.shares "
                "pids/pids.max; grep Cpus_allowed_list /proc/1/status'"
            ),
            fields("container", "ux"),
            docker("update --cpus 0.5 ux"),
            docker("update -m 1g ux"),
            docker("update -m 1k ux"),
            docker("update --cpuset-cpus 99 ux"),
            docker("update --restart always ux"),
            docker("update missing"),
            docker("update -m 64m missing"),
            docker("update ux"),
            docker("inspect --format '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}' ux"),
        ),
        tuple(one for one in CONTAINER if one != "network-id-early"),
    ),
    Walk(
        "usage",
        (
            docker("run -d --name sx --network none -m 64m busybox sleep 1000"),
            docker("create --name sy --network none -v vol:/v busybox"),
            docker("stats --no-stream --format '{{.Name}} {{.NetIO}} {{.PIDs}}' sx"),
            docker("stats --no-stream -a --format '{{.Name}} {{.PIDs}}'", out="lines"),
            docker("stats --no-stream missing"),
            ask("/containers/sx/stats?stream=0", out="size"),
            docker("top sx -eo pid,comm", out="ignore"),
            docker("system df", out="ignore"),
            docker("system df --format '{{.Type}} {{.TotalCount}} {{.Active}}'"),
            docker("system df -v", out="size"),
            docker("system prune -f", out="lines"),
            docker("ps -a --format '{{.Names}}'"),
            docker("volume ls -q"),
            docker("system prune -f --volumes --filter label=nosuch", out="lines"),
            docker("volume prune -f", out="lines"),
            docker("system prune -f --filter nosuch=x"),
        ),
    ),
    Walk(
        "drivers",
        (
            docker(
                "run --name l1 --log-driver local --network none busybox sh -c 'echo a; echo b'"
            ),
            docker("logs l1"),
            docker("logs -n 1 l1"),
            docker("inspect --format '{{json .HostConfig.LogConfig}}' l1"),
            docker(
                "run --name l2 --log-opt labels=a --log-opt env=E --log-opt tag={{.Name}} -l a=b "
                "-e E=1 --network none busybox echo x"
            ),
            docker("logs --details l2"),
            docker(
                "run --name l3 --log-driver local --log-opt nosuch=x --network none busybox true"
            ),
            docker("run --name l4 --log-opt mode=nosuch --network none busybox true"),
            docker("run --name l5 --log-opt mode=non-blocking --network none busybox echo fast"),
            docker("logs l5"),
        ),
    ),
    Walk(
        "volume-options",
        (
            docker("volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,uid=7 vx"),
            fields("volume", "vx"),
            docker(
                "run --rm --network none -v vx:/m busybox sh -c 'df -k /m | tail -1; stat -c %u /m'"
            ),
            docker("volume create -o type=none -o o=bind -o device={tmp}/dir vy"),
            docker("run --rm --network none -v vy:/m busybox ls /m"),
            docker("volume create -o nosuch=x vz"),
            docker("volume create -o device=/x vw"),
            docker("volume rm vx vy"),
        ),
        files={"dir/file": "x"},
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
