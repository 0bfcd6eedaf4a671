"""Mounts and volumes of ``docker run``, by what a program in the container sees."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import Engine, Result

Run = Callable[..., Result]
Start = Callable[..., str]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host with another file system mounted on ``sub`` in it."""
    inner = tmp_path / "tree/sub"
    inner.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    (inner / "file").write_text("below\n")
    yield tmp_path / "tree"
    subprocess.run(["umount", inner], check=True)


def words(result: Result) -> list[str]:
    return str(result.out).split()


def test_read_only_binds_are_so_with_what_is_below(run: Run, mounted: Path, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("the peer is older than recursive read-only mounts")

    def writes(*options: str) -> bool:
        return run("touch", "/m/sub/x", options=options, check=False).code == 0

    assert not writes("-v", f"{mounted}:/m:ro")
    bind = f"type=bind,src={mounted},dst=/m,readonly"
    assert not writes("--mount", bind)
    assert not writes("--mount", f"{bind},bind-recursive=readonly,bind-propagation=rprivate")
    assert writes("--mount", f"{bind},bind-recursive=writable")
    assert writes("-v", f"{mounted}:/m")


def test_clients_of_older_versions_leave_what_is_below_writable(
    daemon: Engine, name: str, mounted: Path
) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["touch", "/m/sub/x"],
        "HostConfig": {"Binds": [f"{mounted}:/m:ro"], "NetworkMode": "none"},
    }
    assert daemon.api("POST", f"/v1.41/containers/create?name={name}", body)[0] == 201
    assert daemon.docker("start", "-a", name).code == 0


def test_binds_without_what_is_below(run: Run, mounted: Path) -> None:
    bind = f"type=bind,src={mounted},dst=/m"
    assert run("ls", "/m/sub", options=("--mount", bind)).line == "file"
    assert run("ls", "/m/sub", options=("--mount", f"{bind},bind-recursive=disabled")).line == ""


@pytest.mark.parametrize(("propagation", "seen"), [("rprivate", ""), ("rslave", "late")])
def test_bind_propagation(
    daemon: Engine, start: Start, tmp_path: Path, propagation: str, seen: str
) -> None:
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", outer], check=True)
    try:
        subprocess.run(["mount", "--make-shared", outer], check=True)
        (outer / "inner").mkdir()
        name = start("--mount", f"type=bind,src={outer},dst=/m,bind-propagation={propagation}")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", outer / "inner"], check=True)
        try:
            (outer / "inner/late").touch()
            assert daemon.docker("exec", name, "ls", "/m/inner").line == seen
        finally:
            subprocess.run(["umount", outer / "inner"], check=True)
        daemon.docker("rm", "-f", name)
    finally:
        subprocess.run(["umount", "-l", outer], check=True)


def test_propagation_that_cannot_be(run: Run, tmp_path: Path) -> None:
    point = tmp_path / "private"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        subprocess.run(["mount", "--make-private", point], check=True)
        for mode, words in (("rshared", "shared"), ("slave", "shared or slave")):
            done = run("true", options=("-v", f"{point}:/m:{mode}"), check=False)
            told = f"path {point} is mounted on {point} but it is not a {words} mount"
            assert (done.code, told in done.err) == (125, True)
    finally:
        subprocess.run(["umount", point], check=True)


def test_missing_sources(daemon: Engine, run: Run, tmp_path: Path, name: str) -> None:
    absent = tmp_path / "absent"
    done = run("true", options=("--mount", f"type=bind,src={absent},dst=/m"), check=False)
    assert done.code == 125
    assert f"bind source path does not exist: {absent}" in done.err
    mount = {"Type": "bind", "Source": str(absent), "Target": "/m"}
    mount["BindOptions"] = {"CreateMountpoint": True}
    body = {"Image": "busybox", "HostConfig": {"Mounts": [mount], "NetworkMode": "none"}}
    status, _ = daemon.api("POST", f"/containers/create?name={name}", body)
    assert status in (201, 400)  # Docker before 23.0 did not know it
    if status == 201:
        daemon.docker("start", name)
        assert absent.is_dir()


def test_tmpfs_mounts(run: Run) -> None:
    def shown(*options: str) -> str:
        return run("grep", " /t ", "/proc/mounts", options=options).line

    mount = "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770"
    assert shown("--mount", mount) == (
        "tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=1770 0 0"
    )
    assert shown("--tmpfs", "/t:exec,uid=5,mode=1770") == (
        "tmpfs /t tmpfs rw,nosuid,nodev,relatime,mode=1770,uid=5 0 0"
    )
    assert shown("--tmpfs", "/t:ro").startswith("tmpfs /t tmpfs ro,")


def test_volumes_are_filled_from_the_image(run: Run, volume: str) -> None:
    copied = f"type=volume,src={volume},dst=/etc"
    assert "passwd" in words(run("ls", "/etc", options=("--mount", copied)))
    assert "passwd" in words(run("ls", "/v", options=("-v", f"{volume}:/v:ro")))
    plain = "type=volume,dst=/etc,volume-nocopy"
    assert "passwd" not in words(run("ls", "/etc", options=("--mount", plain)))


@pytest.mark.parametrize(
    "option", ["-v/tmp:/proc", "-v/tmp:/proc/sys", "-v/proc/sys", "-v/tmp:/etc/../proc/self"]
)
def test_nothing_stands_for_procfs(run: Run, option: str) -> None:
    done = run("true", options=(option,), check=False)
    assert done.code == 125
    assert "cannot be mounted because it is" in done.err


def test_files_of_procfs_that_may_be_hidden(run: Run, tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("1 2\n")
    options = ("-v", f"{tmp_path}/uptime:/proc/uptime", "-v", "/proc:/proc")
    assert run("cat", "/proc/uptime", options=options[:2]).line == "1 2"
    assert run("true", options=options[2:]).code == 0


def test_no_volume_on_a_file(run: Run) -> None:
    done = run("true", options=("-v", "/bin/busybox"), check=False)
    told = "cannot mount volume over existing file, file exists"
    assert (done.code, told in done.err) == (125, True)


def test_volumes_that_show_something_else(
    run: Run, daemon: Engine, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "of-host").touch()
    made = f"vol{time.monotonic_ns():x}"
    bind, memory = f"{made}-b", f"{made}-m"
    for name, kind, device, options in (
        (bind, "none", str(tmp_path), "bind"),
        (memory, "tmpfs", "tmpfs", "size=1m"),
    ):
        flags = ("-o", f"type={kind}", "-o", f"device={device}", "-o", f"o={options}")
        daemon.docker("volume", "create", *flags, name)
    try:
        assert words(run("ls", "/v", options=("-v", f"{bind}:/v"))) == ["of-host"]
        done = run("touch", "/v/x", options=("-v", f"{bind}:/v:ro"), check=False)
        assert "Read-only file system" in done.err
        first = start("-v", f"{memory}:/v")
        daemon.docker("exec", first, "sh", "-c", "echo shared > /v/x")
        shown = run("sh", "-c", "cat /w/x; df /w | tail -n 1", options=("-v", f"{memory}:/w"))
        assert (words(shown)[0], words(shown)[2]) == ("shared", "1024")
        daemon.docker("rm", "-f", first)
        assert daemon.get(f"/volumes/{bind}")["Options"]["o"] == "bind"
    finally:
        daemon.docker("volume", "rm", bind, memory)
    assert (tmp_path / "of-host").exists()


def test_volume_with_options_of_a_mount(
    run: Run, daemon: Engine, volume: str, tmp_path: Path
) -> None:
    """It is filled from the image, and the directory of the host with it."""
    options = f"volume-opt=type=none,volume-opt=o=bind,volume-opt=device={tmp_path}"
    run("true", options=("--mount", f"type=volume,src={volume},dst=/home,{options}"))
    run("true", options=("--mount", f"type=volume,src={volume},dst=/etc,{options}"))
    assert (tmp_path / "passwd").exists()
    assert daemon.get(f"/volumes/{volume}")["Options"]["device"] == str(tmp_path)


@pytest.mark.parametrize(
    ("options", "words_"),
    [
        (("type=none",), 'missing required option: "device"'),
        (("device=/x",), 'missing required option: "type"'),
        (("nosuch=1",), 'invalid option: "nosuch"'),
        (("size=1m",), "quota size requested but no quota support"),
    ],
    ids=["type", "device", "unknown", "size"],
)
def test_bad_options_of_volumes(daemon: Engine, options: tuple[str, ...], words_: str) -> None:
    flags = [word for option in options for word in ("-o", option)]
    done = daemon.docker("volume", "create", *flags, "bad-options", check=False)
    assert (done.code, words_ in done.err) == (1, True)


def test_labels_of_a_volume_that_is_made(run: Run, daemon: Engine, volume: str) -> None:
    run("true", options=("--mount", f"type=volume,src={volume},dst=/v,volume-label=a=b"))
    assert daemon.get(f"/volumes/{volume}")["Labels"] == {"a": "b"}


def test_files_of_docker_are_in_what_is_mounted_on_etc(run: Run) -> None:
    for options in (("--tmpfs", "/etc"), ("--mount", "type=volume,dst=/etc,volume-nocopy")):
        assert {"hosts", "hostname", "resolv.conf"} == set(
            words(run("ls", "/etc", options=options))
        )


def test_parts_of_volumes(run: Run, volume: str, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("the peer is older than parts of volumes")
    script = (
        "mkdir /v/sub; echo in > /v/sub/f; ln -s / /v/esc; ln -s ../../.. /v/up; ln -s sub /v/l"
    )
    run("sh", "-c", script, options=("-v", f"{volume}:/v"))

    def part(path: str, *command: str) -> Result:
        mount = f"type=volume,src={volume},dst=/m,volume-subpath={path}"
        return run(*command, options=("--mount", mount), check=False)

    assert part("sub", "cat", "/m/f").line == "in"
    assert part("sub/f", "cat", "/m").line == "in"
    assert part("l", "cat", "/m/f").line == "in"
    # A link that leads out of the volume leads to its root.
    assert sorted(words(part("esc", "ls", "/m"))) == ["esc", "l", "sub", "up"]
    assert sorted(words(part("up", "ls", "/m"))) == ["esc", "l", "sub", "up"]
    assert part("absent", "true").code == 127
    done = part("../x", "true")
    assert "subpath must be a relative path within the volume" in done.err


def test_images_as_mounts(run: Run, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("the peer is older than mounts of images")
    mount = "type=image,src=busybox,dst=/i"
    assert {"bin", "etc"} <= set(words(run("ls", "/i", options=("--mount", mount))))
    assert run("touch", "/i/x", options=("--mount", mount), check=False).code == 1
    part = f"{mount},image-subpath=etc"
    assert "passwd" in words(run("ls", "/i", options=("--mount", part)))
    done = run("true", options=("--mount", "type=image,src=nosuch,dst=/i"), check=False)
    assert (done.code, "No such image: nosuch:latest" in done.err) == (125, True)


def volumes_of(daemon: Engine, name: str) -> list[str]:
    return [each["Name"] for each in daemon.get(f"/containers/{name}/json")["Mounts"]]


def exists(daemon: Engine, volume: str) -> bool:
    return daemon.api("GET", f"/volumes/{volume}")[0] == 200


def test_anonymous_volumes_go_with_their_container(daemon: Engine, start: Start) -> None:
    kept, removed, own = (start("-v", "/data") for _ in range(3))
    names = [volumes_of(daemon, name)[0] for name in (kept, removed, own)]
    daemon.docker("rm", "-f", kept)
    daemon.docker("rm", "-f", "-v", removed)
    assert [exists(daemon, name) for name in names] == [True, False, True]
    daemon.api("DELETE", f"/volumes/{names[0]}")
    once = start("--rm", "-v", "/data", command=("sleep", "0.2"))
    (gone,) = volumes_of(daemon, once)
    deadline = time.monotonic() + 20
    while exists(daemon, gone):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_volumes_from(daemon: Engine, start: Start, run: Run, volume: str, tmp_path: Path) -> None:
    options = ["-v", "/data", "-v", f"{volume}:/named", "-v", f"{tmp_path}:/host:ro"]
    donor = start(*options, "--tmpfs", "/own")
    other = start("-v", "/other")
    daemon.docker("exec", donor, "sh", "-c", "echo a > /data/f; echo b > /named/f")
    shown = run(
        "sh",
        "-c",
        "cat /data/f /named/f; grep -cE ' /(own|host|other) ' /proc/mounts",
        options=("--volumes-from", donor, "--volumes-from", other),
    )
    assert words(shown) == ["a", "b", "2"]
    for path in ("/data", "/named"):
        done = run("touch", f"{path}/x", options=("--volumes-from", f"{donor}:ro"), check=False)
        assert "Read-only file system" in done.err
    own = run("ls", "/data", options=("--volumes-from", donor, "--tmpfs", "/data"), check=False)
    assert own.line == ""
    done = run("true", options=("--volumes-from", "nosuch"), check=False)
    assert (done.code, "No such container: nosuch" in done.err) == (125, True)
