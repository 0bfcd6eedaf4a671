"""docker-py's objects as programs use them: streams, sockets, files, images made of containers."""

from __future__ import annotations

import gc
import http.client
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from support import images

#: docker-py leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

LOOP = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what docker-py leaves be collected here, where its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def running(client: docker.DockerClient) -> Iterator[Container]:
    """A container that is ready."""
    made = client.containers.run("busybox", ["sh", "-c", LOOP], detach=True, network_mode="none")
    try:
        assert next(made.logs(stream=True, follow=True)) == b"ready\n"
        yield made
    finally:
        made.remove(force=True, v=True)


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


# Containers.


def test_run_with_many_options(client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("bound\n")
    tmp_path.chmod(0o755)
    script = "cat /b/f; id -u; hostname; pwd; echo $A; cat /proc/self/limits | grep 'open files'"
    out = client.containers.run(
        "busybox",
        ["sh", "-c", script],
        remove=True,
        network_mode="none",
        volumes={str(tmp_path): {"bind": "/b", "mode": "ro"}},
        user=1000,
        hostname="h1",
        working_dir="/tmp",
        environment=["A=b"],
        ulimits=[docker.types.Ulimit(name="nofile", soft=100, hard=200)],
        mem_limit="64m",
        nano_cpus=500_000_000,
        pids_limit=100,
        cap_drop=["ALL"],
        cap_add=["CHOWN"],
        read_only=True,
        tmpfs={"/t": ""},
        shm_size="1m",
        security_opt=["no-new-privileges"],
        sysctls={"net.ipv4.ip_forward": "0"},
        extra_hosts={"there": "1.2.3.4"},
        labels=["a", "b"],
        init=True,
        oom_score_adj=500,
        stop_signal="SIGINT",
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m"}),
        healthcheck={"test": ["CMD", "true"], "interval": 10**9},
        mounts=[docker.types.Mount("/m", None, type="tmpfs", tmpfs_size=4096)],
    )
    lines = out.decode().splitlines()
    assert lines[:5] == ["bound", "1000", "h1", "/tmp", "b"]
    assert lines[5].split()[3:5] == ["100", "200"]


def test_output_of_run_as_a_stream(client: docker.DockerClient) -> None:
    out = client.containers.run(
        "busybox", "sh -c 'echo a; echo b >&2'", stream=True, stdout=True, stderr=True,
        network_mode="none", remove=True,
    )  # fmt: skip
    assert sorted(b"".join(out).split()) == [b"a", b"b"]
    only = client.containers.run(
        "busybox", "sh -c 'echo a; echo b >&2'", stderr=True, stdout=False, network_mode="none",
        remove=True,
    )  # fmt: skip
    assert only == b"b\n"


def test_run_of_what_removes_itself(client: docker.DockerClient) -> None:
    """docker-py asks for the log and the exit code of what may have ended long ago."""
    script = ["sh", "-c", "echo hi; exit $0"]
    for _ in range(5):
        out = client.containers.run(
            "busybox", [*script, "0"], auto_remove=True, network_mode="none"
        )
        assert out == b"hi\n"
        with pytest.raises(docker.errors.ContainerError) as failure:
            client.containers.run("busybox", [*script, "3"], auto_remove=True, network_mode="none")
        assert failure.value.exit_status == 3


def test_the_name_of_what_removes_itself(
    client: docker.DockerClient, name: str, is_knarr: bool
) -> None:
    if not is_knarr:
        pytest.skip("dockerd keeps the name until it is done")
    for _ in range(3):
        made = client.containers.run(
            "busybox", "true", name=name, detach=True, auto_remove=True, network_mode="none"
        )
        while "running" in [each["State"] for each in client.api.containers(all=True)]:
            time.sleep(0.005)
    made.wait(condition="removed")
    with pytest.raises(docker.errors.NotFound):
        made.reload()


def test_list_and_get(client: docker.DockerClient, running: Container) -> None:
    assert running in client.containers.list()
    assert client.containers.list(filters={"status": "exited", "id": running.id}) == []
    assert client.containers.list(all=True, limit=1)[0] == running
    assert client.containers.list(ignore_removed=True, filters={"name": running.name})
    found = client.containers.get(running.name)
    assert (found.status, found.short_id) == ("running", running.short_id)
    assert found.image.tags == ["busybox:latest"]
    assert found.attrs["State"]["Running"]
    assert found.ports == {}
    assert found.health == "unknown"


def test_life_beside_its_beginning_and_end(client: docker.DockerClient, running: Container) -> None:
    running.pause()
    running.reload()
    assert running.status == "paused"
    running.unpause()
    assert running.update(cpu_shares=512)["Warnings"] in (None, [])
    running.restart(timeout=1)
    running.reload()
    assert running.status == "running"
    with pytest.raises(docker.errors.APIError) as refused:
        client.containers.create("busybox", name=running.name)
    assert refused.value.status_code == 409
    with pytest.raises(docker.errors.APIError) as running_yet:
        running.remove()
    assert running_yet.value.status_code == 409


def test_wait_for_conditions(client: docker.DockerClient, running: Container) -> None:
    ended: list[Any] = []
    waiter = threading.Thread(
        target=lambda: ended.append(running.wait(condition="next-exit", timeout=30))
    )
    waiter.start()
    time.sleep(0.05)
    running.kill(signal="TERM")
    waiter.join()
    assert ended[0]["StatusCode"] == 4
    assert running.wait()["StatusCode"] == 4
    assert running.wait(condition="not-running")["StatusCode"] == 4


def test_logs(client: docker.DockerClient) -> None:
    script = "for i in 1 2 3; do echo o$i; echo e$i >&2; done"
    made = client.containers.run("busybox", ["sh", "-c", script], detach=True, network_mode="none")
    try:
        made.wait()
        assert made.logs(stdout=True, stderr=False) == b"o1\no2\no3\n"
        assert made.logs(stdout=False) == b"e1\ne2\ne3\n"
        assert len(made.logs(tail=2).splitlines()) == 2
        assert made.logs(timestamps=True, stderr=False).splitlines()[0].endswith(b"Z o1")
        assert made.logs(since=int(time.time()) + 100) == b""
        assert made.logs(until=int(time.time()) + 100, stderr=False) == b"o1\no2\no3\n"
        parts = made.logs(stream=True, stderr=False)
        assert b"".join(parts) == b"o1\no2\no3\n"
    finally:
        made.remove()


def test_logs_of_a_terminal(client: docker.DockerClient) -> None:
    made = client.containers.run("busybox", "echo hi", tty=True, detach=True, network_mode="none")
    try:
        made.wait()
        assert made.logs() == b"hi\r\n"
        assert b"".join(made.logs(stream=True, follow=True)) == b"hi\r\n"
    finally:
        made.remove()


def test_following_ends_when_it_is_closed(running: Container) -> None:
    following = running.logs(stream=True, follow=True)
    assert next(following) == b"ready\n"
    following.close()


# Exec.


def test_exec_run(running: Container) -> None:
    script = ["sh", "-c", "echo o; echo e >&2; exit 3"]
    code, out = running.exec_run(script)
    assert (code, sorted(out.split())) == (3, [b"e", b"o"])
    assert running.exec_run(script, stderr=False) == (3, b"o\n")
    assert running.exec_run(script, demux=True) == (3, (b"o\n", b"e\n"))
    assert running.exec_run("echo hi", tty=True) == (0, b"hi\r\n")
    where = running.exec_run(
        ["sh", "-c", "pwd; id -u; echo $A"], workdir="/tmp", user="1000", environment={"A": "b"}
    )
    assert where.output == b"/tmp\n1000\nb\n"
    assert running.exec_run("sleep 60", detach=True).exit_code is None


def test_exec_run_as_a_stream(running: Container) -> None:
    script = ["sh", "-c", "echo o; echo e >&2"]
    code, parts = running.exec_run(script, stream=True)
    assert code is None
    assert sorted(b"".join(parts).split()) == [b"e", b"o"]
    _, pairs = running.exec_run(script, stream=True, demux=True)
    assert {pair for pair in pairs if any(pair)} == {(b"o\n", None), (None, b"e\n")}


def test_exec_run_of_a_client_that_is_slow(
    running: Container, monkeypatch: pytest.MonkeyPatch, is_knarr: bool
) -> None:
    """docker-py loses output that arrives together with the head of the answer."""
    if not is_knarr:
        pytest.skip("dockerd is only slow enough most of the time")
    begin = http.client.HTTPResponse.begin

    def begin_late(response: http.client.HTTPResponse) -> None:
        time.sleep(0.1)
        begin(response)

    monkeypatch.setattr(http.client.HTTPResponse, "begin", begin_late)
    assert running.exec_run("echo hi") == (0, b"hi\n")
    assert b"no such file" in running.exec_run("/none").output


def raw(sock: Any) -> Any:
    return getattr(sock, "_sock", sock)


def test_exec_run_as_a_socket(running: Container) -> None:
    _, sock = running.exec_run(["cat"], stdin=True, socket=True)
    raw(sock).settimeout(20)
    raw(sock).sendall(b"there and back\n")
    stream, size = docker.utils.socket.next_frame_header(sock)
    assert (stream, docker.utils.socket.read_exactly(sock, size)) == (1, b"there and back\n")
    raw(sock).shutdown(1)
    assert docker.utils.socket.next_frame_header(sock) == (-1, -1)
    sock.close()


def test_exec_with_the_low_level_client(client: docker.DockerClient, running: Container) -> None:
    api = client.api
    made = api.exec_create(running.id, ["sh", "-c", "read x; echo got $x; exit 5"], stdin=True)
    assert not api.exec_inspect(made["Id"])["Running"]
    sock = api.exec_start(made["Id"], socket=True)
    raw(sock).settimeout(20)
    raw(sock).sendall(b"this\n")
    frames = docker.utils.socket.frames_iter(sock, tty=False)
    assert (
        docker.utils.socket.consume_socket_output((data for _, data in frames), demux=False)
        == b"got this\n"
    )
    sock.close()
    found = api.exec_inspect(made["Id"])
    assert (found["Running"], found["ExitCode"]) == (False, 5)
    assert found["ProcessConfig"]["entrypoint"] == "sh"


# Attach.


def test_attach(client: docker.DockerClient) -> None:
    made = client.containers.create(
        "busybox", ["sh", "-c", "echo o; echo e >&2; read x; echo $x"], stdin_open=True,
        network_mode="none",
    )  # fmt: skip
    try:
        sock = made.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        parts = made.attach(stream=True, demux=True)
        made.start()
        raw(sock).sendall(b"typed\n")
        pairs = list(parts)
        assert b"".join(out or b"" for out, _ in pairs) == b"o\ntyped\n"
        assert b"".join(err or b"" for _, err in pairs) == b"e\n"
        sock.close()
        made.wait()
        assert made.logs(stderr=False) == b"o\ntyped\n"
    finally:
        made.remove(force=True)


def test_resize(client: docker.DockerClient) -> None:
    made = client.containers.run("busybox", "sh", tty=True, stdin_open=True, detach=True,
                                 network_mode="none")  # fmt: skip
    try:
        made.resize(33, 44)
        sock = made.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        raw(sock).settimeout(20)
        raw(sock).sendall(b"stty size; exit\n")
        said = b""
        while data := raw(sock).recv(4096):
            said += data
        assert b"33 44" in said
        sock.close()
    finally:
        made.remove(force=True)


# What it uses, what changed.


def test_stats_and_top(running: Container) -> None:
    once = running.stats(stream=False)
    assert once["memory_stats"]["usage"] > 0
    assert once["pids_stats"]["current"] >= 1
    assert once["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    samples = running.stats(decode=True, stream=True)
    assert next(samples)["id"] == running.id
    samples.close()
    assert running.top(ps_args="-o pid,args")["Titles"] == ["PID", "COMMAND"]


def test_archives(client: docker.DockerClient, running: Container) -> None:
    assert running.put_archive("/tmp", packed(a=b"one\n"))
    assert running.exec_run("cat /tmp/a").output == b"one\n"
    parts, stat = running.get_archive("/tmp/a")
    assert (stat["name"], stat["size"]) == ("a", 4)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
        assert tar.getnames() == ["a"]
    parts, _ = running.get_archive("/etc/passwd", encode_stream=True)
    assert b"".join(parts)
    assert {"Path": "/tmp/a", "Kind": 1} in running.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(running.export()))) as tar:
        assert "tmp/a" in tar.getnames()
    with pytest.raises(docker.errors.NotFound):
        running.get_archive("/nowhere")
    with pytest.raises(docker.errors.NotFound):
        running.put_archive("/nowhere", packed(a=b""))


def test_commit(client: docker.DockerClient, running: Container) -> None:
    running.exec_run(["sh", "-c", "echo kept >/kept"])
    image = running.commit(
        "py/made", "v1", message="why", author="me", changes=["CMD cat /kept", "LABEL x=y"],
        conf={"Env": ["B=c"]},
    )  # fmt: skip
    try:
        assert image.tags == ["py/made:v1"]
        assert image.labels == {"x": "y"}
        assert image.attrs["Author"] == "me"
        assert image.history()[0]["Comment"] == "why"
        assert "B=c" in image.attrs["Config"]["Env"]
        out = client.containers.run("py/made:v1", remove=True, network_mode="none")
        assert out == b"kept\n"
    finally:
        client.images.remove(image.id, force=True)


# Images, volumes, networks, the engine.


def test_images(client: docker.DockerClient, tmp_path: Path) -> None:
    image = client.images.get("busybox")
    assert image.short_id.startswith("sha256:")
    assert image.tag("py/tagged", tag="v1")
    assert client.images.list(name="py/tagged")[0].tags
    assert client.images.list(filters={"reference": "py/*"})
    image.reload()
    assert "py/tagged:v1" in image.tags
    path = tmp_path / "saved.tar"
    with path.open("wb") as file:
        for part in image.save(named="py/tagged:v1"):
            file.write(part)
    client.images.remove("py/tagged:v1")
    with path.open("rb") as file:
        (again,) = client.images.load(file)
    assert "py/tagged:v1" in again.tags
    client.images.remove("py/tagged:v1")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.remove("py/tagged:v1")
    with pytest.raises((docker.errors.ImageLoadError, docker.errors.APIError)):
        client.images.load(b"no archive")
    assert client.images.prune()["SpaceReclaimed"] >= 0


def test_import(client: docker.DockerClient, tmp_path: Path) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(images.busybox_layer())
    client.api.import_image_from_file(str(path), repository="py/imported", tag="v1",
                                      changes=["CMD echo hi"])  # fmt: skip
    client.api.import_image_from_data(path.read_bytes(), repository="py/imported", tag="v2")
    try:
        out = client.containers.run("py/imported:v1", remove=True, network_mode="none")
        assert out == b"hi\n"
    finally:
        client.images.remove("py/imported:v1", force=True)
        client.images.remove("py/imported:v2", force=True)


def test_volumes(client: docker.DockerClient) -> None:
    volume = client.volumes.create("py-volume", labels={"a": "b"})
    try:
        assert volume.attrs["Driver"] == "local"
        assert client.volumes.get("py-volume") == volume
        assert volume in client.volumes.list(filters={"label": "a=b"})
        for script in ("echo kept >/v/x", "cat /v/x"):
            out = client.containers.run(
                "busybox", ["sh", "-c", script], remove=True, network_mode="none",
                volumes=["py-volume:/v"],
            )  # fmt: skip
        assert out == b"kept\n"
        out = client.containers.run(
            "busybox", "cat /v/x", remove=True, network_mode="none",
            mounts=[docker.types.Mount("/v", "py-volume", read_only=True)],
        )  # fmt: skip
        assert out == b"kept\n"
    finally:
        volume.remove()
    with pytest.raises(docker.errors.NotFound):
        client.volumes.get("py-volume")
    client.volumes.create(labels={"prune": "me"})
    assert client.volumes.prune(filters={"label": "prune=me"})["VolumesDeleted"]


def test_networks(client: docker.DockerClient) -> None:
    names = {network.name for network in client.networks.list()}
    assert {"host", "none"} <= names
    (none,) = client.networks.list(names=["none"])
    assert client.networks.get(none.id).attrs["Driver"] == "null"


def test_events(client: docker.DockerClient) -> None:
    start = int(time.time())
    events = client.events(decode=True, filters={"type": "container"})
    made = client.containers.run("busybox", "true", detach=True, network_mode="none")
    made.wait()
    made.remove()
    actions = []
    for event in events:
        if event["Actor"]["ID"] == made.id:
            actions.append(event["Action"])
        if actions[-1:] == ["destroy"]:
            break
    events.close()
    assert actions == ["create", "start", "die", "destroy"]
    past = client.events(
        decode=True, since=start, until=int(time.time()) + 1, filters={"container": made.id}
    )
    assert [event["Action"] for event in past] == actions


def test_disk_usage_and_prune(client: docker.DockerClient) -> None:
    usage = client.df()
    assert {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"} <= set(usage)
    made = client.containers.create("busybox", labels={"prune": "this"})
    pruned = client.containers.prune(filters={"label": "prune=this"})
    assert pruned["ContainersDeleted"] == [made.id]


def test_version_is_negotiated(daemon: Any) -> None:
    client = docker.DockerClient(base_url=daemon.host, version="auto")
    assert client.api._version <= client.version()["ApiVersion"]
    client.close()
    old = docker.DockerClient(base_url=daemon.host, version="1.35")
    assert old.ping()
    assert old.containers.run("busybox", "echo hi", remove=True, network_mode="none") == b"hi\n"
    assert old.images.list()[0].attrs["VirtualSize"] > 0
    old.close()
