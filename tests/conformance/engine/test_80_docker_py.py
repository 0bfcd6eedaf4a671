"""docker-py, as programs use it."""

from __future__ import annotations

import io
from pathlib import Path

import docker
import pytest

from support import images


def test_system(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["Os"] == "linux"
    assert client.info()["OSType"] == "linux"
    assert "Images" in client.df()


def test_run(client: docker.DockerClient) -> None:
    out = client.containers.run("busybox", ["echo", "hi"], remove=True, network_mode="none")
    assert out == b"hi\n"
    out = client.containers.run(
        "busybox", "sh -c 'echo $X'", environment={"X": "y"}, remove=True, network_mode="none"
    )
    assert out == b"y\n"


def test_a_command_that_fails(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ContainerError) as failure:
        client.containers.run(
            "busybox", "sh -c 'echo bad >&2; exit 3'", remove=True, network_mode="none"
        )
    assert failure.value.exit_status == 3
    assert failure.value.stderr == b"bad\n"


def test_life(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox",
        ["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done"],
        detach=True,
        network_mode="none",
        labels={"a": "b"},
        tmpfs={"/t": "size=1m"},
        mem_limit="64m",
    )
    try:
        assert container.labels == {"a": "b"}
        code, out = container.exec_run(["sh", "-c", "echo in; exit 2"])
        assert (code, out) == (2, b"in\n")
        code, (stdout, stderr) = container.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
        assert (code, stdout, stderr) == (0, b"o\n", b"e\n")
        container.reload()
        assert container.status == "running"
        assert container.top()["Processes"]
        container.rename(container.name + "-x")
        container.stop(timeout=5)
        assert container.wait()["StatusCode"] == 4
        container.start()
        container.kill()
        assert container.wait()["StatusCode"] == 137
    finally:
        container.remove(force=True)
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(container.id)


def test_logs_as_a_stream(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox",
        ["sh", "-c", "for i in 1 2 3; do echo $i; done"],
        detach=True,
        network_mode="none",
    )
    try:
        assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
        assert container.logs(tail=1) == b"3\n"
    finally:
        container.remove(force=True)


def test_images(client: docker.DockerClient) -> None:
    layer = images.layer({"mark": ("file", b"docker-py")})
    (image,) = client.images.load(images.docker_archive(["test/py:latest"], [layer]))
    try:
        assert image.tags == ["test/py:latest"]
        assert image.tag("test/py", "two") is True
        saved = b"".join(image.save(named=True))
        assert saved
        assert client.images.get("test/py:two").id == image.id
        assert image.history()[0]["Size"] >= 0
        assert any(each.id == image.id for each in client.images.list())
    finally:
        client.images.remove("test/py:latest", force=True)
        client.images.remove("test/py:two", force=True)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("test/py")


def test_errors(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ImageNotFound):
        client.api.create_container("nosuch:image", "x")
    with pytest.raises(docker.errors.APIError) as failure:
        client.containers.create("busybox", name="bad name")
    assert failure.value.status_code == 400
    assert "Invalid container name" in failure.value.explanation


def test_load_from_a_file(client: docker.DockerClient, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(images.docker_archive(["test/file:latest"], [images.layer({})]))
    with path.open("rb") as stream:
        (image,) = client.images.load(stream)
    assert image.tags == ["test/file:latest"]
    client.images.remove("test/file:latest")
    assert io.BytesIO(path.read_bytes()).read(1)
