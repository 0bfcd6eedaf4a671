"""``cp``, ``diff``, ``commit``, ``export``: docker and knarr as command lines, and docker-py."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from support.engine import Engine, Result, UnixConnection
from support.tars import archive, device, directory, file, hardlink, symlink

FURNISH = """
mkdir -p /w/s/d /w/e && echo 1 >/w/s/f && echo 2 >/w/s/d/g && chmod 640 /w/s/f
ln -s s /w/ls && ln -s s/f /w/lf && ln -s nope /w/lb && ln -s /w/e /w/le && echo old >/w/file
mkfifo /w/fifo && chown 3:4 /w/s/d
"""


@pytest.fixture(params=["running", "stopped"])
def box(request: pytest.FixtureRequest, daemon: Engine, name: str) -> str:
    """A container with some files in ``/w`` and a volume at ``/vol/data``, running or not."""
    script = f"{FURNISH} echo in >/vol/data/x; trap 'exit 0' TERM; touch /ready"
    wait = "; while :; do sleep 0.1; done" if request.param == "running" else ""
    create = ["create", "--network", "none", "--name", name, "-v", "/vol/data"]
    daemon.docker(*create, "busybox", "sh", "-ec", script + wait)
    daemon.docker("start", name)
    if request.param == "stopped":
        daemon.docker("wait", name)
        return name
    for _ in range(400):
        if daemon.docker("exec", name, "test", "-e", "/ready", check=False).code == 0:
            return name
    raise AssertionError("the container is not ready")


@pytest.fixture(params=["docker", "knarr"])
def cli(request: pytest.FixtureRequest, daemon: Engine) -> Callable[..., Result]:
    return getattr(daemon, request.param)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the commands, with some files in ``L``."""
    (tmp_path / "L/sub").mkdir(parents=True)
    (tmp_path / "L/a").write_text("a")
    (tmp_path / "L/sub/b").write_text("b")
    (tmp_path / "L/la").symlink_to("a")
    (tmp_path / "L/ls").symlink_to("sub")
    (tmp_path / "out").mkdir()
    (tmp_path / "outfile").write_text("old")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(root: Path) -> list[str]:
    """The files below a directory: name, and what they hold or where they lead."""
    found = []
    for path in sorted(root.rglob("*")):
        kind = "/" if path.is_dir() and not path.is_symlink() else ""
        link = f" -> {path.readlink()}" if path.is_symlink() else ""
        found.append(f"{path.relative_to(root)}{kind}{link}")
    return found


OUT = [
    ("/w/s", "out", ["s/", "s/d/", "s/d/g", "s/f"]),
    ("/w/s/", "out", ["s/", "s/d/", "s/d/g", "s/f"]),
    ("/w/s/.", "out", ["d/", "d/g", "f"]),
    ("/w/s", "out/new", ["new/", "new/d/", "new/d/g", "new/f"]),
    ("/w/s/.", "out/new/", ["new/", "new/d/", "new/d/g", "new/f"]),
    ("w/s/f", "out", ["f"]),
    ("/w/s/f", "out/g", ["g"]),
    ("/w/ls", "out", ["ls -> s"]),
    ("/w/ls/", "out", ["ls/", "ls/d/", "ls/d/g", "ls/f"]),
    ("/w/ls/.", "out", ["d/", "d/g", "f"]),
    ("/w/lb", "out", ["lb -> nope"]),
    ("/vol/data/x", "out", ["x"]),
    ("/vol", "out", ["vol/", "vol/data/", "vol/data/x"]),
]


def test_out(box: str, cli: Callable[..., Result], here: Path) -> None:
    for source, destination, expected in OUT:
        cli("cp", f"{box}:{source}", destination)
        assert shown(here / "out") == expected, (source, destination)
        for path in sorted((here / "out").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_out_following_links(box: str, cli: Callable[..., Result], here: Path) -> None:
    cli("cp", "-L", f"{box}:/w/ls", "out")
    cli("cp", "-L", f"{box}:/w/lf", "out")
    cli("cp", "-L", f"{box}:/w/lf", "out/named")
    assert shown(here / "out") == ["lf", "ls/", "ls/d/", "ls/d/g", "ls/f", "named"]


IN = [
    ("L", "/w/e", ["L", "L/a", "L/la", "L/ls", "L/sub", "L/sub/b"]),
    ("L/", "/w/e/", ["L", "L/a", "L/la", "L/ls", "L/sub", "L/sub/b"]),
    ("L/.", "/w/e", ["a", "la", "ls", "sub", "sub/b"]),
    ("L", "/w/e/new", ["new", "new/a", "new/la", "new/ls", "new/sub", "new/sub/b"]),
    ("L/sub/.", "/w/e/new/", ["new", "new/b"]),
    ("L/a", "/w/e", ["a"]),
    ("L/a", "w/e/x", ["x"]),
    ("L/a", "/w/le", ["a"]),
    ("L/ls/", "/w/le/", ["ls", "ls/b"]),
    ("L/ls/.", "/w/le/.", ["b"]),
]


def test_in(box: str, daemon: Engine, cli: Callable[..., Result], here: Path) -> None:
    del here
    for source, destination, expected in IN:
        cli("cp", source, f"{box}:{destination}")
        tar = daemon.docker("cp", f"{box}:/w/e/.", "-", binary=True).out
        assert sorted(names(tar)) == expected, (source, destination)
        daemon.docker("cp", "-", f"{box}:/w", input=archive([file("e")]), check=False)
        status, _ = put(daemon, box, "/w", archive([file("e"), directory("e")]))
        assert status == 200


def test_in_following_links(box: str, daemon: Engine, cli: Callable[..., Result]) -> None:
    with tarfile.open(
        fileobj=io.BytesIO(daemon.docker("cp", f"{box}:/w/lf", "-", binary=True).out)
    ) as tar:
        assert tar.next().linkname == "s/f"  # type: ignore[union-attr]
    cli("cp", "/proc/self/exe", f"{box}:/w/e")
    with tarfile.open(
        fileobj=io.BytesIO(daemon.docker("cp", f"{box}:/w/e/exe", "-", binary=True).out)
    ) as tar:
        assert tar.next().issym()  # type: ignore[union-attr]


REFUSED = [
    (["L/nope", "BOX:/w"], "lstat HERE/L/nope: no such file or directory"),
    (["L/a", "BOX:/nope/"], "no such directory"),
    (["L/a", "BOX:/nope/x"], "Could not find the file /nope in container BOX"),
    (["L", "BOX:/w/file"], "cannot copy directory"),
    (["BOX:/w/s", "outfile"], "cannot copy directory"),
    (["BOX:/w/nope", "out"], "Could not find the file /w/nope in container BOX"),
    (["BOX:/w/s/f/", "out"], "not a directory"),
    (["BOX:/w/s/f", "no/where/"], 'invalid output path: directory "HERE/no" does not exist'),
    (["BOX:/w/s/f", "new/"], "no such directory"),
    (["a", "b"], "must specify at least one container source"),
    (["BOX:a", "BOX:b"], "copying between containers is not supported"),
    (["-", "BOX:/w/file"], 'destination "BOX:/w/file" must be a directory'),
    (["", "BOX:/w"], "source can not be empty"),
    (["BOX:/w", "/dev/null"], "must be a directory or a regular file: got a device"),
]


def test_refusals(box: str, cli: Callable[..., Result], here: Path) -> None:
    for arguments, message in REFUSED:
        done = cli("cp", *(each.replace("BOX", box) for each in arguments), check=False)
        assert done.code == 1, arguments
        assert message.replace("BOX", box).replace("HERE", str(here)) in done.err, arguments


def names(tar: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return [name.removeprefix("./") for name in opened.getnames() if name != "."]


def put(daemon: Engine, name: str, path: str, tar: bytes, **query: str) -> tuple[int, str]:
    text = urllib.parse.urlencode({"path": path, **query})
    status, body = daemon.api("PUT", f"/containers/{name}/archive?{text}", tar)
    return status, json.loads(body)["message"] if status >= 400 else ""


def look(daemon: Engine, method: str, name: str, path: str) -> tuple[int, dict[str, Any]]:
    connection = UnixConnection(str(daemon.socket))
    connection.request(method, f"/containers/{name}/archive?path={urllib.parse.quote(path)}")
    response = connection.getresponse()
    response.read()
    header = response.getheader("X-Docker-Container-Path-Stat")
    connection.close()
    return response.status, json.loads(base64.b64decode(header)) if header else {}


STATS = [
    ("/w/s/f", {"name": "f", "size": 2, "mode": 0o640, "linkTarget": ""}),
    ("w/s/f", {"name": "f", "size": 2, "mode": 0o640, "linkTarget": ""}),
    ("/w/s", {"name": "s", "mode": 1 << 31 | 0o755, "linkTarget": ""}),
    ("/w/s/.", {"name": ".", "mode": 1 << 31 | 0o755}),
    ("/", {"name": "/", "mode": 1 << 31 | 0o755}),
    ("/w/ls", {"name": "ls", "mode": 1 << 27 | 0o777, "linkTarget": "/w/s"}),
    ("/w/ls/", {"name": "ls", "mode": 1 << 31 | 0o755, "linkTarget": ""}),
    ("/w/ls/f", {"name": "f", "mode": 0o640}),
    ("/w/lb", {"name": "lb", "linkTarget": "/w/nope"}),
    ("/w/fifo", {"name": "fifo", "mode": 1 << 25 | 0o644}),
    ("/tmp", {"mode": 1 << 31 | 1 << 20 | 0o777}),
    ("/w/../w/./s/f", {"name": "f", "mode": 0o640}),
]


def test_stat(box: str, daemon: Engine) -> None:
    for path, expected in STATS:
        for method in ("HEAD", "GET"):
            status, found = look(daemon, method, box, path)
            assert status == 200, path
            assert {key: found[key] for key in expected} == expected, path
    assert look(daemon, "HEAD", box, "/nope")[0] == 404
    assert daemon.api("GET", f"/containers/{box}/archive")[0] == 400
    assert daemon.api("HEAD", "/containers/nope/archive?path=/")[0] == 404


def test_unpacking(
    box: str, daemon: Engine, answers: Callable[[int, int], bool], *, is_knarr: bool
) -> None:
    members = [file("a/b/c", b"x", uid=5, gid=6, mode=0o600)]
    good = archive([*members, file("first"), hardlink("h", "first")])
    assert put(daemon, box, "/w/e", good)[0] == 200
    tar = daemon.docker("cp", f"{box}:/w/e", "-", binary=True).out
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        found = {each.name: each for each in opened}
    assert (found["e/a"].uid, found["e/a"].mode & 0o7777) == (0, 0o755)
    assert (found["e/a/b/c"].uid, found["e/a/b/c"].gid) == (5, 6)
    assert found["e/h"].islnk()
    for members, status, message in (
        ([file("../x")], 400, '"../x" is outside of "/w/e"'),
        ([hardlink("x", "../../etc/passwd")], 400, "invalid hardlink"),
        ([hardlink("x", "/etc/passwd")], 400, "no such file or directory"),
        ([device("x", 0, 0)], 400, "o"),
        ([file("a", b"x")], 400, "cannot overwrite directory"),
        ([directory("h")], 400, "cannot overwrite non-directory"),
    ):
        got, said = put(daemon, box, "/w/e", archive(members), noOverwriteDirNonDir="true")
        assert answers(got, status), members
        assert message in said
    assert put(daemon, box, "/w/e", archive([symlink("l", "/w"), file("l/through")]))[0] == 200
    assert look(daemon, "HEAD", box, "/w/through")[0] == 200
    assert put(daemon, box, "/w/e", archive([file("a")]))[0] == 200, "replaced"
    assert put(daemon, box, "/nope", good)[0] == 404
    for path in ("/w/file", "/w/lf"):
        status, said = put(daemon, box, path, good)
        assert answers(status, 400)
        assert "extraction point is not a directory" in said
    assert answers(put(daemon, box, "/w/e", b"x" * 5000)[0], 400)
    assert put(daemon, box, "/w/e", b"")[0] == 200
    if is_knarr:
        assert put(daemon, box, "/proc", good)[0] in {200, 403}


def test_names_that_are_no_text(box: str, daemon: Engine, here: Path, *, is_knarr: bool) -> None:
    odd = os.fsdecode(b"na\xffme")
    (here / "L" / odd).write_text("odd")
    daemon.docker("cp", "L", f"{box}:/w/e")
    daemon.docker("cp", f"{box}:/w/e/L", "out")
    assert (here / "out/L" / odd).read_text() == "odd"
    if is_knarr:  # dockerd unpacks it under another name
        daemon.docker("cp", f"{box}:/w/e/L/{odd}", "out/got")
        assert (here / "out/got").read_text() == "odd"


def test_whose_files_they_are(daemon: Engine, name: str, *, is_knarr: bool) -> None:
    create = ["create", "--network", "none", "--name", name, "-u"]
    daemon.docker(*create, "0", "busybox", "true")
    tar = archive([file("f", b"x", uid=5, gid=6)])
    assert put(daemon, name, "/tmp", tar)[0] == 200
    out = daemon.docker("cp", f"{name}:/tmp/f", "-", binary=True).out
    with tarfile.open(fileobj=io.BytesIO(out)) as opened:
        assert (opened.getmember("f").uid, opened.getmember("f").gid) == (5, 6)
    if not is_knarr:
        return  # it looks the user up on the host
    daemon.docker("rm", name)
    daemon.docker(*create, "123:456", "busybox", "true")
    assert put(daemon, name, "/tmp", tar, copyUIDGID="1")[0] == 200
    out = daemon.docker("cp", f"{name}:/tmp/f", "-", binary=True).out
    with tarfile.open(fileobj=io.BytesIO(out)) as opened:
        assert (opened.getmember("f").uid, opened.getmember("f").gid) == (123, 456)


@pytest.mark.parametrize("started", [True, False], ids=["running", "created"])
def test_read_only(
    daemon: Engine,
    name: str,
    tmp_path: Path,
    answers: Callable[[int, int], bool],
    *,
    started: bool,
) -> None:
    (tmp_path / "ro").mkdir()
    (tmp_path / "rw").mkdir()
    create = ["create", "--read-only", "--network", "none", "--name", name]
    create += ["-v", f"{tmp_path}/ro:/ro:ro", "-v", f"{tmp_path}/rw:/rw"]
    daemon.docker(*create, "busybox", "sleep", "100")
    if started:
        daemon.docker("start", name)
    tar = archive([file("f", b"x")])
    status, said = put(daemon, name, "/tmp", tar)
    assert answers(status, 400)
    assert "container rootfs is marked read-only" in said
    status, said = put(daemon, name, "/ro", tar)
    assert answers(status, 400)
    assert "mounted volume is marked read-only" in said
    assert put(daemon, name, "/rw", tar)[0] == 200
    assert (tmp_path / "rw/f").read_bytes() == b"x"
    assert look(daemon, "HEAD", name, "/rw/f")[0] == 200


def test_mount_points_of_a_container_that_never_ran(daemon: Engine, name: str) -> None:
    create = ["create", "--network", "none", "--name", name, "-v", "/new/deep/volume"]
    daemon.docker(*create, "busybox", "true")
    assert put(daemon, name, "/new/deep/volume", archive([file("f", b"x")]))[0] == 200
    assert names(daemon.docker("cp", f"{name}:/new", "-", binary=True).out) == [
        "new",
        "new/deep",
        "new/deep/volume",
        "new/deep/volume/f",
    ]
    daemon.docker("start", "-a", name)


def test_a_bind_whose_source_is_made(daemon: Engine, name: str, tmp_path: Path) -> None:
    bind = f"{tmp_path}/made/here:/bind"
    daemon.docker("create", "--network", "none", "--name", name, "-v", bind, "busybox", "true")
    assert put(daemon, name, "/bind", archive([file("f", b"x")]))[0] == 200
    assert (tmp_path / "made/here/f").read_bytes() == b"x"


def test_what_the_kernel_makes_up_is_not_copied(box: str, daemon: Engine) -> None:
    found = names(daemon.docker("cp", f"{box}:/", "-", binary=True).out)
    assert "/w/s/f" in found
    assert "/vol/data/x" in found
    assert not [each for each in found if each.startswith(("/proc/", "/sys/"))]
    assert look(daemon, "HEAD", box, "/proc/1/environ")[0] == 404


@pytest.fixture
def changed(daemon: Engine, name: str) -> str:
    script = """
    mkdir -p /new/sub; echo hi >/new/sub/f; rm /etc/group; rm -rf /tmp; mkdir /tmp; touch /tmp/y
    chmod 700 /home; echo more >>/etc/passwd; chmod 755 /bin; ln -s x /link
    """
    daemon.docker("run", "--network", "none", "--name", name, "busybox", "sh", "-ec", script)
    return name


def test_diff(changed: str, daemon: Engine, cli: Callable[..., Result]) -> None:
    expected = {
        "C /etc",
        "C /etc/passwd",
        "D /etc/group",
        "C /home",
        "A /link",
        "A /new",
        "A /new/sub",
        "A /new/sub/f",
        "C /tmp",
        "A /tmp/y",
    }
    lines = cli("diff", changed).out.splitlines()
    assert set(lines) == expected
    assert len(lines) == len(expected)
    assert "No such container" in cli("diff", "nope", check=False).err


def test_diff_of_nothing(daemon: Engine, name: str) -> None:
    daemon.docker("create", "--network", "none", "--name", name, "busybox", "true")
    assert daemon.docker("diff", name).out == ""
    assert daemon.get(f"/containers/{name}/changes") is None


def test_export(box: str, daemon: Engine, cli: Callable[..., Result], here: Path) -> None:
    tar = cli("export", box, binary=True).out
    found = names(tar)
    assert "w/s/f" in found
    assert "vol/data" in found
    assert "vol/data/x" not in found
    assert not [each for each in found if each.startswith(("proc/", "sys/"))]
    cli("export", "-o", "out/file", box)
    assert names((here / "out/file").read_bytes()) == found
    refused = cli("export", "-o", "no/where", box, check=False)
    assert (refused.code, refused.err.strip()) == (
        1,
        "failed to export container: invalid output path: stat no: no such file or directory",
    )
    daemon.docker("import", "out/file", "exported:1")
    run = ["run", "--rm", "--network", "none", "exported:1", "cat", "/w/s/f"]
    assert daemon.docker(*run).line == "1"
    daemon.docker("rmi", "exported:1")


def test_commit(box: str, daemon: Engine, cli: Callable[..., Result]) -> None:
    before = daemon.get(f"/containers/{box}/json")["State"]["Status"]
    options = ["-a", "me", "-m", "because", "-c", 'CMD ["cat", "/w/s/f"]', "-c", "ENV A=b"]
    options += ["-c", "LABEL l=m", "-c", "WORKDIR /w", "-c", "USER 5", "-c", "EXPOSE 80/udp"]
    options += ["-c", "VOLUME /v", "-c", "ONBUILD RUN x", "-c", "HEALTHCHECK NONE"]
    made = cli("commit", *options, box, "committed/image:tag").line
    try:
        image = daemon.get("/images/committed/image:tag/json")
        assert image["Id"] == made
        assert (image["Author"], image["Comment"]) == ("me", "because")
        config = image["Config"]
        assert config["Cmd"] == ["cat", "/w/s/f"]
        assert config["Env"] == ["PATH=/bin:/usr/bin", "A=b"]
        assert (config["Labels"], config["WorkingDir"], config["User"]) == ({"l": "m"}, "/w", "5")
        assert "80/udp" in config["ExposedPorts"]
        assert set(config["Volumes"]) == {"/v", "/vol/data"}
        assert config["OnBuild"] == ["RUN x"]
        assert config["Healthcheck"] == {"Test": ["NONE"]}
        parent = daemon.get("/images/busybox/json")
        assert image["RootFS"]["Layers"][:-1] == parent["RootFS"]["Layers"]
        assert image["Parent"] == parent["Id"]
        history = daemon.get("/images/committed/image:tag/history")
        assert history[0]["Comment"] == "because"
        assert history[0]["CreatedBy"].startswith("sh -ec")
        assert daemon.get(f"/containers/{box}/json")["State"]["Status"] == before
        run = ["run", "--rm", "--network", "none", "-u", "0", "committed/image:tag"]
        assert daemon.docker(*run).line == "1"
    finally:
        daemon.docker("rmi", "-f", "committed/image:tag")


def test_commit_of_the_api(changed: str, daemon: Engine, answers: Callable[..., bool]) -> None:
    def commit(query: str, body: Any = None) -> tuple[int, Any]:
        status, text = daemon.api("POST", f"/commit?container={changed}&{query}", body)
        return status, json.loads(text)

    made = []
    try:
        status, answer = commit("repo=api&tag=1", {"Env": ["Z=1"], "Cmd": ["zz"]})
        assert status == 201
        made.append(answer["Id"])
        config = daemon.get("/images/api:1/json")["Config"]
        assert (config["Env"], config["Cmd"]) == (["Z=1", "PATH=/bin:/usr/bin"], ["zz"])
        status, answer = commit("changes=ENTRYPOINT+%5B%22e%22%5D")
        made.append(answer["Id"])
        config = daemon.get(f"/images/{answer['Id']}/json")["Config"]
        assert (config["Entrypoint"], config.get("Cmd")) == (["e"], None)
        for query in ("repo=x&tag=bad!!", "repo=UPPER", "changes=FROM+x", "changes=RUN+x"):
            assert answers(commit(query)[0], 400), query
        assert daemon.api("POST", "/commit?container=nope")[0] == 404
    finally:
        for each in made:
            daemon.api("DELETE", f"/images/{each}?force=1")


def test_commit_of_nothing(daemon: Engine, name: str) -> None:
    daemon.docker("create", "--network", "none", "--name", name, "busybox", "true")
    made = daemon.docker("commit", name).line
    try:
        layers = daemon.get(f"/images/{made}/json")["RootFS"]["Layers"]
        assert layers == daemon.get("/images/busybox/json")["RootFS"]["Layers"]
    finally:
        daemon.docker("rmi", made)


def test_docker_py(client: docker.DockerClient, tmp_path: Path) -> None:
    container = client.containers.create("busybox", "true", network_mode="none")
    try:
        assert container.put_archive("/tmp", archive([directory("d"), file("d/f", b"data")]))
        chunks, found = container.get_archive("/tmp/d")
        assert found["name"] == "d"
        assert names(b"".join(chunks)) == ["d", "d/f"]
        assert {"Path": "/tmp/d/f", "Kind": 1} in container.diff()
        with pytest.raises(docker.errors.NotFound):
            container.get_archive("/nope")
        image = container.commit("py", "1", message="m", author="a", changes=["ENV X=y"])
        assert "X=y" in image.attrs["Config"]["Env"]
        exported = tmp_path / "exported"
        exported.write_bytes(b"".join(container.export()))
        assert "tmp/d/f" in names(exported.read_bytes())
    finally:
        container.remove()
        client.images.remove("py:1")


def test_events(changed: str, daemon: Engine) -> None:
    began = time.time()
    daemon.docker("cp", f"{changed}:/new", "-", binary=True)
    put(daemon, changed, "/tmp", archive([file("f")]))
    daemon.docker("export", changed, binary=True)
    made = daemon.docker("commit", "-m", "why", changed, "told:1").line
    daemon.docker("rmi", "told:1")
    events = daemon.docker(
        "events", "--since", f"{began:.9f}", "--until", f"{time.time():.9f}",
        "--filter", f"container={changed}",
        "--format", "{{.Action}} {{.Actor.Attributes.comment}} {{.Actor.Attributes.imageID}}",
    ).out.splitlines()  # fmt: skip
    told = [each.split()[0] for each in events]
    assert [each for each in told if each in {"archive-path", "extract-to-dir", "export"}] == [
        "archive-path",
        "extract-to-dir",
        "export",
    ]
    assert f"commit why {made}" in events
