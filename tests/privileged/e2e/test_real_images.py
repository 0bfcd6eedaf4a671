"""Real input: a Debian root filesystem, and images saved by the other engines."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, leaks, probes
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


@pytest.fixture(scope="module")
def debian(engine: Engine) -> str:
    """The image ``debian:test``, imported from a real root filesystem."""
    if reason := probes.needs_peer("mmdebstrap"):
        pytest.skip(reason)
    with images.debian_root().open("rb") as tar:
        connection_body = tar.read()
    status, body = engine.api(
        "POST", "/images/create?fromSrc=-&repo=debian&tag=test", connection_body, timeout=300
    )
    assert status == 200, body
    assert b'"errorDetail"' not in body, body
    return "debian:test"


def test_debian_runs_its_programs(engine: Engine, debian: str) -> None:
    out = engine.docker("run", "--rm", "--network", "none", debian, "apt", "--version").line
    assert out.startswith("apt ")
    code = "import ssl, sqlite3, os; print(os.getpid(), sum(range(10)))"
    out = engine.docker("run", "--rm", "--network", "none", debian, "python3", "-c", code).line
    assert out == "1 45"
    out = engine.docker("run", "--rm", "--network", "none", debian, "dpkg", "-l", "python3").out
    assert "python3" in out


def test_debian_installs_a_package(engine: Engine, debian: str, tmp_path: Path) -> None:
    """apt inside a container installs a package that was built on the spot."""
    root = tmp_path / "hi"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: hi\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example.org>\n"
        "Description: says hi\n"
    )
    (root / "usr/bin").mkdir(parents=True)
    program = root / "usr/bin/hi"
    program.write_text("#!/bin/sh\necho hi from a package\n")
    program.chmod(0o755)
    package = tmp_path / "hi.deb"
    subprocess.run(["dpkg-deb", "-b", root, package], check=True, capture_output=True)
    script = "apt-get install -qq -y /pkg/hi.deb >/dev/null 2>&1; dpkg -s hi | grep Status; hi"
    out = engine.docker(
        *("run", "--rm", "--network", "none", "-v", f"{tmp_path}:/pkg:ro", debian),
        *("sh", "-c", script),
    ).out
    assert out.splitlines() == ["Status: install ok installed", "hi from a package"]


def test_debian_serves(engine: Engine, debian: str) -> None:
    """A real server in a container, asked from inside it by exec."""
    engine.docker(
        *("run", "-d", "--name", "server", "--network", "none", debian),
        *("python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "8000"),
    )
    ask = (
        "import time, urllib.request\n"
        "for _ in range(100):\n"
        "    try:\n"
        "        print(urllib.request.urlopen('http://127.0.0.1:8000/etc/debian_version').status)\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.1)\n"
    )
    out = engine.docker("exec", "server", "python3", "-c", ask).line
    assert out == "200"
    assert "GET /etc/debian_version" in engine.docker("logs", "server").out + (
        engine.docker("logs", "server").err
    )
    engine.docker("stop", "-t", "1", "server")
    engine.docker("rm", "server")


def check_image(engine: Engine, name: str) -> None:
    """The image runs and has its files."""
    out = engine.docker("run", "--rm", "--network", "none", name, "busybox", "echo", "from", name)
    assert out.line == f"from {name}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "busybox.tar"
    path.write_bytes(images.docker_archive(["peer/busybox:1"], [images.busybox_layer()]))
    return path


@pytest.mark.needs_peer("skopeo")
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("options", [[], ["--dest-compress-format", "zstd", "--dest-compress"]])
def test_image_saved_by_skopeo(
    engine: Engine, archive: Path, tmp_path: Path, kind: str, options: list[str]
) -> None:
    if kind == "docker-archive" and options:
        pytest.skip("skopeo compresses no layer of a docker-archive")
    out = tmp_path / "out.tar"
    subprocess.run(
        [
            *("skopeo", "--insecure-policy", "copy", *options),
            *(f"docker-archive:{archive}", f"{kind}:{out}:skopeo/busybox:{kind}"),
        ],
        check=True,
        capture_output=True,
    )
    loaded = engine.docker("load", "-i", str(out)).out
    assert f"skopeo/busybox:{kind}" in loaded
    check_image(engine, f"skopeo/busybox:{kind}")


@pytest.fixture
def podman() -> Iterator[Callable[..., str]]:
    """podman with a store of its own; podman refuses a long path for it."""
    tmp_path = Path(tempfile.mkdtemp(prefix="kp-"))

    def run(*args: str) -> str:
        command = ["podman", "--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/runroot"]
        command += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        command += ["--tmpdir", f"{tmp_path}/tmp", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    for point in reversed(leaks.mounts(tmp_path)):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    shutil.rmtree(tmp_path)


@pytest.mark.needs_peer("podman")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_image_saved_by_podman(
    engine: Engine, archive: Path, tmp_path: Path, podman: Callable[..., str], form: str
) -> None:
    podman("load", "-i", str(archive))
    podman("tag", "peer/busybox:1", f"podman/busybox:{form}")
    out = tmp_path / "out.tar"
    podman("save", "--format", form, "-o", str(out), f"podman/busybox:{form}")
    loaded = engine.docker("load", "-i", str(out)).out
    assert f"podman/busybox:{form}" in loaded
    tags = [t for item in engine.get("/images/json") for t in item["RepoTags"]]
    name = next(tag for tag in tags if tag.endswith(f"podman/busybox:{form}"))
    check_image(engine, name)


@pytest.mark.needs_peer("podman")
def test_podman_loads_what_we_save(
    engine: Engine, tmp_path: Path, podman: Callable[..., str]
) -> None:
    out = tmp_path / "ours.tar"
    engine.docker("save", "-o", str(out), "busybox:latest")
    assert "busybox:latest" in podman("load", "-i", str(out))


@pytest.mark.needs_peer("skopeo")
def test_skopeo_reads_what_we_save(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "ours.tar"
    engine.docker("save", "-o", str(out), "busybox:latest")
    done = subprocess.run(
        ["skopeo", "inspect", "--config", f"docker-archive:{out}:busybox:latest"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours = engine.get("/images/busybox:latest/json")
    assert json.loads(done.stdout)["rootfs"]["diff_ids"] == ours["RootFS"]["Layers"]


def test_save_and_load_again_is_the_same_image(engine: Engine, tmp_path: Path) -> None:
    before = engine.get("/images/busybox:latest/json")
    out = tmp_path / "ours.tar"
    engine.docker("save", "-o", str(out), "busybox:latest")
    engine.docker("tag", "busybox:latest", "keep:1")
    engine.docker("rmi", "busybox:latest")
    engine.docker("load", "-i", str(out))
    assert engine.get("/images/busybox:latest/json")["Id"] == before["Id"]
    engine.docker("rmi", "keep:1")
    again = tmp_path / "again.tar"
    engine.docker("save", "-o", str(again), "busybox:latest")
    with tarfile.open(out) as one, tarfile.open(again) as two:
        assert sorted(one.getnames()) == sorted(two.getnames())
    assert out.read_bytes() == again.read_bytes(), "save is reproducible"
