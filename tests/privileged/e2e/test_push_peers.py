"""What is pushed here is what others pull, and what they push goes on from here, byte for byte."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import images, leaks, probes, registries
from support.dockerd import Dockerd
from support.engine import Engine
from support.registries import Registry

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_overlay,
    pytest.mark.needs_docker_cli(28),
    pytest.mark.needs_peer("docker-registry"),
]
Run = Callable[..., str]

OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module", params=registries.KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    with registries.running(request.param, tmp_path_factory.mktemp("registry")) as host:
        yield Registry(host)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def podman() -> Iterator[Run]:
    """podman with a store of its own; it refuses a long path for it."""
    base = Path(tempfile.mkdtemp(prefix="kp-"))
    program = probes.find_program("podman") or "podman"
    head = [program, "--root", f"{base}/root", "--runroot", f"{base}/run", "--storage-driver=vfs"]
    yield lambda *args: run(*head, *args)
    for point in reversed(leaks.mounts(base)):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    peer = Dockerd(tmp_path_factory.mktemp("dockerd"))
    try:
        yield peer.start()
    finally:
        peer.stop_all()


@pytest.fixture
def path(engine: Engine) -> Iterator[str]:
    """A repository; all names of images that have it are removed after the test."""
    made = f"peers{secrets.token_hex(4)}/app"
    yield made
    remove(engine, made)


def remove(engine: Engine, path: str) -> None:
    for image in engine.get("/images/json?all=1"):
        for name in (image["RepoTags"] or []) + (image["RepoDigests"] or []):
            if path in name:
                engine.api("DELETE", f"/images/{name}?force=1")


def archive(name: str, mark: str) -> bytes:
    lower = images.layer({"etc": ("dir", 0o755), "etc/mark": ("file", mark.encode() * 1000)})
    upper = images.layer({"etc/more": ("file", mark.encode()), "etc/.wh.mark": ("file", b"")})
    return images.docker_archive([name], [lower, upper], {"Cmd": ["/x"], "Labels": {"a": "b"}})


@pytest.fixture
def pushed(engine: Engine, registry: Registry, path: str) -> tuple[str, str, str]:
    """An image that was pushed from here: its name, the digest there, its id."""
    name = f"{registry.host}/{path}:1"
    engine.docker("load", "-q", input=archive(name, path))
    engine.docker("push", "-q", name)
    return name, registry.manifest(path, "1")[1], engine.get(f"/images/{name}/json")["Id"]


@pytest.mark.needs_peer("dockerd")
def test_dockerd_pulls_what_was_pushed(
    pushed: tuple[str, str, str], dockerd: Dockerd, path: str
) -> None:
    name, digest, image_id = pushed
    assert f"Digest: {digest}" in dockerd.docker("pull", name).out
    found = dockerd.get(f"/images/{name}/json")
    assert found["Id"] == image_id
    assert found["RepoDigests"] == [f"{name.removesuffix(':1')}@{digest}"]
    remove(dockerd, path)


@pytest.mark.needs_peer("podman")
def test_podman_pulls_what_was_pushed(pushed: tuple[str, str, str], podman: Run) -> None:
    name, digest, image_id = pushed
    assert podman("pull", "-q", "--tls-verify=false", name).strip() == image_id.removeprefix(
        "sha256:"
    )
    assert podman("image", "inspect", "-f", "{{.Digest}}", name).strip() == digest
    podman("rmi", "-f", name)


@pytest.mark.needs_peer("skopeo")
def test_skopeo_copies_what_was_pushed(pushed: tuple[str, str, str], tmp_path: Path) -> None:
    name, digest, _ = pushed
    run(
        *("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false"),
        *("--preserve-digests", f"docker://{name}", f"dir:{tmp_path}/copy"),
    )
    assert registries.digest_of((tmp_path / "copy/manifest.json").read_bytes()) == digest


def goes_on(engine: Engine, registry: Registry, path: str, kind: str) -> Any:
    """Pull what a peer has pushed, push it elsewhere; both are the same to the byte."""
    theirs = registry.manifest(path, "1")
    assert theirs[0] == kind
    name = f"{registry.host}/{path}"
    engine.docker("pull", "-q", f"{name}:1")
    engine.docker("tag", f"{name}:1", f"{name}-on:1")
    engine.docker("push", "-q", f"{name}-on:1")
    assert registry.manifest(f"{path}-on", "1") == theirs
    return json.loads(theirs[2])


@pytest.mark.needs_peer("dockerd")
def test_what_dockerd_pushed_goes_on(
    engine: Engine, registry: Registry, dockerd: Dockerd, path: str
) -> None:
    name = f"{registry.host}/{path}:1"
    dockerd.docker("load", "-q", input=archive(name, path))
    dockerd.docker("push", "-q", name)
    goes_on(engine, registry, path, "application/vnd.docker.distribution.manifest.v2+json")
    remove(dockerd, path)


@pytest.mark.needs_peer("podman")
def test_what_podman_pushed_goes_on(
    engine: Engine, registry: Registry, podman: Run, path: str, tmp_path: Path
) -> None:
    name = f"{registry.host}/{path}:1"
    (tmp_path / "a.tar").write_bytes(archive(name, path))
    podman("load", "-q", "-i", str(tmp_path / "a.tar"))
    podman("push", "-q", "--tls-verify=false", "--format=oci", name)
    goes_on(engine, registry, path, OCI)
    podman("rmi", "-f", name)


@pytest.mark.needs_peer("skopeo")
def test_zstd_layers_go_on(engine: Engine, registry: Registry, path: str, tmp_path: Path) -> None:
    name = f"{registry.host}/{path}:1"
    (tmp_path / "a.tar").write_bytes(archive(name, path))
    run(
        *("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false"),
        *("--format=oci", "--dest-compress-format=zstd"),
        *(f"docker-archive:{tmp_path}/a.tar", f"docker://{name}"),
    )
    document = goes_on(engine, registry, path, OCI)
    assert all(each["mediaType"].endswith("tar+zstd") for each in document["layers"])
    # A child of it cannot be told in Docker's types.
    container = engine.docker("create", name, "/x").out.strip()
    engine.docker("commit", container, f"{registry.host}/{path}-child:1")
    engine.docker("rm", container)
    engine.docker("push", "-q", f"{registry.host}/{path}-child:1")
    kind, _, raw = registry.manifest(f"{path}-child", "1")
    child = json.loads(raw)
    assert kind == child["mediaType"] == OCI
    assert child["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert [each["digest"] for each in child["layers"][:2]] == [
        each["digest"] for each in document["layers"]
    ]


@pytest.mark.needs_peer("skopeo")
def test_an_index_that_is_here_goes_on_whole(
    engine: Engine, registry: Registry, path: str, tmp_path: Path
) -> None:
    name = f"{registry.host}/{path}"
    run(
        *("skopeo", "--insecure-policy", "copy", "-q", "--format=oci"),
        *(f"docker-archive:{save(tmp_path, name, path)}", f"oci:{tmp_path}/layout:x"),
    )
    index_digest = nest(tmp_path / "layout", f"{name}:1")
    engine.docker("load", "-q", input=tarred(tmp_path / "layout"))
    out = engine.docker("push", f"{name}:1").out
    assert registry.manifest(path, "1")[1] == index_digest
    assert f"1: digest: {index_digest}" in out
    engine.docker("push", "-q", "--platform", "linux/amd64", f"{name}:1")
    kind, digest, _ = registry.manifest(path, "1")
    assert (kind, digest != index_digest) == (OCI, True)


def save(folder: Path, name: str, mark: str) -> Path:
    (folder / "a.tar").write_bytes(archive(f"{name}:1", mark))
    return folder / "a.tar"


def nest(layout: Path, name: str) -> str:
    """Put an index between the layout and its manifest; its digest."""
    top = json.loads((layout / "index.json").read_bytes())
    entry = {**top["manifests"][0], "platform": {"os": "linux", "architecture": "amd64"}}
    entry.pop("annotations", None)
    kind = "application/vnd.oci.image.index.v1+json"
    raw = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    digest = registries.digest_of(raw)
    (layout / "blobs/sha256" / digest[7:]).write_bytes(raw)
    named = {"io.containerd.image.name": name}
    outer = {"mediaType": kind, "digest": digest, "size": len(raw), "annotations": named}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [outer]}))
    return digest


def tarred(folder: Path) -> bytes:
    return subprocess.run(["tar", "-C", folder, "-c", "."], check=True, capture_output=True).stdout
