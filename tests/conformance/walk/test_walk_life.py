"""The life of a container: states, signals, exit codes, and what is refused in which state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import Step, Walk, begin, docker, end, until

STATE = (
    "{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.ExitCode}} "
    "{{.State.OOMKilled}} {{.RestartCount}} {{.Name}}"
)


def state(name: str) -> Step:
    """The state of a container."""
    return docker(f"inspect --format '{STATE}' {name}")


WALKS = (
    Walk(
        "states",
        (
            docker("create --name x1 --network none busybox sleep 1000"),
            state("x1"),
            docker("stop x1"),
            docker("kill x1"),
            docker("pause x1"),
            docker("unpause x1"),
            docker("exec x1 true"),
            docker("top x1"),
            docker("logs x1"),
            docker("attach x1"),
            docker("start x1"),
            docker("start x1"),
            state("x1"),
            docker("rm x1"),
            docker("unpause x1"),
            docker("pause x1"),
            state("x1"),
            docker("pause x1"),
            docker("exec x1 true"),
            docker("attach x1"),
            docker("start x1"),
            docker("restart -t 0 x1"),
            docker("rm x1"),
            state("x1"),
            docker("rename x1 x2"),
            docker("rename x2 x2"),
            docker("rename x2 'b@d'"),
            state("x2"),
            docker("restart -t 0 x2"),
            state("x2"),
            docker("kill x2"),
            docker("wait x2"),
            state("x2"),
            docker("kill x2"),
            docker("stop x2"),
            docker("rm x2"),
            docker("rm x2"),
            docker("rm -f x2"),
        ),
        ("other-words",),
    ),
    Walk(
        "signals",
        (
            docker(
                "run -d --name trap --network none busybox sh -c "
                '\'trap "echo term; exit 143" TERM; trap "echo usr1" USR1; echo ready; '
                "while :; do sleep 0.1; done'"
            ),
            until("logs trap", "ready"),
            docker("kill -s USR1 trap"),
            until("logs trap", "usr1"),
            docker("kill -s SIGNOSUCH trap"),
            docker("kill -s 99 trap"),
            docker("stop trap"),
            state("trap"),
            docker("logs trap"),
            docker("wait trap"),
            docker("run -d --name plain --stop-signal KILL --network none busybox sleep 1000"),
            docker("stop plain"),
            state("plain"),
            docker("run -d --name init --init --network none busybox sleep 1000"),
            docker("stop init"),
            state("init"),
            docker("run -d --name quick --stop-timeout 0 --network none busybox sleep 1000"),
            docker("stop quick"),
            state("quick"),
            docker("start -a trap missing"),
            docker("start quick missing"),
            docker("stop -t 0 missing quick"),
            docker("rm trap missing plain quick init"),
        ),
    ),
    Walk(
        "waiting",
        (
            docker("create --name wx --network none busybox sh -c 'read x; exit $x' -i"),
            docker("run -d -i --name w1 --network none busybox sh -c 'sleep 0.2; exit 7'"),
            begin("wait", "wait w1"),
            end("wait"),
            docker("wait w1 missing"),
            docker("run -d --rm --name w2 --network none busybox sh -c 'sleep 0.7; exit 5'"),
            docker("wait w2"),
            docker("start -a w1"),
            docker("start -ai w1", "x"),
            docker("rm -f wx w1 missing"),
            docker("rm -f missing"),
            docker("rm missing"),
            docker("stop missing"),
            docker("restart missing"),
            docker("kill missing"),
            docker("pause missing"),
            docker("unpause missing"),
            docker("wait missing"),
            docker("start missing"),
            docker("rename missing other"),
        ),
    ),
    Walk(
        "failing-to-start",
        (
            docker("run --name fx1 --network none busybox nosuch"),
            state("fx1"),
            docker("inspect --format '{{.State.Error}}' fx1"),
            docker("run --name fx2 --network none busybox /etc/passwd"),
            state("fx2"),
            docker("run --name fx3 --network none busybox /etc"),
            state("fx3"),
            docker("run --name fx4 -w /etc/passwd --network none busybox true"),
            state("fx4"),
            docker("run --name fx5 -u ghost --network none busybox true"),
            state("fx5"),
            docker(
                "run --name fx6 --mount type=bind,src=/nosuch,dst=/x --network none busybox true"
            ),
            docker("run --name fx7 --network nosuch busybox true"),
            docker("run --name fx8 --network none --runtime nosuch busybox true"),
            docker("run --name fx1 --network none busybox true"),
            docker("run --name 'b@d' --network none busybox true"),
            docker("run --rm --network none --pull never busybox:nosuch true"),
            docker("start fx1"),
            docker("start -a fx1"),
            docker("ps -a --format '{{.Names}} {{.Status}}'", out="lines"),
        ),
        ("other-words", "start-failure-words", "working-directory-late", "network-checked-early"),
    ),
    Walk(
        "prune",
        (
            docker("create --name p1 --label a=b --network none busybox"),
            docker("run --name p2 --network none busybox true"),
            docker("run -d --name p3 --network none busybox sleep 1000"),
            docker("container prune -f --filter label=a=b", out="lines"),
            docker("ps -a --format '{{.Names}}'", out="lines"),
            docker("container prune -f --filter until=1h"),
            docker("container prune -f --filter nosuch=1"),
            docker("container prune -f"),
            docker("ps -a --format '{{.Names}}'", out="lines"),
            docker("container prune -f"),
        ),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
