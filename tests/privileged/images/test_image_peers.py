"""Archives of podman, skopeo and dockerd load here, and what is saved here loads there."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from knarr.images import Description
from support import images as real
from support import leaks, probes
from support.image_home import Home, Pipe, sha

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

podman_needed = pytest.mark.needs_peer("podman")
skopeo_needed = pytest.mark.needs_peer("skopeo")
dockerd_needed = pytest.mark.needs_peer("dockerd")

LOWER = real.busybox_layer()
UPPER = real.layer({"etc/motd": ("file", b"hello\n"), "home/.wh..wh..opq": ("file", b"")})
CONFIG = {"Env": ["PATH=/bin"], "Labels": {"a": "b"}}
ARCHIVE = real.docker_archive(["real/two:v1"], [LOWER, UPPER], CONFIG)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("peers") / "two.tar"
    path.write_bytes(ARCHIVE)
    return path


@pytest.fixture(scope="module")
def podman() -> Iterator[list[str]]:
    """podman with a store of its own; it refuses a long path for it."""
    base = Path(tempfile.mkdtemp(prefix="kp-"))
    program = probes.find_program("podman") or "podman"
    yield [program, "--root", f"{base}/root", "--runroot", f"{base}/run", "--storage-driver=vfs"]
    unmount(base)
    shutil.rmtree(base)


def unmount(base: Path) -> None:
    """Undo the mounts that the engines keep over their roots."""
    for point in reversed(leaks.mounts(base)):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A dockerd of its own, and the command line that speaks to it."""
    base = tmp_path_factory.mktemp("dockerd")
    command = [probes.find_program("dockerd"), "--bridge=none", "--iptables=false"]
    command += ["--storage-driver=vfs", f"--data-root={base}/data", f"--exec-root={base}/exec"]
    command += [f"--pidfile={base}/pid", f"--host=unix://{base}/sock"]
    client = [probes.docker_cli() or "docker", "-H", f"unix://{base}/sock"]
    with (base / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(300):
            asked = subprocess.run([*client, "version"], capture_output=True, check=False)
            if asked.returncode == 0:
                break
            assert daemon.poll() is None, (base / "log").read_text()
            time.sleep(0.1)
        yield client
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
        unmount(base)


@pytest.fixture
def own(open_home) -> Home:
    return open_home()


def load(home: Home, path: Path) -> list[str]:
    with path.open("rb") as stream:
        return home.images.load(stream)


def check_same(home: Home, name: str) -> None:
    """The image is the one that was made: same layers, same configuration."""
    image = home.images.resolve(name)
    assert image.layers == (sha(LOWER), sha(UPPER))
    assert image.config.env == ["PATH=/bin"]
    assert image.config.labels == {"a": "b"}


@podman_needed
def test_podman_to_knarr(own, podman, archive, tmp_path):
    run(*podman, "load", "-q", "-i", archive)
    for form in ("docker-archive", "oci-archive"):
        path = tmp_path / form
        run(*podman, "save", "-q", "--format", form, "-o", path, "localhost/real/two:v1")
        assert load(own, path) == ["Loaded image: localhost/real/two:v1"]
        check_same(own, "localhost/real/two:v1")
        own.remove("localhost/real/two:v1")
        own.assert_empty()


@skopeo_needed
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skopeo_to_knarr(own, archive, tmp_path, compression):
    path = tmp_path / "oci.tar"
    compress = f"--dest-compress-format={compression}"
    run("skopeo", "copy", "-q", compress, f"docker-archive:{archive}", f"oci-archive:{path}:a/b:c")
    assert load(own, path) == ["Loaded image: a/b:c"]
    check_same(own, "a/b:c")
    # Compressed layers go out as they came.
    out = save(own, tmp_path / "out.tar", "a/b:c")
    before = json.loads(run("skopeo", "inspect", f"oci-archive:{path}:a/b:c"))
    after = json.loads(run("skopeo", "inspect", f"oci-archive:{out}"))
    assert (before["Digest"], before["Layers"]) == (after["Digest"], after["Layers"])


@skopeo_needed
def test_skopeo_docker_archives_to_knarr(own, archive, tmp_path):
    path = tmp_path / "docker.tar"
    run("skopeo", "copy", "-q", f"docker-archive:{archive}", f"docker-archive:{path}:x/y:z")
    assert load(own, path) == ["Loaded image: x/y:z"]
    check_same(own, "x/y:z")


@dockerd_needed
def test_docker_to_knarr(own, docker, archive, tmp_path):
    run(*docker, "load", "-q", "-i", archive)
    run(*docker, "tag", "real/two:v1", "other:tag")
    image_id = run(*docker, "image", "inspect", "-f", "{{.Id}}", "other:tag").strip()
    path = tmp_path / "docker.tar"
    run(*docker, "save", "-o", path, "real/two:v1", "other:tag")
    assert sorted(load(own, path)) == ["Loaded image: other:tag", "Loaded image: real/two:v1"]
    check_same(own, "other:tag")
    assert own.images.resolve("other:tag").id == image_id


def save(home: Home, path: Path, *names: str) -> Path:
    path.write_bytes(home.save(*names))
    return path


@pytest.fixture
def saved(own, tmp_path) -> Path:
    """Two images, three names, one shared layer."""
    own.load(ARCHIVE)
    own.load(real.docker_archive(["real/one:v1"], [LOWER]))
    own.images.tag("real/two:v1", "second:name")
    return save(own, tmp_path / "saved.tar", "real/two:v1", "real/one:v1", "second:name")


@podman_needed
def test_knarr_to_podman(saved, podman):
    said = run(*podman, "load", "-q", "-i", saved)
    for name in ("real/two:v1", "real/one:v1", "second:name"):
        assert f"Loaded image: localhost/{name}" in said


@skopeo_needed
def test_knarr_to_skopeo(own, saved, tmp_path):
    found = json.loads(run("skopeo", "inspect", f"docker-archive:{saved}:real/two:v1"))
    assert found["Layers"] == [sha(LOWER), sha(UPPER)]
    run("skopeo", "copy", "-q", f"docker-archive:{saved}:real/one:v1", f"dir:{tmp_path}/dir")
    single = save(own, tmp_path / "single.tar", "real/one:v1")
    assert json.loads(run("skopeo", "inspect", f"oci-archive:{single}"))["Layers"] == [sha(LOWER)]


@dockerd_needed
def test_knarr_to_docker(own, saved, docker):
    for name in ("real/two:v1", "real/one:v1", "second:name"):
        subprocess.run([*docker, "rmi", "-f", name], capture_output=True, check=False)
    said = run(*docker, "load", "-i", saved)
    for name in ("real/two:v1", "real/one:v1", "second:name"):
        assert f"Loaded image: {name}" in said
        image_id = run(*docker, "image", "inspect", "-f", "{{.Id}}", name).strip()
        assert image_id == own.images.resolve(name).id


@dockerd_needed
def test_import_gives_what_docker_gives(own, docker, tmp_path):
    """The configuration that the same changes make, here and there."""
    lines = [
        'CMD ["/bin/sh", "-c", "echo a"]',
        "ENTRYPOINT run it",
        "ENV A=1 B='x y'",
        "ENV C $A and more",
        "EXPOSE 80 53/udp",
        "LABEL a=b c='d e'",
        "USER app",
        "VOLUME /v /w",
        "WORKDIR /a",
        "WORKDIR b",
        "ONBUILD RUN x",
        "HEALTHCHECK --interval=5s --retries=3 CMD test -e /x",
    ]
    tar = tmp_path / "root.tar"
    tar.write_bytes(LOWER)
    flags = [part for line in lines for part in ("--change", line)]
    theirs_id = run(*docker, "import", "-m", "why", *flags, tar).strip()
    theirs = json.loads(run(*docker, "image", "inspect", theirs_id))[0]
    ours_id = own.images.import_(Pipe(LOWER), description=Description(changes=lines, message="why"))
    ours = msgspec.to_builtins(own.images.inspect(ours_id))
    wanted = {key: value for key, value in theirs["Config"].items() if value}
    have = {key: value for key, value in ours["Config"].items() if value}
    for each in (wanted, have):
        each.pop("Hostname", None)
        each.pop("Image", None)
    assert have == wanted
    assert ours["RootFS"] == theirs["RootFS"]
    assert ours["Comment"] == theirs["Comment"] == "why"
