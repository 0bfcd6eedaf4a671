"""The engine's process: locks, sockets, configuration, notification, and what an end leaves."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import leaks
from support.engine import Engine, UnixConnection

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

Make = "Callable[..., Engine]"
PROGRAM = [sys.executable, "-m", "knarr.daemon"]


def run(*options: str, expected: int = 1) -> str:
    """The error text of an engine that does not start."""
    done = subprocess.run([*PROGRAM, *options], capture_output=True, timeout=60)
    assert done.returncode == expected, done.stderr
    text = done.stderr.decode()
    assert "Traceback" not in text
    return text


def has_supervisor(engine: Engine) -> bool:
    try:
        engine.supervisor_pid()
    except AssertionError:
        return False
    return True


def supervisor_ends(engine: Engine) -> bool:
    """It was asked to end when the engine ended, and may take a moment longer than that."""
    deadline = time.monotonic() + 5
    while (running := has_supervisor(engine)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running


def test_one_engine_for_each_root(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    engine = make_engine(busybox=False)
    other = ["-H", f"unix://{tmp_path}/other.sock"]
    text = run("--data-root", str(engine.data_root), "--exec-root", str(tmp_path / "run"), *other)
    assert f'data root "{engine.data_root}" is in use by another engine' in text
    assert f"process {engine.pid}" in text
    text = run("--data-root", str(tmp_path / "data"), "--exec-root", str(engine.exec_root), *other)
    assert f'exec root "{engine.exec_root}" is in use by another engine' in text
    text = run(
        "--data-root", str(tmp_path / "d"), "--exec-root", str(tmp_path / "r"), "-H", engine.host
    )
    assert "another engine listens" in text
    assert engine.get("/version")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("data-root = 5", "data-root"),
        ("colour = 'red'", "colour"),
        ("x = ", "Invalid value"),
        ("log-level = 'loud'", 'unknown log level "loud"'),
        ("default-runtime = 'crun'", 'default runtime "crun" is not configured'),
        ("[runtimes]\nknarr = '/usr/bin/crun'", "runtime name 'knarr' is reserved"),
        ("[runtimes.x]\nargs = ['-v']", "path"),
        ("hosts = ['ftp://x']", 'invalid host "ftp://x"'),
        ("[log-opts]\nmax-size = 'much'", "invalid size"),
        ("[log-opts]\ncolour = 'much'", "failed to set log opts: unknown log opt 'colour'"),
        ("log-driver = 'wooden'", 'plugin "wooden" not found'),
    ],
)
def test_bad_configuration(tmp_path: Path, content: str, words: str) -> None:
    config = tmp_path / "knarr.toml"
    config.write_text(content)
    roots = ["--data-root", str(tmp_path / "data"), "--exec-root", str(tmp_path / "run")]
    assert words in run("--config", str(config), *roots, expected=125)


def test_configuration_file_counts_less_than_flags(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    config = tmp_path / "knarr.toml"
    config.write_text(
        f"hosts = ['unix://{tmp_path}/unused.sock']\nlog-level = 'debug'\nlabels = ['site=a']\n"
        "default-runtime = 'runc'\n[runtimes]\nrunc = '/usr/sbin/runc'\n"
        "[log-opts]\nmax-size = '1m'\nmax-file = '2'\n"
    )
    engine = make_engine("--config", str(config), busybox=False)
    info = engine.get("/info")
    assert (info["Labels"], info["DefaultRuntime"], info["Debug"]) == (["site=a"], "runc", True)
    assert set(info["Runtimes"]) == {"knarr", "runc"}
    assert not (tmp_path / "unused.sock").exists()
    engine.api("POST", "/containers/create?name=one", {"Image": "hello"})
    assert engine.get("/containers/one/json")["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "1m", "max-file": "2"},
    }


def test_an_init_for_every_container(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine("--init")
    run = ("run", "--rm", "--network", "none")
    first = ("busybox", "cat", "/proc/1/comm")
    assert engine.knarr(*run, *first).line == "docker-init"
    assert engine.knarr(*run, "--init=false", *first).line == "cat"
    assert engine.knarr(*run, "--pid", "host", *first).line != "docker-init"
    assert engine.get("/info")["InitBinary"] == "docker-init"


def test_ready_is_told_to_the_manager_and_on_stderr(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(30)
        engine = make_engine(busybox=False, env={"NOTIFY_SOCKET": str(path)})
        assert manager.recv(100) == b"READY=1"
        assert "is ready on unix://" in engine.log.read_text()
        assert (engine.exec_root / "knarr.pid").read_text().strip() == str(engine.pid)
        engine.terminate()
        assert manager.recv(100) == b"STOPPING=1"
    assert not (engine.exec_root / "knarr.pid").exists()


def test_socket_activation(tmp_path: Path) -> None:
    """The manager's socket is descriptor 3; LISTEN_PID names the process that takes it."""
    path = tmp_path / "activated.sock"
    roots = f"--data-root {tmp_path}/data --exec-root {tmp_path}/run"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        fd = listening.fileno()
        script = (
            f"exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1 exec {' '.join(PROGRAM)} {roots} -H fd://"
        )
        process = subprocess.Popen(["bash", "-c", script], pass_fds=[fd], stderr=subprocess.PIPE)
        try:
            # Answered after the start: the connection waits in the backlog of the manager.
            connection = UnixConnection(str(path))
            connection.request("GET", "/_ping")
            assert connection.getresponse().read() == b"OK"
            connection.close()
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors


def test_the_end_without_containers_leaves_nothing(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.docker("run", "--rm", "--network", "none", "busybox", "true")
    assert engine.terminate() == 0
    assert supervisor_ends(engine)
    assert leaks.mounts(engine.base) == []
    assert leaks.cgroups(engine.exec_root) == []
    tag = hashlib.sha256(str(engine.exec_root).encode()).hexdigest()[:8]
    assert list(Path("/sys/fs/cgroup").glob(f"**/knarr-{tag}")) == []
    assert not engine.socket.exists() or engine.log.read_text().count("Traceback") == 0
    assert "error" not in engine.log.read_text().lower()


def test_the_end_with_containers_leaves_them(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.docker("run", "-d", "--name", "on", "--network", "none", "busybox", "sleep", "100")
    pid = engine.get("/containers/on/json")["State"]["Pid"]
    assert engine.terminate() == 0
    assert Path(f"/proc/{pid}").exists()
    assert has_supervisor(engine)
    engine.start()
    assert engine.get("/containers/on/json")["State"]["Pid"] == pid


def test_a_stopping_engine_ends_streams(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.docker("run", "-d", "--name", "on", "--network", "none", "busybox", "sleep", "100")
    clients = [
        subprocess.Popen(
            ["docker", *words],
            env=engine.client_env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for words in (["logs", "-f", "on"], ["events"], ["attach", "on"], ["wait", "on"])
    ]
    time.sleep(0.5)
    begun = time.monotonic()
    assert engine.terminate() == 0
    assert time.monotonic() - begun < 8
    for client in clients:
        client.wait(10)


def reboot(engine: Engine) -> None:
    """What a start of the machine does: no process, no mount, no cgroup, an empty exec root."""
    running = [
        engine.get(f"/containers/{each['Id']}/json")["State"]["Pid"]
        for each in engine.get("/containers/json")
    ]
    supervisor = engine.supervisor_pid()
    engine.kill9()  # first, or it would start another supervisor
    os.kill(supervisor, signal.SIGKILL)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while leaks.processes(engine.base):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for point in reversed(leaks.mounts(engine.base)):
        subprocess.run(["umount", "-l", point], check=True)
    while leaks.cgroups(engine.exec_root):
        assert time.monotonic() < deadline
        for path in leaks.cgroups(engine.exec_root):
            subprocess.run(["rmdir", path], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", str(engine.exec_root)], check=True)


def test_after_a_reboot(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    common = ["--network", "none"]
    sleep = ["busybox", "sh", "-c", "date +%N > /proof; sleep 300"]
    engine.docker("run", "-d", "--name", "plain", *common, *sleep)
    engine.docker("run", "-d", "--name", "removed", "--rm", *common, *sleep)
    engine.docker("run", "-d", "--name", "again", "--restart", "always", *common, *sleep)
    engine.docker("run", "-d", "--name", "unless", "--restart", "unless-stopped", *common, *sleep)
    engine.docker("run", "-d", "--name", "halted", "--restart", "unless-stopped", *common, *sleep)
    engine.docker("create", "--name", "made", *common, *sleep)
    engine.docker("stop", "-t", "0", "halted")
    reboot(engine)
    engine.start()
    deadline = time.monotonic() + 20
    while len(engine.get("/containers/json")) < 2 or any(
        each["State"] != "running" for each in engine.get("/containers/json")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    states = {each["Names"][0][1:]: each["State"] for each in engine.get("/containers/json?all=1")}
    assert states == {
        "plain": "exited",
        "again": "running",
        "unless": "running",
        "halted": "exited",
        "made": "created",
    }
    assert engine.get("/containers/plain/json")["State"]["ExitCode"] == 255
    engine.docker("start", "plain")
    written = "until [ -s /proof ]; do usleep 10000; done; cat /proof"
    assert engine.docker("exec", "plain", "sh", "-c", written).line
    engine.docker("rm", "-f", "plain", "again", "unless", "halted", "made")


def test_only_root_reads_what_may_hold_secrets(make_engine: Callable[..., Engine]) -> None:
    """Everything that is not root-only, or below something that is, is harmless."""
    engine = make_engine()
    engine.docker(
        "run", "-d", "--name", "on", "--network", "none", "-e", "SECRET=s3cr3t", "busybox"
    )
    readable = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "grep", "-rl", "s3cr3t"]
        + [str(path) for path in (engine.base, engine.data_root / "knarr.db")]
        + [str(path) for path in engine.exec_root.rglob("config.json")],
        capture_output=True,
        check=False,
    )
    assert readable.stdout == b""
    for path in (engine.data_root / "knarr.db", *engine.exec_root.rglob("config.json")):
        assert path.stat().st_mode & 0o077 == 0
    engine.docker("rm", "-f", "on")
