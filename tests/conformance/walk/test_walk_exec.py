"""``docker exec`` and ``docker attach``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import Walk, ask, begin, docker, end, until

START = docker("run -d --name cx --network none -e FROM=image busybox sleep 1000")
EXEC = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["sh", "-c", "exit 3"]}

WALKS = (
    Walk(
        "exec",
        (
            START,
            docker("exec cx sh -c 'echo out; echo err >&2; exit 3'"),
            docker("exec -i cx cat", "in\nput"),
            docker("exec cx cat", "not passed on"),
            docker("exec -e A=1 -e FROM=exec -w /tmp cx sh -c 'env | sort; pwd'"),
            docker("exec --env-file env cx env", out="lines"),
            docker("exec -u app cx sh -c 'id; env | sort; pwd'"),
            docker("exec -u 5:6 cx id"),
            docker("exec -u ghost cx true"),
            docker("exec -w /nosuch cx true"),
            docker("exec cx nosuch"),
            docker("exec cx /etc/passwd"),
            docker("exec cx /etc"),
            docker("exec -t cx sh -c 'tty; stty size; echo err >&2'"),
            docker("exec -it cx sh -c 'read x; echo got $x; exit 4'", "word\n", tty=True),
            docker("exec cx grep -E 'Cap|NoNew|Seccomp:' /proc/self/status"),
            docker("exec cx sh -c 'kill -9 $$'"),
            docker("exec -d cx sh -c 'echo detached > /tmp/made; sleep 0.1'"),
            until("exec cx cat /tmp/made", "detached"),
            docker("exec -d cx nosuch"),
            docker("exec cx sh -c 'ps -o pid,comm | grep -v ps | sort -n | head -2'"),
            docker("exec missing true"),
            docker("exec cx"),
            docker("stop -t 0 cx"),
            docker("exec cx true"),
        ),
        ("exec-127", "start-failure-words"),
        {"env": "B=2\n"},
    ),
    Walk(
        "exec-api",
        (
            START,
            ask("/containers/cx/exec", "POST", EXEC),
            ask("/containers/cx/exec", "POST", {"Cmd": []}),
            ask("/containers/cx/exec", "POST", {"AttachStdout": True}),
            ask("/containers/missing/exec", "POST", EXEC),
            ask("/exec/missing/json"),
            ask("/exec/missing/start", "POST", {"Detach": False}),
            ask("/exec/missing/resize?h=1&w=1", "POST"),
            ask("/containers/cx/exec", "POST", b"{"),
        ),
        ("other-words",),
    ),
    Walk(
        "attach",
        (
            docker("run -d -i --name cat --network none busybox head -n 1"),
            docker("attach cat", "line\n", out="ignore"),
            docker("wait cat"),
            docker("attach cat"),
            docker(
                "run -d --name loop --network none busybox sh -c "
                "'sleep 0.5; echo out; echo err >&2; exit 6'"
            ),
            begin("one", "attach --no-stdin loop"),
            begin("two", "attach loop", ""),
            end("one"),
            end("two"),
            docker("create -i --name ready --network none busybox sh -c 'read x; echo $x; exit 7'"),
            docker("start -ai ready", "hello\n"),
            docker("run -d -it --name tty --network none busybox sh"),
            docker("attach --detach-keys x tty", "x", tty=True, out="size"),
            docker("attach tty", "echo $((6*7)); exit 9\n", tty=True, out="size"),
            docker("inspect --format {{.State.ExitCode}} tty"),
            docker("attach missing"),
            docker("attach --detach-keys nosuch tty"),
        ),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
