from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import probes
from support.engine import Engine, Result

Run = Callable[..., Result]


def test_output_and_exit_codes(run: Run) -> None:
    done = run("sh", "-c", "echo out; echo err >&2; exit 42", check=False)
    assert (done.code, done.out, done.err) == (42, "out\n", "err\n")


def test_what_cannot_be_executed(run: Run) -> None:
    done = run("nosuchprogram", check=False)
    assert done.code == 127
    assert 'exec: "nosuchprogram": executable file not found in $PATH' in done.err
    done = run("/etc/passwd", check=False)
    assert done.code == 126
    assert "permission denied" in done.err
    done = run("/nosuch/program", check=False)
    assert done.code == 127
    assert "no such file or directory" in done.err


def test_what_docker_itself_refuses(run: Run) -> None:
    assert run("true", options=("--nosuchflag",), check=False).code == 125
    done = run("true", options=("-u", "nosuchuser"), check=False)
    assert done.code in (125, 126)
    assert "unable to find user nosuchuser: no matching entries in passwd file" in done.err


def test_nothing_is_left_of_a_failed_run(daemon: Engine, run: Run) -> None:
    before = daemon.docker("ps", "-aq").out
    run("nosuchprogram", check=False)
    deadline = time.monotonic() + 5
    while daemon.docker("ps", "-aq").out != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_standard_input(run: Run) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    assert run("cat", options=("-i",), input=text).out == text
    assert run("wc", "-c", options=("-i",), input=b"x" * 3_000_000).line == "3000000"
    assert (
        run("sh", "-c", "read a; echo got $a", options=("-i",), input="first\nsecond\n").out
        == "got first\n"
    )
    assert run("cat").out == ""


def test_output_in_bulk(run: Run) -> None:
    done = run("dd", "if=/dev/zero", "bs=65536", "count=320", binary=True)
    assert len(done.out) == 320 * 65536


def test_environment(run: Run) -> None:
    shown = run("env", options=("-e", "A=b c", "-e", "EMPTY=", "-h", "box")).out.splitlines()
    assert {"A=b c", "EMPTY=", "HOSTNAME=box", "HOME=/root"} <= set(shown)
    assert "PATH=/bin:/usr/bin" in shown


def test_user(run: Run) -> None:
    assert (
        run("id", options=("-u", "app")).line
        == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"
    )
    assert run("id", "-u", options=("-u", "4242")).line == "4242"
    assert run("id", options=("-u", "1000:65534")).line.startswith(
        "uid=1000(app) gid=65534(nobody)"
    )
    assert "2000(extra)" in run("id", options=("--group-add", "extra")).line
    assert run("sh", "-c", "echo $HOME", options=("-u", "app")).line == "/home/app"


def test_working_directory_and_entrypoint(run: Run) -> None:
    assert run("pwd", options=("-w", "/made/here")).line == "/made/here"
    assert run("a", "b", options=("--entrypoint", "echo")).line == "a b"


def test_hostname_and_files(run: Run) -> None:
    shown = run(
        "sh", "-c", "hostname; cat /etc/hostname; cat /etc/hosts", options=("-h", "box.example")
    )
    lines = shown.out.splitlines()
    assert lines[:2] == ["box.example", "box.example"]
    assert re.search(r"^127\.0\.0\.1\s+localhost$", shown.out, re.MULTILINE)
    added = run("cat", "/etc/hosts", options=("--add-host", "peer:10.1.2.3")).out
    assert re.search(r"^10\.1\.2\.3\s+peer$", added, re.MULTILINE)


def test_is_process_one_with_few_rights(run: Run) -> None:
    shown = run(
        "sh", "-c", "echo $$; grep -E 'Cap(Eff|Bnd)|Seccomp:|NoNewPrivs' /proc/self/status"
    ).out
    assert shown.splitlines()[0] == "1"
    fields = dict(re.findall(r"(\w+):\s+(\S+)", shown))
    assert fields["CapEff"] == fields["CapBnd"] == "00000000a80425fb"
    assert fields["Seccomp"] == "2"
    assert fields["NoNewPrivs"] == "0"


def test_capabilities(run: Run) -> None:
    def effective(*options: str) -> int:
        text = run("grep", "CapEff", "/proc/self/status", options=options).out
        return int(text.split()[1], 16)

    default = 0xA80425FB
    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "CHOWN") == default & ~1
    assert effective("--cap-add", "NET_ADMIN") == default | 1 << 12
    assert effective("--cap-drop", "ALL", "--cap-add", "CAP_CHOWN") == 1
    assert effective("-u", "1000") == 0


def test_security_options(run: Run, is_knarr: bool) -> None:
    def field(name: str, *options: str) -> str:
        return run("grep", f"^{name}:", "/proc/self/status", options=options).out.split()[1]

    assert field("NoNewPrivs", "--security-opt", "no-new-privileges") == "1"
    assert field("Seccomp", "--security-opt", "seccomp=unconfined") == "0"
    if is_knarr:  # the peer cannot start a privileged container where it lacks capabilities
        assert field("Seccomp", "--privileged") == "0"


def test_read_only(run: Run) -> None:
    done = run("touch", "/file", options=("--read-only",), check=False)
    assert done.code == 1
    assert "Read-only file system" in done.err
    assert run("touch", "/t/file", options=("--read-only", "--tmpfs", "/t")).code == 0


def test_devices_and_proc(run: Run) -> None:
    shown = run(
        "sh", "-c", "ls /dev; readlink /dev/ptmx; cat /proc/kcore | wc -c; stat -c %a /dev/shm"
    )
    words = shown.out.split()
    assert {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "pts",
        "shm",
        "mqueue",
        "fd",
    } <= set(words)
    assert words[-1] == "1777"
    assert run("sh", "-c", "echo 1 > /proc/sys/kernel/domainname", check=False).code != 0
    assert run("df", "/dev/shm", options=("--shm-size", "8m")).out.split()[-5] == "8192"


def test_bind_mounts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host\n")
    assert run("cat", "/m/in", options=("-v", f"{tmp_path}:/m")).out == "from the host\n"
    run("sh", "-c", "echo back > /m/out", options=("-v", f"{tmp_path}:/m"))
    assert (tmp_path / "out").read_text() == "back\n"
    done = run("touch", "/m/x", options=("-v", f"{tmp_path}:/m:ro"), check=False)
    assert "Read-only file system" in done.err
    mount = f"type=bind,source={tmp_path},target=/m,readonly"
    assert run("touch", "/m/x", options=("--mount", mount), check=False).code == 1
    made = tmp_path / "made" / "by"
    run("true", options=("-v", f"{made}:/m"))
    assert made.is_dir()


def test_tmpfs(run: Run) -> None:
    shown = run("grep", " /t ", "/proc/mounts", options=("--tmpfs", "/t:size=1m,mode=700")).line
    assert shown.startswith("tmpfs /t tmpfs rw,nosuid,nodev,noexec")
    assert "size=1024k" in shown
    shown = run("grep", " /t ", "/proc/mounts", options=("--mount", "type=tmpfs,target=/t")).line
    assert shown.startswith("tmpfs /t tmpfs rw")


def test_limits(run: Run, name: str) -> None:
    assert (
        run("sh", "-c", "ulimit -n; ulimit -Hn", options=("--ulimit", "nofile=64:128")).out
        == "64\n128\n"
    )
    options = ("--memory", "32m", "--pids-limit", "20", "--cpus", "0.5", "--name", name)
    text = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; true"
    assert run("sh", "-c", text, options=options).line == str(32 << 20)


def test_out_of_memory(daemon: Engine, name: str) -> None:
    script = "x=a; while :; do x=$x$x; done"
    options = ["--memory", "16m", "--memory-swap", "16m", "--network", "none", "--name", name]
    done = daemon.docker("run", *options, "busybox", "sh", "-c", script, check=False)
    assert done.code == 137
    state = daemon.get(f"/containers/{name}/json")["State"]
    assert state["OOMKilled"] is True
    assert state["ExitCode"] == 137


def test_detached(daemon: Engine, name: str) -> None:
    shown = daemon.docker(
        "run", "-d", "--network", "none", "--name", name, "busybox", "sleep", "30"
    )
    assert re.fullmatch(r"[0-9a-f]{64}", shown.line)
    state = daemon.get(f"/containers/{name}/json")["State"]
    assert state["Running"] is True
    assert Path(f"/proc/{state['Pid']}").exists()
    assert state["StartedAt"] > "2020"
    daemon.docker("rm", "-f", name)
    assert not Path(f"/proc/{state['Pid']}").exists()


def test_cidfile(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    run("true", options=("--cidfile", str(path)))
    assert re.fullmatch(r"[0-9a-f]{64}", path.read_text())


def test_remove_on_exit(daemon: Engine, name: str) -> None:
    daemon.docker("run", "--rm", "--network", "none", "--name", name, "busybox", "true")
    assert daemon.api("GET", f"/containers/{name}/json")[0] == 404
    daemon.docker(
        "run", "-d", "--rm", "--network", "none", "--name", name, "busybox", "sleep", "30"
    )
    daemon.docker("kill", name)
    deadline = time.monotonic() + 5
    while daemon.api("GET", f"/containers/{name}/json")[0] != 404:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_written_stays(daemon: Engine, name: str) -> None:
    daemon.docker(
        "run", "--network", "none", "--name", name, "busybox", "sh", "-c", "date >> /f; wc -l < /f"
    )
    assert daemon.docker("start", "-a", name).line == "2"
    assert (
        daemon.docker("run", "--rm", "--network", "none", "busybox", "ls", "/f", check=False).code
        == 1
    )


def test_terminal(daemon: Engine) -> None:
    ours, theirs = pty.openpty()
    command = [
        probes.docker_cli() or "docker",
        "run",
        "-it",
        "--rm",
        "--network",
        "none",
        "busybox",
    ]
    process = subprocess.Popen(
        [*command, "sh", "-c", "tty; stty size; read x; echo got $x; exit 5"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=daemon.client_env,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        os.write(ours, b"typed\n")
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        assert process.wait(20) == 5
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"/dev/pts/0" in shown
    assert b"got typed\r\n" in shown


@pytest.mark.parametrize("network", ["none", "host"])
def test_networks(daemon: Engine, network: str) -> None:
    done = daemon.docker("run", "--rm", "--network", network, "busybox", "ls", "/sys/class/net")
    found = set(done.out.split())
    if network == "none":
        assert found == {"lo"}
    else:
        assert found == {path.name for path in Path("/sys/class/net").iterdir()}


def test_labels_and_stop_signal(daemon: Engine, name: str) -> None:
    options = ["--label", "a=b", "--label", "c", "--stop-signal", "SIGINT", "--stop-timeout", "3"]
    daemon.docker("create", "--name", name, *options, "busybox", "true")
    config: Any = daemon.get(f"/containers/{name}/json")["Config"]
    assert config["Labels"] == {"a": "b", "c": ""}
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGINT", 3)
    shown = daemon.docker("inspect", "--format", "{{json .Config.Labels}}", name).line
    assert json.loads(shown) == {"a": "b", "c": ""}
