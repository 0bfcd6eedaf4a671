"""``docker run``: what the options do in the container."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import CONTAINER, Step, Walk, docker, fields, until


def run(options: str, script: str, **how: str) -> Step:
    """``docker run --rm`` of a shell script."""
    return docker(f"run --rm --network none {options} busybox sh -c '{script}'", **how)


WALKS = (
    Walk(
        "output",
        (
            run("", "echo out; echo err >&2; exit 3"),
            docker("run --rm -i --network none busybox cat", "in\nput\n"),
            docker("run --rm --network none busybox cat", "not passed on"),
            docker(
                "run --rm -i -a stdin -a stdout --network none busybox sh", "echo a; echo b >&2"
            ),
            docker("run --rm -a stderr --network none busybox sh -c 'echo a; echo b >&2'"),
            run("-t", "stty size; tty; echo x >&2"),
            docker(
                "run --rm -it --network none busybox sh -c 'read x; echo got $x'",
                "word\n",
                tty=True,
            ),
            run("", "kill -9 $$"),
            run("", "kill -TERM $$; echo alive"),
            run("", "exit 300"),
        ),
    ),
    Walk(
        "environment",
        (
            run("-e A=1 -e B -e HOME=/x --env-file env", "env | sort", out="lines"),
            run("-u app", "id; env | sort; pwd"),
            run(
                "-u 5:6 --group-add extra --group-add 77 -w /new/dir", "id; pwd; stat -c %u:%g:%a ."
            ),
            run("-u nobody:extra", "id"),
            run("--hostname h --domainname d.e", "hostname; cat /etc/hostname; cat /etc/hosts"),
            run("--add-host a:1.2.3.4 --add-host b:::1", 'cat /etc/hosts | grep -E "a$|b$"'),
            run("--dns 9.9.9.9 --dns-search x.y --dns-option ndots:3", "cat /etc/resolv.conf"),
            run("-it=false", "ls -l /proc/self/fd | wc -l"),
            run("", 'cat /proc/1/cmdline | tr "\\\\0" " "; echo; cat /proc/1/oom_score_adj'),
            run("--oom-score-adj 77", "cat /proc/1/oom_score_adj"),
        ),
        ("newer-hosts",),
        files={"env": "# comment\nC=3\nD=a b\n"},
    ),
    Walk(
        "isolation",
        (
            run("", 'grep -E "Cap|NoNew|Seccomp:" /proc/self/status'),
            run("--cap-drop all", "grep Cap /proc/self/status"),
            run("--cap-add sys_admin --cap-drop chown", "grep Cap /proc/self/status"),
            run("-u app --cap-add net_admin", "grep Cap /proc/self/status"),
            run("--security-opt no-new-privileges", "grep NoNew /proc/self/status"),
            run("--security-opt seccomp=unconfined", "grep Seccomp: /proc/self/status"),
            run("", "ls -A /; ls /etc"),
            run("", "ls /dev; stat -c %a:%t:%T /dev/null /dev/console; readlink /dev/fd"),
            run(
                "",
                'mount | cut -d" " -f3,5,6 | grep -vE "^/ |cgroup|resolv|hosts|hostname" | '
                "sed s/,size=4k// | sort",
            ),
            run(
                "--read-only --tmpfs /tmp:size=1m",
                "touch /x; touch /tmp/x; echo $?; df -k /tmp | tail -1",
            ),
            run(
                "",
                "cat /proc/kcore; echo x > /proc/sys/kernel/hostname; ls /sys/firmware; "
                "mount -t tmpfs x /tmp",
            ),
            run("--pid host", "test -d /proc/2 && cat /proc/2/comm"),
            run("--ipc none", "ls /dev/shm"),
            run("--shm-size 1m", "df -k /dev/shm | tail -1"),
            run("--sysctl net.ipv4.ip_forward=1", "cat /proc/sys/net/ipv4/ip_forward"),
            run(
                "--device /dev/zero:/dev/z:r",
                "ls -l /dev/z | cut -x1-10; head -c 1 /dev/z | od -c; echo x > /dev/z",
            ),
            run("--ulimit nofile=100:200 --ulimit core=0", "ulimit -n; ulimit -Hn; ulimit -c"),
        ),
        ("masked-paths",),
    ),
    Walk(
        "limits",
        (
            run(
                "-m 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 --cpu-shares 5 "
                "--cpuset-cpus 0",
                "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares "
                "cpu/cpu.cfs_quota_us cpuset/cpuset.cpus",
            ),
            docker(
                "run --name hog --network none -m 16m --memory-swap 16m busybox sh -c "
                "'x=a; while :; do x=$x$x; done'"
            ),
            docker(
                "inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}' hog"
            ),
            docker(
                "run --name sow --network none -m 16m --memory-swap 16m busybox sh -c "
                "'sh -c \"x=a; while :; do x=\\$x\\$x; done\"; echo killed $?'"
            ),
            docker("inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' sow"),
            docker(
                "events --since {begun} --until {now} --filter event=oom "
                "--format '{{.Actor.Attributes.name}}'",
                out="lines",
            ),
        ),
    ),
    Walk(
        "mounts",
        (
            docker("volume create named"),
            run(
                "-v named:/v -v {tmp}:/t:ro", "echo x > /v/f; touch /t/y; cat /t/sub/file; ls -a /v"
            ),
            run("--mount type=volume,src=named,dst=/v,readonly", "cat /v/f; touch /v/g"),
            run("-v {tmp}/new:/n", "touch /n/made; stat -c %a /n"),
            docker("run --rm --network none -v named:/home busybox ls /home"),
            docker("run --rm --network none -v copied:/etc busybox ls /etc"),
            docker("run --rm --network none -v copied:/c busybox ls /c"),
            run("-v anon:/bin/new", "stat -c %a /bin/new"),
            docker("run --name src --network none -v /data busybox sh -c 'echo d > /data/f'"),
            fields("container", "src"),
            docker("rm -v src"),
            docker("volume ls -q", out="lines"),
            run(
                "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700",
                "stat -c %a /t; df -k /t | tail -1",
            ),
            run("-v {tmp}/sub/file:/etc/passwd", "cat /etc/passwd; id -u"),
        ),
        (
            *(one for one in CONTAINER if one != "network-id-early"),
            "init-layer",
            "sandbox-of-the-dead",
        ),
        {"sub/file": "x:x:0:0:x:/:/bin/sh\n"},
    ),
    Walk(
        "sharing",
        (
            docker(
                "run -d --name donor --hostname donated --ipc shareable --network none -v /data "
                "-v named:/named:ro busybox sh -c 'echo x > /dev/shm/shared; echo d > /data/f; "
                "exec sleep 1000'"
            ),
            until("exec donor cat /data/f", "d"),
            run("--volumes-from donor", "cat /data/f; touch /named/x; echo more >> /data/f"),
            run("--volumes-from donor:ro", "cat /data/f; touch /data/x"),
            docker("create --name heir --volumes-from donor --network none busybox"),
            fields("container", "heir"),
            run("--ipc container:donor", "cat /dev/shm/shared"),
            run("--pid container:donor", "ps -o pid,comm | head -2"),
            docker("run --rm --network container:donor busybox sh -c 'hostname; cat /etc/hosts'"),
            docker("run --rm --network container:donor --hostname x busybox true"),
            docker("run --rm --network container:donor -p 80 busybox true"),
            run("--uts host", "hostname"),
            run("--uts host --hostname x", "true"),
            run("--init", "cat /proc/1/cmdline | tr '\"\\\\0\"' '\" \"' | cut -c1-10"),
            run("--init", "sleep 0.1 & exit 3"),
            run("--cgroupns host --cgroup-parent /walked", "grep -c walked /proc/self/cgroup"),
            run("--blkio-weight 50 --device-read-bps /dev/zero:1mb", "true", err="ignore"),
            run("--device-cgroup-rule 'c 1:11 rw'", "mknod /k c 1 11; head -c 0 /k; echo $?"),
            run("", "mknod /k b 1 1; head -c 0 /k; echo $?"),
            run("--cap-drop mknod", "mknod /k c 1 3"),
            run("--pid host --uts host --ipc host", "readlink /proc/self/ns/ipc | cut -d: -f1"),
            docker("rm -fv donor heir"),
        ),
        (*CONTAINER, "fewer-controllers", "newer-hosts"),
    ),
    Walk(
        "files",
        (
            docker("run -d --cidfile cid --name x1 --network none busybox sleep 100"),
            docker("run --cidfile cid --network none busybox true"),
            docker("run -d --name x1 --network none busybox true"),
            docker(
                "run --rm --name x3 --network container:x1 --pid container:x1 busybox ps -o comm"
            ),
            docker("run --rm --network none --ipc container:x1 busybox true"),
            docker("run --rm --network none --volumes-from x1 busybox true"),
        ),
        ("other-words",),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
