"""Files of containers against the real kernel: what commit keeps, races, crashes, restarts."""

from __future__ import annotations

import http.client
import io
import os
import stat
import struct
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import trees
from support.engine import Engine, UnixConnection
from support.tars import archive, file

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
ODD = os.fsdecode(b"na\xffme\n")
FAULTS = ["commit.frozen", "load.layer-renamed", "load.recorded"]


def furnish(base: Path) -> None:
    """Files of every kind below ``base``."""
    (base / "dir/empty").mkdir(parents=True)
    (base / "dir").chmod(0o1775)
    (base / "dir/file").write_bytes(b"content")
    (base / "dir/hard").hardlink_to(base / "dir/file")
    (base / "dir/set").write_bytes(b"#!")
    os.chown(base / "dir/set", 1000, 4_000_000_000)
    (base / "dir/set").chmod(0o6751)
    os.setxattr(base / "dir/set", "security.capability", CAPABILITY)
    os.setxattr(base / "dir/file", "user.color", b"\0blue=")
    os.setxattr(base / "dir", "trusted.note", b"on a directory")
    (base / "link").symlink_to("dir/file")
    (base / "broken").symlink_to("/no/where/\udcff")
    os.chown(base / "link", 7, 8, follow_symlinks=False)
    os.mkfifo(base / "fifo", 0o620)
    os.mknod(base / "device", stat.S_IFBLK | 0o640, os.makedev(7, 300))
    (base / ODD).write_bytes(b"odd")
    (base / ("n" * 200)).write_bytes(b"long")
    for path in sorted(base.rglob("*"), reverse=True):
        os.utime(path, ns=(1, 1_600_000_000_123_456_789), follow_symlinks=False)


def create(engine: Engine, name: str, *command: str, start: bool = False) -> str:
    """The id of a new container."""
    verb = ["run", "-d"] if start else ["create"]
    return engine.knarr(*verb, "--network", "none", "--name", name, "busybox", *command).line


def upper(engine: Engine, container_id: str) -> Path:
    return engine.data_root / "snapshots" / container_id / "upper"


def test_commit_keeps_everything(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    engine = make_engine()
    furnished = tmp_path / "furnished"
    furnished.mkdir()
    furnish(furnished)
    holes = "truncate -s 3000000 /end; dd if=/dev/zero of=/mid bs=4096 seek=300 count=1; rm -r /tmp"
    one = create(engine, "one", "sh", "-ec", f"{holes}; mkdir /tmp; rm /etc/group")
    engine.knarr("start", "-a", "one", check=False)
    engine.knarr("cp", f"{furnished}/.", "one:/home")
    before = trees.walk(upper(engine, one))
    came = trees.walk(upper(engine, one) / "home")
    given = trees.walk(furnished)
    assert not trees.differences(
        {path: facts for path, facts in given.items() if path != b"."},
        {path: facts for path, facts in came.items() if path != b"."},
    )
    first = engine.knarr("commit", "one", "made:1").line
    second = engine.knarr("commit", "one", "made:2").line
    shown = [engine.get(f"/images/{each}/json")["RootFS"]["Layers"][-1] for each in (first, second)]
    assert shown[0] == shown[1], "the same changes make the same layer"
    engine.docker("save", "-o", str(tmp_path / "saved.tar"), "made:1")

    other = make_engine(busybox=False)
    other.docker("load", "-i", str(tmp_path / "saved.tar"))
    create_from = ["create", "--network", "none", "--name", "two", "made:1"]
    other.docker(*create_from)
    layer = shown[0].removeprefix("sha256:")
    after = trees.walk(other.exec_root / "layers" / layer)
    # Whiteouts have no times in a layer, and the root none that a container made.
    for facts in (before, after):
        facts.pop(b".")
        for path in (b"etc/group",):
            facts[path].pop("mtime")
    assert before[b"end"]["sparse"]
    assert before[b"mid"]["sparse"]
    if not after[b"end"]["sparse"]:  # older kernels do not tell of holes in EROFS
        for facts in (*before.values(), *after.values()):
            facts.pop("sparse", None)
    assert not trees.differences(before, after)
    stored = list((other.data_root / "layers/sha256").glob(f"{layer}*"))
    assert sum(path.stat().st_blocks for path in stored) * 512 < 1_000_000, "holes take no room"
    other.docker("rm", "two")
    # And what runs from it sees it.
    out = engine.knarr("run", "--rm", "--network", "none", "made:1", "ls", "-l", "/home/dir/set")
    assert "rwsr-s--x" in out.out


def test_links_that_race_in_a_running_container(engine: Engine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("host")
    target = "../" * 15 + str(outside).lstrip("/")
    swap = "mv d real; mv link d; mv d link; mv real d"
    script = f"mkdir -p /w/d; cd /w; ln -s {target} link; touch /ready; while :; do {swap}; done"
    create(engine, "racer", "sh", "-c", script, start=True)
    before = trees.walk(outside)
    tar = archive([file("evil", b"e"), file("d/evil", b"e")])
    done = 0
    deadline = time.monotonic() + 30
    while done < 40 and time.monotonic() < deadline:
        for path in ("/w/d", "/w"):
            status, _ = engine.api("PUT", f"/containers/racer/archive?path={path}", tar)
            done += status == 200
            status, body = engine.api("GET", f"/containers/racer/archive?path={path}")
            assert status in {200, 404, 400, 500}
            assert b"precious" not in body
            assert b"host" not in body
    assert done
    assert not trees.differences(before, trees.walk(outside))
    engine.knarr("rm", "-f", "racer")


@pytest.mark.parametrize("command", ["export", "archive?path=/w", "archive?path=/"])
def test_files_that_change_while_they_are_read(engine: Engine, command: str) -> None:
    script = (
        "mkdir /w; i=0; touch /ready; while :; do i=$((i+1)); head -c $((i % 7 * 100000)) /dev/zero"
        " >/w/f; echo x >>/w/g; mkdir -p /w/d$((i % 5)); rm -rf /w/d$((i * 3 % 5)); done"
    )
    create(engine, "changing", "sh", "-c", script, start=True)
    for _ in range(10):
        status, body = engine.api("GET", f"/containers/changing/{command}")
        if status == 404:
            continue  # it has just begun
        assert status == 200
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            for each in tar:
                if each.isfile():
                    assert len(tar.extractfile(each).read()) == each.size  # type: ignore[union-attr]
    engine.knarr("rm", "-f", "changing")


def test_commit_freezes_meanwhile(engine: Engine) -> None:
    create(engine, "busy", "sh", "-c", "while :; do echo x >>/log; done", start=True)
    began = time.time()
    made = engine.knarr("commit", "busy").line
    running = engine.knarr("commit", "--pause=false", "busy").line
    until = f"{time.time():.9f}"
    told = engine.knarr(
        *("events", "--since", f"{began:.9f}", "--until", until, "--filter", "container=busy"),
        *("--format", "{{.Action}}"),
    ).out.split()
    assert told == ["pause", "unpause", "commit", "commit"]
    assert engine.get("/containers/busy/json")["State"]["Status"] == "running"
    engine.knarr("pause", "busy")
    paused = engine.knarr("commit", "busy").line
    assert engine.get("/containers/busy/json")["State"]["Status"] == "paused"
    engine.knarr("unpause", "busy")
    engine.knarr("rm", "-f", "busy")
    engine.knarr("rmi", *{made, running, paused})


def test_commits_at_once(engine: Engine) -> None:
    create(engine, "many", "sh", "-c", "while :; do echo x >>/log; done", start=True)
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(engine.knarr("commit", "many").line))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert engine.get("/containers/many/json")["State"]["Status"] == "running"
    engine.knarr("rm", "-f", "many")
    engine.knarr("rmi", *set(made))


def stored(engine: Engine) -> set[str]:
    """The files below the data root that hold images and layers."""
    roots = [engine.data_root / name for name in ("content", "layers")]
    return {str(path) for root in roots for path in root.rglob("*") if path.is_file()}


def die(engine: Engine, method: str, path: str, body: bytes | None = None) -> None:
    """Send a request during which the engine kills itself at its fault point."""
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        engine.api(method, path, body)
    assert engine.process
    assert engine.process.wait(10) == -9


@pytest.mark.parametrize("fault", FAULTS)
def test_killed_in_a_commit(make_engine: Callable[..., Engine], fault: str) -> None:
    engine = make_engine()
    script = "i=0; while :; do i=$((i+1)); echo $i >/now; usleep 1000; done"
    create(engine, "alive", "sh", "-c", script, start=True)
    before = stored(engine)
    engine.terminate()
    engine.start(env={"KNARR_FAULT": fault})
    die(engine, "POST", "/commit?container=alive&repo=half")
    engine.start()
    assert engine.get("/containers/alive/json")["State"]["Status"] == "running"
    assert moves(engine), "the container is thawed"
    names = [tag for item in engine.get("/images/json") for tag in item["RepoTags"]]
    if fault == "load.recorded":
        assert "half:latest" in names
        engine.knarr("rmi", "half")
    assert stored(engine) == before, "nothing is left behind"
    assert engine.knarr("commit", "alive", "whole").code == 0
    engine.knarr("rm", "-f", "alive")
    engine.knarr("rmi", "whole")
    engine.knarr("system", "prune", "-f")
    assert stored(engine) == before


def moves(engine: Engine) -> bool:
    def now() -> str:
        return engine.knarr("exec", "alive", "cat", "/now").line

    first, deadline = now(), time.monotonic() + 20
    while time.monotonic() < deadline:
        if now() != first:
            return True
    return False


def test_a_copy_outlives_its_container(engine: Engine) -> None:
    """The view of a running container is whole until the copy ends; a start waits for writers."""
    script = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    create(engine, "brief", "sh", "-c", script, start=True)
    tar = archive([file("one", b"1" * 100_000), file("two", b"2" * 100_000)])
    sent = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield tar[:60_000]
        sent.set()
        assert stopped.wait(30)
        yield tar[60_000:]

    stopped = threading.Event()
    answers: list[int] = []

    def copy() -> None:
        connection = UnixConnection(str(engine.socket))
        connection.request(
            "PUT", "/containers/brief/archive?path=/tmp", body=pieces(), encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )  # fmt: skip
        response = connection.getresponse()
        response.read()
        answers.append(response.status)
        connection.close()

    copying = threading.Thread(target=copy)
    copying.start()
    assert sent.wait(30)
    engine.knarr("stop", "brief")
    starting = threading.Thread(target=lambda: engine.knarr("start", "brief"))
    starting.start()
    starting.join(0.3)
    assert starting.is_alive(), "it waits for the copy"
    stopped.set()
    copying.join()
    starting.join()
    assert answers == [200]
    assert engine.knarr("exec", "brief", "wc", "-c", "/tmp/two").line.split()[0] == "100000"
    engine.knarr("rm", "-f", "brief")


def test_a_client_that_leaves_leaves_nothing(engine: Engine) -> None:
    create(engine, "left", "true")
    descriptors = Path(f"/proc/{engine.pid}/fd")
    engine.api("HEAD", "/containers/left/archive?path=/")
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        connection = UnixConnection(str(engine.socket))
        connection.request("GET", "/containers/left/archive?path=/")
        connection.getresponse().read(10)
        connection.close()
        connection = UnixConnection(str(engine.socket))
        connection.putrequest("PUT", "/containers/left/archive?path=/tmp")
        connection.putheader("Content-Length", "100000")
        connection.endheaders(b"x" * 600)
        connection.close()
    deadline = time.monotonic() + 20
    while len(list(descriptors.iterdir())) > before + 2:
        assert time.monotonic() < deadline, "descriptors are left open"
        time.sleep(0.05)
    engine.docker("cp", "left:/etc", str(engine.base / "etc"))
    assert engine.knarr("rm", "left").line == "left"
    assert "Traceback" not in engine.log.read_text()
    assert not list((engine.exec_root / "views").iterdir())


def test_an_engine_clears_views_that_a_killed_one_left(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.terminate()
    left = engine.exec_root / "views/view-left"
    left.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", left], check=True)
    engine.start()
    assert not left.exists()
