"""Other OCI runtimes by the docker command line: each must behave as knarr's own does."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, leaks, probes
from support.engine import Engine, Result

from .conftest import PEER

pytestmark = pytest.mark.skipif(bool(PEER), reason="the runtimes of a peer are not ours to choose")

OURS = Path(sys.executable).with_name("knarr-runtime")
RUNTIMES = {
    "runc": (probes.find_program("runc") or "/absent", []),
    "runsc": (probes.find_program("runsc") or "/absent", ["--platform=ptrace", "--network=none"]),
    "ours": (str(OURS), []),
}
WAITS = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that knows the runtimes."""
    base = tmp_path_factory.mktemp("runtimes")
    lines = ['[runtimes]\nabsent = "/nonexistent/runtime"\n']
    for name, (path, args) in RUNTIMES.items():
        lines.append(f'[runtimes.{name}]\npath = "{path}"\nargs = {json.dumps(args)}\n')
    (base / "knarr.toml").write_text("".join(lines))
    engine = Engine(base, "--config", str(base / "knarr.toml")).start()
    try:
        assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
        yield engine
        until(lambda: not (engine.exec_root / "external").exists())
    finally:
        engine.stop_all()


@pytest.fixture(
    params=[
        pytest.param("runc", marks=pytest.mark.needs_peer("runc")),
        pytest.param("runsc", marks=pytest.mark.needs_peer("runsc")),
        "ours",
    ]
)
def runtime(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def run(box: Engine, runtime: str) -> Callable[..., Result]:
    """``docker run --runtime RUNTIME OPTIONS busybox COMMAND``."""

    def run(*command: str, options: tuple[str, ...] = ("--rm",), **more: object) -> Result:
        line = ["run", "--network", "none", "--runtime", runtime, *options, "busybox", *command]
        return box.docker(*line, **more)

    return run


@pytest.fixture
def waiting(box: Engine, run: Callable[..., Result]) -> Iterator[str]:
    """A container that runs until it is told to end."""
    container = run("sh", "-c", WAITS, options=("-d", "-m", "64m")).line
    until(lambda: "ready" in box.docker("logs", container).out)
    yield container
    box.docker("rm", "-f", container, check=False)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def inspected(engine: Engine, container: str) -> dict:
    return engine.get(f"/containers/{container}/json")


def test_streams_and_exit_code(run: Callable[..., Result]) -> None:
    done = run("sh", "-c", "cat; echo error >&2; exit 7", options=("--rm", "-i"), input="in\n",
               check=False)  # fmt: skip
    assert (done.code, done.out, done.err) == (7, "in\n", "error\n")


def test_the_null_device_of_the_host_stays_root_s(run: Callable[..., Result]) -> None:
    """runsc gives its standard streams to "nobody": it must not get devices of the host."""
    for options in (("--rm", "-u", "app"), ("--rm", "-t", "-u", "app")):
        run("true", options=options)
        found = Path("/dev/null").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 0, 0o666)


def test_the_container_is_as_asked_for(run: Callable[..., Result]) -> None:
    options = ("--rm", "-u", "app", "-e", "A=b c", "-w", "/tmp/x", "-h", "there")
    shown = run("sh", "-c", "id -u; echo $A; pwd; hostname; echo $HOME", options=options).out
    assert shown.split("\n")[:5] == ["1000", "b c", "/tmp/x", "there", "/home/app"]


@pytest.mark.parametrize(("program", "code"), [("nosuch", 127), ("/etc/passwd", 126)])
def test_program_that_cannot_be_started(
    box: Engine, run: Callable[..., Result], program: str, code: int
) -> None:
    done = run(program, check=False)
    assert done.code == code
    assert "OCI runtime create failed" in done.err
    until(lambda: not list((box.exec_root / "external").glob("*")))


def test_terminal(box: Engine, runtime: str) -> None:
    # stty itself fails now and then under runsc: it is asked until it says the size.
    seen = 's=$(stty size 2>/dev/null); [ "$s" = "33 77" ] && echo "$s" && break'
    script = f"for i in $(seq 300); do {seen}; sleep 0.1; done; test -t 0 && exit 3"
    command = [probes.docker_cli() or "", "run", "--rm", "-it", "--network", "none"]
    command += ["--runtime", runtime, "busybox", "sh", "-c", script]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 77))
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=box.client_env
    ) as started:
        os.close(theirs)
        shown = b""
        while started.poll() is None or not shown:
            try:
                shown += os.read(ours, 1000)
            except OSError:
                break
        assert started.wait(60) == 3
    os.close(ours)
    assert b"33 77" in shown


def test_life(box: Engine, waiting: str, runtime: str) -> None:
    seen = inspected(box, waiting)
    assert (seen["HostConfig"]["Runtime"], seen["State"]["Running"]) == (runtime, True)
    assert box.docker("top", waiting).out.startswith("UID")
    box.docker("pause", waiting)
    assert inspected(box, waiting)["State"]["Paused"]
    box.docker("unpause", waiting)
    box.docker("stop", waiting)
    assert inspected(box, waiting)["State"]["ExitCode"] == 9
    assert box.docker("logs", waiting).out.splitlines() == ["ready", "got it"]
    box.docker("start", waiting)
    box.docker("kill", waiting)
    assert inspected(box, waiting)["State"]["ExitCode"] == 137
    box.docker("rm", waiting)


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_end_of_a_paused_container(box: Engine, waiting: str, verb: str) -> None:
    box.docker("pause", waiting)
    box.docker(verb, waiting)
    state = inspected(box, waiting)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", {"stop": 9, "kill": 137}[verb])


def test_exec(box: Engine, waiting: str) -> None:
    done = box.docker("exec", "-i", waiting, "sh", "-c", "cat; exit 5", input="x\n", check=False)
    assert (done.code, done.out) == (5, "x\n")
    assert box.docker("exec", "-u", "app", waiting, "id", "-u").line == "1000"
    done = box.docker("exec", waiting, "nosuch", check=False)
    assert done.code == 127
    assert "OCI runtime exec failed" in done.out
    assert inspected(box, waiting)["State"]["Running"]
    left = box.exec_root / "external" / waiting
    assert not list(left.glob("exec-*")) + list(left.glob("log*"))


def test_copying_from_a_running_container(box: Engine, waiting: str, runtime: str) -> None:
    done = box.docker("cp", f"{waiting}:/etc/passwd", "-", check=False)
    if runtime == "runsc":
        assert "its files are in a sandbox" in done.err
        box.docker("stop", waiting)
        done = box.docker("cp", f"{waiting}:/etc/passwd", "-", check=False)
    assert (done.code, "app:x:1000" in done.out) == (0, True)


def test_mounts(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host\n")
    options = ("--rm", "--read-only", "-v", f"{tmp_path}:/data", "--tmpfs", "/scratch")
    script = "cat /data/in; touch /no 2>/dev/null || echo read-only; echo kept > /data/out; "
    script += "echo x > /scratch/x && cat /scratch/x /etc/hostname"
    options += ("-h", "there", "-v", f"{tmp_path}/in:/deep/er/file:ro")
    shown = run("sh", "-c", f"{script}; cat /deep/er/file", options=options).out
    assert shown == "from the host\nread-only\nx\nthere\nfrom the host\n"
    assert (tmp_path / "out").read_text() == "kept\n"


def test_mounts_that_are_made_for_the_runtime(
    box: Engine, run: Callable[..., Result], runtime: str
) -> None:
    """An image, and a part of a volume: not all of it, though the runtime knows no parts."""
    volume = f"parts-{runtime}"
    fill = "mkdir /v/part; echo shown > /v/part/file; echo hidden > /v/other"
    run("sh", "-c", fill, options=("--rm", "-v", f"{volume}:/v"))
    options = ("--rm", "--mount", "type=image,source=busybox,target=/image")
    options += ("--mount", f"type=volume,source={volume},target=/p,volume-subpath=part")
    script = "ls /image/etc; ls /p; touch /image/x || echo read-only; touch /p/new"
    shown = run("sh", "-c", script, options=options).out.split()
    assert shown == ["group", "passwd", "file", "read-only"]
    assert run("ls", "/v/part", options=("--rm", "-v", f"{volume}:/v")).out.split() == [
        "file",
        "new",
    ]
    box.docker("volume", "rm", volume)


def test_shared_memory_of_another_container(
    box: Engine, run: Callable[..., Result], runtime: str
) -> None:
    keep = ["run", "-d", "--network", "none", "--ipc", "shareable", "busybox", "sh", "-c"]
    other = box.docker(*keep, "echo theirs > /dev/shm/f; sleep 100").line
    try:
        until(lambda: run("cat", "/dev/shm/f", options=shared(other), check=False).code == 0)
        assert run("cat", "/dev/shm/f", options=shared(other)).line == "theirs"
    finally:
        box.docker("rm", "-f", other)


def shared(other: str) -> tuple[str, ...]:
    return ("--rm", "--ipc", f"container:{other}")


def test_changes_are_in_the_writable_layer(
    box: Engine, run: Callable[..., Result], runtime: str
) -> None:
    name = f"changes-{runtime}"
    run("sh", "-c", "echo new > /new; rm /etc/group", options=("--name", name))
    assert box.docker("diff", name).out.splitlines() == ["C /etc", "D /etc/group", "A /new"]
    assert run("true", options=("--rm",)).code == 0
    box.docker("start", name)
    box.docker("wait", name)
    box.docker("rm", name)


def test_update(box: Engine, waiting: str, runtime: str) -> None:
    done = box.docker("update", "-m", "100m", "--memory-swap", "100m", waiting, check=False)
    if runtime == "runsc":
        assert 'it may be a runtime without the command "update"' in done.err
        assert inspected(box, waiting)["HostConfig"]["Memory"] == 64 << 20
    else:
        assert done.code == 0, done
        assert inspected(box, waiting)["HostConfig"]["Memory"] == 100 << 20
        assert memory_limit(inspected(box, waiting)["State"]["Pid"]) == 100 << 20


def memory_limit(pid: int) -> int:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return int(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
        if controllers == "" and Path(f"/sys/fs/cgroup{path}/memory.max").exists():
            return int(Path(f"/sys/fs/cgroup{path}/memory.max").read_text())
    raise AssertionError("no memory cgroup")


def test_out_of_memory_is_told(box: Engine, run: Callable[..., Result], runtime: str) -> None:
    name = f"oom-{runtime}"
    hungry = "x=a; while :; do x=$x$x; done"
    done = run("sh", "-c", hungry, options=("--name", name, "-m", "24m"), check=False)
    assert done.code == 137
    assert inspected(box, name)["State"]["OOMKilled"]
    box.docker("rm", name)


def test_engine_killed(box: Engine, waiting: str) -> None:
    box.kill9()
    box.start()
    assert inspected(box, waiting)["State"]["Running"]
    assert box.docker("exec", waiting, "echo", "there").line == "there"
    box.docker("stop", waiting)
    assert inspected(box, waiting)["State"]["ExitCode"] == 9


def test_engine_and_supervisor_killed(box: Engine, waiting: str) -> None:
    supervisor = box.supervisor_pid()
    box.kill9()
    os.kill(supervisor, 9)
    until(lambda: not Path(f"/proc/{supervisor}").exists())
    box.start()
    assert inspected(box, waiting)["State"]["Running"]
    assert box.docker("exec", waiting, "echo", "there").line == "there"
    box.docker("stop", waiting)
    assert not inspected(box, waiting)["State"]["Running"]
    assert box.docker("logs", waiting).out.splitlines() == ["ready", "got it"]
    until(lambda: not (box.exec_root / "external" / waiting).exists())


def test_nothing_is_left_in_the_supervisor(box: Engine, run: Callable[..., Result]) -> None:
    run("sh", "-c", "sleep 100 & exit 0")
    until(lambda: not leaks.children_of(box.supervisor_pid()))


@pytest.mark.needs_peer("runc")
def test_orphans_of_our_own_runtime_are_reaped_too(box: Engine) -> None:
    """Without a pid namespace they come to the supervisor, once it has another runtime."""
    line = ["run", "--rm", "--network", "none"]
    box.docker(*line, "--runtime", "runc", "busybox", "true")
    orphan = "(sleep 0.2; sleep 0.1) & sleep 1; echo done"
    assert box.docker(*line, "--pid", "host", "busybox", "sh", "-c", orphan).line == "done"
    until(lambda: not leaks.children_of(box.supervisor_pid()))


def test_unknown_and_absent_runtimes(box: Engine) -> None:
    done = box.docker("run", "--rm", "--runtime", "nope", "busybox", check=False)
    assert (done.code, "unknown or invalid runtime name: nope" in done.err) == (125, True)
    status, _ = box.api(
        "POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Runtime": "nope"}}
    )
    assert status == 400
    line = ["run", "--rm", "--network", "none", "--runtime", "absent", "busybox"]
    done = box.docker(*line, check=False)
    assert 'runtime program "/nonexistent/runtime"' in done.err
    assert done.code == 127


def test_explain_tells_the_calls_of_the_program(box: Engine) -> None:
    line = ["run", "--explain", "--network", "none", "--runtime", "runsc", "busybox", "true"]
    mounted, *_, create, start = box.knarr(*line).out.splitlines()
    assert mounted.startswith('fsopen("overlay"')
    program = RUNTIMES["runsc"][0]
    assert create.startswith(f"execve({program!r}, [{program!r}, '--platform=ptrace'")
    assert "'create', '--bundle'" in create
    assert "'start'" in start
    assert not (box.exec_root / "external").exists()


def test_info_lists_the_runtimes(box: Engine) -> None:
    info = box.get("/info")
    assert info["DefaultRuntime"] == "knarr"
    assert set(info["Runtimes"]) == {"knarr", "absent", *RUNTIMES}
    assert info["Runtimes"]["runsc"]["runtimeArgs"] == ["--platform=ptrace", "--network=none"]
    shown = box.docker("info").out
    assert re.search(r"Runtimes: .*\bknarr\b", shown)
    assert "Default Runtime: knarr" in shown


def test_the_name_of_dockers_own_runtime(daemon: Engine) -> None:
    """Where nobody has configured it, it is the runtime of the engine itself."""
    for name in ("runc", "io.containerd.runc.v2"):
        line = ["create", "--runtime", name, "busybox"]
        container = daemon.docker(*line).line
        assert inspected(daemon, container)["HostConfig"]["Runtime"] == "knarr"
        daemon.docker("rm", container)
