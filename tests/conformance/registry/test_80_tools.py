"""Other programs push and pull; what they carry keeps its digest along every path."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images
from support.docker_registry import docker_registry
from support.registry import RegistryServer, sha256

pytestmark = pytest.mark.needs_peer("skopeo")
PLAIN = ["--src-tls-verify=false", "--dest-tls-verify=false"]


def copy(source: str, to: str, *options: str) -> None:
    command = ["skopeo", "--insecure-policy", "copy", *options, source, to]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def raw(place: str) -> bytes:
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", place]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """An image that no other test has: skopeo remembers where it has seen a layer."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 300_000
        tar.addfile(entry, io.BytesIO(os.urandom(100_000) + bytes(200_000)))
    path = tmp_path / "image.tar"
    path.write_bytes(images.docker_archive(["tools/image:1"], [made.getvalue()]))
    return f"docker-archive:{path}"


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("oci", ["--format=oci"], "oci.image.layer.v1.tar+gzip"),
        ("v2s2", ["--format=v2s2"], "docker.image.rootfs.diff.tar.gzip"),
        ("zstd", ["--format=oci", "--dest-compress-format=zstd"], "layer.v1.tar+zstd"),
    ],
    ids=["oci", "v2s2", "zstd"],
)
def test_all_formats_go_round(
    registry: RegistryServer, archive: str, tmp_path: Path, name: str, options: list[str], kind: str
) -> None:
    """Into the registry, to docker-registry, back under another name, out into a folder."""
    here = f"docker://{registry.address}/tools/{name}"
    copy(archive, f"{here}:1", "--dest-tls-verify=false", *options)
    first = raw(f"{here}:1")
    assert json.loads(first)["layers"][0]["mediaType"].endswith(kind)
    with docker_registry(tmp_path / "other") as other:
        there = f"docker://{other}/tools/{name}"
        copy(f"{here}:1", f"{there}:1", *PLAIN, "--preserve-digests")
        assert raw(f"{there}:1") == first
        copy(f"{there}:1", f"{here}-back:1", *PLAIN, "--preserve-digests")
    found = registry.ask("GET", f"/v2/tools/{name}-back/manifests/1")
    assert (found.body, found.headers["docker-content-digest"]) == (first, sha256(first))
    copy(f"{here}-back:1", f"dir:{tmp_path}/out", *PLAIN[:1])
    assert Path(tmp_path, "out/manifest.json").read_bytes() == first
    for each in json.loads(first)["layers"]:
        value = each["digest"].partition(":")[2]
        assert sha256(Path(tmp_path, "out", value).read_bytes()) == each["digest"]


@pytest.mark.parametrize("point", ["registry.blob-staged:1", "registry.blob-staged:2"])
def test_killed_in_a_push(tmp_path: Path, archive: str, point: str) -> None:
    """The server dies while a push is under way; the same push is finished by the next one."""
    server = RegistryServer(tmp_path / "root")
    os.environ["KNARR_FAULT"] = point
    try:
        server.start()
    finally:
        del os.environ["KNARR_FAULT"]
    to = f"docker://{server.address}/killed/a:1"
    command = ["skopeo", "--insecure-policy", "copy", PLAIN[1], archive, to]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode != 0
    server.kill9()
    server.start()
    assert server.ask("GET", "/v2/killed/a/manifests/1").status == 404
    copy(archive, to, PLAIN[1])
    copy(to, f"dir:{tmp_path}/out", PLAIN[0])
    assert server.stop() == 0


@pytest.fixture
def short() -> Iterator[str]:
    """A folder with a short path: podman takes no more than 50 characters for its runroot."""
    with tempfile.TemporaryDirectory(prefix="knarr-") as folder:
        yield folder


@pytest.mark.needs_root
@pytest.mark.needs_peer("podman")
@pytest.mark.needs_peer("buildah")
def test_podman_and_buildah(registry: RegistryServer, archive: str, short: str) -> None:
    base = f"{registry.address}/tools/pods"
    copy(archive, f"docker://{base}:1", PLAIN[1])
    where = ["--root", f"{short}/store", "--runroot", f"{short}/run", "--storage-driver", "vfs"]
    for command in (
        ["podman", *where, "pull", "-q", "--tls-verify=false", f"{base}:1"],
        ["podman", *where, "push", "-q", "--tls-verify=false", f"{base}:1", f"{base}:podman"],
        ["buildah", *where, "push", "-q", "--tls-verify=false", f"{base}:1", f"docker://{base}:b"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    documents = [json.loads(raw(f"docker://{base}:{tag}")) for tag in ("1", "podman", "b")]
    assert len({each["config"]["digest"] for each in documents}) == 1
