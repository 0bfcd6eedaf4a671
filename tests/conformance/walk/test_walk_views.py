"""Volumes, listing, events, ``system`` and what the API refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import CONTAINER, Walk, ask, docker, fields

NAMES = "--format '{{.Names}}'"
EVENTS = "events --since {begun} --until {now} "

WALKS = (
    Walk(
        "volumes",
        (
            docker("volume create v1"),
            docker("volume create v1"),
            docker("volume create --label a=b --label c v2"),
            docker("volume create 'b@d'"),
            docker("volume create x"),
            docker("volume create"),
            docker("volume ls --filter name=v", out="lines"),
            docker("volume ls --filter label=a -q"),
            docker("volume ls --filter label=a=nosuch -q"),
            docker("volume ls --filter driver=local -q --filter name=v1"),
            docker("volume ls --filter nosuch=x"),
            docker("volume ls --format '{{.Name}} {{.Driver}} {{.Label \"a\"}}' --filter name=v2"),
            fields("volume", "v1"),
            fields("volume", "v2"),
            fields("volume", "missing"),
            docker("volume inspect v1 missing"),
            docker("run -d --name cx --network none -v v1:/v -v v2:/w:ro busybox sleep 1000"),
            docker("volume rm v1"),
            docker("volume ls --filter dangling=true -q", out="lines"),
            docker("volume rm -f v1"),
            docker("volume rm missing"),
            docker("volume rm -f missing"),
            docker("volume prune -f --filter label=nosuch"),
            docker("volume prune -f --filter nosuch=x"),
            docker("rm -f cx"),
            docker("volume rm v1 v2 missing"),
            ask("/volumes/create", "POST", {"Name": "v9", "Labels": {"x": "y"}}),
            ask("/volumes?filters=%7B%22name%22%3A%5B%22v9%22%5D%7D"),
        ),
    ),
    Walk(
        "listed",
        (
            docker("run -d --name first --label a=b --network none busybox sleep 1000"),
            docker("run --name second --label a=x --network none -v vol:/v busybox sh -c 'exit 3'"),
            docker("create --name third --network none --expose 80 busybox echo 'a  b' \"it's\""),
            docker("ps"),
            docker("ps -a"),
            docker("ps -a --no-trunc"),
            docker(f"ps -l {NAMES}"),
            docker(f"ps -n 2 {NAMES}"),
            docker("ps -aq"),
            docker(f"ps -a {NAMES} --filter label=a"),
            docker(f"ps -a {NAMES} --filter label=a=b"),
            docker(f"ps -a {NAMES} --filter name=^/f"),
            docker(f"ps -a {NAMES} --filter name=ir"),
            docker(f"ps -a {NAMES} --filter status=exited"),
            docker(f"ps -a {NAMES} --filter status=created --filter status=running"),
            docker(f"ps -a {NAMES} --filter exited=3"),
            docker(f"ps -a {NAMES} --filter ancestor=busybox"),
            docker(f"ps -a {NAMES} --filter ancestor=nosuch"),
            docker(f"ps -a {NAMES} --filter before=second"),
            docker(f"ps -a {NAMES} --filter since=second"),
            docker(f"ps -a {NAMES} --filter volume=vol"),
            docker(f"ps -a {NAMES} --filter volume=/v"),
            docker(f"ps -a {NAMES} --filter network=none"),
            docker(f"ps -a {NAMES} --filter expose=80"),
            docker(f"ps -a {NAMES} --filter is-task=false"),
            docker(f"ps -a {NAMES} --filter health=none"),
            docker("ps -a --filter status=nosuch"),
            docker("ps -a --filter exited=x"),
            docker("ps -a --filter since=missing"),
            docker("ps -a --filter nosuch=x"),
            docker(
                "ps -a --format '{{.Command}} {{.Image}} {{.Labels}} {{.Mounts}} {{.Networks}} "
                "{{.Ports}} {{.State}}'",
                out="lines",
            ),
            docker("ps -a --format json", out="ignore"),
            docker("ps -as --format '{{.Names}} {{.Size}}'", out="lines"),
            ask("/containers/json?all=1"),
            ask("/containers/json?size=1"),
            ask("/containers/json?limit=-1&all=1", out="ignore"),
            ask("/containers/json?limit=x"),
            docker("inspect --format '{{json .Config.Labels}}' first"),
            docker("inspect --format '{{.Nosuch}}' first"),
            docker("inspect first missing", out="ignore"),
            docker("inspect -s --format '{{.SizeRw}}' first"),
            docker("inspect --type image first"),
            docker("inspect --type volume vol", out="json"),
            docker("port first"),
            docker("top first -o comm"),
            docker("top first -o pid,comm", out="ignore"),
            docker("top second"),
        ),
        (
            "network-id-early",
            "newer-network-fields",
            "other-words",
            "status-400",
        ),
    ),
    Walk(
        "events",
        (
            docker("create --name cx --label a=b --network none busybox sleep 1000"),
            docker("start cx"),
            docker("exec cx true"),
            docker("pause cx"),
            docker("unpause cx"),
            docker("rename cx dx"),
            docker("kill -s HUP dx"),
            docker("restart -t 0 dx"),
            docker("stop -t 0 dx"),
            docker("rm dx"),
            docker("volume create vv"),
            docker("volume create vol-ev"),
            docker("volume rm vol-ev"),
            docker("tag busybox evented"),
            docker("rmi evented"),
            docker(EVENTS + "--filter container=dx --format '{{.Type}} {{.Action}}'"),
            docker(
                EVENTS + "--filter type=image --format "
                "'{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'"
            ),
            docker(
                EVENTS + "--filter event=rename --format '{{json .Actor.Attributes}}'",
                out="json",
            ),
            docker(
                EVENTS + "--filter event=exec_create --filter event=kill --format '{{json .}}'",
                out="json",
            ),
            docker(
                EVENTS + "--filter label=a=b --filter event=die "
                "--format '{{json .Actor.Attributes}}'",
                out="json",
            ),
            docker(EVENTS + "--filter volume=vol-ev --format '{{.Action}} {{.Actor.Attributes}}'"),
            docker(EVENTS + "--filter nosuch=x"),
            docker("events --since nonsense"),
        ),
        ("event-filters", "exec-duration"),
    ),
    Walk(
        "older-versions",
        (
            docker("run -d --name old --label a=b --network none -v vol:/v busybox sleep 1000"),
            *(
                ask(f"/v1.{version}{path}")
                for version in (24, 30, 35, 40)
                for path in (
                    "/containers/json?all=1",
                    "/containers/old/json",
                    "/images/json",
                    "/images/busybox/json",
                    "/volumes/vol",
                    "/networks/none",
                    "/containers/missing/json",
                )
            ),
            *(
                ask(
                    f"/v1.{version}/containers/create?name=v{version}",
                    "POST",
                    {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}},
                )
                for version in (24, 30, 39, 40, 41)
            ),
            *(
                docker(f"inspect --format '{{{{.HostConfig.{field}}}}}' v{version}")
                for version in (24, 30, 39, 40, 41)
                for field in ("IpcMode", "PidsLimit", "Init", "OomKillDisable")
            ),
            ask("/v1.23/version"),
            ask("/v1.99/version"),
            ask("/v1.x/version"),
            ask("/v0/version"),
        ),
        (
            *(one for one in CONTAINER if one != "network-id-early"),
            "networks",
            "no-digests",
            "oldest-version",
        ),
    ),
    Walk(
        "system",
        (
            ask("/_ping", out="text"),
            ask("/version"),
            ask("/info"),
            docker(
                "info --format '{{.OSType}} {{.Architecture}} {{.NCPU}} {{.CgroupVersion}} "
                "{{.Swarm.LocalNodeState}}'"
            ),
            docker("version --format '{{.Server.Os}} {{.Server.Arch}} {{.Server.KernelVersion}}'"),
            docker("network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'", out="lines"),
            docker("network inspect none"),
            docker("network inspect missing"),
            docker("network rm none"),
            docker("network rm missing"),
            docker("swarm leave"),
            docker("node ls"),
            docker("plugin ls"),
            docker("search nosuch", err="ignore"),
        ),
        ("info", "networks", "other-words", "version"),
    ),
    Walk(
        "refused",
        (
            ask("/nothing"),
            ask("/containers/json", "PUT"),
            ask("/containers/create", "POST", b"{"),
            ask("/containers/create", "POST", b""),
            ask("/containers/create", "POST", b'{"Image": 5}'),
            ask("/containers/create", "POST", {"Image": ""}),
            ask("/containers/create", "POST", {"Image": "busybox"}),
            ask("/containers/create", "POST", {"Image": "nosuch"}),
            ask("/containers/create", "POST", {"Image": "Bad Name"}),
            ask("/containers/create?name=b@d", "POST", {"Image": "busybox", "Cmd": ["x"]}),
            ask("/containers/json?filters=x"),
            ask("/containers/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D"),
            ask("/images/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D"),
            ask("/containers/missing/json"),
            ask("/containers/missing/start", "POST"),
            ask("/containers/missing/wait", "POST"),
            ask("/containers/missing/wait?condition=nosuch", "POST"),
            ask("/containers/missing/attach?stream=1", "POST"),
            ask("/containers/missing/logs?stdout=1"),
            ask("/containers/missing/resize?h=1&w=1", "POST"),
            ask("/containers/missing/top"),
            ask("/containers/missing/stats"),
            ask("/containers/missing/update", "POST", {}),
            ask("/containers/missing", "DELETE"),
            ask("/images/missing/json"),
            ask("/images/missing/history"),
            ask("/images/missing/get", out="ignore"),
            ask("/images/missing/tag?repo=x", "POST"),
            ask("/images/missing", "DELETE"),
            ask("/volumes/missing"),
            ask("/volumes/missing", "DELETE"),
            ask("/networks/missing"),
            ask("/images/load", "POST", b"", out="ignore"),
            docker("run --network none -m 1k busybox true"),
            docker("run --network none --cpus 1000 busybox true"),
            docker("run --network none --cpuset-cpus 999 busybox true"),
            docker("run --network none -m 64m --memory-swap 32m busybox true"),
            docker("run --network none --cap-add nosuch busybox true"),
            docker("run --network none -v relative:/x:zz busybox true"),
            docker("run --network none -v /a:relative busybox true"),
            docker("run --network none -v /a:/ busybox true"),
            docker("run --network none -v /a:/x -v /b:/x busybox true"),
            docker("run --network none --security-opt nosuch=1 busybox true"),
            docker("run --network none --restart nosuch busybox true"),
            docker("run --network none --rm --restart always busybox true"),
            docker("run --network none --ulimit nosuch=1 busybox true"),
            docker("run --network none --sysctl nosuch=1 busybox true"),
            docker("run --network none --device /dev/nosuch busybox true"),
            docker("run --network none --pid nosuch busybox true"),
            docker("run --network none --pid container:missing busybox true"),
            docker("run --network none --ipc nosuch busybox true"),
            docker("run --network none --shm-size -1 busybox true"),
            docker("run --network none --stop-signal nosuch busybox true"),
            docker("run --network none --hostname under_score busybox hostname"),
            docker("run --network none -w relative busybox pwd"),
            docker("run --network none --volumes-from missing busybox true"),
            docker("run --network none --oom-score-adj 2000 busybox true"),
            docker("run --network container:missing busybox true"),
        ),
        (
            "attach-json",
            "empty-load",
            "filter-without-image",
            "no-bridge",
            "other-words",
            "status-400",
        ),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
