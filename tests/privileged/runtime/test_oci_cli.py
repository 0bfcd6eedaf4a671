"""``knarr-runtime`` as an OCI runtime command line: a black box, run as engines run it."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr.runtime.cgroups import Cgroup, detect
from knarr.runtime.process import look
from support.boxes import default_spec, unpack_busybox

pytestmark = pytest.mark.needs_root


class Cli:
    """The command line with a state root and a bundle of its own."""

    def __init__(self, base: Path, root: Path) -> None:
        self.base = base
        self.bundle = base / "bundle"
        self.bundle.mkdir()
        self.spec = default_spec()
        self.spec["root"] = {"path": str(root), "readonly": True}
        self.spec["linux"]["cgroupsPath"] = f"/knarr-cli-{os.getpid()}"

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "knarr.runtime.main", f"--root={self.base}/state", *args]

    def __call__(self, *args: str, code: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        (self.bundle / "config.json").write_text(json.dumps(self.spec))
        # Files, not pipes: a created container holds its streams open.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                self.command(*args), cwd=self.bundle, text=True, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, timeout=60, **more,
            )  # fmt: skip
            for name, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                setattr(done, name, file.read())
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        return done

    def state(self, name: str = "c") -> dict[str, Any]:
        return json.loads(self("state", name).stdout)

    def until(self, status: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while (seen := self.state())["status"] != status:
            assert time.monotonic() < deadline, seen
        return seen


@pytest.fixture
def cli(tmp_path: Path, busybox_root: Path) -> Iterator[Cli]:
    for name in ("proc", "dev", "sys"):
        (busybox_root / name).mkdir(exist_ok=True)
    made = Cli(tmp_path, busybox_root)
    yield made
    made("delete", "--force", "c")
    assert not list((tmp_path / "state").glob("*"))
    assert not list(Path("/sys/fs/cgroup").glob(f"*/knarr-cli-{os.getpid()}"))


def test_run_gives_output_and_exit_code(cli: Cli) -> None:
    cli.spec["process"]["args"] = ["sh", "-c", "echo $0 $$; exit 6"]
    assert cli("run", "c", code=6).stdout == "sh 1\n"
    assert "does not exist" in cli("state", "c", code=1).stderr


def test_life_of_a_container(cli: Cli) -> None:
    cli.spec["process"]["args"] = ["sh", "-c", "echo started; sleep 100"]
    pid_file = cli.base / "pid"
    with (cli.base / "out").open("w") as out:
        (cli.bundle / "config.json").write_text(json.dumps(cli.spec))
        subprocess.run(
            cli.command("create", "--bundle", str(cli.bundle), "--pid-file", str(pid_file), "c"),
            stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    seen = cli.state()
    assert seen["status"] == "created"
    assert seen["pid"] == int(pid_file.read_text())
    assert (seen["id"], seen["bundle"]) == ("c", str(cli.bundle))
    assert (cli.base / "out").read_text() == ""
    assert "already exists" in cli("create", "c", code=1).stderr
    cli("start", "c")
    assert cli.state()["status"] == "running"
    assert "cannot start" in cli("start", "c", code=1).stderr
    assert "not stopped" in cli("delete", "c", code=1).stderr
    cli("kill", "c", "KILL")
    assert cli.until("stopped")["pid"] == 0
    assert "not running" in cli("kill", "c", code=1).stderr
    cli("delete", "c")
    assert (cli.base / "out").read_text() == "started\n"


def test_created_container_can_be_deleted(cli: Cli) -> None:
    cli("create", "c")
    pid = cli.state()["pid"]
    cli("delete", "c")
    assert (look(pid) or "Z")[0] == "Z"


def test_created_container_waits_without_anything_of_the_host(cli: Cli) -> None:
    cli("create", "c")
    pid = cli.state()["pid"]
    opened = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    of_ours = {each for each in opened if str(cli.base) in each}
    assert of_ours == {f"{cli.base}/state/c/exec.fifo"}
    assert len(opened) == 5  # the streams, the FIFO, the socket to the runtime


def test_program_is_missed_at_create(cli: Cli) -> None:
    cli.spec["process"]["args"] = ["nothing"]
    assert "executable file not found in $PATH" in cli("create", "c", code=127).stderr


def test_kill_all(cli: Cli) -> None:
    cli.spec["process"]["args"] = ["sh", "-c", "sleep 100 & wait"]
    cli("create", "c")
    cli("start", "c")
    cli("kill", "--all", "c", "9")
    cli.until("stopped")


def test_signals_are_forwarded_in_the_foreground(cli: Cli) -> None:
    cli.spec["process"]["args"] = ["sh", "-c", "trap 'exit 44' TERM; echo up; sleep 100 & wait"]
    (cli.bundle / "config.json").write_text(json.dumps(cli.spec))
    with subprocess.Popen(
        cli.command("run", "-b", str(cli.bundle), "c"), stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 44


def test_console_socket_gets_the_terminal(cli: Cli) -> None:
    cli.spec["process"].update(terminal=True, args=["tty"])
    path = cli.base / "console"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        cli("create", "--console-socket", str(path), "c")
        taken, _ = listener.accept()
        with taken:
            _, data, _, _ = taken.recvmsg(100, socket.CMSG_SPACE(4))
    master = array.array("i", data[0][2])[0]
    cli("start", "c")
    assert os.read(master, 100) == b"/dev/pts/0\r\n"
    os.close(master)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "--bundle", "/nonexistent", "c"], "config.json"),
        (["run", "a/b"], "invalid container id"),
        (["kill", "c", "SIGMOON"], "unknown signal"),
        (["start", "c"], "does not exist"),
        (["delete", "c"], "does not exist"),
        (["create", "--console-socket", "/x", "c"], "no use without process.terminal"),
    ],
)
def test_bad_use_is_told_in_a_line(cli: Cli, args: list[str], message: str) -> None:
    stderr = cli(*args, code=1).stderr
    assert message in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"ociVersion": "9"}', '{"ociVersion": "1.0"}'])
def test_bad_specification(cli: Cli, content: str) -> None:
    (cli.bundle / "config.json").write_text(content)
    done = subprocess.run(
        cli.command("run", "c"), cwd=cli.bundle, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("knarr-runtime: ")


def test_error_is_logged_as_json(cli: Cli) -> None:
    log = cli.base / "log"
    cli("--log", str(log), "--log-format", "json", "start", "c", code=1)
    assert json.loads(log.read_text())["msg"] == 'container "c" does not exist'


def test_hooks_run_at_their_points(cli: Cli, tmp_path: Path) -> None:
    def hook(point: str, script: str) -> list[dict[str, Any]]:
        body = (
            f"{script}; echo {point} $(cat | tr -d ' ' | grep -o 'status[^,]*') >> {tmp_path}/log"
        )
        return [{"path": "/bin/sh", "args": ["sh", "-c", body], "env": ["PATH=/usr/bin:/bin"]}]

    outside = "test $(hostname) != box"
    inside = "test $(hostname) = box || hostname=$(cat /proc/sys/kernel/hostname)"
    cli.spec["hooks"] = {
        "prestart": hook("prestart", outside),
        "createRuntime": hook("createRuntime", outside),
        "createContainer": hook("createContainer", inside),
        "poststart": hook("poststart", outside),
        "poststop": hook("poststop", outside),
    }
    cli("run", "c")
    assert (tmp_path / "log").read_text().replace('"', "").split("\n") == [
        "prestart status:creating",
        "createRuntime status:creating",
        "createContainer status:creating",
        "poststart status:running",
        "poststop status:stopped",
        "",
    ]


def test_start_container_hook_runs_in_the_container(cli: Cli) -> None:
    cli.spec["hooks"] = {
        "startContainer": [
            {"path": "/bin/sh", "args": ["sh", "-c", "hostname > /dev/shm/seen"]},
        ]
    }
    cli.spec["process"]["args"] = ["cat", "/dev/shm/seen"]
    assert cli("run", "c").stdout == "box\n"
    cli("create", "c")
    cli("start", "c")


@pytest.mark.parametrize("point", ["prestart", "createContainer", "startContainer"])
def test_hook_that_fails_prevents_the_start(cli: Cli, point: str) -> None:
    script = "echo because; exit 3"
    cli.spec["hooks"] = {point: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    cli.spec["process"]["args"] = ["echo", "ran"]
    done = cli("run", "c", code=1)
    assert done.stdout == ""
    assert f"error running {point} hook #0" in done.stderr
    assert "exit status 3" in done.stderr
    assert "because" in done.stderr


def test_hook_that_takes_too_long_is_killed(cli: Cli) -> None:
    cli.spec["hooks"] = {
        "prestart": [{"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}]
    }
    assert "timed out" in cli("run", "c", code=1).stderr


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="knarr-test-", dir="/var/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


def test_user_namespace(cli: Cli, open_directory: Path) -> None:
    root = unpack_busybox(open_directory / "root")
    for name in ("proc", "dev", "sys"):
        (root / name).mkdir()
    cli.spec["root"]["path"] = str(root)
    cli.spec["linux"]["namespaces"].append({"type": "user"})
    cli.spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    cli.spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    cli.spec["process"]["args"] = [
        "sh", "-c", "id -u; cat /proc/self/uid_map; echo > /dev/null && echo null; stat -c %u /bin",
    ]  # fmt: skip
    assert cli("run", "c").stdout.split() == ["0", "0", "100000", "65536", "null", "65534"]


@pytest.fixture
def running(cli: Cli) -> str:
    """The id of a container that runs."""
    cli.spec["process"]["args"] = ["sleep", "100"]
    cli("create", "c")
    cli("start", "c")
    return "c"


def test_exec_gives_output_and_exit_code(cli: Cli, running: str) -> None:
    script = 'echo "$A $(pwd) $(id -u) $(id -G)"; exit 6'
    options = ["-e", "A=b", "--cwd", "/tmp", "-u", "1000:1001", "-g", "7", "--no-new-privs"]
    done = cli("exec", *options, running, "sh", "-c", script, code=6)
    assert done.stdout == "b /tmp 1000 1001 7\n"


def test_exec_of_a_process_in_a_file(cli: Cli, running: str) -> None:
    wanted = {**cli.spec["process"], "args": ["sh", "-c", "sleep 0.5; exit 9"]}
    process, pid_file = cli.base / "process.json", cli.base / "exec.pid"
    process.write_text(json.dumps(wanted))
    assert cli("exec", "--process", str(process), running, code=9)
    cli("exec", "--detach", "--process", str(process), "--pid-file", str(pid_file), running)
    pid = int(pid_file.read_text())
    assert pid in json.loads(cli("ps", "-f", "json", running).stdout)


def test_exec_with_a_terminal(cli: Cli, running: str) -> None:
    assert cli("exec", "-t", running, "tty").stdout == "/dev/pts/0\n"
    assert "needs --console-socket" in cli("exec", "-td", running, "tty", code=1).stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["exec", "c", "nosuch"], 127, "executable file not found"),
        (["exec", "c"], 1, "exec needs a program or --process"),
        (["exec", "-u", "root", "c", "id"], 1, "users and groups are numbers here"),
        (["exec", "--process", "/nonexistent", "c"], 1, "cannot read process"),
        (["exec", "--cgroup", "x", "c", "id"], 1, "not supported"),
        (["exec", "--preserve-fds", "4", "c", "id"], 1, "is not open"),
        (["resume", "c"], 1, "not paused"),
        (["update", "--memory", "much", "c"], 1, "invalid value"),
        (["update", "--resources", "/nonexistent", "c"], 1, "cannot read resources"),
        (["--systemd-cgroup", "create", "d"], 1, "--systemd-cgroup is not supported"),
        (["create", "--no-pivot", "d"], 1, "--no-pivot is not supported"),
    ],
)
def test_what_is_refused_in_a_running_container(
    cli: Cli, running: str, args: list[str], code: int, message: str
) -> None:
    stderr = cli(*args, code=code).stderr
    assert message in stderr
    assert stderr.count("\n") == 1


def test_pause_and_resume(cli: Cli, running: str) -> None:
    cli("pause", running)
    assert cli.state()["status"] == "paused"
    assert "already paused" in cli("pause", running, code=1).stderr
    assert "paused container" in cli("exec", running, "true", code=1).stderr
    cli("resume", running)
    assert cli.state()["status"] == "running"
    cli("exec", running, "true")
    cli("pause", running)
    cli("delete", "--force", running)


def test_list_and_ps(cli: Cli, running: str) -> None:
    listed = json.loads(cli("list", "--format", "json").stdout)
    assert [(each["id"], each["status"], each["owner"]) for each in listed] == [
        ("c", "running", "root")
    ]
    assert cli("list", "-q").stdout == "c\n"
    head, line = cli("list").stdout.splitlines()
    assert (head.split()[:3], line.split()[:3]) == (
        ["ID", "PID", "STATUS"], ["c", str(listed[0]["pid"]), "running"]
    )  # fmt: skip
    assert json.loads(cli("ps", "-f", "json", "c").stdout) == [listed[0]["pid"]]
    assert cli("ps", "c").stdout.splitlines()[1].split() == [
        str(listed[0]["pid"]), "sleep", "100"
    ]  # fmt: skip


def test_update(cli: Cli, running: str) -> None:
    cgroup = Cgroup(cli.spec["linux"]["cgroupsPath"], detect())
    limit = Path(cgroup.directory("pids"), "pids.max")
    cli("update", "--pids-limit", "31", running)
    assert limit.read_text() == "31\n"
    resources = cli.base / "resources.json"
    resources.write_text(json.dumps({"pids": {"limit": 32}, "memory": {"limit": 0}, "cpu": None}))
    cli("update", "--resources", str(resources), running)
    assert limit.read_text() == "32\n"


def test_preserved_descriptors(cli: Cli) -> None:
    given = cli.base / "given"
    given.write_text("through descriptor 3")
    cli.spec["process"]["args"] = ["sh", "-c", "cat <&3; ls /proc/self/fd | wc -l"]
    (cli.bundle / "config.json").write_text(json.dumps(cli.spec))
    command = cli.command("run", "--preserve-fds", "1", "-b", str(cli.bundle), "c")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" 3<{given}', "sh", *command],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "through descriptor 35\n", done  # 0, 1, 2, 3 and that of ls itself


def test_features_and_version() -> None:
    command = [sys.executable, "-m", "knarr.runtime.main"]
    done = subprocess.run([*command, "features"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["ociVersionMin"] == "1.0.0"
    assert "rbind" in told["mountOptions"]
    assert "SCMP_ACT_ERRNO" in told["linux"]["seccomp"]["actions"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("knarr-runtime version ")
    assert "\nspec: 1." in done.stdout
