"""``docker logs``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import Walk, ask, begin, docker, end, until

SCRIPT = "echo err >&2; sleep 0.3; for i in 1 2 3 4 5; do echo out $i; done; printf unfinished"

WALKS = (
    Walk(
        "shown",
        (
            docker(f"run --name cx --network none --label a=b -e E=1 busybox sh -c '{SCRIPT}'"),
            docker("logs cx"),
            docker("logs -n 2 cx"),
            docker("logs --tail 0 cx"),
            docker("logs --tail all cx"),
            docker("logs --tail -1 cx"),
            docker("logs --tail x cx"),
            docker("logs -t cx"),
            docker("logs --since 1h cx"),
            docker("logs --until 1h cx"),
            docker("logs --since 2000-01-01 --until 2000-01-02T00:00:00Z cx"),
            docker("logs --since nonsense cx"),
            docker("logs -f cx"),
            docker("logs --details -n 1 cx"),
            docker("logs missing"),
            docker("run --name none --log-driver none --network none busybox echo x"),
            docker("logs none"),
            docker("run -t --name tty --network none busybox sh -c 'echo a; echo b >&2'"),
            docker("logs tty"),
            docker("create --name never --network none busybox"),
            docker("logs never"),
            ask("/containers/cx/logs", out="text"),
            ask("/containers/cx/logs?stdout=1&since=x", out="text"),
            ask("/containers/cx/logs?stdout=1&tail=1", out="text"),
        ),
        ("status-400",),
    ),
    Walk(
        "followed",
        (
            docker(
                "run -d --name cx --network none busybox sh -c "
                "'echo first; until test -e /go; do sleep 0.05; done; echo second; sleep 0.2; "
                "echo err >&2'"
            ),
            until("logs cx", "first"),
            begin("follow", "logs -f cx"),
            begin("tail", "logs -f --tail 0 cx"),
            begin("past", "logs -f --since 1h --until 1m cx"),
            docker("exec cx touch /go"),
            end("follow"),
            end("past"),
            docker("wait cx"),
            docker("start cx"),
            docker("wait cx"),
            docker("logs cx"),
        ),
    ),
    Walk(
        "rotated",
        (
            docker(
                "run -d --name cx --log-opt max-size=1k --log-opt max-file=2 --network none "
                "busybox sh -c 'for i in $(seq 100 200); do echo line $i; done'"
            ),
            docker("wait cx"),
            docker("logs -n 3 cx"),
            docker("run --log-opt max-size=x --network none busybox true"),
            docker("run --log-opt max-file=0 --network none busybox true"),
            docker("run --log-opt nosuch=1 --network none busybox true"),
        ),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
